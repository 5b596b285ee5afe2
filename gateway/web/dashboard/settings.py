"""The settings of a connection: the document to edit, every setting explained beside it, and its older versions."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice, takewhile
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.queries import activity, todo
from gateway.store import connections, requests
from gateway.store.tables import SettingsRow
from gateway.web import actions, api, inputs, services
from gateway.web.api.connections import ACTION, find_in_force, to_target
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping import settings_document, settings_guide
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault, Path, SettingsDocument, find_keys

SHOWN = 20
_AROUND = 2
_MOST_LINES = 4_000  # comparing takes time quadratic in it
_AT_LINE = re.compile(r"at line (\d+)")
_KINDS: Final[Mapping[str, Literal["new", "gone", "same", "gap"]]] = {"+": "new", "-": "gone", " ": "same", "@": "gap"}


class DiffLine(NamedTuple):
    """A line that is new, gone or the same in both; `gap` marks lines that are left out."""

    kind: Literal["new", "gone", "same", "gap"]
    text: str


class VersionEntry(NamedTuple):
    """A version in the history; `diff` is what it changed in the one before."""

    row: SettingsRow
    reason: str | None
    diff: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True)
class FaultLocation:
    """A fault with the lines around it, by their numbers from 1; none where it is about something that is missing."""

    fault: DocumentFault
    line: int | None
    lines: Sequence[tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Editor:
    """The text in the form, and its faults and notices. `base` is the version it was made from."""

    text: str
    base: int
    who: str = ""
    reason: str = ""
    notice: str = ""
    places: tuple[FaultLocation, ...] = ()


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
        return RedirectResponse(to_address(names[0], to), 303)
    return render(request, "connections.html", names=names, title=title, to=to)


async def show_settings(request: Request, _visitor: Visitor) -> Response:
    """The document in force, ready to be edited; with `?draft=EVENT` the one that a preview tried."""
    draft = inputs.find_number(request.query_params, "draft", low=1, high=inputs.LARGEST_ID)
    state = await _read(request)
    tried = None
    if draft:
        event = await services.of(request).read(lambda session: activity.find_event(session, draft))
        if event is None or event.connection != request.path_params["name"]:
            raise Refusal(404, "there is no such preview")
        hint = api.events.parse(event.hint)
        tried = hint.get(requests.SETTINGS) if isinstance(hint, dict) else None
    text = state.text if tried is None else tried
    saved = request.query_params.get("saved") == str(state.version)
    editor = Editor(text, state.version, notice="saved" if saved else "tried" if tried is not None else "")
    return await _show(request, state, editor)


async def submit_settings(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Check, save or try what was typed. What was typed is shown again unless it was saved."""
    state = await _read(request)
    editor = Editor(
        text=form.get("document", "").replace("\r\n", "\n").replace("\r", "\n"),
        base=inputs.find_number(form, "base") or 0,
        who=inputs.find_text(form, "who") or "",
        reason=inputs.find_text(form, "reason") or "",
    )
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
                wanted = actions.to_preview(actions.read_preview_form(form), connection=connection, actor=visitor.actor)
            except Refusal as refusal:
                sent = SentForm(form, {"record": refusal.reason}, refusal.status)
                return await _show(request, state, editor, sent)
            event_id = await actions.ask_preview(services.of(request), replace(wanted, settings=editor.text))
            return RedirectResponse(f"/preview/{event_id}", 303)
        case _:
            return await _show(request, state, replace(editor, notice="checked"), SentForm(form))


async def _save(request: Request, visitor: Visitor, state: SettingsState, editor: Editor) -> Response:
    name = request.path_params["name"]
    actor, reason = to_actor(visitor, editor.who), editor.reason or None
    try:
        saved = await api.connections.save_settings(
            services.of(request), name, editor.text, actor=actor, reason=reason, after=editor.base
        )
    except DocumentError as error:
        refused = replace(editor, places=find_places(editor.text, error.faults), notice="refused")
        return await _show(request, state, refused, SentForm(status=422))
    except connections.Outdated:
        state = await _read(request)
        # Saving once more means it: by then the page has shown what it would undo.
        later = replace(editor, base=state.version, notice="outdated")
        return await _show(request, state, later, SentForm(status=409))
    return RedirectResponse(f"{to_address(name)}?saved={saved.version}", 303)


async def _show(request: Request, state: SettingsState, editor: Editor, sent: SentForm = NOT_SENT) -> Response:
    """The page; what was sent names the record to try it on."""

    def look_through() -> tuple[tuple[DiffLine, ...], SettingsDocument]:
        text = editor.text
        diff = compare(state.text, text) if state.version and text != state.text else ()
        return diff, _parse(text)[0] or _parse(state.text)[0] or SettingsDocument()

    diff, document = await services.of(request).run(look_through)
    return render(
        request,
        "settings.html",
        sent,
        name=request.path_params["name"],
        state=state,
        editor=editor,
        diff=diff,
        chapters=settings_guide.explain(document),
    )


def _parse(text: str) -> tuple[SettingsDocument | None, tuple[FaultLocation, ...]]:
    try:
        return settings_document.parse(text), ()
    except DocumentError as error:
        return None, find_places(text, error.faults)


