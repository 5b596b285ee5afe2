"""Probes of the till that only read: scales, decimals, times, pages, totals of lines, countries, logins."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

from gateway.connectors.mpluskassa.wire import AMSTERDAM, Row, part, rows, to_moment
from gateway.connectors.mpluskassa.wire_sales import to_sale
from gateway.errors import AuthLost, GatewayError
from mapping.customers import to_iso3
from mapping.errors import MappingError
from mapping.records import SaleKind
from mapping.sale_lines import flatten, read_totals
from tests.contract.probe import Fit, Probe, Seen, Unclear, Way
from tests.contract.till import Till

AT_ONCE = 6
PAGE = 2


def ask_percentages(till: Till) -> Seen:
    written = sorted({row["vatPercentage"] for row in rows(till.read("getVatGroupList"), "vatGroup")})
    understood = sorted({f"{group.percentage.normalize():f} %" for group in till.client.vat_groups()})
    if not any(written):
        raise Unclear("no VAT code has a rate above zero")
    return Seen("hundredths" if max(written) >= 100 else "per cent", f"written {written}, understood as {understood}")


def _quantities(till: Till) -> Iterator[Row]:
    """The data of the lines of recent receipts that have a price and a quantity."""
    for receipt in till.receipts:
        for line in rows(receipt, "lineList", "line"):
            data = part(line, "data")
            if data.get("quantity") and data.get("price"):
                yield data


def ask_decimals(till: Till) -> Seen:
    lines = list(_quantities(till))
    if not lines:
        raise Unclear("no receipt has a line with a price: sell something, then ask again")
    silent = [data for data in lines if data.get("decimalPlaces") is None]
    if not silent:
        return Seen("always told", f"{len(lines)} lines, all with decimalPlaces")
    votes = Counter(places for data in silent if (places := _implied(data)) is not None)
    if not votes:
        raise Unclear(f"{len(silent)} of {len(lines)} lines leave decimalPlaces out, and no amount tells what it means")
    (places, count), *_ = votes.most_common()
    evidence = f"{len(silent)} of {len(lines)} lines leave it out; {count} amounts say {places}"
    return Seen("left out, means none" if places == 0 else "left out, means two", evidence)


def _implied(data: Row) -> int | None:
    """The places with which quantity times price is the line's total before its discount; None when none fits."""
    total = (data.get("totalInclAmount") or 0) + (data.get("discountAmount") or 0)
    whole = Decimal(data["quantity"] * data["price"])
    fitting = [n for n in (0, 2) if abs(whole.scaleb(-n) - total) < 1]
    return fitting[0] if len(fitting) == 1 else None


def ask_time_zone(till: Till) -> Seen:
    moments = [m for row in till.receipts if (m := part(row, "entryTimestamp")).get("year")]
    if not moments:
        raise Unclear("no receipt says when it was entered")
    right = sum(m.get("timezone") in _offsets(m) for m in moments)
    zeros = sum(m.get("timezone") in (0, None) for m in moments)
    way = "minutes" if right == len(moments) else "zero" if zeros == len(moments) else "something else"
    return Seen(way, f"{right} of {len(moments)} moments have Amsterdam's offset in minutes, {zeros} have 0")


def _offsets(moment: Row) -> set[int]:
    found = to_moment(moment)
    offset = found.astimezone(AMSTERDAM).utcoffset() if found else None
    return set() if offset is None else {round(offset.total_seconds() / 60)}


def ask_pages(till: Till) -> Seen:
    ids = sorted(int(row["syncMarker"]) for row in till.receipts)
    if len(ids) <= PAGE:
        raise Unclear(f"only {len(ids)} receipts: make {PAGE + 1}, then ask again")
    page = till.client.sales_since(SaleKind.RECEIPT, ids[0], PAGE)
    got = [sale.sync_marker or 0 for sale in page]
    evidence = f"from marker {ids[0]} on, {PAGE} asked: got {got} of {ids[: PAGE + 2]} ..."
    if sorted(got) != ids[: len(got)]:
        return Seen("newest", evidence)
    return Seen("oldest, in order" if got == sorted(got) else "oldest, mixed", evidence)


