"""The three histories of a chaos as plain values: what senders saw acknowledged, what arrived, what we stored."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date

Money = Mapping[tuple[str, ...], int]
"""Cents by cell: branch, day, then "net" or "VAT" and the rate, or "paid" and the method."""


@dataclass(frozen=True, slots=True)
class Row:
    """An event as we stored it. `leased`: somebody works on it, and may until its lease ends."""

    id: int
    key: str
    state: str
    leased: bool = False
    reason: str | None = None
    fix: str | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale of the till as it stands. `counts` is false for what was emptied and what adds up to nothing."""

    id: str
    name: str
    branch: int
    day: date
    counts: bool
    money: Money = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Entry:
    """A document or payment that stands in the books; `sale` is the one its note names, `note` all of it."""

    entity: str
    id: str
    sale: str | None
    note: str
    money: Money = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Twin:
    """A record of one system, what it should be in the other, and everything there under its key."""

    what: str
    key: str
    wanted: str
    found: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class History:
    """All that is known after a chaos. `acknowledged` are the keys of events their senders saw acknowledged.

    `texts` are the places where no secret may stand, by name; `agreed` is what the gateway's own report says.
    """

    acknowledged: frozenset[str] = frozenset()
    rows: tuple[Row, ...] = ()
    sales: tuple[Sale, ...] = ()
    entries: tuple[Entry, ...] = ()
    twins: tuple[Twin, ...] = ()
    texts: Mapping[str, bytes] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    agreed: str | None = None
