"""The door: credentials, the WSDL, strict validation of every request, faults as the vendor words them."""

from __future__ import annotations

from collections.abc import Callable

import httpx
import pytest
from lxml import etree

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.contract import COMPACT
from sandbox.mpluskassa.simulation import Simulation
from tests.sandbox.mpluskassa.conftest import REAL, Clock, Sandbox

ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
XML = {"Content-Type": "text/xml; charset=utf-8"}


def wrapped(content: str, namespace: str = "urn:mplusqapi") -> str:
    return f'<e:Envelope xmlns:e="{ENVELOPE}" xmlns:ns1="{namespace}"><e:Body>{content}</e:Body></e:Envelope>'


def post(sandbox: Sandbox, message: str, **credentials: str) -> httpx.Response:
    return httpx.post(sandbox.address(**credentials), content=message.encode(), headers=XML)


def fault_of(answer: httpx.Response) -> tuple[str, str]:
    assert answer.status_code == 500
    fault = next(etree.fromstring(answer.content).iter(f"{{{ENVELOPE}}}Fault"))
    return str(fault.findtext("faultcode")), str(fault.findtext("faultstring"))


@pytest.mark.parametrize("wrong", [{"secret": "x"}, {"ident": "x"}, {"secret": ""}])
def test_wrong_credentials_are_an_authentication_fault(sandbox: Sandbox, wrong: dict[str, str]) -> None:
    code, _ = fault_of(post(sandbox, wrapped("<ns1:getApiVersion/>"), **wrong))
    assert code == "SOAP-ENV:Client.Authentication"
    assert sandbox.simulation.describe()["calls"] == {}


def test_a_plain_get_says_405_and_wsdl_needs_no_credentials(sandbox: Sandbox) -> None:
    assert httpx.get(sandbox.base).status_code == 405
    shown = httpx.get(f"{sandbox.base}/?wsdl")
    assert shown.content == COMPACT.read_bytes()
    assert b'location="http://127.0.0.1:18083/"' in shown.content


def test_a_simulation_may_show_and_enforce_another_wsdl(clock: Clock, serve: Callable[..., str]) -> None:
    if not REAL.exists():
        pytest.skip("the vendor's WSDL is not here")
    simulation = Simulation(clock=clock, wsdl=REAL.read_bytes())
    sandbox = Sandbox(simulation, serve(create_app(simulation)))
    assert httpx.get(f"{sandbox.base}/?wsdl").content == REAL.read_bytes()
    assert post(sandbox, wrapped("<ns1:getApiVersion/>")).status_code == 200
    code, text = fault_of(post(sandbox, wrapped("<ns1:getOrderCategories/>")))
    assert (code, "getOrderCategories" in text) == ("SOAP-ENV:Client", True)


def test_answers_carry_the_vendors_prefix_and_headers(sandbox: Sandbox) -> None:
    answer = post(sandbox, wrapped("<ns1:getBranches/>"))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/xml; charset=utf-8"
    assert answer.headers["mplus-service-version"]
    for piece in (b"<SOAP-ENV:Envelope", b"<ns:getBranchesResponse", b"<ns:isMobile>false<"):
        assert piece in answer.content


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        ("<ns1:getProducts><ns1:request/></ns1:getProducts>", "pluNumbers"),
        ("<ns1:getProducts/>", "request"),
        (
            "<ns1:getStock><ns1:request><ns1:articleNumbers/><ns1:branchNumber>1</ns1:branchNumber></ns1:request></ns1:getStock>",
            "branchNumber",
        ),
        ("<ns1:getRelation><ns1:relationNumber>abc</ns1:relationNumber></ns1:getRelation>", "relationNumber"),
        ("<ns1:getRelation><relationNumber>1</relationNumber></ns1:getRelation>", "relationNumber"),
        ("<ns1:getRelations><ns1:request><ns1:colour>red</ns1:colour></ns1:request></ns1:getRelations>", "colour"),
        ("<ns1:getApiVersion><ns1:x/></ns1:getApiVersion>", "getApiVersion"),
        ("<ns1:GetApiVersion/>", "GetApiVersion"),
        ("", "exactly one"),
    ],
)  # fmt: skip
def test_what_breaks_the_schema_is_a_client_fault_that_names_it(sandbox: Sandbox, content: str, hint: str) -> None:
    code, text = fault_of(post(sandbox, wrapped(content)))
    assert code == "SOAP-ENV:Client"
    assert hint in text


def test_another_namespace_is_refused(sandbox: Sandbox) -> None:
    assert fault_of(post(sandbox, wrapped("<ns1:getApiVersion/>", "urn:other")))[0] == "SOAP-ENV:Client"


@pytest.mark.parametrize("message", ["not xml", "<a/>", "", wrapped("<ns1:getApiVersion/>")[:-5]])
def test_what_is_no_envelope_is_a_client_fault(sandbox: Sandbox, message: str) -> None:
    assert fault_of(post(sandbox, message))[0] == "SOAP-ENV:Client"


def test_a_document_type_is_refused_whatever_it_declares(sandbox: Sandbox) -> None:
    for declared in ("<!DOCTYPE e>", '<!DOCTYPE e [<!ENTITY a "b">]>', '<!DOCTYPE e SYSTEM "file:///etc/hostname">'):
        code, text = fault_of(post(sandbox, declared + wrapped("<ns1:getApiVersion/>")))
        assert (code, "document type" in text) == ("SOAP-ENV:Client", True)


def test_a_client_may_use_another_prefix_or_none(sandbox: Sandbox) -> None:
    plain = '<getRelation xmlns="urn:mplusqapi"><relationNumber>501</relationNumber></getRelation>'
    answer = post(sandbox, wrapped(plain))
    assert b"<ns:result>GET-RELATION-RESULT-OK</ns:result>" in answer.content
