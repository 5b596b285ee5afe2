"""The admin API about settings documents: read the one in force, put another in force, or get every fault."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

import simplejson
import tomli_w
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.store import documents
from gateway.store.documents import Outdated
from gateway.web import bodies, queries, services, settings_saving
from gateway.web.access import ADMIN, admin_only
from gateway.web.problems import Refusal
from gateway.web.settings_saving import Draft, must_exist
from mapping import settings_document
from mapping.settings_document import DocumentError, DocumentFault

TOML = "application/toml"
_LARGEST_VERSION = 2**31 - 1
_ADDRESS = "/admin/connections/{name}/settings"


def routes() -> list[Route]:
    """One address, two methods: one route, so that a refusal of a third names both."""
    return [Route(_ADDRESS, admin_only(handle_settings), methods=["GET", "PUT"])]


async def handle_settings(request: Request) -> Response:
    """Show or put."""
    return await (put_settings if request.method == "PUT" else show_settings)(request)


async def show_settings(request: Request) -> Response:
    """The document in force, as TOML or (by Accept) JSON; on the defaults, the commented example."""
    name = request.path_params["name"]
    found = await services.of(request).read(lambda session: _newest(session, name))
    version, text = found or (0, settings_document.example())
    headers = {"ETag": f'"{version}"', "X-Settings-Version": str(version), "Vary": "Accept"}
    if _wants_json(request):
        content = simplejson.dumps({"version": version, "settings": _to_plain(text)}, use_decimal=True)
        return Response(content, headers=headers, media_type="application/json")
    return Response(text, headers=headers, media_type=f"{TOML}; charset=utf-8")


async def put_settings(request: Request) -> Response:
    """200 with the version in force; 422 with the path of every fault, and the old document stays.

    `checked` says whether a worker held it against both systems, `warnings` what is worth a look.

    With `If-Match` (an ETag of GET) 412 when somebody else saved meanwhile; `?reason=` goes into the audit.
    """
    shared, name, after = services.of(request), request.path_params["name"], _find_match(request)
    reason = queries.find_text(request.query_params, "reason")
    body, is_json = await _read_body(request), "json" in request.headers.get("content-type", "")
    # On a thread: parsing a large document takes time.
    text = await shared.run(lambda: _check(_from_json(body) if is_json else body))
    try:
        saved = await settings_saving.save(shared, name, Draft(text, ADMIN, reason=reason, after=after))
    except DocumentError as error:
        raise _refuse(error) from None
    except Outdated as other:
        raise Refusal(412, other.reason, version=other.version) from None
    answer = {"connection": name, "version": saved.version, "checked": saved.checked}
    answer["warnings"] = _to_rows(saved.warnings)
    return Response(simplejson.dumps(answer), media_type="application/json")


def _find_match(request: Request) -> int | None:
    """The version an `If-Match` names; None without one."""
    wanted = request.headers.get("if-match", "*").strip().strip('"')
    if wanted == "*":
        return None
    return queries.find_number({"If-Match": wanted}, "If-Match", low=0, high=_LARGEST_VERSION)


def _newest(session: Session, name: str) -> tuple[int, str] | None:
    must_exist(session, name)
    return documents.newest(session, name)


async def _read_body(request: Request) -> str:
    """The document as it was sent."""
    body = await bodies.read(request, limit=bodies.LARGEST_FORM)
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        raise Refusal(400, "the document is not UTF-8") from None
    if not text.strip():
        raise Refusal(400, "the document is empty; to go back to the defaults send: version = 1")
    return text


def _check(text: str) -> str:
    """The document, once it was found to have no fault. Raises `Refusal` 422 with every fault."""
    try:
        settings_document.parse(text)
    except DocumentError as error:
        raise _refuse(error) from None
    return text


def _refuse(error: DocumentError) -> Refusal:
    return Refusal(422, "the settings document was refused; the old one stays", faults=_to_rows(error.faults))


def _to_rows(faults: Sequence[DocumentFault]) -> list[dict[str, str]]:
    return [{"path": f.path, "message": f.message, "hint": f.hint} for f in faults]


def _from_json(text: str) -> str:
    try:
        data = simplejson.loads(text, use_decimal=True)
        data = data["settings"] if isinstance(data, Mapping) and set(data) == {"version", "settings"} else data
        # Checked before it is written: TOML cannot hold everything JSON can (null, for one).
        settings_document.parse_data(data)
        return tomli_w.dumps(data)
    except DocumentError as error:
        raise _refuse(error) from None
    except (ValueError, TypeError, AttributeError, RecursionError):
        raise Refusal(400, "the document is not a JSON object that TOML can hold") from None


def _wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


def _to_plain(text: str) -> dict[str, Any]:
    return tomllib.loads(text)
