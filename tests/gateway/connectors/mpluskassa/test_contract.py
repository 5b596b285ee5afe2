"""The WSDL: loaded once, when first needed, from the installation or its copy; nothing it refers to is fetched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.connectors.mpluskassa.contract import Contract, ContractCache, UnusableDescription
from gateway.connectors.mpluskassa.envelope import Garbled, Misfit, SoapFault
from gateway.connectors.mpluskassa.faults import fault_error
from gateway.connectors.mpluskassa.wire import Malformed, rows
from gateway.errors import AuthLost, GatewayError, Permanent, Transient
from tests.gateway.connectors.mpluskassa.soap_server import COMPACT_WSDL, REAL_WSDL, SoapServer, envelope, fault

XSI = "http://www.w3.org/2001/XMLSchema-instance"
PRODUCTS = (
    "<ns:GetProductsResponse><ns:productList><ns:product>{}</ns:product></ns:productList></ns:GetProductsResponse>"
)


@pytest.fixture(scope="module")
def contract() -> Contract:
    return Contract(COMPACT_WSDL)


def decode(contract: Contract, body: str) -> dict[str, object]:
    return contract.decode("getProducts", envelope(body).encode())


def first_product(contract: Contract, body: str) -> dict[str, object]:
    answer: dict[str, dict[str, list[dict[str, object]]]] = contract.decode(
        "getProducts", envelope(PRODUCTS.format(body)).encode()
    )
    return answer["productList"]["product"][0]


def test_the_vendors_own_wsdl_is_understood_without_leaving_the_machine() -> None:
    if not REAL_WSDL.exists():
        pytest.skip("the vendor's WSDL is not on this machine")
    contract = Contract(REAL_WSDL.read_bytes())
    assert len(contract.operations) > 300
    assert contract.knows("getReceipts", "request", "receiptIds")
    assert not contract.knows("getReceipts", "request", "moonPhase")
    assert not contract.knows("getMoonPhase")


@pytest.mark.parametrize(
    "element",
    [
        '<xs:import namespace="urn:other" schemaLocation="{url}/other.xsd"/>',
        '<xs:import namespace="urn:other" schemaLocation="file:///etc/passwd"/>',
        '<xs:include schemaLocation="{url}/more.xsd"/>',
        '<xs:include schemaLocation="/etc/passwd"/>',
    ],
)
def test_32_a_wsdl_that_refers_elsewhere_is_refused_and_nothing_is_fetched(element: str) -> None:
    with SoapServer(lambda conversation: conversation.answer(b"")) as elsewhere:
        start = b'<xs:schema targetNamespace="urn:mplusqapi" elementFormDefault="qualified">'
        evil = COMPACT_WSDL.replace(start, start + element.format(url=elsewhere.url).encode())
        assert evil != COMPACT_WSDL
        with pytest.raises(UnusableDescription):
            Contract(evil)
        assert elsewhere.asked == []


@pytest.mark.parametrize(
    "wsdl",
    [
        b"",
        b"<html>Not found</html>",
        COMPACT_WSDL[: len(COMPACT_WSDL) // 2],
        b"<!DOCTYPE a SYSTEM 'file:///etc/passwd'><a/>",
    ],
    ids=["empty", "html", "half", "doctype"],
)
def test_what_is_no_wsdl_is_refused_without_being_quoted(wsdl: bytes) -> None:
    with pytest.raises(UnusableDescription) as refused:
        Contract(wsdl)
    assert "html" not in str(refused.value)


def test_the_wsdl_is_fetched_at_first_use_and_once_for_all_threads() -> None:
    fetched: list[int] = []

    def fetch() -> bytes:
        fetched.append(1)
        return COMPACT_WSDL

    contracts = ContractCache(fetch)
    assert fetched == []
    found: list[Contract] = []
    threads = [threading.Thread(target=lambda: found.append(contracts.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(fetched), len({id(contract) for contract in found}), len(found)) == (1, 1, 8)


def refuse() -> bytes:
    raise ConnectionError("the installation is down")


def test_68_a_copy_on_disk_stands_in_when_the_installation_is_down(tmp_path: Path) -> None:
    cache = tmp_path / "var" / "mplus.wsdl"
    ContractCache(lambda: COMPACT_WSDL, cache).get()
    assert [path.name for path in cache.parent.iterdir()] == ["mplus.wsdl"]
    assert "getProducts" in ContractCache(refuse, cache).get().operations


def test_without_a_copy_the_failure_is_raised_and_a_later_use_tries_again(tmp_path: Path) -> None:
    answers: list[Callable[[], bytes]] = [refuse, lambda: COMPACT_WSDL]

    def fetch() -> bytes:
        return answers.pop(0)()

    contracts = ContractCache(fetch, tmp_path / "none", quiet=0.0)
    with pytest.raises(ConnectionError):
        contracts.get()
    assert contracts.get().operations


def test_threads_that_waited_for_a_failed_fetch_fail_with_it() -> None:
    tried: list[int] = []

    def fetch() -> bytes:
        tried.append(1)
        return refuse()

    contracts = ContractCache(fetch, quiet=60.0)
    for _ in range(3):
        with pytest.raises(ConnectionError):
            contracts.get()
    assert tried == [1]


def test_a_copy_that_cannot_be_kept_does_not_stop_trade(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    assert ContractCache(lambda: COMPACT_WSDL, blocked / "mplus.wsdl").get().operations


def test_an_outdated_contract_is_read_again_at_intervals() -> None:
    fetched: list[int] = []

    def fetch() -> bytes:
        fetched.append(1)
        return COMPACT_WSDL

    for patience, times in ((0.0, 2), (600.0, 1)):
        fetched.clear()
        contracts = ContractCache(fetch, patience=patience)
        contracts.get()
        contracts.mark_outdated()
        contracts.get()
        assert len(fetched) == times


def test_an_unknown_field_of_the_installation_is_named_unless_dispensable(contract: Contract) -> None:
    with pytest.raises(Misfit, match=r"request\.moonPhase"):
        contract.encode("getProducts", {"request": {"pluNumbers": {}, "moonPhase": 1}})
    with pytest.raises(Misfit, match="whole number"):
        contract.encode("getProducts", {"request": {"pluNumbers": {}, "articleNumbers": ["x"]}})
    with pytest.raises(Misfit, match="pluNumbers"):
        contract.encode("getProducts", {"request": {}})
    assert b"reference" not in contract.encode(
        "getProducts", {"request": {"pluNumbers": {}, "reference": "QBO", "articleNumbers": [1]}}
    )


def test_an_empty_text_and_an_absent_one_are_two_things(contract: Contract) -> None:
    assert first_product(contract, "<ns:description/>") == {"description": ""}
    assert first_product(contract, "") == {}


def test_one_element_of_a_list_is_a_list_and_values_have_their_types(contract: Contract) -> None:
    article = "<ns:active>true</ns:active><ns:priceIncl>995</ns:priceIncl>"
    article = f"<ns:articleList><ns:article>{article}</ns:article></ns:articleList>"
    found = first_product(
        contract, f"<ns:productNumber>7</ns:productNumber>{article}<ns:groupNumbers>3</ns:groupNumbers>"
    )
    assert found == {
        "productNumber": 7,
        "articleList": {"article": [{"active": True, "priceIncl": 995}]},
        "groupNumbers": [3],
    }


def test_a_decimal_keeps_its_digits(contract: Contract) -> None:
    stock = "<ns:articleStocks><ns:ownAmountFree>1.50</ns:ownAmountFree></ns:articleStocks>"
    body = f"<ns:GetStockResponse>{stock}</ns:GetStockResponse>"
    answer = contract.decode("getStock", envelope(body).encode())
    assert answer["articleStocks"][0]["ownAmountFree"] == Decimal("1.50")


def test_an_addition_of_the_vendor_is_passed_over(contract: Contract) -> None:
    assert first_product(contract, "<ns:moonPhase>full</ns:moonPhase><ns:productNumber>7</ns:productNumber>") == {
        "productNumber": 7
    }


@pytest.mark.parametrize(
    "addition", ['<x:moon xmlns:x="urn:other"><x:number>8</x:number></x:moon>', '<moon xmlns="">full</moon>']
)
def test_an_addition_of_somebody_else_is_passed_over(contract: Contract, addition: str) -> None:
    assert first_product(contract, f"{addition}<ns:productNumber>7</ns:productNumber>{addition}") == {
        "productNumber": 7
    }


@pytest.mark.parametrize(
    "best_before", ["2026-12-31", "0000-00-00", "-0001-01-01", "2026-12-31+02:00", "2026-12-31T24:00:00.1234567890Z"]
)
def test_a_date_the_gateway_does_not_use_is_kept_as_written(contract: Contract, best_before: str) -> None:
    article = f"<ns:article><ns:oldestBestBeforeDate>{best_before}</ns:oldestBestBeforeDate></ns:article>"
    found = first_product(contract, f"<ns:articleList>{article}</ns:articleList>")
    assert found == {"articleList": {"article": [{"oldestBestBeforeDate": best_before}]}}
    sent = contract.encode("updateProduct", {"product": found})
    assert f">{best_before}<".encode() in sent


@pytest.mark.parametrize("before", [b"\r\n \t", b"\n\n"])
def test_white_space_before_an_answer_is_passed_over(contract: Contract, before: bytes) -> None:
    whole = envelope(PRODUCTS.format("<ns:productNumber>7</ns:productNumber>")).encode()
    assert contract.decode("getProducts", before + whole) == contract.decode("getProducts", whole)


def test_a_processing_instruction_cuts_no_number_short(contract: Contract) -> None:
    body = "<?a?>" + PRODUCTS.format("<?b c?><ns:productNumber>1<?d?>200</ns:productNumber>")
    assert rows(decode(contract, body), "productList", "product") == [{"productNumber": 1200}]


@pytest.mark.parametrize(
    "body",
    [
        PRODUCTS.format("<ns:productNumber>seven</ns:productNumber>"),
        PRODUCTS.format(f"<ns:productNumber>{'9' * 5000}</ns:productNumber>"),
        PRODUCTS.format("<ns:articleList><ns:article><ns:active>maybe</ns:active></ns:article></ns:articleList>"),
        PRODUCTS.format("<productNumber>7</productNumber>"),
        PRODUCTS.format('<x:productNumber xmlns:x="urn:other">7</x:productNumber>'),
        PRODUCTS.format('<x:article xmlns:x="urn:other"/>'),
        '<x:GetProductsResponse xmlns:x="urn:other"/>',
        "<ns:GetReceiptsResponse/>",
        "",
    ],
)
def test_68_a_bad_value_or_a_foreign_namespace_is_never_an_empty_answer(contract: Contract, body: str) -> None:
    with pytest.raises((Garbled, Malformed)):
        rows(decode(contract, body), "productList", "product")


@pytest.mark.parametrize(
    "body",
    [
        "<ns:GetProductsResponse/>",
        f'<ns:GetProductsResponse><ns:productList xmlns:i="{XSI}" i:nil="true"/></ns:GetProductsResponse>',
    ],
)
def test_an_answer_without_its_list_is_no_empty_answer(contract: Contract, body: str) -> None:
    with pytest.raises(Garbled, match="productList"):
        decode(contract, body)
    assert decode(contract, "<ns:GetProductsResponse><ns:productList/></ns:GetProductsResponse>") == {"productList": {}}


def test_a_number_without_its_list_is_refused_where_two_lists_fit(contract: Contract) -> None:
    group = "<ns:groupNumber>1</ns:groupNumber><ns:name/><ns:text/><ns:number>7</ns:number>"
    wrapper = "<ns:changedArticleGroupList><ns:changedArticleGroups>{}</ns:changedArticleGroups>"
    body = f"<ns:GetArticleGroupChangesResponse>{wrapper.format(group)}</ns:changedArticleGroupList>"
    answer = contract.decode("getArticleGroupChanges", envelope(f"{body}</ns:GetArticleGroupChangesResponse>").encode())
    with pytest.raises(Malformed, match="without the list"):
        rows(answer, "changedArticleGroupList", "changedArticleGroups")


BOMB = "<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'>" + "".join(
    f"<!ENTITY {chr(98 + n)} '{f'&{chr(97 + n)};' * 10}'>" for n in range(9)
)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\x01",
        b"<html/>",
        b"{}",
        envelope("<ns:GetProductsResponse>").encode(),
        envelope(PRODUCTS)[:-40].encode(),
        (BOMB + "]><b>&j;</b>").encode(),
        b"<!DOCTYPE a SYSTEM 'http://127.0.0.1:1/x.dtd'><a/>",
        b"<!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><a>&x;</a>",
        b"<a>" * 5000 + b"</a>" * 5000,
        "<?xml version='1.0' encoding='utf-8'?><a>\xe9</a>".encode("latin-1"),
    ],
    ids=["empty", "bytes", "html", "json", "open", "truncated", "bomb", "dtd", "entity", "deep", "charset"],
)
def test_33_hostile_or_broken_xml_is_refused_at_once(contract: Contract, content: bytes) -> None:
    with pytest.raises(Garbled) as refused:
        contract.decode("getProducts", content)
    assert "root:" not in str(refused.value)


def test_a_fault_has_its_code_and_text(contract: Contract) -> None:
    with pytest.raises(SoapFault) as raised:
        contract.decode("getProducts", fault("SOAP-ENV:Client", "wrong").encode())
    assert (raised.value.code, raised.value.message) == ("SOAP-ENV:Client", "wrong")


SOAP_12 = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:ns="urn:mplusqapi">'
    "<s:Header/><s:Body>{}</s:Body></s:Envelope>"
)


def test_an_answer_in_an_envelope_of_soap_1_2_is_read(contract: Contract) -> None:
    product = PRODUCTS.format("<ns:productNumber>7</ns:productNumber>")
    answer = contract.decode("getProducts", SOAP_12.format(product).encode())
    assert answer == {"productList": {"product": [{"productNumber": 7}]}}


@pytest.mark.parametrize(
    ("codes", "error"),
    [
        ("<s:Value>s:Receiver</s:Value>", Transient),
        ("<s:Value>s:Sender</s:Value>", Permanent),
        ("<s:Value>s:Receiver</s:Value><s:Subcode><s:Value>x:Busy</s:Value></s:Subcode>", Transient),
        ("<s:Value>s:Sender</s:Value><s:Subcode><s:Value>x:Client.Authentication</s:Value></s:Subcode>", AuthLost),
    ],
)
def test_a_fault_of_soap_1_2_has_a_code_and_a_reason(contract: Contract, codes: str, error: type[GatewayError]) -> None:
    reason = '<s:Reason><s:Text xml:lang="en">Closed today</s:Text></s:Reason>'
    with pytest.raises(SoapFault) as failed:
        contract.decode("getProducts", SOAP_12.format(f"<s:Fault><s:Code>{codes}</s:Code>{reason}</s:Fault>").encode())
    assert failed.value.message == "Closed today"
    found = fault_error(failed.value.code, failed.value.message, operation="getProducts", writes=False)
    assert type(found) is error
