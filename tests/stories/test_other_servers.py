"""The same road where both vendors behave the other way in everything that nobody could verify."""

from __future__ import annotations

from decimal import Decimal

import pytest

from sandbox.mpluskassa.documents import Tender
from sandbox.mpluskassa.lines import ItemSold
from tests.servers import wait_until
from tests.stories.stage import Stage

pytestmark = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


def turn_everything_round(stage: Stage) -> None:
    till, books = stage.till.till.switches, stage.books.switches
    till.percentage_scale = 100
    till.omitted_fields = "keep"
    till.unordered_pages = False
    till.omit_zero_decimal_places = True
    till.omit_empty_lists = True
    till.omit_missing_payload = True
    books.tax_rounding = "code"
    books.rotate_refresh_token = "daily"
    books.deliveries.format = "legacy"


def test_goods_and_sales_flow_to_the_cent_with_servers_of_the_other_kind(stage: Stage) -> None:
    turn_everything_round(stage)
    stage.migrate()
    stage.start()
    stage.send_webhooks()
    stage.add_item("3001", "0.03", rate=21)
    stage.add_item("3002", "9.95", rate=9)
    wait_until(lambda: {3001, 3002} <= stage.articles().keys(), seconds=20, what="both articles at the till")
    receipts = [
        stage.sell(ItemSold(3001)),  # three cents: the VAT of the sum and of the line are not the same
        stage.sell(ItemSold(3002, Decimal(3), discount_percent=Decimal(15)), ItemSold(3001, Decimal(7))),
        stage.sell(ItemSold(3002), payments=[Tender("CONTANT", 995)]),
    ]
    wait_until(lambda: len(stage.documents()) == len(receipts), seconds=20, what="three sales receipts")
    booked = sorted((d["TotalAmt"], d["TxnTaxDetail"]["TotalTax"]) for d in stage.documents())
    rung_up = sorted(
        (
            Decimal(r["totalInclAmount"]) / 100,
            Decimal(r["totalInclAmount"] - r["totalExclAmount"]) / 100,
        )
        for r in receipts
    )
    assert booked == rung_up
    wait_until(
        lambda: len([e for e in stage.events(flow="orders", state="done") if e["entity"] == "Receipt"]) == 3,
        seconds=20,
        what="every sale's event to end",
    )
    assert stage.events(state="parked") == []
