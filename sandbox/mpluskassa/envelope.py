"""SOAP 1.1 in and out: open and check a request against the schema, wrap an answer, word a fault."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from lxml import etree

from sandbox.mpluskassa.contract import TARGET, Contract, Field
from sandbox.mpluskassa.refusals import Fault, fail_server, refuse_client
from sandbox.mpluskassa.structs import Record

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
NAMES = {"SOAP-ENV": ENVELOPE, "ns": TARGET}

_PARSER_RULES: Any = {"resolve_entities": False, "no_network": True, "load_dtd": False, "remove_comments": True}


def _truth(text: str) -> bool:
    return text in ("true", "1")


_UNWRITABLE = (*set(range(0x20)) - {0x09, 0x0A, 0x0D}, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF)
_PRIVATE = 0xF0000
_STAND_INS = {code: _PRIVATE + code for code in _UNWRITABLE}
"""lxml takes no character that XML forbids: until the answer is bytes, a private one stands in."""
_STANDING_IN = re.compile("[\U000f0000-\U000fffff]")

READERS: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("int", "long", "short", "unsignedInt", "unsignedShort", "unsignedByte", "unsignedLong"), int),
    "boolean": _truth,
    "decimal": Decimal,
}


def open_envelope(body: bytes) -> etree._Element:
    """The one element in a request's SOAP body; a `Client` fault when it is no such thing."""
    root = _parse(body)
    if root.tag != f"{{{ENVELOPE}}}Envelope":
        raise refuse_client("The message is not a SOAP 1.1 envelope.")
    content = root.find(f"{{{ENVELOPE}}}Body")
    if content is None or len(content) != 1:
        raise refuse_client("The SOAP body must hold exactly one element.")
    return content[0]


def _parse(body: bytes) -> etree._Element:
    try:
        root = etree.fromstring(body, etree.XMLParser(**_PARSER_RULES))
    except etree.XMLSyntaxError as error:
        raise refuse_client(f"The message is not well-formed XML: {error.msg}") from error
    if _has_doctype(root):
        raise refuse_client("A document type declaration is not allowed.")
    return root


def _has_doctype(root: etree._Element) -> bool:
    return bool(getattr(root.getroottree().docinfo, "doctype", ""))


def name_operation(question: etree._Element, contract: Contract) -> str:
    """The operation asked for; a `Client` fault when the WSDL has none for this element."""
    name = etree.QName(question)
    if name.namespace != TARGET or name.localname not in contract.by_request:
        raise refuse_client(f"Method '{name.localname}' not implemented: method name or namespace not recognized")
    return contract.by_request[name.localname]


def check_request(question: etree._Element, contract: Contract) -> None:
    """A `Client` fault that names the first violation of the schema."""
    if not contract.schema.validate(question):
        raise refuse_client(f"Validation constraint violation: {_first_error(contract)}")


def check_answer(answer: etree._Element, contract: Contract) -> None:
    """A `Server` fault when the simulator itself is about to break the schema."""
    if not contract.schema.validate(answer):
        raise fail_server(f"The answer breaks the schema: {_first_error(contract)}")


def _first_error(contract: Contract) -> str:
    log: Any = contract.schema.error_log
    return str(log[0].message)


def decode(node: etree._Element, fields: Iterable[Field], contract: Contract) -> Record:
    """A valid element as a dict: absent optional children have no key, repeated ones are lists."""
    by_name = {field.name: field for field in fields}
    record: Record = {name: [] for name, field in by_name.items() if field.many}
    for child in node:
        field = by_name[etree.QName(child).localname]
        value = _decode_value(child, field, contract)
        if field.many:
            record[field.name].append(value)
        else:
            record[field.name] = value
    return record


def _decode_value(node: etree._Element, field: Field, contract: Contract) -> Any:
    if field.type in contract.types:
        return decode(node, contract.types[field.type], contract)
    return READERS.get(field.type, str)((node.text or "").strip() if field.type in READERS else node.text or "")


