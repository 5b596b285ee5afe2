"""People with a browser: the session cookie, pages for those who logged in, and forms that only our pages may send."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import quote, urlsplit

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import used_once
from gateway.web import bodies, services
from gateway.web.problems import Refusal
from gateway.web.sessions import LIFETIME_SECONDS, Visitor

DASHBOARD = "dashboard"
Page = Callable[[Request, Visitor], Awaitable[Response]]
Action = Callable[[Request, Visitor, dict[str, str]], Awaitable[Response]]
Endpoint = Callable[[Request], Awaitable[Response]]


def for_visitors(page: Page) -> Endpoint:
    """The page for logged-in visitors; others are redirected to the login and back."""

    async def guarded(request: Request) -> Response:
        visitor = await find_visitor(request)
        if visitor is None:
            return to_login(request)
        await services.settle_name(request)
        return await page(request, visitor)

    return guarded


def from_form(action: Action) -> Endpoint:
    """What a form of ours asks for. Raises `Refusal` 403 for a form that another site sent, or an outdated one."""

    async def guarded(request: Request) -> Response:
        refuse_other_sites(request)
        visitor = await find_visitor(request)
        if visitor is None:
            return to_login(request)
        form = await bodies.read_form(request)
        if not services.of(request).sessions.is_from_form(visitor, form.get("csrf", "")):
            raise Refusal(403, "the form is outdated; go back, reload the page and try once more")
        await services.settle_name(request)
        return await action(request, visitor, form)

    return guarded


async def find_visitor(request: Request) -> Visitor | None:
    """The logged-in visitor, if any. Raises `Transient` while a logout elsewhere cannot be checked."""
    shared = services.of(request)
    visitor = shared.sessions.find(request.cookies.get(cookie_name(request)))
    if visitor is None or await shared.read(lambda session: used_once.is_used(session, visitor.session_id)):
        return None
    return visitor


def refuse_other_sites(request: Request) -> None:
    """Raises `Refusal` 403 when the browser says that another site made it send this."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site", "same-origin")
    ours = {request.headers.get("host"), urlsplit(services.of(request).settings.public_url).netloc}
    if site not in {"same-origin", "none"} or (origin is not None and urlsplit(origin).netloc not in ours):
        raise Refusal(403, "this form was sent from another site")


def to_login(request: Request) -> Response:
    """The way to the login, and from there back to a page that was asked for."""
    wanted = request.url.path if request.method == "GET" else "/"
    query = f"?{request.url.query}" if request.url.query and request.method == "GET" else ""
    return RedirectResponse(f"/login?next={quote(wanted + query)}", 303)


def let_in(request: Request, response: Response) -> None:
    """Give the browser a session."""
    cookie = services.of(request).sessions.open()
    set_cookie(request, response, cookie_name(request), cookie, seconds=LIFETIME_SECONDS)


async def let_out(request: Request, visitor: Visitor, response: Response) -> None:
    """End the session in every process, also for copies of its cookie. Raises `Transient`; then it has not ended."""
    await services.of(request).write(
        lambda session: used_once.use(session, visitor.session_id, seconds=LIFETIME_SECONDS)
    )
    drop_cookie(request, response, cookie_name(request))


def set_cookie(request: Request, response: Response, name: str, value: str, *, seconds: int) -> None:
    """A cookie that no script reads and no other site sends along with a form."""
    secure = is_https(request)
    response.set_cookie(name, value, max_age=seconds, path="/", secure=secure, httponly=True, samesite="lax")


def drop_cookie(request: Request, response: Response, name: str) -> None:
    """Delete a cookie; for a prefixed name a browser requires the same attributes as when it was set."""
    response.delete_cookie(name, path="/", secure=is_https(request), httponly=True, samesite="lax")


def cookie_name(request: Request, suffix: str = "") -> str:
    """The browser protects the prefixed name, but only on encrypted connections."""
    return f"{'__Host-' if is_https(request) else ''}kassabridge{suffix}"


def is_https(request: Request) -> bool:
    """Whether browsers reach us encrypted."""
    return services.of(request).settings.public_url.startswith("https://")
