"""The demo: secrets for both simulators, made once and kept, and the environment that connects both sides.

What each variable of the simulators means is in `sandbox/settings.py`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import socket
import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from gateway.settings import Settings, SettingsError

QUICKBOOKS_PORT, MPLUS_PORT = 8100, 8200
SETTINGS = """\
# The demo shop's settings, put in force at the very first start. Change them in the dashboard, not here.
version = 1

[products]
variants = true
family_pattern = "^(?P<product>.+) - (?P<colour>.+?)(?: / (?P<size>[^/]+))?$"

# Two fifths of the stock, in whole pieces and kilos, are in Amersfoort, the rest in Utrecht.
[stock.branches.1]
formula = "available - reserved - floor((available - reserved) * 2 / 5)"

[stock.branches.2]
formula = "floor((available - reserved) * 2 / 5)"
"""
_BESIDE = "demo-environment.json"
_REAL = ("MPLUS_URL", "QUICKBOOKS_REFRESH_TOKEN", "QUICKBOOKS_CLIENT_ID")


# Of each secret: its variable for the simulators, the gateway's, and what makes it.
_SECRETS: Mapping[str, tuple[str, str, Callable[[], str]]] = {
    "client_id": ("SANDBOX_CLIENT_ID", "QUICKBOOKS_CLIENT_ID", lambda: f"demo-{secrets.token_hex(12)}"),
    "client_secret": ("SANDBOX_CLIENT_SECRET", "QUICKBOOKS_CLIENT_SECRET", lambda: secrets.token_urlsafe(24)),
    "realm_id": ("SANDBOX_REALM_ID", "QUICKBOOKS_REALM_ID", lambda: f"9130{secrets.randbelow(10**12):012d}"),
    "refresh_token": ("SANDBOX_REFRESH_TOKEN", "QUICKBOOKS_REFRESH_TOKEN", lambda: f"demo-{secrets.token_hex(16)}"),
    "verifier": ("SANDBOX_VERIFIER", "QUICKBOOKS_WEBHOOK_VERIFIER", lambda: secrets.token_urlsafe(24)),
    "ident": ("SANDBOX_MPLUS_IDENT", "MPLUS_IDENT", lambda: f"demo-{secrets.token_hex(4)}"),
    "secret": ("SANDBOX_MPLUS_SECRET", "MPLUS_SECRET", lambda: secrets.token_urlsafe(18)),
    "subscription_id": ("SANDBOX_SUBSCRIPTION_ID", "MPLUS_WEBHOOK_SUBSCRIPTION_ID", lambda: str(uuid.uuid4())),
    "webhook_secret": (
        "SANDBOX_WEBHOOK_SECRET",
        "MPLUS_WEBHOOK_SECRET",
        lambda: base64.b64encode(secrets.token_bytes(32)).decode("ascii"),
    ),
}


@dataclass(frozen=True, slots=True)
class Demo:
    """The simulators of one start: their secrets and ports, and the gateway's own port."""

    secrets: Mapping[str, str] = field(repr=False)
    quickbooks_port: int
    mplus_port: int
    gateway_port: int
    state: Path
    settings_file: Path | None = None  # at the very first start

    @property
    def quickbooks_url(self) -> str:
        return f"http://127.0.0.1:{self.quickbooks_port}"

    @property
    def mplus_url(self) -> str:
        return f"http://127.0.0.1:{self.mplus_port}"

    def to_sandbox(self) -> dict[str, str]:
        endpoint = f"http://127.0.0.1:{self.gateway_port}/webhooks"
        shared = {variable: self.secrets[name] for name, (variable, _, _) in _SECRETS.items()}
        return shared | {
            "SANDBOX_QUICKBOOKS_PORT": str(self.quickbooks_port),
            "SANDBOX_MPLUS_PORT": str(self.mplus_port),
            "SANDBOX_STATE_DIR": str(self.state),
            "SANDBOX_QUICKBOOKS_WEBHOOK_URL": f"{endpoint}/quickbooks",
            "SANDBOX_MPLUS_WEBHOOK_URL": f"{endpoint}/mpluskassa",
            "SANDBOX_TRADE": "1",
        }

    def to_gateway(self) -> dict[str, str]:
        books = self.quickbooks_url
        shared = {variable: self.secrets[name] for name, (_, variable, _) in _SECRETS.items()}
        return shared | {
            "QUICKBOOKS_ENVIRONMENT": "sandbox",
            "QUICKBOOKS_API_URL": books,
            "QUICKBOOKS_AUTHORIZE_URL": f"{books}/connect/oauth2",
            "QUICKBOOKS_TOKEN_URL": f"{books}/oauth2/v1/tokens/bearer",
            "QUICKBOOKS_REVOKE_URL": f"{books}/v2/oauth2/tokens/revoke",
            "MPLUS_URL": self.mplus_url,
        }

    def to_release(self, environ: Mapping[str, str]) -> dict[str, str]:
        """What the release step needs as well: the shop's settings, at the first start only."""
        chosen = environ.get("SETTINGS_FILE", "").strip()
        return {"SETTINGS_FILE": str(self.settings_file)} if self.settings_file and not chosen else {}


def is_wanted(environ: Mapping[str, str]) -> bool:
    return not any(environ.get(name, "").strip() for name in _REAL)


def prepare(settings: Settings, var: Path) -> Demo:
    """The demo of this start: kept secrets, the usual ports or free ones."""
    books = _find_port(QUICKBOOKS_PORT, taken={settings.port})
    till = _find_port(MPLUS_PORT, taken={settings.port, books})
    first = None if (var / "demo.json").exists() else (var / "demo-settings.toml").resolve()
    if first:
        first.write_text(SETTINGS, "utf-8")
    demo = Demo(_keep(var / "demo.json"), books, till, settings.port, (var / "sandbox").resolve(), first)
    with os.fdopen(os.open(var / _BESIDE, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
        json.dump({"PORT": str(settings.port), **demo.to_gateway()}, file, indent=1)
    return demo


def find_beside(environ: Mapping[str, str], var: Path) -> dict[str, str]:
    """What the last demo started here was told, for commands beside it; nothing where real systems are configured."""
    if not is_wanted(environ) or environ.get("DATABASE_URL", "").strip():
        return {}
    try:
        return dict(json.loads((var / _BESIDE).read_text("ascii")))
    except (OSError, ValueError, TypeError):
        return {}


def refuse_mixing(environ: Mapping[str, str], var: Path) -> None:
    """Raises `SettingsError` when real systems would be connected to the database in which the demo shop traded."""
    mixed = (var / "demo.json").exists() and not is_wanted(environ) and not environ.get("DATABASE_URL", "").strip()
    if mixed:
        raise SettingsError(
            "DATABASE_URL",
            f"should name a database of its own, because {var}/ holds the demo shop (or move {var}/ away)",
        )


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with closing(socket.socket()) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _find_port(usual: int, *, taken: set[int]) -> int:
    if usual not in taken and is_free(usual):
        return usual
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keep(path: Path) -> Mapping[str, str]:
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w", encoding="ascii") as file:
            json.dump({name: make() for name, (_, _, make) in _SECRETS.items()}, file, indent=1)
    except FileExistsError:
        pass
    try:
        kept = json.loads(path.read_text("ascii"))
        return {name: str(kept[name]) for name in _SECRETS}
    except (ValueError, KeyError, TypeError):
        raise SettingsError(str(path), "should hold the demo's secrets, but cannot be read; delete it") from None
