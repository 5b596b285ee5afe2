"""People with a browser: the session cookie, pages for those who logged in, and forms that only our pages may send."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.store import audit, users
from gateway.web import queries, services
from gateway.web.access import Endpoint, source_of
from gateway.web.problems import Refusal
from gateway.web.sessions import LIFETIME_SECONDS, Right, Visitor, to_actor

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
        form = await queries.read_form(request)
        given = form.get("csrf", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(visitor.csrf.encode(), given):
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
    given = request.query_params.get("state", "").encode("utf-8", "surrogatepass")
    fits = statement is not None and hmac.compare_digest(str(statement["state"]).encode(), given)
    return statement if fits else None


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
    cookie = shared.sessions.to_cookie(session_id)
    set_cookie(request, response, cookie_name(request), cookie, seconds=LIFETIME_SECONDS)


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    """A cookie that no script reads and no other site sends along with a form."""
    secure = is_https(request)
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie; for a prefixed name a browser requires the same attributes as when it was set."""
    response.delete_cookie(name, path="/", secure=is_https(request), httponly=True, samesite="lax")


def chosen_language(request: Request) -> str:
    """The language chosen in this browser, else the first one that it accepts."""
    chosen = request.cookies.get(cookie_name(request, LANGUAGE), "")
    return chosen if chosen in catalogue.LANGUAGES else catalogue.choose(request.headers.get("accept-language", ""))


def cookie_name(request: Request, suffix: str = "") -> str:
    """The browser protects the prefixed name, but only on encrypted connections."""
    return f"{'__Host-' if is_https(request) else ''}kassabridge{suffix}"


def is_https(request: Request) -> bool:
    return services.of(request).settings.public_url.startswith("https://")
