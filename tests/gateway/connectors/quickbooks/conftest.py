"""Fixtures of the QuickBooks connector: a scripted peer, a client of it, and everything the client reported."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from gateway.connectors.exchange import Exchange
from gateway.connectors.http import Limits, open_http
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.errors import AuthLost
from tests.gateway.connectors.quickbooks.peer import Peer, listening

REALM = "9341455000000001"


@dataclass
class Tokens:
    """A token source that returns numbered tokens and records which were refused."""

    number: int = 1
    rejected: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    lost: bool = False

    def access(self) -> str:
        if self.lost:
            raise AuthLost("connect again")
        return f"secret-access-{self.number}"

    def renew(self, rejected: str) -> str:
        self.rejected.append(rejected)
        self.number += 1
        return self.access()

    def refuse(self, code: str) -> None:
        self.refused.append(code)


@pytest.fixture
def peer() -> Iterator[Peer]:
    with listening() as started:
        yield started


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with open_http() as client:
        yield client


@pytest.fixture
def tokens() -> Tokens:
    return Tokens()


@pytest.fixture
def exchanges() -> list[Exchange]:
    return []


@pytest.fixture
def connect(peer: Peer, http: httpx.Client, tokens: Tokens, exchanges: list[Exchange]) -> Callable[..., QuickBooks]:
    """Call it for a client of the peer; `limits` and other options as QuickBooks takes them."""

    def build(**options: Any) -> QuickBooks:
        given = {"base_url": peer.url, "limits": Limits(connect=1, read=0.3, total=0.6), **options}
        return QuickBooks(http, realm_id=REALM, tokens=tokens, observe=exchanges.append, **given)

    return build


@pytest.fixture
def books(connect: Callable[..., QuickBooks]) -> QuickBooks:
    return connect()
