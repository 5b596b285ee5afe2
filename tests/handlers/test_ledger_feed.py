"""What happens to our documents in the books when no webhook tells of it."""

from __future__ import annotations

from collections.abc import Callable

from handlers.polling import ledger_feed
from tests.handlers.shop import REALM, Shop, sold


def book(shop: Shop) -> str:
    shop.till.sell(lines=[sold(1003)])
    shop.settle()
    return str(shop.rows("SalesReceipt")[-1]["Id"])


def look(shop: Shop) -> list[tuple[str, str | None]]:
    """Poll and carry; answers what came of each event."""
    found = ledger_feed.poll(shop.deps())
    shop.work()
    return [(shop.event(each).operation or "", shop.event(each).code) for each in found]


def test_our_own_documents_are_no_news(shop: Shop) -> None:
    assert look(shop) == []
    book(shop)
    assert look(shop) == []
    assert look(shop) == []


def test_a_deleted_a_voided_and_an_edited_document_are_shown_once_each(shop: Shop) -> None:
    look(shop)
    deleted, edited = book(shop), book(shop)
    shop.books.delete(REALM, "SalesReceipt", deleted)
    shop.books.put(REALM, "SalesReceipt", {"Id": edited, "PrivateNote": "by hand"})
    assert sorted(look(shop)) == [("deleted", "gone-in-books"), ("edited", "edited-in-books")]
    assert look(shop) == []


def test_what_others_book_is_none_of_our_business(shop: Shop) -> None:
    look(shop)
    document = {"Line": [{"Amount": 1, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": {
        "ItemRef": {"value": shop.find("Item", Sku="1001")["Id"]},
        "TaxCodeRef": {"value": shop.find("TaxCode", Name="0% BTW")["Id"]},
    }}]}  # fmt: skip
    shop.books.put(REALM, "SalesReceipt", document)
    assert look(shop) == []


def test_customers_of_the_books_are_followed_when_they_are_wanted_at_the_till(open_shop: Callable[..., Shop]) -> None:
    shop = open_shop("[customers]\nto_till = true")
    look(shop)
    shop.books.put_customer(REALM, {"DisplayName": "Anna", "PrimaryEmailAddr": {"Address": "anna@example.nl"}})
    assert look(shop) == [("updated", None)]
    assert [row["email"] for row in shop.till.till["relations"]] == ["anna@example.nl"]
