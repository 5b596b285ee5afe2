"""People: who may log in with which role, their invitations, their sessions; and what each may do with their own."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway import catalogue
from gateway.store import audit, users
from gateway.store.users import Role, User
from gateway.web import access, inputs, services
from gateway.web.access import let_in, refuse_other_sites
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping.messages import message

LONGEST_NAME: Final = 60
# In this order: most browsers also name those that they are like.
_BROWSERS: Final = {"Edg": "Edge", "OPR": "Opera", "Firefox": "Firefox", "FxiOS": "Firefox", "Chrome": "Chrome",
                    "CriOS": "Chrome", "Safari": "Safari"}  # fmt: skip
_SYSTEMS: Final = {"Windows": "Windows", "iPhone": "iPhone", "iPad": "iPad", "Macintosh": "macOS", "Android": "Android",
                   "Linux": "Linux"}  # fmt: skip
_TAKEN: Final = "somebody has this e-mail address"
_NO_ADDRESS: Final = "this is no e-mail address"


class _RefusedAddress(Refusal):
    """An e-mail address that this person cannot get."""


async def list_users(
    request: Request, visitor: Visitor, sent: SentForm = NOT_SENT, *, invited: tuple[str, str] | None = None
) -> Response:
    """Everybody this visitor may manage, with their sessions."""
    shared = services.of(request)

    def look(session: Session) -> tuple[list[User], list[users.WebSession]]:
        return users.every(session, visitor.connection), users.sessions(session, visitor.connection)

    people, sessions = await shared.read(look)
    return render(
        request,
        "users.html",
        sent,
        people=people,
        sessions=sessions,
        offered=await services.names_in_use(request),
        roles={role: catalogue.tables()["roles"][role] for role in Role if _may_give(visitor, role)},
        invited=invited,
        single_sign_on=bool(shared.settings.oidc_issuer),
        to_browser=to_browser,
    )


def to_browser(agent: str) -> str:
    """What people call the browser that names itself like this, and what it runs on; an unknown one as it is."""
    browser, system = (
        next((called for mark, called in table.items() if mark in agent), None) for table in (_BROWSERS, _SYSTEMS)
    )
    return message("{browser} on {system}", browser=browser, system=system) if browser and system else agent


def _may_give(visitor: Visitor, role: Role) -> bool:
    """Only who sees every connection lets somebody else see them all."""
    return role is not Role.AGENCY or visitor.connection is None


async def invite_user(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Add a person; the page that follows shows the link of their invitation, once."""
    name = " ".join(form.get("name", "").split())
    role = inputs.find_choice(form, "role", Role)
    if faults := _find_invitation_faults(visitor, name, role, form):
        return await list_users(request, visitor, SentForm(form, faults, 422))
    known = await services.names_in_use(request)
    connection = form.get("connection") or None
    if connection is not None and connection not in known:
        raise Refusal(400, "there is no such connection")
    secret, email = secrets.token_urlsafe(32), users.to_email(form.get("email", ""))

    def add(session: Session) -> dict[str, str]:
        if (user_id := users.add(session, name, role or Role.VIEWER, connection)) is None:
            return {"name": "this name is taken"}
        if email and not users.change_email(session, user_id, email):
            users.remove(session, user_id)
            return {"email": _TAKEN}
        users.invite(session, user_id, secret)
        scope = known.get(connection, connection) if connection else message("every connection")
        called = message(catalogue.tables()["roles"][role or Role.VIEWER])
        target = message("{name}, {role}, {scope}", name=name, role=called, scope=scope)
        audit.note(session, actor=visitor.actor, action="invite", target=target)
        return {}

    if taken := await services.of(request).write(add):
        return await list_users(request, visitor, SentForm(form, taken, 409))
    return await list_users(request, visitor, invited=(name, _to_link(request, secret)))


def _find_invitation_faults(visitor: Visitor, name: str, role: Role | None, form: Mapping[str, str]) -> dict[str, str]:
    """Why somebody cannot be invited like this. A name holds no "@": the audit trail has no e-mail addresses."""
    faults = {}
    if not name or len(name) > LONGEST_NAME or "@" in name or not inputs.is_line(name):
        faults["name"] = "give a name of at most 60 characters that is no e-mail address"
    if role is None or not _may_give(visitor, role):
        faults["role"] = "choose a role"
    elif role is Role.AGENCY and form.get("connection"):
        faults["connection"] = "an agency sees every connection; for one connection choose another role"
    if (email := form.get("email", "")).strip() and users.to_email(email) is None:
        faults["email"] = _NO_ADDRESS
    return faults


def _to_link(request: Request, secret: str) -> str:
    return f"{services.of(request).settings.public_url}/invitation/{secret}"


