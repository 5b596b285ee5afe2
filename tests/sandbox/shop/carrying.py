"""What a gateway would have done: the books' items put on the shelf of the till."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks import demo
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.shop.furnishing import REALM

VAT_CODES = {0: 0, 9: 1, 21: 2}
Json = dict[str, Any]


def is_for_sale(item: Json) -> bool:
    return bool(item["Active"] and item["Type"] not in {"Category", "Group"} and item.get("Sku", "").isdecimal())


def to_product(item: Json, vat_code: int) -> Json:
    cents = int((Decimal(item["UnitPrice"]) * 100).to_integral_value())
    article = {
        "articleNumber": int(item["Sku"]),
        "description": item["Name"],
        "vatCode": vat_code,
        "turnoverGroup": 4,
        "stockArticle": item.get("TrackQtyOnHand", False),
        "priceIncl" if item["SalesTaxIncluded"] else "priceExcl": cents,
    }
    return {"productNumber": int(item["Sku"]), "description": item["Name"], "articleList": {"article": [article]}}


def carry(books: Books, till: Till, realm: str = REALM) -> int:
    """Put every item that can be sold and is not there yet on the shelf; answers how many."""
    codes = {demo.tax_code_id(books.companies[realm], rate): code for rate, code in VAT_CODES.items()}
    items = [item for item in books.rows(realm, "Item") if is_for_sale(item)]
    fresh = [item for item in items if int(item["Sku"]) not in till.till["articles"]]
    for item in fresh:
        till.add_product(to_product(item, codes[item["SalesTaxCodeRef"]["value"]]))
    return len(fresh)
