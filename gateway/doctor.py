"""`doctor`: checks what can be checked from here, has a worker check the outside, and says how to fix each problem."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import redis
from sqlalchemy import Engine, func, select, text
from sqlmodel import Session, col

from gateway import VERSION, alerts, findings, jobs
from gateway.connectors.http import Limits, NoAnswer, Transport, send
from gateway.database import postgres, sql
from gateway.database.sealing import Seal
from gateway.database.session import reading
from gateway.errors import Permanent, Transient
from gateway.findings import Check, Finding
from gateway.settings import PRODUCTION_API, SANDBOX_API, Settings
from gateway.store import connections, counts, installation, tokens
from gateway.store.connections import Connection
from gateway.store.tables import InboxRow
from gateway.web import webhooks
from gateway.web.oauth import redirect_uri
from gateway.web.services import SIGN_ON_CALLBACK, open_provider
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
LONG_ENOUGH = 32
VARIED_ENOUGH = 10  # different characters; random ones of this length have about twenty
_HERE = {"localhost", "127.0.0.1", "::1"}
_SIMULATED = ("http://localhost", "http://127.0.0.1")
SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Installation:
    """What this side is checked with; of the connections `only` those with these keys, by default all."""

    settings: Settings
    engine: Engine
    seal: Seal
    only: Collection[str] | None = None

    @property
    def is_here(self) -> bool:
        """Whether PUBLIC_URL is this machine, which cannot be reached from outside."""
        return urlsplit(self.settings.public_url).hostname in _HERE


def examine(at: Installation) -> Iterator[Finding]:
    return findings.run(CHECKS, at, otherwise="start it, or correct DATABASE_URL")


def check_variables(at: Installation) -> Iterator[Finding]:
    """What can be checked from the environment alone."""
    settings = at.settings
    yield Finding("settings", "every variable is well formed")
    for name, values in (("SECRET_KEY", settings.secret_keys), ("ADMIN_TOKEN", (settings.admin_token,))):
        weakest = min(values, key=lambda value: (len(set(value)) >= VARIED_ENOUGH, len(value)))
        weak = len(weakest) < LONG_ENOUGH or len(set(weakest)) < VARIED_ENOUGH
        fix = f"use at least {LONG_ENOUGH} random characters" if weak else ""
        which = f", the shortest of {len(values)}" if len(values) > 1 else ""
        yield Finding(name, f"{min(map(len, values))} characters{which}", fix)
    if settings.admin_token in settings.secret_keys:
        yield Finding("secrets", "ADMIN_TOKEN is also a SECRET_KEY", "make another ADMIN_TOKEN: people type that one")
    yield _check_app(settings)
    unset = "not set: these webhooks are refused, changes arrive by polling alone"
    if not settings.quickbooks_verifiers:
        place = "Intuit's portal, Webhooks, Show verifier token"
        yield Finding("QUICKBOOKS_WEBHOOK_VERIFIER", f"{unset} (it is in {place})")
    if not settings.mplus_webhook_secrets:
        place = "the till's back office, Beheer > Instellingen > Webhooks"
        yield Finding("MPLUS_WEBHOOK_SECRET", f"{unset} (it is in {place})")
    yield _check_alerts(at)


def _check_app(settings: Settings) -> Finding:
    subject, kind = "QuickBooks app", settings.quickbooks_environment
    if not (settings.quickbooks_client_id and settings.quickbooks_client_secret):
        fix = "set QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET (Intuit's portal, Keys & credentials)"
        return Finding(subject, "no keys", fix)
    other = {"sandbox": PRODUCTION_API, "production": SANDBOX_API}[kind]
    if settings.quickbooks_api_url == other:
        fix = "remove QUICKBOOKS_API_URL, or set the other QUICKBOOKS_ENVIRONMENT"
        return Finding(subject, f"QUICKBOOKS_ENVIRONMENT is {kind}, but QUICKBOOKS_API_URL is the other one's", fix)
    keys = {"sandbox": "development", "production": "production"}[kind]
    return Finding(subject, f"{kind}: needs the app's {keys} keys and companies of that kind")


def _check_alerts(at: Installation) -> Finding:
    settings = at.settings
    if settings.alert_email and not settings.smtp_url:
        return Finding("alerts", "ALERT_EMAIL without a mail server", "set SMTP_URL to smtp://user:password@host:587")
    channels = ", ".join(alerts.open_channels(settings))
    if not channels:
        fix = "" if at.is_here else "set ALERT_EMAIL with SMTP_URL, or ALERT_WEBHOOK_URL"
        return Finding("alerts", "none set: failures are shown in the dashboard only", fix)
    signed = f"; the webhook's receiver verifies with {alerts.show_secret(settings)}"
    own = settings.alert_webhook_url and not settings.alert_webhook_secret
    return Finding("alerts", f"by {channels}{signed if own else ''}")


def check_address(at: Installation) -> Iterator[Finding]:
    settings = at.settings
    url, is_simulated = settings.public_url, settings.quickbooks_api_url.startswith(_SIMULATED)
    if at.is_here and settings.quickbooks_environment == "production" and settings.quickbooks_client_id:
        fix = "" if is_simulated else "set it to the https address of this gateway"
        yield Finding("PUBLIC_URL", f"{url}: only this machine reaches it, so no webhook does", fix)
    else:
        good = at.is_here or url.startswith("https://")
        yield Finding("PUBLIC_URL", url, "" if good else "use https: Intuit refuses plain http")
    yield _check_answer(f"{url}/livez")
    if settings.quickbooks_client_id:
        said = f"{redirect_uri(settings)} must be among the redirect URIs in Intuit's portal, letter for letter"
        yield Finding("redirect URI", said)


def _check_answer(url: str) -> Finding:
    subject = "address"
    try:
        with Transport() as transport:
            limits = Limits(connect=SECONDS, read=SECONDS, total=SECONDS)
            # Some proxies and firewalls refuse a call that does not say what makes it.
            answer = send(transport, httpx.Request("GET", url, headers={"User-Agent": "kassabridge"}), limits)
    except (NoAnswer, httpx.InvalidURL) as error:
        fix = "start web, or correct PUBLIC_URL, its name in the DNS, its certificate or the proxy"
        why = error.code if isinstance(error, NoAnswer) else type(error).__name__
        return Finding(subject, f"{url} does not answer from here ({why})", fix)
    if "location" in answer.headers and answer.status in range(300, 400):
        fix = "set PUBLIC_URL to the final address: a webhook does not follow"
        return Finding(subject, f"{url} redirects to {answer.headers['location']}", fix)
    fix = "" if answer.status in range(200, 300) else "let the proxy pass everything below PUBLIC_URL to web"
    return Finding(subject, f"{url} answers {answer.status}", fix)


def check_single_sign_on(at: Installation) -> Iterator[Finding]:
    """The OpenID provider, where one is set up: its description, its name, and whether it accepts the client."""
    settings = at.settings
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
    address = settings.public_url + SIGN_ON_CALLBACK
    said = message("{address} must be among the redirect addresses at the provider, letter for letter", address=address)
    secure = urlsplit(settings.public_url).scheme == "https" or at.is_here
    yield Finding("redirect of single sign-on", said, "" if secure else "set PUBLIC_URL to an https address")


def check_broker(at: Installation) -> Iterator[Finding]:
    """The broker. It holds wake-ups only: without it events are handled later, never lost."""
    settings = at.settings
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


def check_schema(at: Installation) -> Finding:
    with reading(at.engine):
        current = installation.is_current(at.engine)
    kind = "PostgreSQL" if at.settings.is_postgres else "SQLite"
    return Finding("database", f"{kind}, reachable", "" if current else "run `./run migrate` (the release step)")


def check_version(at: Installation) -> Finding:
    with reading(at.engine) as session:
        number = int(session.execute(text("SHOW server_version_num")).scalar_one())
    major = number // 10_000
    fix = "" if major >= OLDEST_POSTGRES else f"update it to PostgreSQL {OLDEST_POSTGRES} or newer"
    return Finding("PostgreSQL", f"version {major}", fix)


def check_pooler(engine: Engine) -> Finding:
    with reading(engine) as session:
        pooled = postgres.is_pooled(session.connection())
    said = (
        "a transaction pooler (such as PgBouncer) lies before it: nothing is prepared, limits are set in transactions"
    )
    return Finding("pooler", said if pooled else "none: sessions are our own")


def check_capacity(at: Installation) -> Finding:
    with reading(at.engine) as session:
        most, used = map(int, session.execute(_ROOM).one())
    wanted, given = 2 * at.settings.release_connections, at.settings.database_connections
    said = f"{used} are used, {most} allowed; ours take up to {wanted // 2}, twice that during an update"
    if most < given:
        return Finding("connections left", said, f"set DATABASE_CONNECTIONS to {most}, or allow {given}")
    fix = "" if wanted <= given else "lower WEB_CONCURRENCY or WORKER_PROCESSES, or raise DATABASE_CONNECTIONS"
    return Finding("connections left", said, fix)


def check_clocks(at: Installation) -> Finding:
    with reading(at.engine) as session:
        skew = abs((sql.now_of(session) - datetime.now(UTC)).total_seconds())
    fix = (
        "" if skew < SKEW_SECONDS else "let both machines take their time from NTP: leases and signatures depend on it"
    )
    return Finding("clocks", f"this machine and the database are {skew:.0f} s apart", fix)


def check_processes(at: Installation) -> Finding:
    """Which kinds of process run, and whether all of them are this version."""
    with reading(at.engine) as session:
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


def check_connections(at: Installation) -> Iterator[Finding]:
    with reading(at.engine) as session:
        every = [each for each in connections.every(session, at.seal) if at.only is None or each.name in at.only]
        unknown = connections.with_unknown_status(session) if at.only is None else []
        held = {each.name: tokens.find(session, each.name, at.seal) for each in every}
        found = list(_check_webhooks(at.settings, session, every))
    if not every and not unknown:
        yield Finding(
            "connections", "none yet", "connect both systems in the dashboard, or set MPLUS_* and QUICKBOOKS_*"
        )
    for called, status in unknown:
        said = message('stopped: its status "{status}" is one of a later release', status=status)
        yield Finding(message("connection {name}", name=called), said, "run the release that set it, or a later one")
    for connection in every:
        yield _check_connection(connection)
        yield _check_tokens(connection, held[connection.name])
    yield from found


def _check_connection(connection: Connection) -> Finding:
    needed = {
        "a QuickBooks company": connection.realm_id,
        "the till's address": connection.mplus_url,
        "the till's ident": connection.mplus_ident,
        "the till's secret": connection.mplus_secret,
    }
    missing = [name for name, value in needed.items() if not value]
    subject = f"connection {connection.display_name}"
    if missing:
        return Finding(subject, f"lacks {', '.join(missing)}", "finish the assistant in the dashboard")
    if connection.paused:
        return Finding(subject, f"paused: {connection.paused}", "remove the cause, then resume it in the dashboard")
    return Finding(subject, "live" if connection.live else "complete", "" if connection.live else "let it go live")


def _check_tokens(connection: Connection, held: tokens.Tokens | None) -> Finding:
    subject = f"authorisation {connection.name}"
    if held is None or not held.refresh:
        return Finding(subject, "QuickBooks was never connected", "connect QuickBooks in the dashboard")
    if held.lost_code:
        return Finding(subject, f"refused: {held.lost}", tokens.REFUSED)
    if held.lost:
        return Finding(subject, f"lost: {held.lost}", "connect QuickBooks again in the dashboard")
    until = f"{held.refresh_expires_at:%Y-%m-%d}" if held.refresh_expires_at else "unknown (not refreshed yet)"
    return Finding(subject, f"good until {until}")


def _check_webhooks(settings: Settings, session: Session, every: list[Connection]) -> Iterator[Finding]:
    """Whether webhooks that are set up have ever come; before the first connection none can."""
    for connection in every if settings.quickbooks_verifiers else ():
        fix = "enter PUBLIC_URL/webhooks/quickbooks in Intuit's portal, tick the entities, send a test event there"
        yield _check_heard(session, "QuickBooks", connection, fix)
    for connection in (each for each in every if each.mplus_webhook_secrets):
        fix = "enter PUBLIC_URL/webhooks/mpluskassa in the till's back office (module webhooks), then sell something"
        yield _check_heard(session, "MplusKASSA", connection, fix)


def _check_heard(session: Session, system: str, connection: Connection, fix: str) -> Finding:
    from_till = col(InboxRow.entity).in_((webhooks.SESSION, webhooks.COMPLAINT))
    of_system = from_till if system == "MplusKASSA" else ~from_till
    mine = (col(InboxRow.connection) == connection.name) & (col(InboxRow.source) == webhooks.SOURCE)
    last = session.execute(select(func.max(col(InboxRow.received_at))).where(mine, of_system)).scalar_one_or_none()
    subject = f"webhooks of {system}, {connection.name}"
    if last is None:
        return Finding(subject, "none came yet", fix)
    return Finding(subject, f"the last came {last:%Y-%m-%d %H:%M} UTC")


def check_plan(at: Installation) -> Finding:
    with reading(at.engine) as session:
        now = sql.now_of(session)
        calls = counts.calls_of_month(session, f"{now:%Y-%m}")
    used = counts.forecast_reads(calls, now=now, allowance=at.settings.quickbooks_monthly_reads)
    said = f"{used.reads} of {used.allowance} used in {used.month}, {used.forecast} expected"
    risky = used.warning or used.forecast > used.allowance
    fix = "raise QUICKBOOKS_CDC_SECONDS, buy a larger plan, or correct QUICKBOOKS_MONTHLY_READS" if risky else ""
    return Finding("metered reads", said, fix)


def _on_server(look: Callable[[Installation], Finding]) -> Callable[[Installation], list[Finding]]:
    return lambda at: [look(at)] if at.engine.dialect.name == "postgresql" else []


_NEEDS: Final = frozenset({"database"})
CHECKS: Final[tuple[Check[Installation], ...]] = (
    Check("settings", check_variables),
    Check("PUBLIC_URL", check_address),
    Check("single sign-on", check_single_sign_on),
    Check("broker", check_broker),
    Check("database", lambda at: [check_schema(at)]),
    Check("PostgreSQL", _on_server(check_version), _NEEDS),
    Check("pooler", _on_server(lambda at: check_pooler(at.engine)), _NEEDS),
    Check("connections left", _on_server(check_capacity), _NEEDS),
    Check("clocks", lambda at: [check_clocks(at)], _NEEDS),
    Check("processes", lambda at: [check_processes(at)], _NEEDS),
    Check("connections", check_connections, _NEEDS),
    Check("metered reads", lambda at: [check_plan(at)], _NEEDS),
)
