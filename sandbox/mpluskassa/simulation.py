"""The simulated MplusKASSA: an installation, its till (which people sell at), its webhooks and its faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from threading import RLock
from typing import Any

import simplejson

from sandbox.mpluskassa import (
    catalogue,
    documents,
    drawer,
    invoices,
    markers,
    orders,
    premises,
    receipts,
    relations,
    sessions,
    stock,
)
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.faults import Misbehaviour, Traffic
from sandbox.mpluskassa.lines import ItemSold
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till, from_snapshot, read_clock
from sandbox.mpluskassa.webhooks import Courier, Subscription


class Simulation:
    """One installation with everything around it; every method may be called from any thread.

    `ident` and `secret` are what callers must send. `wsdl` replaces the compact WSDL (its bytes), for the answers of
    `?wsdl` as well as for the schema requests are checked against. `snapshot` is a file the served application keeps
    the state in.
    """

    def __init__(
        self,
        *,
        ident: str = "demo",
        secret: str = "demo-secret",  # noqa: S107 -- the simulator's own
        clock: Callable[[], datetime] = read_clock,
        seed: str = "kassa",
        rates: Mapping[int, int] = premises.DEFAULT_RATES,
        wsdl: bytes | None = None,
        snapshot: Path | None = None,
    ) -> None:
        self.ident, self.secret = ident, secret
        self.wsdl, self.snapshot = wsdl, snapshot
        self.lock = RLock()
        self.misbehaviour, self.traffic, self.courier = Misbehaviour(), Traffic(), Courier()
        self.till = self._open(clock, seed, rates)

    def _open(self, clock: Callable[[], datetime], seed: str, rates: Mapping[int, int]) -> Till:
        if self.snapshot is not None and self.snapshot.exists():
            return from_snapshot(simplejson.loads(self.snapshot.read_text("utf-8"), use_decimal=True), clock)
        till = Till(seed=seed, clock=clock)
        premises.furnish(till, rates)
        return till

    def save(self, path: Path) -> None:
        """Write the state as JSON, whole or not at all; two savers never write at once."""
        with self.lock:
            beside = path.with_suffix(".part")
            beside.write_text(simplejson.dumps(self.till.to_snapshot(), use_decimal=True), "utf-8")
            beside.replace(path)

    def describe(self) -> Record:
        """Counts of everything, the ledger of effects, calls and webhooks seen, as JSON."""
        with self.lock:
            return {
                "counts": {name: len(table) for name, table in self.till.tables.items()},
                "counters": dict(self.till.counters),
                "calls": dict(self.traffic.calls),
                "most_calls_at_once": self.traffic.most_at_once,
                "misbehaviour": self.misbehaviour.describe(),
                "webhooks": list(self.courier.seen),
                "ledger": list(self.till.ledger),
            }

    # --- goods and people, as entered in the back office ----------------------------------------------------------

    def add_product(self, product: Record) -> Record:
        """Create a product from its wire fields (percentages in hundredths); raises `Refused`."""
        with self.lock:
            return catalogue.create_product(self.till, product).product

    def add_relation(self, **fields: Any) -> Record:
        """Create a relation from its wire fields; raises `Refused`."""
        with self.lock:
            return relations.create_relation(self.till, fields)

    def change_relation(self, number: int, **fields: Any) -> Record:
        """Change some wire fields of a relation; raises `Refused`."""
        with self.lock:
            return relations.update_relation(self.till, {**fields, "relationNumber": number})

    def count_stock(self, branch: int, article: int, pieces: Decimal) -> int:
        """Correct the stock by hand to this many pieces; returns the stockId."""
        with self.lock:
            return stock.set_amount(self.till, branch, article, pieces, kind="MANUAL")

    # --- the till -------------------------------------------------------------------------------------------------

    def sell(
        self,
        branch: int = 1,
        workplace: int = 1,
        *,
        lines: Sequence[ItemSold],
        payments: Sequence[Tender] | None = None,
        round_cash: bool = False,
        late: bool = False,
        **details: Any,
    ) -> Record:
        """Ring up a sale and post completeSession. `payments` None pays all by PIN, `[]` leaves the receipt open.

        `round_cash` adds the line that rounds the total to five cents. A `late` receipt has its marker, but is seen by
        nobody who asks before `show_receipt`. `details` are further fields of `Occasion`.
        """
        occasion = Occasion(branch=branch, workplace=workplace, **details)
        with self.lock:
            items = self._round(lines, occasion) if round_cash else lines
            links = {"_session": self.till.new_id("session"), **({"_hidden": True} if late else {})}
            receipt = receipts.ring_up(self.till, items, payments, occasion, links=links)
        self._announce(sessions.COMPLETE, receipt)
        return receipt

    def _round(self, items: Sequence[ItemSold], occasion: Occasion) -> Sequence[ItemSold]:
        total = documents.build_lines(self.till, items, occasion)["totalInclAmount"]
        return receipts.round_cash(items, total)

    def refund(
        self,
        receipt_id: str,
        pieces: Mapping[int, Decimal] | None = None,
        method: str | None = None,
        *,
        apart: Sequence[Tender] = (),
        **details: Any,
    ) -> Record:
        """Give a receipt back, wholly or these pieces by article number, and post creditSession.

        `apart` is paid back by other ways than `method`.
        """
        with self.lock:
            receipt = self.till["receipts"].get(receipt_id)
            credit = receipts.refund(self.till, receipt, _occasion_of(receipt, details), pieces, method, apart=apart)
            credit["_session"] = receipt.get("_session") or self.till.new_id("session")
        self._announce(sessions.CREDIT, credit)
        return credit

    def edit_receipt(
        self,
        receipt_id: str,
        *,
        lines: Sequence[ItemSold],
        payments: Sequence[Tender] | None = None,
        **details: Any,
    ) -> Record:
        """Replace the lines and payments of a receipt afterwards; no webhook tells of it."""
        with self.lock:
            receipt = self.till["receipts"].get(receipt_id)
            return receipts.edit(self.till, receipt, lines, payments, _occasion_of(receipt, details))

    def withdraw_receipt(self, receipt_id: str) -> Record:
        """Take everything off a receipt: nothing sold, nothing paid; no webhook tells of it."""
        return self.edit_receipt(receipt_id, lines=[], payments=[])

    def show_receipt(self, receipt_id: str) -> None:
        """Let a `late` receipt be seen, under the marker it got when it was rung up."""
        with self.lock:
            self.till["receipts"].get(receipt_id).pop("_hidden", None)

    def restart_markers(self, *, renumber: bool = True) -> None:
        """All sync markers begin again at 1: the installation was restored or moved. See `markers.restart`."""
        with self.lock:
            markers.restart(self.till, renumber=renumber)

    def pay_receipt(self, receipt_id: str, payments: Sequence[Tender], **details: Any) -> Record:
        """Pay an open receipt later."""
        with self.lock:
            receipt = self.till["receipts"].get(receipt_id)
            return receipts.pay(self.till, receipt, payments, _occasion_of(receipt, details))

    def move_cash(self, amount_cents: int, reason: str, **details: Any) -> Record:
        """Money into (positive) or out of the drawer that is no sale."""
        with self.lock:
            return receipts.move_cash(self.till, amount_cents, reason, Occasion(**details))

    def transfer_payment(self, amount_cents: int, from_method: str, to_method: str, **details: Any) -> Record:
        """Move money from one way of paying to another."""
        with self.lock:
            return receipts.transfer(self.till, Tender(from_method, amount_cents), to_method, Occasion(**details))

    def count_drawer(self, counted: Mapping[str, int], **details: Any) -> Record:
        """Close a shift at a workplace; `counted` is cents by payment method."""
        with self.lock:
            return drawer.count_drawer(self.till, counted, Occasion(**details))

    def invoice(
        self,
        branch: int = 1,
        workplace: int = 1,
        *,
        lines: Sequence[ItemSold],
        relation: int,
        payments: Sequence[Tender] = (),
        **details: Any,
    ) -> Record:
        """Sell on account to a relation and post completeSession."""
        occasion = Occasion(branch=branch, workplace=workplace, relation=relation, **details)
        with self.lock:
            links = {"_session": self.till.new_id("session")}
            invoice = invoices.issue(self.till, lines, payments, occasion, links=links)
        self._announce(sessions.COMPLETE, invoice)
        return invoice

    def pay_invoice(self, invoice_id: str, payments: Sequence[Tender], **details: Any) -> Record:
        """Book payments on an invoice; raises `Refused` when it is too much."""
        with self.lock:
            invoice = self.till["invoices"].get(invoice_id)
            return invoices.pay(self.till, invoice, payments, _occasion_of(invoice, details))

    def edit_invoice(self, invoice_id: str, *, lines: Sequence[ItemSold], **details: Any) -> Record:
        """Replace the lines of an invoice that is not final; raises `Refused`."""
        with self.lock:
            invoice = self.till["invoices"].get(invoice_id)
            return invoices.edit(self.till, invoice, lines, _occasion_of(invoice, details))

    def credit_invoice(self, invoice_id: str, reason: str = "", **details: Any) -> Record:
        """Credit a whole invoice; returns the credit invoice."""
        with self.lock:
            invoice = self.till["invoices"].get(invoice_id)
            return invoices.credit(self.till, invoice, _occasion_of(invoice, details), reason)

    def take_order(self, *, lines: Sequence[ItemSold], fields: Record | None = None, **details: Any) -> Record:
        """Take an order; `fields` are wire fields of Order, such as extOrderId."""
        with self.lock:
            return orders.take(self.till, lines, Occasion(**details), fields)

    def deliver_order(
        self,
        order_id: str,
        payments: Sequence[Tender] | None = None,
        *,
        as_invoice: bool = False,
        part: Sequence[ItemSold] = (),
        **details: Any,
    ) -> Record:
        """Hand an order over, or a part of it, as a receipt or on account; returns the receipt or invoice."""
        with self.lock:
            order = self.till["orders"].get(order_id)
            occasion = _occasion_of(order, details)
            if as_invoice:
                return orders.deliver_as_invoice(self.till, order, payments or (), occasion, part)
            return orders.deliver_as_receipt(self.till, order, payments, occasion, part)

    def edit_order(self, order_id: str, *, lines: Sequence[ItemSold], **details: Any) -> Record:
        """Replace the lines of an open order."""
        with self.lock:
            order = self.till["orders"].get(order_id)
            return orders.edit(self.till, order, lines, _occasion_of(order, details))

    def prepay_order(self, order_id: str, payments: Sequence[Tender], **details: Any) -> Record:
        """Take a deposit on an order that is not delivered yet."""
        with self.lock:
            order = self.till["orders"].get(order_id)
            return orders.prepay(self.till, order, payments, _occasion_of(order, details))

    def cancel_order(self, order_id: str) -> Record:
        """Cancel an order that was not delivered."""
        with self.lock:
            return orders.cancel(self.till, self.till["orders"].get(order_id))

    # --- webhooks -------------------------------------------------------------------------------------------------

    def subscribe(self, subscription: Subscription) -> None:
        """Set the one consumer of session events, as the shop does in the back office."""
        row = {
            "subscriptionId": subscription.subscription_id,
            "secret": subscription.secret,
            "endpoint": subscription.endpoint,
            "events": list(subscription.events),
        }
        with self.lock:
            self.till["subscriptions"].put(row)

    def unsubscribe(self) -> None:
        """Nobody hears of sessions any more."""
        with self.lock:
            self.till["subscriptions"].clear()

    def _announce(self, event: str, document: Record) -> None:
        """Tell the subscribers, outside the lock: they may well ask something back."""
        with self.lock:
            rows = list(self.till["subscriptions"])
            payloads = [sessions.build_event(self.till, event, document) for _ in rows]
        for row, payload in zip(rows, payloads, strict=True):
            subscription = Subscription(row["subscriptionId"], row["secret"], row["endpoint"], tuple(row["events"]))
            self.courier.deliver(subscription, event, payload)


def _occasion_of(document: Record, details: Mapping[str, Any]) -> Occasion:
    """The place and people of a stored document, with these fields replaced; `when` is now unless given."""
    own: dict[str, Any] = {
        "branch": document["financialBranchNumber"],
        "workplace": document["workplaceNumber"],
        "employee": document["employeeNumber"],
        "relation": document.get("relationNumber"),
        "vat_method": document["vatMethod"],
    }
    return Occasion(**{**own, **details})
