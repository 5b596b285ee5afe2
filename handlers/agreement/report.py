"""The agreement between till and books: read both sides of some days, compare, explain every cent, keep the result."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from gateway.database.session import writing
from gateway.errors import GatewayError, Transient
from gateway.store import agreements, inbox, links, requests
from gateway.store.agreements import AgreementStatus, DayResult, Record
from gateway.store.events import BACKFILL, PENDING, Event, State
from gateway.store.links import LinkKind
from gateway.store.requests import BY_ITSELF
from handlers.agreement import books_side, till_side
from handlers.deps import Deps
from handlers.references import goods
from handlers.result import Result, done, waiting, with_content
from mapping import agreement, list_entries
from mapping.agreement_causes import Cause
from mapping.errors import MappingError
from mapping.figures import Measure, Names
from mapping.list_entries import KnownLists
from mapping.messages import Amount, Message, message, name_period
from mapping.records import TillPaymentMethod
from mapping.references import CLEARING

MAX_LOOKS = 4
TRIES = 3
PATIENCE, PAUSE_SECONDS = timedelta(seconds=45), 6.0
_AMSTERDAM = ZoneInfo("Europe/Amsterdam")
_LISTS = ("PaymentMethod", "Department", "branches", "payment_methods")


def handle(event: Event, deps: Deps) -> Result:
    """Compare and store the report on the row. The event is always done: a difference is a result, not a failure."""
    began = deps.now()
    hint = event.asked
    first, last = (date.fromisoformat(hint[end]) if hint.get(end) else None for end in ("from", "through"))
    start, through = requests.find_period(first, last, began.astimezone(_AMSTERDAM).date())
    by_itself = event.source == BY_ITSELF
    try:
        report = examine(start, through, deps, fresh=not by_itself)
    except GatewayError as error:
        if by_itself and (event.attempts >= TRIES or not isinstance(error, Transient)):
            deps.write(agreements.fail, till_side.days(start, through), event_id=event.id, at=began)
        raise
    is_in_flight = any(row["state"] in (State.RECEIVED, State.WORKING) for row in report["rows"])
    if is_in_flight and began - event.received_at < PATIENCE:
        reason = "sales are on their way into the books; compared again in a moment"
        return waiting(reason, PAUSE_SECONDS)
    found = to_results(report, open_from=_today(deps))
    closed = {day for day in till_side.days(start, through) if day < _today(deps)}
    key = deps.signing() if closed and deps.signing else None
    with writing(deps.engine) as session:
        stored = agreements.save(session, deps.connection, found, event_id=event.id, at=began)
        days = [agreement.describe_day(report, day) for day in stored if day in closed]
        if key:
            agreements.issue(session, deps.connection, days, at=began, key=key, installation=deps.installation)
    result = done(_to_words(report))
    # If everything agreed, the rows of the days are enough.
    return result if by_itself and report["agrees"] else with_content(result, report)


def _to_words(report: Mapping[str, Any]) -> Message:
    turnover = {side: sums["net"] + sums["vat"] for side, sums in report["totals"].items()}
    said = message("till {till}, books {books}", till=Amount(turnover["till"]), books=Amount(turnover["books"]))
    verdicts = {
        agreement.AGREES: "{period} agrees: {said}",
        agreement.EXPLAINED: "{period} differs as the settings want it, by {n} records: {said}",
    }
    verdict = verdicts.get(report["status"], "{period} differs, explained by {n} records: {said}")
    period = name_period(report["from"], report["through"])
    return message(verdict, period=period, n=len(report["rows"]), said=said)


def examine(start: date, through: date, deps: Deps, *, fresh: bool = True) -> dict[str, Any]:
    """The report of `mapping.agreement.to_report`. The till is read first; later sales are looked up there.

    `fresh` also reads the small lists again; that costs reads, so a scheduled comparison uses the cached lists.
    """
    before, began = len(deps.log), deps.now()
    for name in _LISTS if fresh else ():
        deps.lists.forget(name)
    names = _names(through, deps)
    for _ in range(MAX_LOOKS):  # again if sales arrive between the two reads
        till = till_side.read(deps, start, through)
        journal = till_side.read_journal(till, names, deps)
        if not journal:
            break
    books = books_side.read(deps, start, through)
    if not books.method_ids() <= names.methods.keys():
        # A payment method was added to the books during the comparison.
        deps.lists.forget("PaymentMethod")
        names = _names(through, deps)
    till_side.read_more(till, books_side.named_sales(books), deps)
    linked = deps.read(links.find_all, LinkKind.DOCUMENT, till.sales)
    groups = {sale.id: books_side.group_of(sale.id, linked.get(sale.id)) for sale in till.sales.values()}
    books_side.read_linked(books, linked, groups, deps)
    books_side.claim_doubles(books, till, groups, deps)
    books_side.note_documents(books, names, deps, read_at=began)
    comparison = agreement.compare(
        till_side.to_records(till, groups, names, deps),
        books_side.to_records(books, till, groups, names, deps),
        start=start,
        through=through,
    )
    made = [entry.system for entry in deps.log[before:] if entry.system]
    more = {
        "connection": deps.connection,
        "not_sales": till_side.describe_others(till, deps),
        "others_in_books": books_side.describe(books, till, groups),
        "payments_in_books_only": books_side.describe_payments(books),
        "reads": {system: made.count(system) for system in ("quickbooks", "mpluskassa")},
    }
    return agreement.to_report(comparison, journal=journal, more=more)


def _names(through: date, deps: Deps) -> Names:
    known = deps.lists.read("PaymentMethod")
    entries = {entry.id: entry.name for entry in known.of("PaymentMethod")}
    tenders = {method.code: _shared_name(method, known, deps) for method in known.till_methods}
    rates = {code.id: code.percentage for code in deps.lists.tax_codes(through)}
    clearing = goods.own_ids(CLEARING, deps)
    accounts = _accounts(tenders, deps)
    named = {entry.id: entry.name for entry in deps.lists.entries("Account")} if accounts else {}
    return Names(tenders, entries, rates, clearing, accounts, named)


def _accounts(tenders: Mapping[str, str], deps: Deps) -> dict[str, str]:
    """The account that the settings name for a tender; only if all tenders with its shared name have one."""
    found: dict[str, str] = {}
    rule = deps.settings.mapping.deposit_accounts
    known = deps.lists.entries("Account") if list_entries.names_accounts(rule) else ()
    for code in tenders:
        with suppress(MappingError):
            found |= list_entries.deposit_accounts([code], known, rule)
    without = {name for code, name in tenders.items() if code not in found}
    return {code: account for code, account in found.items() if tenders[code] not in without}


def _shared_name(method: TillPaymentMethod, known: KnownLists, deps: Deps) -> str:
    """The books' name of a payment method of the till; its own name if the books have none (nothing is created)."""
    chosen: object = None
    with suppress(MappingError):
        chosen = list_entries.payment_method(method.code, known, deps.settings.mapping)
    named = (entry.name for entry in known.of("PaymentMethod") if entry.id == chosen)
    return next(named, method.description or method.code)


