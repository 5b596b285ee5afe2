"""`python -m sandbox` as a real process: started, asked over HTTP and SOAP, stopped."""

from __future__ import annotations

import base64
import os
import re
import selectors
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
import simplejson
from lxml import etree

from sandbox.shop.furnishing import REALM
from tests.servers import wait_until

ROOT = Path(__file__).resolve().parents[3]
CREDENTIALS = {
    "SANDBOX_CLIENT_ID": "the-app",
    "SANDBOX_CLIENT_SECRET": "app-secret-0815",
    "SANDBOX_REALM_ID": REALM,
    "SANDBOX_REFRESH_TOKEN": "first-token-4711",
    "SANDBOX_VERIFIER": "verifier-1234",
    "SANDBOX_MPLUS_IDENT": "ident-77",
    "SANDBOX_MPLUS_SECRET": "till-secret-99",
    "SANDBOX_SUBSCRIPTION_ID": "5a0c7f0e-6a4c-4b5e-9d3a-0b1c2d3e4f50",
    "SANDBOX_WEBHOOK_SECRET": base64.b64encode(b"webhook-secret-31").decode(),
}
SECRETS = ("app-secret-0815", "first-token-4711", "verifier-1234", "till-secret-99", "webhook-secret-31")
_ENVELOPE = "http://schemas.xmlsoap.org/soap/envelope/"
_ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
_PATIENCE = 15.0


def to_environ(state: Path, **more: str) -> dict[str, str]:
    """The environment of a start on free ports, without a variable of ours in it."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("SANDBOX_")}
    ports = {"SANDBOX_QUICKBOOKS_PORT": "0", "SANDBOX_MPLUS_PORT": "0", "SANDBOX_STATE_DIR": str(state)}
    return {**own, **CREDENTIALS, **ports, **more}


@dataclass
class Simulators:
    """A running process."""

    environ: dict[str, str]
    books: str = ""
    till: str = ""
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        command = [sys.executable, "-m", "sandbox"]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        self.process = subprocess.Popen(command, env=self.environ, cwd=ROOT, **pipes)
        self.books, self.till = self._read_address(), self._read_address()
        wait_until(lambda: httpx.get(f"{self.till}/?wsdl").status_code == 200, what="the simulators to answer")

    def _read_address(self) -> str:
        assert self.process.stdout is not None
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            if not selector.select(_PATIENCE):
                pytest.fail("the simulators did not start")
            # One line at a time, unbuffered, so that the selector knows what is still to come.
            line = b""
            while not line.endswith(b"\n") and (byte := os.read(self.process.stdout.fileno(), 1)):
                line += byte
        self.said.append(line.decode())
        found = _ADDRESS.search(self.said[-1])
        assert found is not None, self.said
        return found.group()

    def end(self, number: int = signal.SIGTERM) -> float:
        """Ask the process to end; answers how many seconds it took."""
        began = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(number)
        rest, _ = self.process.communicate(timeout=_PATIENCE)
        if rest:
            self.said.append(rest.decode())
        return time.monotonic() - began

    # --- the books, over HTTP ---

    def refresh(self, token: str) -> httpx.Response:
        """What the token endpoint says to a refresh token."""
        form = {"grant_type": "refresh_token", "refresh_token": token}
        app = (CREDENTIALS["SANDBOX_CLIENT_ID"], CREDENTIALS["SANDBOX_CLIENT_SECRET"])
        return httpx.post(f"{self.books}/oauth2/v1/tokens/bearer", data=form, auth=app)

    def query(self, access_token: str, statement: str) -> Any:
        """The QueryResponse of a query."""
        headers = {"authorization": f"Bearer {access_token}", "accept": "application/json"}
        address = f"{self.books}/v3/company/{CREDENTIALS['SANDBOX_REALM_ID']}/query"
        answer = httpx.get(address, params={"query": statement, "minorversion": "75"}, headers=headers)
        assert answer.status_code == 200, answer.text
        return simplejson.loads(answer.text, use_decimal=True)["QueryResponse"]

    def list_books(self, entity: str) -> list[Any]:
        """Rows of the books as their control desk shows them."""
        answer = httpx.get(f"{self.books}/_control/rows", params={"entity": entity})
        return list(simplejson.loads(answer.text, use_decimal=True)["rows"])

    # --- the till, over SOAP and its control desk ---

    def ask(self, operation: str, content: str = "") -> etree._Element:
        """The answer to an operation."""
        body = f"<k:{operation}>{content}</k:{operation}>"
        message = f'<e:Envelope xmlns:e="{_ENVELOPE}" xmlns:k="urn:mplusqapi"><e:Body>{body}</e:Body></e:Envelope>'
        login = {"ident": CREDENTIALS["SANDBOX_MPLUS_IDENT"], "secret": CREDENTIALS["SANDBOX_MPLUS_SECRET"]}
        headers = {"Content-Type": "text/xml; charset=utf-8"}
        answer = httpx.post(f"{self.till}/?{urlencode(login)}", content=message.encode(), headers=headers)
        assert answer.status_code == 200, answer.text
        return etree.fromstring(answer.content)

    def list_till(self, table: str) -> list[Any]:
        """Rows of the till as its control desk shows them."""
        answer = httpx.get(f"{self.till}/_control/records/{table}")
        return list(simplejson.loads(answer.text, use_decimal=True))

    def add_product(self, product: dict[str, Any]) -> None:
        """Put a product on the shelf, as a gateway would."""
        answer = httpx.post(f"{self.till}/_control/till/add_product", json=product)
        assert answer.status_code == 200, answer.text


def texts(answer: etree._Element, name: str) -> list[str]:
    """All texts of the elements of that name."""
    return [element.text or "" for element in answer.iter("{*}" + name)]
