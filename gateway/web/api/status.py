"""The admin API about the whole: flows and their freshness, polls, tokens, calls, processes, the audit; connections."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from gateway.removal import Data
from gateway.settings import Settings
from gateway.store import (
    alerts,
    audit,
    connections,
    counts,
    installation,
    progress,
    rate_limits,
    requests,
    sql,
    tokens,
    views,
)
from gateway.store.connections import Connection
from gateway.store.events import PENDING, Flow, State
from gateway.store.requests import By
from gateway.store.sealing import Seal
from gateway.store.tables import AlertRow, CursorRow, MeterRow, ProcessRow, SystemRow, TokenRow
from gateway.version import VERSION
from gateway.web import actions, queries, services, setups
from gateway.web.access import ADMIN
from gateway.web.api import events
from gateway.web.api.events import pick, to_time
from gateway.web.api.settings import to_rows
from gateway.web.problems import Refusal
from mapping import settings_document
from mapping.messages import message


@dataclass(frozen=True, slots=True)
class Overview:
    """One consistent reading of everything, for the status endpoint and the dashboard."""

    now: datetime
    connections: list[Connection]
    flows: list[views.FlowStatus]
    cursors: list[CursorRow]
    systems: list[SystemRow]
    tokens: Mapping[str, TokenRow]
    meters: list[MeterRow]
    processes: list[ProcessRow]
    settings_versions: Mapping[str, int]
    companies: Mapping[tuple[str, str], str]
    alerts: list[AlertRow]
    cooldowns: Mapping[rate_limits.Account, float]
    backfills: list[progress.Progress]

    @property
    def names(self) -> Mapping[str, str]:
        return {each.name: each.display_name for each in self.connections}

    def of_one(self, connection: str) -> Overview:
        """Only what is about one connection; flows are counted over all, so there are none."""
        return dataclasses.replace(
            self,
            connections=[each for each in self.connections if each.name == connection],
            flows=[],
            cursors=[each for each in self.cursors if each.connection == connection],
            systems=[each for each in self.systems if each.connection == connection],
            meters=[each for each in self.meters if each.connection == connection],
            alerts=[each for each in self.alerts if each.connection == connection],
            backfills=[each for each in self.backfills if each.event.connection == connection],
        )

    def count(self, *states: State) -> int:
        return sum(flow.counts.get(state, 0) for flow in self.flows for state in states)


def look(session: Session, seal: Seal) -> Overview:
    now = sql.now_of(session)
    every = connections.every(session, seal)
    return Overview(
        now=now,
        connections=every,
        flows=views.flow_statuses(session),
        cursors=list(views.cursors(session)),
        systems=connections.systems(session),
        tokens=views.tokens(session),
        meters=counts.calls_of_month(session, f"{now:%Y-%m}"),
        processes=installation.alive(session),
        alerts=alerts.find_open(session),
        cooldowns=rate_limits.find_cooldowns(session),
        backfills=progress.running(session),
        companies=connections.company_names(session),
        settings_versions={c.name: (connections.newest_settings(session, c.name) or (0, ""))[0] for c in every},
    )


async def show_status(request: Request) -> Response:
    return JSONResponse(to_status(services.of(request).settings, await _look(request)))


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
        "live": connection.live,
        "paused": connection.paused,
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
    return {
        "authorised": tokens.is_authorised(token),
        "lost": token.lost,
        "access_expires_at": to_time(token.access_expires_at),
        "refresh_expires_at": to_time(token.refresh_expires_at),
        "reconnect_before": to_time(tokens.ends_at(token)),
        "reconnect_now": tokens.stage_of(token, now) is not None or tokens.is_ended(token),
    }


async def backfill_flow(request: Request) -> Response:
    """202 with one event for each connection that will go through the flow since that day."""
    given = await events.read_json(request, "since", "connection")
    flow = queries.find_choice(request.path_params, "flow", Flow)
    if flow is None:
        raise Refusal(400, "name the flow")
    connection = queries.find_text(given, "connection")
    since = queries.find_day(given, "since")
    ids = await actions.backfill(services.of(request), flow, since=since, connection=connection, actor=ADMIN)
    content = {"flow": flow, "since": since.isoformat() if since else None, "events": ids}
    return JSONResponse(content, 202, headers={"Location": f"/admin/events/{ids[0]}"})


async def list_audit(request: Request) -> Response:
    """Newest first; `after` is the cursor a list before this one gave as `next`."""
    before, limit = queries.find_cursor(request.query_params), queries.find_limit(request.query_params)

    def find_page(session: Session) -> dict[str, Any]:
        rows, following = audit.find_page(session, before=before, limit=limit)
        done = [pick(row, "id", "actor", "action", "target", "reason", "at") for row in rows]
        return {"audit": done, "next": str(following) if following is not None else None}

    return JSONResponse(await services.of(request).read(find_page))


async def list_backfills(request: Request) -> Response:
    """Those under way, and those that ended within a day; newest first."""
    found, names = await services.of(request).read(progress.recent), await services.names_of(request)
    return JSONResponse({"backfills": [to_backfill(each, names) for each in found]})


def to_backfill(found: progress.Progress, names: Mapping[str, str]) -> dict[str, Any]:
    """One backfill. `done` counts the synchronised records, `unchanged` those of them that were so before."""
    event = found.event
    return {
        "id": event.id,
        "connection": names.get(event.connection or "", event.connection),
        "flow": event.flow,
        "state": event.state,
        "over": found.over,
        "paused": found.paused and not found.over,
        "since": found.since,
        "reason": event.reason,
        "total": found.total,
        "done": found.done,
        "unchanged": found.notes.unchanged,
        "open": found.open,
        "parked": found.parked,
        "began_at": to_time(event.received_at),
        "seconds": round(found.seconds, 1),
        "per_second": round(found.per_second, 2),
        "ends_at": to_time(found.ends_at),
    }


# --- connections --------------------------------------------------------------------------------------------------


async def list_connections(request: Request) -> Response:
    overview = await _look(request)
    found = [to_connection(connection, overview) for connection in overview.connections]
    return JSONResponse({"connections": found})


async def show_connection(request: Request) -> Response:
    """One connection, without its secrets. Raises `Refusal` 404."""
    return JSONResponse(await _read(request))


async def put_connection(request: Request) -> Response:
    """201 for a new connection, 200 for one there is. What the body leaves out stays; secrets are never shown.

    The body is `{"mplus_url", "mplus_ident", "mplus_secret", "mplus_subscription_id", "mplus_webhook_secrets": []}`
    and, where the address of a till in use changed, `"moved": true`. A new connection is not live.
    """
    given = await events.read_json(request, *setups.FIELDS, setups.SECRETS, "moved")
    if not isinstance(given.get("moved", False), bool):
        raise Refusal(400, "moved should be true or false")
    shared, name = services.of(request), request.path_params["name"]
    is_new = await setups.keep_till(shared, name, setups.to_till(given), actor=ADMIN)
    await services.settle_name(request)
    return JSONResponse(await _read(request), 201 if is_new else 200)


async def check_connection(request: Request) -> Response:
    """200 with the event whose `result` are the findings of both sides; 202 when it takes longer than `?wait`."""
    await events.read_json(request)
    seconds = actions.find_seconds(request.query_params)
    event_id = await setups.check_up(services.of(request), request.path_params["name"], actor=ADMIN)
    return await events.answer(request, event_id, seconds=seconds)


async def go_live(request: Request) -> Response:
    """200 with the resumed connection, or the event that made it live; 202 when it takes longer."""
    await events.read_json(request)
    seconds = actions.find_seconds(request.query_params)
    event_id = await setups.go_live(services.of(request), request.path_params["name"], actor=ADMIN)
    if event_id is not None:
        return await events.answer(request, event_id, seconds=seconds)
    here = request.url.path.removesuffix("/live")
    return JSONResponse(await _read(request), headers={"Location": quote(here)})


async def pause_connection(request: Request) -> Response:
    """200 with the connection; what comes meanwhile waits and is done afterwards."""
    await events.read_json(request)
    await setups.pause(services.of(request), request.path_params["name"], actor=ADMIN)
    return JSONResponse(await _read(request))


async def _read(request: Request) -> dict[str, object]:
    name = request.path_params["name"]
    overview = await _look(request)
    found = next((each for each in overview.connections if each.name == name), None)
    if found is None:
        raise Refusal(404, message("there is no connection {name}", name=name))
    return to_connection(found, overview)


async def _look(request: Request) -> Overview:
    shared = services.of(request)
    return await shared.read(lambda session: look(session, shared.seal))


async def rename_connection(request: Request) -> Response:
    """200 with the connection under its new name; nothing else changes."""
    given = await events.read_json(request, "name")
    wanted = queries.find_text(given, "name")
    if wanted is None:
        raise Refusal(400, "give the other name: name")
    await setups.rename(services.of(request), request.path_params["name"], wanted, actor=ADMIN)
    return JSONResponse(await _read(request), headers={"Location": f"/admin/connections/{quote(wanted, safe='')}"})


async def remove_connection(request: Request) -> Response:
    """200: it is removed, its events are ended; `revoked` says whether Intuit took the tokens back."""
    given = await events.read_json(request, "data")
    data = queries.find_choice(given, "data", Data)
    if data is None:
        raise Refusal(400, f"say what becomes of the data: one of {', '.join(Data)}")
    return JSONResponse(dataclasses.asdict(await setups.remove(request, data, actor=ADMIN)))


_PATIENCE: Final = 20


async def preview_record(request: Request) -> Response:
    """200 with the event whose `result` is the preview; 202 and where to look when it takes longer than `?wait`.

    The body names a flow and a record of the books, `{"flow": "products", "id": "17"}`, by `id`, `sku` or `name`, or
    an order of the till by its `id`, or a customer by `id`, `name` or `email`: a relation of the till, or with
    `"side": "books"` a customer of the books. `settings` may be a document (TOML) to try instead of the one in force.
    """
    shared = services.of(request)
    given = await events.read_json(request, "flow", "side", *By, requests.SETTINGS)
    seconds = actions.find_seconds(request.query_params, default=_PATIENCE)
    named = [by for by in By if queries.find_text(given, by)]
    if len(named) != 1:
        raise Refusal(400, f"name one record, by {', '.join(By)}")
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
    except settings_document.DocumentError as error:
        detail = "the settings document was refused; nothing was tried"
        raise Refusal(422, detail, faults=to_rows(error.faults)) from None
    return text
