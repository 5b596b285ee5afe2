"""The admin API about the agreement: compare till and books, read the results, and export their certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway.store import agreements, audit, certificates, connections, requests
from gateway.store.sales import today_of
from gateway.store.tables import AgreementDayRow, AgreementRecordRow
from gateway.web import actions, queries, services
from gateway.web.access import ADMIN
from gateway.web.api import events
from gateway.web.problems import Refusal
from mapping.agreement import to_text
from mapping.errors import MappingError


async def list_compared_days(request: Request) -> Response:
    """The results of the last comparison of each day, newest first; amounts in cents.

    `?connection= &from= &through= &limit=`, all optional.
    """
    given = request.query_params
    connection = queries.find_text(given, "connection")
    start, through = queries.find_day(given, "from"), queries.find_day(given, "through")
    limit = queries.find_limit(given)

    def find(session: Session) -> list[dict[str, Any]]:
        named = connections.keys_of(session, connection)[0] if connection else None
        days = agreements.find(session, connection=named, start=start, through=through, limit=limit)
        records = agreements.records_of(session, days)
        called = {day.connection: day.connection for day in days} | connections.display_names(session)
        return [_to_data(day, called[day.connection], records[day.connection, day.day]) for day in days]

    return JSONResponse({"days": await services.of(request).read(find)})


def _to_data(day: AgreementDayRow, called: str, records: Sequence[AgreementRecordRow]) -> dict[str, Any]:
    return {
        "connection": called,
        "day": day.day.isoformat(),
        "status": day.status,
        "checked_at": day.checked_at.isoformat() if day.checked_at else None,
        "due_at": day.due_at.isoformat() if day.due_at else None,
        "event": day.event_id,
        "till": day.till_cents,
        "books": day.books_cents,
        "difference": day.difference_cents,
        "records": [
            {
                "record": each.record,
                "cause": each.cause,
                "by_policy": each.by_policy,
                "reason": each.reason or "",
                "fix": each.fix or "",
                "event": each.event_id,
                "cents": each.cents,
            }
            for each in records
        ],
    }


async def export_certificates(request: Request) -> Response:
    """The certificates of these days as a signed file, which `certificate verify` reads.

    `?connection= &from= &through=`, all optional.
    """
    given = request.query_params
    connection = queries.find_text(given, "connection")
    start, through = queries.find_day(given, "from"), queries.find_day(given, "through")

    def find(session: Session) -> list[certificates.Certificate]:
        named = connections.keys_of(session, connection)[0] if connection else None
        return certificates.find(session, connection=named, start=start, through=through)

    return await send_certificates(request, find)


async def send_certificates(request: Request, find: Callable[[Session], list[certificates.Certificate]]) -> Response:
    """What is found as a signed file."""
    shared = services.of(request)
    found = await shared.read(find)
    key = await shared.run(lambda: certificates.find_key(shared.engine, shared.seal))
    file = certificates.export(found, key=key, at=datetime.now(UTC))
    named = {"Content-Disposition": 'attachment; filename="certificates.json"'}
    return Response(json.dumps(file, indent=1), media_type="application/json", headers=named)


async def compare_days(request: Request) -> Response:
    """202 and where to look; with `?wait=SECONDS` 200 and the report as soon as there is one.

    The body is `{"from": DATE, "through": DATE, "connection": NAME}`, all optional (the last seven days). Whoever
    accepts text/plain rather than JSON gets the report as a table.
    """
    shared = services.of(request)
    given = await events.read_json(request, "from", "through", "connection")
    seconds = actions.find_seconds(request.query_params)
    event_id = await shared.ask(lambda session: ask_comparison(session, given, actor=ADMIN))
    settled, event_id = await actions.wait_until_settled(shared, event_id, seconds=seconds)
    content = await events.find_detail(request, event_id)
    headers = {"Location": f"/admin/events/{event_id}"}
    report = content["result"]
    if settled and isinstance(report, dict) and request.headers.get("accept", "").startswith("text/plain"):
        return PlainTextResponse(to_text(report) + "\n", headers=headers)
    return JSONResponse(content, 200 if settled else 202, headers=headers)


def ask_comparison(session: Session, given: Mapping[str, Any], *, actor: str) -> int:
    """Have a worker compare; answers the event whose result is the report. Raises `Refusal` 400, 409."""
    wanted = queries.find_text(given, "connection")
    names, called = connections.choose(session, wanted), connections.display_names(session)
    if not names:
        raise Refusal(409, actions.say_none(wanted))
    if len(names) > 1:
        raise Refusal(409, "there are several connections; name one", connections=[called[name] for name in names])
    start, through = queries.find_day(given, "from"), queries.find_day(given, "through")
    try:
        first, last = requests.find_period(start, through, today_of(session))
    except MappingError as error:
        raise Refusal(400, error.reason) from None
    target = requests.name_agreement(called[names[0]], first, last)
    change = requests.agree(connection=names[0], start=start, through=through, actor=actions.SOURCE)
    return audit.ask(session, change, actor=actor, action="agreement", target=target)