def encode(parent: etree._Element, record: Record, fields: Iterable[Field], contract: Contract) -> None:
    """Append a dict's values below an element in the schema's order; keys starting with `_` stay inside."""
    fields = tuple(fields)
    unknown = {key for key in record if not key.startswith("_")} - {field.name for field in fields}
    if unknown:
        raise fail_server(f"{etree.QName(parent).localname} has no element {', '.join(sorted(unknown))}")
    for field in fields:
        for value in _values(record, field):
            _encode_value(etree.SubElement(parent, f"{{{TARGET}}}{field.name}"), value, field, contract)


def _values(record: Record, field: Field) -> list[Any]:
    value = record.get(field.name)
    if value is None:
        return []
    return list(value) if field.many else [value]


def _encode_value(node: etree._Element, value: Any, field: Field, contract: Contract) -> None:
    if field.type in contract.types:
        encode(node, value, contract.types[field.type], contract)
    else:
        node.text = _text(value)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:f}" if isinstance(value, Decimal) else str(value).translate(_STAND_INS)


def build_answer(operation: str, record: Record, contract: Contract) -> etree._Element:
    """The element that answers an operation."""
    name = contract.operations[operation].response
    answer = etree.Element(f"{{{TARGET}}}{name}", nsmap=NAMES)
    encode(answer, record, contract.elements[name], contract)
    return answer


def wrap(content: etree._Element) -> bytes:
    """An envelope around the answer or fault. Control characters are written as references, which XML 1.0 forbids."""
    envelope = etree.Element(f"{{{ENVELOPE}}}Envelope", nsmap=NAMES)
    etree.SubElement(envelope, f"{{{ENVELOPE}}}Body").append(content)
    written = etree.tostring(envelope, xml_declaration=True, encoding="UTF-8")
    return _STANDING_IN.sub(lambda found: f"&#x{ord(found[0]) - _PRIVATE:X};", written.decode()).encode()


def drop_lists(answer: etree._Element, contract: Contract) -> None:
    """Take the lists the schema demands out of an answer."""
    fields = {field.name: field for field in contract.elements[etree.QName(answer).localname]}
    for child in list(answer):
        if _find_item(fields[etree.QName(child).localname], contract) is not None:
            answer.remove(child)


def spoil_number(answer: etree._Element) -> None:
    """Put a word where an amount belongs."""
    amount = next((node for node in answer.iter() if etree.QName(node).localname.endswith("Amount")), None)
    if amount is not None:
        amount.text = "twelve"


def reshape_lists(node: etree._Element, fields: Iterable[Field], contract: Contract, shape: str) -> None:
    """Write lists of one item without the element around it (`bare`) or its own (`flat`), or with one more (`nil`)."""
    by_name = {field.name: field for field in fields}
    for child in list(node):
        field = by_name[etree.QName(child).localname]
        if field.type not in contract.types:
            continue
        reshape_lists(child, contract.types[field.type], contract, shape)
        if _find_item(field, contract) is None or len(child) != 1:
            continue
        if shape == "bare":
            node.replace(child, child[0])
        elif shape == "flat" and len(child[0]):
            child[:] = list(child[0])
        elif shape == "nil":
            etree.SubElement(child, child[0].tag, {NIL: "true"})


def _find_item(field: Field, contract: Contract) -> Field | None:
    """What a list holds; None for all else."""
    inner = contract.types.get(field.type, ())
    return inner[0] if not field.many and len(inner) == 1 and inner[0].many else None


def word_fault(fault: Fault) -> bytes:
    """The envelope of a SOAP fault."""
    node = etree.Element(f"{{{ENVELOPE}}}Fault", nsmap=NAMES)
    etree.SubElement(node, "faultcode").text = f"SOAP-ENV:{fault.code}"
    etree.SubElement(node, "faultstring").text = fault.text
    return wrap(node)
