"""Renaming and removing a connection, for the web, the command line and the clock, which completes removals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

import httpx
from sqlalchemy import Engine
from sqlmodel import Session

from gateway.connectors.http import Limits, open_http
from gateway.connectors.quickbooks.auth import OAuth
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.errors import GatewayError, Rejected
from gateway.privacy import retention
from gateway.settings import Settings
from gateway.store import audit, connections, tokens
from gateway.store.connections import DEFAULT, Status
from mapping.messages import message

_PATIENCE = Limits(read=8.0, total=10.0)
DISCONNECT = "disconnect the app in QuickBooks: Apps, My apps"


class Data(StrEnum):
    """What happens to the data of a removed connection."""

    KEEP = "keep"
    PURGE = "purge"


@dataclass(frozen=True, slots=True)
class RemovalResult:
    """The result of a removal. `revoked` is None where there were no tokens; `trouble` is the reason they were not."""

    name: str
    data: Data
    ended: int
    revoked: bool | None
    trouble: str | None


def rename(session: Session, called: str, wanted: str, *, actor: str) -> str:
    """Rename a connection and audit it; returns its key. Raises `Rejected` 404, 400, 409."""
    connections.hold_all(session)  # two renames at once must not choose one name
    key = connections.find_key(session, called)
    if key is None:
        raise Rejected(404, message("there is no connection {name}", name=called))
    if not connections.is_name(wanted):
        raise Rejected(400, connections.NAME_RULE)
    owner = connections.find_key(session, wanted)
    if owner not in {None, key}:
        # Nor the first name of another connection: old links must not lead to another shop.
        raise Rejected(409, message("another connection is called {name}, or was called so at first", name=wanted))
    before = connections.display_names(session)[key]
    connections.rename(session, key, wanted)
    audit.note(
        session, actor=actor, action="rename", target=message("connection {name}, now {new}", name=before, new=wanted)
    )
    return key


def remove(engine: Engine, settings: Settings, called: str, data: Data, *, actor: str) -> RemovalResult:
    """Remove a connection, or purge the data of a removed one. Raises `Rejected` 404, 409.

    Its tokens are revoked at Intuit if Intuit answers. Data are purged by the clock (`follow`).
    """
    seal = Seal(settings.secret_keys)
    with writing(engine) as session:
        key = connections.find_key(session, called) or ""
        if not key and data is Data.PURGE:
            left = (each for each in retention.find_removed(session) if each.status is Status.REMOVED)
            key = next((each.key for each in left if each.called == called), "")
        if not key:
            raise Rejected(404, message("there is no connection {name}", name=called))
        if key == DEFAULT and (settings.mplus_url or settings.quickbooks_realm_id):
            raise Rejected(
                409,
                "the environment describes this connection and would make it again: first take MPLUS_URL, "
                "QUICKBOOKS_REALM_ID and what belongs to them out of it, then restart",
            )
        retention.begin_removal(session, key, Status.PURGING if data is Data.PURGE else Status.REMOVED)
        target = message("connection {name}, data: {data}", name=called, data=message(data))
        audit.note(session, actor=actor, action="remove", target=target)
    with reading(engine) as session:
        gone = next(each for each in retention.find_removed(session) if each.key == key)
    revoked, trouble = _revoke(engine, settings, seal, gone)
    return RemovalResult(gone.called, data, retention.end_work(engine, gone), revoked, trouble)


def _revoke(engine: Engine, settings: Settings, seal: Seal, gone: retention.Removed) -> tuple[bool | None, str | None]:
    """One attempt; then the tokens are deleted in any case, so that they cannot be used again."""
    if not gone.has_tokens:
        return None, None
    trouble: str | None = None
    try:
        with reading(engine) as session:
            held = tokens.find(session, gone.key, seal)
        if held is None or not held.refresh:
            return None, None
        with open_http() as http:
            open_oauth(http, settings, limits=_PATIENCE).revoke(held.refresh)
    except GatewayError as error:
        trouble = f"{error.reason}; {DISCONNECT}"
    finally:
        with writing(engine) as session:
            retention.drop_tokens(session, gone.key)
            how = message("not revoked: {trouble}", trouble=trouble) if trouble else message("revoked")
            target = message("connection {name}", name=gone.called)
            audit.note(session, actor="gateway", action="revoke", target=target, reason=how)
    return trouble is None, trouble


def follow(engine: Engine, settings: Settings, *, stopped: Callable[[], bool] = lambda: False) -> int:
    """Close late events of removals, revoke what a killed process left, purge; returns the number of purged rows."""
    purged = 0
    with reading(engine) as session:
        left = retention.find_removed(session)
    for gone in left:
        if gone.has_tokens and gone.is_late:
            _revoke(engine, settings, Seal(settings.secret_keys), gone)
        retention.end_work(engine, gone)
        if gone.status is Status.PURGING:
            for count in retention.purge_removed(engine, gone):
                purged += count
                if stopped():
                    break
    return purged


def open_oauth(http: httpx.Client, settings: Settings, *, limits: Limits = Limits()) -> OAuth:
    return OAuth(
        http,
        client_id=settings.quickbooks_client_id,
        client_secret=settings.quickbooks_client_secret,
        authorize_url=settings.quickbooks_authorize_url,
        token_url=settings.quickbooks_token_url,
        revoke_url=settings.quickbooks_revoke_url,
        limits=limits,
    )
