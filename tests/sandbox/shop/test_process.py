"""Both simulators as one process: the shop is there, state survives, the end is quick, and webhooks bring the trade."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import simplejson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sandbox.mpluskassa import webhooks as kassa
from sandbox.quickbooks import webhooks as intuit
from tests.sandbox.shop.carrying import VAT_CODES, is_for_sale, to_product
from tests.sandbox.shop.simulators import CREDENTIALS, ROOT, SECRETS, Simulators, texts, to_environ
from tests.servers import Served, wait_until

Start = Callable[..., Simulators]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Call it with variables to start the simulators on the state of this test; what still runs is ended."""
    running: list[Simulators] = []

    def begin(**more: str) -> Simulators:
        running.append(Simulators(to_environ(tmp_path / "state", **more)))
        return running[-1]

    yield begin
    for simulators in running:
        if simulators.process.poll() is None:
            simulators.end()


@pytest.fixture
def simulators(start: Start) -> Simulators:
    return start()


def test_the_shop_is_in_the_books_and_in_the_till(simulators: Simulators) -> None:
    tokens = simulators.refresh(CREDENTIALS["SANDBOX_REFRESH_TOKEN"]).json()
    found = simulators.query(tokens["access_token"], "select * from Item where Sku = '1102'")
    assert found["Item"][0]["FullyQualifiedName"] == "Kaas:Buitenlandse kaas:Comté 18 maanden"
    assert texts(simulators.ask("getBranches"), "branchName") == ["Utrecht", "Amersfoort"]
    assert simulators.list_till("articles") == []


def test_one_line_per_server_is_printed_and_never_a_secret(simulators: Simulators) -> None:
    simulators.refresh(CREDENTIALS["SANDBOX_REFRESH_TOKEN"])
    simulators.ask("getBranches")
    simulators.end()
    assert len(simulators.said) == 2
    assert not any(secret in line for secret in SECRETS for line in simulators.said)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_within_two_seconds(start: Start, number: int) -> None:
    simulators = start(SANDBOX_PACE="0.01")
    with httpx.Client() as kept_open:
        kept_open.get(f"{simulators.till}/?wsdl")
        assert simulators.end(number) < 2
    assert simulators.process.returncode == 0


def test_a_webhook_that_hangs_does_not_hold_up_the_end(start: Start) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        simulators = start(
            SANDBOX_PACE="0.01", SANDBOX_QUICKBOOKS_WEBHOOK_URL=address, SANDBOX_MPLUS_WEBHOOK_URL=address
        )
        wait_until(lambda: any(row["SyncToken"] != "0" for row in simulators.list_books("Item")), what="an edit")
        assert simulators.end() < 2


def test_a_restart_goes_on_where_it_ended_and_the_rotated_token_works(start: Start) -> None:
    first = start()
    rotated = first.refresh(CREDENTIALS["SANDBOX_REFRESH_TOKEN"]).json()["refresh_token"]
    first.add_product({"description": "Boek", "articleList": {"article": [_BOOK]}})
    httpx.post(f"{first.till}/_control/till/sell", json={"lines": [{"article": 7}]})
    receipts = first.list_till("receipts")
    first.end()

    second = start()
    assert second.list_till("receipts") == receipts
    assert len(receipts) == 1
    assert second.refresh(CREDENTIALS["SANDBOX_REFRESH_TOKEN"]).json() == {
        "error": "invalid_grant",
        "error_description": "Incorrect or invalid refresh token",
    }
    assert second.refresh(rotated).status_code == 200


_BOOK = {"articleNumber": 7, "description": "Boek", "vatCode": 1, "turnoverGroup": 3, "priceIncl": 1250}


def test_a_rotated_token_survives_even_a_kill(start: Start) -> None:
    first = start(SANDBOX_TRADE="0")
    rotated = first.refresh(CREDENTIALS["SANDBOX_REFRESH_TOKEN"]).json()["refresh_token"]
    first.end(signal.SIGKILL)
    assert start(SANDBOX_TRADE="0").refresh(rotated).status_code == 200


def test_new_secrets_replace_the_old_ones_at_the_next_start(start: Start) -> None:
    start().end()
    second = start(SANDBOX_REFRESH_TOKEN="second-token")
    assert second.refresh("second-token").status_code == 200


def test_the_state_of_another_company_is_refused(start: Start, tmp_path: Path) -> None:
    start(SANDBOX_TRADE="0").end()
    done = _run(to_environ(tmp_path / "state", SANDBOX_REALM_ID="42"))
    assert done.returncode == 2
    assert done.stderr.startswith("sandbox: SANDBOX_STATE_DIR should be")


