"""Stock: absolute and relative, per branch, with a history that says who moved what."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from sandbox.mpluskassa.lines import ItemSold
from tests.sandbox.mpluskassa.conftest import Sandbox


def set_stock(service: Any, amount: int, places: int = 0, branch: int = 1, article: int = 1001) -> Any:
    request = {"branchNumber": branch, "articleNumber": article, "amount": amount, "decimalPlaces": places}
    return service.setStock(request=request)


def change_stock(service: Any, amount: int, places: int = 0, branch: int = 1, article: int = 1001) -> Any:
    request = {"branchNumber": branch, "articleNumber": article, "amountChanged": amount, "decimalPlaces": places}
    return service.updateStock(request=request)


def read_stock(service: Any, branch: int = 1, **more: Any) -> Any:
    return service.getStock(request={"branchNumber": branch, "articleNumbers": {"articleNumbers": [1001]}, **more})


def history(service: Any, since: int = 0) -> list[Any]:
    return list(service.getStockHistoryV2(request={"sinceStockId": since}))


def test_set_is_absolute_update_is_relative_and_branches_are_apart(till: Any) -> None:
    set_stock(till, 10)
    set_stock(till, 10)
    change_stock(till, -15, 1)
    set_stock(till, 3, branch=2)
    utrecht, amersfoort = read_stock(till)[0], read_stock(till, 2)[0]
    assert (utrecht.amountFree, utrecht.decimalPlacesFree) == (85, 1)
    assert (amersfoort.amountFree, amersfoort.decimalPlacesFree) == (3, 0)


def test_several_branches_may_be_asked_at_once(service: Any) -> None:
    set_stock(service, 1)
    set_stock(service, 2, branch=2)
    rows = read_stock(service, branchNumbers={"branchNumber": [1, 2]})
    assert [(row.branchNumber, row.amountFree) for row in rows] == [(1, 1), (2, 2)]


def test_absent_decimal_places_mean_whole_pieces(service: Any, sandbox: Sandbox) -> None:
    sandbox.simulation.till.switches.omit_zero_decimal_places = True
    service.setStock(request={"branchNumber": 1, "articleNumber": 1001, "amount": 7})
    row = read_stock(service)[0]
    assert (row.amountFree, row.decimalPlacesFree) == (7, None)


@pytest.mark.parametrize(
    ("branch", "article", "result"),
    [(9, 1001, "BRANCH-NOT-FOUND"), (1, 404, "ARTICLE-NOT-FOUND"), (1, 2001, "NO-STOCK-ARTICLE")],
)
def test_what_cannot_be_booked_says_why(service: Any, branch: int, article: int, result: str) -> None:
    assert set_stock(service, 1, 0, branch, article).result == f"SET-STOCK-RESULT-{result}"
    assert change_stock(service, 1, 0, branch, article).result == f"UPDATE-STOCK-RESULT-{result}"


def test_every_movement_has_a_rising_number_and_its_kind(service: Any, sandbox: Sandbox) -> None:
    first = set_stock(service, 10).stockId
    sandbox.simulation.count_stock(1, 1001, Decimal(9))
    receipt = sandbox.simulation.sell(lines=[ItemSold(1001, Decimal(2))])
    rows = history(service, first)
    assert [row.stockId for row in rows] == [first, first + 1, first + 2]
    assert [row.type.removeprefix("STOCK-HISTORY-TYPE-") for row in rows] == ["API", "MANUAL", "SALES"]
    assert [row.amountChanged for row in rows] == [10, -1, -2]
    assert (rows[2].receiptId, rows[2].receiptNumber.number) == (receipt["receiptId"], 1)
    assert len(history(service, first + 1)) == 2


def test_a_stock_id_works_like_a_marker(service: Any) -> None:
    stock_id = set_stock(service, 10).stockId
    assert len(read_stock(service, stockId=stock_id)) == 1
    assert not read_stock(service, stockId=stock_id + 1)


def test_orders_reserve_what_is_then_not_free(service: Any, sandbox: Sandbox) -> None:
    set_stock(service, 10)
    order = sandbox.simulation.take_order(lines=[ItemSold(1001, Decimal(4))], relation=501)
    row = read_stock(service)[0]
    assert (row.amountFree, row.amountReserved) == (6, 4)
    sandbox.simulation.deliver_order(order["orderId"])
    row = read_stock(service)[0]
    assert (row.amountFree, row.amountReserved) == (6, 0)


@pytest.mark.parametrize(("meaning", "free"), [("physical", 6), ("free", 10)])
def test_set_stock_means_what_the_simulation_says(service: Any, sandbox: Sandbox, meaning: str, free: int) -> None:
    sandbox.simulation.till.switches.set_stock_sets = meaning
    sandbox.simulation.take_order(lines=[ItemSold(1001, Decimal(4))], relation=501)
    set_stock(service, 10)
    assert read_stock(service)[0].amountFree == free


def correct(service: Any, *pairs: tuple[int, int], mode: str = "ABSOLUTE") -> Any:
    rows = [{"articleNumber": article, "amount": amount, "decimalPlaces": 0} for article, amount in pairs]
    request = {"branchNumber": 1, "employeeNumber": 1, "reference": "telling"}
    modes = {"correctionMode": f"STOCK-CORRECTION-MODE-{mode}"}
    return service.saveStockCorrections(request={**request, "stockCorrectionList": {"correction": rows}, **modes})


def test_corrections_are_all_or_nothing(service: Any) -> None:
    assert correct(service, (1001, 5)).result == "SAVE-STOCK-CORRECTIONS-RESULT-OK"
    correct(service, (1001, -2), mode="RELATIVE")
    refused = correct(service, (1001, 99), (2001, 1))
    assert (refused.result, refused.failedArticleNumber) == ("SAVE-STOCK-CORRECTIONS-RESULT-NO-STOCK-ARTICLE", 2001)
    assert correct(service, (1001, 1), (1001, 2)).result == "SAVE-STOCK-CORRECTIONS-RESULT-DUPLICATE-ARTICLE"
    assert correct(service).result == "SAVE-STOCK-CORRECTIONS-RESULT-NO-CORRECTIONS"
    assert read_stock(service)[0].amountFree == 3
