"""Write the documents of a branch's day: resolve references, search before each write, check to the cent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from gateway.errors import DuplicateNumber, Incident
from gateway.store.events import Event
from handlers.deps import Deps
from handlers.references import goods, parties
from handlers.references.parties import Buyer
from handlers.sales import documents, drafts, repairs, settlement
from mapping.day_postings import DayPlan, to_postings
from mapping.day_summary import Day, DayTotals
from mapping.messages import Amount, join, message
from mapping.orders import Posting
from mapping.records import BookedDocument, Sale, SaleKind, VatAmount
from mapping.references import References
from mapping.sale_identity import is_marked, name_document, sign


def book(
    day: Day, sequence: int, totals: DayTotals, event: Event, deps: Deps, *, again: bool = False
) -> list[BookedDocument]:
    """Write the documents of these totals, each once even if this is repeated; the first is the day's own.

    `again`: some were removed from the books; these are booked again, the others get their payments back.

    Raises `MappingError` before anything is written, `Incident` if the books' total is not ours.
    """
    day_sale = _to_day_sale(day)
    plan = DayPlan(day, sequence, totals, _references(day_sale, totals, deps), deps.settings.orders, _groups(deps))
    signed = [replace(each, document=sign(each.document, deps.installation)) for each in to_postings(plan)]
    postings = [drafts.open_up(posting, deps) for posting in signed]
    return [_post(posting, day_sale, plan, event, deps, again=again) for posting in postings]


def _to_day_sale(day: Day) -> Sale:
    """A sample sale of this day to look up references; negative, so that an account for refunds is found."""
    return Sale(
        kind=SaleKind.RECEIPT,
        id=f"day:{day.key}",
        number=day.key,
        type="RECEIPT-TYPE-RECEIPT",
        state="RECEIPT-STATE-PAID",
        branch=day.branch,
        business_date=day.date,
        total_incl_cents=-1,
        total_excl_cents=-1,
        vat_method="VAT-METHOD-INCLUSIVE",
        vat=(),
        lines=(),
        payments=(),
    )


def _references(day_sale: Sale, totals: DayTotals, deps: Deps) -> References:
    rates = dict.fromkeys([*totals.vat, *((each.code, each.rate) for each in totals.nets)])
    amounts = [VatAmount(code, rate, 0, 0) for code, rate in rates]
    buyer = Buyer(parties.default_debtor(deps))
    return replace(
        drafts.find_listed(day_sale, totals.tenders, buyer, deps, rates=amounts),
        fallback_item_id=goods.summary_item(deps),
        special_items=goods.special_items(deps),
    )


def _groups(deps: Deps) -> dict[int, str]:
    return {group.number: group.name for group in deps.lists.turnover_groups() if group.name}


def _post(posting: Posting, day_sale: Sale, plan: DayPlan, event: Event, deps: Deps, *, again: bool) -> BookedDocument:
    # A search costs one metered read per document and day; a duplicate would double a day's turnover.
    named = replace(day_sale, number=posting.document.document_number)
    found = documents.find(named, posting, deps)
    if found and again:
        # Edits are reported elsewhere.
        repairs.restore(posting, found, deps)
        return found
    if found is None and documents.may_be_on_its_way(event):
        documents.look_later(named, posting, event, deps)
    booked = found or (_revive(posting, deps) if again else None) or _create(named, posting, deps, again=again)
    tax = sum((each.tax for each in posting.document.taxes), Decimal(0))
    if (booked.total, booked.tax) != (posting.document.total, tax):
        raise Incident(
            message(
                "QuickBooks has {total} with {tax} tax, the till took {till_total} with {till_tax} tax",
                total=Amount.of(booked.total),
                tax=Amount.of(booked.tax),
                till_total=Amount.of(posting.document.total),
                till_tax=Amount.of(tax),
            ),
            code="incident",
            record=message(
                "{document}, {name}",
                document=name_document(booked.kind, booked.document_number, booked.id),
                name=plan.name,
            ),
            fix="correct or delete the document in QuickBooks, then retry; report the difference",
        )
    settlement.settle(posting, booked, deps, maybe_written=True)
    return booked


def _revive(posting: Posting, deps: Deps) -> BookedDocument | None:
    """Write the amounts of a voided document again: it still occupies its number."""
    wanted = posting.document
    rows = documents.rows(wanted.kind, [wanted.document_number], [wanted.business_date], deps)
    voided = next((row for row in rows if row.voided and is_marked(row.private_note, wanted.marker)), None)
    return documents.update(posting, voided.id, voided.sync_token, deps) if voided else None


def _create(named: Sale, posting: Posting, deps: Deps, *, again: bool) -> BookedDocument:
    try:
        return documents.create(posting, deps, generation=1 if again else 0)[0]
    except DuplicateNumber:
        found = documents.find(named, posting, deps)
        if found is None:
            raise
        return found


def name(documents: Sequence[BookedDocument]) -> str:
    """The documents as named in the activity log."""
    return join(
        [message("{kind} {id}", kind=message(each.kind), id=each.document_number or each.id) for each in documents]
    )
