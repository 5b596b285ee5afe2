"""The agreement of till and books: a calendar of days, every cent of a day record by record, and who signed it off."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.queries import activity, figures, sales
from gateway.store import agreements, audit, requests
from gateway.store.events import SETTLED, Event, State
from gateway.store.sales import today_of
from gateway.store.tables import SaleRow
from gateway.web import api, inputs, services
from gateway.web.access import chosen_language, refuse_others
from gateway.web.api.status import ask_comparison, send_certificates
from gateway.web.dashboard import agreement_calendar, rendering
from gateway.web.dashboard.agreement_calendar import CHIPS, MARKS, AgreementMonth, CalendarDay, CalendarResult
from gateway.web.dashboard.rendering import NOT_SENT, SentForm, render
from gateway.web.inputs import Refusal
from gateway.web.sessions import Visitor
from mapping.agreement import AGREES, DIFFERS, EXPLAINED
from mapping.messages import message

EARLIER = 10
_SHORTEST_NAME = 2
_NO_REPORT = "there is no such report"
_NOT_SIGNED = "this day is not signed off"


# --- a month -----------------------------------------------------------------------------------------------------


async def _find_connection(request: Request, given: Mapping[str, Any]) -> tuple[str, str]:
    """Key and name of the named connection, or of the first; empty where there is none. Raises `Refusal` 404."""
    keys = (await services.of(request).directory.get()).keys
    called = inputs.find_text(given, "connection")
    if called is not None and called not in keys:
        raise Refusal(404, message("there is no connection {name}", name=called))
    key = keys[called] if called is not None else min(keys.values(), default="")
    return key, (await services.names_of(request)).get(key, "")


def _find_month(given: Mapping[str, Any]) -> date | None:
    """The first day of a named month."""
    text = inputs.find_text(given, "month")
    try:
        return date.fromisoformat(f"{text}-01") if text else None
    except ValueError:
        raise Refusal(400, "month should be a month such as 2026-01") from None


def _read_month(session: Session, connection: str, day: date | None) -> AgreementMonth:
    """The month of this day, or the present one."""
    today = today_of(session)
    first = (day or today).replace(day=1)
    through = agreement_calendar.last_of(first)
    rows = figures.find_compared(session, connection=connection, start=first, through=through, limit=through.day)
    newest = agreements.find_certificates(
        session, connection=connection, start=first, through=through, newest_only=True
    )
    signed = figures.sign_offs(session, connection, first, through)
    return agreement_calendar.to_month(first, rows, newest, signed, today=today)


async def show_month(request: Request, visitor: Visitor, sent: SentForm = NOT_SENT) -> Response:
    shared, given = services.of(request), sent.typed or request.query_params
    connection, called = await _find_connection(request, given)
    if not connection:
        return render(request, "agreement_month.html", shown=None, names=[])

    month = _find_month(given)

    def look(session: Session) -> dict[str, Any]:
        return {
            "shown": _read_month(session, connection, month),
            "today": today_of(session),
            "earlier": activity.find_requests(session, requests.AGREEMENT, visitor.connection, limit=EARLIER),
            "keys": figures.known_keys(session),
        }

    found = await shared.read(look)
    shown = found["shown"]
    earlier, later = shown.first - timedelta(days=1), shown.last + timedelta(days=1)
    query = {"connection": called, "month": f"{shown.first:%Y-%m}"}
    return render(
        request,
        "agreement_month.html",
        SentForm(given, sent.faults, sent.status),
        wanted=called,
        marks=MARKS,
        chips=CHIPS,
        address=lambda day: _to_day(day, called),
        before=_to_month(earlier, called),
        after=_to_month(later, called) if later <= found["today"] else None,
        query=urlencode(query),
        csv=f"/agreement.csv?{rendering.to_csv_query(request, query)}",
        **found,
    )


def _to_month(first: date, called: str) -> str:
    return f"/agreement?{urlencode({'connection': called, 'month': f'{first:%Y-%m}'})}"


def _to_day(day: date, called: str) -> str:
    return f"/agreement/days/{day.isoformat()}?{urlencode({'connection': called})}"


async def download_days(request: Request, _visitor: Visitor) -> Response:
    connection, called = await _find_connection(request, request.query_params)
    style, language = rendering.find_csv_style(request), chosen_language(request)
    wanted = _find_month(request.query_params)

    def look(session: Session) -> list[list[str]]:
        month = _read_month(session, connection, wanted)
        records = figures.records_of(session, [each.row for each in month.days if each.row])
        return [
            agreement_calendar.to_cells(each, called, records.get((connection, each.day), []), style, language)
            for each in month.days
            if each.result is not CalendarResult.COMING
        ]

    rows = await services.of(request).read(look)
    text = rendering.BYTE_ORDER_MARK + style.to_text([agreement_calendar.COLUMNS, *rows])
    month = f"-{rows[0][0][: len('2026-01')]}" if rows else ""
    headers = {"Content-Disposition": f'attachment; filename="agreement{month}.csv"'}
    return Response(text, media_type="text/csv; charset=utf-8; header=present", headers=headers)


async def download_certificates(request: Request, _visitor: Visitor) -> Response:
    """The certificates of a month, or of `?day=`, as a signed file."""
    given = inputs.only_filled(request.query_params)
    (connection, _), day = await _find_connection(request, given), inputs.find_day(given, "day")
    month = None if day else _find_month(given)

    def find(session: Session) -> list[agreements.Certificate]:
        first = day or month or today_of(session).replace(day=1)
        through = day or agreement_calendar.last_of(first)
        return agreements.find_certificates(session, connection=connection or None, start=first, through=through)

    return await send_certificates(request, find)


# --- a day -------------------------------------------------------------------------------------------------------


async def show_day(request: Request, _visitor: Visitor) -> Response:
    """One day: the sums of each branch, and every difference with its cause and what can be done about it."""
    shared, day = services.of(request), inputs.find_day(request.path_params, "day")
    connection, called = await _find_connection(request, request.query_params)
    if not connection or day is None:
        raise Refusal(404, "nothing is connected yet")
    found = await shared.read(lambda session: _read_day(session, connection, day))
    return render(
        request,
        "agreement_day.html",
        marks=MARKS,
        chips=CHIPS,
        wanted=called,
        parked=State.PARKED,
        back=_to_month(day.replace(day=1), called),
        before=_to_day(day - timedelta(days=1), called),
        after=_to_day(day + timedelta(days=1), called) if day < found["today"] else None,
        query=urlencode({"connection": called, "day": day.isoformat()}),
        link=lambda document: rendering.find_address(shared.settings, document["entity"], document["id"]),
        **found,
    )


def _read_day(session: Session, connection: str, day: date) -> dict[str, Any]:
    shown = _read_month(session, connection, day).days[day.day - 1]
    differences = list(_differences_of(session, shown))
    event = activity.find_event(session, shown.row.event_id) if shown.row and shown.row.event_id else None
    amounts = shown.certificate.content["amounts"] if shown.certificate else []
    sums = (
        {**each, "day": day.isoformat(), "till": each["till_cents"], "books": each["books_cents"]} for each in amounts
    )
    return {
        "shown": shown,
        "today": today_of(session),
        "places": agreement_calendar.to_days(sums),
        "differences": [each for each in differences if not each["row"].by_policy],
        "explained": [each for each in differences if each["row"].by_policy],
        "history": agreements.find_certificates(session, connection=connection, start=day, through=day),
        "branches": dict(sales.branches(session, connection)),
        "begins": agreements.first_day(session, connection),
        "report": event.id if event and event.result else None,
    }


def _differences_of(session: Session, shown: CalendarDay) -> Iterator[dict[str, Any]]:
    """Of each record that differs its row, its sale here, and what its certificate says of documents and amounts."""
    if shown.row is None:
        return
    records = figures.records_of(session, [shown.row])[shown.row.connection, shown.day]
    certified = shown.certificate.content["records"] if shown.certificate else []
    named = sales.find_named(session, shown.row.connection, [_to_number(each.record) for each in records])
    for row in records:
        mine: Mapping[str, Any] = next(
            (each for each in certified if (each["record"], each["cause"]) == (row.record, row.cause)), {}
        )
        sale = named.get(_to_number(row.record))
        said = {"documents": mine.get("documents", []), "parts": mine.get("differences", [])}
        yield {"row": row, "sale": sale, **said}


def _to_number(record: str) -> str:
    """The printed number, or id, at the end of what a report calls a record."""
    return record.rpartition(" ")[2]


# --- sign-off and comparisons ------------------------------------------------------------------------------------


async def sign_off(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    """A person signs a day off, or every day of a month without an open difference. Audited.

    Whoever logged in by name signs by that name; with ADMIN_TOKEN one writes it.
    """
    shared = services.of(request)
    name = visitor.user.name if visitor.user else (inputs.find_text(form, "signed_by") or "").strip()
    connection, called = await _find_connection(request, form)
    if len(name) < _SHORTEST_NAME:
        raise Refusal(400, "who signs it off? write your name")
    day = inputs.find_day(form, "day") if form.get("day") else None
    wanted = day or _find_month(form)

    def change(session: Session) -> date:
        month = _read_month(session, connection, wanted)
        days = [each for each in month.days if each.day == day] if day else month.unsigned
        signed = [each.certificate for each in days if each.certificate and not each.is_signed]
        if not signed:
            raise Refusal(409, "there is nothing to sign: no such day has a result that is not signed yet")
        if form.get("certificate") not in {None, *(str(each.number) for each in signed)}:
            raise Refusal(409, "the result of this day changed meanwhile; look at it again")
        agreements.sign_off(session, signed, signed_by=name)
        named = f"{signed[0].day}..{signed[-1].day}" if len(signed) > 1 else str(signed[0].day)
        reason = message("signed by {name}", name=name)
        audit.note(session, actor=visitor.actor, action="sign-off", target=f"{called} {named}", reason=reason)
        return month.first

    first = await shared.write(change)
    return RedirectResponse(_to_day(day, called) if day else _to_month(first, called), 303)


async def withdraw_sign_off(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    connection, called = await _find_connection(request, form)
    day = inputs.find_day(form, "day")
    if day is None:
        raise Refusal(400, _NOT_SIGNED)

    def change(session: Session) -> None:
        shown = _read_month(session, connection, day).days[day.day - 1]
        if shown.certificate is None or shown.sign_off is None or not shown.is_signed:
            raise Refusal(409, _NOT_SIGNED)
        agreements.withdraw_sign_off(session, shown.certificate)
        reason, target = message("signed by {name}", name=shown.sign_off.signed_by), f"{called} {day}"
        audit.note(session, actor=visitor.actor, action="withdraw sign-off", target=target, reason=reason)

    await services.of(request).write(change)
    return RedirectResponse(_to_day(day, called), 303)


async def ask_agreement(request: Request, visitor: Visitor, form: dict[str, str]) -> Response:
    shared = services.of(request)
    given = inputs.only_filled(form)
    try:
        event_id = await shared.ask(lambda session: ask_comparison(session, given, actor=visitor.actor))
    except Refusal as refusal:
        if refusal.status != HTTPStatus.BAD_REQUEST:
            raise
        return await show_month(request, visitor, SentForm(given, {"days": refusal.reason}, refusal.status))
    return RedirectResponse(f"/agreement/{event_id}", 303)


async def show_report(request: Request, visitor: Visitor) -> Response:
    event_id = inputs.to_id(request)

    def look(session: Session) -> tuple[Event, dict[int, str | None], Any, dict[str, SaleRow]]:
        found = activity.find_event(session, event_id)
        if found is None or found.entity != requests.AGREEMENT:
            raise Refusal(404, _NO_REPORT)
        refuse_others(visitor, found.connection, _NO_REPORT)
        connection, result = found.connection or "", api.events.to_result(found)
        rows = result["rows"] if isinstance(result, dict) else ()
        named = sales.find_named(session, connection, [_to_number(each["record"]) for each in rows])
        of_records = {each["record"]: named[number] for each in rows if (number := _to_number(each["record"])) in named}
        return found, dict(sales.branches(session, connection)), result, of_records

    event, branches, report, of_records = await services.of(request).read(look)
    shown: dict[str, Any] = {"report": None}
    if isinstance(report, dict):
        differs = EXPLAINED if report.get("status") == EXPLAINED else DIFFERS
        shown = {
            "report": report,
            "verdict": AGREES if report["agrees"] else differs,
            "totals": agreement_calendar.to_totals(report),
            "days": agreement_calendar.to_days(report["cells"]),
        }
    return render(
        request,
        "agreement.html",
        event=event,
        waiting=event.state not in SETTLED,
        branches=branches,
        sale_of=of_records,
        **shown,
    )
