"""What a start sets right in the database: the first connection from the environment, and secrets sealed with old keys.

A deployment configured by variables alone is live at once. Safe to run at every start of every process: `seed` changes
nothing that is already set. After a rotation of SECRET_KEY the clock seals everything again; a wrong key prevents the
start.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import structlog
from sqlalchemy import ColumnElement, Engine, and_, select, update
from sqlmodel import Session, col

from gateway.database.sealing import Seal, SealedColumn
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.errors import AUTH_LOST, GatewayError
from gateway.settings import Settings, SettingsError
from gateway.store import agreements, connections, cursors, inbox, requests, tokens
from gateway.store.connections import DEFAULT, Connection
from gateway.store.tables import ConnectionRow, SigningKeyRow, TokenRow
from mapping import settings_document

LOCKED = "it was sealed with a SECRET_KEY that is lost"
_SEALED = (
    (ConnectionRow, "name", connections.SEALED),
    (TokenRow, "connection", tokens.SEALED),
    (SigningKeyRow, "public_key", agreements.SEALED),
)
_log = structlog.get_logger(__name__)


def seed(engine: Engine, settings: Settings) -> None:
    """Set the default connection from the environment, and its settings document from SETTINGS_FILE.

    Raises `SettingsError` when SETTINGS_FILE cannot be used; every other fault of the document is listed in it.
    """
    seal = Seal(settings.secret_keys)
    document = _document(settings)
    check_keys(engine, seal)  # raises before anything is written
    with writing(engine) as session:
        key = connections.key_of_environment(session)
        now = connections.find(session, key, seal, hold=True)
        wanted = _wanted(settings, now, key, DEFAULT if connections.find_key(session, DEFAULT) is None else key)
        if fresh := wanted is not None and wanted != now:
            connections.save(session, wanted, seal)
        token = settings.quickbooks_refresh_token
        is_new = bool(token) and tokens.save_first(session, key, token, seal)
        if is_new or fresh:
            inbox.requeue_parked(session, connection=key, code=AUTH_LOST)
        if document is not None:
            version = connections.save_settings(session, key, document, author="SETTINGS_FILE")
            # No system is called at a start: a worker checks it, and reports what it finds.
            requests.request_check(session, key, version, checked=False)


def _wanted(settings: Settings, now: Connection | None, key: str, called: str) -> Connection | None:
    """The connection the environment describes, based on the stored one; None when it describes none."""
    if not (settings.mplus_url or settings.quickbooks_realm_id):
        return now
    known = now or Connection(key, live=True, display_name=called)
    return replace(
        known,
        realm_id=settings.quickbooks_realm_id or known.realm_id,
        mplus_url=settings.mplus_url or known.mplus_url,
        mplus_ident=settings.mplus_ident or known.mplus_ident,
        mplus_secret=settings.mplus_secret or known.mplus_secret,
        mplus_subscription_id=settings.mplus_subscription_id or known.mplus_subscription_id,
        mplus_webhook_secrets=settings.mplus_webhook_secrets or known.mplus_webhook_secrets,
        # A connection in set-up by hand goes live by a person, unless the environment names its till.
        live=bool(settings.mplus_url) or known.live,
    )


def _document(settings: Settings) -> str | None:
    if not settings.settings_file:
        return None
    try:
        text = Path(settings.settings_file).read_text("utf-8")
        settings_document.parse(text)
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError("SETTINGS_FILE", f"should be a readable TOML file ({type(error).__name__})") from None
    except settings_document.DocumentError as error:
        raise SettingsError("SETTINGS_FILE", f"should be a valid settings document; {error}") from None
    return text


def begin_cursors(engine: Engine, settings: Settings) -> bool:
    """Start the cursors of live connections that have none now: no sale from now on is missed.

    Returns False when a till did not answer; its first poll starts them then.
    """
    seal = Seal(settings.secret_keys)
    with reading(engine) as session:
        every = [c for c in connections.every(session, seal) if c.mplus_url and c.live]
        fresh = [c for c in every if not cursors.find(session, c.name, cursors.RECEIPTS)]
    silent = 0
    for connection in fresh:
        from gateway.connectors.mpluskassa.client import MplusKassa  # its SOAP library is slow to import, seldom needed

        till = MplusKassa(connection.mplus_url or "", connection.mplus_ident or "", connection.mplus_secret or "")
        try:
            markers = till.sync_markers()
        except GatewayError as error:
            _log.warning("the till's markers could not be read", connection=connection.name, reason=error.reason)
            silent += 1
            continue
        with writing(engine) as session:
            cursors.begin(session, connection.name, markers, at=datetime.now(UTC))
    return not silent


# --- sealed values ---


@dataclass(frozen=True, slots=True)
class _Found:
    """A sealed value and the row it is in."""

    table: type[Any]
    key: str
    place: SealedColumn
    sealed: str

    def is_there(self) -> ColumnElement[bool]:
        """The row, unless the value was replaced."""
        same = getattr(self.table, self.place.column) == self.sealed
        return and_(same, col(getattr(self.table, self.key)) == self.place.owner)


def check_keys(engine: Engine, seal: Seal) -> None:
    """Raises `Permanent` when something stored cannot be opened with the keys there are; changes nothing."""
    with reading(engine) as session:
        for found in _find_sealed(session):
            seal.open(found.sealed, found.place)


def reseal(engine: Engine, seal: Seal) -> int:
    """Seal again what is not sealed with the newest key for its place; returns the number of values.

    Raises `Permanent` like `check_keys`, before any of it. A value that is replaced meanwhile (a refreshed token) is
    left as it is.
    """
    check_keys(engine, seal)
    with reading(engine) as session:
        stale = [found for found in _find_sealed(session) if not seal.is_newest(found.sealed, found.place)]
    for found in stale:
        again = seal.seal(seal.open(found.sealed, found.place), found.place)
        with writing(engine) as session:
            session.execute(update(found.table).where(found.is_there()).values({found.place.column: again}))
    return len(stale)


def forget_locked(engine: Engine, seal: Seal) -> int:
    """Clear what none of the keys opens, after a key was lost; returns the number of values. All other data stay.

    An authorisation that is cleared counts as lost, and a refresh token of the environment may be planted again.
    """
    with reading(engine) as session:
        locked = [found for found in _find_sealed(session) if not seal.fits(found.sealed, found.place)]
    for found in locked:
        lost = {"lost": LOCKED, "lost_code": None, "lost_at": moment(), "seed": None} if found.table is TokenRow else {}
        with writing(engine) as session:
            session.execute(update(found.table).where(found.is_there()).values({found.place.column: None} | lost))
    return len(locked)


def _find_sealed(session: Session) -> Iterator[_Found]:
    for table, key, columns in _SEALED:
        for column in columns:
            for owner, sealed in session.execute(select(getattr(table, key), getattr(table, column))).all():
                if sealed:
                    yield _Found(table, key, SealedColumn(str(table.__tablename__), column, str(owner)), str(sealed))
