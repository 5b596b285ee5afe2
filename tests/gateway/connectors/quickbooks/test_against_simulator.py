"""The client against the simulated books: what it writes is accepted, found again, and done once."""

from __future__ import annotations

import queue
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.connectors.quickbooks.auth import OAuth, TokenPair
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.connectors.quickbooks.webhook import Hint, find_signature, is_authentic, parse
from gateway.errors import (
    AuthLost,
    Conflict,
    DuplicateName,
    DuplicateNumber,
    NotFound,
    Permanent,
    RateLimited,
    Transient,
    Unanswered,
)
from mapping.records import (
    BooksPayment,
    Customer,
    DocumentKind,
    DocumentTax,
    PaymentLink,
    PostalAddress,
    SalesDocument,
    TaxCode,
)
from sandbox.quickbooks.app import create_app
from sandbox.quickbooks.demo import new_company
from sandbox.quickbooks.simulation import Simulation
from tests.gateway.connectors.quickbooks.sales import line, sale

REALM = "9341455000000001"
REDIRECT = "http://localhost:8000/oauth/quickbooks/callback"
ALL_KINDS = pytest.mark.parametrize("kind", list(DocumentKind))
VAT = "NL123456789B01"


@dataclass
class Purse:
    """Tokens kept in memory, renewed for real."""

    oauth: OAuth
    pair: TokenPair
    refused: list[str] = field(default_factory=list)

    def access(self) -> str:
        return self.pair.access

    def renew(self, rejected: str) -> str:
        if rejected == self.pair.access:
            self.pair = self.oauth.refresh(self.pair.refresh)
        return self.pair.access

    def refuse(self, code: str) -> None:
        self.refused.append(code)


@dataclass
class Shop:
    """The books of a Dutch shop, a client of them, and what a document of theirs needs."""

    simulation: Simulation
    books: QuickBooks
    oauth: OAuth
    purse: Purse
    item_id: str
    customer_id: str
    bank_id: str
    code: TaxCode

    def sale(self, kind: DocumentKind = DocumentKind.SALES_RECEIPT, *, vat: str = "21.00") -> SalesDocument:
        taxes = (DocumentTax(self.code.id, Decimal(100), Decimal(vat), Decimal(21), self.code.rate_id),)
        lines = (line(item_id=self.item_id, tax_code_id=self.code.id, quantity=Decimal(4), unit_price=Decimal(25)),)
        plain = sale(kind, customer_id=self.customer_id, deposit_account_id=self.bank_id)
        return replace(plain, lines=lines, taxes=taxes, total=Decimal(100) + Decimal(vat))

    def written(self, entity: str) -> int:
        """How often something of this kind was really written through the API."""
        effects = self.simulation.ledger.effects
        return sum(effect.entity == entity and effect.source == "api" for effect in effects)


@pytest.fixture
def shop(serve: Callable[..., str], http: httpx.Client) -> Shop:
    simulation = Simulation()
    simulation.switches.limits.requests_per_second = 0
    simulation.register_app("app", "app-secret", REDIRECT)
    new_company(simulation, REALM, "De Fietsenwinkel")
    income = simulation.find(REALM, "Account", Name="Sales of Product Income")
    bank = simulation.find(REALM, "Account", Name="Bank")
    assert income
    assert bank
    item = {"Name": "Pomp", "Sku": "1001", "Type": "Service", "IncomeAccountRef": {"value": income["Id"]}}
    item_id = simulation.put_item(REALM, item)["Id"]
    customer_id = simulation.put_customer(REALM, {"DisplayName": "Balieverkoop"})["Id"]
    url = serve(create_app(simulation))
    oauth = OAuth(
        http,
        client_id="app",
        client_secret="app-secret",
        authorize_url=f"{url}/connect/oauth2",
        token_url=f"{url}/oauth2/v1/tokens/bearer",
        revoke_url=f"{url}/v2/oauth2/tokens/revoke",
    )
    purse = Purse(oauth, oauth.refresh(simulation.connect(REALM, "app")["refresh_token"]))
    books = QuickBooks(http, base_url=url, realm_id=REALM, tokens=purse)
    (code,) = [one for one in books.tax_table().on(date(2026, 8, 1)) if one.percentage == 21]
    return Shop(simulation, books, oauth, purse, item_id, customer_id, bank["Id"], code)


def test_the_company_and_its_lists_are_read(shop: Shop) -> None:
    profile = shop.books.company()
    assert (profile.name, profile.country, profile.home_currency) == ("De Fietsenwinkel", "NL", "EUR")
    assert profile.custom_document_numbers
    assert {one.percentage for one in shop.books.tax_table().on(date(2026, 8, 1))} == {None, 0, 9, 21}
    assert [one.name for one in shop.books.entries("Department")] == ["Amsterdam", "Utrecht"]
    assert [one.due_days for one in shop.books.entries("Term")] == [14]
    assert "Income" in {one.type for one in shop.books.entries("Account")}
    assert shop.books.create_entry("PaymentMethod", "Bon", "r1") in shop.books.entries("PaymentMethod")


