"""The token manager of a connection: one process refreshes, the rotated token is stored before it is used."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine

from gateway.connectors.quickbooks.auth import OAuth, TokenPair
from gateway.connectors.quickbooks.faults import BY_CODE, UNAUTHORISED
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.errors import AUTH_LOST, AuthLost, NotConnected, Permanent, Transient, Unanswered
from gateway.store import connections, inbox, tokens
from gateway.store.tokens import Tokens

MARGIN = timedelta(seconds=30)  # clocks differ; a token that ends within this is not used any more
WAIT_SECONDS = 30.0
LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class TokenManager:
    """The access token of one connection, for the QuickBooks client (its `TokenSource`).

    `before_refresh` is called before this thread refreshes the tokens, or waits until another one has.
    """

    engine: Engine
    connection: str
    refresher: OAuth
    seal: Seal
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    before_refresh: Callable[[], None] = lambda: None

    def access(self) -> str:
        """A token that is valid for `MARGIN`. Raises `AuthLost` when a person must reconnect, `Transient` else."""
        return self._fresher_than(None) or self.renew(None)

    def renew(self, stale: str | None) -> str:
        """A token other than `stale`: another process's fresh one, or our own refresh. One process at a time."""
        self.before_refresh()
        deadline = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < deadline:
            if fresh := self._fresher_than(stale):
                return fresh
            if lease := tokens.take(self.engine, self.connection):
                try:
                    # The process that had the lease before may have stored a fresh token.
                    return self._fresher_than(stale) or self._refresh()
                finally:
                    tokens.release(self.engine, lease)
            time.sleep(LOOK_SECONDS)
        raise Transient("another process is refreshing the QuickBooks token and has not finished", code="refreshing")

    def refuse(self, code: str) -> None:
        """QuickBooks refuses calls with a fresh token: until `try_again` finds it accepts them, none is sent."""
        row = BY_CODE.get(code, UNAUTHORISED)
        with writing(self.engine) as session:
            tokens.mark_refused(session, self.connection, row.meaning, row.code)

    def is_refused(self) -> bool:
        """Whether QuickBooks refuses calls although the login is good."""
        with reading(self.engine) as session:
            return tokens.find_refusal(session, self.connection) is not None

    def try_again(self, try_token: Callable[[str], None]) -> bool:
        """Send once more what was refused; if it is accepted, what was parked for it goes on.

        `try_token` makes a call with a token and raises what it is answered. Raises `Transient`, and `Permanent` for
        any other refusal than of the login: these are attempts too.
        """
        lease = tokens.take(self.engine, self.connection)
        if lease is None:
            return False
        try:
            token = self._refresh()
            if self.is_refused():
                try_token(token)
                with writing(self.engine) as session:
                    tokens.accept(session, self.connection)
                    inbox.requeue_parked(session, connection=self.connection, code=AUTH_LOST)
        except (AuthLost, Transient, Permanent, Unanswered) as error:
            with writing(self.engine) as session:
                tokens.note_attempt(session, self.connection)
            if isinstance(error, AuthLost):
                return False
            raise
        finally:
            tokens.release(self.engine, lease)
        return True

    def _stored(self) -> Tokens:
        """The tokens, refused or not."""
        with reading(self.engine) as session:
            held = tokens.find(session, self.connection, self.seal)
        if held is None or not (held.refresh or held.lost):
            fix = "connect QuickBooks in the set-up of the connection; what waits for it then goes on by itself"
            raise NotConnected("QuickBooks was never connected", code=AUTH_LOST, record=self._name(), fix=fix)
        if not held.refresh:
            raise self._lost(held.lost or "")
        return held

    def _lost(self, reason: str, fix: str = tokens.RECONNECT) -> AuthLost:
        return AuthLost(reason, code=AUTH_LOST, record=self._name(), fix=fix)

    def _name(self) -> str:
        """The connection as messages name it, by its present name."""
        with reading(self.engine) as session:
            return f"connection {connections.display_names(session).get(self.connection, self.connection)}"

    def _fresher_than(self, stale: str | None) -> str | None:
        """The stored token, if it is another one and can be used. Raises `AuthLost` when a person must reconnect."""
        held = self._stored()
        if held.lost:
            raise self._lost(held.lost, fix=tokens.REFUSED if held.lost_code else tokens.RECONNECT)
        usable = held.access_expires_at is not None and held.access_expires_at - MARGIN > self.now()
        return held.access if usable and held.access != stale else None

    def _refresh(self, used: str | None = None) -> str:
        held = self._stored()
        refresh = held.refresh or ""
        try:
            pair = self.refresher.refresh(refresh)
        except AuthLost as lost:
            now_held = self._stored().refresh
            if now_held and now_held not in {refresh, used}:
                return self._refresh(used=refresh)  # another process rotated it: once more with the stored one
            with writing(self.engine) as session:
                tokens.mark_refused(session, self.connection, lost.reason)
            raise
        # Whether QuickBooks takes calls again is still to be seen.
        fresh = replace(to_tokens(pair), lost=held.lost if held.lost_code else None, lost_code=held.lost_code)
        with writing(self.engine) as session:
            now = tokens.find(session, self.connection, self.seal, hold=True)
            if is_ours := now is None or now.refresh == refresh:
                kept = tokens.replace(session, self.connection, fresh, self.seal)
                if held.lost and not held.lost_code:
                    inbox.requeue_parked(session, connection=self.connection, code=AUTH_LOST)
        if not is_ours:
            return self._refresh()  # somebody connected again: that login takes the place of this one
        if not kept:
            raise AuthLost("the connection was removed", code=AUTH_LOST, record=self._name())
        return pair.access


def to_tokens(pair: TokenPair) -> Tokens:
    return Tokens(
        pair.access,
        pair.access_expires_at,
        pair.refresh,
        pair.refresh_expires_at,
        hard_expires_at=pair.family_expires_at,
    )
