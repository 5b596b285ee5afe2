"""A till restored from a backup gives relation numbers again: who has one now is not who had it before."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final

import pytest

from sandbox.mpluskassa.structs import AMSTERDAM, to_moment
from tests.handlers.shop import REALM, Shop, on_both_databases, sold

PARTS: Final = {"year": "year", "month": "mon", "day": "day", "hour": "hour", "minute": "min", "second": "sec"}


def restore(shop: Shop, number: int, later: timedelta, **fields: Any) -> None:
    """The till knows nothing of this relation any more, and has given its number to another one since."""
    with shop.till.lock:
        row = shop.till.till["relations"].get(number)
        empty = {name: "" for name, value in row.items() if isinstance(value, str) and name != "defaultVatMethod"}
        row.update(empty, createTimestamp=to_moment(shop.till.till.clock() + later))
    shop.till.change_relation(number, **fields)


def names(shop: Shop) -> dict[str, str | None]:
    """The customers of relations by name, with their address."""
    found = {row["DisplayName"]: row.get("PrimaryEmailAddr", {}).get("Address") for row in shop.rows("Customer")}
    return {name: email for name, email in found.items() if "counter" not in name}


def buyers(shop: Shop) -> list[str]:
    return [row["CustomerRef"]["name"] for row in sorted(shop.rows("Invoice"), key=lambda row: int(row["Id"]))]


@on_both_databases
@pytest.mark.parametrize("by_sale", [True, False], ids=["by a sale", "by itself"])
@pytest.mark.parametrize("email", ["anna@example.nl", ""], ids=["with e-mail", "without"])
def test_who_has_a_number_now_is_not_booked_on_who_had_it(shop: Shop, email: str, *, by_sale: bool) -> None:
    anna = shop.till.add_relation(name="Anna", email=email, city="Utrecht")["relationNumber"]
    shop.till.invoice(lines=[sold(1001)], relation=anna)
    shop.settle()
    after = email.replace("anna", "bert")
    restore(shop, anna, timedelta(minutes=25), name="Bert", email=after)
    if not by_sale:
        shop.settle()
    shop.till.invoice(lines=[sold(1001)], relation=anna)
    shop.settle()
    assert shop.parked() == []
    assert names(shop) == {"Anna": email or None, "Bert": after or None}
    assert buyers(shop) == ["Anna", "Bert"]
    assert "BillAddr" not in shop.find("Customer", DisplayName="Bert")


@pytest.mark.parametrize("hours", [0, 1, 2])
def test_a_relation_that_changed_its_name_and_address_is_the_same(shop: Shop, hours: int) -> None:
    anna = shop.till.add_relation(name="Anna", email="anna@example.nl")["relationNumber"]
    shop.till.invoice(lines=[sold(1001)], relation=anna)
    shop.settle()
    with shop.till.lock:
        row = shop.till.till["relations"].get(anna)
        made = {name: row["createTimestamp"][theirs] for name, theirs in PARTS.items()}
        row["createTimestamp"] = to_moment(datetime(**made, tzinfo=AMSTERDAM) + timedelta(hours=hours))
    shop.till.change_relation(anna, name="Anna de Boer", email="deboer@example.nl")
    shop.till.invoice(lines=[sold(1001)], relation=anna)
    shop.settle()
    assert names(shop) == {"Anna de Boer": "deboer@example.nl"}


def test_a_changed_customer_is_not_written_over_who_has_its_number(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    anna = shop.till.add_relation(name="Anna", email="anna@example.nl")["relationNumber"]
    shop.settle()
    restore(shop, anna, timedelta(days=1), name="Bert", email="bert@example.nl")
    customer = shop.find("Customer", DisplayName="Anna")["Id"]
    shop.books.put(REALM, "Customer", {"Id": customer, "BillAddr": {"City": "Zeist"}})
    assert shop.hear_of("Customer", customer, "Update", key="1").state == "done"
    shop.settle()
    relations = {row["name"]: (row["email"], row["city"]) for row in shop.till.till["relations"]}
    assert relations == {"Anna": ("anna@example.nl", "Zeist"), "Bert": ("bert@example.nl", "")}
    assert names(shop) == {"Anna": "anna@example.nl", "Bert": "bert@example.nl"}
