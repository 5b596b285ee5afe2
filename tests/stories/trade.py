"""Trade on the stage in one line each, and how often it really arrived on the other side."""

from __future__ import annotations

from collections import Counter
from typing import Any

import httpx

from sandbox.mpluskassa.lines import ItemSold
from sandbox.quickbooks.webhooks import sign
from tests.stories.stage import REALM, VERIFIER, Stage

ARTICLE = 5001


def furnish(stage: Stage) -> None:
    """One thing to sell, known on both sides, so that a sale needs nothing but itself."""
    stage.add_item(str(ARTICLE), "2.50")
    stage.add_article(ARTICLE, 250, 2)


def ring_up(stage: Stage, count: int = 1, **details: Any) -> list[str]:
    """So many sales at the till; answers their receipt ids."""
    return [str(stage.sell(ItemSold(ARTICLE), **details)["receiptId"]) for _ in range(count)]


def deliver(stage: Stage, item_id: str, key: str) -> httpx.Response:
    """One signed webhook about an item."""
    event = (
        f'[{{"specversion":"1.0","id":"{key}","source":"intuit.x","type":"qbo.item.created.v1",'
        f'"time":"2026-11-20T10:11:12Z","intuitentityid":"{item_id}","intuitaccountid":"{REALM}","data":{{}}}}]'
    ).encode()
    headers = {"intuit-signature": sign(event, VERIFIER), "Content-Type": "application/json"}
    return httpx.post(f"{stage.url}/webhooks/quickbooks", content=event, headers=headers, timeout=10)


def effects(stage: Stage, entity: str = "SalesReceipt") -> Counter[str]:
    """How often the books really did something to this kind of record, by operation."""
    done = stage.books.ledger.find_effects(realm=REALM, entity=entity, source="api")
    return Counter(effect.operation for effect in done)


def times_made(stage: Stage, number: int) -> int:
    """How often the till really made a product with this article."""
    made = [entry for entry in stage.till.till.ledger if entry["effect"] == "createProduct"]
    return sum(number in entry["articles"] for entry in made)
