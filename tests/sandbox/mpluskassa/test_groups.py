"""Article groups: a tree that can be grown, moved, pruned, and followed by its marker."""

from __future__ import annotations

from typing import Any


def new(service: Any, name: str, parent: int = 0) -> int:
    answer = service.newArticleGroup(request={"parentGroupNumber": parent, "name": name, "text": name})
    assert answer.result == "NEW-ARTICLE-GROUP-RESULT-OK"
    return int(answer.groupNumber)


def test_groups_come_back_as_the_tree_they_are(till: Any) -> None:
    clothes = new(till, "Kleding")
    new(till, "Truien", clothes)
    tree = till.getArticleGroups(request={})
    assert [(group.name, [sub.name for sub in group.subGroupList.articleGroups]) for group in tree] == [
        ("Kleding", ["Truien"])
    ]


def test_an_unknown_parent_is_refused(service: Any) -> None:
    answer = service.newArticleGroup(request={"parentGroupNumber": 99, "name": "x", "text": ""})
    assert (answer.result, answer.groupNumber) == ("NEW-ARTICLE-GROUP-RESULT-PARENT-NOTFOUND", 0)


def test_a_group_can_be_renamed_and_moved_but_not_below_itself(service: Any) -> None:
    top, other = new(service, "Top"), new(service, "Ander")
    child = new(service, "Kind", top)
    moved = service.updateArticleGroup(request={"groupNumber": child, "parentGroupNumber": other, "name": "Neef"})
    circle = service.updateArticleGroup(request={"groupNumber": other, "parentGroupNumber": child})
    unknown = service.updateArticleGroup(request={"groupNumber": 99, "name": "x"})
    assert [moved, circle, unknown] == [
        "SAVE-ARTICLE-GROUP-RESULT-OK",
        "SAVE-ARTICLE-GROUP-RESULT-FAILED",
        "SAVE-ARTICLE-GROUP-RESULT-NOT-FOUND",
    ]
    changed = {group.groupNumber: group for group in service.getArticleGroupChanges(request={"syncMarker": 1})}
    assert (changed[child].parentGroupNumber, changed[child].name, changed[child].text) == (other, "Neef", "Kind")
    assert changed[other].subGroupNumbers.number == [child]


def test_a_deleted_group_stays_visible_to_marker_syncs_only(service: Any) -> None:
    top = new(service, "Top")
    child = new(service, "Kind", top)
    assert service.deleteArticleGroup(request={"groupNumber": top}) == "DELETE-ARTICLE-GROUP-RESULT-FAILED"
    before = service.getCurrentSyncMarkers().articleGroupSyncMarker
    assert service.deleteArticleGroup(request={"groupNumber": child}) == "DELETE-ARTICLE-GROUP-RESULT-OK"
    assert service.deleteArticleGroup(request={"groupNumber": child}) == "DELETE-ARTICLE-GROUP-RESULT-NOTFOUND"
    assert [group.groupNumber for group in service.getArticleGroups(request={})] == [top]
    changes = service.getArticleGroupChanges(request={"syncMarker": before + 1})
    assert [(group.groupNumber, group.isDeleted) for group in changes] == [(child, True)]


def test_products_join_leave_and_replace_each_other(till: Any) -> None:
    group = new(till, "Kleding")

    def members() -> list[int]:
        listed = till.getArticleGroups(request={"groupNumbers": [group]})[0].productNumbers
        return list(listed.number) if listed else []

    def asked(*numbers: int, **more: Any) -> dict[str, Any]:
        return {"groupNumber": group, "productNumbers": {"number": list(numbers)}, **more}

    assert till.addProductsToArticleGroup(request=asked(10)) == "ADD-PRODUCTS-TO-ARTICLE-GROUP-RESULT-OK"
    till.addProductsToArticleGroup(request=asked(20, position=0))
    assert members() == [20, 10]
    till.addProductsToArticleGroup(request=asked(20))
    assert members() == [10, 20]
    till.replaceProductsOfArticleGroup(request=asked(20))
    assert members() == [20]
    till.deleteProductsFromArticleGroup(request={"groupNumber": group, "removeAll": True})
    assert members() == []
    missing = till.addProductsToArticleGroup(request=asked(404))
    assert missing == "ADD-PRODUCTS-TO-ARTICLE-GROUP-RESULT-NOT-FOUND"
