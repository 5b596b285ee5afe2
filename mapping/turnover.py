"""The turnover group of a new article: the till requires one, the books have none."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mapping.records import Article, Product, TurnoverGroup

_SALES = (None, "TURNOVER-GROUP-TYPE-TURNOVER")


def with_turnover_groups(product: Product, groups: Iterable[TurnoverGroup]) -> Product:
    """The product; articles without a turnover group get one: that of the VAT code, else the first for sales.

    If the till returns no turnover groups, the till decides.
    """
    sales = sorted((group for group in groups if group.type in _SALES), key=lambda group: group.number)
    if not sales:
        return product
    return replace(product, articles=tuple(_given(article, sales) for article in product.articles))


def _given(article: Article, sales: list[TurnoverGroup]) -> Article:
    if article.turnover_group is not None:
        return article
    fitting = next((group for group in sales if group.vat_code == article.vat_code), sales[0])
    return replace(article, turnover_group=fitting.number)