_TURNOVER = (Measure.NET, Measure.VAT)
_ON_THE_WAY = frozenset({*PENDING, State.WORKING})


def to_results(report: Mapping[str, Any], *, open_from: date) -> list[DayResult]:
    """The result of each day. A day from `open_from` on is not over: an event in progress is no difference yet."""
    results: list[DayResult] = []
    for day in till_side.days(date.fromisoformat(report["from"]), date.fromisoformat(report["through"])):
        cells = [cell for cell in report["cells"] if cell["day"] == day.isoformat() and cell["measure"] in _TURNOVER]
        is_open = day >= open_from
        records = tuple(_records(report, day, is_open=is_open))
        wrong = [record for record in records if not record.by_policy]
        if wrong:
            status = AgreementStatus.DIFFERS
        elif is_open:
            status = AgreementStatus.NOT_CLOSED
        else:
            status = AgreementStatus.EXPLAINED if records else AgreementStatus.AGREES
        till, books = sum(cell["till"] for cell in cells), sum(cell["books"] for cell in cells)
        difference = sum(record.cents for record in wrong)
        results.append(DayResult(day, status, till, books, difference, records))
    return results


def _records(report: Mapping[str, Any], day: date, *, is_open: bool) -> Iterator[Record]:
    for row in report["rows"]:
        here = [each for each in row["differences"] if each["day"] == day.isoformat()]
        # On the way into the books.
        is_coming = row["cause"] == Cause.NOT_BOOKED and (row["event"] is None or row["state"] in _ON_THE_WAY)
        if here and not (is_open and is_coming):
            reason = agreement.without_quotes(row)
            # In cents: of the turnover, or the largest shift within it if the turnover is equal.
            turnover = sum(each["cents"] for each in here if each["measure"] in _TURNOVER)
            size = abs(turnover) or max(abs(each["cents"]) for each in here)
            yield Record(row["cause"], row["by_policy"], row["record"], reason, row["fix"], row["event"], size)
    for each in report["journal"]["differences"]:
        if each["day"] == day.isoformat():
            what = agreement.name_measure(each)
            reason = message("the till's own journal has more than its documents: {what}", what=what)
            fix = "run the comparison again; if it stays, report it with the JSON of this report"
            yield Record(
                Cause.UNEXPLAINED, False, message("branch {n}", n=each["branch"]), reason, fix, None, abs(each["cents"])
            )


SECONDS = 60.0


def plan(deps: Deps) -> list[int]:
    """Put the comparisons due now into the inbox, each once across processes; returns the events. Calls no system."""
    if not (deps.settings.agreement.nightly and deps.settings.orders.enabled):
        return []
    now = deps.now()
    repaired = deps.read(agreements.find_repaired, now=now)
    # Yesterday is compared after the day's documents are made.
    closes, hour = time.fromisoformat(deps.settings.orders.day_closes), time(deps.settings.agreement.hour)
    begin = datetime.combine(_today(deps), max(hour, closes), tzinfo=_AMSTERDAM)
    due_at = begin + agreements.SETTLE if closes >= hour else begin
    with writing(deps.engine) as session:
        agreements.open_days(session, deps.connection, _today(deps), due_at=due_at)
        agreements.mark(session, deps.connection, repaired, now=now, at_once=True)
        days = agreements.take_due(session, deps.connection, now=now)
        if not days:
            return []
        asked = requests.agree(connection=deps.connection, start=days[0], through=days[-1], actor=BY_ITSELF)
        # Nobody waits for it: sales come first.
        return [row.id for row in inbox.receive(session, [asked._replace(priority=BACKFILL)]) if row.pending]


def _today(deps: Deps) -> date:
    """The first day that is not over yet."""
    return deps.now().astimezone(_AMSTERDAM).date()
