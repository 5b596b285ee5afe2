"""The admin API about people: hand out, or erase, what is kept about a person."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.store import audit, people
from gateway.web import queries, services
from gateway.web.access import ADMIN
from gateway.web.problems import Refusal

Answer = TypeVar("Answer")

# No more is asked than what keeps a search for it from matching half the table.
WHO = r"^([^@\s]{1,99}@[^@\s]{1,99}|(relation|customer):[0-9A-Za-z]{1,40})$"
_WHO = re.compile(WHO)


async def export_person(request: Request) -> Response:
    """Everything kept about the person. Only the note that it was handed out is written."""
    who, found = await _do(request, "export", people.export)
    return JSONResponse({"email": who} | found)


async def erase_person(request: Request) -> Response:
    """How much was erased, which fiscal records stay, and what still mentions the person, and why."""
    _, done = await _do(request, "erase", people.erase)
    return JSONResponse(done)


async def _do(request: Request, action: str, work: Callable[..., Answer]) -> tuple[str, Answer]:
    """Who is meant, and what came of it. Audited."""
    shared, who = services.of(request), str(request.path_params["email"]).strip()
    if not queries.is_line(who) or not _WHO.fullmatch(who):
        raise Refusal(400, "this is no e-mail address, and neither relation:NUMBER nor customer:ID")
    connection, target = queries.find_text(request.query_params, "connection"), to_fingerprint(who)
    try:
        done = await shared.run(lambda: work(shared.engine, who, connection=connection))
    except people.Unclear as unclear:
        raise Refusal(409, str(unclear)) from None
    await shared.write(lambda session: audit.note(session, actor=ADMIN, action=action, target=target))
    return who, done


def to_fingerprint(email: str) -> str:
    """The address in the audit trail: enough to prove a request was met, not enough to read it."""
    return f"person {hashlib.sha256(email.lower().encode()).hexdigest()[:16]}"
