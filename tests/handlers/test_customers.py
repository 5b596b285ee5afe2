"""Relations of the till and customers of the books: created, updated, clashing, merged, written both ways once."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from handlers.references import parties
from sandbox.mpluskassa.faults import Plan
from tests.handlers.shop import REALM, Shop, sold
from tests.servers import wait_until

COMPANY = {
    "name": "Bakkerij Jansen",
    "companyName": "Bakkerij Jansen BV",
    "contact": "Piet Jansen",
    "email": "Bakker@Example.NL ",
    "telephone": "030 123",
    "address": "Kade 1",
    "zipcode": "3511 AB",
    "city": "Utrecht",
    "country": "Nederland",
    "vatNumber": "NL001234567B01",
}


def named(shop: Shop, name: str) -> dict[str, Any]:
    return shop.find("Customer", DisplayName=name)


def test_a_relation_becomes_a_customer_without_any_sale(shop: Shop) -> None:
    shop.till.add_relation(**COMPANY)
    shop.settle()
    customer = named(shop, "Bakkerij Jansen BV")
    assert customer["PrimaryEmailAddr"]["Address"] == "bakker@example.nl"
    assert (customer["CompanyName"], customer["GivenName"], customer["FamilyName"]) == (
        "Bakkerij Jansen BV",
        "Piet",
        "Jansen",
    )
    assert (customer["BillAddr"]["Line1"], customer["BillAddr"]["Country"]) == ("Kade 1", "NLD")
    assert customer["ResaleNum"] == "NL001234567B01"


def test_a_changed_relation_updates_its_customer_and_only_that_is_written(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    shop.settle()
    shop.till.change_relation(relation["relationNumber"], telephone="030 999")
    shop.settle()
    customer = named(shop, "Bakkerij Jansen BV")
    assert customer["PrimaryPhone"]["FreeFormNumber"] == "030 999"
    shop.till.change_relation(relation["relationNumber"], points=5)
    shop.settle()
    assert named(shop, "Bakkerij Jansen BV")["SyncToken"] == customer["SyncToken"]


def test_a_relation_with_another_e_mail_address_stays_the_same_customer(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    shop.settle()
    shop.till.change_relation(relation["relationNumber"], email="nieuw@example.nl")
    shop.settle()
    assert [c["PrimaryEmailAddr"]["Address"] for c in shop.rows("Customer")] == ["nieuw@example.nl"]


def test_existing_customers_are_left_alone_when_updates_are_switched_off(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nupdate_existing = false")
    shop.books.put_customer(REALM, {"DisplayName": "Jansen", "PrimaryEmailAddr": {"Address": "bakker@example.nl"}})
    shop.till.add_relation(**COMPANY)
    shop.settle()
    assert [c["DisplayName"] for c in shop.rows("Customer")] == ["Jansen"]
    assert "PrimaryPhone" not in named(shop, "Jansen")


def test_a_name_that_a_supplier_has_is_resolved_visibly(shop: Shop) -> None:
    shop.books.put(REALM, "Vendor", {"DisplayName": "Bakkerij Jansen BV"})
    shop.till.add_relation(**COMPANY)
    shop.settle()
    assert [c["DisplayName"] for c in shop.rows("Customer")] == ["Bakkerij Jansen BV (bakker@example.nl)"]


HOLDERS: dict[str, dict[str, Any]] = {
    "Customer": {"DisplayName": "Bakkerij Jansen BV", "PrimaryEmailAddr": {"Address": "other@example.nl"}},
    "Vendor": {"DisplayName": "bakkerij jansen bv"},
    "Employee": {"GivenName": "Bakkerij", "FamilyName": "Jansen BV", "DisplayName": "Bakkerij Jansen BV"},
}


@pytest.mark.parametrize("holder", HOLDERS)
def test_a_buyer_whose_name_is_taken_gets_a_customer_of_their_own(shop: Shop, holder: str) -> None:
    taken = shop.books.put(REALM, holder, HOLDERS[holder])["Id"]
    relation = shop.till.add_relation(**COMPANY)
    customer = sell_to(shop, relation["relationNumber"])["CustomerRef"]
    assert customer["name"] == "Bakkerij Jansen BV (bakker@example.nl)"
    assert holder != "Customer" or customer["value"] != taken


def test_when_every_name_is_used_the_sale_parks_and_continues_afterwards(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    plain, number = "Bakkerij Jansen BV", relation["relationNumber"]
    names = (plain, f"{plain} (bakker@example.nl)", f"{plain} (relation {number})")
    taken = [shop.books.put(REALM, "Vendor", {"DisplayName": name})["Id"] for name in names]
    receipt = shop.till.sell(lines=[sold(1001)], relation=number)
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    assert (event.state, event.field, event.record) == ("parked", "name", f"relation {number}")
    shop.books.put(REALM, "Vendor", {"Id": taken[0], "DisplayName": "Jansen (supplier)"})
    assert shop.retry(event).state == "done"
    assert shop.only("SalesReceipt")["CustomerRef"]["name"] == plain


def test_an_inactive_customer_is_not_booked_on_when_another_is_wanted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[customers]\ninactive = "create"')
    body = {"DisplayName": "Bakkerij Jansen BV", "PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    inactive = shop.books.put_customer(REALM, body)["Id"]
    shop.books.put(REALM, "Customer", {"Id": inactive, "Active": False})
    relation = shop.till.add_relation(**COMPANY)
    booked = sell_to(shop, relation["relationNumber"])["CustomerRef"]
    assert (booked["value"] != inactive, booked["name"]) == (True, "Bakkerij Jansen BV")
    assert shop.find("Customer", Id=inactive)["Active"] is False


def test_of_two_customers_with_one_address_the_older_active_one_is_taken(shop: Shop) -> None:
    address = {"PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    ids = [shop.books.put_customer(REALM, {"DisplayName": f"Jansen {n}", **address})["Id"] for n in range(3)]
    shop.books.put(REALM, "Customer", {"Id": ids[0], "Active": False})
    relation = shop.till.add_relation(**COMPANY)
    assert sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"] == ids[1]


def sell_to(shop: Shop, number: int) -> dict[str, Any]:
    receipt = shop.till.sell(lines=[sold(1001)], relation=number)
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done"
    return shop.rows("SalesReceipt")[-1]


def test_t10_two_relations_of_one_address_searched_at_once_make_one(shop: Shop) -> None:
    numbers = [
        shop.till.add_relation(name=name, email=email)["relationNumber"]
        for name, email in (("P. Oud", "Piet.Oud@Example.nl"), ("Piet Oud", "piet.oud@example.nl"))
    ]
    shop.poll()
    shop.work_abreast(*(event.id for event in shop.events(flow="customers")))
    for number in numbers:  # as if neither search had found the other's customer
        relation = shop.deps().till.relation(number)
        assert relation
        parties.create(
            dataclasses.replace(relation, created_at=datetime(2026, 1, number % 28 + 1, tzinfo=UTC)), shop.deps()
        )
    assert len(shop.rows("Customer")) == 1


@pytest.mark.parametrize("sells", [False, True], ids=["the relation", "a sale to it"])
def test_a_customer_that_no_query_shows_yet_is_not_made_twice(shop: Shop, *, sells: bool) -> None:
    shop.books.clock.advance(600)
    shop.books.switches.query_delay_seconds = 300
    first = shop.till.add_relation(name="Piet Oud", email="piet.oud@example.nl")
    sell_to(shop, first["relationNumber"])
    second = shop.till.add_relation(name="Piet Oud", email="Piet.Oud@Example.nl")
    if sells:
        sell_to(shop, second["relationNumber"])
    shop.settle()
    assert [row["DisplayName"] for row in shop.rows("Customer")] == ["Piet Oud"]
    assert shop.parked() == []


@pytest.mark.parametrize("sells", [False, True], ids=["the relation", "a sale to it"])
def test_an_address_that_passed_to_another_relation_makes_a_customer(shop: Shop, *, sells: bool) -> None:
    first = shop.till.add_relation(**COMPANY)
    shop.settle()
    shop.till.change_relation(first["relationNumber"], email="nieuw@example.nl")
    shop.settle()
    second = shop.till.add_relation(name="Anna", email=COMPANY["email"])
    entered = shop.till.till["relations"].get(second["relationNumber"])["createTimestamp"]
    entered["min"] = (entered["min"] + 7) % 60
    if sells:
        assert sell_to(shop, second["relationNumber"])["CustomerRef"]["name"] == "Anna"
    shop.settle()
    addresses = {row["DisplayName"]: row["PrimaryEmailAddr"]["Address"] for row in shop.rows("Customer")}
    assert addresses == {"Bakkerij Jansen BV": "nieuw@example.nl", "Anna": "bakker@example.nl"}


def test_an_inactive_customer_is_created_again_if_wanted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[customers]\ninactive = "create"')
    relation = shop.till.add_relation(**COMPANY)
    first = sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"]
    shop.books.put(REALM, "Customer", {"Id": first, "Active": False})
    second = sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"]
    assert second != first


def test_sales_follow_a_customer_that_was_merged_into_another(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    merged_id = sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"]
    remaining_id = shop.books.put_customer(REALM, {"DisplayName": "Jansen Holding"})["Id"]
    shop.books.merge(REALM, "Customer", remaining_id, merged_id)
    shop.hear_of("Customer", remaining_id, "Merge", key="merge", hint=f'{{"deleted_id": "{merged_id}"}}')
    assert sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"] == remaining_id


def test_an_unreported_merge_is_noticed_by_the_refusal(shop: Shop) -> None:
    relation = shop.till.add_relation(**COMPANY)
    merged_id = sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"]
    body = {"DisplayName": "Jansen Holding", "PrimaryEmailAddr": {"Address": "bakker@example.nl"}}
    remaining_id = shop.books.put_customer(REALM, body)["Id"]
    shop.books.merge(REALM, "Customer", remaining_id, merged_id)
    assert sell_to(shop, relation["relationNumber"])["CustomerRef"]["value"] == remaining_id
    assert [row["DisplayName"] for row in shop.rows("Customer") if row["Active"]] == ["Jansen Holding"]


def test_a_customer_of_the_books_reaches_the_till_and_does_not_come_back(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    body = {
        "DisplayName": "Anna Smit",
        "GivenName": "Anna",
        "FamilyName": "Smit",
        "PrimaryEmailAddr": {"Address": "anna@example.nl"},
        "BillAddr": {"Line1": "Dorpsstraat 3", "PostalCode": "1234 AB", "City": "Ede", "Country": "NLD"},
    }
    customer = shop.books.put_customer(REALM, body)
    assert shop.hear_of("Customer", customer["Id"], "Create", key="1").state == "done"
    (relation,) = shop.till.till["relations"]
    assert (relation["name"], relation["email"], relation["address"]) == (
        "Anna Smit",
        "anna@example.nl",
        "Dorpsstraat 3",
    )
    writes = len(shop.till.till.ledger)
    for key in "234":
        shop.settle()
        shop.hear_of("Customer", customer["Id"], "Update", key=key)
    assert len(shop.till.till.ledger) == writes
    assert shop.find("Customer", Id=customer["Id"])["SyncToken"] == customer["SyncToken"]


def test_two_installations_that_make_a_relation_at_once_keep_the_first(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    address = {"Address": "anna@example.nl"}
    customer = shop.books.put_customer(REALM, {"DisplayName": "Anna Smit", "PrimaryEmailAddr": address})
    shop.till.misbehaviour.plans.append(Plan("delay", "createRelation", seconds=1.0))
    hearing = threading.Thread(target=lambda: shop.hear_of("Customer", customer["Id"], "Create", key="1"))
    hearing.start()
    wait_until(lambda: not shop.till.misbehaviour.plans, what="the relation to be on its way")
    other = shop.till.add_relation(name="Anna Smit", email="anna@example.nl", extRelationId=customer["Id"])
    hearing.join()
    shop.settle()
    relations = shop.till.till["relations"]
    assert [row["relationNumber"] for row in relations if row["active"]] == [other["relationNumber"]]
    assert len(relations) == 2
    (event,) = shop.events(entity="Customer")
    assert (event.state, event.target_id) == ("done", str(other["relationNumber"]))
    assert [row["DisplayName"] for row in shop.rows("Customer")] == ["Anna Smit"]
    assert shop.parked() == []


def test_a_change_at_the_till_does_not_bounce_between_the_two(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    relation = shop.till.add_relation(**COMPANY)
    shop.settle()
    customer = shop.only("Customer")
    shop.hear_of("Customer", customer["Id"], "Create", key="1")
    shop.till.change_relation(relation["relationNumber"], city="Zeist")
    writes = len(shop.till.till.ledger)
    shop.settle()
    token = shop.only("Customer")["SyncToken"]
    for key in "23":
        shop.hear_of("Customer", customer["Id"], "Update", key=key)
        shop.settle()
    assert (shop.only("Customer")["BillAddr"]["City"], shop.only("Customer")["SyncToken"]) == ("Zeist", token)
    assert len(shop.till.till.ledger) == writes


def test_customers_stay_in_the_books_unless_they_are_wanted_at_the_till(shop: Shop) -> None:
    customer = shop.books.put_customer(REALM, {"DisplayName": "A", "PrimaryEmailAddr": {"Address": "a@example.nl"}})
    assert shop.hear_of("Customer", customer["Id"], "Create", key="1").state == "skipped"
    assert list(shop.till.till["relations"]) == []


def test_a_relation_without_an_address_is_skipped_with_a_wrong_one_parked(shop: Shop) -> None:
    plain = shop.till.add_relation(name="Zonder")
    wrong = shop.till.add_relation(name="Fout", email="geen adres")
    shop.settle()
    assert shop.newest(str(plain["relationNumber"])).state == "skipped"
    assert shop.newest(str(wrong["relationNumber"])).code == "no-email"


def test_a_supplier_with_the_default_debtors_name_is_named(shop: Shop) -> None:
    name = "MplusKASSA counter sales"
    shop.books.put(REALM, "Vendor", {"DisplayName": name})
    shop.till.sell(lines=[sold(1001)])
    shop.settle()
    (event,) = shop.parked()
    assert name in (event.reason or "")
    assert "customers.default_debtor" in (event.fix or "")


def test_always_the_default_debtor_if_wanted(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop('[customers]\nalways_default_debtor = true\ndefault_debtor = "Kassa"\nenabled = true')
    relation = shop.till.add_relation(**COMPANY)
    assert sell_to(shop, relation["relationNumber"])["CustomerRef"]["name"] == "Kassa"


def both(shop: Shop) -> tuple[str | None, ...]:
    """Telephone and mobile number of the only customer, and of the only relation."""
    customer, (relation,) = shop.only("Customer"), shop.till.till["relations"]
    numbers = ((customer.get(name) or {}).get("FreeFormNumber", "") for name in ("PrimaryPhone", "Mobile"))
    return (*numbers, relation["telephone"], relation["mobile"])


@pytest.mark.parametrize("first", ["books", "till"])
def test_two_records_that_existed_before_fill_what_the_other_one_lacks(
    open_shop: Callable[..., Shop], first: str
) -> None:
    shop = open_shop("[customers]\nto_till = true")
    shop.till.add_relation(**{**COMPANY, "mobile": ""})
    address = {"Address": "bakker@example.nl"}
    customer = shop.books.put_customer(
        REALM, {"DisplayName": "Jansen", "PrimaryEmailAddr": address, "Mobile": {"FreeFormNumber": "06 1"}}
    )
    meet(shop, customer["Id"], first)
    assert both(shop) == ("030 123", "06 1", "030 123", "06 1")


@pytest.mark.parametrize("first", ["books", "till"])
def test_changes_of_both_sides_at_once_are_both_kept(open_shop: Callable[..., Shop], first: str) -> None:
    shop = open_shop("[customers]\nto_till = true")
    relation = shop.till.add_relation(**{**COMPANY, "mobile": "06 1"})
    shop.settle()
    customer = shop.only("Customer")
    meet(shop, customer["Id"], "books")
    shop.till.change_relation(relation["relationNumber"], telephone="030 999")
    shop.books.put(REALM, "Customer", {"Id": customer["Id"], "Mobile": {"FreeFormNumber": "06 2"}})
    meet(shop, customer["Id"], first)
    assert both(shop) == ("030 999", "06 2", "030 999", "06 2")


def meet(shop: Shop, customer_id: str, first: str) -> None:
    """Both sides are looked at, this one first, until nothing changes any more."""
    for key in range(3):
        if first == "till":
            shop.settle()
        shop.hear_of("Customer", customer_id, "Update", key=f"{first}{len(shop.events())}-{key}")
        shop.settle()
