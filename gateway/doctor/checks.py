"""The checks of doctor: database, processes, Redis, the variables and PUBLIC_URL."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
import redis
from sqlalchemy import Engine, text

from gateway import alerts, jobs, pools
from gateway.connectors.http import Transport, to_client
from gateway.errors import Permanent, Transient
from gateway.findings import Finding
from gateway.settings import PRODUCTION_API, SANDBOX_API, Settings
from gateway.store import installation, migrate, postgres, views
from gateway.store.session import reading
from gateway.version import VERSION
from gateway.web.dashboard.login import CALLBACK, open_provider
from gateway.web.oauth import redirect_uri
from mapping.messages import message

OLDEST_POSTGRES = 14  # the oldest one that is still maintained
SKEW_SECONDS = 10.0
# The server's limit, for all its connections, or the one of our role, for ours.
_ROOM = text(
    "SELECT least(current_setting('max_connections')::int, nullif(rolconnlimit, -1)),"
    " (SELECT count(*) FROM pg_stat_activity"
    " WHERE datid IS NOT NULL AND (rolconnlimit = -1 OR usesysid = pg_roles.oid))"
    " FROM pg_roles WHERE rolname = current_user"
)
NEARLY_FULL = 0.9


def check_schema(settings: Settings, engine: Engine) -> Finding:
    with reading(engine):
        current = migrate.is_current(engine)
    kind = "PostgreSQL" if settings.is_postgres else "SQLite"
    return Finding("database", f"{kind}, reachable", "" if current else "run `./run migrate` (the release step)")


def check_version(engine: Engine) -> Finding:
    """Whether the server is new enough."""
    with reading(engine) as session:
        number = int(session.execute(text("SHOW server_version_num")).scalar_one())
    major = number // 10_000
    fix = "" if major >= OLDEST_POSTGRES else f"update it to PostgreSQL {OLDEST_POSTGRES} or newer"
    return Finding("PostgreSQL", f"version {major}", fix)


def check_pooler(engine: Engine) -> Finding:
    """Whether a transaction pooler lies before the database."""
    with reading(engine) as session:
        pooled = postgres.is_pooled(session.connection())
    said = (
        "a transaction pooler (such as PgBouncer) lies before it: nothing is prepared, limits are set in transactions"
    )
    return Finding("pooler", said if pooled else "none: sessions are our own")


def check_capacity(settings: Settings, engine: Engine) -> Finding:
    """Whether the server has enough free connections."""
    with reading(engine) as session:
        most, used = map(int, session.execute(_ROOM).one())
    wanted, given = 2 * pools.release(settings), settings.database_connections
    said = f"{used} are used, {most} allowed; ours take up to {wanted // 2}, twice that during an update"
    if most < given:
        return Finding("connections left", said, f"set DATABASE_CONNECTIONS to {most}, or allow {given}")
    fix = "" if wanted <= given else "lower WEB_CONCURRENCY or WORKER_PROCESSES, or raise DATABASE_CONNECTIONS"
    return Finding("connections left", said, fix)


def check_clocks(engine: Engine) -> Finding:
    """How far the clocks of this machine and the database are apart."""
    with reading(engine) as session:
        skew = abs((views.now_of(session) - datetime.now(UTC)).total_seconds())
    fix = (
        "" if skew < SKEW_SECONDS else "let both machines take their time from NTP: leases and signatures depend on it"
    )
    return Finding("clocks", f"this machine and the database are {skew:.0f} s apart", fix)


def check_processes(engine: Engine) -> Finding:
    """Which kinds of process run, and whether all of them are this version."""
    with reading(engine) as session:
        alive = installation.alive(session)
    roles, versions = {process.role for process in alive}, {process.version for process in alive} | {VERSION}
    missing = sorted({"web", "worker", "clock"} - roles)
    said = f"running: {', '.join(sorted(roles)) or 'none'}"
    if missing:
        return Finding("processes", said, f"start {', '.join(missing)}")
    if len(versions) > 1:
        fix = "finish the update: restart what still runs the old version (it is listed for a minute after it ended)"
        return Finding("processes", f"{said}, in versions {', '.join(sorted(versions))}", fix)
    return Finding("processes", f"{said}, all {VERSION}")


def check_broker(settings: Settings) -> Iterator[Finding]:
    """The broker. It holds wake-ups only: without it events are handled later, never lost."""
    client = jobs.open_redis(settings.redis_url, tls_insecure=settings.redis_tls_insecure, timeout=2)
    try:
        client.ping()
        yield _check_policy(client)
        yield from _check_memory(client)
    except (redis.RedisError, OSError) as error:
        yield Finding("broker", f"does not answer: {error or type(error).__name__}", "start it, or correct REDIS_URL")
    finally:
        client.close()


def _check_policy(client: redis.Redis) -> Finding:
    try:
        policy = dict(client.config_get("maxmemory-policy")).get("maxmemory-policy", "unknown")
    except redis.ResponseError:
        return Finding("broker", "answers (its settings may not be read)")
    fix = "" if policy == "noeviction" else "set maxmemory-policy to noeviction; wake-ups would be lost under pressure"
    return Finding("broker", f"answers, maxmemory-policy {policy}", fix)


def _check_memory(client: redis.Redis) -> Iterator[Finding]:
    try:
        info: Mapping[str, Any] = dict(client.info())
    except redis.ResponseError:
        return
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most:
        fix = "" if used < NEARLY_FULL * most else "give it more memory, or look what else uses it"
        yield Finding("broker memory", f"{used // 2**20} of {most // 2**20} MiB used", fix)
    if info and not info.get("aof_enabled"):
        yield Finding("broker persistence", "no append-only file: wake-ups are lost in a restart, events are not")


# --- variables and addresses -------------------------------------------------------------------------------------


LONG_ENOUGH = 32
VARIED_ENOUGH = 10  # different characters; random ones of this length have about twenty
_HERE = {"localhost", "127.0.0.1", "::1"}
SECONDS = 5.0


def check(settings: Settings) -> Iterator[Finding]:
    """What can be checked from the environment alone."""
    yield Finding("settings", "every variable is well formed")
    yield from _check_secrets(settings)
    yield from _check_app(settings)
    yield from _check_webhooks(settings)
    yield _check_alerts(settings)


def is_here(settings: Settings) -> bool:
    """Whether PUBLIC_URL is this machine, which cannot be reached from outside."""
    return urlsplit(settings.public_url).hostname in _HERE


def _check_secrets(settings: Settings) -> Iterator[Finding]:
    for name, values in (("SECRET_KEY", settings.secret_keys), ("ADMIN_TOKEN", (settings.admin_token,))):
        weakest = min(values, key=lambda value: (len(set(value)) >= VARIED_ENOUGH, len(value)))
        weak = len(weakest) < LONG_ENOUGH or len(set(weakest)) < VARIED_ENOUGH
        fix = f"use at least {LONG_ENOUGH} random characters" if weak else ""
        which = f", the shortest of {len(values)}" if len(values) > 1 else ""
        yield Finding(name, f"{min(map(len, values))} characters{which}", fix)
    if settings.admin_token in settings.secret_keys:
        yield Finding("secrets", "ADMIN_TOKEN is also a SECRET_KEY", "make another ADMIN_TOKEN: people type that one")


def _check_app(settings: Settings) -> Iterator[Finding]:
    subject, kind = "QuickBooks app", settings.quickbooks_environment
    if not (settings.quickbooks_client_id and settings.quickbooks_client_secret):
        fix = "set QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET (Intuit's portal, Keys & credentials)"
        yield Finding(subject, "no keys", fix)
        return
    other = {"sandbox": PRODUCTION_API, "production": SANDBOX_API}[kind]
    if settings.quickbooks_api_url == other:
        fix = "remove QUICKBOOKS_API_URL, or set the other QUICKBOOKS_ENVIRONMENT"
        yield Finding(subject, f"QUICKBOOKS_ENVIRONMENT is {kind}, but QUICKBOOKS_API_URL is the other one's", fix)
        return
    keys = {"sandbox": "development", "production": "production"}[kind]
    yield Finding(subject, f"{kind}: needs the app's {keys} keys and companies of that kind")


def _check_webhooks(settings: Settings) -> Iterator[Finding]:
    places = (
        (
            "QUICKBOOKS_WEBHOOK_VERIFIER",
            settings.quickbooks_verifiers,
            "Intuit's portal, Webhooks, Show verifier token",
        ),
        (
            "MPLUS_WEBHOOK_SECRET",
            settings.mplus_webhook_secrets,
            "the till's back office, Beheer > Instellingen > Webhooks",
        ),
    )
    for name, secrets, place in places:
        if not secrets:
            said = "not set: these webhooks are refused, changes arrive by polling alone"
            yield Finding(name, f"{said} (it is in {place})")


def _check_alerts(settings: Settings) -> Finding:
    if settings.alert_email and not settings.smtp_url:
        return Finding("alerts", "ALERT_EMAIL without a mail server", "set SMTP_URL to smtp://user:password@host:587")
    channels = ", ".join(alerts.open_channels(settings))
    if not channels:
        fix = "" if is_here(settings) else "set ALERT_EMAIL with SMTP_URL, or ALERT_WEBHOOK_URL"
        return Finding("alerts", "none set: failures are shown in the dashboard only", fix)
    signed = f"; the webhook's receiver verifies with {alerts.show_secret(settings)}"
    own = settings.alert_webhook_url and not settings.alert_webhook_secret
    return Finding("alerts", f"by {channels}{signed if own else ''}")


def check_address(settings: Settings) -> Iterator[Finding]:
    yield _check_scheme(settings)
    yield _check_answer(settings)
    if settings.quickbooks_client_id:
        said = f"{redirect_uri(settings)} must be among the redirect URIs in Intuit's portal, letter for letter"
        yield Finding("redirect URI", said)


def check_single_sign_on(settings: Settings) -> Iterator[Finding]:
    """The OpenID provider, where one is set up: its description, its name, and whether it accepts the client."""
    provider, subject = open_provider(settings), "single sign-on"
    if provider is None:
        return
    try:
        is_known = provider.check()
    except (Transient, Permanent) as error:
        fix = error.fix or "start the provider, or correct OIDC_ISSUER, its name in the DNS or its certificate"
        yield Finding(subject, error.reason, fix)
    else:
        said = "the provider {issuer} answers and knows the client {client}"
        if is_known is None:
            said = "the provider {issuer} answers; whether it knows the client {client} shows the first login"
        yield Finding(subject, message(said, issuer=settings.oidc_issuer, client=settings.oidc_client_id))
    address = settings.public_url + CALLBACK
    said = message("{address} must be among the redirect addresses at the provider, letter for letter", address=address)
    secure = urlsplit(settings.public_url).scheme == "https" or is_here(settings)
    yield Finding("redirect of single sign-on", said, "" if secure else "set PUBLIC_URL to an https address")


def _check_scheme(settings: Settings) -> Finding:
    secure = settings.public_url.startswith("https://")
    if is_here(settings) and settings.quickbooks_environment == "production" and settings.quickbooks_client_id:
        said = f"{settings.public_url}: only this machine reaches it, so no webhook does"
        return Finding(
            "PUBLIC_URL",
            said,
            ""
            if settings.quickbooks_api_url.startswith(("http://localhost", "http://127.0.0.1"))
            else "set it to the https address of this gateway",
        )
    return Finding(
        "PUBLIC_URL", settings.public_url, "" if secure or is_here(settings) else "use https: Intuit refuses plain http"
    )


def _check_answer(settings: Settings) -> Finding:
    subject, url = "address", f"{settings.public_url}/livez"
    try:
        with to_client(Transport(), timeout=SECONDS) as http:
            answer = http.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fix = "start web, or correct PUBLIC_URL, its name in the DNS, its certificate or the proxy"
        return Finding(subject, f"{url} does not answer from here ({type(error).__name__})", fix)
    if answer.is_redirect:
        fix = "set PUBLIC_URL to the final address: a webhook does not follow"
        return Finding(subject, f"{url} redirects to {answer.headers.get('location', '')}", fix)
    fix = "" if answer.is_success else "let the proxy pass everything below PUBLIC_URL to web"
    return Finding(subject, f"{url} answers {answer.status_code}", fix)
