"""Checks of the database, of the running processes, and of Redis."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import redis
from sqlalchemy import Engine, text

from gateway import jobs, pools
from gateway.findings import Finding
from gateway.settings import Settings
from gateway.store import installation, migrate, postgres, views
from gateway.store.session import reading
from gateway.version import VERSION

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
        yield from _check_memory(_info(client))
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


def _info(client: redis.Redis) -> Mapping[str, Any]:
    try:
        return dict(client.info())
    except redis.ResponseError:
        return {}


def _check_memory(info: Mapping[str, Any]) -> Iterator[Finding]:
    used, most = int(info.get("used_memory", 0)), int(info.get("maxmemory", 0))
    if most:
        fix = "" if used < NEARLY_FULL * most else "give it more memory, or look what else uses it"
        yield Finding("broker memory", f"{used // 2**20} of {most // 2**20} MiB used", fix)
    if info and not info.get("aof_enabled"):
        yield Finding("broker persistence", "no append-only file: wake-ups are lost in a restart, events are not")
