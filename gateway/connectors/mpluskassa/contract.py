"""The installation's WSDL: fetched at first use, cached in the process and on disk, compiled to envelopes and readers.

Its address, its imports and its size are not trusted: the one import it needs is answered from here, every other
reference is refused, and what the service calls itself in it is ignored.
"""

from __future__ import annotations

import contextlib
import io
import os
import threading
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree
from zeep import Client, Transport
from zeep.exceptions import Error as ZeepError

from gateway.connectors.mpluskassa.envelope import SETTINGS, Garbled, Misfit, fit, parse_document, read_answer
from mapping.messages import message

_SOAP_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENCODING_LOCATION = "kassabridge:soap-encoding"
_ENCODING_SCHEMA = (
    b'<schema xmlns="http://www.w3.org/2001/XMLSchema" xmlns:tns="http://schemas.xmlsoap.org/soap/encoding/"'
    b' targetNamespace="http://schemas.xmlsoap.org/soap/encoding/">'
    b'<simpleType name="base64"><restriction base="base64Binary"/></simpleType></schema>'
)
_XSD_IMPORT = "{http://www.w3.org/2001/XMLSchema}import"
_ADDRESS = "{http://schemas.xmlsoap.org/wsdl/soap/}address"
_SERVICE_ADDRESS = "http://installation.invalid/"

# zeep raises various errors for a malformed WSDL.
_BROKEN = (ZeepError, Garbled, etree.LxmlError, LookupError, ValueError, TypeError, AttributeError, NotImplementedError)

NEEDED = (
    "getApiVersion", "getCurrentSyncMarkersV2", "getBranches", "getVatGroupList", "getTurnoverGroups",
    "getPaymentMethodsV2", "getProducts", "createProduct", "updateProduct", "getArticleGroups", "newArticleGroup",
    "updateArticleGroup", "deleteArticleGroup", "addProductsToArticleGroup", "deleteProductsFromArticleGroup",
    "getStock", "getStockHistoryV2", "updateStock", "getRelation", "getRelations", "findRelationV2",
    "createRelation", "updateRelation", "getReceipts", "getInvoices", "getOrders", "getJournals",
)  # fmt: skip
"""The operations that the gateway uses."""
DISPENSABLE = frozenset((
    "includeAllArticlesOfSelectedProducts", "includeLineList", "includeOrderReferences",
    "includeArticleGroupSyncMarker", "includeStockId", "employeeNumber", "reference", "timezone",
))  # fmt: skip
"""Fields that an older installation may lack: they only add detail to an answer or a booking."""


