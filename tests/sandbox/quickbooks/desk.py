"""A simulator served for a test, with a shop in its books and a plain JSON client."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import httpx
import simplejson

from sandbox.quickbooks.app import Intuit, create_app
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.demo import new_company, tax_code_id
from sandbox.quickbooks.entities import BY_URL
from sandbox.quickbooks.simulation import Simulation
from tests.sandbox.quickbooks import xsd
from tests.servers import Served

REALM = "9341455000000001"
CLIENT_ID = "AppClientId"
CLIENT_SECRET = "AppSecret"
REDIRECT = "http://localhost:8000/oauth/quickbooks/callback"


@dataclass
class Desk:
    """One served simulation. `item_id` is stocked (10 pieces), `service_id` is not, `customer_id` is a customer."""

    simulation: Simulation
    url: str
    http: httpx.Client
    tokens: dict[str, Any]
    item_id: str
    service_id: str
    customer_id: str

    @property
    def company(self) -> Company:
        """The company's books."""
        return self.simulation.companies[REALM]

    def code(self, percent: int) -> str:
        """Id of the tax code with that rate."""
        return tax_code_id(self.company, percent)

    def call(self, method: str, path: str, body: Any = None, **params: str) -> httpx.Response:
        """One API call; a text body is a query."""
        is_text = isinstance(body, str)
        content = body.encode() if is_text else None if body is None else simplejson.dumps(body, use_decimal=True)
        headers = {
            "Authorization": f"Bearer {self.tokens['access_token']}",
            "Accept": "application/json",
            "Content-Type": "application/text" if is_text else "application/json",
        }
        address = f"{self.url}/v3/company/{REALM}/{path}"
        answer = self.http.request(method, address, content=content, headers=headers, params=params)
        if answer.status_code == httpx.codes.OK:
            self._judge(path, body, parse(answer))
        return answer

    def _judge(self, path: str, body: Any, answer: Any) -> None:
        """Every answer and every accepted request has to be what Intuit's XSDs describe."""
        assert xsd.find_differences(answer) == []
        entity = BY_URL.get(path)
        if isinstance(body, dict):
            assert xsd.find_differences(body, entity.name if entity else None) == []

    def post(self, path: str, body: Any, **params: str) -> Any:
        """A write that has to succeed; answers the parsed JSON."""
        answer = self.call("POST", path, body, **params)
        assert answer.status_code == 200, answer.text
        return parse(answer)

    def get(self, path: str, **params: str) -> Any:
        """A read that has to succeed."""
        answer = self.call("GET", path, **params)
        assert answer.status_code == 200, answer.text
        return parse(answer)

    def query(self, text: str) -> Any:
        """The QueryResponse of a statement that has to succeed."""
        return self.get("query", query=text)["QueryResponse"]

    def fault(self, path: str, body: Any, **params: str) -> dict[str, Any]:
        """The single error of a write that has to be refused."""
        return error_of(self.call("POST", path, body, **params))

    def refused_query(self, text: str) -> dict[str, Any]:
        """The single error of a query that has to be refused."""
        return error_of(self.call("GET", "query", query=text))

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the control desk."""
        answer = self.http.request(method, f"{self.url}/_control/{path}", json=body)
        assert answer.status_code == 200, answer.text
        return parse(answer)

    def line(self, amount: str, percent: int = 21, **detail: Any) -> dict[str, Any]:
        """A sales line of the service item."""
        inner = {"ItemRef": {"value": self.service_id}, "TaxCodeRef": {"value": self.code(percent)}, **detail}
        return {"Amount": Decimal(amount), "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": inner}

    def receipt(self, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The body of a sales receipt."""
        return {"CustomerRef": {"value": self.customer_id}, "Line": list(lines), **more}


def parse(answer: httpx.Response) -> Any:
    """The JSON of an answer, numbers exact."""
    return simplejson.loads(answer.content, use_decimal=True)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The single error of a refused call."""
    assert answer.status_code >= 400, answer.text
    (error,) = parse(answer)["Fault"]["Error"]
    assert isinstance(error, dict)
    return error


@contextmanager
def serve(simulation: Simulation) -> Iterator[tuple[Intuit, str]]:
    """Serve a simulation on a random loopback port; another may be put in its place."""
    app = create_app(simulation)
    served = Served(app, lifespan="on")
    try:
        yield app, served.url
    finally:
        served.stop()


def make_simulation() -> Simulation:
    """A simulation with one company and one registered app."""
    simulation = Simulation()
    simulation.switches.limits.requests_per_second = 0
    simulation.switches.deliveries.group_seconds = 0.01
    simulation.register_app(CLIENT_ID, CLIENT_SECRET, REDIRECT)
    new_company(simulation, REALM, "Koffie en Zo")
    return simulation


@contextmanager
def open_desk(simulation: Simulation, url: str) -> Iterator[Desk]:
    """A shop in the simulation's books, and a connected client."""
    tokens = simulation.connect(REALM, CLIENT_ID)
    item, service, customer = furnish(simulation)
    with httpx.Client(trust_env=False, timeout=5) as http:
        yield Desk(simulation, url, http, tokens, item["Id"], service["Id"], customer["Id"])


def furnish(simulation: Simulation) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """An inventory item, a service item and a customer."""
    names = {row["Name"]: {"value": row["Id"]} for row in simulation.rows(REALM, "Account")}
    code = {"value": tax_code_id(simulation.companies[REALM], 21)}
    mug = {
        "Name": "Mug",
        "Sku": "1001",
        "Type": "Inventory",
        "TrackQtyOnHand": True,
        "QtyOnHand": 10,
        "InvStartDate": "2024-01-01",
        "UnitPrice": Decimal("8.26"),
        "SalesTaxCodeRef": code,
        "IncomeAccountRef": names["Sales of Product Income"],
        "ExpenseAccountRef": names["Cost of Goods Sold"],
        "AssetAccountRef": names["Inventory Asset"],
    }
    service = {"Name": "Repair", "Sku": "2001", "Type": "Service", "IncomeAccountRef": names["Sales of Product Income"]}
    customer = {"DisplayName": "Jan de Vries", "PrimaryEmailAddr": {"Address": "jan@example.nl"}}
    return (
        simulation.put_item(REALM, mug),
        simulation.put_item(REALM, service),
        simulation.put_customer(REALM, customer),
    )