def ask_lines(till: Till) -> Seen:
    outcomes = [(row, _misfit(row)) for row in till.receipts if rows(row, "lineList", "line")]
    misfits = [reason for _, reason in outcomes if reason]
    if not outcomes:
        raise Unclear("no receipt has lines: sell something, then ask again")
    if misfits:
        return Seen("some do not", f"{len(misfits)} of {len(outcomes)} receipts do not add up, e.g. {misfits[0]}")
    including = [told for row, _ in outcomes if (told := _includes(row)) is not None]
    nested = (
        f"; {sum(including)} of {len(including)} with sublines include them" if including else "; none has sublines"
    )
    return Seen("all fit", f"{len(outcomes)} receipts{nested}")


def _misfit(row: Row) -> str | None:
    try:
        sale = to_sale(SaleKind.RECEIPT, row, default_places=0)
        flatten(sale, read_totals(sale), tolerance_cents=5)
    except (MappingError, GatewayError) as error:
        return str(error)
    return None


def _includes(row: Row) -> bool | None:
    """Whether the lines alone, without their sublines, are the receipt's total; None when it has no paid sublines."""
    lines = rows(row, "lineList", "line")
    below = [
        part(s, "data").get("totalInclAmount") or 0 for line in lines for s in rows(line, "preparationList", "line")
    ]
    if not any(below):
        return None
    alone: int = sum(part(line, "data").get("totalInclAmount") or 0 for line in lines)
    return alone == int(row["totalInclAmount"])


def ask_final(till: Till) -> Seen:
    empty: dict[str, Any] = {name: {"text": []} for name in ("articlePluNumbers", "articleBarcodes")}
    marker = till.client.sync_markers().invoice
    found = till.recent("getInvoices", ("invoiceList", "invoice"), marker, includeLineList=False, **empty)
    told = [row["finalized"] for row in found if row.get("finalized") is not None]
    evidence = f"{len(found)} invoices, {len(told)} say whether they are final, {sum(told)} are"
    return Seen("told" if told else "not told", evidence)


def ask_countries(till: Till) -> Seen:
    marker = till.client.sync_markers().relation
    found = till.recent("getRelations", ("relationList", "relation"), marker)
    written = {row[name] for row in found for name in ("country", "deliveryCountry") if row.get(name)}
    if not written:
        raise Unclear("no relation has a country")
    unknown = sorted(name for name in written if (to_iso3(name) or "") == name and len(name) != 3)
    evidence = f"{len(written)} spellings; not known: {', '.join(unknown) or 'none'}"
    return Seen("others too" if unknown else "all known", evidence)


def ask_missing(till: Till) -> Seen:
    number = 2_147_000_001
    answer = till.read("getRelation", relationNumber=number)
    understood = till.client.relation(number)
    evidence = f"result {answer.get('result')}, understood as {understood}"
    return Seen("left out" if answer.get("relation") is None else "empty", evidence)


def ask_login(till: Till) -> Seen:
    try:
        till.stranger().api_version()
    except AuthLost as error:
        return Seen("recognised", f"{error.reason} ({error.code})")
    except GatewayError as error:
        return Seen("not recognised", f"{type(error).__name__}: {error.reason} ({error.code})")
    return Seen("let in", "a wrong secret was answered")


def ask_at_once(till: Till) -> Seen:
    workers = till.read("getApiVersion").get("serviceMaxWorkerThreads")
    with ThreadPoolExecutor(AT_ONCE) as pool:
        refused = [error for error in pool.map(lambda _: _call(till), range(3 * AT_ONCE)) if error]
    evidence = f"{3 * AT_ONCE} calls, {AT_ONCE} at once: {len(refused)} refused; it says it has {workers} workers"
    return Seen("several" if not refused else "few", evidence + (f"; e.g. {refused[0]}" if refused else ""))


def _call(till: Till) -> str | None:
    try:
        till.read("getVatGroupList")
    except GatewayError as error:
        return error.reason
    return None