def test_items_are_found_every_way(shop: Shop) -> None:
    pump = shop.books.item(shop.item_id)
    assert pump.sku == "1001"
    assert shop.books.items_by_sku("1001") == (pump,)
    assert shop.books.items_by_ids([shop.item_id, "999"]) == (pump,)
    assert shop.books.items_page(1, 1000) == (pump,)
    assert shop.books.count("Item") == 1
    with pytest.raises(NotFound):
        shop.books.item("999")


def test_an_item_made_inactive_is_still_found_under_its_own_name(shop: Shop) -> None:
    shop.simulation.put(REALM, "Item", {"Id": shop.item_id, "Active": False})
    (found,) = shop.books.items_by_sku("1001")
    assert (found.active, found.name) == (False, "Pomp")
    assert shop.books.items_page(1, 1000) == ()
    assert len(shop.books.items_page(1, 1000, include_inactive=True)) == 1


def test_a_customer_is_created_found_and_changed_without_losing_anything(shop: Shop) -> None:
    address = PostalAddress(("Dorpsstraat 1",), "3511 AA", "Utrecht", "NLD")
    jan = Customer("Jan's: Fietsen", email="jan@x.nl", phone="030-1", vat_number=VAT, billing=address)
    created = shop.books.create_customer(jan, "r1")
    assert shop.books.create_customer(jan, "r1") == created
    assert shop.books.customers_by_name("Jan's: Fietsen") == (created,)
    changed = shop.books.update_customer(
        Customer(created.display_name, id=created.id, sync_token=created.sync_token, mobile="06-1"), "r2"
    )
    (found,) = shop.books.customers_by_email("jan@x.nl")
    assert (found.mobile, found.phone, found.vat_number, found.billing) == ("06-1", "030-1", VAT, address)
    assert found.sync_token == changed.sync_token != created.sync_token
    with pytest.raises(DuplicateName):
        shop.books.create_customer(jan, "r3")
    with pytest.raises(Conflict):
        shop.books.update_customer(replace(created, phone="030-2"), "r4")


@ALL_KINDS
def test_every_document_is_created_changed_and_deleted(shop: Shop, kind: DocumentKind) -> None:
    document = shop.sale(kind)
    booked = shop.books.create_document(document, "r1")
    assert (booked.total, booked.tax) == (Decimal(121), Decimal(21))
    assert "mplus:R-1" in str(booked.private_note)
    assert shop.books.document(kind, booked.id) == booked
    assert shop.books.documents_by_number(kind, [document.document_number, "other"]) == (booked,)
    assert shop.books.documents_on(kind, document.business_date) == (booked,)
    updated = shop.books.update_document(
        replace(shop.sale(kind, vat="21.01"), private_note="changed"),
        "r2",
        document_id=booked.id,
        sync_token=booked.sync_token,
    )
    assert (updated.id, updated.total) == (booked.id, Decimal("121.01"))
    shop.books.delete_document(kind, booked.id, updated.sync_token, "r3")
    with pytest.raises(NotFound):
        shop.books.document(kind, booked.id)
    assert shop.books.documents_by_number(kind, [document.document_number]) == ()


@ALL_KINDS
def test_a_voided_document_stays_with_nothing_in_it(shop: Shop, kind: DocumentKind) -> None:
    booked = shop.books.create_document(shop.sale(kind), "r1")
    voided = shop.books.void_document(kind, booked.id, booked.sync_token, "r2")
    assert (voided.id, voided.total, voided.voided) == (booked.id, Decimal(0), True)
    assert not booked.voided


@pytest.mark.parametrize("vat", ["20.97", "21.00", "21.03"])
def test_the_tills_own_tax_is_booked_to_the_cent(shop: Shop, vat: str) -> None:
    document = shop.sale(vat=vat)
    assert shop.books.create_document(document, "r1").total == document.total
    unknown = replace(document, document_number="2", taxes=tuple(replace(tax, rate_id=None) for tax in document.taxes))
    assert shop.books.create_document(unknown, "r2").total == Decimal(121)


@pytest.mark.parametrize("mode", ["lost_reply", "truncate"])
def test_61_a_receipt_whose_answer_was_lost_is_booked_once(shop: Shop, mode: str) -> None:
    shop.simulation.injected.plan("POST salesreceipt", mode)
    with pytest.raises(Unanswered):
        shop.books.create_document(shop.sale(), "r1")
    again = shop.books.create_document(shop.sale(), "r1")
    assert shop.books.documents_by_number(again.kind, ["1.1.2026.123"]) == (again,)
    assert shop.written("SalesReceipt") == 1


@pytest.mark.parametrize("mode", ["reset", "error_500", "error_503", "html_502"])
def test_59_a_failure_before_the_work_is_repaired_by_the_same_repeat(shop: Shop, mode: str) -> None:
    shop.simulation.injected.plan("*", mode, times=2)
    with pytest.raises(Unanswered):
        shop.books.create_document(shop.sale(), "r1")
    with pytest.raises(Transient):
        shop.books.item(shop.item_id)
    shop.books.create_document(shop.sale(), "r1")
    assert shop.written("SalesReceipt") == 1


