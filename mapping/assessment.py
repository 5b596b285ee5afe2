"""What follows from a sale and the settings of its connection, each fact found when it is first asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from mapping import day_summary, money_documents, sale_identity
from mapping.errors import NotBookable
from mapping.money_documents import Deposit
from mapping.records import DocumentKind, Sale
from mapping.settings_document import SettingsDocument


@dataclass(frozen=True)
class Assessment:
    """`deposits` are those on its orders that are booked by themselves."""

    sale: Sale
    settings: SettingsDocument
    deposits: Sequence[Deposit] = ()

    @cached_property
    def record(self) -> str:
        """Its name in messages."""
        return sale_identity.name_record(self.sale)

    @cached_property
    def marker(self) -> str:
        return sale_identity.marker(self.sale)

    @cached_property
    def why_off(self) -> str | None:
        """Why the settings want no such sale in the books, or None."""
        return sale_identity.why_off(self.sale, self.settings.orders)

    @cached_property
    def refusal(self) -> NotBookable | None:
        """Why it is not to be booked now, or None."""
        return sale_identity.find_refusal(self.sale, self.settings.orders)

    @cached_property
    def is_withdrawn(self) -> bool:
        """Whether nothing of it is left: a cancelled order, or no turnover, VAT and money."""
        return sale_identity.is_withdrawn(self.sale)

    @cached_property
    def content(self) -> str:
        """Its fingerprint, without the time of its last change."""
        return sale_identity.content(self.sale)

    @cached_property
    def goods(self) -> str:
        """The fingerprint of what was sold, to whom and when: everything except its payments."""
        return sale_identity.goods(self.sale)

    @cached_property
    def marked(self) -> Sale:
        """The sale with those payments marked that settle a deposit."""
        tenders = self.settings.mapping.order_deposit_tenders if self.settings.orders.deposits else ()
        return money_documents.mark(self.sale, self.deposits, tenders)

    @cached_property
    def in_money(self) -> Sale:
        """The sale with payments in money only: without gift cards that are a debt, and deposits that are booked."""
        return money_documents.in_money(self.marked, self.settings.mapping.gift_card_tenders)

    def kind_as(self, booked_as: str) -> DocumentKind:
        """As which kind of document it would be booked now, if it is booked as one of this kind."""
        return sale_identity.kind_now(self.in_money, self.settings.orders, booked_as)

    @cached_property
    def is_summarised(self) -> bool:
        """Whether it is of a kind that is booked in its day's document, and to be booked now."""
        cards = self.settings.mapping.gift_card_tenders
        return day_summary.is_summarised(self.marked, self.settings.orders, cards) and self.refusal is None
