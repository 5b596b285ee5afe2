"""Older versions of a connection's settings: who saved them, when and why, what changed, and putting one back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.store import audit, documents
from gateway.store.documents import Outdated, Version
from gateway.web import api, queries, services
from gateway.web.api.settings import ACTION, Draft, to_target
from gateway.web.dashboard import fault_locations, text_diff
from gateway.web.dashboard.rendering import render
from gateway.web.dashboard.text_diff import DiffLine
from gateway.web.problems import Refusal
from gateway.web.sessions import Visitor
from mapping import settings_document
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault

SHOWN = 20
_LARGEST_VERSION = 2**31 - 1


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

    shown: Version
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


def _to_entry(found: Version, before: str, reason: str | None) -> VersionEntry:
    diff = text_diff.compare(before, found.document)
    return VersionEntry(found.version, found.author, found.created_at, reason, diff)


async def show_version(request: Request, visitor: Visitor) -> Response:
    """The document as it was, and what putting it back would change."""
    return await _render(request, visitor, await _read(request))


async def restore_version(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """Put it in force once more, as a new version. Refused with every fault when this gateway does not take it."""
    look = await _read(request)
    name, base = request.path_params["name"], queries.find_number(form, "base", low=0, high=_LARGEST_VERSION)
    reason = queries.find_text(form, "reason") or message("version {n} put back", n=look.shown.version)
    try:
        await services.of(request).run(lambda: settings_document.parse(look.shown.document))
        actor = to_actor(visitor, queries.find_text(form, "who") or "")
        draft = Draft(look.shown.document, actor, reason=reason, after=base)
        saved = await api.settings.save(services.of(request), name, draft)
    except DocumentError as error:
        return await _render(request, visitor, look, faults=error.faults, status=422)
    except Outdated:
        return await _render(request, visitor, await _read(request), outdated=True, status=409)
    return RedirectResponse(f"/connections/{quote_name(name)}/settings?saved={saved.version}", 303)


async def _render(
    request: Request,
    visitor: Visitor,
    look: Look,
    *,
    faults: tuple[DocumentFault, ...] = (),
    outdated: bool = False,
    status: int = 200,
) -> Response:
    # On a thread: comparing long texts takes time.
    found, undone = await services.of(request).run(
        lambda: (
            fault_locations.find(look.shown.document, faults),
            text_diff.compare(look.present, look.shown.document),
        )
    )
    return render(
        request,
        "version.html",
        visitor=visitor,
        status=status,
        name=request.path_params["name"],
        look=look,
        outdated=outdated,
        places=found,
        undone=undone,
    )


async def _read(request: Request) -> Look:
    name = request.path_params["name"]
    number = queries.find_number(request.path_params, "version", low=1, high=_LARGEST_VERSION) or 0

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
