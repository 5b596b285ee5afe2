"""Products and their articles: numbers that are unique, prices that belong together, markers that rise.

A product is the unit of change: creating or updating it gives the product and all its articles one new marker, so that
a page never hides an article behind a higher marker of its sibling.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from sandbox.mpluskassa import groups, vat
from sandbox.mpluskassa.markers import raise_marker
from sandbox.mpluskassa.refusals import Refused
from sandbox.mpluskassa.structs import Record, to_moment
from sandbox.mpluskassa.till import Till

ARTICLE_DEFAULTS: Record = {
    "extArticleId": "",
    "pluNumber": "",
    "active": True,
    "description": "",
    "colour": "",
    "size": "",
    "invoiceText": "",
    "receiptText": "",
    "displayText": "",
    "barcode": "",
    "extraText": "",
    "purchasePrice": 0,
    "priceIncl": 0,
    "priceExcl": 0,
    "supplierArticleNumber": "",
    "webshop": False,
    "stockArticle": False,
    "specialPrice": "PRICE-NORMAL",
    "customFieldList": {"customField": []},
    "discontinued": False,
}
PRODUCT_DEFAULTS: Record = {"description": "", "extraText": "", "groupNumbers": []}
READ_ONLY = ("syncMarker", "changeTimestamp", "createTimestamp", "averagePurchasePrice", "vatPercentage")
TEXTS = ("description", "invoiceText", "receiptText", "displayText", "extraText")
SURVIVING = ("createTimestamp", "averagePurchasePrice")


@dataclass
class Saved:
    """What saving a product did."""

    product: Record
    existing: list[int] = field(default_factory=list)
    new: list[int] = field(default_factory=list)


def create_product(till: Till, sent: Record) -> Saved:
    """Store a new product; raises `Refused` for a taken number, a missing field, an unknown VAT code or group."""
    number = sent.get("productNumber") or till["products"].next_number()
    if number in till["products"]:
        raise Refused("FAILED-PRODUCT-NUMBER-ALREADY-TAKEN", f"Product number {number} is already taken.")
    articles = _articles_of(sent)
    if not articles and not till.switches.empty_products:
        raise Refused("FAILED", "A product needs at least one article.")
    for article in articles:
        if article.get("articleNumber") in till["articles"]:
            raise _taken(article["articleNumber"])
    saved = _save(till, {**PRODUCT_DEFAULTS, **_writable(sent), "productNumber": number}, articles)
    till.record_effect("createProduct", number, articles=saved.new)
    return saved


def update_product(till: Till, sent: Record) -> Saved:
    """Change a product by its number; articles without a known number are created. Raises `Refused`."""
    number = sent.get("productNumber")
    previous = till["products"].find(number)
    if previous is None:
        raise Refused("NOT-FOUND", f"Product number {number} does not exist.")
    articles = _articles_of(sent)
    for article in articles:
        owner = till["articles"].find(article.get("articleNumber"))
        if owner is not None and owner["_product"] != number and not till.switches.moves_articles:
            raise _taken(article["articleNumber"])
    saved = _save(till, _merge(till, PRODUCT_DEFAULTS, previous, _writable(sent)), articles)
    till.record_effect("updateProduct", number, articles=saved.existing + saved.new)
    return saved


def _taken(number: int) -> Refused:
    return Refused("FAILED-ARTICLE-NUMBER-ALREADY-TAKEN", f"Article number {number} is already taken.")


def _articles_of(sent: Record) -> list[Record]:
    articles: list[Record] = sent.get("articleList", {}).get("article", [])
    numbers = [article["articleNumber"] for article in articles if article.get("articleNumber")]
    if len(numbers) != len(set(numbers)):
        raise Refused("FAILED-ARTICLE-NUMBER-ALREADY-TAKEN", "An article number occurs twice in the product.")
    return articles


def _writable(sent: Record) -> Record:
    return {key: value for key, value in sent.items() if key not in (*READ_ONLY, "articleList")}


def _merge(till: Till, defaults: Record, previous: Record, sent: Record) -> Record:
    rule = till.switches.sublists
    if rule != "replace":
        sent = {key: _joined(previous.get(key), value, rule) for key, value in sent.items()}
    if till.switches.omitted_fields == "keep":
        return {**previous, **{key: value for key, value in sent.items() if value != []}}
    survivors = {key: value for key, value in previous.items() if key in SURVIVING or key.startswith("_")}
    return {**defaults, **survivors, **sent}


def _joined(before: Any, sent: Any, rule: str) -> Any:
    """The entries of a list there was and those that were sent, or none at all; anything else as it was sent."""
    if not isinstance(before, dict) or not isinstance(sent, dict):
        return sent
    if rule == "lose":
        return {name: [] for name in sent}
    kept = {name: [each for each in rows if each not in sent.get(name, [])] for name, rows in before.items()}
    return {name: [*kept.get(name, []), *rows] for name, rows in sent.items()}


def _save(till: Till, product: Record, sent_articles: list[Record]) -> Saved:
    composed = [_compose_article(till, article, product) for article in _number_articles(till, sent_articles)]
    group_numbers = product.pop("groupNumbers", None)
    if unknown := groups.find_unknown(till, group_numbers or ()):
        raise Refused("FAILED", f"Article group {unknown} does not exist.")
    members = product.setdefault("_articles", [])
    saved = Saved(till["products"].put(product))
    for article in composed:
        _place_article(till, article, saved, members)
    if group_numbers is not None:
        groups.set_membership(till, product["productNumber"], group_numbers)
    stamp(till, product["productNumber"])
    return saved


def _number_articles(till: Till, articles: list[Record]) -> list[Record]:
    """Free numbers for the articles that were sent without one."""
    sent = (article.get("articleNumber", 0) for article in articles)
    free = count(max(till["articles"].next_number(), 1 + max(sent, default=0)))
    return [{**article, "articleNumber": article.get("articleNumber") or next(free)} for article in articles]


def _place_article(till: Till, article: Record, saved: Saved, members: list[int]) -> None:
    number = article["articleNumber"]
    before = till["articles"].find(number)
    (saved.existing if before else saved.new).append(number)
    if number not in members:
        members.append(number)
    till["articles"].put({**article, "_product": saved.product["productNumber"]})
    if before and before["_product"] != saved.product["productNumber"]:
        till["products"].get(before["_product"])["_articles"].remove(number)
        stamp(till, before["_product"])


def stamp(till: Till, number: int) -> None:
    """Give a product and all its articles one new marker and change time."""
    marker, moment = raise_marker(till, "article"), to_moment(till.clock())
    till["products"].get(number)["syncMarker"] = marker
    for article in list_articles(till, number):
        article["syncMarker"], article["changeTimestamp"] = marker, moment
        article.setdefault("createTimestamp", moment)


def list_articles(till: Till, product_number: int) -> list[Record]:
    """The articles of a product."""
    return [till["articles"].get(number) for number in till["products"].get(product_number)["_articles"]]


def _compose_article(till: Till, sent: Record, product: Record) -> Record:
    number = sent["articleNumber"]
    previous = till["articles"].find(number) or {}
    article = _merge(till, ARTICLE_DEFAULTS, {**ARTICLE_DEFAULTS, **previous}, _writable(sent))
    article["articleNumber"] = number
    article["description"] = article["description"] or product["description"]
    _check_article(till, article)
    _fit_texts(till, article)
    rate = _home_rate(till, article["vatCode"])
    article["vatPercentage"] = rate
    _complete_prices(article, sent, rate)
    return article


def _check_article(till: Till, article: Record) -> None:
    for required in ("description", "vatCode", "turnoverGroup"):
        if article.get(required) in (None, ""):
            raise Refused("FAILED", f"Article {article['articleNumber']}: {required} is required.")
    if not vat.knows_code(till, article["vatCode"]):
        raise Refused("FAILED", f"Article {article['articleNumber']}: VAT code {article['vatCode']} does not exist.")
    if article["turnoverGroup"] not in till["turnover_groups"]:
        group = article["turnoverGroup"]
        raise Refused("FAILED", f"Article {article['articleNumber']}: turnover group {group} does not exist.")


def _fit_texts(till: Till, article: Record) -> None:
    rule, limit = till.switches.long_texts, till.switches.text_limit
    for name in TEXTS if rule != "kept" else ():
        if rule == "refused" and len(article[name]) > limit:
            raise Refused("FAILED", f"Article {article['articleNumber']}: {name} is too long.")
        article[name] = article[name][:limit]


def _home_rate(till: Till, code: int) -> int:
    branch = min(row["branchNumber"] for row in till["vat_groups"] if row["vatCode"] == code)
    return vat.get_rate(till, branch, code)


def _complete_prices(article: Record, sent: Record, rate: int) -> None:
    """The price including VAT leads unless only the other was sent."""
    if "priceExcl" in sent and "priceIncl" not in sent:
        article["priceIncl"] = vat.to_incl(article["priceExcl"], rate)
    else:
        article["priceExcl"] = vat.to_excl(article["priceIncl"], rate)


def _show_product(product: Record, articles: list[Record], memberships: Mapping[int, list[int]]) -> Record:
    """A product as getProducts writes it, with these of its articles."""
    shown: dict[str, Any] = {**product, "articleList": {"article": articles}}
    return {**shown, "groupNumbers": memberships.get(product["productNumber"], [])}


def list_products(till: Till, request: Record) -> list[Record]:
    """Products with the articles that match a getProducts request, oldest marker first, cut to its limit."""
    found, memberships = [], groups.map_members(till)
    for product in sorted(_candidates(till, request), key=lambda row: int(row["syncMarker"])):
        articles = list_articles(till, product["productNumber"])
        matching = [article for article in articles if _matches(article, request, memberships)]
        if matching:
            complete = request.get("includeAllArticlesOfSelectedProducts", False)
            found.append(_show_product(product, articles if complete else matching, memberships))
    return _cut(till, found, request)


def _candidates(till: Till, request: Record) -> Iterable[Record]:
    """The products that may match: those of the articles that were asked for, else all."""
    if not request["articleNumbers"]:
        return till["products"]
    asked = (till["articles"].find(number) for number in request["articleNumbers"])
    owners = dict.fromkeys(article["_product"] for article in asked if article is not None)
    return [till["products"].get(number) for number in owners]


def _cut(till: Till, products: list[Record], request: Record) -> list[Record]:
    """The limit counts articles; a first product larger than it comes whole."""
    if request.get("syncMarker") is None:
        return products
    page: list[Record] = []
    limit, counted = request.get("syncMarkerLimit") or till.switches.page_size, 0
    for product in products:
        counted += len(product["articleList"]["article"])
        if page and counted > limit:
            break
        page.append(product)
    return page[::-1] if till.switches.unordered_pages else page


def _matches(article: Record, request: Record, memberships: Mapping[int, list[int]]) -> bool:
    number = article["_product"]
    plus = [text["text"] for text in request["pluNumbers"].get("text", [])]
    wanted_groups = set(request["groupNumbers"])
    return all(
        (
            not request["articleNumbers"] or article["articleNumber"] in request["articleNumbers"],
            not request["productNumbers"] or number in request["productNumbers"],
            not plus or article["pluNumber"] in plus,
            not wanted_groups or bool(wanted_groups.intersection(memberships.get(number, []))),
            not request.get("onlyActive") or article["active"],
            not request.get("onlyWebshop") or article["webshop"],
            article["syncMarker"] >= request.get("syncMarker", 0),
        )
    )
