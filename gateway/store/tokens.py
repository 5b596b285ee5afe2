"""OAuth tokens at rest: sealed, refreshed by exactly one process, the rotated one stored before it is used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Engine, and_, bindparam, case, func, select, true, update
from sqlmodel import Session, col

from gateway.database.sealing import Seal, SealedColumn, digest
from gateway.database.session import writing
from gateway.database.sql import change, moment, upsert
from gateway.store import connections, leases
from gateway.store.tables import ConnectionRow, InboxRow, TokenRow

LEASE_SECONDS = 45.0
AGAIN_AFTER, AGAIN_FOR = timedelta(seconds=15), timedelta(days=1)
_SHARE, _SELDOM = 4, timedelta(minutes=15)  # calls that were refused are tried more often: that costs nothing
RECONNECT: Final = "open /connect/quickbooks and connect the company again; parked work then goes on by itself"
REFUSED: Final = (
    "see in QuickBooks whether its subscription and the rights of the user who connected it are in order; the gateway "
    "asks again by itself and goes on with what is parked; if that does not help, connect the company again"
)
SEALED = ("access_sealed", "refresh_sealed")


LOST: Final = select(col(TokenRow.connection)).where(col(TokenRow.lost).is_not(None))
"""The keys of the connections whose login QuickBooks has refused."""
AUTHORISED: Final = and_(col(TokenRow.refresh_sealed).is_not(None), col(TokenRow.lost).is_(None))
"""`is_authorised` in SQL."""

# Read before every call of QuickBooks, and built once: building it would cost more than the database does.
_ROWS = TokenRow.__table__  # type: ignore[attr-defined]
_FIND = select(_ROWS).where(_ROWS.c.connection == bindparam("of"))
_FIND_AND_HOLD = _FIND.with_for_update()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The tokens of a connection. `lost` is the reason they do not work.

    Then a person must reconnect, or, where there is a `lost_code`, QuickBooks refuses calls although the login is good.
    """

    access: str | None
    access_expires_at: datetime | None
    refresh: str | None
    refresh_expires_at: datetime | None
    lost: str | None = None
    lost_code: str | None = None
    hard_expires_at: datetime | None = None

    def __repr__(self) -> str:
        return f"Tokens(access_expires_at={self.access_expires_at}, lost={self.lost!r})"


def find(session: Session, connection: str, seal: Seal, *, hold: bool = False) -> Tokens | None:
    """The tokens of a connection, or None when it was never authorised; nobody changes what is on `hold` meanwhile."""
    row = session.execute(_FIND_AND_HOLD if hold else _FIND, {"of": connection}).one_or_none()
    if row is None:
        return None
    sealed = {name: getattr(row, name) for name in SEALED}
    access, refresh = (seal.open(text, _place(connection, name)) if text else None for name, text in sealed.items())
    return Tokens(
        access=access,
        access_expires_at=row.access_expires_at,
        refresh=refresh,
        refresh_expires_at=row.refresh_expires_at,
        lost=row.lost,
        lost_code=row.lost_code if row.lost else None,  # a release before this column clears `lost` alone
        hard_expires_at=row.hard_expires_at,
    )


def every(session: Session) -> dict[str, TokenRow]:
    """Each connection's tokens, still sealed."""
    return {row.connection: row for row in session.execute(select(TokenRow)).scalars()}


def save(session: Session, connection: str, tokens: Tokens, seal: Seal) -> None:
    """Store the newest tokens; the connection is authorised again."""
    values = _to_values(connection, tokens, seal)
    upsert(session, TokenRow, {"connection": connection, **values}, values)


def replace(session: Session, connection: str, tokens: Tokens, seal: Seal) -> bool:
    """Store the result of a refresh; False when the connection has no tokens any more, because it was removed."""
    mine = update(TokenRow).where(col(TokenRow.connection) == connection)
    return change(session, mine.values(**_to_values(connection, tokens, seal))) > 0


def _to_values(connection: str, tokens: Tokens, seal: Seal) -> dict[str, Any]:
    plain = ("access_expires_at", "refresh_expires_at", "hard_expires_at", "lost", "lost_code")
    texts = dict(zip(SEALED, (tokens.access, tokens.refresh), strict=True))
    return {
        **{name: seal.seal(text, _place(connection, name)) if text else None for name, text in texts.items()},
        **{name: getattr(tokens, name) for name in plain},
        **({"lost_at": None} if tokens.lost is None else {}),
        "updated_at": moment(),
    }


def save_first(session: Session, connection: str, refresh: str, seal: Seal) -> bool:
    """Store a refresh token of the environment, once: a token stored before does not replace newer ones."""
    seed = digest(refresh)
    row = session.get(TokenRow, connection)
    if row is not None and row.seed == seed:
        return False
    save(session, connection, Tokens(None, None, refresh, None), seal)
    session.execute(update(TokenRow).where(col(TokenRow.connection) == connection).values(seed=seed))
    return True


