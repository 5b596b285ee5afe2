"""New articles get a turnover group; what a person or the till chose stays."""

from __future__ import annotations

from mapping.records import Article, Product, TurnoverGroup
from mapping.vat_table import with_turnover_groups

GROUPS = (
    TurnoverGroup(5, "Gifts", "TURNOVER-GROUP-TYPE-TURNOVER", vat_code=2),
    TurnoverGroup(3, "Food", "TURNOVER-GROUP-TYPE-TURNOVER", vat_code=1),
    TurnoverGroup(1, "Gift cards", "TURNOVER-GROUP-TYPE-PAYMENT", vat_code=2),
)


def give(vat_code: int, turnover_group: int | None = None) -> int | None:
    product = Product(None, "x", (Article(number=1, vat_code=vat_code, turnover_group=turnover_group),))
    return with_turnover_groups(product, GROUPS).articles[0].turnover_group


def test_an_article_gets_the_first_sales_group_of_its_vat_code() -> None:
    assert give(vat_code=2) == 5
    assert give(vat_code=1) == 3


def test_an_article_whose_vat_code_no_group_has_gets_the_first_sales_group() -> None:
    assert give(vat_code=9) == 3


def test_a_group_that_was_chosen_stays() -> None:
    assert give(vat_code=2, turnover_group=77) == 77


def test_a_till_that_returns_no_groups_decides_itself() -> None:
    product = Product(None, "x", (Article(number=1, vat_code=2),))
    assert with_turnover_groups(product, ()) == product
