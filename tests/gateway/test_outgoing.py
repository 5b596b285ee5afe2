"""Where our own calls may go: never to link-local or metadata addresses, never after a redirect, never by a WSDL."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import alerts, places, settings
from gateway.alerts import Message, Untold
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.errors import Permanent
from tests.gateway.connectors.mpluskassa.soap_server import COMPACT_WSDL, IDENT, SECRET, SoapServer, envelope

METADATA = ("169.254.169.254", "169.254.1.1", "fe80::1", "fe80::1%lo", "::ffff:169.254.169.254", "fd00:ec2::254")
VERSION = (
    "<ns:getApiVersionResponse><ns:majorNumber>1</ns:majorNumber><ns:minorNumber>2</ns:minorNumber>"
    "<ns:revisionNumber>3</ns:revisionNumber></ns:getApiVersionResponse>"
)
NOTHING = Message("id", False, "cause", "title", "", "", None, datetime.now(UTC), "https://shop.example")


def to_settings(url: str) -> settings.Settings:
    secrets = {"SECRET_KEY": "a-secret-key-of-good-length", "ADMIN_TOKEN": "an-admin-token-for-tests"}
    return settings.read({**secrets, "ALERT_WEBHOOK_URL": url})


@pytest.mark.parametrize("host", METADATA)
def test_32_a_metadata_address_is_refused_and_a_shops_own_network_is_not(host: str) -> None:
    with pytest.raises(places.Forbidden):
        places.refuse_metadata(host)
    for allowed in ("127.0.0.1", "192.168.1.20", "10.0.0.5", "::1", "52.17.1.1"):
        places.refuse_metadata(allowed)


@pytest.mark.parametrize("host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]"])
def test_32_neither_an_alert_nor_a_call_of_the_till_goes_to_a_metadata_service(host: str) -> None:
    # Any attempt to connect would fail otherwise: no test leaves this machine.
    with pytest.raises(Untold, match="Forbidden"):
        alerts.post(to_settings(f"http://{host}/hook"), NOTHING)
    with pytest.raises(Permanent, match="metadata"):
        MplusKassa(f"http://{host}:1", IDENT, SECRET).api_version()


def test_32_an_alert_does_not_follow_a_redirect(serve: Callable[..., str]) -> None:
    asked: list[str] = []

    async def lead_on(request: Request) -> Response:
        asked.append(request.url.path)
        return RedirectResponse("/elsewhere", 307)

    url = serve(Starlette(routes=[Route("/{path:path}", lead_on, methods=["POST"])]))
    with pytest.raises(Untold, match="307"):
        alerts.post(to_settings(f"{url}/hook"), NOTHING)
    assert asked == ["/hook"]


def test_32_the_address_in_a_wsdl_is_not_where_the_credentials_go() -> None:
    with SoapServer(lambda conversation: conversation.answer(b"")) as elsewhere:
        location = f'<soap:address location="{elsewhere.url}/"/>'.encode()
        evil, changed = re.subn(rb"<soap:address location=\"[^\"]*\"/>", location, COMPACT_WSDL)
        assert changed == 1
        with SoapServer(lambda conversation: conversation.answer(envelope(VERSION)), evil) as till:
            MplusKassa(till.url, IDENT, SECRET).api_version()
            assert "getApiVersion" in [asked.operation for asked in till.asked if asked.method == "POST"]
        assert elsewhere.asked == []
