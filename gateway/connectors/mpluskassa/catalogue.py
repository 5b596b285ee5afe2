"""The till's lists and goods: lists that change seldom; products and their articles, article groups, stock."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any

from gateway.connectors.mpluskassa import wire, wire_catalogue
from gateway.connectors.mpluskassa.calls import Caller, chunks
from gateway.connectors.mpluskassa.faults import MissingOperation, made_number
from gateway.connectors.mpluskassa.wire import ApiVersion, ReadProduct, RecordPage
from gateway.connectors.mpluskassa.wire_sales import to_journal
from gateway.errors import AuthLost, NotFound, Permanent
from mapping import records

_NUMBERS_AT_ONCE = 200
# Orders become receipts or invoices: counting them too would count their money twice.
_REVENUE = ("JOURNAL-FILTER-RECEIPT", "JOURNAL-FILTER-INVOICE")
_ORDERS = ("JOURNAL-FILTER-ORDER",)


class Products(Caller):
    """Products and their articles. Reads raise Transient, or Permanent and its kinds; writes Unanswered as well."""

    def product_of_article(self, number: int) -> ReadProduct | None:
        """The product an article belongs to, with all its other articles; None when there is no such article."""
        found = self._products(articleNumbers=[number])
        return next((each for each in found if any(one.number == number for one in each.product.articles)), None)

    def products_of_articles(self, numbers: Iterable[int]) -> tuple[ReadProduct, ...]:
        """The products these articles belong to, each once and whole, with one call per 200 numbers."""
        found: dict[int | None, ReadProduct] = {}
        for some in chunks(numbers, _NUMBERS_AT_ONCE):
            read = self._products(articleNumbers=some)
            found |= {each.product.number: each for each in read}
        return tuple(found.values())

    def product(self, number: int) -> ReadProduct | None:
        """A product by its own number, whole, or None."""
        found = self._products(productNumbers=[number])
        return next((each for each in found if each.product.number == number), None)

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


def to_empty_product(number: int, name: str, groups: tuple[int, ...]) -> ReadProduct:
    """A product without articles, which getProducts may not show."""
    raw = {"productNumber": number, "description": name, "groupNumbers": list(groups)}
    return ReadProduct(records.Product(number, name, (), groups), raw)


class Groups(Caller):
    """Article groups hold products, not articles. Reads raise Transient or Permanent; writes Unanswered as well."""

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


class Stock(Caller):
    """Stock per branch, in pieces. Reads raise Transient or Permanent; writes Unanswered as well."""

    _refused_together = False

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
        """The bookings since a stock id (of these articles, or all), by any user.

        A page's `marker` is the highest stock id in it.
        """
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


class Lookups(Caller):
    """Reads lists that change seldom. All of it raises Transient, or Permanent and its kinds."""

    def api_version(self) -> ApiVersion:
        """The cheapest call, also used to test the connection."""
        return wire_catalogue.to_api_version(self.read("getApiVersion"))

    def sync_markers(self) -> records.SyncMarkers:
        """The counters that show what changed since the last read."""
        try:
            return wire_catalogue.to_sync_markers(
                self.read("getCurrentSyncMarkersV2", request=wire_catalogue.marker_flags())
            )
        except MissingOperation:
            pass
        return wire_catalogue.to_sync_markers(self.read("getCurrentSyncMarkers"))

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
        request = {
            "fromFinancialDate": wire.to_date_struct(start),
            "throughFinancialDate": wire.to_date_struct(through),
            "branchNumbers": list(branches),
            "journalFilterList": {"journalFilter": list(_ORDERS if of_orders else _REVENUE)},
            "reference": "Kassabridge",
        }
        answer = self.search("getJournals", request=request)
        return tuple(map(to_journal, wire.rows(answer, "journalList", "journal")))