class UnusableDescription(Exception):
    """The document is no WSDL, or refers to forbidden addresses; the text never quotes it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Rejected(Transport):
    """Serves the one import the WSDL needs from memory; no other reference of a WSDL is loaded."""

    def load(self, url: str) -> bytes:
        if url in {_ENCODING_LOCATION, _SOAP_ENCODING}:
            return _ENCODING_SCHEMA
        raise UnusableDescription("the WSDL refers to another place")


class Contract:
    """The requests and answers of one WSDL. Safe to share between threads."""

    def __init__(self, wsdl: bytes) -> None:
        """Raises UnusableDescription."""
        try:
            document = parse_document(wsdl)
            for node in document.iter(_XSD_IMPORT):
                # zeep refuses every web address, this import's too; under another name it reaches _Rejected.
                if node.get("namespace") == _SOAP_ENCODING:
                    node.set("schemaLocation", _ENCODING_LOCATION)
            for node in document.iter(_ADDRESS):
                node.set("location", _SERVICE_ADDRESS)  # unused; the only difference within one version
            self._client = _open_client(etree.tostring(document))
            reason = "" if self._client.wsdl.bindings else "no binding"
        except _BROKEN as failure:
            reason = type(failure).__name__
        if reason:
            raise UnusableDescription(message("the WSDL of MplusKASSA cannot be used ({reason})", reason=reason))
        name, self._binding = next(iter(self._client.wsdl.bindings.items()))
        self._service = self._client.create_service(name, _SERVICE_ADDRESS)
        self.operations = frozenset(self._binding.all())

    def knows(self, operation: str, *path: str) -> bool:
        """Whether the installation has the operation and, below it, a field: `knows("getReceipts", "request", …)`."""
        return operation in self.operations and (not path or self._find(operation, path) is not None)

    def demands(self, operation: str, *path: str) -> bool:
        """Whether a request of this operation requires a field."""
        element = self._find(operation, path) if operation in self.operations else None
        return element is not None and element.min_occurs > 0

    def _find(self, operation: str, path: tuple[str, ...]) -> Any:
        kind: Any = self._binding.get(operation).input.body.type
        element: Any = None
        for name in path:
            element = dict(kind.elements).get(name)
            if element is None:
                return None
            kind = element.type
        return element

    def encode(self, operation: str, body: dict[str, Any]) -> bytes:
        """The envelope of a request; raises Misfit with the field that does not fit."""
        kind = self._binding.get(operation).input.body.type
        try:
            fitted = fit(kind, body, dispensable=DISPENSABLE)
            envelope = self._client.create_message(self._service, operation, **fitted)
        except (ZeepError, TypeError, ValueError, ArithmeticError) as failure:
            reason = getattr(failure, "message", None) or type(failure).__name__
        else:
            return bytes(etree.tostring(envelope, xml_declaration=True, encoding="utf-8"))
        raise Misfit(str(reason))

    def decode(self, operation: str, content: bytes, *, may_be_empty: bool = False) -> dict[str, Any]:
        """The values of an answer; raises Fault or Garbled."""
        return read_answer(content, self._binding.get(operation).output.body, may_be_empty=may_be_empty)


class ContractCache:
    """Keeps the contract of one installation. `fetch` reads the WSDL and may raise; a copy on disk is used then."""

    def __init__(
        self, fetch: Callable[[], bytes], cache: Path | None = None, *, patience: float = 600.0, quiet: float = 2.0
    ) -> None:
        self._fetch = fetch
        self._cache = cache
        self._patience = patience
        self._quiet = quiet
        self._lock = threading.Lock()
        self._contract: Contract | None = None
        self._loaded_at = 0.0
        self._failure: tuple[float, Exception] | None = None

    def get(self) -> Contract:
        """The contract, loaded once; raises what `fetch` raises, or UnusableDescription."""
        contract = self._contract
        if contract is not None:
            return contract
        with self._lock:
            if self._contract is not None:
                return self._contract
            # Threads that waited for a failed load fail with it, instead of each trying again.
            if self._failure is not None and time.monotonic() - self._failure[0] < self._quiet:
                raise self._failure[1].with_traceback(None)
            try:
                self._contract = self._read()
            except Exception as failure:
                self._failure = time.monotonic(), failure
                raise
            self._loaded_at = time.monotonic()
            return self._contract

    def mark_outdated(self) -> None:
        """An answer did not fit: the installation may have been updated. Load it again, but not too often."""
        if time.monotonic() - self._loaded_at > self._patience:
            self._contract = None

    def _read(self) -> Contract:
        try:
            wsdl = self._fetch()
            contract = Contract(wsdl)
        except Exception:
            if self._cache is None or not self._cache.exists():
                raise
            return Contract(self._cache.read_bytes())
        if self._cache is not None:
            # A full or read-only disk must not stop the flows; the copy is optional.
            with contextlib.suppress(OSError):
                self._cache.parent.mkdir(parents=True, exist_ok=True)
                draft = self._cache.with_suffix(f".{os.getpid()}.{threading.get_ident()}")
                draft.write_bytes(wsdl)
                draft.replace(self._cache)
        return contract


@lru_cache(maxsize=4)
def _open_client(wsdl: bytes) -> Any:
    """The WSDL as parsed by zeep, which takes a tenth of a second and megabytes: shared by equal installations."""
    return Client(io.BytesIO(wsdl), transport=_Rejected(), settings=SETTINGS)  # type: ignore[no-untyped-call]
