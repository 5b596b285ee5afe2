"""One frozen `Settings`, read from the environment once; only composition roots read it.

Every variable of the contract is one row of `VARIABLES`, so that `doctor`, the docs and the tests can list them.
A missing or malformed variable raises `SettingsError`: one line that names it and says what it should be.
"""

from __future__ import annotations

import os
import secrets
import tempfile
from base64 import b64decode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

PRODUCTION_API = "https://quickbooks.api.intuit.com"
SANDBOX_API = "https://sandbox-quickbooks.api.intuit.com"
ADMIN_TOKEN_LENGTH = 16
# What Heroku and similar platforms, Render, Railway and Fly set for every process.
WIPED_DISKS = ("DYNO", "RENDER", "RAILWAY_ENVIRONMENT", "FLY_APP_NAME")


class SettingsError(Exception):
    """A variable is missing or malformed; the text is one line for the person who starts the process."""

    def __init__(self, name: str, should: str) -> None:
        super().__init__(f"{name}: {should}")
        self.name = name


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything the environment decides. Secrets are plain strings here and never printed (see `__repr__`)."""

    port: int
    web_concurrency: int
    host: str
    worker_processes: int
    worker_threads: int
    database_url: str
    database_connections: int
    redis_url: str
    redis_tls_insecure: bool
    public_url: str
    secret_keys: tuple[str, ...]
    admin_token: str
    quickbooks_client_id: str
    quickbooks_client_secret: str
    quickbooks_environment: str
    quickbooks_verifiers: tuple[str, ...]
    quickbooks_api_url: str
    quickbooks_authorize_url: str
    quickbooks_token_url: str
    quickbooks_revoke_url: str
    quickbooks_realm_id: str
    quickbooks_refresh_token: str
    mplus_url: str
    mplus_ident: str
    mplus_secret: str
    mplus_subscription_id: str
    mplus_webhook_secrets: tuple[str, ...]
    mplus_poll_seconds: int
    quickbooks_cdc_seconds: int
    settings_file: str
    retention_days: int
    metrics_token: str
    oidc_issuer: str
    oidc_client_id: str
    oidc_client_secret: str
    oidc_name: str
    sentry_dsn: str
    sentry_environment: str
    log_level: str
    log_format: str
    alert_email: str
    smtp_url: str
    alert_webhook_url: str
    alert_webhook_secret: str
    alert_minutes: int
    alert_language: str
    quickbooks_calls_per_minute: int
    quickbooks_calls_per_second: int
    quickbooks_calls_at_once: int
    quickbooks_monthly_reads: int
    mplus_calls_at_once: int

    def __repr__(self) -> str:
        return f"Settings(public_url={self.public_url!r}, ...)"

    @property
    def is_postgres(self) -> bool:
        """Whether the state is kept in PostgreSQL (else SQLite)."""
        return self.database_url.startswith("postgresql")


@dataclass(frozen=True, slots=True)
class Variable:
    """One variable of the environment: the field it fills, how it is read, its default and what it means."""

    name: str
    field: str
    read: Callable[[str, str], Any]
    default: str
    meaning: str
    secret: bool = False


def _text(_: str, value: str) -> str:
    return value


def _number(low: int, high: int) -> Callable[[str, str], int]:
    def read(name: str, value: str) -> int:
        if not value.isascii() or not value.isdigit() or not low <= int(value) <= high:
            raise SettingsError(name, f"should be a whole number from {low} to {high}, but is {value!r}")
        return int(value)

    return read


def _list(_: str, value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _choice(*allowed: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if value.lower() not in allowed:
            raise SettingsError(name, f"should be one of {', '.join(a or 'empty' for a in allowed)}, but is {value!r}")
        return value.lower()

    return read


def _switch(name: str, value: str) -> bool:
    return bool(_choice("", "0", "1", "true", "false")(name, value) in {"1", "true"})


def _url(*schemes: str) -> Callable[[str, str], str]:
    def read(name: str, value: str) -> str:
        if not value:
            return value
        parts = urlsplit(value)
        if parts.scheme not in schemes or (not parts.netloc and parts.scheme not in {"sqlite", "unix"}):
            raise SettingsError(
                name, f"should be an address that starts with {' or '.join(s + '://' for s in schemes)}"
            )
        return value.rstrip("/") if parts.scheme in {"http", "https"} else value

    return read


def _webhook_secret(name: str, value: str) -> str:
    try:
        key = b64decode(value.removeprefix("whsec_"), validate=True)
    except ValueError:
        key = b""
    if value and not 24 <= len(key) <= 64:  # noqa: PLR2004 - what Standard Webhooks asks for
        raise SettingsError(name, "should be whsec_ and the base64 of 24 to 64 random bytes")
    return value


def _till_secrets(name: str, value: str) -> tuple[str, ...]:
    secrets_given = _list(name, value)
    try:
        good = all(b64decode(each, validate=True) for each in secrets_given)
    except ValueError:
        good = False
    if not good:
        raise SettingsError(name, "should be the base64 secret that MplusKASSA shows; several separated by commas")
    return secrets_given


def _database(name: str, value: str) -> str:
    url = _url("postgres", "postgresql", "sqlite")(name, value)
    # PaaS providers still use the old scheme; SQLAlchemy needs dialect and driver.
    for old in ("postgres://", "postgresql://"):
        if url.startswith(old):
            return "postgresql+psycopg://" + url[len(old) :]
    return str(url)


def _broker(name: str, value: str) -> str:
    url = _url("redis", "rediss", "unix")(name, value)
    # A client library would apply it, in contradiction to REDIS_TLS_INSECURE.
    if "ssl_cert_reqs" in parse_qs(urlsplit(url).query, keep_blank_values=True):
        raise SettingsError(name, "should not hold ssl_cert_reqs; set REDIS_TLS_INSECURE=1 to accept any certificate")
    return url


_HTTP = _url("http", "https")


def _private_or_https(name: str, value: str) -> str:
    url = str(_HTTP(name, value))
    parts = urlsplit(url)
    # A name is resolved when it is called, and refused then if it is outside the private network.
    if parts.scheme == "http" and _is_public_number(parts.hostname or ""):
        raise SettingsError(name, "should begin with https:// outside a private network")
    return url


def _is_public_number(host: str) -> bool:
    try:
        return ip_address(host).is_global
    except ValueError:
        return False


_INTUIT_TOKEN = "https://oauth.platform.intuit.com/oauth2/v1/tokens/bearer"  # noqa: S105 - an address
_OIDC = ("oidc_issuer", "oidc_client_id", "oidc_client_secret")
_INTUIT_REVOKE = "https://developer.api.intuit.com/v2/oauth2/tokens/revoke"

VARIABLES: tuple[Variable, ...] = (
    Variable("PORT", "port", _number(1, 65535), "8000", "listen port"),
    Variable("WEB_CONCURRENCY", "web_concurrency", _number(1, 64), "1", "web processes"),
    Variable("HOST", "host", _text, "127.0.0.1", "listen address of `./run`; the Procfile's web listens on all"),
    Variable("WORKER_PROCESSES", "worker_processes", _number(1, 64), "1", "worker processes"),
    Variable("WORKER_THREADS", "worker_threads", _number(1, 128), "8", "threads per worker process"),
    Variable("DATABASE_URL", "database_url", _database, "sqlite:///var/gateway.db", "where the state is stored"),
    Variable(
        "DATABASE_CONNECTIONS",
        "database_connections",
        _number(4, 10_000),
        "20",
        "connections PostgreSQL allows us; the pools of all processes are made to fit, twice over during an update",
    ),
    Variable("REDIS_URL", "redis_url", _broker, "", "the broker; embedded Valkey when unset"),
    Variable("REDIS_TLS_INSECURE", "redis_tls_insecure", _switch, "", "1 accepts a self-signed rediss:// server"),
    Variable("PUBLIC_URL", "public_url", _HTTP, "", "the address others reach us at (http://localhost:$PORT)"),
    Variable("SECRET_KEY", "secret_keys", _list, "", "encrypts tokens, signs sessions; newest first", secret=True),
    Variable("ADMIN_TOKEN", "admin_token", _text, "", "bearer token of the admin API, dashboard password", secret=True),
    Variable("QUICKBOOKS_CLIENT_ID", "quickbooks_client_id", _text, "", "key of the Intuit app"),
    Variable("QUICKBOOKS_CLIENT_SECRET", "quickbooks_client_secret", _text, "", "secret of the app", secret=True),
    Variable(
        "QUICKBOOKS_ENVIRONMENT",
        "quickbooks_environment",
        _choice("sandbox", "production"),
        "production",
        "sandbox or production",
    ),
    Variable("QUICKBOOKS_WEBHOOK_VERIFIER", "quickbooks_verifiers", _list, "", "verifier token(s)", secret=True),
    Variable("QUICKBOOKS_API_URL", "quickbooks_api_url", _HTTP, "", "overrides the API's scheme and host"),
    Variable(
        "QUICKBOOKS_AUTHORIZE_URL",
        "quickbooks_authorize_url",
        _HTTP,
        "https://appcenter.intuit.com/connect/oauth2",
        "overrides the consent page's address",
    ),
    Variable("QUICKBOOKS_TOKEN_URL", "quickbooks_token_url", _HTTP, _INTUIT_TOKEN, "overrides the token address"),
    Variable("QUICKBOOKS_REVOKE_URL", "quickbooks_revoke_url", _HTTP, _INTUIT_REVOKE, "overrides the revoke address"),
    Variable("QUICKBOOKS_REALM_ID", "quickbooks_realm_id", _text, "", "company id of the first connection"),
    Variable("QUICKBOOKS_REFRESH_TOKEN", "quickbooks_refresh_token", _text, "", "its first refresh token", secret=True),
    Variable("MPLUS_URL", "mplus_url", _private_or_https, "", "e.g. https://api.mpluskassa.nl:12345"),
    Variable("MPLUS_IDENT", "mplus_ident", _text, "", "API user of the installation", secret=True),
    Variable("MPLUS_SECRET", "mplus_secret", _text, "", "its secret", secret=True),
    Variable("MPLUS_WEBHOOK_SUBSCRIPTION_ID", "mplus_subscription_id", _text, "", "id of the webhook subscription"),
    Variable(
        "MPLUS_WEBHOOK_SECRET", "mplus_webhook_secrets", _till_secrets, "", "base64 webhook secret(s)", secret=True
    ),
    Variable("MPLUS_POLL_SECONDS", "mplus_poll_seconds", _number(1, 86400), "30", "till poll interval"),
    Variable("QUICKBOOKS_CDC_SECONDS", "quickbooks_cdc_seconds", _number(1, 86400), "900", "least books poll interval"),
    Variable("SETTINGS_FILE", "settings_file", _text, "", "settings document (TOML) for the first connection"),
    Variable(
        "RETENTION_DAYS", "retention_days", _number(1, 3650), "30", "days the activity log and ended events are kept"
    ),
    Variable(
        "METRICS_TOKEN", "metrics_token", _text, "", "when set, /metrics asks for it as a bearer token", secret=True
    ),
    Variable("OIDC_ISSUER", "oidc_issuer", _private_or_https, "", "single sign-on: address of the OpenID provider"),
    Variable("OIDC_CLIENT_ID", "oidc_client_id", _text, "", "the gateway's client id at the provider"),
    Variable("OIDC_CLIENT_SECRET", "oidc_client_secret", _text, "", "the client's secret", secret=True),
    Variable("OIDC_NAME", "oidc_name", _text, "", "what the button of the login page calls the provider"),
    Variable("SENTRY_DSN", "sentry_dsn", _HTTP, "", "where errors go", secret=True),
    Variable("SENTRY_ENVIRONMENT", "sentry_environment", _text, "production", "name shown in Sentry"),
    Variable(
        "LOG_LEVEL", "log_level", _choice("debug", "info", "warning", "error"), "info", "debug, info, warning, error"
    ),
    Variable(
        "LOG_FORMAT", "log_format", _choice("", "json", "console"), "", "json, or console (default on a terminal)"
    ),
    Variable("ALERT_EMAIL", "alert_email", _text, "", "who is mailed when something needs a person"),
    Variable("SMTP_URL", "smtp_url", _url("smtp", "smtps"), "", "smtp://user:password@host:port", secret=True),
    Variable("ALERT_WEBHOOK_URL", "alert_webhook_url", _HTTP, "", "where alerts are posted", secret=True),
    Variable(
        "ALERT_WEBHOOK_SECRET",
        "alert_webhook_secret",
        _webhook_secret,
        "",
        "signs those posts: whsec_ and base64; made from SECRET_KEY when unset, `doctor` shows it",
        secret=True,
    ),
    Variable("ALERT_LANGUAGE", "alert_language", _choice("en", "nl", "de"), "en", "language of alerts: en, nl or de"),
    Variable("ALERT_MINUTES", "alert_minutes", _number(1, 10080), "15", "a flow this far behind raises an alert"),
    Variable(
        "QUICKBOOKS_CALLS_PER_MINUTE",
        "quickbooks_calls_per_minute",
        _number(10, 100_000),
        "430",
        "calls a minute per company, over all processes; 430 never comes to Intuit's 500",
    ),
    Variable(
        "QUICKBOOKS_CALLS_PER_SECOND",
        "quickbooks_calls_per_second",
        _number(1, 10_000),
        "10",
        "calls started in any second per company, over all processes (Intuit allows 10)",
    ),
    Variable(
        "QUICKBOOKS_CALLS_AT_ONCE",
        "quickbooks_calls_at_once",
        _number(1, 100),
        "8",
        "calls at once per company, over all processes (Intuit allows 10)",
    ),
    Variable(
        "QUICKBOOKS_MONTHLY_READS",
        "quickbooks_monthly_reads",
        _number(1, 1_000_000_000),
        "500000",
        "reads a month your Intuit plan includes; alert at 80 %",
    ),
    Variable("MPLUS_CALLS_AT_ONCE", "mplus_calls_at_once", _number(1, 32), "1", "calls at once per installation"),
)


def read(environ: Mapping[str, str], *, var: Path | None = None) -> Settings:
    """Settings from `environ`; keys that a local start generates are kept in files under `var` (default: ./var).

    Raises `SettingsError` for the first variable that is missing or malformed.
    """
    values = {v.field: v.read(v.name, environ.get(v.name, "").strip() or v.default) for v in VARIABLES}
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
    values["redis_url"] = values["redis_url"] or f"unix://{(folder / 'valkey.sock').resolve()}"
    _check_together(values)
    return Settings(**{f.name: values[f.name] for f in fields(Settings)})


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
