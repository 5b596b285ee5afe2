"""What the till has, as people would see it through its window: groups, products, variants, prices, stock by branch."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from sandbox.mpluskassa.groups import ROOT, list_children
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

_STEP = "  "


def to_text(till: Till) -> str:
    """The tree of groups, products in none at the end. A product of one article is one line, others a line for each."""
    grouped = {number for group in till["groups"] if not group["isDeleted"] for number in group["productNumbers"]}
    stray = [row["productNumber"] for row in till["products"] if row["productNumber"] not in grouped]
    rest = ["(in no group)", *(line for number in stray for line in _list_product(till, number, _STEP))]
    return "\n".join([*_list_groups(till, ROOT, ""), *(rest if stray else ()), ""])


def _list_groups(till: Till, parent: int, indent: str) -> Iterator[str]:
    for group in sorted(list_children(till, parent), key=lambda row: str(row["name"])):
        yield f"{indent}{group['name']}"
        yield from _list_groups(till, group["groupNumber"], indent + _STEP)
        for number in group["productNumbers"]:
            yield from _list_product(till, number, indent + _STEP)


def _list_product(till: Till, number: int, indent: str) -> Iterator[str]:
    product = till["products"].get(number)
    articles = [till["articles"].get(each) for each in product["_articles"]]
    if not articles:
        return
    if len(articles) == 1:
        yield indent + _to_line(till, articles[0], articles[0]["description"])
        return
    yield f"{indent}{product['description']}"
    for article in articles:
        variant = " ".join(filter(None, (article["colour"], article["size"]))) or article["description"]
        yield indent + _STEP + _to_line(till, article, variant)


def _to_line(till: Till, article: Record, name: str) -> str:
    price = Decimal(article["priceIncl"]).scaleb(-2)
    resting = "" if article["active"] else "  (inactive)"
    return f"{article['articleNumber']:>13}  {name:<34} {price:>8}{resting}{_to_stock(till, article)}"


def _to_stock(till: Till, article: Record) -> str:
    rows = (
        (branch, till["stock"].find(f"{branch['branchNumber']}/{article['articleNumber']}"))
        for branch in till["branches"]
    )
    kept = [f"{branch['branchName']} {row['physical'].normalize():f}" for branch, row in rows if row is not None]
    return f"   {', '.join(kept)}" if kept and article["stockArticle"] else ""
