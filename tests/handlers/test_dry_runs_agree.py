"""For every state of a sale, a dry run names the action that the real run then takes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import delete, select, update

from gateway.database.session import reading, writing
from gateway.store.tables import LinkRow
from sandbox.mpluskassa.documents import Tender
from tests.handlers.shop import REALM, SALES, Shop, planned, sold
from tests.handlers.test_dry_runs import void

SPLIT = [Tender("CONTANT", 250), Tender("PIN", 1000)]
CHANGE = [Tender("PIN", 2000), Tender("CONTANT", -750)]
PARK_CHANGES = '[orders]\nchanged = "park"\ncancelled = "park"\n'
Act = Callable[[Shop, str], object]


@dataclass(frozen=True)
class Seen:
    """What of a sale is in the books and in the database."""

    documents: Mapping[tuple[str, str], Mapping[str, Any]]
    payments: Mapping[str, Mapping[str, Any]]
    target: tuple[str, str] | None
    fingerprint: str | None


def look(shop: Shop) -> Seen:
    rows = {(kind, row["Id"]): row for kind in SALES for row in shop.rows(kind)}
    with reading(shop.engine) as session:
        found = select(LinkRow.target_entity, LinkRow.target_id, LinkRow.fingerprint)  # type: ignore[call-overload]
        link = session.execute(found.where(LinkRow.kind == "document")).one_or_none()
    payments = {row["Id"]: row for row in shop.rows("Payment")}
    return Seen(rows, payments, (link[0], link[1]) if link else None, link[2] if link else None)


def is_live(row: Mapping[str, Any] | None) -> bool:
    return row is not None and "Voided" not in (row.get("PrivateNote") or "")


def taken(before: Seen, after: Seen, state: str) -> str:
    """The action that was taken, from what it left."""
    made = after.documents.keys() - before.documents.keys()
    target = before.documents.get(before.target) if before.target else None
    present = after.documents.get(after.target) if after.target else None
    former = before.documents.get(after.target) if after.target else None
    actions = {
        "refused": state == "skipped",
        state: state != "done",
        "book": after.target in made and before.target is None,
        "update": (after.target in made and is_live(target))
        or (is_live(target) and is_live(present) and _differ(target, present)),
        "book again": after.target in made,
        "void": is_live(former) and not is_live(present),
        "link": before.target != after.target,
        "restore": is_live(present) and not is_live(target),
        "repair": bool(made) or (before.fingerprint != after.fingerprint and before.fingerprint is None),
        "settle": before.payments != after.payments and before.fingerprint != after.fingerprint,
        "nothing": before.payments == after.payments,
    }
    return next((action for action, is_taken in actions.items() if is_taken), "repair")


def _differ(one: Mapping[str, Any] | None, other: Mapping[str, Any] | None) -> bool:
    return bool(one and other and (one["Id"], one["Line"]) != (other["Id"], other["Line"]))


def sell(shop: Shop, payments: list[Tender] | None = None) -> str:
    return str(shop.till.sell(lines=[sold(1001)], payments=payments)["receiptId"])


def booked(payments: list[Tender] | None = None, *acts: Act, settings: str = "") -> Act:
    """A booked sale to which these things happen."""

    def prepare(shop: Shop, _: str) -> str:
        receipt = sell(shop, payments)
        shop.settle()
        for act in acts:
            act(shop, receipt)
        if settings:
            shop.switch(settings)
        return receipt

    return prepare


def document(shop: Shop) -> tuple[str, dict[str, Any]]:
    (kind, rows), *_ = shop.documents().items()
    return kind, rows[0]


def change_goods(shop: Shop, receipt: str) -> None:
    shop.till.edit_receipt(receipt, lines=[sold(1002)])


def cancel(shop: Shop, receipt: str) -> None:
    shop.till.withdraw_receipt(receipt)


def invoiced(settings: str = "") -> Act:
    """A booked invoice that is then paid."""

    def prepare(shop: Shop, _: str) -> str:
        relation = shop.till.add_relation(name="Bakkerij Bos", email="bos@example.nl")["relationNumber"]
        invoice = str(shop.till.invoice(lines=[sold(1001)], relation=relation)["invoiceId"])
        shop.settle()
        shop.till.pay_invoice(invoice, [Tender("PIN", 500)])
        shop.switch(settings)
        return invoice

    return prepare


def split(shop: Shop, receipt: str) -> None:
    shop.till.edit_receipt(receipt, lines=[sold(1001)], payments=SPLIT)


def edit_in_books(shop: Shop, _: str) -> None:
    kind, row = document(shop)
    lines = [dict(line) for line in row["Line"] if line["DetailType"] == "SalesItemLineDetail"]
    amount = lines[0]["Amount"] + 1
    detail = {**lines[0]["SalesItemLineDetail"], "UnitPrice": amount, "Qty": 1, "TaxInclusiveAmt": None}
    lines[0] |= {"Amount": amount, "SalesItemLineDetail": detail}
    shop.books.put(REALM, kind, {"Id": row["Id"], "Line": lines, "TxnTaxDetail": None})


def void_in_books(shop: Shop, _: str) -> None:
    void(shop, *document(shop))


def delete_in_books(shop: Shop, _: str) -> None:
    for payment in shop.rows("Payment"):
        shop.books.delete(REALM, "Payment", payment["Id"])
    kind, row = document(shop)
    shop.books.delete(REALM, kind, row["Id"])


def copy_in_books(shop: Shop, _: str) -> None:
    kind, row = document(shop)
    delete_in_books(shop, "")
    fields = ("DocNumber", "TxnDate", "CustomerRef", "Line", "PrivateNote", "GlobalTaxCalculation", "TxnTaxDetail")
    shop.books.put(REALM, kind, {name: row[name] for name in fields if name in row})


def lose_payment(shop: Shop, _: str) -> None:
    shop.books.delete(REALM, "Payment", shop.rows("Payment")[0]["Id"])


def forget(shop: Shop, _: str) -> None:
    with writing(shop.engine) as session:
        session.execute(delete(LinkRow))


def store(**values: object) -> Act:
    """The link of the sale has these values."""

    def prepare(shop: Shop, _: str) -> None:
        with writing(shop.engine) as session:
            session.execute(update(LinkRow).where(LinkRow.kind == "document").values(**values))  # type: ignore[arg-type]

    return prepare


def settle(shop: Shop, _: str) -> None:
    shop.settle()


def uncancel(shop: Shop, receipt: str) -> None:
    shop.till.edit_receipt(receipt, lines=[sold(1001)], payments=[Tender("PIN", 1250)])


def remove_money(shop: Shop, _: str) -> None:
    main = look(shop).target
    ((kind, row_id),) = [key for key in look(shop).documents if key != main]
    shop.books.delete(REALM, kind, row_id)


def unpay(shop: Shop, receipt: str) -> None:
    shop.till.edit_receipt(receipt, lines=[sold(1002)], payments=[])
    row = next(row for row in shop.till.till["receipts"] if row["receiptId"] == receipt)
    row["state"] = "RECEIPT-STATE-OUTSTANDING"


STATES: dict[str, tuple[str, Act]] = {
    "unknown": ("book", lambda shop, _: sell(shop)),
    "unknown, switched off": ("refused", booked(None, forget, settings="[orders]\nreceipts = false\n")),
    "in the books, without a link": ("link", booked(None, forget)),
    "booked": ("nothing", booked()),
    "booked as an invoice": ("nothing", booked(SPLIT)),
    "booked, switched off since": ("refused", booked(None, change_goods, settings="[orders]\nreceipts = false\n")),
    "booked, not paid any more": ("parked", booked(None, unpay)),
    "goods changed": ("update", booked(None, change_goods)),
    "goods changed, and parked": ("parked", booked(None, change_goods, settings=PARK_CHANGES)),
    "payments changed": ("settle", invoiced()),
    "payments changed, and a change is parked": ("settle", invoiced(PARK_CHANGES)),
    "kind changed": ("update", booked(None, split)),
    "edited": ("nothing", booked(None, edit_in_books)),
    "edited and goods changed": ("parked", booked(None, edit_in_books, change_goods)),
    "edited and kind changed": ("parked", booked(None, edit_in_books, split)),
    "edited and cancelled": ("parked", booked(None, edit_in_books, cancel)),
    "edited and unfinished": ("parked", booked(None, edit_in_books, store(fingerprint=None))),
    "voided": ("restore", booked(None, void_in_books)),
    "voided and goods changed": ("restore", booked(None, void_in_books, change_goods)),
    "deleted": ("book again", booked(None, delete_in_books)),
    "deleted and goods changed": ("book again", booked(None, delete_in_books, change_goods)),
    "deleted, and a copy is there": ("link", booked(None, copy_in_books)),
    "cancelled": ("void", booked(None, cancel)),
    "cancelled, and parked": ("parked", booked(None, cancel, settings=PARK_CHANGES)),
    "cancelled, in the books without a link": ("void", booked(None, forget, cancel)),
    "cancelled and deleted": ("nothing", booked(None, cancel, delete_in_books)),
    "cancelled and voided": ("refused", booked(None, cancel, settle)),
    "cancelled, and sold again": ("restore", booked(None, cancel, settle, uncancel)),
    "cancelled, deleted, and sold again": ("book again", booked(None, cancel, settle, delete_in_books, uncancel)),
    "being replaced": ("book again", booked(None, store(status="replacing", fingerprint=None), delete_in_books)),
    "adopted": ("nothing", booked(None, store(adopted=True))),
    "adopted and goods changed": ("parked", booked(None, store(adopted=True), change_goods)),
    "adopted and cancelled": ("parked", booked(None, store(adopted=True), cancel)),
    "adopted and deleted": ("book again", booked(None, store(adopted=True), delete_in_books)),
    "unfinished": ("repair", booked(None, store(fingerprint=None))),
    "unfinished, and a change is parked": ("repair", booked(None, store(fingerprint=None), settings=PARK_CHANGES)),
    "unfinished and goods changed": ("update", booked(None, store(fingerprint=None), change_goods)),
    "unfinished and adopted": ("parked", booked(None, store(fingerprint=None, adopted=True))),
    "a payment is missing": ("repair", booked(SPLIT, lose_payment)),
    "an unfinished invoice, and a payment is missing": ("repair", booked(SPLIT, store(fingerprint=None), lose_payment)),
    "money beside it is missing": ("repair", booked(CHANGE, remove_money)),
    "money beside it is missing, and it was edited": ("parked", booked(CHANGE, remove_money, edit_in_books)),
}


@pytest.mark.parametrize("name", STATES)
def test_a_dry_run_names_the_action_of_the_real_run(shop: Shop, name: str) -> None:
    expected, prepare = STATES[name]
    receipt = str(prepare(shop, ""))
    before = look(shop)
    plan = planned(shop.resend(receipt, dry_run=True))
    assert look(shop) == before, "a dry run wrote"
    event = shop.resend(receipt)
    real = taken(before, look(shop), event.state)
    said = "refused" if "refused" in plan else plan["action"].partition(":")[0].replace("park", "parked")
    assert (said, real) == (expected, expected), (plan.get("steps"), event.reason)


def test_a_dry_run_names_the_kind_of_document_that_is_booked_again(shop: Shop) -> None:
    """An invoice stays one when it is paid at once; a new document is what the sale is now."""
    receipt = str(booked(SPLIT, uncancel, settle, delete_in_books)(shop, ""))
    plan = planned(shop.resend(receipt, dry_run=True))
    shop.resend(receipt)
    assert (plan["action"], plan["entity"]) == ("book again", document(shop)[0])
