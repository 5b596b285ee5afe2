"""Connections: one company of the books joined to one till installation, their settings, and what is known of both.

Secrets are sealed. Every version of a settings document (TOML) is kept; the newest is in force. Every caller notes
whether a system answers; its lists are as a worker last read them, because the web process calls neither.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from itertools import count
from typing import Any, Final

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, Engine, and_, case, func, insert, literal, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.database.sealing import Seal, SealedColumn
from gateway.database.session import writing
from gateway.database.sql import Instant, moment, upsert
from gateway.errors import Rejected
from gateway.store.rate_limits import Account, accounts_of
from gateway.store.tables import ConnectionRow, SettingsRow, SystemRow
from gateway.store.tables_of_records import FirstWebhookRow, SystemListRow
from mapping.choices import ListName, ListOption
from mapping.messages import message
from mapping.records import LineAmounts

DEFAULT = "default"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
"""What a connection may be called: it is part of addresses, metrics and commands."""
NAME_RULE = "a name is up to 40 letters, digits, dots, dashes or underscores, a letter or digit first"
FAILING_SECONDS = 40.0  # one failed call is no outage
GRACE_SECONDS = 60.0  # how much later than expected an answer may come
SEALED = ("mplus_ident_sealed", "mplus_secret_sealed", "mplus_webhook_secrets_sealed")
_PLAIN = ("realm_id", "mplus_url", "mplus_subscription_id", "live", "paused")


class Status(StrEnum):
    """Whether a connection works. A removed one has no company, no till and no tokens; its data are kept or purged.

    A status of a later release stops the connection, and nothing of it is deleted.
    """

    ACTIVE = "active"
    REMOVED = "removed"
    PURGING = "purging"


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, its secrets opened. `paused` is the reason of a pause; `live`: a person let it work.

    `name` is its key and never changes, `display_name` is the name shown.
    `line_amounts` was learnt from what the company of the books refused; it is not saved with the rest.
    """

    name: str
    realm_id: str | None = None
    mplus_url: str | None = None
    mplus_ident: str | None = None
    mplus_secret: str | None = None
    mplus_subscription_id: str | None = None
    mplus_webhook_secrets: tuple[str, ...] = ()
    live: bool = False
    paused: str | None = None
    line_amounts: LineAmounts = LineAmounts.ROUNDED
    display_name: str = field(default="", compare=False)

    def __repr__(self) -> str:
        return f"Connection({self.name!r}, realm_id={self.realm_id!r}, live={self.live})"

    @property
    def has_till(self) -> bool:
        """Whether everything is known that a call of its till needs."""
        return bool(self.mplus_url and self.mplus_ident and self.mplus_secret)


WORKING: Final = select(col(ConnectionRow.name)).where(col(ConnectionRow.live), col(ConnectionRow.paused).is_(None))
"""The keys of the connections that work: live, and not paused."""
_SHOWN: Any = func.coalesce(col(ConnectionRow.display_name), col(ConnectionRow.name))
_ACTIVE = col(ConnectionRow.status) == Status.ACTIVE
_PRESENT = col(ConnectionRow.status).not_in([Status.REMOVED, Status.PURGING])
_NAMES_LOCK = 715_302_002  # an arbitrary number: PostgreSQL's advisory lock for the names of connections


def _is(name: str) -> ColumnElement[bool]:
    return col(ConnectionRow.name) == name


def is_name(text: str) -> bool:
    return re.fullmatch(NAME, text) is not None


def save(session: Session, connection: Connection, seal: Seal) -> None:
    hooks = ",".join(connection.mplus_webhook_secrets)
    texts = dict(zip(SEALED, (connection.mplus_ident, connection.mplus_secret, hooks), strict=True))
    values = {
        **{name: getattr(connection, name) for name in _PLAIN},
        **{name: seal.seal(text, _place(connection.name, name)) if text else None for name, text in texts.items()},
        "updated_at": moment(),
    }
    shown = connection.display_name or connection.name
    fresh = {"name": connection.name, "display_name": shown, "status": Status.ACTIVE, "created_at": moment()}
    # What was learnt of one company is not valid for another.
    same = col(ConnectionRow.realm_id).is_not_distinct_from(connection.realm_id)
    learnt = case((same, col(ConnectionRow.line_amounts)), else_=LineAmounts.ROUNDED)
    upsert(session, ConnectionRow, {**fresh, **values}, {**values, "line_amounts": learnt})


