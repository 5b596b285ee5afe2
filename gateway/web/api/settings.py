"""The admin API about settings documents: read the one in force, put another in force, or get every fault."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import simplejson
import tomli_w
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response

from gateway.store import audit, connections, inbox, installation, progress, requests, views
from gateway.store.events import State
from gateway.web import actions, queries, services
from gateway.web.access import ADMIN
from gateway.web.api import events
from gateway.web.problems import Refusal
from gateway.web.services import Services
from mapping import settings_document
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault

CHECK_SECONDS = 10.0
"""How long somebody who saves a document waits for the check; then it is saved without."""


ACTION = "settings"
TOML = "application/toml"


@dataclass(frozen=True, slots=True)
class Draft:
    """A document to put in force, and why. `after` is the version they had before them, if that counts."""

    text: str
    actor: str
    reason: str | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A document in force. `checked` says whether both systems were asked; `warnings` are worth a look."""

    version: int
    checked: bool
    warnings: tuple[DocumentFault, ...] = ()


async def save(shared: Services, name: str, draft: Draft) -> Saved:
    """Check and put in force. Raises `SettingsError` with what neither system has, `Refusal` 404, `Outdated`."""
    found = await _check(shared, name, draft)
    if faults := _to_faults(found, "faults"):
        raise DocumentError(faults)
    checked = found is not None and not found.get("unasked")
    version, event_ids = await shared.write(lambda session: store(session, name, draft, checked=checked))
    shared.notifier.notify(event_ids)
    return Saved(version, checked, _to_faults(found, "warnings"))


async def _check(shared: Services, name: str, draft: Draft) -> Mapping[str, Any] | None:
    """What a worker found, or None when none could look."""

    def ask(session: Session) -> int | None:
        must_exist(session, name)
        if "worker" not in {process.role for process in installation.alive(session)}:
            return None
        change = requests.check_settings(draft.text, connection=name, actor=draft.actor)
        (received,) = inbox.receive(session, [change])
        return received.id

    event_id = await shared.write(ask)
    if event_id is None:
        return None
    shared.notifier.notify([event_id])
    settled, event_id = await actions.wait_until_settled(shared, event_id, seconds=CHECK_SECONDS)
    event = await shared.read(lambda session: views.find_event(session, event_id)) if settled else None
    found = events.to_result(event) if event and event.state == State.DONE else None
    return found if isinstance(found, Mapping) else None


def store(session: Session, name: str, draft: Draft, *, checked: bool) -> tuple[int, list[int]]:
    """Put a document in force, audited; answers its version, and the events by which it is checked later.

    Raises `Refusal` 404, `Outdated`.
    """
    must_exist(session, name)
    version = connections.save_settings(session, name, draft.text, author=draft.actor, after=draft.after)
    audit.note(session, actor=draft.actor, action=ACTION, target=to_target(name, version), reason=draft.reason)
    return version, progress.request_check(session, name, version, checked=checked)


def to_target(name: str, version: int) -> str:
    return message("connection {name}, version {version}", name=name, version=version)


def must_exist(session: Session, name: str) -> None:
    """Raises `Refusal` 404 for an unknown connection."""
    if name not in connections.names(session):
        raise Refusal(404, message("there is no connection {name}", name=name))


def find_in_force(session: Session, name: str) -> tuple[int, str]:
    """Number and text of the document in force; on the defaults 0, and the commented example. Raises `Refusal` 404."""
    must_exist(session, name)
    return connections.newest_settings(session, name) or (0, settings_document.example())


def _to_faults(found: Mapping[str, Any] | None, kind: str) -> tuple[DocumentFault, ...]:
    rows = (found or {}).get(kind) or ()
    return tuple(DocumentFault(row["path"], row["message"], row["hint"]) for row in rows)


async def show_settings(request: Request) -> Response:
    """The document in force, as TOML or (by Accept) JSON; on the defaults, the commented example."""
    name = request.path_params["name"]

    version, text = await services.of(request).read(lambda session: find_in_force(session, name))
    headers = {"ETag": f'"{version}"', "X-Settings-Version": str(version), "Vary": "Accept"}
    if "application/json" in request.headers.get("accept", ""):
        content = simplejson.dumps({"version": version, "settings": tomllib.loads(text)}, use_decimal=True)
        return Response(content, headers=headers, media_type="application/json")
    return Response(text, headers=headers, media_type=f"{TOML}; charset=utf-8")


async def put_settings(request: Request) -> Response:
    """200 with the version in force; 422 with the path of every fault, and the old document stays.

    `checked` says whether a worker held it against both systems, `warnings` what is worth a look.

    With `If-Match` (an ETag of GET) 412 when somebody else saved meanwhile; `?reason=` goes into the audit.
    """
    shared, name = services.of(request), request.path_params["name"]
    match = request.headers.get("if-match", "*").strip().strip('"')
    after = None if match == "*" else queries.find_number({"If-Match": match}, "If-Match")
    reason = queries.find_text(request.query_params, "reason")
    body = await queries.read_body(request, limit=queries.LARGEST_FORM)
    is_json = "json" in request.headers.get("content-type", "")
    try:
        # On a thread: parsing a large document takes time.
        text = await shared.run(lambda: _parse(body, is_json=is_json))
        saved = await save(shared, name, Draft(text, ADMIN, reason=reason, after=after))
    except DocumentError as error:
        detail = "the settings document was refused; the old one stays"
        raise Refusal(422, detail, faults=to_rows(error.faults)) from None
    except connections.Outdated as other:
        raise Refusal(412, other.reason, version=other.version) from None
    answer = {"connection": name, "version": saved.version, "checked": saved.checked}
    answer["warnings"] = to_rows(saved.warnings)
    return Response(simplejson.dumps(answer), media_type="application/json")


def _parse(body: bytes, *, is_json: bool) -> str:
    """The document as TOML, once it was found to have no fault. Raises `DocumentError`, `Refusal` 400."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "the document is not UTF-8") from None
    if not text.strip():
        raise Refusal(400, "the document is empty; to go back to the defaults send: version = 1")
    if is_json:
        try:
            data = simplejson.loads(text, use_decimal=True)
            data = data["settings"] if isinstance(data, Mapping) and set(data) == {"version", "settings"} else data
            # Checked before it is written: TOML cannot hold everything JSON can (null, for one).
            settings_document.parse_data(data)
            text = tomli_w.dumps(data)
        except DocumentError:
            raise
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise Refusal(400, "the document is not a JSON object that TOML can hold") from None
    settings_document.parse(text)
    return text


def to_rows(faults: Sequence[DocumentFault]) -> list[dict[str, str]]:
    return [{"path": f.path, "message": f.message, "hint": f.hint} for f in faults]
