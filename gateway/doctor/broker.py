"""Checks of Redis: whether it answers, drops what it holds, is nearly full, and what a restart costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import redis

from gateway import jobs
from gateway.findings import Finding
from gateway.settings import Settings

NEARLY_FULL = 0.9


def check(settings: Settings) -> Iterator[Finding]:
    """The broker. It holds wake-ups only: without it events are handled later, never lost."""
    client = jobs.open_redis(settings.redis_url, tls_insecure=settings.redis_tls_insecure, timeout=2)
    try:
        client.ping()
        yield _check_policy(client)
        yield from _check_memory(_info(client))
    except (redis.RedisError, OSError) as error:
        yield Finding("broker", f"does not answer ({type(error).__name__})", "start it, or correct REDIS_URL")
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
