"""The admin API about people: hand out, or erase, what is kept about an e-mail address."""

from __future__ import annotations

import dataclasses
import hashlib
import re

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.store import audit, people
from gateway.store.people import Erased
from gateway.web import queries, services
from gateway.web.access import ADMIN, admin_only
from gateway.web.problems import Refusal

# No more is asked than what keeps a search for it from matching half the table.
EMAIL = r"^[^@\s]{1,99}@[^@\s]{1,99}$"
_EMAIL = re.compile(EMAIL)


def routes() -> list[Route]:
    """Export and erase."""
    return [
        Route("/admin/people/{email}/export", admin_only(export_person), methods=["POST"]),
        Route("/admin/people/{email}/erase", admin_only(erase_person), methods=["POST"]),
    ]


async def export_person(request: Request) -> Response:
    """Everything kept about the address."""
    email = _email(request)

    def export(session: Session) -> dict[str, list[dict[str, object]]]:
        audit.note(session, actor=ADMIN, action="export", target=to_fingerprint(email))
        return people.export(session, email)

    return JSONResponse({"email": email} | await services.of(request).write(export))


async def erase_person(request: Request) -> Response:
    """How much was erased, and what is kept and why."""
    email = _email(request)

    def erase(session: Session) -> Erased:
        audit.note(session, actor=ADMIN, action="erase", target=to_fingerprint(email))
        return people.erase(session, email)

    erased = await services.of(request).write(erase)
    return JSONResponse({"erased": dataclasses.asdict(erased), "kept": list(people.kept())})


def to_fingerprint(email: str) -> str:
    """The address in the audit trail: enough to prove a request was met, not enough to read it."""
    return f"person {hashlib.sha256(email.lower().encode()).hexdigest()[:16]}"


def _email(request: Request) -> str:
    email = str(request.path_params["email"]).strip()
    if not _EMAIL.fullmatch(email) or not queries.is_line(email):
        raise Refusal(400, "this is not an e-mail address")
    return email
