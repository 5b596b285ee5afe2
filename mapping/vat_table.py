"""Tax codes of the books and VAT codes of the till, matched by rate; and the turnover group of a new article."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Final

from mapping.control import Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.items import name_item
from mapping.messages import message
from mapping.money import show_number
from mapping.records import Item, Product, TaxCode, TurnoverGroup, VatGroup
from mapping.rules import find_row
from mapping.sections import ProductSettings


@dataclass(frozen=True, slots=True)
class VatTable:
    """The till's VAT groups and the books' tax codes (by id), as of today."""

    groups: tuple[VatGroup, ...] = ()
    tax_codes: Mapping[str, TaxCode] = field(default_factory=dict)

    def find_code(self, percentage: Decimal, branch: int | None = None) -> int | None:
        """The VAT code of a rate: the branch's, or (no branch) one that means this rate at every branch that uses it.

        An article has one code for all branches, each of which taxes it by its own rate of that code. So without a
        deciding branch, a code with another rate at another branch is not used, and among the matching codes the one
        that most branches have is used.
        """
        rates = self._rates(branch)
        codes = [code for code, by_branch in rates.items() if set(by_branch.values()) == {percentage}]
        return min(codes, key=lambda code: (-len(rates[code]), code), default=None)

    def find_percentage(self, code: int, branch: int | None = None) -> Decimal | None:
        """The rate of a VAT code at a branch, or the rate on which all branches agree."""
        rates = set(self._rates(branch).get(code, {}).values())
        return rates.pop() if len(rates) == 1 else None

    def find_split(self, percentage: Decimal) -> str | None:
        """A description of the first code that means this rate at one branch and another rate at another."""
        for code, by_branch in sorted(self._rates().items()):
            if percentage in by_branch.values() and len(set(by_branch.values())) > 1:
                meanings = (f"{show_number(rate)} % at branch {branch}" for branch, rate in by_branch.items())
                return f"VAT code {code} means {', '.join(meanings)}"
        return None

    def _rates(self, branch: int | None = None) -> dict[int, dict[int | None, Decimal]]:
        rates: dict[int, dict[int | None, Decimal]] = {}
        for group in self.groups:
            if branch is None or group.branch in (None, branch):
                rates.setdefault(group.code, {})[group.branch] = group.percentage
        return rates


def get_vat_code(
    table: VatTable, control: Control, tax_code_id: str | None, *, branch: int | None = None
) -> int | None:
    """The VAT code of an item's tax code: from the settings, otherwise by rate; None if it is left out.

    `branch` is the one whose rates decide if branches differ. MappingError names the tax code and its rate if
    nothing matches.
    """
    code = table.tax_codes.get(tax_code_id or "")
    rate = code.percentage if code else None
    automatic = None if rate is None else table.find_code(rate, branch)
    key = code.name if code else tax_code_id or "(no tax code)"
    try:
        answer = resolve(control, ControlQuestion("products.vat", key, None if automatic is None else str(automatic)))
    except MappingError as miss:
        split = table.find_split(rate) if rate is not None and branch is None else None
        if split:
            said = (
                'tax code "{key}" has no VAT code with one rate at all branches: {split}, and an article has one VAT '
                "code"
            )
            raise MappingError(
                message(said, key=key, split=split),
                code="no-vat-code",
                field="products.vat_branch",
                fix="name the branch whose rates decide in products.vat_branch, or add the tax code to products.vat",
            ) from miss
        shown = message("without a rate") if rate is None else message("of {rate} %", rate=show_number(rate))
        said = 'give the item a tax code whose rate the till has, or add "{key}" to products.vat in the settings'
        raise MappingError(
            message('tax code "{key}" {shown} has no VAT code at the till', key=key, shown=shown),
            code="no-vat-code",
            field="products.vat",
            fix=message(said, key=key),
        ) from miss
    if answer.value is not None and not answer.value.isdecimal():
        raise MappingError(
            message('"{value}" is not a VAT code of the till', value=answer.value),
            code="no-such-vat-code",
            field="products.vat",
            fix="write the number of a VAT group in products.vat",
        )
    return None if answer.value is None else int(answer.value)


SALES_GROUPS: Final = (None, "TURNOVER-GROUP-TYPE-TURNOVER")
"""The types of turnover groups for what is sold; other groups are for deposits, gift cards and the like."""
NO_CATEGORY: Final = "(no category)"
"""How the settings name the items without a category."""


def find_turnover_group(item: Item, vat_code: int | None, settings: ProductSettings) -> int | None:
    """The turnover group the settings choose for a new article: by category, else by VAT code, else the one for all.

    MappingError if they choose none and say that a person is asked.
    """
    by_category, by_vat_code = settings.turnover_group_by_category, settings.turnover_group_by_vat_code
    key, row = find_category_row(item.categories, by_category, item.parent_id)
    record, source = name_item(item), item.rule_source
    asked = [(by_category, ControlQuestion("products.turnover_group_by_category", key, row, record, source))]
    if vat_code is not None:
        own = ControlQuestion("products.turnover_group_by_vat_code", str(vat_code), None, record, source)
        asked.append((by_vat_code, own))
    for control, question in asked:
        value = resolve(control, question).value
        if value is not None:
            if not value.isdecimal():
                raise MappingError(
                    message('"{value}" is not a turnover group of the till', value=value),
                    code="no-such-turnover-group",
                    record=record,
                    field=question.setting,
                    fix=message("write the number of a turnover group in {setting}", setting=question.setting),
                )
            return int(value)
    return settings.turnover_group


def find_category_row(path: Sequence[str], control: Control, category_id: str | None = None) -> tuple[str, str | None]:
    """The key by which the settings name a category, or the nearest one above it, and its row; None without a row."""
    above = [":".join(path[:length]) for length in range(len(path), 0, -1)]
    keys = [*above[:1], *([category_id] if category_id else []), *path[-1:], *above[1:]] or [NO_CATEGORY]
    return next(((key, row) for key in keys if (row := find_row(control.table, key)) is not None), (keys[0], None))


def with_turnover_groups(product: Product, groups: Iterable[TurnoverGroup]) -> Product:
    """The product; articles without a turnover group get one: that of the VAT code, else the first for sales.

    If the till returns no turnover groups, the till decides.
    """
    sales = sorted((group for group in groups if group.type in SALES_GROUPS), key=lambda group: group.number)
    if not sales:
        return product
    articles = list(product.articles)
    for at, article in enumerate(articles):
        if article.turnover_group is None:
            fitting = next((group for group in sales if group.vat_code == article.vat_code), sales[0])
            articles[at] = replace(article, turnover_group=fitting.number)
    return replace(product, articles=tuple(articles))
