"""OAuth as a book of grants: apps, codes, refresh tokens that rotate, access tokens that expire."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from typing import Any

from sandbox.quickbooks.clock import Clock
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.switches import Switches

SCOPE = "com.intuit.quickbooks.accounting"
REFRESH_SECONDS = 8_726_400
HARD_SECONDS = 157_680_000
_DAY = 86_400


class Denied(Exception):
    """The token endpoint refuses: OAuth `error`, an optional description, the HTTP status."""

    def __init__(self, error: str, description: str | None = None, status: int = 400) -> None:
        super().__init__(error)
        self.error = error
        self.description = description
        self.status = status


@dataclass(frozen=True, slots=True)
class App:
    """An app registered with Intuit. A redirect address "*" admits any address (demo only)."""

    client_id: str
    client_secret: str
    redirect_uris: tuple[str, ...]


@dataclass
class Code:
    """An authorization code: single use, short lived."""

    client_id: str
    realm: str
    redirect_uri: str
    expires: float
    grant: str | None = None


@dataclass
class Grant:
    """One connection of an app to a company, and its newest refresh token."""

    client_id: str
    realm: str
    started: float
    refresh_token: str
    refresh_issued: float
    refresh_expires: float
    alive: bool = True


@dataclass
class Access:
    """An access token."""

    grant: str
    expires: float


@dataclass
class Grants:
    """All of OAuth's memory. Tokens are made from the seed and a counter: deterministic, never guessable in use."""

    clock: Clock
    switches: Switches
    seed: str
    apps: dict[str, App] = field(default_factory=dict)
    codes: dict[str, Code] = field(default_factory=dict)
    grants: dict[str, Grant] = field(default_factory=dict)
    refreshes: dict[str, str] = field(default_factory=dict)
    accesses: dict[str, Access] = field(default_factory=dict)
    issued: int = 0

    # --- the browser's side ---

    def find_app(self, client_id: str) -> App | None:
        """The app, or None."""
        return self.apps.get(client_id)

    def approve(self, client_id: str, realm: str, redirect_uri: str) -> str:
        """The user pressed Connect: a code for this app, company and address."""
        code = self._mint("XAB")
        expires = self.clock.seconds() + self.switches.code_seconds
        self.codes[code] = Code(client_id, realm, redirect_uri, expires)
        return code

    # --- the token endpoint ---

    def exchange(self, app: App, code: str, redirect_uri: str) -> Json:
        """A code for tokens. A second use is refused and ends the grant the first one made."""
        known = self.codes.get(code)
        if known is None or known.client_id != app.client_id or self.clock.seconds() > known.expires:
            raise Denied("invalid_grant")
        if known.grant is not None:
            self.end(known.grant)
            raise Denied("invalid_grant")
        if known.redirect_uri != redirect_uri:
            raise Denied("invalid_request", "redirect_uri does not match")
        known.grant = self.open(app.client_id, known.realm)
        return self._issue(known.grant)

    def refresh(self, app: App, token: str) -> Json:
        """A refresh token for a new access token; the refresh token itself rotates."""
        grant_id = self.refreshes.get(token)
        grant = self.grants.get(grant_id) if grant_id else None
        if grant_id is None or grant is None or grant.client_id != app.client_id:
            raise Denied("invalid_grant", "Incorrect Token type or clientID")
        if token != grant.refresh_token:
            if self.switches.reuse_kills_grant:
                self.end(grant_id)
            raise Denied("invalid_grant", "Incorrect or invalid refresh token")
        if not self._is_usable(grant):
            raise Denied("invalid_grant")
        self._rotate(grant_id, grant)
        return self._issue(grant_id)

    def revoke(self, app: App, token: str) -> None:
        """End the grant a refresh or access token belongs to."""
        access = self.accesses.get(token)
        grant_id = access.grant if access else self.refreshes.get(token)
        if grant_id is None or self.grants[grant_id].client_id != app.client_id:
            raise Denied("invalid_request")
        self.end(grant_id)

    # --- the API's side, and the simulation's ---

    def find_realm(self, access_token: str) -> str | None:
        """The company a valid access token opens, or None."""
        access = self.accesses.get(access_token)
        if access is None or self.clock.seconds() >= access.expires or not self.grants[access.grant].alive:
            return None
        return self.grants[access.grant].realm

    def open(self, client_id: str, realm: str) -> str:
        """A new grant, without tokens yet."""
        grant_id = self._mint("G")
        now = self.clock.seconds()
        self.grants[grant_id] = Grant(client_id, realm, now, "", now, now)
        self._renew(grant_id, self.grants[grant_id])
        return grant_id

    def connect(self, client_id: str, realm: str) -> Json:
        """Grant and tokens without a browser: the token endpoint's answer."""
        return self._issue(self.open(client_id, realm))

    def plant(self, client_id: str, realm: str, token: str) -> None:
        """A grant whose newest refresh token is this very one."""
        grant_id = self.open(client_id, realm)
        self.grants[grant_id].refresh_token = token
        self.refreshes[token] = grant_id

    def end(self, grant_id: str) -> None:
        """The user disconnected, or Intuit did."""
        self.grants[grant_id].alive = False

    def end_realm(self, realm: str) -> None:
        """End every grant of a company."""
        for grant in self.grants.values():
            grant.alive = grant.alive and grant.realm != realm

    def expire_accesses(self, realm: str) -> None:
        """Let every access token of a company expire now; refresh tokens live on."""
        for access in self.accesses.values():
            if self.grants[access.grant].realm == realm:
                access.expires = min(access.expires, self.clock.seconds())

    # --- inside ---

    def _is_usable(self, grant: Grant) -> bool:
        now = self.clock.seconds()
        return grant.alive and now < grant.refresh_expires and now < grant.started + HARD_SECONDS

    def _rotate(self, grant_id: str, grant: Grant) -> None:
        aged = self.clock.seconds() - grant.refresh_issued >= _DAY
        if self.switches.rotate_refresh_token == "each" or aged:
            self._renew(grant_id, grant)
        else:
            grant.refresh_expires = self.clock.seconds() + REFRESH_SECONDS

    def _renew(self, grant_id: str, grant: Grant) -> None:
        grant.refresh_token = self._mint("RT1")
        grant.refresh_issued = self.clock.seconds()
        grant.refresh_expires = grant.refresh_issued + REFRESH_SECONDS
        self.refreshes[grant.refresh_token] = grant_id

    def _issue(self, grant_id: str) -> Json:
        grant = self.grants[grant_id]
        token = self._mint("eyJlbmMi", 8)
        lifetime = self.switches.access_token_seconds
        self.accesses[token] = Access(grant_id, self.clock.seconds() + lifetime)
        return {
            "token_type": "bearer",
            "expires_in": lifetime,
            "refresh_token": grant.refresh_token,
            "x_refresh_token_expires_in": round(grant.refresh_expires - self.clock.seconds()),
            "x_refresh_token_hard_expires_in": round(grant.started + HARD_SECONDS - self.clock.seconds()),
            "access_token": token,
        }

    def _mint(self, prefix: str, blocks: int = 1) -> str:
        self.issued += 1
        parts = (hashlib.sha256(f"{self.seed}/{self.issued}/{block}".encode()).hexdigest() for block in range(blocks))
        return f"{prefix}{self.issued}{''.join(parts)}"

    # --- the snapshot ---

    def to_json(self) -> Json:
        """Everything but clock and switches."""
        return {name: _dump(getattr(self, name)) for name in _SAVED} | {"issued": self.issued}

    def restore(self, saved: Json) -> None:
        """Take over a saved book of grants."""
        for name, make in _SAVED.items():
            setattr(self, name, {key: make(value) for key, value in saved[name].items()})
        self.issued = saved["issued"]


def _dump(table: dict[str, Any]) -> Json:
    return {key: value if isinstance(value, str) else asdict(value) for key, value in table.items()}


def _load(value: Json) -> Json:
    """Saved fields with their moments as the floats of a clock again."""
    return {name: float(each) if isinstance(each, Decimal) else each for name, each in value.items()}


_SAVED: dict[str, Any] = {
    "apps": lambda value: App(**{**value, "redirect_uris": tuple(value["redirect_uris"])}),
    "codes": lambda value: Code(**_load(value)),
    "grants": lambda value: Grant(**_load(value)),
    "refreshes": str,
    "accesses": lambda value: Access(**_load(value)),
}
