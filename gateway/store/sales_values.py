"""Which ways to pay, VAT rates, branches and turnover groups the latest sales have: what a mapping has to catch."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from types import MappingProxyType
from typing import Any

from sqlalchemy import and_, or_, select
from sqlmodel import Session, col

from gateway.store import views
from gateway.store.sales import AMSTERDAM
from gateway.store.tables import SaleRow
from mapping.coverage import SourceValue

DAYS = 90
MOST = 5_000
"""The newest so many sales are looked through: a page has to be there at once."""
_NONE = "[]"
_NO_NAMES: Mapping[str, str] = MappingProxyType({})


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
    counts: dict[str, dict[str, list[int]]] = {name: {} for name in ("tenders", "rates", "groups", "branches")}
    # Parsed at once: one call for each sale would cost several times as much.
    parsed = json.loads(f"[{','.join(f'[{row[0] or _NONE},{row[1] or _NONE},{row[2] or _NONE}]' for row in rows)}]")
    named = {str(row[3]): str(row[4]) for row in reversed(rows) if row[4]}
    for (tenders, rates, groups), row in zip(parsed, rows, strict=True):
        _count(counts["tenders"], tenders)
        _count(counts["rates"], rates)
        _count(counts["groups"], [(group, 0) for group in groups])
        _count(counts["branches"], [] if row[3] is None else [(row[3], row[5])])
    return SalesValues(
        counted=len(rows),
        is_all=len(rows) < MOST,
        tenders=_to_values(counts["tenders"]),
        vat_rates=_to_values(counts["rates"]),
        turnover_groups=_to_values(counts["groups"]),
        branches=_to_values(counts["branches"], named),
    )


def _count(counts: dict[str, list[int]], parts: Iterable[Sequence[Any]]) -> None:
    for key, cents in parts:
        known = counts.setdefault(str(key), [0, 0])
        known[0] += 1
        known[1] += cents


def _to_values(counts: Mapping[str, list[int]], names: Mapping[str, str] = _NO_NAMES) -> dict[str, SourceValue]:
    return {key: SourceValue(key, names.get(key, key), sales, cents) for key, (sales, cents) in counts.items()}


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
