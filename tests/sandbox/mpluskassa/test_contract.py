"""Our compact WSDL says what the vendor's says, element by element, for every operation it keeps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from lxml import etree

from sandbox.mpluskassa import compact
from sandbox.mpluskassa.contract import COMPACT, Contract, compact_contract, read_contract
from sandbox.mpluskassa.operations import HANDLERS
from tests.sandbox.mpluskassa.conftest import REAL, LocalTransport, load_client

WSDL = "{http://schemas.xmlsoap.org/wsdl/}"
SOAP = "{http://schemas.xmlsoap.org/wsdl/soap/}"
XSD = "{http://www.w3.org/2001/XMLSchema}"
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def vendor() -> bytes:
    if not REAL.exists():
        pytest.skip("the vendor's WSDL is not here")
    return REAL.read_bytes()


@pytest.fixture(scope="module")
def real(vendor: bytes) -> Contract:
    return read_contract(vendor)


def fields_of(contract: Contract, name: str) -> list[tuple[str, str, bool, bool]]:
    # The vendor's encoding type is derived from base64Binary and adds nothing to it; ours names that directly.
    plain = {"base64": "base64Binary"}
    return [(f.name, plain.get(f.type, f.type), f.required, f.many) for f in contract.types[name]]


def enumerations(document: bytes) -> dict[str, list[str]]:
    root = etree.fromstring(document)
    return {
        str(node.get("name")): [str(value.get("value")) for value in node.iter(f"{XSD}enumeration")]
        for node in root.iter(f"{XSD}simpleType")
        if node.get("name")
    }


def occurrences(document: bytes) -> dict[tuple[str, str], list[tuple[Any, ...]]]:
    """Every complex type and global element with its children's exact name, minOccurs and maxOccurs."""
    schema = next(
        n for n in etree.fromstring(document).iter(f"{XSD}schema") if n.get("targetNamespace") == compact.TARGET
    )
    return {
        (etree.QName(node).localname, str(node.get("name"))): [
            (child.get("name"), child.get("minOccurs", "1"), child.get("maxOccurs", "1"))
            for child in node.iter(f"{XSD}element")
            if child is not node
        ]
        for node in schema.iterchildren(f"{XSD}complexType", f"{XSD}element")
    }


def bindings(document: bytes) -> dict[str, tuple[Any, ...]]:
    binding = next(etree.fromstring(document).iter(f"{WSDL}binding"))
    head = next(binding.iterchildren(f"{SOAP}binding"))
    common = (binding.get("name"), compact.local(binding.get("type")), head.get("style"), head.get("transport"))
    return {
        str(node.get("name")): (
            *common,
            next(node.iter(f"{SOAP}operation")).get("soapAction"),
            [(body.get("use"), body.get("parts")) for body in node.iter(f"{SOAP}body")],
        )
        for node in binding.iterchildren(f"{WSDL}operation")
    }


def messages(document: bytes) -> dict[str, list[tuple[str | None, str]]]:
    return {
        str(node.get("name")): [(part.get("name"), compact.local(part.get("element"))) for part in node]
        for node in etree.fromstring(document).iterchildren(f"{WSDL}message")
    }


def test_every_operation_has_the_same_question_and_answer(real: Contract) -> None:
    ours = compact_contract()
    assert ours.operations == {name: real.operations[name] for name in compact.OPERATIONS}


def test_every_type_has_the_same_fields_in_the_same_order(real: Contract) -> None:
    ours = compact_contract()
    different = [name for name in ours.types if fields_of(ours, name) != fields_of(real, name)]
    assert different == []


def test_every_type_and_element_has_the_same_cardinalities(vendor: bytes) -> None:
    ours, theirs = occurrences(COMPACT.read_bytes()), occurrences(vendor)
    assert ours == {key: theirs[key] for key in ours}


def test_every_enumeration_has_the_same_values(vendor: bytes) -> None:
    ours, theirs = enumerations(COMPACT.read_bytes()), enumerations(vendor)
    assert ours == {name: theirs[name] for name in ours}


def test_messages_and_binding_are_the_same(vendor: bytes) -> None:
    ours, theirs = messages(COMPACT.read_bytes()), messages(vendor)
    assert ours == {name: theirs[name] for name in ours}
    bound = bindings(vendor)
    assert bindings(COMPACT.read_bytes()) == {name: bound[name] for name in compact.OPERATIONS}


def test_names_of_service_port_and_address_are_the_same(vendor: bytes) -> None:
    def names(document: bytes) -> list[Any]:
        root = etree.fromstring(document)
        service, port = next(root.iter(f"{WSDL}service")), next(root.iter(f"{WSDL}port"))
        schema = next(n for n in root.iter(f"{XSD}schema"))
        address = next(port.iter(f"{SOAP}address")).get("location")
        form = schema.get("elementFormDefault")
        return [root.get("name"), root.get("targetNamespace"), service.get("name"), port.get("name"), address, form]

    assert names(COMPACT.read_bytes()) == names(vendor)


def test_the_committed_wsdl_is_what_the_generator_writes() -> None:
    if not REAL.exists():
        pytest.skip("the vendor's WSDL is not here")
    command = [sys.executable, "-m", "sandbox.mpluskassa.compact", str(REAL)]
    written = subprocess.run(command, cwd=ROOT, capture_output=True, check=True)
    assert written.stdout == COMPACT.read_bytes()


def test_zeep_loads_it_without_fetching_anything() -> None:
    class Offline(LocalTransport):
        def load(self, url: str) -> bytes:
            assert not url.startswith("http"), url
            return super().load(url)

    client = load_client(COMPACT, Offline())  # type: ignore[no-untyped-call]
    assert {name for port in client.wsdl.services["MplusQapi"].ports.values() for name in port.binding.all()} == set(
        compact.OPERATIONS
    )
    client.transport.session.close()


def test_every_operation_of_the_compact_wsdl_is_carried_out() -> None:
    assert set(HANDLERS) == set(compact.OPERATIONS)
