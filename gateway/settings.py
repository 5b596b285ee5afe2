"""One frozen `Settings`, read from the environment once; only composition roots read it.

Every variable of the contract is declared at its field, so that `doctor`, the docs and the tests can list them.
A missing or malformed variable raises `SettingsError`: one line that names it and says what it should be.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields, replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

PRODUCTION_API = "https://quickbooks.api.intuit.com"
SANDBOX_API = "https://sandbox-quickbooks.api.intuit.com"
ADMIN_TOKEN_LENGTH = 16
# Each web process stores webhooks through a connection beside its pool. Readiness opens another for a moment, at most
# every two seconds; it takes the place of the second clock, which hardly ever runs.
INGRESS = 1
MAX_POOL = 8  # a thread holds a connection only for a short transaction
LONGEST_SOCKET = 100  # bytes; the kernel's limit is 104 or 108
# What Heroku and similar platforms, Render, Railway and Fly set for every process.
WIPED_DISKS = ("DYNO", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME")
# In a worker's environment, set by `up` alone: it does the clock's work too, in threads of its own.
SCHEDULING = "KASSABRIDGE_SCHEDULING"


class SettingsError(Exception):
    """A variable is missing or malformed; the text is one line for the person who starts the process."""

    def __init__(self, name: str, should: str) -> None:
        super().__init__(f"{name}: {should}")
        self.name = name


class _Unfit(Exception):
    """A value that its variable cannot have; the text says what it should be."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment: what it means, how its text is read, and its default."""

    name: str
    meaning: str
    read: Callable[[str], Any]
    default: str
    secret: bool

    def find(self, environ: Mapping[str, str]) -> Any:
        """Its value. Raises `SettingsError` where it is malformed."""
        try:
            return self.read(environ.get(self.name, "").strip() or self.default)
        except _Unfit as unfit:
            raise SettingsError(self.name, str(unfit)) from None


def _number(low: int, high: int) -> Callable[[str], int]:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise _Unfit(f"should be a whole number from {low} to {high}, but is {value!r}")
        return int(value)

    return read


