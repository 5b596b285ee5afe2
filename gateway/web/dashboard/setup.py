"""The set-up: both systems, a check, the flows, the questions, going live; and the loads of what was there before."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.errors import Rejected
from gateway.queries import activity
from gateway.removal import Data, RemovalResult
from gateway.store import connections, cursors, event_history, requests, tokens
from gateway.store.events import SETTLED, Event, Flow
from gateway.store.sales import AMSTERDAM
from gateway.web import actions, api, inputs, oauth, services, setups
from gateway.web.dashboard.mapping_form import get_setting, to_label
from gateway.web.dashboard.rendering import ASKED_FLOWS, ASKED_OTHERS, NOT_SENT, SentForm, find_settings, render
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping import choices, settings_document, settings_guide
from mapping.choices import ListName, ListOption
from mapping.messages import join, message
from mapping.settings_document import SettingsDocument
from mapping.vat_table import SALES_GROUPS

Step = Callable[..., Awaitable[Any]]
NOT_SAVED: Final = "Nothing was saved. What is wrong stands at its question."
NO_DAY: Final = "Choose the first day, not in the future."
TILL_SECRETS: Final = ("mplus_ident", "mplus_secret", setups.SECRETS)
"""Fields of the till that no page shows again."""
HOOKS: Final = {
    "quickbooks": ("QuickBooks", "At developer.intuit.com, in your app, under Webhooks: enter this address."),
    "mpluskassa": ("MplusKASSA", "In the back office, under Beheer > Instellingen > Webhooks: enter this address."),
}
"""For each system what it is called, and where its address is entered."""


@dataclass(frozen=True, slots=True)
class SetupState:
    """How far the set-up of a connection is. `checked` and `going` are the last events of a check and of going live."""

    connection: connections.Connection
    exists: bool
    authorised: bool
    checked: Event | None
    going: Event | None
    version: int
    text: str
    loads: Sequence[setups.Load]
    arrived: Mapping[str, datetime]
    groups: Sequence[ListOption]
    """The till's turnover groups for sales; empty until a worker has read them."""
    first_groups: Sequence[tuple[ListOption, ListOption]]
    company: str | None
    """What the books call their company; None before a worker has read it."""
    books_since: datetime | None
    """Since when changes in the books come by themselves."""

    @property
    def needed_of_till(self) -> list[str]:
        """What the form of the till has to say: its address, and what is not stored."""
        kept = {"mplus_ident": self.connection.mplus_ident, "mplus_secret": self.connection.mplus_secret}
        return ["mplus_url", *(name for name, value in kept.items() if not value)]

    @property
    def connected(self) -> bool:
        return self.connection.has_till and self.authorised

    @property
    def expects_webhooks(self) -> bool:
        """Whether this page still waits to show that a system's first webhook arrived."""
        return self.connected and not HOOKS.keys() <= self.arrived.keys()

    @property
    def waiting(self) -> bool:
        """Whether a worker is busy with something that this page shows."""
        busy = any(event is not None and event.state not in SETTLED for event in (self.checked, self.going))
        return busy or any(each.running for each in self.loads)

    @property
    def findings(self) -> list[dict[str, Any]]:
        """What the last check found: `check`, `good`, `said`, `fix`."""
        found = api.events.to_result(self.checked) if self.checked else None
        return found if isinstance(found, list) else []

    @property
    def articles(self) -> dict[str, Any] | None:
        """What the last check says of items without an article; None if products were loaded since."""
        loaded = [part.event.updated_at for each in self.loads if each.flow is Flow.PRODUCTS for part in each.parts]
        if self.checked is None or any(at > self.checked.updated_at for at in loaded):
            return None
        return next((each for each in self.findings if each["check"] == requests.ARTICLES), None)


async def list_setups(
    request: Request, visitor: Visitor, sent: SentForm = NOT_SENT, *, removed: RemovalResult | None = None
) -> Response:
    """Every connection, and a name for another one."""
    shared = services.of(request)

    def look(session: Session) -> tuple[list[connections.Connection], list[tuple[str, str]]]:
        return connections.every(session, shared.seal), connections.with_unknown_status(session)

    every, unknown = await shared.read(look)
    mine = [each for each in every if visitor.connection in {None, each.name}]
    unknown = unknown if visitor.connection is None else []
    back: dict[str, Any] = {"here": setups.ADDRESS} if removed else {}  # there is no page of the removed one
    return render(request, "setups.html", sent, **back, connections=mine, unknown=unknown, removed=removed)


