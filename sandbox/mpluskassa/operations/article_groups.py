"""Operations on article groups and the products in them."""

from __future__ import annotations

from collections.abc import Callable

from sandbox.mpluskassa import groups
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

Change = Callable[[list[int]], list[int]]


def get_article_groups(till: Till, request: Record) -> Record:
    """Article groups as a tree."""
    return {"articleGroupList": {"articleGroups": groups.list_tree(till, request["request"])}}


def get_article_group_changes(till: Till, request: Record) -> Record:
    """Article groups as a flat list, deleted ones included."""
    return {"changedArticleGroupList": {"changedArticleGroups": groups.list_changes(till, request["request"])}}


def new_article_group(till: Till, request: Record) -> Record:
    """A new article group; its number is 0 when the parent does not exist."""
    group = groups.create_group(till, request["request"])
    result = "PARENT-NOTFOUND" if group is None else "OK"
    return {"result": f"NEW-ARTICLE-GROUP-RESULT-{result}", "groupNumber": group["groupNumber"] if group else 0}


def update_article_group(till: Till, request: Record) -> Record:
    """A renamed or moved article group."""
    asked = request["request"]
    group = groups.find_group(till, asked["groupNumber"])
    if group is None:
        return {"result": "SAVE-ARTICLE-GROUP-RESULT-NOT-FOUND"}
    return {"result": f"SAVE-ARTICLE-GROUP-RESULT-{'OK' if groups.update_group(till, group, asked) else 'FAILED'}"}


def delete_article_group(till: Till, request: Record) -> Record:
    """A deleted article group; it must have no groups below it."""
    group = groups.find_group(till, request["request"]["groupNumber"])
    if group is None:
        return {"result": "DELETE-ARTICLE-GROUP-RESULT-NOTFOUND"}
    return {"result": f"DELETE-ARTICLE-GROUP-RESULT-{'OK' if groups.delete_group(till, group) else 'FAILED'}"}


def add_products(till: Till, request: Record) -> Record:
    """Products put into a group, at a position or at the end."""
    asked = request["request"]
    numbers = asked["productNumbers"]["number"]

    def place(members: list[int]) -> list[int]:
        kept = [number for number in members if number not in numbers]
        at = asked.get("position", len(kept))
        return [*kept[:at], *numbers, *kept[at:]]

    return {"result": _change_members(till, asked, numbers, place, "ADD-PRODUCTS-TO-ARTICLE-GROUP", "addProducts")}


def replace_products(till: Till, request: Record) -> Record:
    """A group that holds exactly these products."""
    asked = request["request"]
    numbers = asked["productNumbers"]["number"]
    prefix = "REPLACE-PRODUCTS-OF-ARTICLE-GROUP"
    return {"result": _change_members(till, asked, numbers, lambda _: list(numbers), prefix, "replaceProducts")}


def delete_products(till: Till, request: Record) -> Record:
    """Some or all products taken out of a group."""
    asked = request["request"]
    numbers = asked.get("productNumbers", {}).get("number", [])

    def remove(members: list[int]) -> list[int]:
        return [] if asked.get("removeAll") else [number for number in members if number not in numbers]

    return {"result": _change_members(till, asked, [], remove, "DELETE-PRODUCTS-FROM-ARTICLE-GROUP", "deleteProducts")}


def _change_members(till: Till, asked: Record, needed: list[int], change: Change, prefix: str, effect: str) -> str:
    group = groups.find_group(till, asked["groupNumber"])
    if group is None or not groups.knows_products(till, needed):
        return f"{prefix}-RESULT-NOT-FOUND"
    groups.set_products(till, group, change(group["productNumbers"]), effect)
    return f"{prefix}-RESULT-OK"


HANDLERS = {
    "getArticleGroups": get_article_groups,
    "getArticleGroupChanges": get_article_group_changes,
    "newArticleGroup": new_article_group,
    "updateArticleGroup": update_article_group,
    "deleteArticleGroup": delete_article_group,
    "addProductsToArticleGroup": add_products,
    "replaceProductsOfArticleGroup": replace_products,
    "deleteProductsFromArticleGroup": delete_products,
}
