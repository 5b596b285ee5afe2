"""Derive our compact WSDL from a vendor's WSDL: only the operations a bookkeeping link needs, in our own layout.

Run by hand when the vendor publishes a new version, and commit the result:

    python -m sandbox.mpluskassa.compact path/to/vendor.wsdl > sandbox/mpluskassa/mplusqapi.wsdl

Names, order, cardinalities and enumerations are facts of the protocol and are kept as they are; texts are dropped.
One type is written differently: the encoding namespace's `base64` becomes the `base64Binary` it is derived from, so
that no reader has to fetch another schema.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from lxml import etree

TARGET = "urn:mplusqapi"
XSD = "{http://www.w3.org/2001/XMLSchema}"
WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
PREFIXES = {"tns": "t", "xsd": "xs"}

OPERATIONS = tuple(
    """
    getApiVersion getDatabaseVersion getLicenseInformation getCurrentSyncMarkers getCurrentSyncMarkersV2
    getBranches getVatGroupList getTurnoverGroups getPaymentMethods getPaymentMethodsV2 getDeliveryMethods
    getDeliveryMethodsV2 getEmployees getCustomFieldLists getCardCategories getSalesPriceList getPriceGroupList
    getWebhookConsumers
    getProducts createProduct updateProduct
    getArticleGroups getArticleGroupChanges newArticleGroup updateArticleGroup deleteArticleGroup
    addProductsToArticleGroup replaceProductsOfArticleGroup deleteProductsFromArticleGroup
    getStock getStockHistory getStockHistoryV2 setStock updateStock saveStockCorrections
    getRelations getRelation findRelation findRelationV2 createRelation updateRelation
    getReceipts getReceipt getReceiptsByOrder getInvoices getInvoice findInvoice payInvoice saveInvoice
    getOrders getOrder findOrder getOrdersByReceipts getOrdersByExtOrderIds createOrderV3
    getJournals getFinancialJournal getCashCountList
    """.split()  # noqa: SIM905 -- names read best as words
)

HEAD = f"""<?xml version="1.0" encoding="utf-8"?>
<wsdl:definitions name="MplusQapi" targetNamespace="{TARGET}" xmlns:t="{TARGET}"
    xmlns:wsdl="http://schemas.xmlsoap.org/wsdl/" xmlns:soap="http://schemas.xmlsoap.org/wsdl/soap/"
    xmlns:xs="http://www.w3.org/2001/XMLSchema">
<wsdl:types>
<xs:schema targetNamespace="{TARGET}" elementFormDefault="qualified">
"""

TAIL = """<wsdl:service name="MplusQapi">
  <wsdl:port name="MplusQapi" binding="t:MplusQapi"><soap:address location="http://127.0.0.1:18083/"/></wsdl:port>
</wsdl:service>
</wsdl:definitions>
"""


class Source:
    """A vendor's WSDL, indexed by name."""

    def __init__(self, document: bytes) -> None:
        root = etree.fromstring(document)
        schema = next(found for found in root.iter(f"{XSD}schema") if found.get("targetNamespace") == TARGET)
        self.types = {
            str(node.get("name")): node for node in schema.iterchildren(f"{XSD}complexType", f"{XSD}simpleType")
        }
        self.elements = {str(node.get("name")): node for node in schema.iterchildren(f"{XSD}element")}
        self.messages = {
            str(node.get("name")): local(next(node.iter(f"{WSDL}part")).get("element"))
            for node in root.iterchildren(f"{WSDL}message")
        }
        self.operations = {
            str(node.get("name")): node
            for port in root.iterchildren(f"{WSDL}portType")
            for node in port.iterchildren(f"{WSDL}operation")
        }

    def messages_of(self, operation: str) -> tuple[str, str]:
        """The names of an operation's request and response message."""
        node = self.operations[operation]
        ends = (next(node.iterchildren(f"{WSDL}{end}")) for end in ("input", "output"))
        request, response = (local(end.get("message")) for end in ends)
        return request, response

    def types_needed(self, elements: Iterable[str]) -> set[str]:
        """Every named type that the elements reach."""
        needed: set[str] = set()
        pending = [name for element in elements for name in references(self.elements[element])]
        while pending:
            name = pending.pop()
            if name not in needed:
                needed.add(name)
                pending.extend(references(self.types[name]))
        return needed


def local(name: str | None) -> str:
    """The name without its prefix."""
    return str(name).rpartition(":")[2]


def references(node: etree._Element) -> Iterator[str]:
    """Names of the vendor's own types used anywhere under a node."""
    for inner in node.iter(f"{XSD}*"):
        for attribute in ("type", "base"):
            if inner.get(attribute, "").startswith("tns:"):
                yield local(inner.get(attribute))


