"""What became of an event's attempts, and letting those that wait be due at once."""

from __future__ import annotations

from sqlalchemy import select, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.store.events import Event
from gateway.store.tables import InboxRow, JournalRow, RateLimitRow
from tests.handlers.shop import REALM, Shop

_ENDS = ("waiting", "uncertain", "parked", "done", "skipped")


def let_time_pass(shop: Shop) -> None:
    """Everything that waits is due, every pause is over."""
    with writing(shop.engine) as session:
        session.execute(update(InboxRow).where(col(InboxRow.due_at).is_not(None)).values(due_at=moment(-1)))
        session.execute(update(RateLimitRow).values(cooldown_until=0.0, refusal_level=0.0))
    shop.restart()


def ends_of(shop: Shop, event: Event) -> list[str]:
    """The states the event's attempts ended in, as its log has them."""
    with reading(shop.engine) as session:
        lines = select(col(JournalRow.title)).where(col(JournalRow.event_id) == event.id).order_by(col(JournalRow.id))
        titles = session.execute(lines).scalars().all()
    return [title.partition(":")[0] for title in titles if title.partition(":")[0] in _ENDS]


def created(shop: Shop, entity: str) -> int:
    """How many of a kind the gateway made in the books."""
    return len(shop.books.ledger.find_effects(realm=REALM, entity=entity, operation="create", source="api"))


def made_articles(shop: Shop, number: int) -> int:
    """How often the gateway made this article at the till."""
    return sum(1 for e in shop.till.till.ledger if e["effect"] == "createProduct" and number in e["articles"])


def handled(shop: Shop, entity_id: str) -> Event:
    """The event's end, after as many attempts as it takes."""
    for _ in range(6):
        shop.work()
        if shop.newest(entity_id).state == "done":
            break
        let_time_pass(shop)
    return shop.newest(entity_id)
