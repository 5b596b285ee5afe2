"""From the environment, or from a connection of a gateway, to the systems that may be asked; refuses real books."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import httpx

from gateway import settings
from gateway.connectors.quickbooks.auth import OAuth, TokenPair
from gateway.connectors.quickbooks.session import TokenSource
from gateway.database.sealing import Seal
from gateway.database.session import open_engine, reading
from gateway.settings import Settings
from gateway.store import connections
from gateway.token_manager import TokenManager
from tests.contract.books import Books
from tests.contract.listener import Listener
from tests.contract.probe import Ground
from tests.contract.till import Till

ALLOWED = "PROBE_TEST_INSTALLATION"
BOOKS_NEED = ("QUICKBOOKS_CLIENT_ID", "QUICKBOOKS_CLIENT_SECRET", "QUICKBOOKS_REALM_ID", "QUICKBOOKS_REFRESH_TOKEN")
TILL_NEEDS = ("MPLUS_URL", "MPLUS_IDENT", "MPLUS_SECRET")
_KEPT = Path("var/probe-refresh-token.json")


@dataclass(frozen=True, slots=True)
class Permission:
    """What the person allows: `books` writes into a production company too, `till` may be written to."""

    books: bool = False
    till: bool = False


@dataclass
class Purse:
    """The tokens of one grant of its own. Intuit rotates it: the newest is kept in `kept` before it is used."""

    oauth: OAuth
    refresh: str
    kept: Path | None = None
    pair: TokenPair | None = field(default=None, repr=False)

    def access(self) -> str:
        """A token; the first one is asked for with the kept or given refresh token."""
        return (self.pair or self._renew()).access

    def renew(self, rejected: str) -> str:
        """The next one."""
        return (self._renew() if self.pair and self.pair.access == rejected else self.pair or self._renew()).access

    def refuse(self, code: str) -> None:
        """The error tells it."""

    def _renew(self) -> TokenPair:
        self.pair = self.oauth.refresh(self.pair.refresh if self.pair else self._newest())
        if self.kept:
            self.kept.parent.mkdir(exist_ok=True)
            self.kept.touch(mode=0o600)
            self.kept.write_text(json.dumps({"given": self.refresh, "newest": self.pair.refresh}), "utf-8")
        return self.pair

    def _newest(self) -> str:
        kept = json.loads(self.kept.read_text("utf-8")) if self.kept and self.kept.exists() else {}
        return str(kept["newest"]) if kept.get("given") == self.refresh else self.refresh


def missing(environ: Mapping[str, str], names: tuple[str, ...]) -> list[str]:
    """Which of these variables are not set."""
    return [name for name in names if not environ.get(name, "").strip()]


def from_environment(
    environ: Mapping[str, str], http: httpx.Client, allowed: Permission, listener: Listener | None = None
) -> dict[str, Ground]:
    """The systems whose credentials are in the environment, by name."""
    given = settings.read({name: environ[name] for name in environ if name.startswith(("QUICKBOOKS_", "MPLUS_"))})
    grounds: dict[str, Ground] = {}
    if not missing(environ, BOOKS_NEED):
        tokens = Purse(to_oauth(given, http), given.quickbooks_refresh_token, _KEPT)
        grounds["quickbooks"] = _to_books(given, http, given.quickbooks_realm_id, tokens, allowed, listener)
    if not missing(environ, TILL_NEEDS):
        grounds["mpluskassa"] = _to_till(given.mplus_url, given.mplus_ident, given.mplus_secret, allowed)
    return grounds


def from_gateway(
    environ: Mapping[str, str], name: str, http: httpx.Client, allowed: Permission, listener: Listener | None = None
) -> dict[str, Ground]:
    """Both systems of a connection of the gateway whose environment this is; its tokens stay in its custody.

    SystemExit, naming it, when there is no such connection.
    """
    given = settings.read(environ)
    engine, seal = open_engine(given.database_url), Seal(given.secret_keys)
    with reading(engine) as session:
        found = connections.find(session, name, seal)
    if found is None:
        raise SystemExit(f"there is no connection {name}")
    grounds: dict[str, Ground] = {}
    if found.realm_id:
        tokens = TokenManager(engine, name, to_oauth(given, http), seal)
        grounds["quickbooks"] = _to_books(given, http, found.realm_id, tokens, allowed, listener)
    if found.mplus_url and found.mplus_ident and found.mplus_secret:
        grounds["mpluskassa"] = _to_till(found.mplus_url, found.mplus_ident, found.mplus_secret, allowed)
    return grounds


def to_oauth(given: Settings, http: httpx.Client) -> OAuth:
    """The app's OAuth conversation."""
    return OAuth(
        http,
        client_id=given.quickbooks_client_id,
        client_secret=given.quickbooks_client_secret,
        authorize_url=given.quickbooks_authorize_url,
        token_url=given.quickbooks_token_url,
        revoke_url=given.quickbooks_revoke_url,
    )


def is_test_company(api_url: str) -> bool:
    """Whether the books at this address are nobody's: Intuit's sandbox host opens no production company."""
    return api_url == settings.SANDBOX_API or is_here(api_url)


def is_here(url: str) -> bool:
    """Whether an address is this very machine: a simulator."""
    return urlsplit(url).hostname in {"localhost", "127.0.0.1", "::1"}


def _to_books(
    given: Settings, http: httpx.Client, realm_id: str, tokens: TokenSource, allowed: Permission, heard: Listener | None
) -> Books:
    url = given.quickbooks_api_url
    may_write = allowed.books or is_test_company(url)
    return Books(http, base_url=url, realm_id=realm_id, tokens=tokens, may_write=may_write, listener=heard)


def _to_till(url: str, ident: str, secret: str, allowed: Permission) -> Till:
    # An installation does not say whether it is a test: only a person can.
    return Till(url, ident, secret, may_write=allowed.till or is_here(url))
