"""What happened in the shop, as its trader tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

What = Literal["edited", "sold", "returned", "priced", "introduced", "rested", "revived", "delivered", "tidied"]


@dataclass(frozen=True, slots=True)
class Action:
    """One thing that was done. `key` is the receiptId for "sold" and "returned", else the item's id in the books.

    `cents` is what changed hands, including VAT and negative for a return; 0 for what is no sale.
    """

    what: What
    key: str
    cents: int = 0
