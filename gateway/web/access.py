"""Access control: the token of the admin API, passwords and invitations, sessions of browsers, and their forms.

Failures are counted and throttled per source; only our own pages may send a form.
"""

from __future__ import annotations

import math
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from ipaddress import IPv4Address, ip_address, ip_network
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

import anyio
import anyio.to_thread
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.database.session import reading, writing
from gateway.errors import Transient
from gateway.observability import counters
from gateway.store import audit, users
from gateway.web import inputs, services
from gateway.web.inputs import Refusal
from gateway.web.services import FAILURES, WINDOW_SECONDS, Services
from gateway.web.sessions import LIFETIME_SECONDS, Right, Visitor, is_same, to_actor

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
        if not await knows_token(request, inputs.bearer_of(request)):
            detail = "send Authorization: Bearer with the admin token"
            raise Refusal(401, detail, headers={"WWW-Authenticate": "Bearer"})
        await services.settle_name(request)
        return await endpoint(request)

    return guarded


async def knows_token(request: Request, given: str) -> bool:
    """Whether this is ADMIN_TOKEN, in constant time. Raises `Refusal` 429 for a wrong one of a throttled source.

    The right one is never refused, even if others fail from the same address (a proxy, an office). While the source is
    throttled, every token is checked after a delay, so that guessing stays slow.
    """
    if not given:
        return False
    shared, source = services.of(request), source_of(request)
    right = is_same(given, shared.settings.admin_token)
    if shared.throttle.wait(source) > 0:
        await anyio.sleep(DELAY_SECONDS)
    if not right:
        await count_failure(shared, source)
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
    await count_failure(shared, source)
    return None


async def find_invited(request: Request, secret: str) -> users.User | None:
    """Who is invited by this secret. Raises `Refusal` 429 for a source with too many wrong links."""
    shared, source = services.of(request), _INVITED + source_of(request)
    claim(shared, source)
    found = await shared.read(lambda session: users.find_invited(session, secret))
    if found is None:
        await count_failure(shared, source)
    return found


def claim(shared: Services, source: str) -> None:
    """Raises `Refusal` 429 unless this source may use the database for one more attempt."""
    refuse_throttled(shared, source)
    if not shared.throttle.may_ask():
        raise Refusal(429, "too many people try to log in right now; try again", headers={"Retry-After": "1"})


async def count_failure(shared: Services, source: str) -> None:
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
        return await anyio.to_thread.run_sync(kdf.derive_phc_encoded, password.encode("utf-8", "surrogatepass"))


async def is_right(password: str, hashed: str | None) -> bool:
    """Whether this is the password; always false, but no sooner, without a hash."""

    def verify() -> bool:
        try:
            Argon2id.verify_phc_encoded(password.encode("utf-8", "surrogatepass"), hashed or _NOBODY)
        except InvalidKey:
            return False
        return True

    async with _one_at_a_time:
        return await anyio.to_thread.run_sync(verify)


# --- people with a browser: the session cookie, pages for those who logged in, forms of our own pages -----------------


LANGUAGE, LANGUAGE_SECONDS = "_language", 365 * 86_400
"""The end of the name of the cookie that holds the chosen language, and how long a browser keeps it."""
UNSENT: Final = "unsent"
"""Says to the login that a form was not accepted because its session had ended."""
NO_CONNECTION: Final = "~"
"""What no connection is ever called."""
Page = Callable[[Request, Visitor], Awaitable[Response]]
Action = Callable[[Request, Visitor, dict[str, str]], Awaitable[Response]]
_MISSING: Final[Mapping[Right, str]] = {
    Right.READ: "",
    Right.WORK: "you may read here, but not change anything; ask an owner for the role of a bookkeeper",
    Right.CONFIGURE: "settings, connections and people are changed by an owner; ask one of them",
}


def for_visitors(page: Page, *, right: Right = Right.READ) -> Endpoint:
    """The page for visitors with this right; who has not logged in is redirected to the login and back."""

    async def guarded(request: Request) -> Response:
        visitor = await find_visitor(request)
        if visitor is None:
            return to_login(request)
        if confined := await _admit(request, visitor, right):
            query = [(name, value) for name, value in parse_qsl(request.url.query) if name not in confined]
            request.scope["query_string"] = urlencode([*query, *confined.items()]).encode()
        return await page(request, visitor)

    return _with(right, guarded)


def from_form(action: Action, *, right: Right = Right.CONFIGURE) -> Endpoint:
    """The action of a form of ours. Raises `Refusal` 403 for a form that another site sent, or an outdated one."""

    async def guarded(request: Request) -> Response:
        refuse_other_sites(request)
        visitor = await find_visitor(request)
        if visitor is None:
            return to_login(request)
        form = await inputs.read_form(request)
        if not is_same(form.get("csrf", ""), visitor.csrf):
            raise Refusal(403, "the form is outdated; go back, reload the page and try once more")
        return await action(request, visitor, {**form, **await _admit(request, visitor, right)})

    return _with(right, guarded)


