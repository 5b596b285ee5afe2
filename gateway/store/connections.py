"""Connections: one company of the books joined to one till installation, with its secrets sealed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sqlalchemy import case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.rate_limits import MPLUSKASSA, QUICKBOOKS, Account
from gateway.store.sealing import Place, Seal
from gateway.store.tables import ConnectionRow
from mapping.unit_prices import LineAmounts

DEFAULT = "default"
NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$"
"""What a connection may be called: it is part of addresses, metrics and commands."""
SEALED = ("mplus_ident_sealed", "mplus_secret_sealed", "mplus_webhook_secrets_sealed")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, its secrets opened. `paused` says why nothing runs; `live` is the person's go.

    `line_amounts` was learnt from what the company of the books refused; it is not saved with the rest.
    """

    name: str
    realm_id: str | None
    mplus_url: str | None
    mplus_ident: str | None
    mplus_secret: str | None
    mplus_subscription_id: str | None
    mplus_webhook_secrets: tuple[str, ...]
    live: bool
    paused: str | None
    line_amounts: LineAmounts = LineAmounts.ROUNDED

    def __repr__(self) -> str:
        return f"Connection({self.name!r}, realm_id={self.realm_id!r}, live={self.live})"


def is_name(text: str) -> bool:
    """Whether a connection may be called so."""
    return re.fullmatch(NAME, text) is not None


def save(session: Session, connection: Connection, seal: Seal) -> None:
    """Create or replace a connection."""
    values = {
        "realm_id": connection.realm_id,
        "mplus_url": connection.mplus_url,
        "mplus_subscription_id": connection.mplus_subscription_id,
        **_seal_all(connection, seal),
        "live": connection.live,
        "paused": connection.paused,
        "updated_at": moment(),
    }
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = conflict_insert(ConnectionRow).values(name=connection.name, created_at=moment(), **values)
    # What was learnt of one company says nothing of another.
    same = col(ConnectionRow.realm_id).is_not_distinct_from(statement.excluded.realm_id)
    learnt = case((same, col(ConnectionRow.line_amounts)), else_=LineAmounts.ROUNDED)
    session.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values | {"line_amounts": learnt}))


def find(session: Session, name: str, seal: Seal, *, hold: bool = False) -> Connection | None:
    """The connection of this name, or None. Who is going to `save` what he makes of it has to `hold` it until then."""
    row = session.get(ConnectionRow, name, with_for_update=hold or None)
    return _open(row, seal) if row else None


def every(session: Session, seal: Seal) -> list[Connection]:
    """All connections, by name."""
    rows = session.execute(select(ConnectionRow).order_by(col(ConnectionRow.name))).scalars()
    return [_open(row, seal) for row in rows]


def names(session: Session) -> list[str]:
    """The names of all connections, in order."""
    return list(session.execute(select(col(ConnectionRow.name)).order_by(col(ConnectionRow.name))).scalars())


def names_by_realm(session: Session) -> dict[str, str]:
    """Which connection each company of the books belongs to."""
    rows = session.execute(select(col(ConnectionRow.realm_id), col(ConnectionRow.name))).all()
    return {realm: name for realm, name in rows if realm}


def names_by_account(session: Session) -> dict[Account, list[str]]:
    """Which connections ask each account of an outside system."""
    rows = session.execute(select(col(ConnectionRow.name), col(ConnectionRow.realm_id), col(ConnectionRow.mplus_url)))
    found: dict[Account, list[str]] = {}
    for name, realm, url in rows.all():
        for account in (Account(QUICKBOOKS, realm or ""), Account(MPLUSKASSA, url or "")):
            found.setdefault(account, []).append(name)
    return found


def pause(session: Session, name: str, reason: str | None) -> None:
    """Stop a connection's work with a reason, or let it go on with None."""
    session.execute(
        update(ConnectionRow).where(col(ConnectionRow.name) == name).values(paused=reason, updated_at=moment())
    )


def go_live(session: Session, name: str) -> None:
    """A person's go: the connection works from now on, whatever it was paused for."""
    session.execute(
        update(ConnectionRow).where(col(ConnectionRow.name) == name).values(live=True, paused=None, updated_at=moment())
    )


def learn_line_amounts(session: Session, name: str, amounts: LineAmounts) -> None:
    """Remember what the company of this connection takes as the amount of a line."""
    session.execute(
        update(ConnectionRow).where(col(ConnectionRow.name) == name).values(line_amounts=amounts, updated_at=moment())
    )


def is_live(session: Session, name: str) -> bool:
    """Whether a person let this connection go live, paused or not."""
    found = session.execute(select(col(ConnectionRow.live)).where(col(ConnectionRow.name) == name)).scalar_one_or_none()
    return bool(found)


def _seal_all(connection: Connection, seal: Seal) -> dict[str, str | None]:
    hooks = ",".join(connection.mplus_webhook_secrets)
    texts = dict(zip(SEALED, (connection.mplus_ident, connection.mplus_secret, hooks), strict=True))
    return {name: seal.seal(text, _place(connection.name, name)) if text else None for name, text in texts.items()}


def _place(name: str, column: str) -> Place:
    return Place("connections", column, name)


def _open(row: ConnectionRow, seal: Seal) -> Connection:
    sealed = {name: getattr(row, name) for name in SEALED}
    ident, secret, hooks = (seal.open(text, _place(row.name, name)) if text else None for name, text in sealed.items())
    return Connection(
        name=row.name,
        realm_id=row.realm_id,
        mplus_url=row.mplus_url,
        mplus_ident=ident,
        mplus_secret=secret,
        mplus_subscription_id=row.mplus_subscription_id,
        mplus_webhook_secrets=tuple(each for each in (hooks or "").split(",") if each),
        live=row.live,
        paused=row.paused,
        line_amounts=LineAmounts(row.line_amounts),
    )
