"""What the settings choose of the books' small lists: a tax code for a rate, an entry by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from mapping.control import Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.messages import message
from mapping.records import ListEntry, Sale, TaxCode, VatAmount
from mapping.sale_identity import name_record


def tax_code(
    amount: VatAmount, known: Sequence[TaxCode], rule: Control, *, country: str | None, source: Sale, place: str
) -> TaxCode:
    """The tax code for a VAT code of a sale, of those that are active. Raises `MappingError` naming the rate.

    A row "DEU:19" of the table, for the buyer's `country`, comes before a row "19". `place` is the branch as messages
    name it.
    """
    active = [code for code in known if code.active]
    plain = f"{amount.percentage.normalize():f}"
    foreign = f"{country}:{plain}"
    rate = foreign if foreign in rule.table else plain
    same_rate = sorted((c for c in active if c.percentage == amount.percentage), key=lambda c: (len(c.id), c.id))
    chosen = resolve(
        rule,
        ControlQuestion(
            setting="mapping.tax_codes",
            key=rate,
            automatic=same_rate[0].id if same_rate else None,
            record=name_record(source),
            source=source,
            what=message("VAT rate {rate} % of {place}", rate=plain, place=country if rate == foreign else place),
        ),
    ).value
    found = next((c for c in active if chosen in {c.id, c.name}), None)
    if found is None:
        raise MappingError(
            message(
                "QuickBooks has no active tax code {chosen}, which the settings choose for VAT rate {plain} %",
                chosen=chosen,
                plain=plain,
            ),
            record=name_record(source),
            field="mapping.tax_codes",
            fix="name an active tax code in mapping.tax_codes",
        )
    return found


def untaxed(name: str | None, known: Iterable[TaxCode]) -> TaxCode | None:
    """The 0 % code of rounding lines and of sales without VAT: the one that is named, else the first one."""
    if name:
        return named_tax_code(name, known)
    zero = [code for code in known if code.active and code.percentage == 0]
    return min(zero, key=lambda code: (len(code.id), code.id), default=None)


def named_tax_code(name: str | None, known: Iterable[TaxCode]) -> TaxCode | None:
    """The active tax code of this id or name; None if it is not set or does not exist."""
    return next((code for code in known if name and code.active and name in {code.id, code.name}), None)


def named(name: str, entries: Iterable[ListEntry]) -> ListEntry | None:
    """The active entry of this name, capitals and surrounding space aside."""
    wanted = name.strip().casefold()
    return next((e for e in entries if e.active and e.name.strip().casefold() == wanted), None)


def by_name_or_id(chosen: str, entries: Iterable[ListEntry]) -> str:
    """The id for a value in the settings, which is an id or a name."""
    found = list(entries)
    if any(e.id == chosen for e in found):
        return chosen
    entry = named(chosen, found)
    return entry.id if entry else chosen
