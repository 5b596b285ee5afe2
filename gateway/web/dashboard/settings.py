"""The settings of a connection: the document to edit, every setting explained beside it, checked, tried and saved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import documents, requests, views
from gateway.store.documents import Outdated
from gateway.web import api, presentation, queries, services
from gateway.web.api import previews
from gateway.web.api.settings import Draft, must_exist
from gateway.web.dashboard import versions
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.dashboard.versions import DiffLine, FaultLocation, VersionEntry
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from mapping import settings_document, settings_guide
from mapping.settings_document import DocumentError, SettingsDocument

ADDRESS = "/connections/{name}/settings"


@dataclass(frozen=True, slots=True)
class Editor:
    """The text in the form, and its faults and notices. `base` is the version it was made from."""

    text: str
    base: int
    who: str = ""
    reason: str = ""
    notice: str = ""
    places: tuple[FaultLocation, ...] = ()
    diff: tuple[DiffLine, ...] = ()


@dataclass(frozen=True, slots=True)
class SettingsState:
    """The document in force (version 0: the defaults) and those before it."""

    version: int
    text: str
    entries: Sequence[VersionEntry]


async def choose_connection(title: str, to: str, request: Request, _visitor: Visitor) -> Response:
    """This page of the only connection, or a list to choose from."""
    names = list(await services.names_in_use(request))
    if len(names) == 1:
        return RedirectResponse(f"/connections/{versions.quote_name(names[0])}/{to}", 303)
    return render(request, "connections.html", names=names, title=title, to=to)


async def show_settings(request: Request, _visitor: Visitor) -> Response:
    """The document in force, ready to be edited; with `?draft=EVENT` the one that a preview tried."""
    draft = queries.find_number(request.query_params, "draft", low=1, high=queries.LARGEST_ID)
    state = await _read(request)
    tried = None
    if draft:
        event = await services.of(request).read(lambda session: views.find_event(session, draft))
        if event is None or event.connection != request.path_params["name"]:
            raise Refusal(404, "there is no such preview")
        hint = presentation.parse(event.hint)
        tried = hint.get(requests.SETTINGS) if isinstance(hint, dict) else None
    text = state.text if tried is None else tried
    saved = request.query_params.get("saved") == str(state.version)
    editor = Editor(text, state.version, notice="saved" if saved else "tried" if tried is not None else "")
    return await _show(request, state, editor)


async def submit_settings(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Check, save or try what was typed. What was typed is shown again unless it was saved."""
    state = await _read(request)
    editor = to_editor(form)
    # On a thread: checking a large document takes time.
    if found := (await services.of(request).run(lambda: _parse(editor.text)))[1]:
        refused = replace(editor, places=found, notice="refused")
        return await _show(request, state, refused, SentForm(form, status=422))
    match form.get("action"):
        case "save":
            return await _save(request, visitor, state, editor)
        case "try":
            connection = request.path_params["name"]
            try:
                wanted = previews.to_request(previews.from_form(form), connection=connection, actor=visitor.actor)
            except Refusal as refusal:
                sent = SentForm(form, {"record": refusal.reason}, refusal.status)
                return await _show(request, state, editor, sent)
            event_id = await previews.ask(services.of(request), replace(wanted, settings=editor.text))
            return RedirectResponse(f"/preview/{event_id}", 303)
        case _:
            return await _show(request, state, replace(editor, notice="checked"), SentForm(form))


def to_editor(form: dict[str, str]) -> Editor:
    """The form as it was sent, its lines ended as files end them."""
    return Editor(
        text=form.get("document", "").replace("\r\n", "\n").replace("\r", "\n"),
        base=queries.find_number(form, "base") or 0,
        who=queries.find_text(form, "who") or "",
        reason=queries.find_text(form, "reason") or "",
    )


async def _save(request: Request, visitor: Visitor, state: SettingsState, editor: Editor) -> Response:
    name = request.path_params["name"]
    draft = Draft(editor.text, versions.to_actor(visitor, editor.who), reason=editor.reason or None, after=editor.base)
    try:
        saved = await api.settings.save(services.of(request), name, draft)
    except DocumentError as error:
        refused = replace(editor, places=versions.find(editor.text, error.faults), notice="refused")
        return await _show(request, state, refused, SentForm(status=422))
    except Outdated:
        state = await _read(request)
        # Saving once more means it: by then the page has shown what it would undo.
        later = replace(editor, base=state.version, notice="outdated")
        return await _show(request, state, later, SentForm(status=409))
    return RedirectResponse(f"{to_address(name)}?saved={saved.version}", 303)


async def _show(request: Request, state: SettingsState, editor: Editor, sent: SentForm = NOT_SENT) -> Response:
    """The page; what was sent names the record to try it on."""

    def look_through() -> tuple[tuple[DiffLine, ...], SettingsDocument]:
        text = editor.text
        diff = versions.compare(state.text, text) if state.version and text != state.text else ()
        return diff, _parse(text)[0] or _parse(state.text)[0] or SettingsDocument()

    diff, document = await services.of(request).run(look_through)
    return render(
        request,
        "settings.html",
        sent,
        name=request.path_params["name"],
        state=state,
        editor=replace(editor, diff=diff),
        chapters=settings_guide.explain(document),
        choices=previews.CHOICES,
    )


def _parse(text: str) -> tuple[SettingsDocument | None, tuple[FaultLocation, ...]]:
    try:
        return settings_document.parse(text), ()
    except DocumentError as error:
        return None, versions.find(text, error.faults)


async def _read(request: Request) -> SettingsState:
    name = request.path_params["name"]

    def look(session: Session) -> SettingsState:
        must_exist(session, name)
        version, text = documents.newest(session, name) or (0, settings_document.example())
        return SettingsState(version, text, versions.list_entries(session, name))

    return await services.of(request).read(look)


def to_address(name: str) -> str:
    return ADDRESS.replace("{name}", versions.quote_name(name))
