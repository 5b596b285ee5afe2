"""Access control: the token of the admin API, names and passwords of people, invitations; throttled per source."""

from __future__ import annotations

import hmac
import math
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Final

import anyio
import anyio.to_thread
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Transient
from gateway.observability import counters
from gateway.store import audit, users
from gateway.store.session import reading, writing
from gateway.web import services
from gateway.web.problems import Refusal
from gateway.web.services import FAILURES, WINDOW_SECONDS, Services

ADMIN = "admin API"
DELAY_SECONDS = 0.5
PATIENCE_SECONDS = 1.5  # after that this process counts on its own
_NETWORK_BITS = 64
_LONGEST_SOURCE = 64  # a trusted proxy may forward any text
_INVITED: Final = "invitation "
"""Before a source whose links are counted: a link that is mistyped or old keeps nobody from logging in."""
Endpoint = Callable[[Request], Awaitable[Response]]


def admin_only(endpoint: Endpoint) -> Endpoint:
    """The endpoint behind `Authorization: Bearer $ADMIN_TOKEN`: 401 without it, 429 for a wrong one after too many."""

    async def guarded(request: Request) -> Response:
        if not await knows_token(request, bearer_of(request)):
            raise Refusal(
                401, "send Authorization: Bearer with the admin token", headers={"WWW-Authenticate": "Bearer"}
            )
        await services.settle_name(request)
        return await endpoint(request)

    return guarded


def bearer_of(request: Request) -> str:
    """The bearer token of a request; empty when it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


async def knows_token(request: Request, given: str) -> bool:
    """Whether this is ADMIN_TOKEN, in constant time. Raises `Refusal` 429 for a wrong one of a throttled source.

    The right one is never refused, even if others fail from the same address (a proxy, an office). While the source is
    throttled, every token is checked after a delay, so that guessing stays slow.
    """
    if not given:
        return False
    shared, source = services.of(request), source_of(request)
    right = hmac.compare_digest(given.encode("utf-8", "surrogatepass"), shared.settings.admin_token.encode())
    if shared.throttle.wait(source) > 0:
        await anyio.sleep(DELAY_SECONDS)
    if not right:
        await _refuse(shared, source)
    return right


async def find_user(request: Request, name: str, password: str) -> users.User | None:
    """The person with this name and password. Raises `Refusal` 429 for a throttled source, right or wrong.

    A password takes 50 ms of processor time to check, so a throttled source gets none of it; ADMIN_TOKEN still works.
    """
    shared, source = services.of(request), source_of(request)
    claim(shared, source)
    is_text = len(name) <= _LONGEST_SOURCE and name.isprintable()
    found = await shared.read(lambda session: users.find_login(session, name)) if is_text else None
    if await is_right(password, found[1] if found else None) and found:
        return found[0]
    await _refuse(shared, source)
    return None


async def find_invited(request: Request, secret: str) -> users.User | None:
    """Who is invited by this secret. Raises `Refusal` 429 for a source with too many wrong links."""
    shared, source = services.of(request), _INVITED + source_of(request)
    claim(shared, source)
    found = await shared.read(lambda session: users.find_invited(session, secret))
    if found is None:
        await _refuse(shared, source)
    return found


async def refuse_account(request: Request) -> None:
    """Count a login that the provider or the list of people refused. Raises `Refusal` 429 when there were too many."""
    await _refuse(services.of(request), source_of(request))


def claim(shared: Services, source: str) -> None:
    """Raises `Refusal` 429 unless this source may use the database for one more attempt."""
    refuse_throttled(shared, source)
    if not shared.throttle.may_ask():
        raise Refusal(429, "too many people try to log in right now; try again", headers={"Retry-After": "1"})


async def _refuse(shared: Services, source: str) -> None:
    """Count a failure of this source. Raises `Refusal` 429 when it has failed too often."""
    refuse_throttled(shared, source)
    counters.REFUSED_LOGINS.inc()
    if not shared.throttle.may_ask():
        shared.throttle.fail(source)  # in this process only
        return

    def find() -> users.LoginFailures:
        with reading(shared.engine) as session:
            return users.find_failures(session, source)

    with suppress(Transient):  # without the database, it counts in this process only
        shared.throttle.learn(source, await shared.soon(find, seconds=PATIENCE_SECONDS))
    # Checked again: other requests of this source may have failed during the query.
    refuse_throttled(shared, source)
    shared.throttle.fail(source)

    def count() -> users.LoginFailures:
        with writing(shared.engine) as session:
            counted = users.count_failure(session, source, most=FAILURES, seconds=WINDOW_SECONDS)
            if counted.failures == FAILURES:
                # One row per throttling, not per failure: wrong tokens cannot fill the table.
                target = "invitation" if source.startswith(_INVITED) else "admin token"
                audit.note(session, actor=source.removeprefix(_INVITED), action="throttled", target=target)
        if counted.failures == 1:
            with writing(shared.engine) as session:
                users.purge_failures(session)
        return counted

    with suppress(Transient):
        shared.throttle.learn(source, await shared.soon(count, seconds=PATIENCE_SECONDS))


def refuse_throttled(shared: Services, source: str) -> None:
    """Raises `Refusal` 429 for a source that has failed too often."""
    wait = shared.throttle.wait(source)
    if wait > 0:
        detail = "too many wrong tokens came from this address; wait before the next try"
        raise Refusal(429, detail, headers={"Retry-After": str(math.ceil(wait))})


def source_of(request: Request) -> str:
    """The address a request came from, as the server reports it (behind a proxy: as the trusted proxy says).

    Of IPv6 the network: one client usually has 2**64 addresses.
    """
    return to_source(request.client.host) if request.client else "unknown"


def to_source(host: str) -> str:
    """The key under which the throttle counts an address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host[:_LONGEST_SOURCE]
    if isinstance(address, IPv4Address):
        return host
    return str(address.ipv4_mapped or ip_network((address, _NETWORK_BITS), strict=False))


SHORTEST: Final = 12
LONGEST: Final = 200
_MEMORY_KIB: Final = 19_456
_NOBODY: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t=2,p=1${'A' * 22}${'A' * 43}"
"""The hash of no known password: a name that nobody has takes as long to refuse as a wrong password."""
_one_at_a_time = anyio.Semaphore(1)


async def to_hash(password: str) -> str:
    """The hash in PHC format, with a salt of its own."""
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=_MEMORY_KIB)
    async with _one_at_a_time:
        return await anyio.to_thread.run_sync(kdf.derive_phc_encoded, _encode(password))


async def is_right(password: str, hashed: str | None) -> bool:
    """Whether this is the password; always false, but no sooner, without a hash."""

    def verify() -> bool:
        try:
            Argon2id.verify_phc_encoded(_encode(password), hashed or _NOBODY)
        except InvalidKey:
            return False
        return True

    async with _one_at_a_time:
        return await anyio.to_thread.run_sync(verify)


def _encode(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")