async def _read(request: Request) -> SettingsState:
    name = request.path_params["name"]

    def look(session: Session) -> SettingsState:
        version, text = find_in_force(session, name)
        rows = connections.settings_history(session, name, limit=SHOWN + 1)  # the last one is compared only
        return SettingsState(version, text, to_entries(session, name, rows)[:SHOWN])

    return await services.of(request).read(look)


def to_address(name: str, page: str = "settings") -> str:
    """Where the settings of a connection are, or its mapping."""
    return f"/connections/{quote(name, safe='')}/{page}"


# --- older versions ------------------------------------------------------------------------------------------------


def to_entries(session: Session, name: str, found: Sequence[SettingsRow]) -> list[VersionEntry]:
    """Versions with their reasons and what each changed in the one before it, where that is among them."""
    reasons = todo.find_reasons(session, action=ACTION, targets=[to_target(name, each.version) for each in found])
    before = {each.version + 1: each.document for each in found}
    return [
        VersionEntry(
            each,
            reasons.get(to_target(name, each.version)),
            compare(before.get(each.version, ""), each.document),
        )
        for each in found
    ]


async def restore_version(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Put it in force once more, as a new version. Refused with every fault when this gateway does not take it."""
    shown = (await _read_version(request))[0].row
    name, base = request.path_params["name"], inputs.find_number(form, "base")
    reason = inputs.find_text(form, "reason") or message("version {n} put back", n=shown.version)
    try:
        await services.of(request).run(lambda: settings_document.parse(shown.document))
        actor = to_actor(visitor, inputs.find_text(form, "who") or "")
        saved = await api.connections.save_settings(
            services.of(request), name, shown.document, actor=actor, reason=reason, after=base
        )
    except DocumentError as error:
        return await show_version(request, visitor, faults=error.faults, status=422)
    except connections.Outdated:
        return await show_version(request, visitor, outdated=True, status=409)
    return RedirectResponse(f"{to_address(name)}?saved={saved.version}", 303)


async def show_version(
    request: Request,
    _visitor: Visitor,
    *,
    faults: tuple[DocumentFault, ...] = (),
    outdated: bool = False,
    status: int = 200,
) -> Response:
    """The document as it was, and what putting it back would change."""
    entry, in_force, present = await _read_version(request)
    document = entry.row.document
    # On a thread: comparing long texts takes time.
    places, undone = await services.of(request).run(lambda: (find_places(document, faults), compare(present, document)))
    return render(
        request,
        "version.html",
        status=status,
        name=request.path_params["name"],
        entry=entry,
        in_force=in_force,
        outdated=outdated,
        places=places,
        undone=undone,
    )


async def _read_version(request: Request) -> tuple[VersionEntry, int, str]:
    """The version of the address, and number and text of the one in force. Raises `Refusal` 404."""
    name = request.path_params["name"]
    number = inputs.find_number(request.path_params, "version", low=1) or 0

    def look(session: Session) -> tuple[VersionEntry, int, str]:
        found = connections.find_settings(session, name, number)
        in_force = connections.newest_settings(session, name)
        if found is None or in_force is None:
            raise Refusal(404, "there is no such version")
        before = connections.find_settings(session, name, number - 1)
        return to_entries(session, name, [found, *([before] if before else [])])[0], *in_force

    return await services.of(request).read(look)


def to_actor(visitor: Visitor, who: str) -> str:
    """Who did it; ADMIN_TOKEN may be several people's, so its visitors may say a name."""
    return f"{visitor.actor}: {who}" if who and visitor.user is None else visitor.actor


def find_places(text: str, faults: Iterable[DocumentFault]) -> tuple[FaultLocation, ...]:
    """Every fault at its place, from top to bottom."""
    lines = text.splitlines()
    written = [(each.at + 1, each.path) for each in find_keys(lines)]
    places = []
    for fault in faults:
        line = _find_line(fault, written) if lines else None
        line = line and min(line, len(lines))
        around = range(max(1, line - _AROUND), min(len(lines), line + _AROUND) + 1) if line else ()
        places.append(FaultLocation(fault, line, [(number, lines[number - 1]) for number in around]))
    return tuple(sorted(places, key=lambda place: place.line or 0))


def _find_line(fault: DocumentFault, written: Sequence[tuple[int, Path]]) -> int | None:
    """The line whose path has most in common with the fault's."""
    found = _AT_LINE.search(fault.message)
    if found:
        return int(found[1])
    wanted = tuple(fault.path.split("."))
    shared = []
    for number, path in written:
        same = takewhile(lambda pair: pair[0] == pair[1], zip(wanted, path, strict=False))
        shared.append((len(list(same)), len(path), -number))
    # The longest start in common; of several such lines the one that says least more.
    best = max(((common, -length, back) for common, length, back in shared if common), default=None)
    return -best[2] if best else None


# --- what changed between two documents --------------------------------------------------------------------------


def compare(before: str, after: str) -> tuple[DiffLine, ...]:
    """The changed lines with some around them; nothing when the texts are equal or too long to be compared."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > _MOST_LINES:
        return ()
    # A unified diff begins with the two names and the first place.
    found = islice(difflib.unified_diff(old, new, n=_AROUND, lineterm=""), len(("---", "+++", "@@")), None)
    return tuple(DiffLine(_KINDS[line[0]], "" if line.startswith("@@") else line[1:]) for line in found)