def test_a_taken_port_is_one_clear_line(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = str(other.getsockname()[1])
        done = _run(to_environ(tmp_path / "state", SANDBOX_MPLUS_PORT=port))
    assert done.returncode == 2
    assert done.stdout == ""
    expected = f"SANDBOX_MPLUS_PORT should be a free port, but {port} cannot be used (Address already in use)"
    assert done.stderr == f"sandbox: {expected}\n"


def test_an_option_goes_before_its_variable(tmp_path: Path) -> None:
    done = _run(to_environ(tmp_path / "state"), "--pace", "never")
    assert (done.returncode, done.stderr) == (2, "sandbox: SANDBOX_PACE should be a number of seconds above zero\n")


def test_help_names_every_variable(tmp_path: Path) -> None:
    done = _run(to_environ(tmp_path / "state"), "--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in CREDENTIALS)


def _run(environ: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sandbox", *arguments]
    return subprocess.run(command, env=environ, cwd=ROOT, capture_output=True, text=True, timeout=20, check=False)


class Gateway:
    """A door that accepts both kinds of webhooks, remembers them, and says so as each system wants it."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.unsigned = 0
        self.sessions: list[str] = []
        doors = [
            Route("/webhooks/quickbooks", self.receive_books, methods=["POST"]),
            Route("/webhooks/mpluskassa/{event}", self.receive_till, methods=["POST"]),
        ]
        self.app = Starlette(routes=doors)

    async def receive_books(self, request: Request) -> Response:
        body = await request.body()
        signed = request.headers["intuit-signature"] == intuit.sign(body, CREDENTIALS["SANDBOX_VERIFIER"])
        self.unsigned += not signed
        self.items += [event["intuitentityid"] for event in simplejson.loads(body) if ".item." in event["type"]]
        return Response()

    async def receive_till(self, request: Request) -> Response:
        body, secret = await request.body(), CREDENTIALS["SANDBOX_WEBHOOK_SECRET"]
        self.unsigned += request.headers[kassa.SIGNATURE_HEADER] != kassa.sign(secret, body)
        self.sessions.append(request.path_params["event"])
        headers = {
            kassa.SUBSCRIPTION_HEADER: CREDENTIALS["SANDBOX_SUBSCRIPTION_ID"],
            kassa.SIGNATURE_HEADER: kassa.sign(secret, b"{}"),
        }
        return Response(b"{}", headers=headers, media_type="application/json")


def test_webhooks_announce_the_price_list_and_sales_follow_the_articles(start: Start) -> None:
    gateway = Gateway()
    served = Served(gateway.app)
    door = f"{served.url}/webhooks"
    simulators = start(
        SANDBOX_PACE="0.02",
        SANDBOX_QUICKBOOKS_WEBHOOK_URL=f"{door}/quickbooks",
        SANDBOX_MPLUS_WEBHOOK_URL=f"{door}/mpluskassa",
    )
    items = [row for row in simulators.list_books("Item") if row["Active"]]
    wait_until(lambda: len(set(gateway.items)) >= len(items), what="the price list")
    assert simulators.list_till("receipts") == []
    _carry(simulators)
    wait_until(lambda: gateway.sessions.count("completeSession") >= 20, what="twenty sales")
    simulators.end()
    served.stop()
    assert gateway.unsigned == 0


def _carry(simulators: Simulators) -> None:
    names = {row["Id"]: row["Name"] for row in simulators.list_books("TaxCode")}
    codes = {f"{rate}% BTW": code for rate, code in VAT_CODES.items()}
    for item in simulators.list_books("Item"):
        if is_for_sale(item):
            simulators.add_product(to_product(item, codes[names[item["SalesTaxCodeRef"]["value"]]]))


def test_sales_over_the_wire_add_up(start: Start, tmp_path: Path) -> None:
    simulators = start(SANDBOX_PACE="0.01")
    _carry(simulators)
    wait_until(lambda: len(simulators.list_till("receipts")) >= 40, what="forty receipts")
    rows: list[Any] = simulators.list_till("receipts")
    for row in rows:
        total = sum(line["data"]["totalInclAmount"] for line in row["lineList"]["line"])
        assert total == row["totalInclAmount"] == sum(each["amount"] for each in row["paymentList"]["payment"])
    assert len({row["transactionString"] for row in rows}) == len(rows)
