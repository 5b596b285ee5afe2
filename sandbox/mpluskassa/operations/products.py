"""Operations on products and their articles."""

from __future__ import annotations

from sandbox.mpluskassa import catalogue
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record, to_moment
from sandbox.mpluskassa.till import Till


def get_products(till: Till, request: Record) -> Record:
    """Products with the articles that match."""
    return {"productList": {"product": catalogue.list_products(till, request["request"])}}


def create_product(till: Till, request: Record) -> Record:
    """A new product; a refusal answers the numbers 0."""
    try:
        saved = catalogue.create_product(till, request["product"])
    except Refused as refusal:
        return {
            "result": f"CREATE-PRODUCT-RESULT-{refusal.result}",
            "productNumber": 0,
            "errorMessage": refusal.message,
        }
    number = saved.product["productNumber"]
    return {
        "result": "CREATE-PRODUCT-RESULT-OK",
        "productNumber": number,
        "articleNumbers": saved.new,
        **_saved(till, saved),
    }


def update_product(till: Till, request: Record) -> Record:
    """A changed product, with the articles that were known and those that are new."""
    try:
        saved = catalogue.update_product(till, request["product"])
    except Refused as refusal:
        return {"result": f"UPDATE-PRODUCT-RESULT-{refusal.result}", "errorMessage": refusal.message}
    numbers = {"existingArticleNumbers": saved.existing, "newArticleNumbers": saved.new}
    return {"result": "UPDATE-PRODUCT-RESULT-OK", **numbers, **_saved(till, saved)}


def _saved(till: Till, saved: catalogue.Saved) -> Record:
    marker = saved.product["syncMarker"]
    return {"changeTimestamp": to_moment(till.clock()), "syncMarker": marker, "errorMessage": ""}


HANDLERS = {"getProducts": get_products, "createProduct": create_product, "updateProduct": update_product}