def find(session: Session, name: str, seal: Seal, *, hold: bool = False) -> Connection | None:
    """The connection of this name, or None. `hold` it until then to `save` a change of it."""
    row = session.get(ConnectionRow, name, with_for_update=hold or None)
    return _open(row, seal) if row and row.status == Status.ACTIVE else None


def _rows(session: Session) -> Iterable[ConnectionRow]:
    return session.execute(select(ConnectionRow).where(_ACTIVE).order_by(col(ConnectionRow.name))).scalars()


def every(session: Session, seal: Seal) -> list[Connection]:
    return [_open(row, seal) for row in _rows(session)]


def standings(session: Session) -> list[tuple[str, str, bool, str | None]]:
    """Key, display name, whether it is live, and why it is paused, of every connection; nothing is unsealed."""
    return [(row.name, row.display_name or row.name, row.live, row.paused) for row in _rows(session)]


def with_unknown_status(session: Session) -> list[tuple[str, str]]:
    """Display name and status of the connections that only a later release can read."""
    wanted = select(_SHOWN, col(ConnectionRow.status)).where(_PRESENT, ~_ACTIVE).order_by(col(ConnectionRow.name))
    return [(str(called), str(status)) for called, status in session.execute(wanted).all()]


def names(session: Session) -> list[str]:
    """The keys of all connections, in order."""
    return list(session.scalars(select(col(ConnectionRow.name)).where(_ACTIVE).order_by(col(ConnectionRow.name))))


def choose(session: Session, wanted: str | None) -> list[str]:
    """The key of the connection with this display name, in a list of one or none; without a name all keys."""
    if wanted is None:
        return names(session)
    return [key] if (key := find_key(session, wanted)) else []


def find_key(session: Session, called: str) -> str | None:
    """The key of the connection with this display name or first name."""
    mine = (_ACTIVE, or_(called == _SHOWN, _is(called)))
    keys = {shown: name for name, shown in session.execute(select(col(ConnectionRow.name), _SHOWN).where(*mine))}
    return keys.get(called) or next(iter(keys.values()), None)


def keys_of(session: Session, called: str) -> list[str]:
    """The keys of all connections with this present or first name, removed ones included: for past events."""
    if key := find_key(session, called):
        return [key]
    found = session.scalars(select(col(ConnectionRow.name)).where(or_(called == _SHOWN, _is(called))))
    return list(found) or [called]


def display_names(session: Session) -> dict[str, str]:
    """The display names by key, removed connections included."""
    rows = session.execute(select(col(ConnectionRow.name), _SHOWN)).all()
    return {str(name): str(shown) for name, shown in rows}


def new_key(session: Session, called: str) -> str:
    """A key for a new connection. The key of a removed one is not used again while it has data."""
    used = set(session.execute(select(col(ConnectionRow.name))).scalars())
    return next(key for n in count(1) if (key := called if n == 1 else f"{called}~{n}") not in used)


def key_of_environment(session: Session) -> str:
    present = session.execute(select(col(ConnectionRow.name)).where(_PRESENT)).scalars()
    mine = [name for name in present if name.partition("~")[0] == DEFAULT]
    return min(mine, key=len) if mine else new_key(session, DEFAULT)


def hold_all(session: Session) -> None:
    """Lock every connection and every name until the caller's transaction ends.

    Call it before a connection is made or renamed: a row that does not exist yet cannot be locked.
    """
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_NAMES_LOCK)))
    session.execute(select(col(ConnectionRow.name)).order_by(col(ConnectionRow.name)).with_for_update())


def rename(session: Session, key: str, called: str) -> None:
    """Rename a connection. Nothing else changes: every row, lease, request id and sealed value uses its key."""
    _change(session, key, display_name=called)


def _change(session: Session, key: str, **values: object) -> None:
    session.execute(update(ConnectionRow).where(_is(key)).values(**values, updated_at=moment()))


