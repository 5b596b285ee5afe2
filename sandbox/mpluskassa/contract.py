"""The WSDL as tables: which operations exist, what their bodies hold, in which order, and a schema to check them by."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from lxml import etree

TARGET = "urn:mplusqapi"
COMPACT = Path(__file__).with_name("mplusqapi.wsdl")

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
_ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
_ENCODING_FILE = "soap-encoding.xsd"
_ENCODING_SCHEMA = (
    f'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="{_ENCODING}">'
    '<xs:simpleType name="base64"><xs:restriction base="xs:base64Binary"/></xs:simpleType></xs:schema>'
)


@dataclass(frozen=True, slots=True)
class Field:
    """One child element: `type` is a primitive's bare name (`long`) or a key of `Contract.types`."""

    name: str
    type: str
    required: bool
    many: bool


@dataclass(frozen=True, slots=True)
class Operation:
    """The elements that stand in the SOAP body: question and answer."""

    request: str
    response: str


@dataclass(frozen=True, slots=True)
class Contract:
    """A WSDL. `types` and `elements` map a name to its children in order, base types first."""

    document: bytes
    types: dict[str, tuple[Field, ...]]
    elements: dict[str, tuple[Field, ...]]
    operations: dict[str, Operation]
    by_request: dict[str, str]
    schema: etree.XMLSchema


class _Encoding(etree.Resolver):
    """Answers the import of the SOAP encoding schema from memory, never from the network."""

    def resolve(self, _system_url: str, _public_id: str, context: Any) -> Any:  # type: ignore[override]
        return self.resolve_string(_ENCODING_SCHEMA, context, base_url=_ENCODING_FILE)


def _local(name: str | None) -> str:
    return str(name).rpartition(":")[2]


def _field(node: etree._Element) -> Field:
    return Field(
        name=str(node.get("name")),
        type=_local(node.get("type")),
        required=node.get("minOccurs", "1") != "0",
        many=node.get("maxOccurs", "1") != "1",
    )


def _fields(node: etree._Element, types: dict[str, etree._Element]) -> tuple[Field, ...]:
    base = next(node.iter(f"{_XSD}extension"), None)
    inherited = _fields(types[_local(base.get("base"))], types) if base is not None else ()
    return inherited + tuple(_field(child) for child in node.iter(f"{_XSD}element"))


def _element_fields(node: etree._Element, types: dict[str, etree._Element]) -> tuple[Field, ...]:
    named = node.get("type")
    return _fields(types[_local(named)], types) if named else _fields(node[0], types)


def _named(schema: etree._Element, tag: str) -> dict[str, etree._Element]:
    return {str(node.get("name")): node for node in schema.iterchildren(f"{_XSD}{tag}")}


def _operations(root: etree._Element) -> dict[str, Operation]:
    elements = {
        str(message.get("name")): _local(next(message.iter(f"{_WSDL}part")).get("element"))
        for message in root.iterchildren(f"{_WSDL}message")
    }
    port = next(root.iterchildren(f"{_WSDL}portType"))
    return {
        str(node.get("name")): Operation(
            request=elements[_local(next(node.iterchildren(f"{_WSDL}input")).get("message"))],
            response=elements[_local(next(node.iterchildren(f"{_WSDL}output")).get("message"))],
        )
        for node in port.iterchildren(f"{_WSDL}operation")
    }


def _own_schema(root: etree._Element) -> etree._Element:
    return next(node for node in root.iter(f"{_XSD}schema") if node.get("targetNamespace") == TARGET)


def _compile(schema: etree._Element) -> etree.XMLSchema:
    parser = etree.XMLParser(no_network=True)
    parser.resolvers.add(_Encoding())
    alone = etree.fromstring(etree.tostring(schema), parser)
    for imported in alone.iterchildren(f"{_XSD}import"):
        imported.set("schemaLocation", _ENCODING_FILE)
    return etree.XMLSchema(alone)


@lru_cache(maxsize=4)
def read_contract(document: bytes) -> Contract:
    """The tables of a WSDL; raises lxml's errors for a file that is none."""
    root = etree.fromstring(document)
    schema = _own_schema(root)
    nodes = _named(schema, "complexType")
    operations = _operations(root)
    return Contract(
        document=document,
        types={name: _fields(node, nodes) for name, node in nodes.items()},
        elements={name: _element_fields(node, nodes) for name, node in _named(schema, "element").items()},
        operations=operations,
        by_request={operation.request: name for name, operation in operations.items()},
        schema=_compile(schema),
    )


def compact_contract() -> Contract:
    """The contract of the WSDL that comes with the simulator."""
    return read_contract(COMPACT.read_bytes())