def test_59_a_throttled_write_was_not_done(shop: Shop) -> None:
    for _ in range(2):
        shop.simulation.injected.plan("POST salesreceipt", "throttle")
    with pytest.raises(RateLimited):
        shop.books.create_document(shop.sale(), "r1")
    assert shop.written("SalesReceipt") == 0


def test_a_number_that_is_taken_names_the_document_that_has_it(shop: Shop) -> None:
    booked = shop.books.create_document(shop.sale(), "r1")
    with pytest.raises(DuplicateNumber) as raised:
        shop.books.create_document(shop.sale(), "r2")
    assert raised.value.existing_id == booked.id


def test_closed_books_say_so(shop: Shop) -> None:
    shop.simulation.set_preference(REALM, "AccountingInfoPrefs", "BookCloseDate", "2026-12-31")
    assert shop.books.company().books_closed_through == date(2026, 12, 31)
    with pytest.raises(Permanent) as raised:
        shop.books.create_document(shop.sale(), "r1")
    assert raised.value.code == "6210"


def test_an_invoice_is_paid_by_two_tenders_and_opened_again(shop: Shop) -> None:
    invoice = shop.books.create_document(shop.sale(DocumentKind.INVOICE), "r1")
    for number, amount in enumerate([Decimal(100), Decimal(21)], start=2):
        links = (PaymentLink("Invoice", invoice.id, amount),)
        day = invoice.business_date or date(2026, 8, 1)
        shop.books.create_payment(
            BooksPayment(shop.customer_id, amount, day, links, payment_reference=f"P-{number}"), f"r{number}"
        )
    assert shop.books.document(DocumentKind.INVOICE, invoice.id).balance == 0
    (second,) = shop.books.payments_by_reference(["P-3"])
    assert second.links == (PaymentLink("Invoice", invoice.id, Decimal(21)),)
    assert len(list(shop.books.payments_between(second.business_date, second.business_date))) == 2
    assert shop.books.void_payment(str(second.id), str(second.sync_token), "r4").voided
    assert shop.books.document(DocumentKind.INVOICE, invoice.id).balance == 21


def test_what_changed_and_what_was_deleted_is_captured(shop: Shop) -> None:
    since = datetime.now(UTC) - timedelta(minutes=1)
    kept = shop.books.create_document(shop.sale(), "r1")
    gone = shop.books.create_document(replace(shop.sale(), document_number="2"), "r2")
    shop.books.delete_document(gone.kind, gone.id, gone.sync_token, "r3")
    found = shop.books.changes(["SalesReceipt", "Item"], since)
    receipts = {(one.id, one.deleted) for one in found.changes if one.entity == "SalesReceipt"}
    assert receipts == {(kept.id, False), (gone.id, True)}
    assert since < found.as_of
    assert not found.possibly_truncated


def test_64_an_expired_token_is_renewed_in_the_middle_of_work(shop: Shop) -> None:
    before = shop.purse.pair
    shop.simulation.grants.expire_accesses(REALM)
    assert shop.books.item(shop.item_id).sku == "1001"
    assert shop.purse.pair.access != before.access
    assert shop.purse.pair.family_expires_at is not None


def test_66_a_connection_that_was_ended_is_lost(shop: Shop) -> None:
    shop.simulation.grants.end_realm(REALM)
    with pytest.raises(AuthLost):
        shop.books.item(shop.item_id)


def test_a_revoked_connection_is_lost_too(shop: Shop) -> None:
    assert shop.oauth.revoke(shop.purse.pair.refresh)
    with pytest.raises(AuthLost):
        shop.oauth.refresh(shop.purse.pair.refresh)


@pytest.mark.parametrize("shape", ["cloudevents", "legacy"])
def test_28_what_the_books_deliver_is_authentic_and_readable(shop: Shop, serve: Callable[..., str], shape: str) -> None:
    delivered: queue.Queue[tuple[bytes | None, bytes]] = queue.Queue()

    async def receive(request: Request) -> Response:
        delivered.put((find_signature(request.headers.raw), await request.body()))
        return Response()

    sink = serve(Starlette(routes=[Route("/hook", receive, methods=["POST"])]))
    deliveries = shop.simulation.switches.deliveries
    deliveries.verifier, deliveries.format, deliveries.group_seconds = "verifier", shape, 0.01
    deliveries.url = f"{sink}/hook"
    shop.books.create_document(shop.sale(), "r1")
    signature, body = delivered.get(timeout=5)
    assert is_authentic(body, signature, ["other", "verifier"]) == 1
    hints = [one for one in parse(body) if isinstance(one, Hint)]
    assert ("SalesReceipt", "Create", REALM) in {(one.entity, one.operation, one.account) for one in hints}