def mark_refused(session: Session, connection: str, reason: str, code: str | None = None) -> None:
    """Record that the tokens do not work, and when that was found first, and last.

    How long calls were refused before does not count for a login, which is sent again for so long only.
    """
    is_same = true() if code else and_(col(TokenRow.lost).is_not(None), col(TokenRow.lost_code).is_(None))
    lost_at = func.coalesce(case((is_same, col(TokenRow.lost_at))), moment())
    values = {"lost": reason, "lost_code": code, "lost_at": lost_at, "updated_at": moment()}
    session.execute(update(TokenRow).where(col(TokenRow.connection) == connection).values(**values))


def note_attempt(session: Session, connection: str) -> None:
    """What was lost was tried again, without success. A login that somebody made meanwhile stays good."""
    mine = and_(col(TokenRow.connection) == connection, col(TokenRow.lost).is_not(None))
    session.execute(update(TokenRow).where(mine).values(updated_at=moment()))


def accept(session: Session, connection: str) -> None:
    """QuickBooks takes calls again. Until the next refresh, it is known since when it did not."""
    values = {"lost": None, "lost_code": None, "updated_at": moment()}
    session.execute(update(TokenRow).where(col(TokenRow.connection) == connection).values(**values))


def retry_at_once(session: Session, events: Sequence[int]) -> None:
    """A person tries these events again: the next attempt of their connections that are refused is due at once."""
    theirs = select(col(InboxRow.connection)).where(col(InboxRow.id).in_(events))
    refused = and_(col(TokenRow.connection).in_(theirs), col(TokenRow.lost_code).is_not(None))
    session.execute(update(TokenRow).where(refused).values(updated_at=moment(-_SELDOM.total_seconds())))


def find_refused(session: Session) -> list[str]:
    """Connections whose refused refresh token, or call, is to be sent once more: QuickBooks refuses good ones at times.

    That is after `AGAIN_AFTER`, then each time after twice as long, for as long as `AGAIN_FOR`; a call after a
    quarter more time each, and at least every `_SELDOM`, until it is accepted.
    """
    removed = select(col(ConnectionRow.name)).where(col(ConnectionRow.status) != connections.Status.ACTIVE)
    kept = and_(col(TokenRow.refresh_sealed).is_not(None), col(TokenRow.connection).not_in(removed))
    lost = and_(col(TokenRow.lost).is_not(None), col(TokenRow.lost_at).is_not(None))
    shown = (col(TokenRow.connection), col(TokenRow.lost_code), col(TokenRow.lost_at), col(TokenRow.updated_at))
    due = []
    for name, code, first, tried, now in session.execute(select(*shown, moment()).where(lost, kept)):
        lasted, waited = tried - first, now - tried
        is_due_login = waited >= max(AGAIN_AFTER, lasted) and lasted + waited < AGAIN_FOR
        if is_due_again(lasted, waited) if code else is_due_login:
            due.append(name)
    return due


def is_due_again(lasted: timedelta, waited: timedelta) -> bool:
    """Whether to repeat a refused call that at the last attempt had been refused for so long."""
    return waited >= max(AGAIN_AFTER, min(lasted / _SHARE, _SELDOM))


def find_idle(session: Session, *, seconds: float) -> list[str]:
    """Connections whose tokens were not refreshed for so long, the lost ones left out."""
    idle = and_(AUTHORISED, col(TokenRow.updated_at) < moment(-seconds))
    return list(session.execute(select(col(TokenRow.connection)).where(idle)).scalars())


def take(engine: Engine, connection: str) -> str | None:
    """Take the lease to refresh; None while another process has it."""
    with writing(engine) as session:
        return leases.take(session, connection, "token refresh", seconds=LEASE_SECONDS)


def release(engine: Engine, lease: str) -> None:
    with writing(engine) as session:
        leases.release(session, lease)


def _place(connection: str, column: str) -> SealedColumn:
    return SealedColumn("tokens", column, connection)


STAGES = (0, 7, 30)
"""Days before the expiry at which a person is asked, each once."""


def find_refusal(session: Session, connection: str) -> str | None:
    """The fault code with which QuickBooks refuses calls although the login is good; None if it does not."""
    # A release before this column clears `lost` alone.
    mine = and_(col(TokenRow.connection) == connection, col(TokenRow.lost).is_not(None))
    found = select(col(TokenRow.lost_code)).where(mine)
    return session.execute(found).scalar_one_or_none()


def is_authorised(token: TokenRow | None) -> bool:
    return token is not None and token.refresh_sealed is not None and token.lost is None


def ends_at(token: TokenRow) -> datetime | None:
    """The earlier of the refresh token's expiry and the fixed limit that no refresh moves; None when unknown."""
    return min((end for end in (token.refresh_expires_at, token.hard_expires_at) if end is not None), default=None)


def stage_of(token: TokenRow, now: datetime) -> int | None:
    """The reminder that is due: 30, 7 or 0 days; None while none is, or where the authorisation is lost."""
    end = ends_at(token)
    if end is None or token.lost is not None:
        return None
    return next((days for days in STAGES if end - now <= timedelta(days=days)), None)