PROBES = (
    Probe(
        "percentages", "mpluskassa", "Is 21 % written as 21 or as 2100?", "mplus.md 1 (percentages), 9", "reads",
        (Way("per cent", "understood"), Way("hundredths", "understood")),
        ask_percentages,
    ),
    Probe(
        "decimal-places", "mpluskassa", "What does a quantity mean whose decimalPlaces are left out?",
        "mplus.md 1 (quantity), 9", "reads recent receipts",
        (
            Way("always told", "nothing depends on it"),
            Way("left out, means none", "understood"),
            Way("left out, means two", "pieces would be a hundred times too many, at a hundredth of their price",
                "mapping.omitted_decimal_places = 2", Fit.SET),
        ),
        ask_decimals,
    ),
    Probe(
        "time-zone", "mpluskassa", "Is `timezone` Amsterdam's offset in minutes?", "mplus.md 1 (dates), 8.12",
        "reads recent receipts",
        (
            Way("minutes", "also the hour that comes twice in October is told apart"),
            Way("zero", "the wall clock is believed; one hour in October is doubtful"),
            Way("something else", "the wall clock is believed; look whether times are right on the dashboard"),
        ),
        ask_time_zone,
    ),
    Probe(
        "pages", "mpluskassa", "Does a page hold the oldest changes since a marker?", "mplus.md 5c (marker sync)",
        "reads recent receipts",
        (
            Way("oldest, in order", "nothing is passed over"),
            Way("oldest, mixed", "nothing is passed over: the highest marker of a page counts"),
            Way("newest", "sales would be passed over whenever more than a page changed", "", Fit.STOP),
        ),
        ask_pages,
    ),
    Probe(
        "line-totals", "mpluskassa", "Do the lines of receipts add up to their VAT totals, sublines counted somehow?",
        "mplus.md 5c (VAT), 9", "reads recent receipts",
        (
            Way("all fit", "sales are booked line by line"),
            Way("some do not", "such sales are parked: compare one with its print before going live", "", Fit.STOP),
        ),
        ask_lines,
    ),
    Probe(
        "final-invoices", "mpluskassa", "Do invoices say whether they are final?", "mplus.md 5c, 8.16",
        "reads recent invoices",
        (
            Way("told", "waiting for the final version is possible", "orders.only_final_invoices = false"),
            Way("not told", "never switch on waiting for final invoices", "orders.only_final_invoices = false"),
        ),
        ask_final,
    ),
    Probe(
        "countries", "mpluskassa", "How are countries written?", "mplus.md 4 (address), 9", "reads recent relations",
        (
            Way("all known", "addresses get their ISO code"),
            Way("others too", "name the spellings that are not known", 'customers.countries = { "Holland NL" = "NLD" }',
                Fit.SET),
        ),
        ask_countries,
    ),
    Probe(
        "missing-record", "mpluskassa", "Is the payload of a not-found answer left out or empty?",
        "mplus.md 1 (errors)",
        "asks for a relation that does not exist",
        (Way("left out", "understood"), Way("empty", "understood")),
        ask_missing,
    ),
    Probe(
        "login", "mpluskassa", "Is a refused login recognised?", "mplus.md 1 (faults), 9",
        "tries once with a wrong secret",
        (
            Way("recognised", "a changed secret pauses the connection and raises one alert"),
            Way("not recognised", "a changed secret would park each event by itself: report the words seen, they "
                "belong into `gateway.connectors.mpluskassa.faults`", "", Fit.SET),
            Way("let in", "the secret is not checked: keep the address private", "", Fit.STOP),
        ),
        ask_login,
    ),
    Probe(
        "calls-at-once", "mpluskassa", "How many calls at once does the installation bear?", "mplus.md 1, 8.1, 9",
        f"reads {AT_ONCE} times at once",
        (
            Way("several", "one at a time is the careful choice; more is faster", "MPLUS_CALLS_AT_ONCE=1"),
            Way("few", "leave it at one call at a time", "MPLUS_CALLS_AT_ONCE=1"),
        ),
        ask_at_once,
    ),
)  # fmt: skip
