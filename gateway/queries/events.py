"""Events: the log of one."""

from __future__ import annotations

import json

from sqlalchemy import select
from sqlmodel import Session, col

from gateway.store.audit import Entry
from gateway.store.tables import JournalRow


def read_log(session: Session, event_id: int) -> list[Entry]:
    rows = session.execute(select(JournalRow).where(col(JournalRow.event_id) == event_id).order_by(col(JournalRow.id)))
    return [
        Entry(r.kind, r.title, r.system, json.loads(r.detail) if r.detail else None, r.milliseconds, r.at, r.messages)
        for r in rows.scalars()
    ]
