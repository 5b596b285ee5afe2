"""The login page and the logout."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.store.users import User
from gateway.web import bodies, services
from gateway.web.access import find_user, knows_token
from gateway.web.dashboard.rendering import render
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from gateway.web.visitors import (
    LANGUAGE,
    LANGUAGE_SECONDS,
    cookie_name,
    find_visitor,
    let_in,
    let_out,
    refuse_other_sites,
    set_cookie,
)


async def show_login(request: Request) -> Response:
    """The form; a visitor who is logged in is redirected."""
    wanted = to_local(request.query_params.get("next", "/"))
    if await find_visitor(request):
        return RedirectResponse(wanted, 303)
    return show(request, wanted)


def show(
    request: Request,
    wanted: str,
    *,
    status: int = 200,
    given: str = "",
    trouble: str | None = None,
    refused: tuple[str, str] | None = None,
) -> Response:
    """The login page; `refused` says why single sign-on let nobody in, and what to do."""
    settings = services.of(request).settings
    return render(
        request,
        "login.html",
        status=status,
        next=wanted,
        given=given,
        trouble=trouble,
        refused=refused,
        single_sign_on=bool(settings.oidc_issuer),
        provider=settings.oidc_name,
    )


async def log_in(request: Request) -> Response:
    """A session for a person with their password, or without a name for ADMIN_TOKEN."""
    refuse_other_sites(request)
    form = await bodies.read_form(request)
    wanted = to_local(form.get("next", "/"))
    name, password = form.get("name", "").strip(), form.get("password", "")
    user: User | None = None
    try:
        if name:
            user = await find_user(request, name, password)
        is_known = user is not None or (not name and await knows_token(request, password))
    except Refusal as refusal:
        page = show(request, wanted, status=refusal.status, given=name, trouble="throttled")
        page.headers.update(refusal.headers)
        return page
    if not is_known:
        return show(request, wanted, status=401, given=name, trouble="wrong")
    response = RedirectResponse(wanted, 303)
    await let_in(request, user, response)
    return response


async def log_out(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    response = RedirectResponse("/login", 303)
    await let_out(request, visitor, response)
    return response


async def choose_language(request: Request) -> Response:
    """Store the language in this browser. Anybody may: it needs no session and changes nothing else."""
    refuse_other_sites(request)
    form = await bodies.read_form(request)
    response = RedirectResponse(to_local(form.get("next", "/")), 303)
    if (language := form.get("language", "")) in catalogue.LANGUAGES:
        set_cookie(request, response, cookie_name(request, LANGUAGE), language, seconds=LANGUAGE_SECONDS)
    return response


def to_local(address: str) -> str:
    """An address of this gateway, or the dashboard: never another site."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_ours and "\\" not in address else "/"
