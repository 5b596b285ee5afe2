"""The step that is decided for a sale from what is known of it: the table at the head of `handlers.sales.orders`."""

from __future__ import annotations

import dataclasses
import re
from datetime import UTC, datetime

import pytest

from gateway.store.events import Event
from gateway.store.links import BookingStatus, Link, LinkKind
from handlers.sales import orders
from handlers.sales.orders import Context, Step
from mapping import sale_identity
from mapping.errors import NotBookable
from mapping.records import Sale, SaleKind
from mapping.sections import OrderSettings
from tests.mapping.sales import line, receipt

SOLD = receipt(line(1, 100))
CANCELLED = dataclasses.replace(receipt(), state="RECEIPT-STATE-CANCELLED")
ORDER = dataclasses.replace(SOLD, kind=SaleKind.ORDER)
REFUSAL = NotBookable("not to be booked", record="sale 1", field="orders")
NOW = datetime(2026, 11, 29, tzinfo=UTC)
PERSON, CLOCK = "admin", "mpluskassa"
EMPTY = dict.fromkeys(field.name for field in dataclasses.fields(Event))


def known(
    sale: Sale = SOLD,
    *,
    source: str = CLOCK,
    hint: str | None = None,
    booked: str | None = None,
    status: BookingStatus = BookingStatus.BOOKED,
    **more: object,
) -> Context:
    """A context; `booked`: the sale has a link, of its content "now" or "before"."""
    event = Event(**{**EMPTY, "source": source, "hint": hint, "received_at": NOW})  # type: ignore[arg-type]
    content = sale_identity.content(sale) if booked == "now" else booked
    link = Link(LinkKind.DOCUMENT, sale.id, "SalesReceipt", "1", "0", content, status=status) if booked else None
    first = Context(sale, event, link, None, None, summed_up=False, maybe_written=False, records=())
    return dataclasses.replace(first, **more)  # type: ignore[arg-type]


DRY = '{"dry_run": true}'
TABLE: list[tuple[Step, Context]] = [
    (Step.ORDER_PREVIEW, known(ORDER, source=PERSON, hint=DRY)),
    (Step.ORDER_BOOKED, known(ORDER, booked="now")),
    (Step.DEPOSITS, known(ORDER, source=PERSON)),
    (Step.SUM_UP, known(summed_up=True, source=PERSON, hint=DRY, booked="now")),
    (Step.PREVIEW, known(source=PERSON, hint=DRY, booked="now", refusal=REFUSAL)),
    (Step.BOOK, known(hint=DRY)),
    (Step.LOOK, known(source=PERSON, booked="before", refusal=REFUSAL)),
    (Step.SEARCH, known(CANCELLED, refusal=REFUSAL, maybe_written=True)),
    (Step.REFUSE, known(CANCELLED, refusal=REFUSAL, maybe_written=True, looked=True)),
    (Step.REFUSE, known(CANCELLED, refusal=REFUSAL)),
    (Step.REFUSE, known(refusal=REFUSAL, maybe_written=True)),
    (Step.REFUSE, known(CANCELLED, refusal=REFUSAL, booked="now")),
    (Step.WITHDRAW, known(CANCELLED, refusal=REFUSAL, booked="before")),
    (Step.PARK, known(refusal=REFUSAL, booked="before", source=PERSON, looked=True)),
    (Step.SKIP, known(other="booked as an order", source=PERSON)),
    (Step.BOOK, known(source=PERSON)),
    (Step.RELINK, known(booked="now", status=BookingStatus.VOIDED)),
    (Step.AGAIN, known(source=PERSON, booked="before", status=BookingStatus.DELETED, looked=True)),
    (Step.FOLLOW, known(booked="before", status=BookingStatus.WITHDRAWN)),
    (Step.FOLLOW, known(source=PERSON, booked="before", looked=True)),
    (Step.RESTORE, known(source=PERSON, booked="now", looked=True)),
    (Step.NOTHING, known(booked="now")),
]


@pytest.mark.parametrize(("step", "context"), TABLE, ids=lambda value: value.name if isinstance(value, Step) else "")
def test_the_step_follows_from_what_is_known(step: Step, context: Context) -> None:
    assert orders.decide(context, OrderSettings()) is step


def test_a_booked_sale_that_the_settings_leave_out_now_stays_as_it_is() -> None:
    settings = OrderSettings(receipts=False)
    assert orders.decide(known(refusal=REFUSAL, booked="before"), settings) is Step.REFUSE


def test_the_table_of_steps_names_every_step_once() -> None:
    table = re.findall(r"^\| ([A-Z_]+) \|", orders.__doc__ or "", re.MULTILINE)
    assert table == [step.name for step in Step]
    assert {step for step, _ in TABLE} == set(Step)
