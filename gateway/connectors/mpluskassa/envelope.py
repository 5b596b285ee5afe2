"""Python values <-> SOAP, guided by the types of the installation's own WSDL. Pure.

zeep's own parser turns a bad number into None, an empty text into None and any addition of the vendor into a
failure. Amounts must not be lost and additions are announced, so answers are read here: strict about values and
namespaces, tolerant of unknown elements.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

from lxml import etree
from zeep import Settings
from zeep.exceptions import Error as ZeepError
from zeep.loader import parse_xml
from zeep.xsd import ComplexType, Element
from zeep.xsd.types.builtins import Boolean, Date, DateTime, Integer, String, Time

from gateway.connectors.mpluskassa.wire import Unusable
from mapping.messages import message

SETTINGS = Settings(strict=True, forbid_dtd=True, forbid_entities=True, forbid_external=True, xml_huge_tree=False)

_parse: Any = parse_xml  # it accepts bytes, contrary to its annotation
_ENVELOPE = "{http://schemas.xmlsoap.org/soap/envelope/}"
_ENVELOPE_12 = "{http://www.w3.org/2003/05/soap-envelope}"  # of SOAP 1.2: a proxy may translate
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_SPACE = b" \t\r\n"  # XML allows none before its declaration, and proxies add some
_TOP = 2  # an answer, its list, and in that the rows
# Read and sent back as they are: no field the gateway looks at is of these types, and Python knows no 24:00 or year -1.
_KEPT = (String, Date, DateTime, Time)


class Garbled(Exception):
    """The reply is not an answer of this operation; the text never quotes it."""

    def __init__(self, reason: str, field: str | None = None) -> None:
        super().__init__(reason)
        self.reason, self.field = reason, field


class SoapFault(Exception):
    def __init__(self, code: str | None, message: str | None) -> None:
        super().__init__(code)
        self.code, self.message = code, message


class Misfit(Exception):
    """A request that does not fit the installation's WSDL; the text is the path of the field."""


def fit(kind: Any, value: Any, *, dispensable: frozenset[str], path: str = "") -> Any:
    """A request reduced to the fields of the WSDL: required texts that were read as empty are sent as empty.

    An unknown field raises Misfit unless it is dispensable (the answer then has less detail).
    """
    if isinstance(value, list | tuple):
        return [fit(kind, each, dispensable=dispensable, path=path) for each in value]
    if isinstance(kind, Integer) and (not isinstance(value, int) or isinstance(value, bool)):
        raise Misfit(f"{path.rstrip('.')} must be a whole number")
    if not isinstance(kind, ComplexType) or not isinstance(value, Mapping):
        return value
    fields = _fields(kind)
    unknown = [name for name in value if name not in fields and name not in dispensable]
    if unknown:
        raise Misfit(f"{path}{unknown[0]}")
    fitted = {
        name: fit(fields[name].type, each, dispensable=dispensable, path=f"{path}{name}.")
        for name, each in value.items()
        if name in fields and each is not None
    }
    empty = {
        name: ""
        for name, each in fields.items()
        if name not in fitted and (each.min_occurs > 0 and type(each.type) is String)
    }
    return {**fitted, **empty}


def read_answer(content: bytes, expected: Element, *, may_be_empty: bool = False) -> dict[str, Any]:
    """The values of an answer; raises Fault or Garbled. A list is always a list, what is absent is left out.

    A row of the answer's own lists that cannot be read becomes `Unusable`. A required list that is missing is
    no empty list: such an answer is invalid, unless it `may_be_empty` and has no element at all.
    """
    node = _open(parse_document(content))
    if node.tag != str(expected.qname):
        raise Garbled("the answer belongs to another operation or namespace")
    values = _values(expected.type, node, depth=_TOP)
    values = values if isinstance(values, dict) else {}
    if may_be_empty and len(node) == 0:
        return values
    if isinstance(expected.type, ComplexType) and str(values.get("result") or "OK").endswith("OK"):
        for name, element in expected.type.elements:
            if element.min_occurs > 0 and _find_repeated(element.type) and values.get(name) is None:
                raise Garbled(message("the answer lacks its {name}", name=name), name)
    return values


def parse_document(content: bytes) -> Any:
    """The root element of XML without document type, entities or outside references; raises Garbled."""
    try:
        document = _parse(content.lstrip(_SPACE), None, settings=SETTINGS)
    except (ZeepError, etree.LxmlError, ValueError) as failure:
        reason = type(failure).__name__
    else:
        # A text ends at a processing instruction inside it: half of an amount would be read as the amount.
        etree.strip_elements(document, etree.ProcessingInstruction, with_tail=False)
        return document
    raise Garbled(message("the answer is not XML that can be read ({reason})", reason=reason))


