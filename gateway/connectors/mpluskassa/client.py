"""The client of one MplusKASSA installation: every call the gateway makes to the till."""

from __future__ import annotations

import copy
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Self

from gateway.connectors.exchange import Gate
from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.calls import Caller, Credentials, Observer, TillEndpoint, read_description
from gateway.connectors.mpluskassa.catalogue import Groups, Lookups, Products, Stock
from gateway.connectors.mpluskassa.contract import ContractCache
from gateway.connectors.mpluskassa.sales import Relations, Sales

_NEEDED = (
    "getApiVersion",
    "getCurrentSyncMarkersV2",
    "getBranches",
    "getVatGroupList",
    "getTurnoverGroups",
    "getPaymentMethodsV2",
    "getProducts",
    "createProduct",
    "updateProduct",
    "getArticleGroups",
    "newArticleGroup",
    "updateArticleGroup",
    "deleteArticleGroup",
    "addProductsToArticleGroup",
    "deleteProductsFromArticleGroup",
    "getStock",
    "getStockHistoryV2",
    "updateStock",
    "getRelation",
    "getRelations",
    "findRelationV2",
    "createRelation",
    "updateRelation",
    "getReceipts",
    "getInvoices",
    "getOrders",
    "getJournals",
)


class MplusKassa(Lookups, Products, Groups, Stock, Relations, Sales):
    """Calls one installation. Safe to share between threads; opens no connection before its first call.

    `observe` gets every exchange; `gate` is entered around each (to limit how many run at once);
    `default_decimal_places` reads quantities whose decimals the installation leaves out.
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
        default_decimal_places: int = 0,
    ) -> None:
        """Raises ValueError for an invalid address or an empty credential."""
        if not ident or not secret:
            raise ValueError("the ident and the secret of MplusKASSA must both be set")
        link = TillEndpoint(url, Credentials(ident, secret), limits=limits, ca_file=ca_file)
        cache = ContractCache(partial(read_description, link), wsdl_cache)
        super().__init__(Caller(link, cache, observe=observe, gate=gate), default_decimal_places=default_decimal_places)

    def reading_only(self) -> Self:
        """This client for a dry run: a call that is not a read raises `WriteRefused` and does not leave."""
        client = copy.copy(self)
        client._calls = self._calls.reading_only()  # noqa: SLF001 - its own copy
        return client

    def missing_operations(self) -> tuple[str, ...]:
        """The operations that the gateway uses and this installation lacks. Reads the WSDL if not done before."""
        operations = self._calls.contract().operations
        return tuple(name for name in _NEEDED if name not in operations)

    def describe(self) -> str:
        """A few lines about this client, without a call to the till; they hold no credentials."""
        link, contract = self._calls.link, self._calls.contracts.loaded
        known = "not read yet" if contract is None else f"{len(contract.operations)} operations"
        limits = link.limits
        return "\n".join(
            (
                f"MplusKASSA at {link.address}",
                f"WSDL: {known}",
                f"Limits: {limits.connect:g} s to connect, {limits.read:g} s of silence, {limits.total:g} s in all",
                f"Largest answer: {limits.size // 1024 // 1024} MiB",
                f"Quantities without decimals are read with {self._places}",
            )
        )

    def __repr__(self) -> str:
        """Without credentials."""
        return f"MplusKassa({str(self._calls.link.address)!r})"
