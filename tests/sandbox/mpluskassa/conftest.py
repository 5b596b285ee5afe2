"""A simulation, a running simulator around it, and zeep (strict) speaking to it over the real or our compact WSDL."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import zeep
from starlette.applications import Starlette
from zeep.transports import Transport

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.contract import COMPACT
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.servers import Served

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
        return ENCODING_SCHEMA if url == ENCODING else bytes(super().load(url))  # type: ignore[no-untyped-call]


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

    simulation: Simulation
    base: str

    def address(self, **credentials: str) -> str:
        known = {"ident": self.simulation.ident, "secret": self.simulation.secret}
        return f"{self.base}/?{urlencode(known | credentials)}"


SWEATER: dict[str, Any] = {
    "articleNumber": 1001,
    "description": "Trui",
    "turnoverGroup": 1,
    "vatCode": 2,
    "priceIncl": 1995,
    "stockArticle": True,
    "pluNumber": "TRUI-M",
}
BOOK: dict[str, Any] = {
    "articleNumber": 2001,
    "description": "Boek",
    "turnoverGroup": 3,
    "vatCode": 1,
    "priceIncl": 1250,
    "stockArticle": False,
}
NO_TEXTS: dict[str, Any] = {"articlePluNumbers": {}, "articleBarcodes": {}}


def stocked(clock: Clock, **options: Any) -> Simulation:
    """A simulation with a sweater (21 %, kept in stock), a book (9 %) and one customer; it checks its own answers."""
    simulation = Simulation(clock=clock, seed="test", **options)
    simulation.till.switches.check_answers = True
    for product, article in ((10, SWEATER), (20, BOOK)):
        description = article["description"]
        articles = {"articleList": {"article": [dict(article)]}}
        simulation.add_product({"productNumber": product, "description": description, **articles})
    simulation.add_relation(relationNumber=501, name="Jansen Bouw", email="info@jansenbouw.example", city="Utrecht")
    return simulation


def load_client(path: Path, transport: Transport | None = None) -> zeep.Client:
    settings = zeep.Settings(strict=True, forbid_dtd=True, forbid_external=False)
    local = transport or LocalTransport(timeout=10, operation_timeout=10)  # type: ignore[no-untyped-call]
    return zeep.Client(str(path), transport=local, settings=settings)  # type: ignore[no-untyped-call]


@pytest.fixture
def clock() -> Clock:
    return Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM))


@pytest.fixture
def simulation(clock: Clock) -> Simulation:
    return stocked(clock)


@pytest.fixture(scope="session")
def one_server() -> Iterator[tuple[Starlette, str]]:
    """One server for all tests; each test puts a simulation of its own behind it."""
    app = create_app(Simulation())
    served = Served(app)
    yield app, served.url
    served.stop()


@pytest.fixture
def sandbox(simulation: Simulation, one_server: tuple[Starlette, str]) -> Sandbox:
    app, base = one_server
    app.state.simulation = simulation
    return Sandbox(simulation, base)


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
    return compact_client.create_service(BINDING, sandbox.address())  # type: ignore[no-untyped-call]
