"""Probes of the till that make test records: updates that leave something out, lists, long texts, searches."""

from __future__ import annotations

import uuid
from typing import Any

from gateway.connectors.mpluskassa.wire import rows
from gateway.errors import GatewayError
from tests.contract.books import mark
from tests.contract.probe import Fit, Probe, Seen, Unclear, Way
from tests.contract.till import Till

LONG = 400


def _change(till: Till, number: int, **fields: Any) -> None:
    """Change an article by an update that says nothing but these fields and what identifies it."""
    raw, product = till.raw_article(number), till.raw_product(number)
    body = {name: raw[name] for name in ("articleNumber", "description", "vatCode", "turnoverGroup") if name in raw}
    article = {"article": [{**body, **fields}]}
    till.write("updateProduct", product={"productNumber": product["productNumber"], "articleList": article})


def ask_omitted(till: Till) -> Seen:
    number = till.article(extraText="stays?", webshop=False)
    _change(till, number, priceIncl=200)
    raw = till.raw_article(number)
    if raw.get("priceIncl") != 200:
        raise Unclear(f"the update did not change the price: {raw.get('priceIncl')}")
    found = raw.get("extraText")
    return Seen("kept" if found == "stays?" else "cleared", f"extraText was left out of an update and reads {found!r}")


def ask_lists(till: Till) -> Seen:
    codes = [f"29{uuid.uuid4().int % 10**10:010}" for _ in range(2)]
    entries = [{"barcode": code, "description": code} for code in codes]
    number = till.article(barcodeList={"barcode": entries})
    if len(_barcodes(till, number)) != len(entries):
        raise Unclear("the installation does not keep a list of two barcodes")
    _change(till, number, barcodeList={"barcode": entries[:1]})
    found = _barcodes(till, number)
    way = "replaced" if set(found) == {codes[0]} else "merged" if set(codes) <= set(found) else "lost"
    return Seen(way, f"of two barcodes one was sent again: {len(found)} are there")


def _barcodes(till: Till, number: int) -> list[str]:
    return [row["barcode"] for row in rows(till.raw_article(number), "barcodeList", "barcode")]


def ask_long_text(till: Till) -> Seen:
    text = mark("x" * LONG)
    try:
        found = till.raw_article(till.article(description=text)).get("description") or ""
    except GatewayError as error:
        return Seen("refused", f"a description of {len(text)} characters: {error.reason}")
    return Seen("kept" if found == text else "cut", f"a description of {len(text)} characters reads {len(found)}")


def ask_search(till: Till) -> Seen:
    address = f"Kb.Probe.{uuid.uuid4().hex[:8]}@Example.org"
    till.relation(email=address)
    exact, lower = (
        till.read("findRelationV2", request={"relation": {"email": each}, "exactMatch": True}).get("relation")
        for each in (address, address.lower())
    )
    if not exact:
        raise Unclear("a relation is not found by the address it was made with a moment ago")
    return Seen("case aside" if lower else "exact", f"looked for without capitals: {'found' if lower else 'not found'}")


PROBES = (
    Probe(
        "left-out-fields", "mpluskassa", "What does updateProduct do with a field that is left out?", "mplus.md 2, 9",
        "makes an article inactive again",
        (
            Way("kept", "nothing depends on it: the whole product is sent as it was read"),
            Way("cleared", "nothing depends on it: the whole product is sent as it was read"),
        ),
        ask_omitted, writes=True,
    ),
    Probe(
        "sub-lists", "mpluskassa", "What becomes of an entry that is left out of a list that is sent?",
        "mplus.md 2, 9", "makes an article inactive again",
        (
            Way("replaced", "a list is as it was sent"),
            Way("merged", "what was removed from a list stays: remove it at the till"),
            Way("lost", "an update harms lists: leave existing products alone",
                "products.update_existing = false", Fit.SET),
        ),
        ask_lists, writes=True,
    ),
    Probe(
        "long-texts", "mpluskassa", f"What becomes of a description of more than {LONG} characters?", "mplus.md 2, 9",
        "makes an article inactive again",
        (
            Way("kept", "texts arrive whole"),
            Way("cut", "long texts would be written again at each look: shorten them in the mapping",
                'products.fields.description = { do = "text", action = "left", length = 100, of = "Name" }', Fit.SET),
            Way("refused", "such an item is parked: shorten its text in the mapping",
                'products.fields.description = { do = "text", action = "left", length = 100, of = "Name" }', Fit.SET),
        ),
        ask_long_text, writes=True,
    ),
    Probe(
        "search-case", "mpluskassa", "Does an exact search for an e-mail address look at capitals?", "mplus.md 4",
        "makes a relation inactive again",
        (
            Way("case aside", "relations are found however the address is written"),
            Way("exact", "one in other capitals is found by part of its address, unless that fits another"),
        ),
        ask_search, writes=True,
    ),
)  # fmt: skip