def _list(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _choice(*allowed: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if value.lower() not in allowed:
            raise _Unfit(f"should be one of {', '.join(a or 'empty' for a in allowed)}, but is {value!r}")
        return value.lower()

    return read


def _switch(value: str) -> bool:
    return _choice("", "0", "1", "true", "false")(value) in {"1", "true"}


def _url(*schemes: str) -> Callable[[str], str]:
    def read(value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in schemes or (not parts.netloc and parts.scheme not in {"sqlite", "unix"}):
            raise _Unfit(f"should be an address that starts with {' or '.join(s + '://' for s in schemes)}")
        return value.rstrip("/") if parts.scheme in {"http", "https"} else value

    return read


def _webhook_secret(value: str) -> str:
    try:
        key = b64decode(value.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if value and not 24 <= len(key) <= 64:  # noqa: PLR2004 - what Standard Webhooks asks for
        raise _Unfit("should be whsec_ and the base64 of 24 to 64 random bytes")
    return value


def _till_secrets(value: str) -> tuple[str, ...]:
    secrets_given = _list(value)
    try:
        good = all(b64decode(each, validate=True) for each in secrets_given)
    except ValueError:
        good = False
    if not good:
        raise _Unfit("should be the base64 secret that MplusKASSA shows; several separated by commas")
    return secrets_given


def _database(value: str) -> str:
    url = _url("postgres", "postgresql", "sqlite")(value)
    # PaaS providers still use the old scheme; SQLAlchemy needs dialect and driver.
    for old in ("postgres://", "postgresql://"):
        if url.startswith(old):
            return "postgresql+psycopg://" + url[len(old) :]
    # One folder is made, as `var/` is. Where more is missing, the path is mistyped: no empty database begins there.
    above = Path(url.removeprefix("sqlite:///")).parent.parent
    if above.is_absolute() and url.startswith("sqlite:") and not os.access(above, os.X_OK):
        raise _Unfit(f"should name a file in a folder that exists, but there is no {above}, or no way in")
    return url


def _broker(value: str) -> str:
    url = _url("redis", "rediss", "unix")(value)
    # A client library would apply it, in contradiction to REDIS_TLS_INSECURE.
    if "ssl_cert_reqs" in parse_qs(urlsplit(url).query, keep_blank_values=True):
        raise _Unfit("should not hold ssl_cert_reqs; set REDIS_TLS_INSECURE=1 to accept any certificate")
    return url


_HTTP = _url("http", "https")


def _private_or_https(value: str) -> str:
    url = _HTTP(value)
    parts = urlsplit(url)
    # A name is resolved when it is called, and refused then if it is outside the private network.
    with suppress(ValueError):
        if parts.scheme == "http" and ip_address(parts.hostname or "").is_global:
            raise _Unfit("should begin with https:// outside a private network")
    return url


_INTUIT_TOKEN = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105 - an address
_OIDC = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
_INTUIT_REVOKE = "https://developer.api.intuit.com/v2/oauth2/tokens/revoke"


def variable(
    meaning: str,
    read: Callable[[str], Any] = str,
    default: str = "",
    *,
    name: str = "",
    secret: bool = False,
) -> Any:
    """A field that is read from the variable of its name, or of another `name`."""
    return field(metadata={"variable": Variable(name, meaning, read, default, secret)})


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides. Secrets are plain strings here and never printed (see `__repr__`)."""

    port: int = variable("listen port", _number(1, 65535), "8000")
    web_concurrency: int = variable("web processes", _number(1, 64), "1")
    host: str = variable("listen address of `./run`; the Procfile's web listens on all", default="127.0.0.1")
    worker_processes: int = variable("worker processes", _number(1, 64), "1")
    worker_threads: int = variable("threads per worker process", _number(1, 128), "8")
    database_url: str = variable("where the state is stored", _database, "sqlite:///var/gateway.db")
    database_connections: int = variable(
        "connections PostgreSQL allows us; the pools of all processes are made to fit, twice over during an update",
        _number(4, 10_000),
        "20",
    )
    redis_url: str = variable("the broker; embedded Valkey when unset", _broker)
    redis_tls_insecure: bool = variable("1 accepts a self-signed rediss:// server", _switch)
    public_url: str = variable("the address others reach us at (http://localhost:$PORT)", _HTTP)
    secret_keys: tuple[str, ...] = variable(
        "encrypts tokens, signs sessions; newest first", _list, secret=True, name="SECRET_KEY"
    )
    admin_token: str = variable("bearer token of the admin API, dashboard password", secret=True)
    quickbooks_client_id: str = variable("key of the Intuit app")
    quickbooks_client_secret: str = variable("secret of the app", secret=True)
    quickbooks_environment: str = variable("sandbox or production", _choice("sandbox", "production"), "production")
    quickbooks_verifiers: tuple[str, ...] = variable(
        "verifier token(s)", _list, secret=True, name="QUICKBOOKS_WEBHOOK_VERIFIER"
    )
    quickbooks_api_url: str = variable("overrides the API's scheme and host", _HTTP)
    quickbooks_authorize_url: str = variable(
        "overrides the consent page's address", _HTTP, "https://appcenter.intuit.com/connect/oauth2"
    )
    quickbooks_token_url: str = variable("overrides the token address", _HTTP, _INTUIT_TOKEN)
    quickbooks_revoke_url: str = variable("overrides the revoke address", _HTTP, _INTUIT_REVOKE)
    quickbooks_realm_id: str = variable("company id of the first connection")
    quickbooks_refresh_token: str = variable("its first refresh token", secret=True)
    mplus_url: str = variable("e.g. https://api.mpluskassa.nl:12345", _private_or_https)
    mplus_ident: str = variable("API user of the installation", secret=True)
    mplus_secret: str = variable("its secret", secret=True)
    mplus_subscription_id: str = variable("id of the webhook subscription", name="MPLUS_WEBHOOK_SUBSCRIPTION_ID")
    mplus_webhook_secrets: tuple[str, ...] = variable(
        "base64 webhook secret(s)", _till_secrets, secret=True, name="MPLUS_WEBHOOK_SECRET"
    )
    mplus_poll_seconds: int = variable("till poll interval", _number(1, 86400), "30")
    quickbooks_cdc_seconds: int = variable("least books poll interval", _number(1, 86400), "900")
    settings_file: str = variable("settings document (TOML) for the first connection")
    retention_days: int = variable("days the activity log and ended events are kept", _number(1, 3650), "30")
    metrics_token: str = variable("when set, /metrics asks for it as a bearer token", secret=True)
    oidc_issuer: str = variable("single sign-on: address of the OpenID provider", _private_or_https)
    oidc_client_id: str = variable("the gateway's client id at the provider")
    oidc_client_secret: str = variable("the client's secret", secret=True)
    oidc_name: str = variable("what the button of the login page calls the provider")
    sentry_dsn: str = variable("where errors go", _HTTP, secret=True)
    sentry_environment: str = variable("name shown in Sentry", default="production")
    log_level: str = variable("debug, info, warning, error", _choice("debug", "info", "warning", "error"), "info")
    log_format: str = variable("json, or console (default on a terminal)", _choice("", "json", "console"))
    alert_email: str = variable("who is mailed when something needs a person")
    smtp_url: str = variable("smtp://user:password@host:port", _url("smtp", "smtps"), secret=True)
    alert_webhook_url: str = variable("where alerts are posted", _HTTP, secret=True)
    alert_webhook_secret: str = variable(
        "signs those posts: whsec_ and base64; made from SECRET_KEY when unset, `doctor` shows it",
        _webhook_secret,
        secret=True,
    )
    alert_language: str = variable("language of alerts: en, nl or de", _choice("en", "nl", "de"), "en")
    alert_minutes: int = variable("a flow this far behind raises an alert", _number(1, 10080), "15")
    quickbooks_calls_per_minute: int = variable(
        "calls a minute per company, over all processes; 430 never comes to Intuit's 500", _number(10, 100_000), "430"
    )
    quickbooks_calls_per_second: int = variable(
        "calls started in any second per company, over all processes (Intuit allows 10)", _number(1, 10_000), "10"
    )
    quickbooks_calls_at_once: int = variable(
        "calls at once per company, over all processes (Intuit allows 10)", _number(1, 100), "8"
    )
    quickbooks_monthly_reads: int = variable(
        "reads a month your Intuit plan includes; alert at 80 %", _number(1, 1_000_000_000), "500000"
    )
    mplus_calls_at_once: int = variable("calls at once per installation", _number(1, 32), "1")

    def __repr__(self) -> str:
        return f"Settings(public_url={self.public_url!r}, ...)"

    @property
    def is_postgres(self) -> bool:
        return self.database_url.startswith("postgresql")

    # A release is its web, its worker and two clocks, in case a second one was started. During an update two releases
    # run, so each may have half of DATABASE_CONNECTIONS.

    @property
    def web_pool(self) -> int:
        """The connections of each of the WEB_CONCURRENCY web processes, without its ingress."""
        share = self.database_connections // 2 * 3 // 10 // self.web_concurrency - INGRESS
        return max(1, min(share, 4))

    @property
    def worker_pool(self) -> int:
        share = self.database_connections // 2 * 3 // 10 // self.worker_processes
        return max(1, min(share, self.worker_threads + 2, MAX_POOL))

    @property
    def clock_pool(self) -> int:
        return max(1, min(self.database_connections // 2 // 5, 4))

    @property
    def release_connections(self) -> int:
        """The total of a web, a worker and two clocks."""
        webs = self.web_concurrency * (self.web_pool + INGRESS)
        return webs + self.worker_processes * self.worker_pool + 2 * self.clock_pool


VARIABLES: Mapping[str, Variable] = {
    each.name: replace(each.metadata["variable"], name=each.metadata["variable"].name or each.name.upper())
    for each in fields(Settings)
}
"""Of each field of the settings its variable."""


def find_socket(var: Path) -> Path:
    """The embedded broker's socket: in `var`, or under the temporary folder where that path is too long for one."""
    path = (var / "valkey.sock").resolve()
    if len(os.fsencode(path)) <= LONGEST_SOCKET:
        return path
    mark = hashlib.sha256(os.fsencode(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"kassabridge-{os.getuid()}-{mark}" / "valkey.sock"


def embedded_broker(var: Path) -> str:
    """The embedded broker's address, as REDIS_URL has it."""
    return f"unix://{quote(str(find_socket(var)))}"


def read(environ: Mapping[str, str], *, var: Path | None = None) -> Settings:
    """Settings from `environ`; keys that a local start generates are kept in files under `var` (default: ./var).

    Raises `SettingsError` for the first variable that is missing or malformed.
    """
    values = {name: each.find(environ) for name, each in VARIABLES.items()}
    values["public_url"] = values["public_url"] or f"http://localhost:{values['port']}"
    values["quickbooks_api_url"] = values["quickbooks_api_url"] or (
        SANDBOX_API if values["quickbooks_environment"] == "sandbox" else PRODUCTION_API
    )
    if any(name in environ for name in WIPED_DISKS) and not environ.get("DATABASE_URL", "").strip():
        raise SettingsError(
            "DATABASE_URL",
            "should be set: here the disk is wiped at every start; a PostgreSQL, or sqlite:/// on a volume",
        )
    postgres = values["database_url"].startswith("postgresql")
    folder = var or Path("var")
    values["secret_keys"] = values["secret_keys"] or (_kept("SECRET_KEY", folder, postgres=postgres),)
    values["admin_token"] = values["admin_token"] or _kept("ADMIN_TOKEN", folder, postgres=postgres)
    values["redis_url"] = values["redis_url"] or embedded_broker(folder)
    _check_together(values)
    return Settings(**values)


def _check_together(values: Mapping[str, Any]) -> None:
    if len(values["admin_token"]) < ADMIN_TOKEN_LENGTH:
        raise SettingsError("ADMIN_TOKEN", f"should have at least {ADMIN_TOKEN_LENGTH} characters")
    if any(len(key) < ADMIN_TOKEN_LENGTH for key in values["secret_keys"]):
        raise SettingsError("SECRET_KEY", f"each key should have at least {ADMIN_TOKEN_LENGTH} characters")
    for name in ("mplus_ident", "mplus_secret"):
        if values["mplus_url"] and not values[name]:
            raise SettingsError(name.upper(), "should be set when MPLUS_URL is")
    if values["quickbooks_refresh_token"] and not values["quickbooks_realm_id"]:
        raise SettingsError("QUICKBOOKS_REALM_ID", "should be set when QUICKBOOKS_REFRESH_TOKEN is")
    if values["mplus_webhook_secrets"] and not values["mplus_subscription_id"]:
        raise SettingsError("MPLUS_WEBHOOK_SUBSCRIPTION_ID", "should be set when MPLUS_WEBHOOK_SECRET is")
    given = [name for name in (*_OIDC, "oidc_name") if values[name]]
    missing = [name.upper() for name in _OIDC if not values[name]]
    if given and missing:
        raise SettingsError(" and ".join(missing), f"should be set when {given[0].upper()} is")


def _kept(name: str, folder: Path, *, postgres: bool) -> str:
    """The key kept in `folder`, generated once. A PaaS wipes the disk, so there the variable must be set."""
    if postgres:
        raise SettingsError(name, "should be set (required when DATABASE_URL is PostgreSQL)")
    path = folder / name.lower()
    folder.mkdir(parents=True, exist_ok=True)
    # Written to another file and linked, so that a key is never read half-written and the first of two starts wins.
    with tempfile.NamedTemporaryFile("w", dir=folder, encoding="ascii") as made:
        made.write(secrets.token_urlsafe(32))
        made.flush()
        with suppress(FileExistsError):
            os.link(made.name, path)
    return path.read_text("ascii").strip()
