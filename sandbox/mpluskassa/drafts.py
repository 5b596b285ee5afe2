"""Orders and invoices as callers write them: their lines and place, turned into what the till can ring up."""

from __future__ import annotations

from decimal import Decimal

from sandbox.mpluskassa import vat
from sandbox.mpluskassa.documents import Occasion, Tender
from sandbox.mpluskassa.lines import INCLUSIVE, ItemSold
from sandbox.mpluskassa.premises import SUPPORT_EMPLOYEE
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record, from_moment, from_unscaled
from sandbox.mpluskassa.till import Till


def read_occasion(till: Till, draft: Record) -> Occasion:
    """Where and for whom a draft is; raises `Refused` when a number in it does not exist."""
    branch = draft.get("financialBranchNumber") or draft.get("entryBranchNumber")
    employee = draft.get("employeeNumber")
    required = (("branches", "branch", branch), ("employees", "employee", employee))
    for table, name, number in (*required, ("relations", "relation", draft.get("relationNumber"))):
        if number not in till[table]:
            raise Refused("FAILED", f"The {name} {number} does not exist.")
    return Occasion(
        branch=int(branch or 0),
        workplace=draft.get("workplaceNumber", 1),
        employee=employee or SUPPORT_EMPLOYEE,
        relation=draft["relationNumber"],
        when=from_moment(draft.get("entryTimestamp")),
        reference=draft.get("reference", ""),
        vat_method=draft.get("vatMethod", INCLUSIVE),
    )


def read_items(till: Till, draft: Record) -> list[ItemSold]:
    """The lines of a draft; raises `Refused` for none, an unknown article or VAT code, or a line without quantity."""
    lines = draft.get("lineList", {}).get("line", [])
    if not lines:
        raise Refused("FAILED", "There are no lines.")
    return [_read_item(till, line, draft.get("vatMethod", INCLUSIVE)) for line in lines]


def _read_item(till: Till, line: Record, vat_method: str) -> ItemSold:
    number, data = line["articleNumber"], line.get("data")
    if number not in till["articles"]:
        raise Refused("FAILED", f"Article {number} does not exist.")
    if data is None:
        raise Refused("FAILED", f"The line of article {number} has no quantity.")
    if "vatCode" in data and not vat.knows_code(till, data["vatCode"]):
        raise Refused("FAILED", f"VAT code {data['vatCode']} does not exist.")
    inclusive = vat_method == INCLUSIVE
    return ItemSold(
        article=number,
        quantity=from_unscaled(data["quantity"], data.get("decimalPlaces")),
        price_cents=data.get("price" if inclusive else "priceExcl"),
        discount_percent=Decimal(data.get("discountPercentage", 0)) / 100,
        discount_cents=data.get("discountAmount" if inclusive else "discountAmountExcl", 0),
        text=line.get("text") or None,
        vat_code=data.get("vatCode"),
        preparations=tuple(_read_item(till, inner, vat_method) for inner in _sublines(line)),
    )


def _sublines(line: Record) -> list[Record]:
    inner: list[Record] = line.get("preparationList", {}).get("line", [])
    return inner


def read_tenders(holder: Record) -> list[Tender]:
    """The payments in a request's `paymentList`."""
    payments = holder.get("paymentList", {}).get("payment", [])
    return [Tender(payment["method"], payment["amount"]) for payment in payments]
