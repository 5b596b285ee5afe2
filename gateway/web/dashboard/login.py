"""Logging in and out: with ADMIN_TOKEN, with an e-mail and a password, or at an OpenID Connect provider."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, TypeVar

import anyio
import anyio.to_thread
import structlog
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.errors import Permanent, Transient
from gateway.store import audit, leases, users
from gateway.store.users import NoUser, User
from gateway.web import access, inputs, services
from gateway.web.access import (
    LANGUAGE,
    LANGUAGE_SECONDS,
    UNSENT,
    drop_cookie,
    find_statement,
    find_visitor,
    let_in,
    refuse_other_sites,
    set_cookie,
)
from gateway.web.dashboard.rendering import render
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from gateway.web.sessions import Visitor, to_actor

if TYPE_CHECKING:
    from gateway.connectors.openid import Identity, Provider


async def show_login(request: Request) -> Response:
    """The form; a visitor who is logged in is redirected."""
    wanted = to_local(request.query_params.get("next", "/"))
    if await find_visitor(request):
        return RedirectResponse(wanted, 303)
    return show(request, wanted, trouble=UNSENT if request.query_params.get(UNSENT) else None)


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
    back: dict[str, Any] = {} if request.url.path == LOGIN else {"here": LOGIN}  # the provider's answer is read once
    return render(
        request,
        "login.html",
        **back,
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
    form = await inputs.read_form(request)
    wanted = to_local(form.get("next", "/"))
    name, password = form.get("name", "").strip(), form.get("password", "")
    user: User | None = None
    try:
        if name:
            user = await access.find_user(request, name, password)
        is_known = user is not None or (not name and await access.knows_token(request, password))
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
    """End the session in every process, also for copies of its cookie. Raises `Transient`; then it has not ended."""
    await services.of(request).write(lambda session: users.end(session, visitor.digest))
    response = RedirectResponse("/login", 303)
    drop_cookie(request, response)
    return response


async def choose_language(request: Request) -> Response:
    """Store the language in this browser. Anybody may: it needs no session and changes nothing else."""
    refuse_other_sites(request)
    form = await inputs.read_form(request)
    response = RedirectResponse(to_local(form.get("next", "/")), 303)
    if (language := form.get("language", "")) in catalogue.LANGUAGES:
        set_cookie(request, response, language, suffix=LANGUAGE, seconds=LANGUAGE_SECONDS)
    return response


def to_local(address: str) -> str:
    """An address of this gateway, or the dashboard: never another site."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\")) and address.isprintable()
    return address if is_ours and "\\" not in address else "/"


# --- single sign-on ----------------------------------------------------------------------------------------------


Answer = TypeVar("Answer")
LOGIN: Final = "/login"
WAY: Final = "by single sign-on"
PURPOSE: Final = "single-sign-on"
_COOKIE, _SECONDS = "_sign_on", 600
_LONGEST_ADDRESS: Final = 1000  # the cookie it is kept in has to stay below 4 kB
_LONGEST_CODE: Final = 4096
_PATIENCE_SECONDS: Final = 12.0
_log = structlog.get_logger(__name__)

AGAIN: Final = "Log in once more."
NOT_OURS: Final = "This login was not begun in this browser, or too long ago."
LEFT: Final = "The login provider did not let you in."
MEANWHILE: Final = "Log in with name and password, or try again in a minute."


async def start(request: Request) -> Response:
    """To the provider's login page, with a state that fits this browser."""
    shared, provider = services.of(request), _provider_of(request)
    wanted = to_local(request.query_params.get("next", "/"))
    wanted = wanted if len(wanted) <= _LONGEST_ADDRESS else "/"
    statement = {name: secrets.token_urlsafe(32) for name in ("state", "nonce", "verifier")}
    try:
        # The database is not asked here, and the provider at most once an hour, or in five seconds while it fails.
        access.refuse_throttled(shared, access.source_of(request))
        address = await _call(shared, lambda: provider.authorization_url(**statement))
    except (Refusal, Transient, Permanent) as error:
        return _refuse(request, wanted, error)
    response = RedirectResponse(address, 302)
    signed = shared.sessions.sign(PURPOSE, {**statement, "next": wanted}, seconds=_SECONDS)
    set_cookie(request, response, signed, suffix=_COOKIE, seconds=_SECONDS)
    return response


async def finish(request: Request) -> Response:
    """Back from the provider: a session for the person that its account belongs to."""
    provider, statement = _provider_of(request), find_statement(request, PURPOSE, _COOKIE)
    if statement is None:
        return show(request, "/", status=400, refused=(NOT_OURS, AGAIN))
    wanted = to_local(str(statement["next"]))
    try:
        response = await _finish(request, provider, statement, wanted)
    except (Refusal, Transient, Permanent) as error:
        response = _refuse(request, wanted, error)
    drop_cookie(request, response, _COOKIE)
    return response


async def _finish(request: Request, provider: Provider, statement: dict[str, Any], wanted: str) -> Response:
    shared, code, source = services.of(request), request.query_params.get("code", ""), access.source_of(request)
    access.claim(shared, source)
    if not await shared.write(lambda session: leases.use_once(session, statement["state"], seconds=_SECONDS)):
        return show(request, wanted, status=400, refused=(NOT_OURS, AGAIN))
    if not code or len(code) > _LONGEST_CODE:
        return show(request, wanted, status=400, refused=(LEFT, AGAIN))
    try:
        proof = {name: str(statement[name]) for name in ("nonce", "verifier")}
        identity = await _call(shared, lambda: provider.identify(code, **proof))
    except Permanent as error:
        if error.code:  # nothing the operator has to set right
            await access.count_failure(shared, source)
        raise
    found = await shared.write(lambda session: _sign_on(session, identity))
    if isinstance(found, NoUser):
        _log.warning("single sign-on refused", reason=found)
        await access.count_failure(shared, source)
        return show(request, wanted, status=403, refused=catalogue.tables()["sign_on_refusals"][found])
    response = RedirectResponse(wanted, 303)
    await let_in(request, found, response, way=WAY)
    return response


def _sign_on(session: Session, identity: Identity) -> User | NoUser:
    found = users.sign_on(session, identity.subject, identity.email)
    if isinstance(found, NoUser):
        return found
    user, is_first = found
    if is_first:
        audit.note(session, actor=to_actor(user), action="first sign-on", target=user.name)
    return user


def _provider_of(request: Request) -> Provider:
    provider = services.of(request).provider
    if provider is None:
        raise Refusal(404, "single sign-on is not set up here")
    return provider


async def _call(shared: Services, call: Callable[[], Answer]) -> Answer:
    """Ask the provider. Raises `Transient` when it takes too long, a name that is not resolved in time included."""
    try:
        with anyio.fail_after(_PATIENCE_SECONDS):
            return await anyio.to_thread.run_sync(call, limiter=shared.provider_threads, abandon_on_cancel=True)
    except TimeoutError:
        raise Transient("the login provider did not answer in time") from None


def _refuse(request: Request, wanted: str, error: Refusal | Transient | Permanent) -> Response:
    """The login page with the reason: name and password work all the same."""
    if isinstance(error, Refusal):
        page = show(request, wanted, status=error.status, trouble="throttled")
        page.headers.update(error.headers)
        return page
    _log.warning("single sign-on failed", reason=error.reason, code=error.code)
    status = 503 if isinstance(error, Transient) else 403 if error.code else 502
    return show(request, wanted, status=status, refused=(error.reason, error.fix or MEANWHILE))