def qualified(name: str) -> str:
    """A vendor's type name under our prefixes."""
    if name == "SOAP-ENC:base64":
        return "xs:base64Binary"
    prefix, _, bare = name.partition(":")
    return f"{PREFIXES[prefix]}:{bare}"


def write_enumeration(node: etree._Element) -> Iterator[str]:
    """A simple type, one value a line."""
    yield f'<xs:simpleType name="{node.get("name")}"><xs:restriction base="xs:string">'
    for value in node.iter(f"{XSD}enumeration"):
        yield f'  <xs:enumeration value="{value.get("value")}"/>'
    yield "</xs:restriction></xs:simpleType>"


def write_field(node: etree._Element) -> str:
    """One child element of a type."""
    bounds = "".join(f' {key}="{node.get(key)}"' for key in ("minOccurs", "maxOccurs") if node.get(key))
    return f'  <xs:element name="{node.get("name")}" type="{qualified(str(node.get("type")))}"{bounds}/>'


def write_fields(node: etree._Element) -> Iterator[str]:
    """The sequence of a complex type, with its base type when it extends one."""
    extension = next(node.iter(f"{XSD}extension"), None)
    if extension is not None:
        yield f'<xs:complexContent><xs:extension base="{qualified(str(extension.get("base")))}">'
    yield "<xs:sequence>"
    yield from (write_field(field) for field in node.iter(f"{XSD}element"))
    yield "</xs:sequence>"
    if extension is not None:
        yield "</xs:extension></xs:complexContent>"


def write_type(node: etree._Element) -> Iterator[str]:
    """A named type."""
    if node.tag == f"{XSD}simpleType":
        yield from write_enumeration(node)
        return
    yield f'<xs:complexType name="{node.get("name")}">'
    yield from write_fields(node)
    yield "</xs:complexType>"


def write_element(node: etree._Element) -> Iterator[str]:
    """A global element: the body of a request or an answer."""
    if node.get("type"):
        yield write_field(node).strip()
        return
    yield f'<xs:element name="{node.get("name")}"><xs:complexType>'
    yield from write_fields(next(node.iterchildren(f"{XSD}complexType")))
    yield "</xs:complexType></xs:element>"


def write_messages(source: Source, names: Iterable[str]) -> Iterator[str]:
    """One message a line."""
    for name in names:
        element = source.messages[name]
        yield f'<wsdl:message name="{name}"><wsdl:part name="Body" element="t:{element}"/></wsdl:message>'


def write_port(source: Source) -> Iterator[str]:
    """The port type: what may be asked, and with which messages."""
    yield '<wsdl:portType name="MplusQapiPortType">'
    for name in OPERATIONS:
        request, response = source.messages_of(name)
        ends = f'<wsdl:input message="t:{request}"/><wsdl:output message="t:{response}"/>'
        yield f'  <wsdl:operation name="{name}">{ends}</wsdl:operation>'
    yield "</wsdl:portType>"


def write_binding() -> Iterator[str]:
    """The SOAP 1.1 document/literal binding."""
    body = '<soap:body use="literal" parts="Body"/>'
    yield '<wsdl:binding name="MplusQapi" type="t:MplusQapiPortType">'
    yield '  <soap:binding style="document" transport="http://schemas.xmlsoap.org/soap/http"/>'
    for name in OPERATIONS:
        ends = f"<wsdl:input>{body}</wsdl:input><wsdl:output>{body}</wsdl:output>"
        yield f'  <wsdl:operation name="{name}"><soap:operation soapAction=""/>{ends}</wsdl:operation>'
    yield "</wsdl:binding>"


def compact(document: bytes) -> str:
    """The vendor's WSDL reduced to `OPERATIONS`, as text."""
    source = Source(document)
    messages = list(dict.fromkeys(name for operation in OPERATIONS for name in source.messages_of(operation)))
    elements = [source.messages[name] for name in messages]
    lines: list[str] = []
    for name in sorted(source.types_needed(elements)):
        lines.extend(write_type(source.types[name]))
    for name in elements:
        lines.extend(write_element(source.elements[name]))
    lines.append("</xs:schema>\n</wsdl:types>")
    lines.extend([*write_messages(source, messages), *write_port(source), *write_binding()])
    return HEAD + "\n".join(lines) + "\n" + TAIL


def main() -> None:
    """Write the compact WSDL of the file named on the command line to standard output."""
    sys.stdout.write(compact(Path(sys.argv[1]).read_bytes()))


if __name__ == "__main__":
    main()
