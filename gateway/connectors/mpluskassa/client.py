"""The client of one MplusKASSA installation: every call that the gateway makes to the till."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import date
from decimal import Decimal
from functools import partial
from itertools import product
from typing import Any, Self

from gateway.connectors.mpluskassa import wire, wire_catalogue, wire_sales
from gateway.connectors.mpluskassa.calls import Caller, chunks
from gateway.connectors.mpluskassa.contract import NEEDED, ContractCache
from gateway.connectors.mpluskassa.faults import MissingOperation, made_number
from gateway.connectors.mpluskassa.wire import Malformed, ReadProduct, RecordPage, Row
from gateway.errors import AUTH_LOST, AuthLost, NotConnected, NotFound, Permanent
from mapping import records
from mapping.customers import email_key, email_keys, email_spellings
from mapping.records import Relation, Sale, SaleKind
from mapping.sale_identity import name_sale

_IDS_AT_ONCE = 50
_NUMBERS_AT_ONCE = 200


class MplusKassa(Caller):
    """Calls one installation; opens no connection before its first call.

    Reads raise Transient, or Permanent and its kinds; writes raise Unanswered as well.
    """

    _refused_together = False

    @classmethod
    def not_connected(cls) -> Self:
        """The client of a till that nobody has entered yet: each call raises `NotConnected`."""

        def refuse() -> bytes:
            fix = "enter the till's address, ident and secret in the set-up of the connection"
            raise NotConnected("the till was never connected", code=AUTH_LOST, fix=fix)

        client = cls("https://till.invalid", "none", "none")
        client.contracts = ContractCache(refuse)
        return client

    def missing_operations(self) -> tuple[str, ...]:
        """The operations that the gateway uses and this installation lacks. Reads the WSDL if not done before."""
        operations = self.contract().operations
        return tuple(name for name in NEEDED if name not in operations)

    def __repr__(self) -> str:
        """Without credentials."""
        return f"MplusKassa({self.link.address!r})"

    # --- lists that change seldom ---------------------------------------------------------------------------------

    def api_version(self) -> str:
        """The cheapest call, also used to test the connection."""
        return wire_catalogue.to_api_version(self.read("getApiVersion"))

    def sync_markers(self) -> records.SyncMarkers:
        """The counters that show what changed since the last read."""
        try:
            answer = self.read("getCurrentSyncMarkersV2", request=wire_catalogue.marker_flags())
        except MissingOperation:
            answer = self.read("getCurrentSyncMarkers")
        return wire_catalogue.to_sync_markers(answer)

    def branches(self) -> tuple[records.Branch, ...]:
        return tuple(map(wire_catalogue.to_branch, wire.rows(self.read("getBranches"), "branches", "branch")))

    def vat_groups(self) -> tuple[records.VatGroup, ...]:
        """The VAT codes of all branches, in per cent."""
        return wire_catalogue.to_vat_groups(wire.rows(self.read("getVatGroupList"), "vatGroup"))

    def turnover_groups(self) -> tuple[records.TurnoverGroup, ...]:
        answer = self.read("getTurnoverGroups", request={})
        return tuple(map(wire_catalogue.to_turnover_group, wire.rows(answer, "turnoverGroupList", "turnoverGroup")))

    def payment_methods(self) -> tuple[records.TillPaymentMethod, ...]:
        try:
            answer = self.read("getPaymentMethodsV2", request={})
        except MissingOperation:
            answer = self.read("getPaymentMethods")
        return tuple(map(wire_catalogue.to_payment_method, wire.rows(answer, "paymentMethodList", "paymentMethod")))

    def journals(
        self, start: date, through: date, branches: Iterable[int], *, of_orders: bool = False
    ) -> tuple[records.Journal, ...]:
        """The takings of each branch per business day, both dates included; the till records who asked.

        Of receipts and invoices, or of orders alone.
        """
        # Orders become receipts or invoices: counting them too would count their money twice.
        kinds = ["JOURNAL-FILTER-ORDER"] if of_orders else ["JOURNAL-FILTER-RECEIPT", "JOURNAL-FILTER-INVOICE"]
        request = {
            "fromFinancialDate": wire.to_date_struct(start),
            "throughFinancialDate": wire.to_date_struct(through),
            "branchNumbers": list(branches),
            "journalFilterList": {"journalFilter": kinds},
            "reference": "Kassabridge",
        }
        answer = self.search("getJournals", request=request)
        return tuple(map(wire_sales.to_journal, wire.rows(answer, "journalList", "journal")))

    # --- products and their articles ------------------------------------------------------------------------------

    def product_of_article(self, number: int) -> ReadProduct | None:
        """The product an article belongs to, with all its other articles; None when there is no such article."""
        found = self._products(articleNumbers=[number])
        return next((each for each in found if any(one.number == number for one in each.product.articles)), None)

    def products_of_articles(self, numbers: Iterable[int]) -> tuple[ReadProduct, ...]:
        """The products these articles belong to, each once and whole, with one call per 200 numbers."""
        found: dict[int | None, ReadProduct] = {}
        for some in chunks(numbers, _NUMBERS_AT_ONCE):
            found |= {each.product.number: each for each in self._products(articleNumbers=some)}
        return tuple(found.values())

    def product(self, number: int) -> ReadProduct | None:
        """A product by its own number, whole, or None."""
        return next((each for each in self._products(productNumbers=[number]) if each.product.number == number), None)

    def products_by_plu(self, plus: Iterable[str]) -> tuple[ReadProduct, ...]:
        """The products that hold an article with one of these PLU numbers, whole."""
        wanted = list(dict.fromkeys(plus))
        # Without a filter the till would send everything it has.
        if not wanted:
            return ()
        return self._products(pluNumbers=wire.to_text_list(wanted))

    def create_product(self, product: records.Product) -> int:
        """Make a product with its articles; returns its number. Not idempotent: after Unanswered, look for it."""
        answer = self.write("createProduct", product=wire_catalogue.to_soap(product, None))
        return made_number(answer, "productNumber", operation="createProduct")

    def update_product(self, product: records.Product, existing: ReadProduct) -> None:
        """Change the fields of the record; the rest of the product is sent back as it was read."""
        self.write("updateProduct", product=wire_catalogue.to_soap(product, existing.raw))

    def move_article(self, number: int, source: ReadProduct, target: ReadProduct) -> None:
        """Move an article, with all its fields as read, to another product. Raises Permanent when refused."""
        row = next(row for row in wire.rows(source.raw, "articleList", "article") if row.get("articleNumber") == number)
        joined = [*wire.rows(target.raw, "articleList", "article"), row]
        body = wire_catalogue.to_soap(
            records.Product(target.product.number, None, ()), {**target.raw, "articleList": {"article": joined}}
        )
        self.write("updateProduct", product=body)

    def _products(self, **filters: Any) -> tuple[ReadProduct, ...]:
        """Each product whole, with the articles that the filters leave out."""
        # pluNumbers is required even without a PLU.
        always = {"pluNumbers": wire.to_text_list(()), "includeAllArticlesOfSelectedProducts": True}
        answer = self.search("getProducts", request={**always, **filters})
        return tuple(map(wire_catalogue.to_read_product, wire.rows(answer, "productList", "product")))

    # --- article groups: they hold products, not articles ---------------------------------------------------------

    def article_groups(self, numbers: Iterable[int] = (), *, exist: bool = False) -> tuple[records.ArticleGroup, ...]:
        """The groups with all below them: these, or (none named) the whole tree.

        Where some `exist`, an answer without a list is no empty tree.
        """
        ask = self.read if exist else self.search
        answer = ask("getArticleGroups", request={"groupNumbers": list(numbers)})
        return tuple(map(wire_catalogue.to_group, wire.rows(answer, "articleGroupList", "articleGroups")))

    def create_article_group(self, group: records.ArticleGroup) -> int:
        """Make a group; returns its number."""
        answer = self.write("newArticleGroup", request=wire_catalogue.to_new_group_request(group))
        return made_number(answer, "groupNumber", operation="newArticleGroup")

    def update_article_group(self, group: records.ArticleGroup) -> None:
        """Change a group's name, text, position or parent, as far as the record has them."""
        self.write("updateArticleGroup", request=wire_catalogue.to_group_request(group))

    def delete_article_group(self, number: int) -> None:
        """Delete a group; its products stay."""
        self.write("deleteArticleGroup", request={"groupNumber": number})

    def add_products_to_group(self, number: int, products: Iterable[int]) -> None:
        """Put products into a group; those in it already stay where they are."""
        request = {"groupNumber": number, "productNumbers": {"number": list(products)}}
        self.write("addProductsToArticleGroup", request=request)

    def delete_products_from_group(self, number: int, products: Iterable[int]) -> None:
        request = {"groupNumber": number, "productNumbers": {"number": list(products)}}
        self.write("deleteProductsFromArticleGroup", request=request)

    # --- stock per branch, in pieces ------------------------------------------------------------------------------

    def stock(self, branch: int, articles: Iterable[int] = ()) -> tuple[records.ArticleStock, ...]:
        """The stock of these articles, or (none named) of all that keep stock."""
        request = {"branchNumber": branch, "articleNumbers": {"articleNumbers": list(articles)}}
        answer = self.read("getStock", request=request)
        return tuple(
            wire_catalogue.to_stock(row, branch=branch, default_places=self._places)
            for row in wire.rows(answer, "articleStocks")
        )

    def stock_changes(
        self, branches: Iterable[int], since_stock_id: int, limit: int, *, articles: Iterable[int] = ()
    ) -> RecordPage[records.StockMovement]:
        """The bookings since a stock id (of these articles, or all); a page's `marker` is the highest one in it."""
        wanted = list(articles)
        request = wire.known(
            branchNumbers=list(branches),
            articleNumbers={"articleNumbers": wanted} if wanted else None,
            sinceStockId=since_stock_id,
            sinceStockIdLimit=limit,
        )
        answer = self.read("getStockHistoryV2", request=request)
        read = partial(wire_catalogue.to_movement, default_places=self._places)
        return wire.to_page(wire.rows(answer, "articleStockHistory"), read, marker="stockId", key="stockId")

    def names_employees(self) -> bool:
        """Whether this installation books stock only in the name of an employee; optional in the newest."""
        return self.contract().demands("updateStock", "request", "employeeNumber")

    def books_together(self) -> bool:
        """Whether changes of many articles can be booked with one call: supported, and not refused before."""
        if self._refused_together:
            return False
        return self.contract().knows("saveStockCorrections", "request", "correctionMode")

    def update_stock_together(
        self, branch: int, changes: Mapping[int, Decimal], *, employee: int, reference: str
    ) -> int | None:
        """Add these pieces to each article, with one call. After a refusal some of them may be booked.

        Not safe to repeat: read the stock first. Once refused, this client does not offer it again.
        """
        request = wire_catalogue.to_corrections(branch, changes, employee=employee, reference=reference)
        try:
            answer = self.write("saveStockCorrections", request=request)
        except Permanent as error:
            self._refused_together = not isinstance(error, AuthLost | NotFound)
            raise
        stock_id: int | None = answer.get("stockId")
        return stock_id

    def update_stock(
        self, branch: int, article: int, change: Decimal, *, employee: int | None = None, reference: str | None = None
    ) -> int | None:
        """Add (or, negative, subtract) pieces. Not safe to repeat: after Unanswered, read the stock first."""
        request = wire_catalogue.to_booking(branch, article, change, employee=employee, reference=reference)
        stock_id: int | None = self.write("updateStock", request=request).get("stockId")
        return stock_id

    # --- relations: customers and suppliers -----------------------------------------------------------------------

    def relation(self, number: int) -> Relation | None:
        return _found(self.read("getRelation", relationNumber=number))

    def relations_since(self, marker: int, limit: int) -> RecordPage[Relation]:
        """Relations that changed, from this marker on (inclusive)."""
        answer = self.read("getRelations", request={"syncMarker": marker, "syncMarkerLimit": limit})
        found = wire.rows_apart(answer, "relationList", "relation")
        return wire.to_page(found, wire_sales.to_relation, key="relationNumber")

    def find_relation_by_email(self, email: str) -> Relation | None:
        """The relation that has this address (case aside), alone or beside others, or None.

        The till's own search finds parts of an address as well.
        """
        for spelled, exact in product(email_spellings(email.lower()), (True, False)):
            found = _found(self._find({"email": spelled}, exact=exact))
            if found is not None and email_key(email) in email_keys(found.email):
                return found
        return None

    def find_relation_by_ext_id(self, ext_id: str) -> Relation | None:
        found = _found(self._find({"extRelationId": ext_id}))
        return found if found is not None and found.ext_id == ext_id else None

    def find_relation_by_name(self, name: str) -> Relation | None:
        """A relation of exactly this name (case aside), or None; the till answers one, however many have the name."""
        found = _found(self._find({"name": name}))
        return found if found is not None and found.name.casefold() == name.casefold() else None

    def create_relation(self, relation: Relation) -> int:
        """Make a relation (number 0: the till gives one). Not idempotent: resolve Unanswered by looking for it."""
        answer = self.write("createRelation", relation=wire_sales.to_soap(relation))
        return made_number(answer, "relationNumber", operation="createRelation")

    def update_relation(self, relation: Relation, present: Relation) -> None:
        """Change the fields that differ from `present`; the till keeps the rest, including edits made meanwhile."""
        self.write("updateRelation", relation=wire_sales.to_change(relation, present))

    def _find(self, terms: dict[str, Any], *, exact: bool = True) -> dict[str, Any]:
        try:
            return self.read("findRelationV2", request={"relation": terms, "exactMatch": exact})
        except MissingOperation:
            return self.read("findRelation", relation=terms)

    # --- sales: nothing here writes ----------------------------------------------------------------------------
    # The till's names follow one pattern for the three kinds: getReceipts, getReceipt for one, receiptList, receiptIds.

    def sales_since(self, kind: SaleKind, marker: int, limit: int, *, with_lines: bool = False) -> RecordPage[Sale]:
        """Sales made or changed, from this marker on (inclusive); heads only unless lines are asked for.

        Of orders those of tables and of cafeterias are left out.
        """
        found = self._rows(kind, syncMarker=marker, syncMarkerLimit=limit, includeLineList=with_lines)
        number = partial(wire_sales.find_number, kind)
        return wire.to_page(found, partial(self._sale, kind), key=f"{kind.lower()}Id", number=number)

    def sales(self, kind: SaleKind, ids: Iterable[str], *, searched: bool = False) -> tuple[Sale, ...]:
        """These sales, whole; unknown ones are left out. An invoice is never finalised by reading.

        `searched`: the ids may be of another kind, or of no sale, so that an answer without a list is none found.
        """
        name = kind.lower()
        # Older installations read them one by one.
        knows_ids = self.contract().knows(f"get{kind}s", "request", f"{name}Ids")
        found: list[Row] = []
        for chunk in chunks(ids, _IDS_AT_ONCE):
            if knows_ids:
                read = self._rows(kind, searched=searched, includeLineList=True, **{f"{name}Ids": chunk})
            else:
                answers = [self.read(f"get{kind}", **{f"{name}Id": each}) for each in chunk]
                read = [answer[name] for answer in answers if answer.get(name)]
            # An installation that ignores the filter answers with everything it has.
            found += [row for row in read if row.get(f"{name}Id") in chunk]
        return tuple(self._sale(kind, row) for row in found)

    def sales_of_day(self, kind: SaleKind, day: date, branches: Iterable[int] = ()) -> tuple[Sale, ...]:
        """The sales of one business day (of these branches, or all), without their lines."""
        when = wire.to_date_struct(day)
        dates = {"fromFinancialDate": when, "throughFinancialDate": when}
        found = self._rows(kind, searched=True, **dates, branchNumbers=list(branches), includeLineList=False)
        return tuple(self._sale(kind, row) for row in found)

    def find_sale(self, number: str) -> Sale | None:
        """The invoice or order with this printed "year.number", or None. The till cannot search receipts by number."""
        year, _, rest = number.partition(".")
        if not all(part.isdecimal() and part.isascii() for part in (year, rest)):
            return None
        year_number = {"year": int(year), "number": int(rest)}
        for kind in (SaleKind.INVOICE, SaleKind.ORDER):
            field = f"{kind.lower()}Number"
            for row in self._rows(kind, searched=True, includeLineList=True, **{f"{field}s": [year_number]}):
                if row.get(field) and year_number.items() <= row[field].items():
                    return self._sale(kind, row)
        return None

    def _rows(self, kind: SaleKind, *, searched: bool = False, **filters: Any) -> list[Row]:
        # Both wrappers are required even when they are empty.
        empty = {"articlePluNumbers": wire.to_text_list(()), "articleBarcodes": wire.to_text_list(())}
        extras = {"includeOrderReferences": True} if kind is SaleKind.RECEIPT else {}
        # A day may be without sales, and a typed number no sale's; what has a marker, or an id of ours, exists.
        ask = self.search if searched else self.read
        answer = ask(f"get{kind}s", request={**empty, **extras, **filters})
        return wire.rows_apart(answer, f"{kind.lower()}List", kind.lower())

    def _sale(self, kind: SaleKind, row: Row) -> Sale:
        """Raises Malformed, which names the sale."""
        try:
            return wire_sales.to_sale(kind, *wire.checked([row]), default_places=self._places)
        except Malformed as fault:
            with suppress(Malformed):
                number = wire_sales.find_number(kind, row) or wire.need(row, f"{kind.lower()}Id")
                fault.about(record=name_sale(kind, number))
            raise


def _found(answer: Row) -> Relation | None:
    row = answer.get("relation")
    return wire_sales.to_relation(row) if row and str(answer.get("result")).endswith("-OK") else None
