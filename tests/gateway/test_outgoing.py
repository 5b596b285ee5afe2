"""Where our own calls may go: never to link-local or metadata addresses, never after a redirect, never by a WSDL."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gateway import alerts, settings
from gateway.alerts import AlertMessage, NotDelivered
from gateway.connectors import http
from gateway.connectors.http import open_http
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.errors import Permanent, Transient
from tests.gateway.connectors.mpluskassa.soap_server import COMPACT_WSDL, IDENT, SECRET, SoapServer, envelope

METADATA = (
    *("169.254.169.254", "169.254.1.1", "169.254.170.2", "192.0.0.192", "100.100.100.200", "168.63.129.16"),
    *("fe80::1", "fe80::1%lo", "fd00:ec2::254", "fd00:ec2::23", "fd20:ce::254", "fec0::1", "ff02::1", "224.0.0.1"),
    # An IPv4 address inside: mapped, translated, compatible, 6to4, Teredo, ISATAP.
    *("::ffff:169.254.169.254", "::ffff:a9fe:a9fe", "64:ff9b::169.254.169.254", "64:ff9b::c000:c0"),
    *("64:ff9b:1::169.254.169.254", "::169.254.169.254", "::ffff:0:169.254.169.254", "2002:a9fe:a9fe::1"),
    *("2002:c000:c0::", "2001:0:1:2:3:4:5601:5601", "2001:db8::5efe:169.254.169.254", "::ffff:192.0.0.192"),
    # Behind a translator's prefix of 48, 56 and 64 bits.
    *("64:ff9b:1:a9fe:a9:fe00::", "64:ff9b:1:a9:fe:a9fe::", "64:ff9b:1:0:a9:fea9:fe00:0"),
)
NUMBERS = ("2852039166", "0xa9fea9fe", "0251.0376.0251.0376", "169.254.43518", "0xa9.0xfe.0xa9.0xfe", "3221225664")
VERSION = (
    "<ns:getApiVersionResponse><ns:majorNumber>1</ns:majorNumber><ns:minorNumber>2</ns:minorNumber>"
    "<ns:revisionNumber>3</ns:revisionNumber></ns:getApiVersionResponse>"
)
NOTHING = AlertMessage("id", False, "cause", "title", "", "", None, datetime.now(UTC), "https://shop.example")


def to_settings(url: str) -> settings.Settings:
    secrets = {"SECRET_KEY": "a-secret-key-of-good-length", "ADMIN_TOKEN": "an-admin-token-for-tests"}
    return settings.read({**secrets, "ALERT_WEBHOOK_URL": url})


@pytest.mark.parametrize("host", METADATA)
def test_32_a_metadata_address_is_refused_and_a_shops_own_network_is_not(host: str) -> None:
    with pytest.raises(http.Forbidden):
        http.refuse(host)
    for allowed in ("127.0.0.1", "192.168.1.20", "10.0.0.5", "::1", "52.17.1.1"):
        http.refuse(allowed)


def test_32_ordinary_addresses_of_either_kind_are_allowed() -> None:
    for allowed in ("2001:db8::1", "fd12:3456::1", "2a02:1::1", "64:ff9b::8.8.8.8", "::ffff:10.0.0.1", "100.64.0.1"):
        http.refuse(allowed)


@pytest.mark.parametrize(
    ("host", "private"),
    [
        *(
            (host, True)
            for host in ("till", "1till", "localhost", "till.lan", "till.local.", "10.0.0.5", "127.1", "::1", "fd00::5")
        ),
        *((host, True) for host in ("100.64.3.2", "192.168.1.20", "2130706433", "::ffff:10.0.0.1")),
        *((host, False) for host in ("till.example", "8.8.8.8", "134744072", "0x8.8.8.8", "2a02:1::1", "lan.example")),
        *((host, False) for host in ("64:ff9b::8.8.8.8", "1.2.3.4.5", "::nothing")),
    ],
)
def test_32_a_private_network_is_recognised_by_its_address(host: str, private: bool) -> None:
    assert http.is_private_name(host) is private


def test_32_a_secret_is_not_sent_in_clear_outside_a_private_network() -> None:
    with pytest.raises(Permanent, match="https://"):
        MplusKassa("http://8.8.8.8:1", IDENT, SECRET).api_version()
    with pytest.raises(settings.SettingsError, match="https://"):
        settings.read({"MPLUS_URL": "http://8.8.8.8:1"})


@pytest.mark.parametrize("host", ["169.254.169.254", "[64:ff9b::a9fe:a9fe]", "2852039166", "0xa9fea9fe"])
def test_32_a_connection_to_a_metadata_service_is_not_even_begun(host: str) -> None:
    with open_http() as http, pytest.raises(httpx.ConnectError, match="metadata"):
        http.get(f"http://{host}/latest/meta-data/")


@pytest.mark.parametrize(
    "host", ["169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "[64:ff9b::a9fe:a9fe]", *NUMBERS]
)
def test_32_no_alert_and_no_call_of_the_till_goes_to_a_metadata_service(host: str) -> None:
    # Any attempt to connect would fail otherwise: no test leaves this machine.
    with pytest.raises(NotDelivered, match="Forbidden"):
        alerts.post(to_settings(f"http://{host}/hook"), NOTHING)
    # An octal spelling is no address for httpx.
    with pytest.raises((Permanent, ValueError), match=r"metadata|must look like"):
        MplusKassa(f"http://{host}:1", IDENT, SECRET).api_version()


def test_32_an_alert_does_not_follow_a_redirect(serve: Callable[..., str]) -> None:
    asked: list[str] = []

    async def lead_on(request: Request) -> Response:
        asked.append(request.url.path)
        return RedirectResponse("/elsewhere", 307)

    url = serve(Starlette(routes=[Route("/{path:path}", lead_on, methods=["POST"])]))
    with pytest.raises(NotDelivered, match="307"):
        alerts.post(to_settings(f"{url}/hook"), NOTHING)
    assert asked == ["/hook"]


def test_32_an_alert_is_not_held_by_an_answer_without_an_end(serve: Callable[..., str]) -> None:
    async def go_on(_: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(64):
                yield bytes(2**20)

        return StreamingResponse(pieces())

    url = serve(Starlette(routes=[Route("/{path:path}", go_on, methods=["POST"])]))
    with pytest.raises(NotDelivered, match="TOO-LARGE"):
        alerts.post(to_settings(f"{url}/hook"), NOTHING)


def test_32_the_address_in_a_wsdl_is_not_where_the_credentials_go() -> None:
    with SoapServer(lambda conversation: conversation.answer(b"")) as elsewhere:
        location = f'<soap:address location="{elsewhere.url}/"/>'.encode()
        evil, changed = re.subn(rb"<soap:address location=\"[^\"]*\"/>", location, COMPACT_WSDL)
        assert changed == 1
        with SoapServer(lambda conversation: conversation.answer(envelope(VERSION)), evil) as till:
            MplusKassa(till.url, IDENT, SECRET).api_version()
            assert "getApiVersion" in [asked.operation for asked in till.asked if asked.method == "POST"]
        assert elsewhere.asked == []


def test_a_call_that_cannot_connect_names_host_and_cause_and_no_more(free_port: Callable[[], int]) -> None:
    port = free_port()
    with pytest.raises(Transient) as failed:
        MplusKassa(f"http://127.0.0.1:{port}", IDENT, SECRET).api_version()
    assert f"cannot be reached at 127.0.0.1:{port} (Connection refused)" in str(failed.value)
    assert SECRET not in str(failed.value)
