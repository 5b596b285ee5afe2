"""One person, one customer: independent of capitals in the address, of text beside it, and of its author."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gateway.database.session import writing
from gateway.privacy import people
from handlers.polling import books_feed
from tests.handlers import counter
from tests.handlers.shop import REALM, Shop, sold

OpenShop = Callable[..., Shop]
PIET = {"name": "Piet Oud", "email": "piet.oud@example.nl"}


def in_books(shop: Shop, name: str, address: str | None = None, **more: Any) -> str:
    email = {"PrimaryEmailAddr": {"Address": address}} if address else {}
    return str(shop.books.put(REALM, "Customer", {"DisplayName": name, **email, **more})["Id"])


def sell_to(shop: Shop, relation: int) -> str:
    """The customer a new sale to this relation is booked on."""
    receipt = shop.till.sell(lines=[sold(1001)], relation=relation)
    shop.settle()
    assert shop.newest(receipt["receiptId"]).state == "done", shop.newest(receipt["receiptId"]).reason
    return str(shop.rows("SalesReceipt")[-1]["CustomerRef"]["value"])


def add(shop: Shop, **fields: Any) -> int:
    return int(shop.till.add_relation(**fields)["relationNumber"])


def capture(shop: Shop) -> None:
    books_feed.poll(shop.deps())
    shop.work()


def switch(shop: Shop, customer: str, *, active: bool) -> None:
    shop.books.put(REALM, "Customer", {"Id": customer, "Active": active})


ALIKE = (
    ("Piet.Oud@Example.nl", "piet.oud@example.nl"),
    ("piet.oud@example.nl", " PIET.OUD@EXAMPLE.NL "),
    ("een@x.example, twee@x.example", "twee@x.example"),
    ("een@x.example, Twee@X.example", "een@x.example"),
    ("twee@x.example", "een@x.example; twee@x.example"),
    ("een@x.example,drie@x.example", "twee@x.example, drie@x.example"),
    ("info@müller.example", "info@xn--mller-kva.example"),
    ("Info@XN--mller-kva.example", "info@Müller.example"),
)


@pytest.mark.parametrize(("books", "till"), ALIKE)
def test_an_address_is_the_same_person_on_both_sides(shop: Shop, books: str, till: str) -> None:
    customer = in_books(shop, "P. Oud", books)
    assert sell_to(shop, add(shop, name="Piet Oud", email=till)) == customer
    row = shop.only("Customer")
    assert (row["DisplayName"], row["PrimaryEmailAddr"]["Address"]) == ("P. Oud", books)


@pytest.mark.parametrize(
    ("books", "till"),
    [("piet@example.nl", "piet+kassa@example.nl"), ("piet.oud@example.nl", "pietoud@example.nl")],
)
def test_addresses_that_only_look_alike_are_two_people(shop: Shop, books: str, till: str) -> None:
    customer = in_books(shop, "P. Oud", books)
    assert sell_to(shop, add(shop, name="Piet Oud", email=till)) != customer


@pytest.mark.parametrize("heard", ["webhook", "capture", "nobody"])
def test_a_customer_made_after_the_first_read_is_known(shop: Shop, heard: str) -> None:
    sell_to(shop, add(shop, name="Anna", email="anna@example.nl"))
    capture(shop)
    spelled = "piet.oud@example.nl" if heard == "nobody" else "Piet.Oud@Example.nl"
    customer = in_books(shop, "P. Oud", spelled)
    if heard == "webhook":
        shop.hear_of("Customer", customer, "Create", key="made")
    elif heard == "capture":
        capture(shop)
    assert sell_to(shop, add(shop, **PIET)) == customer


def test_an_address_changed_in_the_books_is_followed(shop: Shop) -> None:
    customer = in_books(shop, "P. Oud", "Oud@Example.nl")
    sell_to(shop, add(shop, name="Anna", email="anna@example.nl"))
    shop.books.put(REALM, "Customer", {"Id": customer, "PrimaryEmailAddr": {"Address": "Piet.Oud@Example.nl"}})
    capture(shop)
    assert sell_to(shop, add(shop, **PIET)) == customer
    assert sell_to(shop, add(shop, name="Oud", email="oud@example.nl")) != customer


def test_what_is_found_by_an_old_address_is_not_believed(shop: Shop) -> None:
    """Changed a moment ago, and not reported yet."""
    customer = in_books(shop, "P. Oud", "Piet.Oud@Example.nl")
    sell_to(shop, add(shop, name="Anna", email="anna@example.nl"))
    shop.books.put(REALM, "Customer", {"Id": customer, "PrimaryEmailAddr": {"Address": "other@example.nl"}})
    assert sell_to(shop, add(shop, **PIET)) != customer


def test_customers_switched_off_for_a_while_are_read_again(shop: Shop) -> None:
    sell_to(shop, add(shop, name="Anna", email="anna@example.nl"))
    shop.switch("[customers]\nenabled = false")
    capture(shop)
    customer = in_books(shop, "P. Oud", "Piet.Oud@Example.nl")
    for row in shop.company.table("Customer").values():
        row["MetaData"]["LastUpdatedTime"] = "2026-01-01T00:00:00-08:00"
    capture(shop)
    shop.switch("[customers]\nenabled = true")
    capture(shop)
    assert sell_to(shop, add(shop, **PIET)) == customer


def test_knowing_people_costs_no_read_per_sale(shop: Shop) -> None:
    for number in range(30):
        in_books(shop, f"Somebody {number}", f"Somebody.{number}@Example.nl")
    relations = [add(shop, name=f"S {number}", email=f"somebody.{number}@example.nl") for number in range(3)]
    sell_to(shop, relations[0])
    before = counter.reads(shop)
    for _ in range(5):
        for relation in relations:
            sell_to(shop, relation)
    assert len(shop.rows("Customer")) == 30
    assert counter.reads(shop) == before


def test_a_new_customer_costs_no_more_reads_than_its_search(shop: Shop) -> None:
    sell_to(shop, add(shop, name="Anna", email="anna@example.nl"))
    before = counter.reads(shop)
    sell_to(shop, add(shop, **PIET))
    customer = shop.find("Customer", DisplayName="Piet Oud")["Id"]
    shop.hear_of("Customer", customer, "Create", key="our echo")
    sell_to(shop, add(shop, name="Third", email="third@example.nl"))
    # Each was searched by its sale and by its relation; our own echo cost no read.
    assert counter.reads(shop) == before + 2 * 2


def test_a_field_with_two_addresses_survives_a_change_at_the_till(shop: Shop) -> None:
    customer = in_books(shop, "P. Oud", "Piet.Oud@Example.nl, boekhouding@oud.example")
    relation = add(shop, **PIET)
    shop.settle()
    shop.till.change_relation(relation, telephone="030 1")
    shop.settle()
    row = shop.find("Customer", Id=customer)
    assert row["PrimaryEmailAddr"]["Address"] == "Piet.Oud@Example.nl, boekhouding@oud.example"
    assert row["PrimaryPhone"]["FreeFormNumber"] == "030 1"


def test_a_relation_with_two_addresses_is_found_from_the_books(open_shop: OpenShop) -> None:
    shop = open_shop("[customers]\nto_till = true")
    add(shop, name="Piet Oud", email="een@x.example, twee@x.example")
    customer = in_books(shop, "P. Oud", "Twee@X.example")
    assert shop.hear_of("Customer", customer, "Create", key="1").state == "done"
    (relation,) = shop.till.till["relations"]
    assert relation["email"] == "een@x.example, twee@x.example"


# --- renamed -----------------------------------------------------------------------------------------------------

BAKERY = {"name": "Piet", "companyName": "Bakkerij Oud", "email": "info@oud.example"}


def test_a_company_renamed_at_the_till_follows_in_the_books(shop: Shop) -> None:
    relation = add(shop, **BAKERY)
    shop.settle()
    shop.till.change_relation(relation, companyName="Bakkerij Nieuw")
    shop.settle()
    row = shop.only("Customer")
    assert (row["DisplayName"], row["CompanyName"]) == ("Bakkerij Nieuw", "Bakkerij Nieuw")


def test_a_person_renamed_at_the_till_follows_in_the_books(shop: Shop) -> None:
    relation = add(shop, **PIET)
    shop.settle()
    shop.till.change_relation(relation, name="Piet Nieuw")
    shop.settle()
    assert shop.only("Customer")["DisplayName"] == "Piet Nieuw"


def test_a_name_that_somebody_wrote_in_the_books_stays(shop: Shop) -> None:
    relation = add(shop, **BAKERY)
    shop.settle()
    customer = shop.only("Customer")["Id"]
    shop.books.put(REALM, "Customer", {"Id": customer, "DisplayName": "Oud, de bakker"})
    shop.till.change_relation(relation, companyName="Bakkerij Nieuw")
    shop.settle()
    row = shop.only("Customer")
    assert (row["DisplayName"], row["CompanyName"]) == ("Oud, de bakker", "Bakkerij Nieuw")


def test_a_customer_that_was_there_before_keeps_its_name(shop: Shop) -> None:
    in_books(shop, "Oud BV", "info@oud.example", CompanyName="Oud BV")
    add(shop, **BAKERY)
    shop.settle()
    assert shop.only("Customer")["DisplayName"] == "Oud BV"


def test_a_new_name_that_is_taken_is_resolved_visibly(shop: Shop) -> None:
    relation = add(shop, **BAKERY)
    shop.settle()
    shop.books.put(REALM, "Vendor", {"DisplayName": "Bakkerij Nieuw"})
    shop.till.change_relation(relation, companyName="Bakkerij Nieuw")
    shop.settle()
    assert shop.only("Customer")["DisplayName"] == "Bakkerij Nieuw (info@oud.example)"


# --- inactive ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("heard", ["webhook", "capture"])
def test_a_sale_to_an_inactive_customer_says_so_and_waits(shop: Shop, heard: str, linked: bool) -> None:
    relation = add(shop, **PIET)
    customer = sell_to(shop, relation) if linked else in_books(shop, "P. Oud", "Piet.Oud@Example.nl")
    switch(shop, customer, active=False)
    receipt = shop.till.sell(lines=[sold(1002)], relation=relation)
    shop.settle()
    event = shop.newest(receipt["receiptId"])
    name = shop.find("Customer", Id=customer)["DisplayName"].removesuffix(" (deleted)")
    assert (event.state, event.code, event.record) == ("parked", "inactive-customer", f'customer "{name}"')
    assert len(shop.rows("Customer")) == 1
    switch(shop, customer, active=True)
    if heard == "webhook":
        shop.hear_of("Customer", customer, "Update", key="active")
    else:
        capture(shop)
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert shop.rows("SalesReceipt")[-1]["CustomerRef"]["value"] == customer


def test_a_customer_created_again_in_the_books_replaces_the_old_one(shop: Shop) -> None:
    relation = add(shop, **PIET)
    former = sell_to(shop, relation)
    switch(shop, former, active=False)
    new = in_books(shop, "Piet Oud (new)", "Piet.Oud@Example.nl")
    capture(shop)
    assert sell_to(shop, relation) == new


def test_an_inactive_customer_merged_away_is_waited_for_no_more(shop: Shop) -> None:
    relation = add(shop, **PIET)
    former = sell_to(shop, relation)
    switch(shop, former, active=False)
    receipt = shop.till.sell(lines=[sold(1002)], relation=relation)
    shop.settle()
    assert shop.newest(receipt["receiptId"]).code == "inactive-customer"
    remaining_id = in_books(shop, "Oud Holding", "holding@oud.example")
    shop.books.merge(REALM, "Customer", remaining_id, former)
    shop.hear_of("Customer", remaining_id, "Merge", key="merge", hint=f'{{"deleted_id": "{former}"}}')
    assert shop.newest(receipt["receiptId"]).state == "done"
    assert shop.rows("SalesReceipt")[-1]["CustomerRef"]["value"] == remaining_id


def test_a_relation_of_an_inactive_customer_makes_no_other(shop: Shop) -> None:
    relation = add(shop, **PIET)
    shop.settle()
    switch(shop, shop.only("Customer")["Id"], active=False)
    shop.till.change_relation(relation, telephone="030 1")
    shop.settle()
    event = shop.newest(str(relation))
    assert (event.state, "inactive in QuickBooks" in (event.reason or "")) == ("skipped", True)
    assert len(shop.rows("Customer")) == 1


def test_an_erased_person_is_not_in_the_index(shop: Shop) -> None:
    in_books(shop, "P. Oud", "Piet.Oud@Example.nl")
    sell_to(shop, add(shop, **PIET))
    with writing(shop.engine) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM customer_addresses").scalar() == 1
    people.erase(shop.engine, "piet.oud@example.nl")
    with writing(shop.engine) as session:
        assert session.connection().exec_driver_sql("SELECT count(*) FROM customer_addresses").scalar() == 0
