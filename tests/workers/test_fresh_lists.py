"""What a mapping does not find is looked for once more in fresh lists, in the same attempt."""

from __future__ import annotations

import pytest

from gateway.database.session import reading
from gateway.queries import activity
from gateway.store.events import Event, State
from mapping.errors import MappingError, NotBookable
from sandbox.mpluskassa.documents import Tender
from tests.handlers.conftest import open_shop, shop_database
from tests.handlers.counter import OpenShop
from tests.handlers.shop import REALM, Shop, sold
from tests.workers.test_retry_policy import an_event
from workers import retry_policy

__all__ = ["open_shop", "shop_database"]


def looked_again(shop: Shop, event: Event) -> int:
    with reading(shop.engine) as session:
        entries = activity.read_log(session, event.id)
    return sum(entry.title == "looked once more, in fresh lists" for entry in entries)


def test_a_retry_finds_what_was_added_since_the_lists_were_read(open_shop: OpenShop) -> None:
    shop = open_shop("[mapping]\ncreate_payment_methods = false")
    receipt = shop.till.sell(lines=[sold(1001)], payments=[Tender("CONTANT", 1250)])
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, looked_again(shop, event)) == (State.PARKED, 0)  # they were read a moment ago
    shop.books.put(REALM, "PaymentMethod", {"Name": "Contant"})
    event = shop.retry(event)
    assert (event.state, event.attempts, looked_again(shop, event)) == (State.DONE, 1, 1)


@pytest.mark.parametrize(("maybe_written", "age"), [(False, 60.0), (True, 0.0)])
def test_lists_may_be_as_old_as_the_event_allows(age: float, *, maybe_written: bool) -> None:
    event = an_event(maybe_written=maybe_written)
    assert retry_policy.fresh_age(MappingError("missing"), event) == age
    assert retry_policy.fresh_age(NotBookable("not wanted"), event) is None
