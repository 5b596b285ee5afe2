"""VAT as a till computes it: one price from the other, and the tax of a sale per VAT code on the sum of its gross."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from sandbox.mpluskassa.refusals import fail_server
from sandbox.mpluskassa.structs import Record, to_cents
from sandbox.mpluskassa.till import Till

WHOLE = 10_000
"""One hundred per cent in hundredths of a per cent."""

TAX_FREE_METHODS = ("VAT-METHOD-SHIFTED", "VAT-METHOD-NONE")


def get_rate(till: Till, branch: int, code: int) -> int:
    """The rate of a VAT code at a branch in hundredths of a per cent; a `Server` fault when it is not set up."""
    check_configured(till, code)
    return int(till["vat_groups"].get(f"{branch}/{code}")["vatPercentage"])


def check_configured(till: Till, code: int) -> None:
    """A `Server` fault when this is the code the simulation was told to break."""
    if till.switches.vat_misconfigured == code:
        raise fail_server(f"The rate for VAT-code {code} is not properly configured.")


def knows_code(till: Till, code: int) -> bool:
    """Whether any branch has this VAT code."""
    return any(row["vatCode"] == code for row in till["vat_groups"])


def to_excl(incl: int, rate: int) -> int:
    """Cents without tax of cents with tax."""
    return to_cents(Decimal(incl * WHOLE) / (WHOLE + rate))


def to_incl(excl: int, rate: int) -> int:
    """Cents with tax of cents without tax."""
    return to_cents(Decimal(excl * (WHOLE + rate)) / WHOLE)


def to_vat_groups(amounts: Iterable[Record], vat_method: str) -> list[Record]:
    """Net and tax per VAT code of line data; computed on the sums, so that a code is rounded once."""
    sums: dict[tuple[int, int], list[int]] = {}
    for data in amounts:
        total = sums.setdefault((data["vatCode"], data["vatPercentage"]), [0, 0])
        total[0] += data["totalInclAmount"]
        total[1] += data["totalExclAmount"]
    return [_vat_group(key, total, vat_method) for key, total in sorted(sums.items())]


def _vat_group(key: tuple[int, int], total: list[int], vat_method: str) -> Record:
    code, rate = key
    incl, excl = total
    if vat_method == "VAT-METHOD-INCLUSIVE":
        excl = to_excl(incl, rate)
    elif vat_method == "VAT-METHOD-EXCLUSIVE":
        incl = to_incl(excl, rate)
    return {"vatCode": code, "vatPercentage": rate, "exclAmount": excl, "vatAmount": incl - excl}
