"""A shop's morning as rows: what a dashboard shows after some hours of trade."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import Engine

from gateway.database.sealing import Seal
from gateway.database.session import writing
from gateway.store import audit, claims, connections, counts, cursors, inbox, links, records, sales, tokens
from gateway.store.audit import Entry
from gateway.store.connections import Connection
from gateway.store.counts import BookedDayRow, HourRow
from gateway.store.events import Change, Flow, Outcome, State
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordFacts, RecordKind
from gateway.store.sales import AMSTERDAM, SaleFacts
from gateway.store.tokens import Tokens
from mapping.choices import ListName, ListOption
from mapping.side_by_side import SaleSide, SideLine
from tests.claiming import finish

SEEN = [
    RecordFacts(
        RecordKind.CUSTOMER,
        "relation:4412",
        code="anna@example.nl",
        books_id="77",
        books_name="Anna de Vries",
        till_number="4412",
        till_name="Anna de Vries",
        fields=[
            {
                "field": "display_name",
                "value": "Anna de Vries",
                "present": "Anna de Vries",
                "source": "name",
                "kept": None,
            },
            {
                "field": "phone",
                "value": "030 123 45 67",
                "present": "030 765 43 21",
                "source": "telephone",
                "kept": None,
            },
        ],
    ),
    RecordFacts(
        RecordKind.PRODUCT,
        "17",
        code="100017",
        books_id="17",
        books_name='Oude kaas <script>alert("x")</script>',
        till_number="100017",
        till_name="Oude kaas 48+",
        active=True,
        changed_at=datetime(2026, 11, 20, 10, tzinfo=UTC),
        written=True,
        fields=[
            {
                "field": "description",
                "value": "Oude kaas",
                "present": "Oude kaas 48+",
                "source": "Name",
                "kept": "the till has nothing there",
            },
            {"field": "price_incl_cents", "value": 1895, "present": 1995, "source": "UnitPrice", "kept": None},
            {"field": "active", "value": True, "present": True, "source": "Active", "kept": None},
        ],
        stock=[
            {
                "branch": branch,
                "on_hand": "12",
                "unposted": "2",
                "estimates": "0",
                "value": "10",
                "present": present,
                "formula": "available - reserved",
            }
            for branch, present in ((1, "10"), (2, "7.5"))
        ],
    ),
    RecordFacts(RecordKind.PRODUCT, "21", code="100021", books_id="21", books_name="Brie", active=False),
]
TOKEN, KEY = "an-admin-token-of-good-length", "a-secret-key-of-good-length"
FLOWED = [
    (Flow.ORDERS, "Receipt", "1.2.2026.3451", {"order_id": "1.2.2026.3451", "target": ("SalesReceipt", "1204")}),
    (Flow.PRODUCTS, "Item", "17", {"sku": "100017", "target": ("Article", "100017")}),
    (Flow.STOCK, "Item", "17", {"sku": "100017", "target": ("Article", "100017")}),
    (Flow.CUSTOMERS, "Relation", "4412", {"email": "anna@example.nl", "target": ("Customer", "77")}),
    (Flow.ORDERS, "Invoice", "20260087", {"order_id": "20260087", "target": ("Invoice", "1203")}),
    (Flow.ORDERS, "Receipt", "1.2.2026.3450", {"order_id": "1.2.2026.3450", "target": ("SalesReceipt", "1202")}),
    (Flow.ORDERS, "TillInvoice", "20260088", {"order_id": "20260088", "target": ("Invoice", "1205")}),
    (Flow.PRODUCTS, "Item", "21", {"sku": "100021", "target": ("Article", "100021")}),
]
LISTS: dict[ListName, list[ListOption]] = {
    ListName.PAYMENT_METHODS: [ListOption("1", "PIN"), ListOption("2", "Cash"), ListOption("3", "Gift card")],
    ListName.TAX_CODES: [ListOption("10", "21% BTW", rate=Decimal(21)), ListOption("11", "9% BTW", rate=Decimal(9))],
    ListName.ACCOUNTS: [ListOption("80", "Kas", kind="Bank"), ListOption("81", "Omzet kaas", kind="Income")],
    ListName.LOCATIONS: [ListOption("5", "Winkel Utrecht"), ListOption("6", "Winkel Breda")],
    ListName.CLASSES: [],
    ListName.TERMS: [ListOption("7", "14 dagen", days=14)],
    ListName.VAT_CODES: [ListOption("1", "9 %", rate=Decimal(9)), ListOption("2", "21 %", rate=Decimal(21))],
    ListName.TENDERS: [ListOption("PIN", "PIN"), ListOption("CONTANT", "Contant"), ListOption("BON", "Cadeaubon")],
    ListName.BRANCHES: [ListOption("1", "Winkel Amersfoort"), ListOption("2", "Winkel Utrecht")],
    ListName.TURNOVER_GROUPS: [
        ListOption("1", "Boeken en cadeaus", kind="TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
        ListOption("2", "Kaas", kind="TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
    ],
    ListName.ARTICLE_GROUPS: [ListOption("40", "Webshop")],
    ListName.CATEGORIES: [ListOption("60", "Food", full="Food"), ListOption("61", "Kaas", full="Food:Kaas")],
}
SOLD: dict[str, tuple[str | None, int]] = {"Receipt": (None, 2450), "TillInvoice": ("Bakkerij Jansen & Zn.", 123450)}


def to_facts(number: str, customer: str | None, cents: int, *, cheese: int = 2) -> SaleFacts:
    """A sale of today: most of it by card, two euros in cash. Its lines are some cheese, and the rest a basket."""
    tenders = (("PIN", cents - 200), ("Contant", 200))
    today = datetime.now(AMSTERDAM).date()
    return SaleFacts(
        *(
            number,
            today,
            2,
            "Winkel Utrecht",
            customer,
            cents,
            round(cents * 21 / 121),
            tenders,
            (("21", cents),),
            (2,),
        ),
        side=to_side(cents, cheese=cheese, names=("Oude kaas 48+", "Geschenkmand"), tenders=tenders),
    )


def to_side(
    cents: int, *, cheese: int, names: tuple[str, str], tenders: tuple[tuple[str, int], ...] = (), more: int = 0
) -> SaleSide:
    """A side with two lines at two rates, and what only the books have."""
    low, day = cheese * 750, datetime.now(AMSTERDAM).date().isoformat()
    vat = round(cents * 21 / 121)
    lines = [
        SideLine(names[0], "100017", "KAAS-48", str(cheese), low, "9"),
        SideLine(names[1], "100021", None, "1", cents - vat - low, "21"),
        *([SideLine("Afronding contant", "90", None, None, more, "0")] if more else []),
    ]
    return SaleSide(day, cents + more, vat, (("9", 135), ("21", vat - 135)), tenders, lines=tuple(lines))


def fill(engine: Engine) -> None:
    seal = Seal([KEY])
    with writing(engine) as session:
        shop = Connection(
            "default", "4620816365", "https://api.mpluskassa.nl:12345", "i", "s", "sub", ("eA==",), True, None
        )
        connections.save(session, shop, seal)
        later = datetime.now(UTC) + timedelta(days=90)
        tokens.save(session, "default", Tokens("a", later, "r", later), seal)
        cursors.ensure(session, "default", "receipts", "1")
    lease = cursors.take(engine, "default", "receipts")
    assert lease
    cursors.release(engine, "default", "receipts", lease)
    for number, (flow, entity, entity_id, known) in enumerate(FLOWED):
        _flow(engine, number, flow, entity, entity_id, known)
    park(engine, "1.2.2026.3452", cents=8995, code="no-item", reason=NO_ITEM)
    for system in ("mpluskassa", "quickbooks"):
        connections.answered(engine, "default", system, again_in=900)
    with writing(engine) as session:
        for name, options in LISTS.items():
            connections.save_list(session, "default", name, options)
        for days in range(25):
            for branch in (1, 2):
                of: dict[str, Any] = {
                    "connection": "default",
                    "day": datetime.now(AMSTERDAM).date() - timedelta(days=days),
                }
                sums: dict[str, Any] = {"sales": 20, "cents": 90_000 + (days * 37_111 + branch * 7_919) % 80_000}
                session.add(BookedDayRow(**of, branch=branch, **sums))
            for what, reads in (("cdc", 90), ("Item", days * 3), ("SalesReceipt", 24)):
                day = datetime.now(UTC).date() - timedelta(days=days)
                counts.add_reads(session, "default", day=day, what=what, reads=reads + 1)
        for hours in range(100):
            at = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours)
            session.add(HourRow(connection="default", at=at, lag_seconds=hours * 7 % 40, causes=hours % 3))
        records.record_seen(session, "default", SEEN)
        waiting = Change("w", Flow.ORDERS, "poll", "Receipt", "1.2.2026.3453", "default", order_id="1.2.2026.3453")
        inbox.receive(session, [waiting])


def _flow(engine: Engine, number: int, flow: Flow, entity: str, entity_id: str, known: Any) -> None:
    with writing(engine) as session:
        (row,) = inbox.receive(session, [Change(f"k{number}", flow, "webhook", entity, entity_id, "default")])
    event = claims.claim(engine, row.id)
    assert event
    target = known.pop("target") if "target" in known else ("", "")
    facts = {**known, "target_entity": target[0], "target_id": target[1]}
    known["target"] = target
    with writing(engine) as session:
        audit.write_log(session, [("default", row.id, LOG)])
        outcome = Outcome(State.DONE, facts=facts)
        finish(session, event, outcome)
        if entity in SOLD:
            document = {"document_number": f"R{entity_id}"}
            links.save(session, "default", Link(LinkKind.DOCUMENT, entity_id, target[0], target[1], detail=document))
            customer, cents = SOLD[entity]
            if customer:  # it was rung up with less cheese first
                sales.record(session, event, outcome, {entity_id: to_facts(entity_id, customer, cents - 907, cheese=1)})
            found = {entity_id: to_facts(entity_id, customer, cents)}
            names = ("Oude kaas", "Geschenkmand")
            booked = to_side(cents, cheese=2, names=names, more=-2 if customer else 0)
            sales.record(session, event, outcome, found, lambda *_: booked)


LOG = [
    Entry("received", "webhook of the till: completeSession", system="mpluskassa"),
    Entry("read", "receipt 1.2.2026.3451, 3 lines", system="mpluskassa", detail={"total": "24.50"}, milliseconds=84),
    Entry("decided", "a sales receipt: paid at once, by card"),
    Entry("sent", "SalesReceipt K-3451", system="quickbooks", detail={"DocNumber": "K-3451"}, milliseconds=213),
    Entry("answered", "created as 1204, total 24.50 agrees", system="quickbooks"),
]


NO_ITEM = "receipt 1.2.2026.3452 sells SKU 100044, which is no item in QuickBooks"


def park(engine: Engine, number: str, *, cents: int, code: str, reason: str) -> None:
    """A sale that waits for a person."""
    change = Change(number, Flow.ORDERS, "poll", "Receipt", number, "default", order_id=number)
    with writing(engine) as session:
        (row,) = inbox.receive(session, [change])
    event = claims.claim(engine, row.id)
    assert event
    fix = "create the item in QuickBooks, or choose a fallback item in the settings; then retry"
    entries = [*LOG[:2], Entry("failed", reason)]
    with writing(engine) as session:
        audit.write_log(session, [("default", row.id, entries)])
        outcome = Outcome(State.PARKED, reason=reason, code=code, record=f"receipt {number}", field="SKU", fix=fix)
        finish(session, event, outcome)
        sales.record(session, event, outcome, {number: to_facts(number, None, cents)})
