"""Names of list rows: unique, without a path of their own, suffixed when made inactive, built along the tree."""

from __future__ import annotations

from sandbox.quickbooks import faults
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.entities import Entity
from sandbox.quickbooks.faults import Json

SUFFIX = " (deleted)"
_DEEPEST = 5
_CATEGORY_LEVELS = 4


def settle(company: Company, entity: Entity, row: Json, old: Json | None) -> None:
    """Bring a list row's name in order: suffix, parent, uniqueness, full name. Raises 6240, 2020, 6180."""
    _settle_suffix(entity, row, old)
    if entity.parent_flag or entity.name == "Customer":
        _settle_parent(company, entity, row, old)
    _refuse_duplicate(company, entity, row)


def rename_children(company: Company, entity: Entity, row: Json) -> None:
    """Carry a changed full name down the tree."""
    for child in company.select(entity.name, lambda each: each.get("ParentRef", {}).get("value") == row["Id"]):
        full = f"{row['FullyQualifiedName']}:{child[entity.name_field]}"
        if child.get("FullyQualifiedName") != full:
            child["FullyQualifiedName"] = full
            child["ParentRef"]["name"] = row["FullyQualifiedName"]
            company.touch(entity.name, child)
            rename_children(company, entity, child)


def _settle_suffix(entity: Entity, row: Json, old: Json | None) -> None:
    field = entity.name_field
    name = row[field]
    if row.get("Active") is False and not name.endswith(SUFFIX):
        row[field] = name + SUFFIX
    if row.get("Active") is not False and old and old.get("Active") is False:
        row[field] = name.removesuffix(SUFFIX)


def _settle_parent(company: Company, entity: Entity, row: Json, old: Json | None) -> None:
    flag = entity.parent_flag
    parent_id = row.get("ParentRef", {}).get("value")
    if flag and row.get(flag) and not parent_id:
        raise faults.missing("ParentRef")
    if flag and parent_id:
        row[flag] = True
    name = row[entity.name_field]
    parent = company.get(entity.name, parent_id) if parent_id else None
    row["FullyQualifiedName"] = f"{parent['FullyQualifiedName']}:{name}" if parent else name
    # What hung under an item before the company had categories stays there until it is moved.
    if parent and entity.name == "Item" and (old or {}).get("ParentRef", {}).get("value") != parent_id:
        _check_place(company, entity, row, parent)
    if parent:
        _check_depth(company, entity, row)


def _check_place(company: Company, entity: Entity, row: Json, parent: Json) -> None:
    """Only a category holds items, and categories nest four levels deep."""
    if parent["Type"] != "Category":
        raise faults.business(f"{parent['Name']} is no category. Only a category can be the parent of an item.")
    if row["Type"] == "Category" and _levels_above(company, entity, row) + _levels_of(company, row) > _CATEGORY_LEVELS:
        raise faults.business(f"You can nest up to {_CATEGORY_LEVELS} levels of categories.")


def _levels_above(company: Company, entity: Entity, row: Json) -> int:
    seen = {row.get("Id")}
    while (parent_id := row.get("ParentRef", {}).get("value")) and parent_id not in seen:
        seen.add(parent_id)
        row = company.get(entity.name, parent_id)
    return len(seen) - 1


def _levels_of(company: Company, row: Json) -> int:
    """The levels of categories that hang under this one, itself included."""
    if not row.get("Id"):
        return 1
    below = company.select("Item", lambda each: each.get("ParentRef", {}).get("value") == row["Id"])
    return 1 + max((_levels_of(company, each) for each in below if each["Type"] == "Category"), default=0)


def _check_depth(company: Company, entity: Entity, row: Json) -> None:
    above = 0
    at = row
    while parent_id := at.get("ParentRef", {}).get("value"):
        above += 1
        if above >= _DEEPEST or parent_id == row.get("Id"):
            raise faults.too_deep()
        at = company.get(entity.name, parent_id)
    if entity.name in ("Item", "Customer"):
        row["Level"] = above


def _refuse_duplicate(company: Company, entity: Entity, row: Json) -> None:
    if company.find_holder(entity, row) not in (None, (entity.name, row.get("Id"))):
        raise faults.duplicate_name()