async def change_user(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Invite again (a forgotten password), change role or address, keep out, let in again, or remove."""
    action, secret = request.path_params["action"], secrets.token_urlsafe(32)
    user_id, role = inputs.to_id(request), inputs.find_choice(form, "role", Role)
    if visitor.user is not None and visitor.user.id == user_id:
        raise Refusal(409, "this is you; another owner can change your own access")

    def change(session: Session) -> User:
        user = users.find(session, user_id)
        if user is None or visitor.connection not in {None, user.connection}:
            raise Refusal(404, "there is no such person")
        # An agency sees every connection; somebody of one connection is first removed and invited anew.
        fits = role is not Role.AGENCY or user.connection is None
        if role is not None and not (_may_give(visitor, role) and fits):
            raise Refusal(409, "this person cannot have this role")
        _change(session, user, action, role, secret, form.get("email", ""))
        called = catalogue.tables()["roles"][role] if role else None
        audit.note(session, actor=visitor.actor, action=f"user {action}", target=user.name, reason=called)
        return user

    try:
        user = await services.of(request).write(change)
    except _RefusedAddress as refusal:
        field = f"email-{user_id}"
        sent = SentForm({field: form.get("email", "")}, {field: refusal.reason}, refusal.status)
        return await list_users(request, visitor, sent)
    if action == "invite":
        return await list_users(request, visitor, invited=(user.name, _to_link(request, secret)))
    return RedirectResponse("/users", 303)


def _change(session: Session, user: User, action: str, role: Role | None, secret: str, address: str) -> None:
    match action:
        case "email":
            email = users.to_email(address)
            if address.strip() and email is None:
                raise _RefusedAddress(422, _NO_ADDRESS)
            if not users.change_email(session, user.id, email):
                raise _RefusedAddress(409, _TAKEN)
        case "invite" if user.disabled_at is None:
            users.invite(session, user.id, secret)
        case "role" if role is not None:
            users.change_role(session, user.id, role)
        case "disable" | "enable":
            users.enable(session, user.id, enabled=action == "enable")
        case "remove":
            users.remove(session, user.id)
        case _:
            raise Refusal(409, "this cannot be done with this person")


async def end_session(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """End one session: one's own, or one of the people this visitor manages."""
    digest: str = request.path_params["digest"]

    def end(session: Session) -> None:
        listed = users.sessions(session, visitor.connection)
        found = [each for each in listed if hmac.compare_digest(each.digest.encode(), digest.encode())]
        mine = visitor.user.id if visitor.user else None
        if not found or not (visitor.may_configure or (found[0].user and found[0].user.id == mine)):
            raise Refusal(404, "this session has ended already")
        users.end(session, digest)
        owner = found[0].user
        audit.note(session, actor=visitor.actor, action="end session", target=owner.name if owner else "ADMIN_TOKEN")

    await services.of(request).write(end)
    return RedirectResponse("/users" if visitor.may_configure else "/account", 303)


async def show_account(
    request: Request, visitor: Visitor, sent: SentForm = NOT_SENT, *, changed: bool = False
) -> Response:
    mine = visitor.user.id if visitor.user else None

    def look(session: Session) -> list[users.WebSession]:
        return [each for each in users.sessions(session) if (each.user.id if each.user else None) == mine]

    return render(
        request,
        "account.html",
        sent,
        sessions=await services.of(request).read(look),
        changed=changed,
        shortest=access.SHORTEST,
        to_browser=to_browser,
    )


async def change_password(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Another password for a person who enters the present one; their other sessions end."""
    user = visitor.user
    if user is None:
        raise Refusal(409, "this is ADMIN_TOKEN; it is changed in the environment")
    if faults := _find_password_faults(form, user.name):
        return await show_account(request, visitor, SentForm({}, faults, 422))
    if await access.find_user(request, user.name, form.get("current", "")) is None:
        return await show_account(request, visitor, SentForm({}, {"current": "That is not the password."}, 403))
    hashed = await access.to_hash(form["password"])

    def change(session: Session) -> None:
        users.change_password(session, user.id, hashed, keep=visitor.digest)
        audit.note(session, actor=visitor.actor, action="change password", target=user.name)

    await services.of(request).write(change)
    return await show_account(request, visitor, changed=True)


def _find_password_faults(form: dict[str, str], name: str) -> dict[str, str]:
    """Why the new password of a form cannot be taken, by field."""
    password = form.get("password", "")
    if not access.SHORTEST <= len(password) <= access.LONGEST:
        return {"password": "A password has 12 to 200 characters; several words are easiest to remember."}
    if password.casefold() == name.casefold():
        return {"password": "The password is your name."}
    is_repeated = hmac.compare_digest(password.encode(), form.get("again", "").encode("utf-8", "surrogatepass"))
    return {} if is_repeated else {"again": "The two passwords differ."}


async def show_invitation(request: Request) -> Response:
    return _show_invitation(request, await access.find_invited(request, request.path_params["secret"]))


async def accept_invitation(request: Request) -> Response:
    refuse_other_sites(request)
    form, secret = await inputs.read_form(request), request.path_params["secret"]
    user = await access.find_invited(request, secret)
    if user is None:
        return _show_invitation(request, None)
    if faults := _find_password_faults(form, user.name):
        return _show_invitation(request, user, SentForm({}, faults, 422))
    hashed = await access.to_hash(form["password"])

    def accept(session: Session) -> bool:
        is_first = users.accept(session, secret, hashed) is not None
        if is_first:
            audit.note(session, actor=f"dashboard: {user.name}", action="accept invitation", target=user.name)
        return is_first

    if not await services.of(request).write(accept):
        return _show_invitation(request, None)
    response = RedirectResponse("/", 303)
    await let_in(request, user, response)
    return response


def _show_invitation(request: Request, user: User | None, sent: SentForm = NOT_SENT) -> Response:
    """The page; 404 where nobody is invited (any more)."""
    status = sent.status if user else 404
    page = render(request, "invitation.html", sent, status=status, user=user, shortest=access.SHORTEST)
    page.headers["Referrer-Policy"] = "no-referrer"  # the address is the secret
    return page
