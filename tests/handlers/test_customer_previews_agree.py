"""For every state of a relation or customer, a preview names what the real run then does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from gateway.store.events import Change, Event, Flow
from gateway.store.requests import Side
from tests.handlers.shop import REALM, Shop
from tests.handlers.test_customer_previews import ANNA, preview
from tests.handlers.test_customers import COMPANY

Act = Callable[[Shop, int], object]
Prepare = Callable[[Shop], int]
NAME = "Bakkerij Jansen BV"
BARE = {"GivenName": "Bakkerij", "FamilyName": "Jansen", "PrimaryEmailAddr": {"Address": "Bakker@Example.NL"}}
NO = "update_existing = false\n"
NO_UPDATES = f"[customers]\n{NO}"


def relation(*acts: Act, **fields: Any) -> Prepare:
    """A relation of the till to which these things happen."""

    def prepare(shop: Shop) -> int:
        number = int(shop.till.add_relation(**{**COMPANY, **fields})["relationNumber"])
        for act in acts:
            act(shop, number)
        return number

    return prepare


def carry(shop: Shop, number: int) -> Event:
    """Handle the relation once, from a key of its own."""
    change = Change(
        f"told-{number}-{len(shop.events())}", Flow.CUSTOMERS, "till", "Relation", str(number), connection="default"
    )
    event_id = shop.receive(change)
    shop.work()
    return shop.event(event_id)


def changed(**fields: Any) -> Act:
    return lambda shop, number: shop.till.change_relation(number, **fields)


def in_books(**fields: Any) -> Act:
    """Somebody changed the customer."""
    return lambda shop, _: shop.books.put(REALM, "Customer", {"Id": shop.find("Customer")["Id"], **fields})


def add_customer(**fields: Any) -> Act:
    body = {"DisplayName": "Jansen", "PrimaryEmailAddr": {"Address": "bakker@example.nl"}, **fields}
    return lambda shop, _: shop.books.put_customer(REALM, body)


def know_customers(shop: Shop, _: int) -> None:
    """Another relation was handled: the addresses of all customers are known by then."""
    carry(shop, shop.till.add_relation(name="Kees Bakker", email="kees@example.nl")["relationNumber"])


def add_supplier(shop: Shop, _: int) -> None:
    shop.books.put(REALM, "Vendor", {"DisplayName": NAME})


def use_names(shop: Shop, number: int) -> None:
    for name in (NAME, f"{NAME} (bakker@example.nl)", f"{NAME} (relation {number})"):
        shop.books.put(REALM, "Vendor", {"DisplayName": name})


def switched(document: str) -> Act:
    return lambda shop, _: shop.switch(document)


def phone(number: str) -> dict[str, Any]:
    return {"PrimaryPhone": {"FreeFormNumber": number}}


RELATIONS: dict[str, tuple[str, Prepare]] = {
    "new": ("created", relation()),
    "new, without an address": ("skipped", relation(email="")),
    "new, with an address that is none": ("parked", relation(email="geen adres")),
    "new and inactive": ("skipped", relation(active=False)),
    "new, and a supplier has its name": ("created", relation(add_supplier)),
    "new, and every name is used": ("parked", relation(use_names)),
    "new, and a customer has its address": ("updated", relation(add_customer())),
    "new, and a customer has its address in capitals": (
        "unchanged",
        relation(
            add_customer(**BARE),
            know_customers,
            companyName="",
            contact="",
            telephone="",
            vatNumber="",
            **dict.fromkeys(("address", "zipcode", "city", "country"), ""),
        ),
    ),
    "new, there, and updates are off": ("unchanged", relation(add_customer(), switched(NO_UPDATES))),
    "new, and the customer is inactive": ("skipped", relation(add_customer(), in_books(Active=False))),
    "new, there, with a telephone number": ("updated", relation(add_customer(**phone("06 9")))),
    "new, and customers are off": ("skipped", relation(switched("[customers]\nenabled = false\n"))),
    "handled": ("unchanged", relation(carry)),
    "handled and changed": ("updated", relation(carry, changed(telephone="030 999"))),
    "handled and changed, updates off": (
        "unchanged",
        relation(carry, changed(telephone="030 999"), switched(NO_UPDATES)),
    ),
    "handled, then another address": ("updated", relation(carry, changed(email="new@example.nl"))),
    "handled, then renamed": ("updated", relation(carry, changed(companyName="Bakkerij Bos"))),
    "handled, then inactive": ("skipped", relation(carry, changed(active=False))),
    "handled, and changed in the books": ("unchanged", relation(carry, in_books(**phone("06 1")))),
    "handled, and changed in both": ("updated", relation(carry, in_books(**phone("06 1")), changed(telephone="06 2"))),
    "handled, and each changed something": (
        "updated",
        relation(carry, in_books(**phone("06 1")), changed(mobile="06 2")),
    ),
    "handled, and the relation only lost what the books changed": (
        "unchanged",
        relation(carry, in_books(**phone("06 1")), changed(points=5)),
    ),
    "handled, and the customer was made inactive": ("unchanged", relation(carry, in_books(Active=False))),
    "handled, changed, and the customer was made inactive": (
        "skipped",
        relation(carry, in_books(Active=False), changed(telephone="1")),
    ),
}


def seen(shop: Shop) -> dict[str, dict[str, Any]]:
    return {
        row["Id"]: {k: v for k, v in row.items() if k not in ("MetaData", "SyncToken")} for row in shop.rows("Customer")
    }


def taken(before: Mapping[Any, object], after: Mapping[Any, object], state: str) -> str:
    if state != "done":
        return state
    return "created" if after.keys() - before.keys() else "unchanged" if before == after else "updated"


@pytest.mark.parametrize("name", RELATIONS)
def test_a_preview_of_a_relation_names_what_is_done(shop: Shop, name: str) -> None:
    expected, prepare = RELATIONS[name]
    number = prepare(shop)
    before = seen(shop)
    shown = preview(shop, number, side=Side.TILL)
    event = carry(shop, number)
    assert (shown["outcome"], taken(before, seen(shop), event.state)) == (expected, expected), (shown, event.reason)


def customer(*acts: Act, **fields: Any) -> Prepare:
    """A customer of the books to which these things happen; the settings want it at the till."""

    def prepare(shop: Shop) -> int:
        shop.switch(TO_TILL)
        number = int(shop.books.put_customer(REALM, {**ANNA, **fields})["Id"])
        for act in acts:
            act(shop, number)
        return number

    return prepare


def stored(**fields: Any) -> Act:
    """What the books have, though they refuse to be given it."""
    return lambda shop, customer_id: shop.company.get("Customer", str(customer_id)).update(fields)


def tell(shop: Shop, customer_id: int) -> Event:
    return shop.hear_of("Customer", str(customer_id), "Update", key=f"told-{customer_id}-{len(shop.events())}")


def at_till(**fields: Any) -> Act:
    return lambda shop, _: shop.till.change_relation(
        next(iter(shop.till.till["relations"]))["relationNumber"], **fields
    )


def add_relation(**fields: Any) -> Act:
    return lambda shop, _: shop.till.add_relation(**{"name": "A. Smit", "email": "anna@example.nl", **fields})


THERE = {
    "name": "Anna Smit",
    "email": "Anna@Example.NL",
    "extRelationId": "7",
    "address": "Dorpsstraat 3",
    "city": "Ede",
    "country": "NLD",
}
TO_TILL = "[customers]\nto_till = true\n"
CUSTOMERS: dict[str, tuple[str, Prepare]] = {
    "new": ("created", customer()),
    "new, and not wanted at the till": ("skipped", customer(switched(""))),
    "new, without an address": ("skipped", customer(PrimaryEmailAddr=None)),
    "new and inactive": ("skipped", customer(in_books(Active=False))),
    "new, in another currency": ("skipped", customer(stored(CurrencyRef={"value": "USD"}))),
    "new, and a relation has its address": ("updated", customer(add_relation())),
    "new, and a relation has its address in capitals": (
        "unchanged",
        customer(add_relation(**THERE)),
    ),
    "new, and a relation has more": ("updated", customer(add_relation(mobile="06 1"))),
    "told": ("unchanged", customer(tell)),
    "told and changed": ("updated", customer(tell, in_books(**phone("06 3")))),
    "told and renamed": ("unchanged", customer(tell, in_books(DisplayName="A. Smit"))),
    "told, changed, updates off": ("updated", customer(tell, in_books(**phone("06 3")), switched(TO_TILL + NO))),
    "told, and changed at the till": ("unchanged", customer(tell, at_till(telephone="06 4"))),
    "told, and changed in both": ("updated", customer(tell, at_till(telephone="06 4"), in_books(**phone("06 3")))),
    "told, and each changed something": (
        "updated",
        customer(tell, at_till(mobile="06 4"), in_books(**phone("06 3"))),
    ),
    "told, and changed to what the till has": (
        "unchanged",
        customer(tell, at_till(telephone="06 3"), in_books(**phone("06 3"))),
    ),
}


@pytest.mark.parametrize("name", CUSTOMERS)
def test_a_preview_of_a_customer_names_what_is_done(shop: Shop, name: str) -> None:
    expected, prepare = CUSTOMERS[name]
    number = prepare(shop)
    before = relations(shop)
    shown = preview(shop, number, side=Side.BOOKS)
    event = tell(shop, number)
    assert (shown["outcome"], taken(before, relations(shop), event.state)) == (expected, expected), (
        shown,
        event.reason,
    )


def relations(shop: Shop) -> dict[int, dict[str, Any]]:
    return {
        row["relationNumber"]: {**row, "syncMarker": 0, "changeTimestamp": 0} for row in shop.till.till["relations"]
    }