async def begin_setup(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """To the page of the named connection: it is created with its till or its company."""
    try:
        return RedirectResponse(to_address(setups.check_name(form.get("name", "").strip())), 303)
    except Refusal as refusal:
        return await list_setups(request, visitor, SentForm(form, {"name": refusal.reason}, refusal.status))


async def show_setup(request: Request, _visitor: Visitor) -> Response:
    return _show(request, await _read(request))


async def return_to_setup(request: Request, _visitor: Visitor) -> Response:
    """From the address of one of its forms, which shows what was refused and is opened or reloaded by hand."""
    return RedirectResponse(to_address(request.path_params["name"]), 303)


async def submit_till(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Keep what was typed; a secret that was left empty stays."""
    name, state = request.path_params["name"], await _read(request)
    typed = {field: text.strip() for field, text in form.items()}
    try:
        secrets = [each.strip() for each in typed.get(setups.SECRETS, "").split(",") if each.strip()]
        given = {**typed, setups.SECRETS: secrets or None, "moved": typed.get("moved") == "on"}
        till = setups.to_till(given, needed=state.needed_of_till)
        await setups.keep_till(services.of(request), name, till, actor=visitor.actor)
    except Refusal as refusal:
        again = "type it again: what is secret is not shown"
        faults: dict[str, str] = {field: again for field in TILL_SECRETS if typed.get(field)}
        for each in refusal.members.get("faults", []):
            said = [message(each[part]) for part in ("message", "hint") if part in each]
            faults[each["path"]] = join(said, "{first}: {second}")
        return _show(request, await _read(request), SentForm(typed, faults, refusal.status), trouble=refusal.reason)
    return RedirectResponse(f"{to_address(name)}?saved=till#check", 303)


async def submit_answers(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Put the answers into the settings document; its other lines stay as they are."""
    state = await _read(request)
    name = state.connection.name
    base = inputs.find_number(form, "base")
    try:
        answers = find_answers(settings_document.recall(state.text), form)
        if answers or not state.version:
            text = await services.of(request).run(lambda: settings_guide.amend(state.text, answers))
            await api.connections.save_settings(
                services.of(request),
                name,
                text,
                actor=visitor.actor,
                reason="answered in the set-up",
                after=state.version if base is None else base,
            )
    except settings_document.DocumentError as error:
        asked = {*ASKED_FLOWS, *ASKED_OTHERS}
        faults = {fault.path: fault.message for fault in error.faults if fault.path in asked}
        rest = settings_document.say_all(fault for fault in error.faults if fault.path not in asked)
        return _show(request, state, SentForm({}, faults, 422), answers=form, refused=rest or NOT_SAVED)
    except connections.Outdated as other:
        over_theirs = message("What you chose is below: save once more to put it in force over theirs.")
        refused = join((message(other.reason), over_theirs), "{first}. {second}")
        return _show(request, await _read(request), SentForm(status=409), answers=form, refused=refused)
    return RedirectResponse(f"{to_address(name)}?saved={(await _read(request)).version}#live", 303)


async def do_step(step: Step, place: str, request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    """Check both systems, let the connection live, or cancel that; then to this place of the page."""
    name = request.path_params["name"]
    await step(services.of(request), name, actor=visitor.actor)
    return RedirectResponse(f"{to_address(name)}#{place}", 303)


async def begin_load(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    shared, name, flow = services.of(request), request.path_params["name"], inputs.find_choice(form, "flow", Flow)
    if flow not in setups.LOADED:
        raise Refusal(
            400, message("{name} should be one of {choices}", name=message("flow"), choices=", ".join(setups.LOADED))
        )
    try:
        since = date.fromisoformat(form.get("since", ""))
    except ValueError:
        since = None
    if flow is Flow.ORDERS and (since is None or since > datetime.now(AMSTERDAM).date()):
        return _show(request, await _read(request), SentForm(form, {"since": NO_DAY}, 422))
    if not (await _read(request)).connected:
        raise Refusal(409, "First connect both systems.")
    wanted = since if flow is Flow.ORDERS else None
    await actions.backfill(shared, flow, since=wanted, connection=name, actor=visitor.actor)
    return RedirectResponse(f"{to_address(name)}#load", 303)


async def hold_load(wanted: setups.Hold, request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    name = request.path_params["name"]
    event_id = inputs.to_id(request)
    await setups.hold_load(services.of(request), event_id, wanted, connection=name, actor=visitor.actor)
    return RedirectResponse(f"{to_address(name)}#load", 303)


async def show_backfills(request: Request, visitor: Visitor) -> Response:
    """Those that are not over, and those that ended within a day."""
    found = await services.of(request).read(lambda session: activity.find_recent(session, visitor.connection))
    return render(
        request,
        "backfills.html",
        open_ones=[each for each in found if not each.over],
        over=[each for each in found if each.over],
        names=list(await services.names_in_use(request)),
    )


async def hold_backfill(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    wanted = next((each for each in setups.Hold if each == request.path_params["hold"]), None)
    if wanted is None:
        raise Refusal(404, "there is no such button")
    event_id = inputs.to_id(request)
    await setups.hold_load(services.of(request), event_id, wanted, connection=visitor.connection, actor=visitor.actor)
    return RedirectResponse("/backfills", 303)


async def rename(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    wanted = form.get("new_name", "").strip()
    try:
        await setups.rename(services.of(request), request.path_params["name"], wanted, actor=visitor.actor)
    except Rejected as refusal:
        return _show(request, await _read(request), SentForm(form, {"new_name": refusal.reason}, refusal.status))
    return RedirectResponse(to_address(wanted), 303)


async def remove(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Remove it, once its name was typed; the next page says what became of its tokens."""
    state = await _read(request)
    if not state.exists:
        return RedirectResponse(setups.ADDRESS, 303)  # it is removed: the button was pressed twice
    called, data = state.connection.display_name, inputs.find_choice(form, "data", Data)
    if data is None or form.get("confirmed", "").strip() != called:
        trouble = message("nothing was removed: type the name {name} to confirm", name=called)
        return _show(request, state, SentForm(form, {"confirmed": trouble}, 422))
    try:
        outcome = await setups.remove(request, data, actor=visitor.actor)
    except Rejected as refusal:
        return _show(request, state, SentForm(form, {"confirmed": refusal.reason}, refusal.status))
    return await list_setups(request, visitor, removed=outcome)


def _show(
    request: Request,
    state: SetupState,
    sent: SentForm = NOT_SENT,
    *,
    trouble: str | None = None,
    answers: Mapping[str, str] | None = None,
    refused: str | None = None,
) -> Response:
    """The page; `trouble` is what is wrong with the till, `refused` with the `answers` to the questions."""
    document = settings_document.recall(state.text)
    given = services.of(request).settings
    return render(
        request,
        "setup.html",
        sent,
        state=state,
        connection=state.connection,
        label=to_label,
        webhooks=[
            (system, title, f"{given.public_url}/webhooks/{system}", where) for system, (title, where) in HOOKS.items()
        ],
        flow_questions=ask(document, ASKED_FLOWS),
        other_questions=ask(document, ASKED_OTHERS),
        saved=request.query_params.get("saved"),
        redirect_uri=oauth.redirect_uri(given),
        can_connect=bool(given.quickbooks_client_id and given.quickbooks_client_secret),
        is_of_environment=state.connection.name == connections.DEFAULT and bool(given.mplus_url),
        webhook_address=f"{given.public_url}/webhooks/mpluskassa",
        trouble=trouble,
        answers=answers,
        refused=refused,
    )


async def _read(request: Request) -> SetupState:
    """How far it is; a connection that does not exist yet has only its name. Raises `Refusal` 404."""
    shared, name = services.of(request), request.path_params["name"]

    def look(session: Session) -> SetupState:
        found = connections.find(session, name, shared.seal)
        if found is None and not connections.is_name(name):
            raise Refusal(404, message("there is no connection {name}", name=name))
        version, text = connections.newest_settings(session, name) or (0, settings_guide.example())
        lists = {key: each.options for key, each in connections.read_lists(session, name).items()}
        return SetupState(
            connection=found or connections.Connection(name, display_name=name),
            exists=found is not None,
            authorised=tokens.is_authorised(tokens.every(session).get(name)),
            checked=event_history.newest_about(session, requests.check_up(connection=name).subject),
            going=event_history.newest_about(session, requests.go_live(connection=name).subject),
            version=version,
            text=text,
            loads=setups.read_loads(session, name),
            arrived=connections.first_webhooks(session, name),
            company=connections.company_names(session).get((name, found.realm_id or "")) if found else None,
            books_since=cursors.began_at(session, name, cursors.BOOKS),
            groups=[each for each in lists.get(ListName.TURNOVER_GROUPS, ()) if each.kind in SALES_GROUPS],
            first_groups=choices.first_groups(
                lists, settings_document.recall(text).products.turnover_group_by_vat_code
            ),
        )

    return await shared.read(look)


def to_address(name: str) -> str:
    return f"{setups.ADDRESS}/{quote(name, safe='')}"


# --- the questions; all other settings have a page of their own ------------------------------------------------------


def ask(document: SettingsDocument, paths: Sequence[str]) -> list[tuple[settings_guide.Setting, Any]]:
    """These settings, each with what it is now: a switch, a choice or a text."""
    known = find_settings(document)
    return [(known[path], get_setting(document, path)) for path in paths]


def find_answers(document: SettingsDocument, form: Mapping[str, str]) -> dict[str, Any]:
    """What a form with all the questions says otherwise than the document. An empty text means none."""
    answers: dict[str, Any] = {}
    for setting, present in ask(document, (*ASKED_FLOWS, *ASKED_OTHERS)):
        given = form.get(setting.path, "").strip()
        answer: Any = given or None
        if setting.kind == "switch":
            answer = given == "on"
        elif setting.kind == "number" and given.isdecimal():
            answer = int(given)
        if answer != present:
            answers[setting.path] = answer
    return answers
