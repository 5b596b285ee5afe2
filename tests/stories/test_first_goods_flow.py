"""The whole road: an item of the books becomes an article, a sale of the till a document, to the cent and once."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from tests.servers import wait_until
from tests.stories.stage import REALM, Stage

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def test_an_item_becomes_an_article_by_webhook_once_if_delivered_twice(stage: Stage) -> None:
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    item = stage.add_item("1001", "12.50", name="Oude kaas", Description="Een jaar gerijpt", rate=9)
    wait_until(lambda: 1001 in stage.articles(), what="the article at the till")
    article = stage.articles()[1001]
    assert (article["description"], article["priceIncl"], article["vatCode"]) == ("Oude kaas", 1250, 1)
    assert (article["extArticleId"], article["active"], article["stockArticle"]) == (item["Id"], True, False)
    writes = len(stage.till.till.ledger)
    stage.books.put(REALM, "Item", {"Id": item["Id"], "PurchaseDesc": "seen by nobody"})
    wait_until(lambda: len([e for e in stage.events(flow="products") if e["state"] == "done"]) >= 2, what="the echo")
    assert len(stage.till.till.ledger) == writes


def test_an_item_that_goes_inactive_leaves_the_till_and_comes_back(stage: Stage) -> None:
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    item = stage.add_item("1002", "3.00")
    wait_until(lambda: 1002 in stage.articles(), what="the article at the till")
    stage.books.put(REALM, "Item", {"Id": item["Id"], "Active": False})
    wait_until(lambda: stage.articles()[1002]["active"] is False, what="the article to go inactive")
    stage.books.put(REALM, "Item", {"Id": item["Id"], "Active": True})
    wait_until(lambda: stage.articles()[1002]["active"] is True, what="the article to come back")


def test_an_item_whose_webhook_is_lost_is_found_by_change_data_capture(stage: Stage) -> None:
    stage.migrate()
    stage.start()
    stage.add_item("1003", "4.95")
    wait_until(lambda: 1003 in stage.articles(), what="the article at the till")
    assert {e["source"] for e in stage.events(flow="products")} == {"quickbooks.cdc"}


def test_a_sale_of_two_rates_with_a_discount_is_booked_to_the_cent_once(stage: Stage) -> None:
    stage.add_item("2001", "9.99", rate=21)
    stage.add_item("2002", "3.33", rate=9)
    for number, cents, vat in ((2001, 999, 2), (2002, 333, 1)):
        stage.add_article(number, cents, vat)
    relation = stage.till.add_relation(name="Jan de Vries", email="Jan@Example.NL", city="Utrecht")
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    receipt = stage.sell(
        ItemSold(2001, Decimal(3), discount_percent=Decimal(10)),
        ItemSold(2002, Decimal(2)),
        relation=relation["relationNumber"],
    )
    wait_until(stage.documents, what="the sales receipt in the books")
    (document,) = stage.documents()
    vat = receipt["vatGroupList"]["vatGroup"]
    assert document["TotalAmt"] == Decimal(receipt["totalInclAmount"]) / 100
    assert document["TxnTaxDetail"]["TotalTax"] == Decimal(sum(group["vatAmount"] for group in vat)) / 100
    customer = stage.books.find(REALM, "Customer", Id=document["CustomerRef"]["value"])
    assert customer is not None
    assert customer["PrimaryEmailAddr"]["Address"] == "jan@example.nl"
    department = stage.books.find(REALM, "Department", Id=document["DepartmentRef"]["value"])
    assert department is not None
    wait_until(lambda: stage.events(flow="orders", state="done", q=document["DocNumber"][1:]), what="the event's end")
    (event,) = [e for e in stage.events(flow="orders", state="done") if e["entity"] == "Receipt"]
    assert (event["target"]["entity"], event["target"]["id"]) == ("SalesReceipt", document["Id"])
    again = stage.post(f"orders/{receipt['receiptId']}/resend?wait=20", {"reason": "to be sure"})
    assert again.status_code == 200
    assert again.json()["state"] == "done"
    assert len(stage.documents()) == 1


def test_a_walk_in_is_booked_on_the_default_debtor_which_is_made_once(stage: Stage) -> None:
    stage.add_item("2003", "1.00")
    stage.add_article(2003, 100, 2)
    stage.migrate()
    stage.start()
    for _ in range(3):
        stage.sell(ItemSold(2003), payments=[Tender("CONTANT", 100)])
    wait_until(lambda: len(stage.documents()) == 3, what="three sales receipts")
    assert len({d["CustomerRef"]["value"] for d in stage.documents()}) == 1
    assert len([c for c in stage.books.rows(REALM, "Customer") if c["DisplayName"] == "MplusKASSA counter sales"]) == 1
    assert stage.books.find(REALM, "PaymentMethod", Name="Contant") is not None


def test_a_sale_of_an_unknown_article_is_parked_and_goes_on_with_the_item(stage: Stage) -> None:
    stage.add_article(2004, 250, 2)
    stage.migrate()
    stage.start()
    receipt = stage.sell(ItemSold(2004))
    wait_until(lambda: stage.events(state="parked"), what="the parked sale")
    (parked,) = stage.events(state="parked")
    assert "2004" in parked["reason"]
    stage.add_item("2004", "2.50")
    assert stage.post(f"events/{parked['id']}/retry", {}).status_code in {200, 202}
    wait_until(stage.documents, what="the sales receipt")
    assert stage.documents()[0]["TotalAmt"] == Decimal(receipt["totalInclAmount"]) / 100


def test_a_dry_run_says_what_would_be_sent_and_writes_nothing(stage: Stage) -> None:
    stage.add_item("2005", "7.77")
    stage.add_article(2005, 777, 2)
    receipt = stage.sell(ItemSold(2005))  # before the gateway knew the till: never polled
    stage.migrate()
    stage.start()
    answer = stage.post(f"orders/{receipt['receiptId']}/resend?wait=20", {"dry_run": True, "reason": "a look"})
    assert answer.status_code == 200
    assert Decimal(str(answer.json()["result"]["total"])) == Decimal("7.77")
    assert stage.documents() == []
    real = stage.post(f"orders/{receipt['receiptId']}/resend?wait=20", {"reason": "for real"})
    assert real.json()["state"] == "done"
    assert [d["TotalAmt"] for d in stage.documents()] == [Decimal("7.77")]


def test_status_counts_what_flowed_and_shows_an_event_with_its_log(stage: Stage) -> None:
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    stage.add_item("1004", "1.00")
    wait_until(lambda: stage.events(flow="products", state="done"), what="the event to end")
    # A webhook and change data capture may both have told of it: whichever came first wrote the article.
    told = [stage.admin(f"events/{event['id']}") for event in stage.events(flow="products", state="done")]
    assert {event["sku"] for event in told} == {"1004"}
    assert told[0]["target"] == {"entity": "Article", "id": "1004"}
    assert any(entry["title"] == "createProduct" for event in told for entry in event["log"])
    status = stage.admin("status")
    assert status["connections"][0]["name"] == "default"
