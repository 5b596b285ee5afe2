"""The client of one MplusKASSA installation: every call the gateway makes to the till; relations and sales are here."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import nullcontext, suppress
from datetime import date
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any, Self

from gateway.connectors.exchange import Gate, Observer
from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa import wire
from gateway.connectors.mpluskassa.calls import Caller, TillEndpoint, chunks
from gateway.connectors.mpluskassa.catalogue import Groups, Lookups, Products, Stock
from gateway.connectors.mpluskassa.contract import ContractCache
from gateway.connectors.mpluskassa.faults import MissingOperation, made_number
from gateway.connectors.mpluskassa.wire import Malformed, RecordPage, Row
from gateway.connectors.mpluskassa.wire_sales import find_number, to_change, to_relation, to_sale, to_soap
from gateway.errors import AUTH_LOST, NotConnected
from mapping.customers import email_key, email_keys, email_spellings
from mapping.records import Relation, Sale, SaleKind
from mapping.sale_identity import name_sale

_IDS_AT_ONCE = 50
_YEAR_NUMBER = 2


class Sales(Caller):
    """The present state of sales. All of it raises Transient, or Permanent and its kinds; nothing here writes.

    The till's names follow one pattern for the three kinds: getReceipts, getReceipt for one, receiptList, receiptIds.
    """

    def sales_since(self, kind: SaleKind, marker: int, limit: int, *, with_lines: bool = False) -> RecordPage[Sale]:
        """Sales made or changed, from this marker on (inclusive); heads only unless lines are asked for.

        Of orders those of tables and of cafeterias are left out.
        """
        found = self._rows(kind, syncMarker=marker, syncMarkerLimit=limit, includeLineList=with_lines)
        number = partial(find_number, kind)
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
        parts = number.split(".")
        if len(parts) != _YEAR_NUMBER or not all(part.isdecimal() and part.isascii() for part in parts):
            return None
        year_number = {"year": int(parts[0]), "number": int(parts[1])}
        return self._numbered(SaleKind.INVOICE, year_number) or self._numbered(SaleKind.ORDER, year_number)

    def _numbered(self, kind: SaleKind, year_number: dict[str, int]) -> Sale | None:
        field = f"{kind.lower()}Number"
        found = self._rows(kind, searched=True, includeLineList=True, **{f"{field}s": [year_number]})
        same = (row for row in found if row.get(field) and year_number.items() <= row[field].items())
        return next((self._sale(kind, row) for row in same), None)

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
            return to_sale(kind, *wire.checked([row]), default_places=self._places)
        except Malformed as fault:
            with suppress(Malformed):
                fault.about(record=name_sale(kind, find_number(kind, row) or wire.need(row, f"{kind.lower()}Id")))
            raise


class Relations(Caller):
    """Customers and suppliers. Reads raise Transient or Permanent; writes Unanswered as well."""

    def relation(self, number: int) -> Relation | None:
        return _found(self.read("getRelation", relationNumber=number))

    def relations_since(self, marker: int, limit: int) -> RecordPage[Relation]:
        """Relations that changed, from this marker on (inclusive)."""
        answer = self.read("getRelations", request={"syncMarker": marker, "syncMarkerLimit": limit})
        found = wire.rows_apart(answer, "relationList", "relation")
        return wire.to_page(found, to_relation, key="relationNumber")

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
        answer = self.write("createRelation", relation=to_soap(relation))
        return made_number(answer, "relationNumber", operation="createRelation")

    def update_relation(self, relation: Relation, present: Relation) -> None:
        """Change the fields that differ from `present`; the till keeps the rest, including edits made meanwhile."""
        self.write("updateRelation", relation=to_change(relation, present))

    def _find(self, terms: dict[str, Any], *, exact: bool = True) -> dict[str, Any]:
        try:
            return self.read("findRelationV2", request={"relation": terms, "exactMatch": exact})
        except MissingOperation:
            pass
        return self.read("findRelation", relation=terms)


def _found(answer: Row) -> Relation | None:
    row = answer.get("relation")
    return to_relation(row) if row and str(answer.get("result")).endswith("-OK") else None


_NEEDED = (
    "getApiVersion", "getCurrentSyncMarkersV2", "getBranches", "getVatGroupList", "getTurnoverGroups",
    "getPaymentMethodsV2", "getProducts", "createProduct", "updateProduct", "getArticleGroups", "newArticleGroup",
    "updateArticleGroup", "deleteArticleGroup", "addProductsToArticleGroup", "deleteProductsFromArticleGroup",
    "getStock", "getStockHistoryV2", "updateStock", "getRelation", "getRelations", "findRelationV2",
    "createRelation", "updateRelation", "getReceipts", "getInvoices", "getOrders", "getJournals",
)  # fmt: skip


def _refuse_unconnected() -> bytes:
    fix = "enter the till's address, ident and secret in the set-up of the connection"
    raise NotConnected("the till was never connected", code=AUTH_LOST, fix=fix)


class MplusKassa(Lookups, Products, Groups, Stock, Relations, Sales):
    """Calls one installation. Safe to share between threads; opens no connection before its first call.

    `observe` gets every exchange; `gate` is entered around each (to limit how many run at once).
    """

    def __init__(  # noqa: PLR0913 - one argument per setting of a connection
        self,
        url: str,
        ident: str,
        secret: str,
        *,
        observe: Observer | None = None,
        gate: Gate = nullcontext,
        limits: Limits | None = None,
        ca_file: str | None = None,
        wsdl_cache: Path | None = None,
        default_places: int = 0,
    ) -> None:
        """Raises ValueError for an invalid address or an empty credential."""
        if not ident or not secret:
            raise ValueError("the ident and the secret of MplusKASSA must both be set")
        link = TillEndpoint(url, ident, secret, limits=limits, ca_file=ca_file)
        cache = ContractCache(link.read_description, wsdl_cache)
        super().__init__(link, cache, observe=observe, gate=gate, default_places=default_places)

    @classmethod
    def not_connected(cls) -> Self:
        """The client of a till that nobody has entered yet: each call raises `NotConnected`."""
        client = cls("https://till.invalid", "none", "none")
        client.contracts = ContractCache(_refuse_unconnected)
        return client

    def missing_operations(self) -> tuple[str, ...]:
        """The operations that the gateway uses and this installation lacks. Reads the WSDL if not done before."""
        operations = self.contract().operations
        return tuple(name for name in _NEEDED if name not in operations)

    def __repr__(self) -> str:
        """Without credentials."""
        return f"MplusKassa({self.link.address!r})"
