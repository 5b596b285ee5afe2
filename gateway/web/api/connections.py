"""The admin API about connections: till, check, going live, previews, and settings documents."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import simplejson
import tomli_w
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.queries import activity
from gateway.removal import Data
from gateway.store import audit, connections, inbox, installation, requests
from gateway.store.events import State
from gateway.store.requests import By
from gateway.web import actions, inputs, services, setups
from gateway.web.access import ADMIN
from gateway.web.api import events, status
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from mapping import settings_document, settings_guide
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault


async def list_connections(request: Request) -> Response:
    overview = await status.look_at(request)
    found = [status.to_connection(connection, overview) for connection in overview.connections]
    return JSONResponse({"connections": found})


async def show_connection(request: Request) -> Response:
    return JSONResponse(await _read(request))


async def put_connection(request: Request) -> Response:
    given = await events.read_json(request, *setups.FIELDS, setups.SECRETS, "moved")
    shared, name = services.of(request), request.path_params["name"]
    is_new = await setups.keep_till(shared, name, setups.to_till(given), actor=ADMIN)
    await services.settle_name(request)
    return JSONResponse(await _read(request), 201 if is_new else 200)


async def check_connection(request: Request) -> Response:
    await events.read_json(request)
    seconds = actions.find_seconds(request)
    event_id = await setups.check_up(services.of(request), request.path_params["name"], actor=ADMIN)
    return await events.answer(request, event_id, seconds=seconds)


async def go_live(request: Request) -> Response:
    await events.read_json(request)
    seconds = actions.find_seconds(request)
    event_id = await setups.go_live(services.of(request), request.path_params["name"], actor=ADMIN)
    if event_id is not None:
        return await events.answer(request, event_id, seconds=seconds)
    here = request.url.path.removesuffix("/live")
    return JSONResponse(await _read(request), headers={"Location": quote(here)})


async def pause_connection(request: Request) -> Response:
    await events.read_json(request)
    await setups.pause(services.of(request), request.path_params["name"], actor=ADMIN)
    return JSONResponse(await _read(request))


async def _read(request: Request) -> dict[str, object]:
    shared, name = services.of(request), request.path_params["name"]
    overview = await shared.read(lambda session: status.look(session, shared.seal, only=name))
    if not overview.connections:
        raise Refusal(404, message("there is no connection {name}", name=name))
    return status.to_connection(overview.connections[0], overview)


async def rename_connection(request: Request) -> Response:
    wanted = inputs.find_text(await events.read_json(request, "name"), "name")
    if wanted is None:
        raise Refusal(400, "give the other name: name")
    await setups.rename(services.of(request), request.path_params["name"], wanted, actor=ADMIN)
    return JSONResponse(await _read(request), headers={"Location": f"/admin/connections/{quote(wanted, safe='')}"})


async def remove_connection(request: Request) -> Response:
    data = inputs.find_choice(await events.read_json(request, "data"), "data", Data)
    if data is None:
        raise Refusal(400, message("say what becomes of the data: one of {choices}", choices=", ".join(Data)))
    return JSONResponse(dataclasses.asdict(await setups.remove(request, data, actor=ADMIN)))


_PATIENCE: Final = 20


async def preview_record(request: Request) -> Response:
    """The body names a flow and a record of the books, `{"flow": "products", "id": "17"}`, by `id`, `sku` or `name`, or
    an order of the till by its `id`, or a customer by `id`, `name` or `email`: a relation of the till, or with
    `"side": "books"` a customer of the books. `settings` may be a document (TOML) to try instead of the one in force.
    """
    shared = services.of(request)
    given = await events.read_json(request, "flow", "side", *By, requests.SETTINGS)
    seconds = actions.find_seconds(request, default=_PATIENCE)
    named = [by for by in By if inputs.find_text(given, by)]
    if len(named) != 1:
        raise Refusal(400, message("name one record, by {known}", known=", ".join(By)))
    settings = await shared.run(lambda: _find_settings(given))
    record = {**given, "by": named[0], "record": given[named[0]]}
    wanted = actions.to_preview(record, connection=request.path_params["name"], actor=ADMIN)
    event_id = await actions.ask_preview(shared, dataclasses.replace(wanted, settings=settings))
    return await events.answer(request, event_id, seconds=seconds)


def _find_settings(given: Mapping[str, Any]) -> str | None:
    """A checked document. Raises `Refusal` 422 with every fault."""
    text = given.get(requests.SETTINGS)
    if text is None:
        return None
    if not isinstance(text, str):
        raise Refusal(400, "settings should be a document as TOML text")
    try:
        settings_document.parse(text)
    except DocumentError as error:
        detail = "the settings document was refused; nothing was tried"
        raise Refusal(422, detail, faults=to_rows(error.faults)) from None
    return text


# --- settings documents -----------------------------------------------------------------------------------------------


CHECK_SECONDS = 10.0
"""How long somebody who saves a document waits for the check; then it is saved without."""


ACTION = "settings"
TOML = "application/toml"


@dataclass(frozen=True, slots=True)
class Saved:
    """A document in force. `checked` says whether both systems were asked; `warnings` are worth a look."""

    version: int
    checked: bool
    warnings: tuple[DocumentFault, ...]


async def save_settings(
    shared: Services, name: str, text: str, *, actor: str, reason: str | None = None, after: int | None = None
) -> Saved:
    """Check a document and put it in force, audited. `after` is the version they had before them, if that counts.

    Raises `DocumentError` with what neither system has, `Refusal` 404, `Outdated`.
    """
    found = await _check(shared, name, text, actor)
    if faults := _to_faults(found, "faults"):
        raise DocumentError(faults)
    checked = found is not None and not found.get("unasked")

    def store(session: Session) -> tuple[int, list[int]]:
        must_exist(session, name)
        version = connections.save_settings(session, name, text, author=actor, after=after)
        audit.note(session, actor=actor, action=ACTION, target=to_target(name, version), reason=reason)
        return version, requests.request_check(session, name, version, checked=checked)

    version, event_ids = await shared.write(store)
    shared.notifier.notify(event_ids)
    return Saved(version, checked, _to_faults(found, "warnings"))


async def _check(shared: Services, name: str, text: str, actor: str) -> Mapping[str, Any] | None:
    """What a worker found, or None when none could look."""

    def ask(session: Session) -> int | None:
        must_exist(session, name)
        if "worker" not in {process.role for process in installation.alive(session)}:
            return None
        (received,) = inbox.receive(session, [requests.check_settings(text, connection=name, actor=actor)])
        return received.id

    event_id = await shared.write(ask)
    if event_id is None:
        return None
    shared.notifier.notify([event_id])
    settled, event_id = await actions.wait_until_settled(shared, event_id, seconds=CHECK_SECONDS)
    event = await shared.read(lambda session: activity.find_event(session, event_id)) if settled else None
    found = events.to_result(event) if event and event.state == State.DONE else None
    return found if isinstance(found, Mapping) else None


def to_target(name: str, version: int) -> str:
    return message("connection {name}, version {version}", name=name, version=version)


def must_exist(session: Session, name: str) -> None:
    """Raises `Refusal` 404 for an unknown connection."""
    if name not in connections.names(session):
        raise Refusal(404, message("there is no connection {name}", name=name))


def find_in_force(session: Session, name: str) -> tuple[int, str]:
    """Number and text of the document in force; on the defaults 0, and the commented example. Raises `Refusal` 404."""
    must_exist(session, name)
    return connections.newest_settings(session, name) or (0, settings_guide.example())


def _to_faults(found: Mapping[str, Any] | None, kind: str) -> tuple[DocumentFault, ...]:
    rows = (found or {}).get(kind) or ()
    return tuple(DocumentFault(row["path"], row["message"], row["hint"]) for row in rows)


async def show_settings(request: Request) -> Response:
    name = request.path_params["name"]
    version, text = await services.of(request).read(lambda session: find_in_force(session, name))
    headers = {"ETag": f'"{version}"', "X-Settings-Version": str(version), "Vary": "Accept"}
    if "application/json" in request.headers.get("accept", ""):
        content = simplejson.dumps({"version": version, "settings": tomllib.loads(text)}, use_decimal=True)
        return Response(content, headers=headers, media_type="application/json")
    return Response(text, headers=headers, media_type=f"{TOML}; charset=utf-8")


async def put_settings(request: Request) -> Response:
    """`If-Match` takes an ETag of GET, which was in force when somebody began to edit."""
    shared, name = services.of(request), request.path_params["name"]
    match = request.headers.get("if-match", "*").strip().strip('"')
    after = None if match == "*" else inputs.find_number({"If-Match": match}, "If-Match")
    reason = inputs.find_text(request.query_params, "reason")
    body = await inputs.read_body(request, limit=inputs.LARGEST_FORM)
    is_json = "json" in request.headers.get("content-type", "")
    try:
        # On a thread: parsing a large document takes time.
        text = await shared.run(lambda: _parse(body, is_json=is_json))
        saved = await save_settings(shared, name, text, actor=ADMIN, reason=reason, after=after)
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
