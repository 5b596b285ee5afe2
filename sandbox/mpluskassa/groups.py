"""Article groups: a tree of named groups that hold product numbers."""

from __future__ import annotations

from collections.abc import Iterable

from sandbox.mpluskassa.markers import cut_page, raise_marker
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

ROOT = 0
UPDATABLE = ("name", "text", "sortOrder", "parentGroupNumber")


def find_group(till: Till, number: int) -> Record | None:
    """A group that was not deleted."""
    group = till["groups"].find(number)
    return None if group is None or group["isDeleted"] else group


def map_members(till: Till) -> dict[int, list[int]]:
    """The numbers of the groups that each product is in; products in none are absent."""
    found: dict[int, list[int]] = {}
    for group in till["groups"]:
        for number in () if group["isDeleted"] else group["productNumbers"]:
            found.setdefault(number, []).append(group["groupNumber"])
    return found


def create_group(till: Till, sent: Record) -> Record | None:
    """A new group below its parent (0 is the root); None when the parent does not exist."""
    parent = sent["parentGroupNumber"]
    if parent != ROOT and find_group(till, parent) is None:
        return None
    group = {
        "groupNumber": till["groups"].next_number(),
        "parentGroupNumber": parent,
        "name": sent["name"],
        "text": sent["text"],
        "sortOrder": sent.get("sortOrder", 0),
        "productNumbers": [],
        "isDeleted": False,
    }
    till["groups"].put(group)
    _changed(till, group, "newArticleGroup")
    return group


def update_group(till: Till, group: Record, sent: Record) -> bool:
    """Change what was sent; False when the new parent does not exist or lies below the group itself."""
    parent: int = sent["parentGroupNumber"] if "parentGroupNumber" in sent else group["parentGroupNumber"]
    if parent != ROOT and (find_group(till, parent) is None or group["groupNumber"] in _line_of(till, parent)):
        return False
    group.update({key: sent[key] for key in UPDATABLE if key in sent})
    _changed(till, group, "updateArticleGroup")
    return True


def _line_of(till: Till, number: int) -> list[int]:
    line = []
    while number != ROOT:
        line.append(number)
        number = till["groups"].get(number)["parentGroupNumber"]
    return line


def delete_group(till: Till, group: Record) -> bool:
    """Mark a group deleted; False while it has subgroups."""
    if list_children(till, group["groupNumber"]):
        return False
    group["isDeleted"] = True
    _changed(till, group, "deleteArticleGroup")
    return True


def list_children(till: Till, number: int) -> list[Record]:
    """The live groups directly below a group."""
    return [row for row in till["groups"] if row["parentGroupNumber"] == number and not row["isDeleted"]]


def knows_products(till: Till, numbers: Iterable[int]) -> bool:
    """Whether all these products exist."""
    return all(number in till["products"] for number in numbers)


def find_unknown(till: Till, numbers: Iterable[int]) -> int | None:
    """The first of these that is no group, or none any more."""
    live = {row["groupNumber"] for row in till["groups"] if not row["isDeleted"]}
    return next((number for number in numbers if number not in live), None)


def set_products(till: Till, group: Record, numbers: Iterable[int], effect: str) -> None:
    """Replace the products of a group, each at most once, in this order."""
    group["productNumbers"] = list(dict.fromkeys(numbers))
    _changed(till, group, effect, products=list(group["productNumbers"]))


def set_membership(till: Till, product_number: int, group_numbers: Iterable[int]) -> None:
    """Put a product into exactly these groups, which exist."""
    wanted = set(group_numbers)
    for group in till["groups"]:
        inside = product_number in group["productNumbers"]
        if inside and group["groupNumber"] not in wanted:
            group["productNumbers"].remove(product_number)
            group["syncMarker"] = raise_marker(till, "articleGroup")
        elif not inside and group["groupNumber"] in wanted:
            group["productNumbers"].append(product_number)
            group["syncMarker"] = raise_marker(till, "articleGroup")


def _changed(till: Till, group: Record, effect: str, **details: object) -> None:
    group["syncMarker"] = raise_marker(till, "articleGroup")
    till.record_effect(effect, group["groupNumber"], **details)


def list_tree(till: Till, request: Record) -> list[Record]:
    """Groups as getArticleGroups writes them: nested below a parent that is in the answer too."""
    wanted = request["groupNumbers"]
    rows = [row for row in till["groups"] if not wanted or row["groupNumber"] in wanted]
    if request.get("syncMarker") is None:
        rows = [row for row in rows if not row["isDeleted"]]
    rows = cut_page(till, rows, request)
    numbers = {row["groupNumber"] for row in rows}
    tops = [row for row in rows if row["parentGroupNumber"] not in numbers]
    return [_show_nested(till, row, rows, request.get("retrieveArticleNumbers", False)) for row in tops]


def _show_nested(till: Till, group: Record, rows: list[Record], with_articles: bool) -> Record:
    number = group["groupNumber"]
    children = [row for row in rows if row["parentGroupNumber"] == number]
    shown = {key: group[key] for key in ("groupNumber", "syncMarker", "name", "text", "sortOrder", "isDeleted")}
    shown["subGroupList"] = {"articleGroups": [_show_nested(till, row, rows, with_articles) for row in children]}
    shown["productNumbers"] = {"number": group["productNumbers"]}
    if with_articles:
        members = set(group["productNumbers"])
        articles = [row["articleNumber"] for row in till["articles"] if row["_product"] in members]
        shown["articleNumbers"] = {"number": articles}
    return shown


def list_changes(till: Till, request: Record) -> list[Record]:
    """Groups as getArticleGroupChanges writes them: flat, deleted ones included."""
    wanted = request["groupNumbers"]
    rows = [row for row in till["groups"] if not wanted or row["groupNumber"] in wanted]
    return [_show_flat(till, row) for row in cut_page(till, rows, request)]


def _show_flat(till: Till, group: Record) -> Record:
    children = [row["groupNumber"] for row in list_children(till, group["groupNumber"])]
    lists = {"productNumbers": {"number": group["productNumbers"]}, "subGroupNumbers": {"number": children}}
    return {**group, **lists}
