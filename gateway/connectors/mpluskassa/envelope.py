"""Python values <-> SOAP, guided by the types of the installation's own WSDL. Pure.

zeep's own reading turns a bad number into None, an empty text into None and any addition of the vendor into a
failure. Money must not vanish and additions are announced, so answers are read here: strict about values and
namespaces, calm about elements we do not know.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from lxml import etree
from zeep import Settings
from zeep.exceptions import Error as ZeepError
from zeep.loader import parse_xml
from zeep.xsd import ComplexType, Element
from zeep.xsd.types.builtins import Boolean, Integer, String

SETTINGS = Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False)

_parse: Any = parse_xml  # it takes bytes, whatever its annotation says
_ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"


class Garbled(Exception):
    """The other side sent something that is not an answer of this operation; the text never quotes it."""


class Fault(Exception):
    """A SOAP fault, with its code and text."""

    def __init__(self, code: str | None, message: str | None) -> None:
        super().__init__(code)
        self.code, self.message = code, message


class Misfit(Exception):
    """A request the installation's WSDL has no place for; the text is the path of the field."""


# --- requests ----------------------------------------------------------------------------------------------------


def fit(kind: Any, value: Any, *, dispensable: frozenset[str], path: str = "") -> Any:
    """A request cut to what the WSDL knows: required texts we read as empty are said as empty again.

    An unknown field raises Misfit unless it is dispensable (the answer is then merely poorer).
    """
    if isinstance(value, list | tuple):
        return [fit(kind, each, dispensable=dispensable, path=path) for each in value]
    if isinstance(kind, Integer) and (not isinstance(value, int) or isinstance(value, bool)):
        raise Misfit(f"{path.rstrip('.')} must be a whole number")
    if not isinstance(kind, ComplexType) or not isinstance(value, Mapping):
        return value
    fields: dict[str, Element] = dict(kind.elements)
    unknown = [name for name in value if name not in fields and name not in dispensable]
    if unknown:
        raise Misfit(f"{path}{unknown[0]}")
    fitted = {
        name: fit(fields[name].type, each, dispensable=dispensable, path=f"{path}{name}.")
        for name, each in value.items()
        if name in fields and each is not None
    }
    empty = {name: "" for name, each in fields.items() if name not in fitted and _is_required_text(each)}
    return {**fitted, **empty}


def _is_required_text(element: Element) -> bool:
    # An enumeration is text to zeep as well, but has no facets there: an empty one would be refused by the till.
    return element.min_occurs > 0 and type(element.type) is String


# --- answers -----------------------------------------------------------------------------------------------------


def read_answer(content: bytes, expected: Element) -> dict[str, Any]:
    """The values of an answer; raises Fault or Garbled. A list is always a list, what is absent is left out."""
    node = _first_of_body(parse_document(content))
    if node.tag == f"{_ENVELOPE}Fault":
        raise Fault(_fault_text(node, "faultcode"), _fault_text(node, "faultstring"))
    if node.tag != str(expected.qname):
        raise Garbled("the answer belongs to another operation or namespace")
    values = _values(expected.type, node)
    return values if isinstance(values, dict) else {}


def parse_document(content: bytes) -> Any:
    """The root element of XML without document type, entities or outside references; raises Garbled."""
    try:
        return _parse(content, None, settings=SETTINGS)
    except (ZeepError, etree.LxmlError, ValueError) as failure:
        reason = type(failure).__name__
    raise Garbled(f"not acceptable XML ({reason})")


def _first_of_body(document: Any) -> Any:
    body = document.find(f"{_ENVELOPE}Body") if document.tag == f"{_ENVELOPE}Envelope" else None
    if body is None or len(body) == 0:
        raise Garbled("the answer is not a SOAP envelope with a body")
    return body[0]


def _fault_text(node: Any, name: str) -> str | None:
    # SOAP 1.1 leaves these two without a namespace; some servers do not.
    found = next((child for child in node if etree.QName(child).localname == name), None)
    return None if found is None else (found.text or "").strip()


def _values(kind: Any, node: Any) -> Any:
    if node.get(_NIL) in {"true", "1"}:
        return None
    return _struct(kind, node) if isinstance(kind, ComplexType) else _scalar(kind, node)


def _struct(kind: ComplexType, node: Any) -> dict[str, Any]:
    fields: dict[str, Element] = dict(kind.elements)
    namespace = etree.QName(node).namespace
    values: dict[str, Any] = {}
    for child in node.iterchildren(tag=etree.Element):
        name = etree.QName(child)
        if name.namespace != namespace:
            raise Garbled("an element of the answer is in a foreign namespace")
        element = fields.get(name.localname)
        if element is not None:
            _put(values, name.localname, element, _values(element.type, child))
    return values


def _put(values: dict[str, Any], name: str, element: Element, value: Any) -> None:
    if element.accepts_multiple:
        values.setdefault(name, []).append(value)
    else:
        values[name] = value


def _scalar(kind: Any, node: Any) -> Any:
    text = node.text or ""
    if isinstance(kind, String):
        return text
    if not text.strip():
        return None
    try:
        value = kind.pythonvalue(text.strip())
    except (ValueError, ArithmeticError, TypeError):
        value = None
    if not _is_sound(kind, text.strip(), value):
        raise Garbled(f"the value of {etree.QName(node).localname} is not what it should be")
    return value


def _is_sound(kind: Any, text: str, value: Any) -> bool:
    if isinstance(kind, Boolean):
        return text in {"true", "false", "1", "0"}  # zeep takes every other word for false
    return value.is_finite() if isinstance(value, Decimal) else value is not None
