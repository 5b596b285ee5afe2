"""The client's verbs against a real SOAP server: what they ask, what they make of the answer, which error comes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.exchange import Exchange
from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.mpluskassa.faults import MissingOperation
from gateway.connectors.mpluskassa.wire import ReadProduct
from gateway.errors import AuthLost, GatewayError, NotFound, Permanent, RateLimited, Transient, Unanswered
from mapping.records import Article, Product, SaleKind
from tests.gateway.connectors.mpluskassa.soap_server import (
    COMPACT_WSDL,
    IDENT,
    SECRET,
    STOCK_CHANGED,
    VERSION,
    Conversation,
    Script,
    SoapServer,
    envelope,
    fault,
    says,
)

SHORT = Limits(connect=0.5, read=0.4, total=0.8, size=1_000_000)
Read = Callable[[MplusKassa], object]

RECEIPT = (
    "<ns:receipt><ns:receiptId>{id}</ns:receiptId><ns:syncMarker>{marker}</ns:syncMarker><ns:financialDate><ns:day>1</ns:day>"
    "<ns:mon>2</ns:mon><ns:year>2026</ns:year></ns:financialDate><ns:financialBranchNumber>1</ns:financialBranchNumber>"
    "<ns:totalInclAmount>{total}</ns:totalInclAmount><ns:totalExclAmount>100</ns:totalExclAmount></ns:receipt>"
)


def receipts(*rows: tuple[str, int, str]) -> str:
    body = "".join(RECEIPT.format(id=id_, marker=marker, total=total) for id_, marker, total in rows)
    return f"<ns:GetReceiptsResponse><ns:receiptList>{body}</ns:receiptList></ns:GetReceiptsResponse>"


@contextmanager
def kassa(script: Script, **options: Any) -> Iterator[tuple[MplusKassa, SoapServer]]:
    wsdl = options.pop("wsdl", COMPACT_WSDL)
    with SoapServer(script, wsdl) as server:
        yield MplusKassa(server.url, IDENT, SECRET, **{"limits": SHORT, **options}), server


def error_of(script: Script, act: Read, **options: Any) -> GatewayError:
    with kassa(script, **options) as (client, _), pytest.raises(GatewayError) as raised:
        act(client)
    return raised.value


def change_stock(client: MplusKassa) -> object:
    return client.update_stock(1, 100, Decimal("2.5"))


def read_version(client: MplusKassa) -> object:
    return client.api_version()


def test_a_call_has_its_operation_and_a_trace_and_is_the_first_request() -> None:
    with kassa(says(VERSION)) as (client, server):
        assert server.asked == []
        assert client.api_version()
        client.api_version()
        assert [asked.method for asked in server.asked] == ["GET", "POST", "POST"]
        assert server.posts[0].operation == "getApiVersion"
        assert server.posts[0].headers["SOAPAction"] == '"getApiVersion"'
        traces = {asked.headers["X-Request-Id"] for asked in server.posts}
        assert len(traces) == 2


def test_a_wsdl_that_wants_credentials_gets_them() -> None:
    def wsdl(conversation: Conversation) -> None:
        known = "ident=winkel%26co" in conversation.asked.target
        conversation.answer(COMPACT_WSDL if known else b"", status=200 if known else 401)

    with kassa(says(VERSION), wsdl=wsdl) as (client, server):
        client.api_version()
        assert server.asked[0].target == "/?wsdl"


@pytest.mark.parametrize(
    ("wsdl", "error"),
    [
        (lambda conversation: conversation.answer(b"", status=401), AuthLost),
        (lambda conversation: conversation.answer(b"", status=404), Transient),
        (lambda conversation: conversation.answer(b"", status=503), Transient),
        (lambda conversation: conversation.answer(b"<html/>"), Transient),
        (lambda conversation: conversation.cut(), Transient),
    ],
)
def test_a_write_whose_wsdl_cannot_be_read_was_never_sent(wsdl: Script, error: type[GatewayError]) -> None:
    assert type(error_of(says(STOCK_CHANGED), change_stock, wsdl=wsdl)) is error


def test_an_installation_that_is_down_is_transient_for_reads_and_writes(free_port: Callable[[], int]) -> None:
    client = MplusKassa(f"http://127.0.0.1:{free_port()}", IDENT, SECRET, limits=SHORT)
    for act in (read_version, change_stock):
        with pytest.raises(Transient):
            act(client)


def answer_with_words_for_numbers(conversation: Conversation) -> None:
    good = VERSION if conversation.asked.operation == "getApiVersion" else STOCK_CHANGED
    conversation.answer(envelope(good.replace(">1<", ">one<").replace(">7<", ">seven<")))


GARBAGE: dict[str, Script] = {
    "silence": lambda conversation: conversation.hang(),
    "cut": lambda conversation: conversation.cut(),
    "half": lambda conversation: conversation.answer(envelope(VERSION)[:-50]),
    "html": lambda conversation: conversation.answer("<html>oops</html>"),
    "html 500": lambda conversation: conversation.answer("<html>oops</html>", status=502),
    "empty": lambda conversation: conversation.answer(b""),
    "foreign": says('<x:getApiVersionResponse xmlns:x="urn:other"/>'),
    "dtd": lambda conversation: conversation.answer("<!DOCTYPE a><a/>"),
    "server fault": lambda conversation: conversation.answer(fault("SOAP-ENV:Server", "busy"), status=500),
    "bad number": answer_with_words_for_numbers,
    "redirect": lambda conversation: conversation.answer(b"", status=302, headers={"Location": "http://x"}),
}


@pytest.mark.parametrize("script", GARBAGE.values(), ids=GARBAGE.keys())
def test_61_62_no_whole_answer_is_transient_for_a_read_not_for_a_write(script: Script) -> None:
    assert type(error_of(script, read_version)) is Transient
    assert type(error_of(script, change_stock)) is Unanswered


@pytest.mark.parametrize(
    ("script", "error"),
    [
        (lambda conversation: conversation.answer(fault("SOAP-ENV:Client", "no ident"), status=500), AuthLost),
        (lambda conversation: conversation.answer(fault("SOAP-ENV:Client", "wrong")), Permanent),
        (lambda conversation: conversation.answer(b"", status=403), AuthLost),
        (lambda conversation: conversation.answer(b"", status=429, headers={"Retry-After": "9"}), RateLimited),
    ],
)
def test_a_clear_no_is_the_same_for_a_read_and_a_write(script: Script, error: type[GatewayError]) -> None:
    assert type(error_of(script, read_version)) is error
    assert type(error_of(script, change_stock)) is error


def test_a_huge_answer_to_a_read_is_for_a_person_and_to_a_write_a_question() -> None:
    def huge(conversation: Conversation) -> None:
        conversation.answer(b" " * (SHORT.size + 1))

    assert type(error_of(huge, read_version)) is Permanent
    assert type(error_of(huge, change_stock)) is Unanswered
    small = Limits(size=len(COMPACT_WSDL) - 1)
    assert type(error_of(says(VERSION), read_version, limits=small)) is Permanent


def test_a_business_refusal_comes_with_http_200_and_names_its_code() -> None:
    refused = says(
        "<ns:UpdateStockResponse><ns:result>UPDATE-STOCK-RESULT-ARTICLE-NOT-FOUND</ns:result></ns:UpdateStockResponse>"
    )
    error = error_of(refused, change_stock)
    assert isinstance(error, NotFound)
    assert error.code == "UPDATE-STOCK-RESULT-ARTICLE-NOT-FOUND"


def test_stock_is_changed_with_its_decimals_and_the_booking_is_returned() -> None:
    with kassa(says(STOCK_CHANGED)) as (client, server):
        assert client.update_stock(1, 100, Decimal("2.50"), employee=5, reference="QBO 7") == 7
        asked = server.posts[0]
        assert [asked.values(name) for name in ("amountChanged", "decimalPlaces", "reference")] == [
            ["25"],
            ["1"],
            ["QBO 7"],
        ]


def test_the_required_wrappers_are_sent_even_when_empty() -> None:
    empty = "<ns:GetReceiptsResponse><ns:receiptList/></ns:GetReceiptsResponse>"
    with kassa(says(empty)) as (client, server):
        assert not client.sales_since(SaleKind.RECEIPT, 5, 100)
        asked = server.posts[0]
        assert asked.values("articlePluNumbers") == [""]
        assert asked.values("articleBarcodes") == [""]
        assert [asked.values(name) for name in ("syncMarker", "syncMarkerLimit", "includeLineList")] == [
            ["5"],
            ["100"],
            ["false"],
        ]


def test_a_page_of_receipts_has_the_highest_marker_and_no_bad_rows() -> None:
    answer = receipts(("a", 3, "109"), ("b", 9, "109")).replace(">109<", "><", 1)
    with kassa(says(answer)) as (client, _):
        page = client.sales_since(SaleKind.RECEIPT, 1, 10)
    assert [sale.id for sale in page] == ["b"]
    assert (page.marker, page.records[0].total_incl_cents) == (9, 109)
    assert [(row.id, row.field) for row in page.unreadable] == [("a", "totalInclAmount")]


def test_receipts_by_id_are_filtered_by_us_and_read_whole() -> None:
    with kassa(says(receipts(("a", 1, "1"), ("other", 2, "2")))) as (client, server):
        assert [sale.id for sale in client.sales(SaleKind.RECEIPT, ["a", "gone", "a"])] == ["a"]
        asked = server.posts[0]
        assert asked.values("receiptIds") == ["a", "gone"]
        assert asked.values("includeOrderReferences") == ["true"]
        assert asked.values("includeLineList") == ["true"]


def test_many_ids_are_asked_for_a_page_at_a_time() -> None:
    with kassa(says(receipts())) as (client, server):
        assert client.sales(SaleKind.RECEIPT, (str(number) for number in range(120))) == ()
        assert [len(asked.values("receiptIds")) for asked in server.posts] == [50, 50, 20]
        assert client.sales(SaleKind.RECEIPT, []) == ()
        assert len(server.posts) == 3


def test_an_older_installation_is_asked_for_one_receipt_at_a_time() -> None:
    old = COMPACT_WSDL.replace(b'name="receiptIds"', b'name="somethingElse"')
    assert old != COMPACT_WSDL

    def answer(conversation: Conversation) -> None:
        wanted = conversation.asked.values("receiptId")[0]
        row = RECEIPT.format(id=wanted, marker=1, total=1)
        found = f"<ns:result>GET-RECEIPT-RESULT-OK</ns:result>{row}"
        missing = "<ns:result>GET-RECEIPT-RESULT-NOT-FOUND</ns:result>"
        body = missing if wanted == "gone" else found
        conversation.answer(envelope(f"<ns:GetReceiptResponse>{body}</ns:GetReceiptResponse>"))

    with kassa(answer, wsdl=old) as (client, server):
        assert [sale.id for sale in client.sales(SaleKind.RECEIPT, ["a", "gone"])] == ["a"]
        assert [asked.operation for asked in server.posts] == ["getReceipt", "getReceipt"]


def test_an_installation_without_the_newer_markers_is_asked_the_older_way() -> None:
    old = COMPACT_WSDL.replace(b'"getCurrentSyncMarkersV2"', b'"somethingElse"').replace(
        b':getCurrentSyncMarkersV2"', b':somethingElse"'
    )
    body = "<ns:articleSyncMarker>1</ns:articleSyncMarker><ns:receiptSyncMarker>8</ns:receiptSyncMarker>"
    answer = f"<ns:getCurrentSyncMarkersResponse>{body}</ns:getCurrentSyncMarkersResponse>"
    with kassa(says(answer), wsdl=old) as (client, server):
        assert client.sync_markers().receipt == 8
        assert server.posts[0].operation == "getCurrentSyncMarkers"
        assert client.missing_operations() == ("getCurrentSyncMarkersV2",)


def test_an_operation_missing_on_the_server_equals_one_not_in_the_wsdl() -> None:
    def answer(conversation: Conversation) -> None:
        if conversation.asked.operation == "getCurrentSyncMarkersV2":
            conversation.answer(fault("SOAP-ENV:Client", "Method 'x' not implemented"), status=500)
        else:
            conversation.answer(envelope("<ns:getCurrentSyncMarkersResponse/>"))

    with kassa(answer) as (client, server):
        assert client.sync_markers().receipt is None
        assert [asked.operation for asked in server.posts] == ["getCurrentSyncMarkersV2", "getCurrentSyncMarkers"]


def test_an_unknown_operation_is_permanent_and_never_sent() -> None:
    old = COMPACT_WSDL.replace(b'"getJournals"', b'"somethingElse"').replace(b':getJournals"', b':somethingElse"')
    with kassa(says(""), wsdl=old) as (client, server):
        with pytest.raises(MissingOperation) as refused:
            client.journals(date(2026, 1, 1), date(2026, 1, 2), [1])
        assert server.posts == []
        assert refused.value.fix


def test_a_relation_that_only_matches_in_part_is_not_the_one() -> None:
    def answer(conversation: Conversation) -> None:
        relation = (
            "<ns:relation><ns:relationNumber>3</ns:relationNumber><ns:email>Jan@Example.nl</ns:email></ns:relation>"
        )
        found = f"<ns:result>FIND-RELATION-RESULT-OK</ns:result>{relation}"
        conversation.answer(envelope(f"<ns:FindRelationV2Response>{found}</ns:FindRelationV2Response>"))

    with kassa(answer) as (client, server):
        found = client.find_relation_by_email("jan@example.NL")
        assert found is not None
        assert found.number == 3
        assert client.find_relation_by_email("an@example.nl") is None
        assert server.posts[0].values("exactMatch") == ["true"]


def test_an_unknown_relation_is_none() -> None:
    answer = "<ns:GetRelationResponse><ns:result>GET-RELATION-RESULT-NOT-FOUND</ns:result></ns:GetRelationResponse>"
    with kassa(says(answer)) as (client, _):
        assert client.relation(5) is None


def test_an_update_sends_the_product_as_read_with_the_change() -> None:
    product = (
        "<ns:productNumber>10</ns:productNumber><ns:description>Koffie</ns:description><ns:articleList><ns:article>"
        "<ns:articleNumber>100</ns:articleNumber><ns:extraText/><ns:unit>kop</ns:unit><ns:barcodeList/>"
        "</ns:article></ns:articleList>"
    )

    def answer(conversation: Conversation) -> None:
        if conversation.asked.operation == "getProducts":
            body = f"<ns:productList><ns:product>{product}</ns:product></ns:productList>"
            conversation.answer(envelope(f"<ns:GetProductsResponse>{body}</ns:GetProductsResponse>"))
        else:
            done = "<ns:result>UPDATE-PRODUCT-RESULT-OK</ns:result>"
            rest = "<ns:existingArticleNumbers>100</ns:existingArticleNumbers><ns:syncMarker>12</ns:syncMarker>"
            conversation.answer(envelope(f"<ns:UpdateProductResponse>{done}{rest}</ns:UpdateProductResponse>"))

    with kassa(answer) as (client, server):
        existing = client.product_of_article(100)
        assert isinstance(existing, ReadProduct)
        assert client.product_of_article(999) is None
        client.update_product(Product(10, None, (Article(number=100, price_incl_cents=250),)), existing)
        asked = server.posts[-1]
        assert [asked.values(name) for name in ("unit", "description", "priceIncl", "barcodeList", "extraText")] == [
            ["kop"],
            ["Koffie"],
            ["250"],
            [""],
            [""],
        ]


def test_products_by_no_plu_at_all_ask_nothing() -> None:
    with kassa(says("")) as (client, server):
        assert client.products_by_plu([]) == ()
        assert server.asked == []


def test_every_exchange_is_noted_without_credentials_and_with_its_error() -> None:
    noted: list[Exchange] = []

    def answer(conversation: Conversation) -> None:
        if conversation.asked.operation == "updateStock":
            conversation.answer(fault("SOAP-ENV:Server", "busy"), status=500)
        else:
            conversation.answer(envelope(VERSION))

    with kassa(answer, observe=noted.append) as (client, server):
        client.api_version()
        with pytest.raises(Unanswered):
            change_stock(client)
        done, failed = noted
        assert (done.system, done.operation, done.status, done.error) == ("mpluskassa", "getApiVersion", 200, None)
        assert done.response is not None
        assert done.response["majorNumber"] == 1
        assert done.trace == server.posts[0].headers["X-Request-Id"]
        assert (failed.status, failed.response, failed.error) == (500, None, "Server")
        assert failed.request is not None
        assert failed.request["request"]["amountChanged"] == 25


def test_a_failing_observer_does_not_undo_a_write(caplog: pytest.LogCaptureFixture) -> None:
    def observe(exchange: Exchange) -> None:
        raise RuntimeError(f"no disk for {exchange.operation}")

    with kassa(says(STOCK_CHANGED), observe=observe) as (client, _):
        assert change_stock(client) == 7
    assert "observer" in caplog.text


def test_the_gate_is_entered_around_every_call() -> None:
    steps: list[str] = []

    @contextmanager
    def gate(operation: str) -> Iterator[None]:
        steps.append("in")
        yield
        steps.append("out")

    with kassa(says(VERSION), gate=gate) as (client, _):
        client.api_version()
        client.api_version()
    assert steps == ["in", "out", "in", "out"]


def test_a_client_without_credentials_is_refused() -> None:
    for ident, secret in (("", SECRET), (IDENT, "")):
        with pytest.raises(ValueError, match="must both be set"):
            MplusKassa("http://127.0.0.1:1", ident, secret)