def _open(document: Any) -> Any:
    """What the body of an envelope holds; raises SoapFault or Garbled."""
    envelope = next((each for each in (_ENVELOPE, _ENVELOPE_12) if document.tag == f"{each}Envelope"), None)
    node = next(document.iterfind(f"{envelope}Body/*"), None) if envelope else None
    if node is None:
        raise Garbled("the answer is not a SOAP envelope with a body")
    if node.tag == f"{_ENVELOPE}Fault":
        # SOAP 1.1 leaves these two without a namespace; some servers do not.
        parts = node.iterchildren(tag=etree.Element, reversed=True)  # of two with one name the first counts
        said = {etree.QName(each).localname: (each.text or "").strip() for each in parts}
        raise SoapFault(said.get("faultcode"), said.get("faultstring"))
    if node.tag == f"{_ENVELOPE_12}Fault":
        # The last of its codes that SOAP 1.1 has too, the service's own, else the first one.
        codes = [(each.text or "").strip() for each in node.iterfind(f"{_ENVELOPE_12}Code//{_ENVELOPE_12}Value")]
        ours = [each for each in codes if each.rpartition(":")[2].startswith(("Client", "Server"))]
        text = node.findtext(f"{_ENVELOPE_12}Reason/{_ENVELOPE_12}Text")
        raise SoapFault(next(iter(ours[-1:] or codes), None), text and text.strip())
    return node


def _values(kind: Any, node: Any, *, depth: int = 0) -> Any:
    """`depth`: how many levels below may hold rows of the answer's own lists."""
    if node.get(_NIL) in {"true", "1"}:
        return None
    if not isinstance(kind, ComplexType):
        return _scalar(kind, node)
    inner = _find_repeated(kind)
    if inner is not None and _is_single(inner, node):
        return {inner.name: [_item(inner, node, depth)]}
    fields, namespace = _fields(kind), _split(node.tag)[0]
    values: dict[str, Any] = {}
    for child in node.iterchildren(tag=etree.Element):
        _read_child(values, fields, child, namespace, depth)
    return values


@lru_cache(maxsize=4096)
def _fields(kind: ComplexType) -> dict[str, Element]:
    """The fields of a type; not to be changed. There are some thousand types, and thousands of rows of each."""
    return dict(kind.elements)


def _split(tag: str) -> tuple[str, str]:
    """The namespace and the local name of an element."""
    namespace, _, name = tag[1:].partition("}")
    return (namespace, name) if tag.startswith("{") else ("", tag)


def _read_child(values: dict[str, Any], fields: dict[str, Element], child: Any, namespace: str, depth: int) -> None:
    of, name = _split(child.tag)
    element = fields.get(name)
    if of != namespace:
        # An addition of somebody else is passed over; what could be a field must not be taken for one, or missed.
        if element is not None or _find_homes(fields, name):
            raise Garbled("an element of the answer is in a foreign namespace", name)
    elif element is None:
        # The item of a list that came without the element around it; an element of no list is an addition.
        homes = _find_homes(fields, name)
        if len(homes) > 1:
            raise Garbled(message("a {name} came without the list it belongs to", name=name), name)
        for outer, inner in homes:
            values[outer] = values.get(outer) or {}
            _add_item(values[outer], inner, child, depth - 1)
    elif element.accepts_multiple:
        _add_item(values, element, child, depth)
    else:
        values[name] = _values(element.type, child, depth=depth - 1)


def _find_homes(fields: dict[str, Element], name: str) -> list[tuple[str, Element]]:
    """The lists among these fields whose items have this name, each with its item type."""
    repeated = ((outer, _find_repeated(element.type)) for outer, element in fields.items())
    return [(outer, inner) for outer, inner in repeated if inner is not None and inner.name == name]


def _find_repeated(kind: Any) -> Element | None:
    """The item type, when this type is only a list."""
    elements = _fields(kind).values() if isinstance(kind, ComplexType) else ()
    return next((each for each in elements if each.accepts_multiple), None) if len(elements) == 1 else None


def _is_single(inner: Element, node: Any) -> bool:
    """Whether the list's only item is directly in the list, without its own element."""
    names = {etree.QName(child).localname for child in node.iterchildren(tag=etree.Element)}
    if not isinstance(inner.type, ComplexType):
        return not names and bool((node.text or "").strip())
    # An item may have a field of its own name.
    return bool(names - {inner.name}) and names <= _fields(inner.type).keys()


def _add_item(values: dict[str, Any], element: Element, node: Any, depth: int) -> None:
    found = values.setdefault(str(element.name), [])
    item = _item(element, node, depth)
    if item is not None:  # nil, or a number without digits, is no item
        found.append(item)


def _item(element: Element, node: Any, depth: int) -> Any:
    """An item of a list. In the answer's own lists each is read separately, so that a bad one affects no other."""
    if depth <= 0 or not isinstance(element.type, ComplexType):
        return _values(element.type, node)
    try:
        return _values(element.type, node)
    except Garbled as failure:
        # The readable fields of an item, to identify it.
        values: dict[str, Any] = {}
        for child in node.iterchildren(tag=etree.Element):
            with contextlib.suppress(Garbled):
                _read_child(values, _fields(element.type), child, _split(node.tag)[0], 0)
        return Unusable(values, failure.reason, failure.field)


def _scalar(kind: Any, node: Any) -> Any:
    text = node.text or ""
    if isinstance(kind, _KEPT):
        return text if isinstance(kind, String) else text.strip() or None
    if not text.strip():
        return None
    try:
        value = kind.pythonvalue(text.strip())
    except (ValueError, ArithmeticError, TypeError):
        value = None
    if isinstance(kind, Boolean):
        is_sound = text.strip() in {"true", "false", "1", "0"}  # zeep reads every other word as false
    else:
        is_sound = value.is_finite() if isinstance(value, Decimal) else value is not None
    if not is_sound:
        name = etree.QName(node).localname
        raise Garbled(message("the value of {name} is not what it should be", name=name), name)
    return value
