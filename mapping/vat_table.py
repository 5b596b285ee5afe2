"""Tax codes of the books against VAT codes of the till, matched by rate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from mapping.control import Control, Question, resolve
from mapping.errors import MappingError
from mapping.records import TaxCode, VatGroup


@dataclass(frozen=True, slots=True)
class VatTable:
    """The till's VAT groups and the books' tax codes (by id), as both stand today."""

    groups: tuple[VatGroup, ...] = ()
    tax_codes: Mapping[str, TaxCode] = field(default_factory=dict)

    def find_code(self, percentage: Decimal, branch: int | None = None) -> int | None:
        """The VAT code of a rate: the branch's own, else one that means this rate wherever it is used.

        A code that stands for another rate at another branch is not taken: an article has one code for all branches.
        """
        rates: dict[int, set[Decimal]] = {}
        for group in self.groups:
            if branch is None or group.branch in (None, branch):
                rates.setdefault(group.code, set()).add(group.percentage)
        codes = [code for code, percentages in rates.items() if percentages == {percentage}]
        return min(codes, default=None)

    def find_percentage(self, code: int) -> Decimal | None:
        """The rate of a VAT code, when all branches agree on it."""
        rates = {group.percentage for group in self.groups if group.code == code}
        return rates.pop() if len(rates) == 1 else None


def get_vat_code(table: VatTable, control: Control, tax_code_id: str | None, *, record: str) -> int | None:
    """The VAT code of an item's tax code: as the settings say, by rate otherwise; None when it is left out.

    MappingError names the tax code and its rate when nothing fits.
    """
    code = table.tax_codes.get(tax_code_id or "")
    rate = code.percentage if code else None
    automatic = None if rate is None else table.find_code(rate)
    key = code.name if code else tax_code_id or "(no tax code)"
    try:
        answer = resolve(control, Question("products.vat", key, None if automatic is None else str(automatic), record))
    except MappingError as miss:
        raise _no_code(key, rate, record) from miss
    return None if answer.value is None else _as_code(answer.value, record)


def _no_code(key: str, rate: Decimal | None, record: str) -> MappingError:
    shown = "without a rate" if rate is None else f"of {rate.normalize():f} %"
    return MappingError(
        f'tax code "{key}" {shown} has no VAT code at the till',
        record=record,
        field="products.vat",
        fix=f'give the item a tax code whose rate the till knows, or add "{key}" to products.vat in the settings',
    )


def _as_code(value: str, record: str) -> int:
    if not value.isdecimal():
        raise MappingError(
            f'"{value}" is not a VAT code of the till',
            record=record,
            field="products.vat",
            fix="write the number of a VAT group in products.vat",
        )
    return int(value)
