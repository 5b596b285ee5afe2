"""Who may come in: the bearer token of the admin API, the password of the dashboard, both throttled per source."""

from __future__ import annotations

import hmac
import math
from collections.abc import Awaitable, Callable
from ipaddress import IPv4Address, ip_address, ip_network

from starlette.requests import Request
from starlette.responses import Response

from gateway.store import audit
from gateway.web import meters, services
from gateway.web.problems import Refusal
from gateway.web.services import Services

ADMIN = "admin API"
_NETWORK_BITS = 64
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_only(endpoint: Endpoint) -> Endpoint:
    """The endpoint behind `Authorization: Bearer $ADMIN_TOKEN`: 401 without it, 429 after too many wrong ones."""

    async def guarded(request: Request) -> Response:
        given = request.headers.get("authorization", "")
        scheme, _, token = given.partition(" ")
        if not await knows_token(request, token.strip() if scheme.lower() == "bearer" else ""):
            raise Refusal(
                401, "send Authorization: Bearer with the admin token", headers={"WWW-Authenticate": "Bearer"}
            )
        return await endpoint(request)

    return guarded


async def knows_token(request: Request, given: str) -> bool:
    """Whether this is ADMIN_TOKEN, in constant time. Raises `Refusal` 429 while the source is throttled."""
    shared, source = services.of(request), source_of(request)
    wait = shared.throttle.wait(source)
    if wait > 0:
        detail = "too many wrong tokens came from this address; wait before the next try"
        raise Refusal(429, detail, headers={"Retry-After": str(math.ceil(wait))})
    if hmac.compare_digest(given.encode("utf-8", "surrogatepass"), shared.settings.admin_token.encode()):
        shared.throttle.succeed(source)
        return True
    if given:
        await _note_failure(shared, source)
    return False


async def _note_failure(shared: Services, source: str) -> None:
    meters.REFUSED_LOGINS.inc()
    if shared.throttle.fail(source):
        # One row per closed door, not per try: nobody can fill the table by guessing.
        await shared.write(lambda s: audit.note(s, actor=source, action="throttled", target="admin token"))


def source_of(request: Request) -> str:
    """Where a request came from, as the server saw it (behind a proxy: as the trusted proxy says).

    Of IPv6 the network: whoever has one address there has 2**64 of them.
    """
    return to_source(request.client.host) if request.client else "unknown"


def to_source(host: str) -> str:
    """An address as the throttle counts it."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if isinstance(address, IPv4Address):
        return host
    return str(address.ipv4_mapped or ip_network((address, _NETWORK_BITS), strict=False))
