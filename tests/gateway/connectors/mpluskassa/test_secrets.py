"""Failure 37: in every failure, no error, traceback, log line or note ever holds the credentials."""

from __future__ import annotations

import json
import logging
import traceback
from collections.abc import Callable
from dataclasses import asdict
from decimal import Decimal

import pytest

from gateway.connectors.exchange import Exchange
from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.errors import GatewayError
from tests.gateway.connectors.mpluskassa.soap_server import (
    COMPACT_WSDL,
    Conversation,
    Script,
    SoapServer,
    envelope,
    fault,
)

IDENT, SECRET = "ident-zeer-geheim", "secret+zeer/geheim="
SPELLINGS = (IDENT, SECRET, "secret%2Bzeer%2Fgeheim%3D", "secret%2Bzeer/geheim%3D", "zeer")
LIMITS = Limits(connect=0.3, read=0.2, total=0.3, size=max(len(COMPACT_WSDL), 100_000))


def echo(conversation: Conversation) -> str:
    return f"denied for {conversation.asked.target} {SECRET} {IDENT}".replace("&", "&amp;")


def drip(conversation: Conversation) -> None:
    conversation.answer(b"", announce=10**6)
    conversation.drip()


def refuse_stock(conversation: Conversation) -> None:
    result = "<ns:result>UPDATE-STOCK-RESULT-FAILED</ns:result>"
    conversation.answer(
        envelope(
            f"<ns:UpdateStockResponse>{result}<ns:message>{echo(conversation)}</ns:message></ns:UpdateStockResponse>"
        )
    )


TROUBLE: dict[str, Script] = {
    "cut": lambda conversation: conversation.cut(),
    "silence": lambda conversation: conversation.hang(),
    "slow": drip,
    "huge": lambda conversation: conversation.answer(b"x" * (LIMITS.size + 1)),
    "fault": lambda conversation: conversation.answer(fault("SOAP-ENV:Client", echo(conversation)), status=500),
    "fault code": lambda conversation: conversation.answer(fault(f"SOAP-ENV:{SECRET}", "x"), status=500),
    "server fault": lambda conversation: conversation.answer(fault("SOAP-ENV:Server", echo(conversation)), status=500),
    "refusal": refuse_stock,
    "unknown result": lambda conversation: conversation.answer(
        envelope(f"<ns:UpdateStockResponse><ns:result>{IDENT}</ns:result></ns:UpdateStockResponse>")
    ),
    "html": lambda conversation: conversation.answer(f"<html>{echo(conversation)}</html>"),
    "no xml": lambda conversation: conversation.answer(echo(conversation)),
    "bad value": lambda conversation: conversation.answer(
        envelope(f"<ns:UpdateStockResponse><ns:stockId>{SECRET}</ns:stockId></ns:UpdateStockResponse>")
    ),
    "redirect": lambda conversation: conversation.answer(
        b"", status=302, headers={"Location": "http://x" + conversation.asked.target}
    ),
    "bad gateway": lambda conversation: conversation.answer(echo(conversation), status=502),
    "unauthorised": lambda conversation: conversation.answer(echo(conversation), status=401),
}
WSDLS: dict[str, Script | bytes] = {
    "wsdl": COMPACT_WSDL,
    "wsdl refused": lambda conversation: conversation.answer(echo(conversation), status=403),
    "wsdl cut": lambda conversation: conversation.cut(),
    "wsdl garbage": lambda conversation: conversation.answer(echo(conversation)),
}


def reveal(client: MplusKassa, noted: list[Exchange], act: Callable[[MplusKassa], object]) -> str:
    """Everything that could be printed, logged or reported of a failure, contexts included."""
    with pytest.raises(GatewayError) as raised:
        act(client)
    error: BaseException | None = raised.value
    shown = [repr(client), json.dumps([asdict(exchange) for exchange in noted], default=str)]
    shown += [str(value) for value in vars(raised.value).values()]
    while error is not None:
        shown += [repr(error), *traceback.format_exception(error)]
        error = error.__context__
    return "\n".join(shown)


def check(script: Script, wsdl: Script | bytes, caplog: pytest.LogCaptureFixture) -> None:
    noted: list[Exchange] = []
    with caplog.at_level(logging.DEBUG), SoapServer(script, wsdl) as server:
        client = MplusKassa(server.url, IDENT, SECRET, limits=LIMITS, observe=noted.append)
        shown = reveal(client, noted, lambda kassa: kassa.update_stock(1, 1, Decimal(1))) + caplog.text
    assert [spelling for spelling in SPELLINGS if spelling in shown] == []
    assert server.asked


@pytest.mark.parametrize("script", TROUBLE.values(), ids=TROUBLE.keys())
def test_37_no_trouble_of_a_call_tells_the_credentials(script: Script, caplog: pytest.LogCaptureFixture) -> None:
    check(script, COMPACT_WSDL, caplog)


@pytest.mark.parametrize("wsdl", [each for name, each in WSDLS.items() if name != "wsdl"])
def test_37_no_trouble_of_the_wsdl_tells_the_credentials(wsdl: Script, caplog: pytest.LogCaptureFixture) -> None:
    check(lambda conversation: conversation.cut(), wsdl, caplog)


def test_37_a_till_that_is_not_there_tells_nothing(free_port: Callable[[], int]) -> None:
    client = MplusKassa(f"http://127.0.0.1:{free_port()}", IDENT, SECRET, limits=LIMITS)
    shown = reveal(client, [], lambda kassa: kassa.api_version())
    assert [spelling for spelling in SPELLINGS if spelling in shown] == []
