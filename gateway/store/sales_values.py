"""Which ways to pay, VAT rates, branches and turnover groups the latest sales have: what a mapping has to catch."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import date, timedelta

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from gateway.store import views
from gateway.store.sales import AMSTERDAM
from gateway.store.tables import SaleRow
from mapping.coverage import SourceValue

DAYS = 90
MOST = 5_000
"""The newest so many sales are looked through: a page has to be there at once."""


@dataclass(slots=True)
class SalesValues:
    """The values of the latest sales; `counted` of them, `is_all` if that is every one of the last `DAYS` days.

    A turnover group has no amount.
    """

    counted: int = 0
    is_all: bool = True
    tenders: dict[str, SourceValue] = field(default_factory=dict)
    vat_rates: dict[str, SourceValue] = field(default_factory=dict)
    branches: dict[str, SourceValue] = field(default_factory=dict)
    turnover_groups: dict[str, SourceValue] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SaleExample:
    """A sale with the values that a mapping is asked for."""

    number: str | None
    day: date
    cents: int
    branch: str
    branch_name: str
    tenders: tuple[tuple[str, int], ...]
    vat_rates: tuple[tuple[str, int], ...]
    turnover_groups: tuple[str, ...]


def look(session: Session, connection: str) -> SalesValues:
    """What occurs in the last `DAYS` days, or in the newest `MOST` sales of them."""
    first = views.now_of(session).astimezone(AMSTERDAM).date() - timedelta(days=DAYS)
    names = ("tenders", "vat_rates", "turnover_groups", "branch", "branch_name", "amount_cents")
    mine = and_(
        col(SaleRow.connection) == connection, col(SaleRow.day) >= first, col(SaleRow.amount_cents).is_not(None)
    )
    newest = select(*(getattr(SaleRow, name) for name in names)).where(mine)
    rows = session.execute(newest.order_by(col(SaleRow.day).desc(), col(SaleRow.id).desc()).limit(MOST)).all()
    found = SalesValues(counted=len(rows), is_all=len(rows) < MOST)
    for tenders, rates, groups, branch, branch_name, cents in rows:
        for name, part in json.loads(tenders or "[]"):
            _count(found.tenders, str(name), part)
        for rate, part in json.loads(rates or "[]"):
            _count(found.vat_rates, str(rate), part)
        for group in json.loads(groups or "[]"):
            _count(found.turnover_groups, str(group), 0)
        if branch is not None:
            _count(found.branches, str(branch), cents, branch_name)
    return found


def _count(found: dict[str, SourceValue], key: str, cents: int, name: str | None = None) -> None:
    known = found.get(key) or SourceValue(key, name or key)
    found[key] = replace(known, sales=known.sales + 1, cents=known.cents + cents)


def find_example(session: Session, connection: str, number: str = "") -> SaleExample | None:
    """The sale of this number, or without one the newest that was read."""
    mine = and_(col(SaleRow.connection) == connection, col(SaleRow.amount_cents).is_not(None))
    wanted = and_(mine, or_(col(SaleRow.number) == number, col(SaleRow.document_number) == number)) if number else mine
    newest = select(SaleRow).where(wanted).order_by(col(SaleRow.day).desc(), col(SaleRow.id).desc()).limit(1)
    row = session.execute(newest).scalar_one_or_none()
    if row is None:
        return None
    return SaleExample(
        number=row.number,
        day=row.day,
        cents=row.amount_cents or 0,
        branch=str(row.branch),
        branch_name=row.branch_name or str(row.branch),
        tenders=_to_pairs(row.tenders),
        vat_rates=_to_pairs(row.vat_rates),
        turnover_groups=tuple(map(str, json.loads(row.turnover_groups or "[]"))),
    )


def _to_pairs(stored: str | None) -> tuple[tuple[str, int], ...]:
    return tuple((str(name), int(cents)) for name, cents in json.loads(stored or "[]"))
