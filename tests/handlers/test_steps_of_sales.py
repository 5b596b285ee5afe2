"""The step that is decided for a sale from what is known of it: the table at the head of `handlers.sales.steps`."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from gateway.store.events import Event
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.sales import booking, dry_runs, orders, steps
from handlers.sales.steps import Context, Step
from mapping import sale_identity
from mapping.orders import Assessment, Posting
from mapping.records import BookedDocument, DocumentKind, Sale, SaleKind, SalesDocument
from mapping.settings_document import SettingsDocument
from tests.mapping.sales import line, receipt

SOLD = receipt(line(1, 100))
CANCELLED = dataclasses.replace(receipt(), state="RECEIPT-STATE-CANCELLED")
ORDER = dataclasses.replace(SOLD, kind=SaleKind.ORDER)
UNPAID = dataclasses.replace(SOLD, state="RECEIPT-STATE-OUTSTANDING")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
PERSON, CLOCK = "admin", "mpluskassa"
EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))
RECEIPT, INVOICE = DocumentKind.SALES_RECEIPT, DocumentKind.INVOICE
REPLACING, WITHDRAWN = BookingStatus.REPLACING, BookingStatus.WITHDRAWN


def known(sale: Sale = SOLD, *, source: str = CLOCK, booked: str | None = None, **more: Any) -> Context:
    """A context; `booked`: the sale has a link, of its content "now" or "before", or "unfinished"."""
    event = Event(**{**EMPTY, "source": source, "received_at": NOW})  # type: ignore[arg-type]
    content = {"now": sale_identity.content(sale), "unfinished": None}.get(booked or "", booked)
    of_link = {name: more.pop(name) for name in ("status", "adopted", "detail", "day") if name in more}
    of = Assessment(
        sale, SettingsDocument.model_validate({"stock": {"enabled": False}, "orders": more.pop("orders", {})})
    )
    entity = more.pop("entity", RECEIPT)
    link = Link(LinkKind.DOCUMENT, sale.id, entity, "1", "0", content, **of_link) if booked else None
    return dataclasses.replace(Context(of, event, link, None, maybe_written=False, records=()), **more)


def read(total: str = "1.00", *, voided: bool = False) -> dict[str, Any]:
    """The document in the books was read."""
    document = BookedDocument(RECEIPT, "1", "0", None, None, Decimal(total), Decimal(0), None, voided=voided)
    return {"looked": True, "read": True, "current": document}


def drafted(total: str) -> Posting:
    """The sale was mapped."""
    return Posting(SalesDocument(INVOICE, "", "1", date(2026, 11, 29), "1", (), (), Decimal(total)))


CANCEL: dict[str, Any] = {"sale": CANCELLED, "booked": "before"}
PAID: dict[str, Any] = {"booked": "before", "entity": INVOICE, "detail": {"goods": sale_identity.goods(SOLD)}}
OTHER: dict[str, Any] = {"booked": "before", "orders": {"receipt_target": "invoice"}}
GONE: dict[str, Any] = {"looked": True, "read": True}
SOUGHT: dict[str, Any] = {**GONE, "sought": True}
TABLE: list[tuple[Step, Context]] = [
    (Step.ORDER_BOOKED, known(ORDER, booked="now")),
    (Step.DEPOSITS, known(ORDER, source=PERSON)),
    (Step.SUM_UP, known(source=PERSON, booked="now", day="1/2026-11-29")),
    (Step.SUM_UP, known(orders={"summary": "day", "summary_item": "Goods"})),
    (Step.WATCH, known(entity=INVOICE, booked="now", watched=False)),
    (Step.SEARCH, known(CANCELLED, maybe_written=True)),
    (Step.LOOK, known(UNPAID, source=PERSON, booked="before")),
    (Step.SEEK, known(booked="now", status=BookingStatus.VOIDED)),
    (Step.SEEK, known(booked="before", **GONE)),
    (Step.SEEK, known(**CANCEL, **read(voided=True))),
    (Step.SEEK, known(**CANCEL, status=WITHDRAWN, **read(voided=True))),
    (Step.READ, known(**PAID)),
    (Step.READ, known(**PAID, tried=True, attempts=1, posting=drafted("2.00"))),
    (Step.READ, known(**OTHER, tried=True)),
    (Step.READ, known(booked="before", tried=True)),
    (Step.READ, known(**CANCEL, tried=True)),
    (Step.READ, known(booked="before", status=BookingStatus.VOIDED, sought=True, looked=True, source=PERSON)),
    (Step.COMPARE, known(booked="before", **read())),
    (Step.COMPARE, known(**OTHER, **read())),
    (Step.COMPARE, known(**CANCEL, **read())),
    (Step.COMPARE, known(**OTHER, status=REPLACING, **read(voided=True))),
    (Step.DRAFT, known(**PAID, **read())),
    (Step.REFUSE, known(CANCELLED, maybe_written=True, looked=True)),
    (Step.REFUSE, known(CANCELLED)),
    (Step.REFUSE, known(UNPAID, maybe_written=True)),
    (Step.REFUSE, known(CANCELLED, booked="now")),
    (Step.SKIP, known(other="booked as an order", source=PERSON)),
    (Step.BOOK, known(source=PERSON)),
    (Step.NOTHING, known(booked="now")),
    (Step.NOTHING, known(booked="now", source=PERSON, **read())),
    (Step.NOTHING, known(booked="now", source=PERSON, entity=INVOICE, adopted=True, **read())),
    (Step.RESTORE, known(booked="now", source=PERSON, entity=INVOICE, **read())),
    (Step.RELINK, known(booked="before", **SOUGHT, successor=read()["current"])),
    (Step.RELINK, known(**CANCEL, **SOUGHT, successor=read()["current"])),
    (Step.BOOK_AGAIN, known(source=PERSON, booked="before", **SOUGHT)),
    (Step.BOOK_AGAIN, known(source=PERSON, booked="before", status=WITHDRAWN, **SOUGHT)),
    (Step.REVIVE, known(source=PERSON, booked="now", sought=True, **read(voided=True))),
    (Step.REVIVE, known(booked="before", status=WITHDRAWN, **read(voided=True))),
    (Step.TRY_UNREAD, known(booked="before")),
    (Step.TRY_UNREAD, known(**CANCEL)),
    (Step.TRY_UNREAD, known(**OTHER)),
    (Step.SETTLE, known(**PAID, **read(), posting=drafted("1.00"))),
    (Step.COMPARE, known(**PAID, **read(), posting=drafted("2.00"))),
    (Step.UPDATE, known(**PAID, **read(), posting=drafted("2.00"), edited=False)),
    (Step.UPDATE, known(booked="before", **read(), edited=False)),
    (Step.UPDATE, known(booked="before", status=WITHDRAWN, **read(), edited=False)),
    (Step.REPLACE, known(**OTHER, **read(), edited=False)),
    (Step.REPLACE, known(**OTHER, status=REPLACING, **GONE)),
    (Step.WITHDRAW, known(**CANCEL, **read(), edited=False)),
    (Step.LEAVE_GONE, known(**CANCEL, **SOUGHT)),
    (Step.PARK_UNBOOKABLE, known(UNPAID, booked="before", source=PERSON, looked=True)),
    (Step.PARK_ADOPTED, known(booked="before", adopted=True)),
    (Step.PARK_ADOPTED, known(**CANCEL, adopted=True)),
    (Step.PARK_EDITED, known(booked="before", **read(), edited=True)),
    (Step.PARK_EDITED, known(**OTHER, **read(), edited=True)),
    (Step.PARK_EDITED, known(**CANCEL, **read(), edited=True)),
    (Step.PARK_GONE, known(booked="before", **SOUGHT)),
    (Step.PARK_GONE, known(booked="before", status=REPLACING, **SOUGHT)),
]
PARK = {"changed": "park", "cancelled": "park"}
TABLE_OF_PARK: list[tuple[Step, Context]] = [
    (Step.READ, known(booked="unfinished", orders=PARK)),
    (Step.CHECK, known(booked="unfinished", **read(), orders=PARK)),
    (Step.COMPARE, known(booked="unfinished", **read(), unchanged=True, orders=PARK)),
    (Step.PARK_CHANGED, known(booked="unfinished", **read(), unchanged=False, orders=PARK)),
    (Step.PARK_CHANGED, known(booked="before", source=PERSON, **read(), orders=PARK)),
    (Step.PARK_CHANGED, known(booked="before", orders={**PARK, "receipt_target": "invoice"})),
    (Step.PARK_CANCELLED, known(**CANCEL, orders=PARK)),
    (Step.SETTLE, known(**PAID, **read(), posting=drafted("1.00"), orders=PARK)),
    (Step.UPDATE, known(**PAID, **read(), posting=drafted("2.00"), edited=False, orders=PARK)),
]


def name(value: object) -> str:
    """A name of a case."""
    return value.name if isinstance(value, Step) else ""


@pytest.mark.parametrize(("step", "context"), TABLE, ids=name)
def test_the_step_follows_from_what_is_known(step: Step, context: Context) -> None:
    assert steps.decide(context) is step


@pytest.mark.parametrize(("step", "context"), TABLE_OF_PARK, ids=name)
def test_the_step_of_a_changed_sale_if_changes_are_parked(step: Step, context: Context) -> None:
    assert steps.decide(context) is step


def test_a_booked_sale_that_the_settings_leave_out_now_stays_as_it_is() -> None:
    assert steps.decide(known(booked="before", orders={"receipts": False})) is Step.REFUSE


def test_the_table_of_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", steps.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in Step]
    assert {step for step, _ in (*TABLE, *TABLE_OF_PARK)} == set(Step)


def test_every_step_of_a_sale_is_taken_by_a_function() -> None:
    assert orders.LOADS.keys() | orders.ACTS.keys() == set(Step)
    assert not orders.LOADS.keys() & orders.ACTS.keys()


def test_a_dry_run_knows_every_step_of_a_sale() -> None:
    tables = (dry_runs.LOADS, dry_runs.WITHOUT_PLAN, dry_runs.PLANS)
    assert sorted(step.name for table in tables for step in table) == sorted({*Step.__members__} - {"REFUSE"})


def test_the_table_of_stages_names_every_stage_in_order() -> None:
    table = re.findall(r"^\| `(\w+)` \|", booking.__doc__ or "", re.MULTILINE)
    stages = (*booking.PREPARE, *booking.BOOK, *booking.FINISH)
    assert table == [*(stage.__name__ for stage in stages), "compare"]
