"""The remedy for a difference: what a person should do, with the records and commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mapping.agreement_records import BooksRecord, Cause, SaleState, TillRecord

_RESEND = "./run resend {order}"
_REMEDIES: Mapping[Cause, str] = {
    Cause.LEFT_OUT: f"nothing, if that is meant; else change the settings, then {_RESEND}",
    Cause.DELETED: f"{_RESEND} books it again; if it was deleted on purpose, cancel the sale at the till",
    Cause.VOIDED: f"{_RESEND} gives it its amounts back; if it was voided on purpose, cancel the sale at the till",
    Cause.TWICE: "void all but one in QuickBooks; keep the one with the gateway's marker in its private note",
    Cause.OTHER_DAY: "set the date of {documents} back in QuickBooks, unless the books were closed on that day",
    Cause.PAID_OTHER_DAY: "correct the date of {payments} in QuickBooks; what holds sale and money has one day",
    Cause.OTHER_BRANCH: "choose the branch as location of {documents} in QuickBooks, or correct mapping.departments",
    Cause.TENDER: "correct the payment method of {payments} in QuickBooks",
    Cause.ACCOUNT: "choose the account that mapping.deposit_accounts names on {payments} in QuickBooks",
    Cause.PAYMENT: "correct {payments} in QuickBooks, or delete it there and have it posted again by {command}",
    Cause.ROUNDING: f"delete {{documents}} in QuickBooks and {_RESEND}, if a cent of VAT matters",
    Cause.RATE: "choose the right VAT code on the lines of {documents} in QuickBooks",
    Cause.AMOUNTS: f"put {{documents}} right in QuickBooks, or delete it there and {_RESEND}",
    Cause.UNKNOWN_SALE: "void {documents} in QuickBooks, unless it is a sale of another installation",
    Cause.UNEXPLAINED: "run the comparison again; if it stays, report it with the JSON of this report",
}
_BY_STATE: Mapping[str, str] = {
    "parked": "repair what the reason says, then retry event {event}",
    "skipped": f"if that is wrong, change the settings, then {_RESEND}",
    "done": f"{_RESEND} books it again",
}


def find_remedy(cause: Cause, sales: Sequence[TillRecord], documents: Sequence[BooksRecord]) -> str:
    """What to do about a difference of this cause; it may be "wait"."""
    sale_state = next((sale.sale_state for sale in sales if sale.sale_state), None)
    template = _for_missing(sale_state) if cause is Cause.NOT_BOOKED else _REMEDIES[cause]
    named = [record.name for record in documents if record.entity != "Payment"]
    payments = [record.name for record in documents if record.entity == "Payment"] or named
    order = next((sale.number for sale in sales if sale.number), None) or "ORDER"
    return template.format(
        order=order,
        documents=", ".join(dict.fromkeys(named)) or "the document",
        payments=", ".join(dict.fromkeys(payments)) or "the payment",
        event=sale_state.event if sale_state else "",
        command=_RESEND.format(order=order),
    )


def _for_missing(sale_state: SaleState | None) -> str:
    if sale_state is None:
        return _RESEND
    return _BY_STATE.get(sale_state.state, "wait: event {event} is on its way; ./run events shows it")
