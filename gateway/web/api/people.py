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
from gateway.web.services import Services

Answer = TypeVar("Answer")

# No more is asked than what keeps a search for it from matching half the table.
WHO = r"^([^@\s]{1,99}@[^@\s]{1,99}|(relation|customer):[0-9A-Za-z]{1,40})$"
_WHO = re.compile(WHO)


async def export_person(request: Request) -> Response:
    """Everything kept about the person. Only the note that it was handed out is written."""
    who, connection = _who(request)
    shared = services.of(request)
    found = await _answer(shared, lambda: people.export(shared.engine, who, connection=connection))
    await shared.write(lambda session: audit.note(session, actor=ADMIN, action="export", target=to_fingerprint(who)))
    return JSONResponse({"email": who} | found)


async def erase_person(request: Request) -> Response:
    """How much was erased, which fiscal records stay, and what still mentions the person, and why."""
    who, connection = _who(request)
    shared = services.of(request)
    done = await _answer(shared, lambda: people.erase(shared.engine, who, connection=connection))
    await shared.write(lambda session: audit.note(session, actor=ADMIN, action="erase", target=to_fingerprint(who)))
    return JSONResponse(done.to_data())


async def _answer(shared: Services, call: Callable[[], Answer]) -> Answer:
    try:
        return await shared.run(call)
    except people.Unclear as unclear:
        raise Refusal(409, str(unclear)) from None


def to_fingerprint(email: str) -> str:
    """The address in the audit trail: enough to prove a request was met, not enough to read it."""
    return f"person {hashlib.sha256(email.lower().encode()).hexdigest()[:16]}"


def _who(request: Request) -> tuple[str, str | None]:
    who = str(request.path_params["email"]).strip()
    if not queries.is_line(who) or not _WHO.fullmatch(who):
        raise Refusal(400, "this is no e-mail address, and neither relation:NUMBER nor customer:ID")
    return who, queries.find_text(request.query_params, "connection")