def _with(right: Right, endpoint: Endpoint) -> Endpoint:
    endpoint.right = right  # type: ignore[attr-defined]  # read by the test that lists what each form needs
    return endpoint


async def _admit(request: Request, visitor: Visitor, right: Right) -> dict[str, str]:
    """Check right and connection at the one place every page passes. Raises `Refusal` 403 and 404.

    Returns the filter that keeps a visitor to the only connection they may see, whatever the address says.
    """
    if visitor.right < right:
        raise Refusal(403, _MISSING[right])
    request.state.visitor = visitor
    await services.settle_name(request)
    asked, own = request.path_params.get("name"), visitor.connection
    if own is None:
        return {}
    if asked not in {None, own}:
        raise Refusal(404, "there is no such connection")
    # The filter is a name. After their connection was removed, another one may be called so.
    meant = (await services.of(request).directory.get()).keys.get(own, own)
    return {"connection": own if meant == own else NO_CONNECTION}


def refuse_others(visitor: Visitor, connection: str | None, missing: str) -> None:
    """Raises `Refusal` 404 for a record of a connection that the visitor may not see: it is `missing` for them."""
    if visitor.connection not in {None, connection}:
        raise Refusal(404, missing)


async def find_visitor(request: Request) -> Visitor | None:
    """The logged-in visitor, if any. Raises `Transient` while the database cannot say whether the session has ended."""
    shared = services.of(request)
    session_id = shared.sessions.find_id(request.cookies.get(cookie_name(request)))
    if session_id is None:
        return None
    found = await shared.read(lambda session: users.find_session(session, session_id))
    return Visitor(session_id, shared.sessions.to_csrf(session_id), found.digest, found.user) if found else None


def find_statement(request: Request, purpose: str, cookie: str) -> dict[str, Any] | None:
    """What this browser was sent to another site with, if it comes back with the same state."""
    signed = request.cookies.get(cookie_name(request, cookie))
    statement = services.of(request).sessions.find_statement(purpose, signed)
    given = request.query_params.get("state", "")
    return statement if statement is not None and is_same(given, str(statement["state"])) else None


def refuse_other_sites(request: Request) -> None:
    """Raises `Refusal` 403 when the browser says that another site made it send this."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    ours = {request.headers.get("host"), urlsplit(services.of(request).settings.public_url).netloc}
    if site not in {"same-origin", "none"} or (origin is not None and split(origin).netloc not in ours):
        raise Refusal(403, "this form was sent from another site")


def split(sent: str) -> SplitResult:
    """The parts of an address that a browser has sent; of a text that is none, empty ones."""
    try:
        return urlsplit(sent)
    except ValueError:
        return urlsplit("")


def to_login(request: Request) -> Response:
    """The way to the login, and from there back to the page that was asked for, or on which a form was sent."""
    if request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"/login?next={quote(request.url.path + query)}", 303)
    if request.url.path == "/logout":
        return RedirectResponse("/login", 303)
    sender = split(request.headers.get("referer", ""))
    page = f"{sender.path}?{sender.query}" if sender.query else sender.path
    return RedirectResponse(f"/login?next={quote(page or '/')}&{UNSENT}=1", 303)


async def let_in(request: Request, user: users.User | None, response: Response, *, way: str | None = None) -> None:
    """Begin a session for a person, or for ADMIN_TOKEN, and give its cookie to the browser. Raises `Transient`.

    `way` says how they logged in, if not by password.
    """
    shared, session_id, source = services.of(request), secrets.token_urlsafe(24), source_of(request)
    browser = request.headers.get("user-agent", "")

    def begin(session: Session) -> None:
        users.begin(
            session,
            session_id,
            user_id=user.id if user else None,
            address=source,
            browser=browser,
            seconds=LIFETIME_SECONDS,
        )
        audit.note(session, actor=to_actor(user), action="login", target=source, reason=way)

    await shared.write(begin)
    set_cookie(request, response, shared.sessions.to_cookie(session_id), seconds=LIFETIME_SECONDS)


def set_cookie(request: Request, response: Response, value: str, *, seconds: int, suffix: str = "") -> None:
    """A cookie that no script reads and no other site sends along with a form."""
    name, secure = cookie_name(request, suffix), is_https(request)
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def drop_cookie(request: Request, response: Response, suffix: str = "") -> None:
    """Delete a cookie; for a prefixed name a browser requires the same attributes as when it was set."""
    name, secure = cookie_name(request, suffix), is_https(request)
    response.delete_cookie(name, path="/", secure=secure, httponly=True, samesite="lax")


def chosen_language(request: Request) -> str:
    """The language chosen in this browser, else the first one that it accepts."""
    chosen = request.cookies.get(cookie_name(request, LANGUAGE), "")
    return chosen if chosen in catalogue.LANGUAGES else catalogue.choose(request.headers.get("accept-language", ""))


def cookie_name(request: Request, suffix: str = "") -> str:
    """The browser protects the prefixed name, but only on encrypted connections."""
    return f"{'__Host-' if is_https(request) else ''}kassabridge{suffix}"


def is_https(request: Request) -> bool:
    return services.of(request).settings.public_url.startswith("https://")
