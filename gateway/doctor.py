"""`doctor`: checks what can be checked from here, has a worker check the outside, and says what to do about each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import redis
from sqlalchemy import Engine

from gateway import alerts, jobs
from gateway.errors import GatewayError
from gateway.settings import Settings
from gateway.store import connections, migrate, presence, tokens
from gateway.store.connections import Connection
from gateway.store.sealing import Seal
from gateway.store.session import reading

LONG_ENOUGH = 32


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `fix` is empty when all is well, else what the person should do."""

    subject: str
    said: str
    fix: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.fix

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"check": self.subject, "good": self.good, "said": self.said, "fix": self.fix or None}


def examine(settings: Settings, engine: Engine, seal: Seal) -> Iterator[Finding]:
    """Every check of this side, one after the other; a later one is left out where an earlier one makes it moot."""
    yield from _check_settings(settings)
    yield _check_broker(settings)
    database = _guarded("database", lambda: _check_database(settings, engine))
    yield database
    if database.good:
        yield _guarded("processes", lambda: _check_processes(engine))
        yield from _check_connections(engine, seal)


def _check_settings(settings: Settings) -> Iterator[Finding]:
    yield Finding("settings", "every variable is well formed")
    for name, values in (("SECRET_KEY", settings.secret_keys), ("ADMIN_TOKEN", (settings.admin_token,))):
        shortest = min(map(len, values))
        fix = "" if shortest >= LONG_ENOUGH else f"use at least {LONG_ENOUGH} random characters"
        yield Finding(name, f"{len(values)} of at least {shortest} characters", fix)
    for name, secrets in (
        ("QUICKBOOKS_WEBHOOK_VERIFIER", settings.quickbooks_verifiers),
        ("MPLUS_WEBHOOK_SECRET", settings.mplus_webhook_secrets),
    ):
        if not secrets:
            yield Finding(name, "not set: these webhooks are refused, changes arrive by polling alone")
    secure = settings.public_url.startswith(("https://", "http://localhost", "http://127.0.0.1"))
    yield Finding("PUBLIC_URL", settings.public_url, "" if secure else "use https: Intuit refuses plain http")
    yield _check_alerts(settings)


def _check_alerts(settings: Settings) -> Finding:
    channels = ", ".join(alerts.open_channels(settings))
    if settings.alert_email and not settings.smtp_url:
        return Finding("alerts", "ALERT_EMAIL without a mail server", "set SMTP_URL to smtp://user:password@host:587")
    signed = f"; the webhook's receiver verifies with {alerts.show_secret(settings)}"
    own = settings.alert_webhook_url and not settings.alert_webhook_secret
    said = f"by {channels}{signed if own else ''}" if channels else "none set: failures are seen in the dashboard only"
    return Finding("alerts", said)


def _check_broker(settings: Settings) -> Finding:
    client = jobs.open_redis(settings.redis_url, tls_insecure=settings.redis_tls_insecure, timeout=2)
    try:
        client.ping()
        policy = dict(client.config_get("maxmemory-policy")).get("maxmemory-policy", "unknown")
    except redis.ResponseError:
        return Finding("broker", "answers (its settings may not be read)")
    except (redis.RedisError, OSError) as error:
        return Finding("broker", f"does not answer ({type(error).__name__})", "start it, or correct REDIS_URL")
    finally:
        client.close()
    fix = "" if policy == "noeviction" else "set maxmemory-policy to noeviction; wake-ups would be lost under pressure"
    return Finding("broker", f"answers, maxmemory-policy {policy}", fix)


def _check_database(settings: Settings, engine: Engine) -> Finding:
    with reading(engine):
        current = migrate.is_current(engine)
    kind = "PostgreSQL" if settings.is_postgres else "SQLite"
    return Finding("database", f"{kind}, reachable", "" if current else "run `./run migrate` (the release step)")


def _check_processes(engine: Engine) -> Finding:
    with reading(engine) as session:
        roles = {process.role for process in presence.alive(session)}
    missing = sorted({"web", "worker", "clock"} - roles)
    fix = f"start {', '.join(missing)}" if missing else ""
    return Finding("processes", f"running: {', '.join(sorted(roles)) or 'none'}", fix)


def _check_connections(engine: Engine, seal: Seal) -> Iterator[Finding]:
    try:
        with reading(engine) as session:
            every = connections.every(session, seal)
            held = {c.name: tokens.find(session, c.name, seal) for c in every}
    except GatewayError as error:
        yield Finding("connections", error.reason, error.fix or "look at the log")
        return
    if not every:
        yield Finding(
            "connections", "none yet", "connect both systems in the dashboard, or set MPLUS_* and QUICKBOOKS_*"
        )
    for connection in every:
        yield _check_connection(connection)
        yield _check_tokens(connection, held[connection.name])


def _check_connection(connection: Connection) -> Finding:
    missing = [
        name
        for name, value in (
            ("a QuickBooks company", connection.realm_id),
            ("the till's address", connection.mplus_url),
            ("the till's ident", connection.mplus_ident),
            ("the till's secret", connection.mplus_secret),
        )
        if not value
    ]
    subject = f"connection {connection.name}"
    if missing:
        return Finding(subject, f"lacks {', '.join(missing)}", "finish the assistant in the dashboard")
    if connection.paused:
        return Finding(subject, f"paused: {connection.paused}", "remove the cause, then let it go on in the dashboard")
    return Finding(subject, "live" if connection.live else "complete", "" if connection.live else "let it go live")


def _check_tokens(connection: Connection, held: tokens.Tokens | None) -> Finding:
    subject = f"authorisation {connection.name}"
    if held is None or not held.refresh:
        return Finding(subject, "QuickBooks was never connected", "connect QuickBooks in the dashboard")
    if held.lost:
        return Finding(subject, f"lost: {held.lost}", "connect QuickBooks again in the dashboard")
    until = f"{held.refresh_expires_at:%Y-%m-%d}" if held.refresh_expires_at else "unknown (not refreshed yet)"
    return Finding(subject, f"good until {until}")


def _guarded(subject: str, check: Callable[[], Finding]) -> Finding:
    try:
        return check()
    except GatewayError as error:
        return Finding(subject, error.reason, error.fix or "start it, or correct DATABASE_URL")