def names_by_realm(session: Session) -> dict[str, str]:
    rows = session.execute(select(col(ConnectionRow.realm_id), col(ConnectionRow.name)).where(_PRESENT)).all()
    return {realm: name for realm, name in rows if realm}


def names_by_account(session: Session) -> dict[Account, list[str]]:
    found: dict[Account, list[str]] = {}
    for row in _rows(session):
        for account in accounts_of(row).values():
            found.setdefault(account, []).append(row.name)
    return found


def pause(session: Session, name: str, reason: str | None) -> None:
    _change(session, name, paused=reason)


def go_live(session: Session, name: str) -> None:
    """A person lets the connection work from now on; any pause ends."""
    _change(session, name, live=True, paused=None)


def learn_line_amounts(session: Session, name: str, amounts: LineAmounts) -> None:
    _change(session, name, line_amounts=amounts)


def is_live(session: Session, name: str) -> bool:
    return bool(session.scalar(select(col(ConnectionRow.live)).where(_is(name))))


def _place(name: str, column: str) -> SealedColumn:
    return SealedColumn("connections", column, name)


def _open(row: ConnectionRow, seal: Seal) -> Connection:
    sealed = {name: getattr(row, name) for name in SEALED}
    ident, secret, hooks = (seal.open(text, _place(row.name, name)) if text else None for name, text in sealed.items())
    return Connection(
        **{name: getattr(row, name) for name in ("name", *_PLAIN)},
        mplus_ident=ident,
        mplus_secret=secret,
        mplus_webhook_secrets=tuple(each for each in (hooks or "").split(",") if each),
        line_amounts=LineAmounts(row.line_amounts),
        display_name=row.display_name or row.name,
    )


class Outdated(Rejected):
    """Another document was put in force meanwhile; `version` is its number."""

    def __init__(self, version: int) -> None:
        super().__init__(409, message("somebody else saved meanwhile: version {version} is in force", version=version))
        self.version = version


def newest_settings(session: Session, connection: str) -> tuple[int, str] | None:
    """(version, TOML) in force, or None when the connection runs on the defaults."""
    found = settings_history(session, connection, limit=1)
    return (found[0].version, found[0].document) if found else None


def settings_history(session: Session, connection: str, *, limit: int) -> Sequence[SettingsRow]:
    """The last versions, newest first."""
    mine = select(SettingsRow).where(col(SettingsRow.connection) == connection)
    return session.execute(mine.order_by(col(SettingsRow.version).desc()).limit(limit)).scalars().all()


def find_settings(session: Session, connection: str, version: int) -> SettingsRow | None:
    wanted = and_(col(SettingsRow.connection) == connection, col(SettingsRow.version) == version)
    return session.execute(select(SettingsRow).where(wanted)).scalar_one_or_none()


def save_settings(session: Session, connection: str, document: str, *, author: str, after: int | None = None) -> int:
    """Put a checked document in force; returns its version. An identical document makes no new version.

    `after` is the version its writer edited (0: the defaults). Raises `Outdated` when another one is in force.
    """
    version, present = newest_settings(session, connection) or (0, "")
    if after is not None and after != version:
        raise Outdated(version)
    if version and present == document:
        return version
    row = {"connection": connection, "version": version + 1, "document": document, "author": author}
    try:
        session.execute(insert(SettingsRow).values(**row, created_at=moment()))
    except IntegrityError:
        # Two writers at the same moment; the other one was first.
        raise Outdated(version + 1) from None
    return version + 1


@dataclass(frozen=True, slots=True)
class Silence:
    """A system that has not answered for so long; `failure` is the error instead, None when there was none."""

    connection: str
    system: str
    seconds: float
    failure: str | None


def answered(engine: Engine, connection: str, system: str, *, again_in: float) -> None:
    """The system answered, and is called again in so many seconds."""
    due = moment(again_in + GRACE_SECONDS)
    values = {"answered_at": moment(), "overdue_at": due, "failing_since": None, "failure": None}
    with writing(engine) as session:
        upsert(session, SystemRow, {"connection": connection, "system": system, **values}, values)


