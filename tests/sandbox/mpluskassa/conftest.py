"""A world, a running simulator around it, and zeep (strict) speaking to it over the real or our compact WSDL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import zeep
from zeep.transports import Transport

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.contract import COMPACT
from sandbox.mpluskassa.structs import AMSTERDAM
from sandbox.mpluskassa.world import World
from tests.sandbox.mpluskassa.serving import serve

REAL = Path(__file__).resolve().parents[3] / ".." / "shared" / "data" / "mplusqapi.wsdl"
BINDING = "{urn:mplusqapi}MplusQapi"
ENCODING = "http://schemas.xmlsoap.org/soap/encoding/"
ENCODING_SCHEMA = (
    b'<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="%s">'
    b'<xs:simpleType name="base64"><xs:restriction base="xs:base64Binary"/></xs:simpleType></xs:schema>'
) % ENCODING.encode()


class LocalTransport(Transport):
    """Answers the one import of the real WSDL; anything else it fetches comes from a file or this machine."""

    def load(self, url: str) -> bytes:
        return ENCODING_SCHEMA if url == ENCODING else bytes(super().load(url))


class Clock:
    """A wall clock that moves one second each time it is read."""

    def __init__(self, moment: datetime) -> None:
        self.moment = moment

    def __call__(self) -> datetime:
        self.moment += timedelta(seconds=1)
        return self.moment


@dataclass(frozen=True)
class Sandbox:
    """A running simulator."""

    world: World
    base: str

    def address(self, **credentials: str) -> str:
        return f"{self.base}/?{urlencode({'ident': self.world.ident, 'secret': self.world.secret, **credentials})}"


def load_client(path: Path) -> zeep.Client:
    settings = zeep.Settings(strict=True, forbid_dtd=True, forbid_external=False)
    return zeep.Client(str(path), transport=LocalTransport(timeout=10, operation_timeout=10), settings=settings)


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM))


@pytest.fixture
def world(clock: Clock) -> World:
    made = World(clock=clock, seed="test")
    made.till.switches.check_answers = True
    return made


@pytest.fixture
def sandbox(world: World) -> Iterator[Sandbox]:
    with serve(create_app(world)) as base:
        yield Sandbox(world, base)


@pytest.fixture(scope="session")
def compact_client() -> Iterator[zeep.Client]:
    client = load_client(COMPACT)
    yield client
    client.transport.session.close()


@pytest.fixture(scope="session")
def real_client() -> Iterator[zeep.Client]:
    if not REAL.exists():
        pytest.skip("the vendor's WSDL is not here")
    client = load_client(REAL)
    yield client
    client.transport.session.close()


@pytest.fixture(params=["real_client", "compact_client"])
def till(request: pytest.FixtureRequest, sandbox: Sandbox) -> Any:
    """The SOAP service as zeep speaks it, over the vendor's WSDL and over ours."""
    return request.getfixturevalue(request.param).create_service(BINDING, sandbox.address())


@pytest.fixture
def service(compact_client: zeep.Client, sandbox: Sandbox) -> Any:
    """The SOAP service over our compact WSDL."""
    return compact_client.create_service(BINDING, sandbox.address())
