"""Older versions of a connection's settings: who saved them, when and why, what changed, and putting one back."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Final, Literal
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import audit, documents
from gateway.store.documents import Outdated
from gateway.store.tables import SettingsRow
from gateway.web import api, queries, services
from gateway.web.api.settings import ACTION, Draft, to_target
from gateway.web.dashboard.rendering import render
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from mapping import settings_document
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault, Path, find_keys

SHOWN = 20
_AROUND = 2
_MOST_LINES = 4_000  # comparing takes time quadratic in it


@dataclass(frozen=True, slots=True)
class DiffLine:
    """A line that is new, gone or the same in both; `gap` marks lines that are left out."""

    kind: Literal["new", "gone", "same", "gap"]
    text: str


_KINDS: Final[Mapping[str, Literal["new", "gone", "same", "gap"]]] = {"+": "new", "-": "gone", " ": "same", "@": "gap"}


@dataclass(frozen=True, slots=True)
class VersionEntry:
    """A version in the history; `diff` is what it changed in the one before."""

    version: int
    author: str
    created_at: datetime
    reason: str | None
    diff: tuple[DiffLine, ...]


@dataclass(frozen=True, slots=True)
class Look:
    """A version beside the one in force."""

    shown: SettingsRow
    in_force: int
    present: str
    entry: VersionEntry


def list_entries(session: Session, name: str) -> Sequence[VersionEntry]:
    """The last versions, newest first."""
    found = documents.history(session, name, limit=SHOWN + 1)
    reasons = audit.reasons(session, action=ACTION, targets=[to_target(name, each.version) for each in found])
    before = {each.version: each.document for each in found}
    return [
        _to_entry(each, before.get(each.version - 1, ""), reasons.get(to_target(name, each.version)))
        for each in found[:SHOWN]
    ]


def _to_entry(found: SettingsRow, before: str, reason: str | None) -> VersionEntry:
    diff = compare(before, found.document)
    return VersionEntry(found.version, found.author, found.created_at, reason, diff)


async def show_version(request: Request, _visitor: Visitor) -> Response:
    """The document as it was, and what putting it back would change."""
    return await _render(request, await _read(request))


async def restore_version(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Put it in force once more, as a new version. Refused with every fault when this gateway does not take it."""
    look = await _read(request)
    name, base = request.path_params["name"], queries.find_number(form, "base")
    reason = queries.find_text(form, "reason") or message("version {n} put back", n=look.shown.version)
    try:
        await services.of(request).run(lambda: settings_document.parse(look.shown.document))
        actor = to_actor(visitor, queries.find_text(form, "who") or "")
        draft = Draft(look.shown.document, actor, reason=reason, after=base)
        saved = await api.settings.save(services.of(request), name, draft)
    except DocumentError as error:
        return await _render(request, look, faults=error.faults, status=422)
    except Outdated:
        return await _render(request, await _read(request), outdated=True, status=409)
    return RedirectResponse(f"/connections/{quote_name(name)}/settings?saved={saved.version}", 303)


async def _render(
    request: Request,
    look: Look,
    *,
    faults: tuple[DocumentFault, ...] = (),
    outdated: bool = False,
    status: int = 200,
) -> Response:
    # On a thread: comparing long texts takes time.
    found, undone = await services.of(request).run(
        lambda: (
            find(look.shown.document, faults),
            compare(look.present, look.shown.document),
        )
    )
    return render(
        request,
        "version.html",
        status=status,
        name=request.path_params["name"],
        look=look,
        outdated=outdated,
        places=found,
        undone=undone,
    )


async def _read(request: Request) -> Look:
    name = request.path_params["name"]
    number = queries.find_number(request.path_params, "version", low=1) or 0

    def look(session: Session) -> Look:
        found = documents.find(session, name, number)
        in_force = documents.newest(session, name)
        if found is None or in_force is None:
            raise Refusal(404, "there is no such version")
        before = documents.find(session, name, number - 1)
        reason = audit.reasons(session, action=ACTION, targets=[to_target(name, number)])
        entry = _to_entry(found, before.document if before else "", reason.get(to_target(name, number)))
        return Look(found, *in_force, entry)

    return await services.of(request).read(look)


def quote_name(name: str) -> str:
    return quote(name, safe="")


def to_actor(visitor: Visitor, who: str) -> str:
    """Who did it; ADMIN_TOKEN may be several people's, so its visitors may say a name."""
    return f"{visitor.actor}: {who}" if who and visitor.user is None else visitor.actor


AROUND = 2
_AT_LINE = re.compile(r"at line (\d+)")


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of the document with its number, counted from 1."""

    number: int
    text: str
    faulty: bool


@dataclass(frozen=True, slots=True)
class FaultLocation:
    """A fault with the lines around it; no lines when it is about something that is missing."""

    fault: DocumentFault
    line: int | None
    lines: tuple[SourceLine, ...]


def find(text: str, faults: Iterable[DocumentFault]) -> tuple[FaultLocation, ...]:
    """Every fault at its place, from top to bottom."""
    lines = text.splitlines()
    written = [(each.at + 1, each.path) for each in find_keys(lines)]
    places = []
    for fault in faults:
        line = _find_line(fault, written) if lines else None
        line = line and min(line, len(lines))
        around = range(max(1, line - AROUND), min(len(lines), line + AROUND) + 1) if line else ()
        shown = tuple(SourceLine(number, lines[number - 1], number == line) for number in around)
        places.append(FaultLocation(fault, line, shown))
    return tuple(sorted(places, key=lambda place: place.line or 0))


def _find_line(fault: DocumentFault, written: Sequence[tuple[int, Path]]) -> int | None:
    """The line whose path has most in common with the fault's."""
    found = _AT_LINE.search(fault.message)
    if found:
        return int(found[1])
    wanted = tuple(fault.path.split("."))
    shared = [(_in_common(wanted, path), len(path), -number) for number, path in written]
    # The longest start in common; of several such lines the one that says least more.
    best = max(((common, -length, back) for common, length, back in shared if common), default=None)
    return -best[2] if best else None


def _in_common(wanted: Path, path: Path) -> int:
    pairs = zip(wanted, path, strict=False)
    return next((n for n, (left, right) in enumerate(pairs) if left != right), min(len(wanted), len(path)))


# --- what changed between two documents --------------------------------------------------------------------------


def compare(before: str, after: str) -> tuple[DiffLine, ...]:
    """The changed lines with some around them; nothing when the texts are equal or too long to be compared."""
    old, new = before.splitlines(), after.splitlines()
    if max(len(old), len(new)) > _MOST_LINES:
        return ()
    # A unified diff begins with the two names and the first place.
    found = islice(difflib.unified_diff(old, new, n=_AROUND, lineterm=""), len(("---", "+++", "@@")), None)
    return tuple(DiffLine(_KINDS[line[0]], "" if line.startswith("@@") else line[1:]) for line in found)