def note_answers(session: Session, answers: Mapping[tuple[str, str], datetime]) -> None:
    """Systems of connections answered calls of this process at these moments; what is newer stays.

    Only who calls at fixed times begins to set when a system is overdue.
    """
    row, grace = SystemRow, timedelta(seconds=GRACE_SECONDS)
    for (connection, system), answered_at in sorted(answers.items()):
        at, due = literal(answered_at, Instant()), literal(answered_at + grace, Instant())
        values = {
            "answered_at": case((col(row.answered_at) > at, col(row.answered_at)), else_=at),
            "overdue_at": case((col(row.overdue_at) < due, due), else_=col(row.overdue_at)),
            "failing_since": case((col(row.failing_since) > at, col(row.failing_since))),
            "failure": case((col(row.failing_since) > at, col(row.failure))),
        }
        upsert(session, row, {"connection": connection, "system": system, "answered_at": at}, values)


def failed(engine: Engine, connection: str, system: str, failure: str) -> None:
    row = {"connection": connection, "system": system, "failing_since": moment(), "failure": failure}
    since = func.coalesce(col(SystemRow.failing_since), moment())
    with writing(engine) as session:
        upsert(session, SystemRow, row, {"failing_since": since, "failure": failure})


def find_silent(session: Session, now: datetime) -> list[Silence]:
    """The systems of live connections that have failed for a while, or have not answered in time."""
    failing = col(SystemRow.failing_since) < now - timedelta(seconds=FAILING_SECONDS)
    silent = and_(or_(failing, col(SystemRow.overdue_at) < now), col(SystemRow.connection).in_(WORKING))
    rows = session.execute(select(SystemRow).where(silent).order_by(col(SystemRow.connection), col(SystemRow.system)))
    found = [(row, now - (row.answered_at or row.failing_since or now)) for row in rows.scalars()]
    return [Silence(row.connection, row.system, max(0.0, age.total_seconds()), row.failure) for row, age in found]


def systems(session: Session) -> list[SystemRow]:
    return list(session.execute(select(SystemRow)).scalars())


_OPTIONS = TypeAdapter(tuple[ListOption, ...])


@dataclass(frozen=True, slots=True)
class KnownList:
    options: tuple[ListOption, ...]
    read_at: datetime


def save_list(session: Session, connection: str, name: ListName, options: Iterable[ListOption]) -> None:
    values = {"options": _OPTIONS.dump_json(tuple(options), exclude_none=True).decode(), "read_at": moment()}
    upsert(session, SystemListRow, {"connection": connection, "name": name, **values}, values)


def without_lists(session: Session) -> list[str]:
    """The live connections of which no list was ever read."""
    known, name = select(col(SystemListRow.connection)), col(ConnectionRow.name)
    live = and_(col(ConnectionRow.live), name.not_in(known), col(ConnectionRow.removed_at).is_(None))
    return list(session.execute(select(name).where(live).order_by(name)).scalars())


def read_lists(session: Session, connection: str) -> dict[ListName, KnownList]:
    rows = session.execute(select(SystemListRow).where(col(SystemListRow.connection) == connection)).scalars()
    return {
        ListName(row.name): KnownList(_OPTIONS.validate_json(row.options), row.read_at)
        for row in rows
        if row.name in set(ListName)
    }


def company_names(session: Session) -> dict[tuple[str, str], str]:
    """What the books call their company, by connection and the company's id; none before it was read."""
    rows = session.execute(select(SystemListRow).where(col(SystemListRow.name) == ListName.COMPANY)).scalars()
    found = [(row.connection, company) for row in rows for company in _OPTIONS.validate_json(row.options)]
    return {(connection, company.id): company.name for connection, company in found}


def note_webhook(session: Session, names: Iterable[str], system: str) -> None:
    """One arrived; only the first counts."""
    for connection in sorted(names):
        upsert(session, FirstWebhookRow, {"connection": connection, "system": system, "arrived_at": moment()})


def first_webhooks(session: Session, connection: str) -> dict[str, datetime]:
    """When the first one of each system arrived."""
    rows = session.execute(select(FirstWebhookRow).where(col(FirstWebhookRow.connection) == connection)).scalars()
    return {row.system: row.arrived_at for row in rows}
