"""The verbs that maintain the database: migrate, purge, and the requests of persons about their data."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from sqlalchemy.exc import OperationalError

from gateway import resealing, seeding
from gateway.cli.call import GOOD, PROBLEM, Call, Misuse, count, remark, show_json
from gateway.errors import Transient
from gateway.store import audit, installation, people, retention
from gateway.store.session import writing
from mapping.messages import message

Answer = TypeVar("Answer")
PAUSES = (0.5, 1.0, 2.0, 4.0)  # seconds; each try takes up to five more


def migrate_database(call: Call) -> int:
    """Bring the database to this code's schema, and the first connection to what the environment says.

    It may run twice or concurrently. Cursors begin here, before any endpoint opens, so that no later sale is missed.
    """
    is_new = _patiently(lambda: installation.is_empty(call.engine))
    revision = _patiently(lambda: installation.upgrade(call.engine))
    remark(f"the database is at revision {revision}")
    if is_new:
        # Without its query: a password may stand there, too.
        where = call.engine.url.set(query={}).render_as_string(hide_password=True)
        remark(f"it was empty: a new installation begins in {where}; if there is one already, correct DATABASE_URL")
    _patiently(lambda: seeding.seed(call.engine, call.settings))
    if not seeding.begin_cursors(call.engine, call.settings):
        remark("a till did not give its sync markers: its sales are followed from the first poll that succeeds")
    return GOOD


def _patiently(step: Callable[[], Answer]) -> Answer:
    """A release should not fail because all database connections were in use for a moment."""
    for pause in PAUSES:
        try:
            return step()
        except (Transient, OperationalError) as error:
            remark(f"waiting: the database cannot be used ({type(getattr(error, 'orig', None) or error).__name__})")
            time.sleep(pause)
    return step()


def forget_secrets(call: Call) -> int:
    """Clear the stored secrets that no SECRET_KEY decrypts; nothing else is changed."""
    cleared = resealing.forget(call.engine, call.seal)
    with writing(call.engine) as session:
        audit.note(
            session, actor="cli", action="forget-secrets", target=message("{count} stored secrets", count=cleared)
        )
    fix = "to do: connect QuickBooks again in the dashboard, and set MPLUS_IDENT and MPLUS_SECRET"
    said = f"cleared {count(cleared, 'stored secret')} that no SECRET_KEY opens"
    call.answer({"cleared": cleared}, said, *([fix] if cleared else []))
    return GOOD


def purge_log(call: Call) -> int:
    """Delete what is older than RETENTION_DAYS: lines of the activity log, ended events; the rest are emptied."""
    lines, events, emptied = retention.purge(call.engine, days=call.settings.retention_days)
    call.answer(
        {"deleted": lines, "events": events, "emptied": emptied},
        f"deleted {lines} lines of the activity log and {events} ended events, emptied {emptied} others",
    )
    return GOOD


def answer_person(call: Call) -> int:
    who, connection = call.arguments.email, call.arguments.connection
    unknown = f"nothing is kept about {who}; spelled differently, or never known here"
    try:
        if call.arguments.what == "export":
            found = people.export(call.engine, who, connection=connection)
            show_json(found)
            if not any(found.values()):
                remark(unknown)
            return GOOD if any(found.values()) else PROBLEM
        note = partial(audit.note, actor="cli", action="erase", target="a person")
        done = people.erase(call.engine, who, connection=connection, note=note)
    except people.Unclear as unclear:
        raise Misuse(str(unclear)) from None
    erased, documents, left = (done[name] for name in ("erased", "documents", "left"))
    call.answer(
        done,
        f"erased from {count(erased['events'], 'event')} and {count(erased['journal'], 'log line')}; "
        f"links deleted: {erased['links']}",
        f"erased from {count(erased['alerts'], 'alert')} and {count(erased['audit'], 'audit line')}",
        *(f"kept: {line}" for line in people.KEPT),
        *(f"kept: sale {d['source_id']} is {d['target']['entity']} {d['target']['id']}" for d in documents),
        *(f"left: {each['rows']} rows of {each['table']}.{each['column']}: {each['why']}" for each in left),
    )
    is_known = any(erased.values()) or documents or left
    if not is_known:
        remark(unknown)
    return PROBLEM if left or not is_known else GOOD
