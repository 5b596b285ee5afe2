"""The small lists of both systems as a worker last read them, for pages: the web process calls neither system."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables_of_feeds import SystemListRow
from gateway.store.upserts import upsert
from mapping.choices import ListName, ListOption


@dataclass(frozen=True, slots=True)
class KnownList:
    """A list and the moment it was read."""

    options: tuple[ListOption, ...]
    read_at: datetime


def save(session: Session, connection: str, name: ListName, options: Iterable[ListOption]) -> None:
    """Store what a list holds now."""
    values = {"options": json.dumps([_to_data(each) for each in options], ensure_ascii=False), "read_at": moment()}
    upsert(session, SystemListRow, {"connection": connection, "name": name, **values}, values)


def read(session: Session, connection: str) -> dict[ListName, KnownList]:
    """Every list of a connection that was ever read."""
    rows = session.execute(select(SystemListRow).where(col(SystemListRow.connection) == connection)).scalars()
    known = {each.value for each in ListName}
    return {
        ListName(row.name): KnownList(tuple(map(_to_option, json.loads(row.options))), row.read_at)
        for row in rows
        if row.name in known
    }


def _to_data(option: ListOption) -> Mapping[str, object]:
    said = {name: value for name, value in dataclasses.asdict(option).items() if value is not None}
    return {**said, **({"rate": str(option.rate)} if option.rate is not None else {})}


def _to_option(row: Mapping[str, object]) -> ListOption:
    known = {field.name: row[field.name] for field in dataclasses.fields(ListOption) if field.name in row}
    rate = {"rate": Decimal(str(row["rate"]))} if "rate" in row else {}
    return ListOption(**{**known, **rate})  # type: ignore[arg-type]
