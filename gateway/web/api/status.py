"""The admin API about the whole: status, loads, the audit, and what till and books agree on, with its certificates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from gateway import VERSION
from gateway.database import sql
from gateway.database.sealing import Seal
from gateway.queries import activity, figures, todo
from gateway.settings import Settings
from gateway.store import agreements, audit, connections, counts, installation, rate_limits, requests, tokens
from gateway.store.connections import Connection
from gateway.store.events import PENDING, Flow, State
from gateway.store.sales import today_of
from gateway.store.tables import AlertRow, CursorRow, MeterRow, ProcessRow, SystemRow, TokenRow
from gateway.web import actions, inputs, services
from gateway.web.access import ADMIN
from gateway.web.api import events
from gateway.web.api.events import pick, to_time
from gateway.web.inputs import Refusal
from mapping.agreement import to_text
from mapping.errors import MappingError


@dataclass(frozen=True, slots=True)
class Overview:
    """One consistent reading of everything, for the status endpoint and the dashboard."""

    now: datetime
    connections: list[Connection]
    flows: list[activity.FlowStatus]
    cursors: list[CursorRow]
    systems: list[SystemRow]
    tokens: Mapping[str, TokenRow]
    meters: list[MeterRow]
    processes: list[ProcessRow]
    settings_versions: Mapping[str, int]
    companies: Mapping[tuple[str, str], str]
    alerts: list[AlertRow]
    cooldowns: Mapping[rate_limits.Account, float]
    backfills: list[activity.Progress]

    @property
    def names(self) -> Mapping[str, str]:
        return {each.name: each.display_name for each in self.connections}

    def count(self, *states: State) -> int:
        return sum(flow.counts.get(state, 0) for flow in self.flows for state in states)


def look(session: Session, seal: Seal, only: str | None = None) -> Overview:
    """All connections, or `only` one: then without the flows, which are counted over all."""
    now, shown = sql.now_of(session), [each for each in connections.every(session, seal) if only in {None, each.name}]
    meters, alerts = counts.calls_of_month(session, f"{now:%Y-%m}"), todo.find_alerts(session)
    return Overview(
        now=now,
        connections=shown,
        flows=[] if only else activity.flow_statuses(session),
        cursors=[each for each in activity.find_polls(session) if only in {None, each.connection}],
        systems=[each for each in connections.systems(session) if only in {None, each.connection}],
        tokens=tokens.every(session),
        meters=[each for each in meters if only in {None, each.connection}],
        processes=installation.alive(session),
        alerts=[each for each in alerts if only in {None, each.connection}],
        cooldowns=rate_limits.find_cooldowns(session),
        backfills=[each for each in activity.find_running(session) if only in {None, each.event.connection}],
        companies=connections.company_names(session),
        settings_versions={c.name: (connections.newest_settings(session, c.name) or (0, ""))[0] for c in shown},
    )


async def look_at(request: Request) -> Overview:
    shared = services.of(request)
    return await shared.read(lambda session: look(session, shared.seal))


async def show_status(request: Request) -> Response:
    return JSONResponse(to_status(services.of(request).settings, await look_at(request)))


def to_status(settings: Settings, overview: Overview) -> dict[str, Any]:
    names = overview.names
    plan = counts.forecast_reads(overview.meters, now=overview.now, allowance=settings.quickbooks_monthly_reads)
    unsynced = [s.unsynced_seconds for s in overview.flows if s.unsynced_seconds is not None]
    return {
        "version": VERSION,
        "now": to_time(overview.now),
        "database": "postgresql" if settings.is_postgres else "sqlite",
        "broker": settings.redis_url.partition(":")[0],
        "alerts": [
            pick(alert, "cause", "title", "detail", "fix", "sent_at")
            | {"connection": names.get(alert.connection or "", alert.connection)}
            | {"since": to_time(alert.first_seen)}
            for alert in overview.alerts
        ],
        "plan": pick(plan, "month", "reads", "allowance", "forecast")
        | {"share": round(plan.share, 4), "warning": plan.warning},
        "connections": [to_connection(connection, overview) for connection in overview.connections],
        "flows": {
            flow.flow: {
                "freshness_seconds": flow.behind_seconds or 0.0,
                "unseen_seconds": flow.unseen_seconds,
                "oldest_parked_seconds": flow.parked_seconds,
                "last_done_at": to_time(flow.last_done_at),
                "counts": {state: flow.counts.get(state, 0) for state in State},
            }
            for flow in overview.flows
        },
        "queue": {
            "pending": overview.count(*PENDING),
            "working": overview.count(State.WORKING),
            "parked": overview.count(State.PARKED),
            "oldest_seconds": max(unsynced, default=None),
        },
        "backfills": [to_backfill(found, names) for found in overview.backfills],
        "limits": [
            {"connection": names.get(m.connection, m.connection), **pick(m, "system", "month", "kind", "calls")}
            for m in overview.meters
        ],
        "processes": [pick(each, "role", "version", "started_at", "seen_at") for each in overview.processes],
    }


def to_connection(connection: Connection, overview: Overview) -> dict[str, Any]:
    """One connection as the contract has it: no secrets, only whether each is set."""
    accounts, cooling = rate_limits.accounts_of(connection).values(), overview.cooldowns
    cooldowns = [round(cooling[each], 1) for each in accounts if each in cooling]
    return {
        "name": connection.display_name,
        **pick(connection, "live", "paused"),
        "settings_version": overview.settings_versions[connection.name],
        "quickbooks": {
            "realm_id": connection.realm_id,
            **_to_token(overview.tokens.get(connection.name), overview.now),
        },
        "mpluskassa": {
            "url": connection.mplus_url,
            "configured": connection.has_till,
            "webhook_subscription": connection.mplus_subscription_id,
        },
        "cooldown_seconds": max(cooldowns, default=None),
        "systems": [
            pick(row, "system", "answered_at", "failing_since", "failure")
            for row in overview.systems
            if row.connection == connection.name
        ],
        "polls": [
            pick(cursor, "source", "position", "polled_at", "failure")
            for cursor in overview.cursors
            if cursor.connection == connection.name
        ],
    }


def _to_token(token: TokenRow | None, now: datetime) -> dict[str, Any]:
    if token is None:
        return {"authorised": False, "lost": None, "access_expires_at": None, "refresh_expires_at": None}
    # With a code the login is good, and only calls are refused.
    is_ended = token.lost is not None and token.lost_code is None
    return {
        "authorised": tokens.is_authorised(token),
        "lost": token.lost,
        "access_expires_at": to_time(token.access_expires_at),
        "refresh_expires_at": to_time(token.refresh_expires_at),
        "reconnect_before": to_time(tokens.ends_at(token)),
        "reconnect_now": tokens.stage_of(token, now) is not None or is_ended,
    }


async def backfill_flow(request: Request) -> Response:
    given = await events.read_json(request, "since", "connection")
    flow = inputs.find_choice(request.path_params, "flow", Flow)
    if flow is None:
        raise Refusal(400, "name the flow")
    connection = inputs.find_text(given, "connection")
    since = inputs.find_day(given, "since")
    ids = await actions.backfill(services.of(request), flow, since=since, connection=connection, actor=ADMIN)
    content = {"flow": flow, "since": since.isoformat() if since else None, "events": ids}
    return JSONResponse(content, 202, headers={"Location": f"/admin/events/{ids[0]}"})


async def list_audit(request: Request) -> Response:
    before, limit = inputs.find_cursor(request.query_params), inputs.find_limit(request.query_params)

    def find_page(session: Session) -> dict[str, Any]:
        rows, following = todo.find_actions(session, before=before, limit=limit)
        done = [pick(row, "id", "actor", "action", "target", "reason", "at") for row in rows]
        return {"audit": done, "next": str(following) if following is not None else None}

    return JSONResponse(await services.of(request).read(find_page))


async def list_backfills(request: Request) -> Response:
    found, names = await services.of(request).read(activity.find_recent), await services.names_of(request)
    return JSONResponse({"backfills": [to_backfill(each, names) for each in found]})


def to_backfill(found: activity.Progress, names: Mapping[str, str]) -> dict[str, Any]:
    """One backfill. `done` counts the synchronised records, `unchanged` those of them that were so before."""
    event = found.event
    return {
        "id": event.id,
        "connection": names.get(event.connection or "", event.connection),
        **pick(event, "flow", "state"),
        "over": found.over,
        "paused": found.paused and not found.over,
        "since": found.since,
        "reason": event.reason,
        **pick(found, "total", "done"),
        "unchanged": found.notes.unchanged,
        **pick(found, "open", "parked"),
        "began_at": to_time(event.received_at),
        "seconds": round(found.seconds, 1),
        "per_second": round(found.per_second, 2),
        "ends_at": to_time(found.ends_at),
    }


# --- agreement --------------------------------------------------------------------------------------------------------


async def list_compared_days(request: Request) -> Response:
    given = request.query_params
    connection = inputs.find_text(given, "connection")
    start, through = inputs.find_day(given, "from"), inputs.find_day(given, "through")
    limit = inputs.find_limit(given)

    def find(session: Session) -> list[dict[str, Any]]:
        named = connections.keys_of(session, connection)[0] if connection else None
        days = figures.find_compared(session, connection=named, start=start, through=through, limit=limit)
        records = figures.records_of(session, days)
        called = {day.connection: day.connection for day in days} | connections.display_names(session)
        return [
            {
                "connection": called[day.connection],
                "day": day.day.isoformat(),
                "status": day.status,
                "checked_at": day.checked_at.isoformat() if day.checked_at else None,
                "due_at": day.due_at.isoformat() if day.due_at else None,
                "event": day.event_id,
                "till": day.till_cents,
                "books": day.books_cents,
                "difference": day.difference_cents,
                "records": [
                    pick(each, "record", "cause", "by_policy")
                    | {"reason": each.reason or "", "fix": each.fix or "", "event": each.event_id, "cents": each.cents}
                    for each in records[day.connection, day.day]
                ],
            }
            for day in days
        ]

    return JSONResponse({"days": await services.of(request).read(find)})


async def export_certificates(request: Request) -> Response:
    given = request.query_params
    connection = inputs.find_text(given, "connection")
    start, through = inputs.find_day(given, "from"), inputs.find_day(given, "through")

    def find(session: Session) -> list[agreements.Certificate]:
        named = connections.keys_of(session, connection)[0] if connection else None
        return agreements.find_certificates(session, connection=named, start=start, through=through)

    return await send_certificates(request, find)


async def send_certificates(request: Request, find: Callable[[Session], list[agreements.Certificate]]) -> Response:
    """What is found as a signed file."""
    shared = services.of(request)
    found = await shared.read(find)
    key = await shared.run(lambda: agreements.find_key(shared.engine, shared.seal))
    file = figures.export_certificates(found, key=key, at=datetime.now(UTC))
    named = {"Content-Disposition": 'attachment; filename="certificates.json"'}
    return Response(json.dumps(file, indent=1), media_type="application/json", headers=named)


async def compare_days(request: Request) -> Response:
    """Whoever accepts text/plain rather than JSON gets the report as a table."""
    shared = services.of(request)
    given = await events.read_json(request, "from", "through", "connection")
    seconds = actions.find_seconds(request)
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
    names = actions.choose(session, inputs.find_text(given, "connection"))
    called = connections.display_names(session)
    if len(names) > 1:
        raise Refusal(409, "there are several connections; name one", connections=[called[name] for name in names])
    start, through = inputs.find_day(given, "from"), inputs.find_day(given, "through")
    try:
        first, last = requests.find_period(start, through, today_of(session))
    except MappingError as error:
        raise Refusal(400, error.reason) from None
    target = requests.name_agreement(called[names[0]], first, last)
    change = requests.agree(connection=names[0], start=start, through=through, actor=actions.SOURCE)
    return audit.ask(session, change, actor=actor, action="agreement", target=target)
