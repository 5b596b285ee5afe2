"""Lines of a sale: what was sold, at which price, with which discount, and the totals that follow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from sandbox.mpluskassa import vat
from sandbox.mpluskassa.structs import Record, from_unscaled, quantity, to_cents
from sandbox.mpluskassa.till import Till

INCLUSIVE = "VAT-METHOD-INCLUSIVE"
EXCLUSIVE = "VAT-METHOD-EXCLUSIVE"
PREPARATION, COMPONENT = "LINE-TYPE-PREPARATION", "LINE-TYPE-COMPONENT"


@dataclass(frozen=True, slots=True)
class ItemSold:
    """A line to ring up. `article` 0 is a free line, which needs `text`, `turnover_group`, `vat_code` and a price.

    `price_cents` is per piece in the terms of the sale's VAT method (including VAT unless it is exclusive) and stands
    for the article's own price when None. `discount_cents` is for the whole line, on top of `discount_percent`, and
    has the sign of the line. `vat_rate` (hundredths of a per cent) is the one it was rung up at, before that of its
    code changed. `preparations` and `components` (the parts of a composite article) become sublines.
    """

    article: int
    quantity: Decimal = Decimal(1)
    price_cents: int | None = None
    discount_percent: Decimal = Decimal(0)
    discount_cents: int = 0
    text: str | None = None
    vat_code: int | None = None
    vat_rate: int | None = None
    turnover_group: int | None = None
    preparations: tuple[ItemSold, ...] = ()
    components: tuple[ItemSold, ...] = ()

    @property
    def sublines(self) -> Iterator[tuple[str, ItemSold]]:
        """What hangs under it, each with its type of line."""
        yield from ((PREPARATION, inner) for inner in self.preparations)
        yield from ((COMPONENT, inner) for inner in self.components)


@dataclass(frozen=True, slots=True)
class Pricing:
    """Where and how a line is priced."""

    branch: int
    employee: int
    vat_method: str = INCLUSIVE


FREE_ARTICLE: Record = {"articleNumber": 0, "pluNumber": "", "description": "", "priceIncl": 0, "priceExcl": 0}


def build_line(till: Till, sold: ItemSold, pricing: Pricing) -> Record:
    """A Line with its LineData; raises KeyError for an article, VAT code or turnover group that does not exist."""
    article = till["articles"].get(sold.article) if sold.article else FREE_ARTICLE
    text = sold.text or article.get("receiptText") or article["description"]
    return {
        "lineId": till.new_id("line"),
        "employeeNumber": pricing.employee,
        "articleNumber": sold.article,
        "pluNumber": article["pluNumber"],
        "text": text,
        "data": _build_data(till, sold, article, pricing),
        "lineType": "LINE-TYPE-NONE",
        "preparationList": {
            "line": [{**build_line(till, inner, pricing), "lineType": kind} for kind, inner in sold.sublines]
        },
        "lineKind": "LINE-KIND-DEFAULT",
    }


def _build_data(till: Till, sold: ItemSold, article: Record, pricing: Pricing) -> Record:
    code = article["vatCode"] if sold.vat_code is None else sold.vat_code
    taxed = pricing.vat_method not in vat.TAX_FREE_METHODS
    own_rate = vat.get_rate(till, pricing.branch, code) if sold.vat_rate is None else sold.vat_rate
    rate = own_rate if taxed else 0
    group = till["turnover_groups"].get(sold.turnover_group or article["turnoverGroup"])
    return {
        **quantity("quantity", "decimalPlaces", sold.quantity),
        "originalPrice": article["priceIncl"] if taxed else article["priceExcl"],
        "originalPriceExcl": article["priceExcl"],
        "purchasePrice": article.get("purchasePrice", 0),
        "turnoverGroup": group["turnoverGroup"],
        "turnoverGroupName": group["turnoverGroupName"],
        "turnoverGroupType": group["turnoverGroupType"],
        "turnoverGroupAccountNumber": group["accountNumber"],
        "vatCode": code,
        "vatPercentage": rate if till.switches.untaxed_rates == "zero" else own_rate,
        "discountType": "DISCOUNT-TYPE-NONE",
        "discountPercentage": int(sold.discount_percent * 100),
        "priceType": "PRICE-TYPE-ARTICLE" if sold.price_cents is None else "PRICE-TYPE-SPECIAL",
        **_price(sold, article, rate, pricing.vat_method),
    }


def _price(sold: ItemSold, article: Record, rate: int, vat_method: str) -> Record:
    """Unit prices before and totals after discount, worked out in the terms of the VAT method."""
    inclusive = vat_method == INCLUSIVE
    own_price = article["priceIncl"] if inclusive else article["priceExcl"]
    unit = own_price if sold.price_cents is None else sold.price_cents
    gross = to_cents(sold.quantity * unit)
    discount = to_cents(gross * sold.discount_percent / 100) + sold.discount_cents
    pairs = (("price", "priceExcl", unit), ("discountAmount", "discountAmountExcl", discount))
    priced: Record = {}
    for incl_name, excl_name, amount in (*pairs, ("totalInclAmount", "totalExclAmount", gross - discount)):
        priced[incl_name] = amount if inclusive else vat.to_incl(amount, rate)
        priced[excl_name] = vat.to_excl(amount, rate) if inclusive else amount
    return priced


def walk_data(lines: Iterable[Record]) -> Iterator[Record]:
    """The data of all lines and sublines; lines without data (headers) are passed over."""
    for line in lines:
        if "data" in line:
            yield line["data"]
        yield from walk_data(line.get("preparationList", {}).get("line", []))


def sum_up(lines: list[Record], vat_method: str) -> Record:
    """Totals and VAT groups of a document, which add up exactly."""
    vat_groups = vat.to_vat_groups(walk_data(lines), vat_method)
    excl = sum(group["exclAmount"] for group in vat_groups)
    tax = sum(group["vatAmount"] for group in vat_groups)
    return {
        "totalInclAmount": excl + tax,
        "totalExclAmount": excl,
        "vatMethod": vat_method,
        "vatGroupList": {"vatGroup": vat_groups},
    }


def mirror(line: Record, vat_method: str, pieces: Decimal | None = None) -> ItemSold:
    """What gives a line back, wholly or for some of its pieces, at the price and share of discount it was sold with."""
    data = line["data"]
    sold = from_unscaled(data["quantity"], data["decimalPlaces"])
    share = Decimal(1) if pieces is None else pieces / sold
    price, discount = ("price", "discountAmount") if vat_method == INCLUSIVE else ("priceExcl", "discountAmountExcl")
    return ItemSold(
        article=line["articleNumber"],
        quantity=-(sold if pieces is None else pieces),
        price_cents=data[price],
        discount_cents=-to_cents(data[discount] * share),
        text=line["text"],
        vat_code=data["vatCode"],
        turnover_group=data["turnoverGroup"],
        preparations=_mirror_inner(line, PREPARATION, vat_method) if pieces is None else (),
        components=_mirror_inner(line, COMPONENT, vat_method) if pieces is None else (),
    )


def _mirror_inner(line: Record, kind: str, vat_method: str) -> tuple[ItemSold, ...]:
    return tuple(mirror(inner, vat_method) for inner in line["preparationList"]["line"] if inner["lineType"] == kind)


def show_lines(lines: list[Record], include_sublines: bool) -> list[Record]:
    """Lines as written: with `include_sublines`, a parent's totals hold those of its sublines."""
    return [_show_line(line, include_sublines) for line in lines]


def _show_line(line: Record, include_sublines: bool) -> Record:
    inner = line.get("preparationList", {}).get("line", [])
    if not (include_sublines and inner and "data" in line):
        return line
    data = dict(line["data"])
    for name in ("totalInclAmount", "totalExclAmount"):
        data[name] += sum(part[name] for part in walk_data(inner))
    return {**line, "data": data}
