"""Gift cards as a debt of the shop: a payment with one is a line of the gift card item, not money."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from mapping.records import Sale


def redeemed(sale: Sale, tenders: Collection[str]) -> int:
    """Cents of the sale paid with gift cards; negative for a refund on one."""
    return sum(payment.amount_cents for payment in sale.payments if payment.method in tenders)


def without_gift_cards(sale: Sale, tenders: Collection[str]) -> Sale:
    """The sale with payments in money only."""
    return replace(sale, payments=tuple(payment for payment in sale.payments if payment.method not in tenders))
