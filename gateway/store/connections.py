"""Connections: one company of the books joined to one till installation, its secrets sealed, and its settings.

Every version of a settings document (TOML) is kept; the newest is in force.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, case, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlmodel import Session, col

from gateway.errors import Rejected
from gateway.store.rate_limits import Account, accounts_of
from gateway.store.sealing import Seal, SealedColumn
from gateway.store.sql import moment, upsert
from gateway.store.tables import ConnectionRow, SettingsRow
from mapping.messages import message
from mapping.records import LineAmounts

DEFAULT = "default"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
"""What a connection may be called: it is part of addresses, metrics and commands."""
NAME_RULE = "a name is up to 40 letters, digits, dots, dashes or underscores, a letter or digit first"
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


def every(session: Session, seal: Seal) -> list[Connection]:
    rows = session.execute(select(ConnectionRow).where(_ACTIVE).order_by(col(ConnectionRow.name))).scalars()
    return [_open(row, seal) for row in rows]


def standings(session: Session) -> list[tuple[str, str, bool, str | None]]:
    """Key, display name, whether it is live, and why it is paused, of every connection; nothing is unsealed."""
    columns = (col(ConnectionRow.name), _SHOWN, col(ConnectionRow.live), col(ConnectionRow.paused))
    rows = session.execute(select(*columns).where(_ACTIVE).order_by(col(ConnectionRow.name))).all()
    return [(str(row[0]), str(row[1]), bool(row[2]), row[3]) for row in rows]


def with_unknown_status(session: Session) -> list[tuple[str, str]]:
    """Display name and status of the connections that only a later release can read."""
    wanted = select(_SHOWN, col(ConnectionRow.status)).where(_PRESENT, ~_ACTIVE).order_by(col(ConnectionRow.name))
    return [(str(called), str(status)) for called, status in session.execute(wanted).all()]


def names(session: Session) -> list[str]:
    """The keys of all connections, in order."""
    found = select(col(ConnectionRow.name)).where(_ACTIVE).order_by(col(ConnectionRow.name))
    return list(session.execute(found).scalars())


def choose(session: Session, wanted: str | None) -> list[str]:
    """The key of the connection with this display name, in a list of one or none; without a name all keys."""
    if wanted is None:
        return names(session)
    key = find_key(session, wanted)
    return [key] if key else []


def find_key(session: Session, called: str) -> str | None:
    """The key of the connection with this display name or first name."""
    mine = (_ACTIVE, or_(called == _SHOWN, _is(called)))
    keys = {shown: name for name, shown in session.execute(select(col(ConnectionRow.name), _SHOWN).where(*mine))}
    return keys.get(called) or next(iter(keys.values()), None)


def keys_of(session: Session, called: str) -> list[str]:
    """The keys of all connections with this present or first name, removed ones included: for past events."""
    if key := find_key(session, called):
        return [key]
    found = select(col(ConnectionRow.name)).where(or_(called == _SHOWN, _is(called)))
    return list(session.execute(found).scalars()) or [called]


def find_past_key(session: Session, called: str) -> str | None:
    """The key of the connection with this name, removed ones included."""
    known = display_names(session)
    return keys_of(session, called)[0] if called in {*known, *known.values()} else None


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
    """Which connection each company of the books belongs to."""
    rows = session.execute(select(col(ConnectionRow.realm_id), col(ConnectionRow.name)).where(_PRESENT)).all()
    return {realm: name for realm, name in rows if realm}


def names_by_account(session: Session) -> dict[Account, list[str]]:
    found: dict[Account, list[str]] = {}
    for row in session.execute(select(ConnectionRow).where(_ACTIVE)).scalars():
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
    return bool(session.execute(select(col(ConnectionRow.live)).where(_is(name))).scalar_one_or_none())


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


# --- settings -------------------------------------------------------------------------------------------------------


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
