"""The ground of the till: our client, raw calls over our caller, and marked test records, made inactive again."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Final

from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.calls import TILL_LIMITS
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.mpluskassa.wire import Row, rows, to_text_list
from gateway.errors import GatewayError
from tests.contract.books import mark
from tests.contract.probe import Unclear

RECENT: Final = 200  # changes looked back at for an example
FIRST_NUMBER: Final = 990_000_000


class Till:
    """One installation. What is made here carries a mark; `restore` makes it inactive: nothing can be deleted there."""

    system = "mpluskassa"

    def __init__(self, url: str, ident: str, secret: str, *, may_write: bool, limits: Limits = TILL_LIMITS) -> None:
        self.may_write = may_write
        self.url, self.ident, self._limits = url, ident, limits
        self.client = MplusKassa(url, ident, secret, limits=limits)
        self._undo: list[tuple[str, Callable[[], object]]] = []

    # --- raw calls ---

    def read(self, operation: str, **body: Any) -> dict[str, Any]:
        """The fields of an answer as they came."""
        return self.client.read(operation, **body)

    def write(self, operation: str, **body: Any) -> dict[str, Any]:
        """Change something; raises what its result stands for."""
        return self.client.write(operation, **body)

    def stranger(self) -> MplusKassa:
        """Somebody with the right ident and a wrong secret."""
        return MplusKassa(self.url, self.ident, f"not-{uuid.uuid4().hex}", limits=self._limits)

    # --- what is there ---

    def recent(self, operation: str, path: tuple[str, str], marker: int | None, **more: Any) -> list[Row]:
        """The last changes of a kind, as they came. Unclear where there are none."""
        if not marker:
            raise Unclear("nothing of the kind exists yet: make one at the till, then ask again")
        start = max(1, marker - RECENT)
        request = {"syncMarker": start, "syncMarkerLimit": RECENT, **more}
        found = rows(self.read(operation, request=request), *path)
        if not found:
            raise Unclear(f"{operation} from marker {start} on answered nothing")
        return found

    @cached_property
    def receipts(self) -> list[Row]:
        """The last receipts with their lines. Unclear where there are none."""
        empty = {name: to_text_list(()) for name in ("articlePluNumbers", "articleBarcodes")}
        marker = self.client.sync_markers().receipt
        return self.recent("getReceipts", ("receiptList", "receipt"), marker, includeLineList=True, **empty)

    # --- what is made ---

    def article(self, **fields: Any) -> int:
        """The number of a new article of a new product, marked."""
        group = next((g for g in self.client.turnover_groups() if g.type in (None, "TURNOVER")), None)
        code = next(iter(sorted({g.code for g in self.client.vat_groups()})), None)
        if code is None:
            raise Unclear("the installation has no VAT code")
        number = FIRST_NUMBER + uuid.uuid4().int % 9_999_999
        body = {
            "articleNumber": number,
            "description": mark(),
            "vatCode": code,
            "turnoverGroup": group.number if group else 1,
            "priceIncl": 100,
            "active": True,
            **fields,
        }
        self.write("createProduct", product={"description": body["description"], "articleList": {"article": [body]}})
        self._undo.append((f"article {number}", partial(self._retire_article, number)))
        return number

    def raw_article(self, number: int) -> Row:
        """An article as it stands. Unclear when it cannot be found."""
        product = self.raw_product(number)
        found = [row for row in rows(product, "articleList", "article") if row["articleNumber"] == number]
        if not found:
            raise Unclear(f"the till does not give article {number} back, which was made a moment ago")
        return dict(found[0])

    def raw_product(self, number: int) -> Row:
        """The product of an article, or nothing."""
        request = {"pluNumbers": to_text_list(()), "articleNumbers": [number]}
        return next(iter(rows(self.read("getProducts", request=request), "productList", "product")), {})

    def relation(self, **fields: Any) -> int:
        """The number of a new relation, marked."""
        number: int = self.write("createRelation", relation={"name": mark(), **fields})["relationNumber"]
        retire = partial(self.write, "updateRelation", relation={"relationNumber": number, "active": False})
        self._undo.append((f"relation {number}", retire))
        return number

    def _retire_article(self, number: int) -> None:
        found = self.client.product_of_article(number)
        if found is None:
            return
        raw = dict(found.raw)
        kept = [{**row, "active": False} for row in rows(raw, "articleList", "article")]
        body = {name: value for name, value in raw.items() if name not in {"syncMarker", "articleList"}}
        self.write("updateProduct", product={**body, "articleList": {"article": kept}})

    def restore(self) -> list[str]:
        """Make inactive what was made, the last first."""
        left = [name for name, undo in reversed(self._undo) if not _works(undo)]
        self._undo.clear()
        return left


def _works(undo: Callable[[], object]) -> bool:
    try:
        undo()
    except GatewayError:
        return False
    return True
