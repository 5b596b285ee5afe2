"""What the simulators are started with: one frozen `Settings` from the environment, with workable defaults."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from sandbox.shop.furnishing import REALM, SEED

T = TypeVar("T")

VARIABLES = {
    "SANDBOX_QUICKBOOKS_PORT": "port of the QuickBooks simulator; 0 takes a free one (8100)",
    "SANDBOX_MPLUS_PORT": "port of the MplusKASSA simulator; 0 takes a free one (8200)",
    "SANDBOX_STATE_DIR": "where both systems are kept between starts (var/sandbox)",
    "SANDBOX_CLIENT_ID": "the app that QuickBooks knows (demo-client)",
    "SANDBOX_CLIENT_SECRET": "its secret (demo-client-secret)",
    "SANDBOX_REALM_ID": "the company's number",
    "SANDBOX_REFRESH_TOKEN": "a refresh token of that company for that app (demo-refresh-token)",
    "SANDBOX_VERIFIER": "signs the webhooks of QuickBooks (demo-verifier)",
    "SANDBOX_QUICKBOOKS_WEBHOOK_URL": "where they go; empty sends none",
    "SANDBOX_MPLUS_IDENT": "the till's API user (demo)",
    "SANDBOX_MPLUS_SECRET": "its secret (demo-secret)",
    "SANDBOX_SUBSCRIPTION_ID": "the subscription to the till's webhooks (demo-subscription)",
    "SANDBOX_WEBHOOK_SECRET": "signs them, base64 (base64 of demo-webhook-secret)",
    "SANDBOX_MPLUS_WEBHOOK_URL": "where they go, the event's name is appended; empty sends none",
    "SANDBOX_TRADE": "1: the shop trades by itself, 0: it does not (1)",
    "SANDBOX_SEED": "decides everything that looks like chance",
    "SANDBOX_PACE": "seconds between two sales (2 for the first 40, then 10; six times that after 200)",
}
"""Every variable, what it means, and its default."""


class SettingsError(ValueError):
    """A variable cannot be used; the text names it and says what it should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How to run the simulators. `pace` is None for the usual rhythm; the addresses are empty where nothing is sent."""

    quickbooks_port: int
    mplus_port: int
    state: Path
    client_id: str
    client_secret: str
    realm_id: str
    refresh_token: str
    verifier: str
    quickbooks_webhook_url: str
    ident: str
    secret: str
    subscription_id: str
    webhook_secret: str
    mplus_webhook_url: str
    trade: bool
    seed: str
    pace: float | None

    def __repr__(self) -> str:
        return f"Settings(realm_id={self.realm_id!r}, state={str(self.state)!r}, ...)"


def read(environ: Mapping[str, str]) -> Settings:
    """The settings; an empty variable counts as absent. Raises `SettingsError`."""

    def take(name: str, default: str = "") -> str:
        return environ.get(f"SANDBOX_{name}", "").strip() or default

    return Settings(
        quickbooks_port=_parse("QUICKBOOKS_PORT", take("QUICKBOOKS_PORT", "8100"), _to_port),
        mplus_port=_parse("MPLUS_PORT", take("MPLUS_PORT", "8200"), _to_port),
        state=Path(take("STATE_DIR", "var/sandbox")),
        client_id=take("CLIENT_ID", "demo-client"),
        client_secret=take("CLIENT_SECRET", "demo-client-secret"),
        realm_id=_parse("REALM_ID", take("REALM_ID", REALM), _to_number),
        refresh_token=take("REFRESH_TOKEN", "demo-refresh-token"),
        verifier=take("VERIFIER", "demo-verifier"),
        quickbooks_webhook_url=_parse("QUICKBOOKS_WEBHOOK_URL", take("QUICKBOOKS_WEBHOOK_URL"), _to_address),
        ident=take("MPLUS_IDENT", "demo"),
        secret=take("MPLUS_SECRET", "demo-secret"),
        subscription_id=take("SUBSCRIPTION_ID", "demo-subscription"),
        webhook_secret=_parse("WEBHOOK_SECRET", take("WEBHOOK_SECRET", _SECRET), _to_base64),
        mplus_webhook_url=_parse("MPLUS_WEBHOOK_URL", take("MPLUS_WEBHOOK_URL"), _to_address),
        trade=_parse("TRADE", take("TRADE", "1"), _to_flag),
        seed=take("SEED", SEED),
        pace=_parse("PACE", take("PACE"), _to_seconds),
    )


_SECRET = base64.b64encode(b"demo-webhook-secret").decode("ascii")


def _parse(name: str, text: str, convert: Callable[[str], T]) -> T:
    try:
        return convert(text)
    except ValueError as error:
        raise SettingsError(f"SANDBOX_{name} should be {error}") from None


def _to_port(text: str) -> int:
    if not (text.isdecimal() and int(text) < 2**16):
        raise ValueError("a port number")
    return int(text)


def _to_number(text: str) -> str:
    if not (text.isascii() and text.isdecimal()):
        raise ValueError("a company number: digits only")
    return text


def _to_flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise ValueError("0 or 1")
    return text == "1"


def _to_address(text: str) -> str:
    parts = urlsplit(text)
    if text and not (parts.scheme in ("http", "https") and parts.hostname):
        raise ValueError("an http:// or https:// address")
    return text


def _to_base64(text: str) -> str:
    try:
        base64.b64decode(text, validate=True)
    except binascii.Error:
        raise ValueError("base64") from None
    return text


def _to_seconds(text: str) -> float | None:
    if not text:
        return None
    if not (text.replace(".", "", 1).isdecimal() and float(text) > 0):
        raise ValueError("a number of seconds above zero")
    return float(text)
