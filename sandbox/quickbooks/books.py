"""The writes of the books: create, update (full and sparse), delete, void, merge; each checks first, then stores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sandbox.quickbooks import (
    documents,
    faults,
    items,
    lists,
    names,
    payments,
    people,
    references,
    sales,
    stock,
    validate,
)
from sandbox.quickbooks.company import Company, copy_row
from sandbox.quickbooks.entities import PEOPLE, Entity
from sandbox.quickbooks.faults import Json

_SYSTEM = ("Id", "SyncToken", "domain", "sparse", "MetaData")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a write is done: by the API or by a user of the books, with or without the duplicate check."""

    by_user: bool = False
    allow_duplicate: bool = False


API = Manner()
USER = Manner(by_user=True, allow_duplicate=True)


def write(company: Company, entity: Entity, body: Json, manner: Manner = API) -> Json:
    """Create, or update when the body has an Id. Answers a copy of the stored row."""
    verb = "update" if body.get("Id") else "create"
    if verb not in entity.verbs and not manner.by_user:
        raise faults.unsupported(f"{verb} {entity.name}")
    values = validate.read_body(entity, body)
    old = _get_current(company, entity, values) if verb == "update" else None
    row = _merge(entity, old, values, sparse=bool(values.get("sparse")))
    for name in entity.required:
        if row.get(name) is None:
            raise faults.missing(name)
    if manner.by_user and "CurrencyRef" in entity.fields:
        documents.choose_currency(company, row)
    references.resolve(company, entity, row, old)
    _settle(company, entity, row, old, values, manner)
    references.resolve(company, entity, row, old or row)
    stored = company.replace(entity, row) if old else company.insert(entity, row)
    _follow(company, entity, old, stored)
    return copy_row(stored)


def delete(company: Company, entity: Entity, body: Json) -> Json:
    """Delete a transaction. Answers the stub Intuit gives."""
    if "delete" not in entity.verbs:
        raise faults.unsupported(f"delete {entity.name}")
    row = _get_current(company, entity, _key_of(body))
    documents.refuse_closed(company, row)
    if payments.is_linked(company, entity.name, row["Id"]):
        raise faults.business("The transaction is linked to a payment. Delete the payment first.")
    company.remove(entity, row)
    _follow(company, entity, row, None)
    return {"domain": "QBO", "status": "Deleted", "Id": row["Id"]}


def void(company: Company, entity: Entity, body: Json) -> Json:
    """Void a transaction: it stays, with zero amounts. Answers a copy of the stored row."""
    if "void" not in entity.verbs:
        raise faults.unsupported(f"void {entity.name}")
    old = _get_current(company, entity, _key_of(body))
    documents.refuse_closed(company, old)
    row = copy_row(old)
    if entity.name == "Payment":
        payments.void(row)
    else:
        sales.void(row)
    stored = company.replace(entity, row, operation="Void")
    payments.release(company, entity.name, row["Id"])
    _follow(company, entity, old, stored)
    return copy_row(stored)


def merge(company: Company, entity: Entity, survivor_id: str, vanished_id: str) -> None:
    """A user of the books merged two list rows: one vanishes, everything that named it names the survivor."""
    survivor = company.get(entity.name, survivor_id)
    vanished = company.get(entity.name, vanished_id)
    for name, table in company.rows.items():
        for row in table.values():
            if _repoint(row, vanished_id, survivor_id, entity.name):
                company.touch(name, row, bump=True, announce=True)
    company.touch(entity.name, survivor, bump=True)
    company.remove(entity, vanished, operation="Merge", vanished_into=survivor_id)
    company.index_names()


def _repoint(value: object, vanished_id: str, survivor_id: str, entity: str) -> bool:
    """Name the survivor wherever the vanished row is named; answers whether it was."""
    if isinstance(value, list):
        named = [_repoint(each, vanished_id, survivor_id, entity) for each in value]
        return any(named)
    if not isinstance(value, dict):
        return False
    found = False
    for name, each in value.items():
        if name.endswith(f"{entity}Ref") and each.get("value") == vanished_id:
            each["value"] = survivor_id
            found = True
        else:
            found |= _repoint(each, vanished_id, survivor_id, entity)
    return found


def _key_of(body: Json) -> Json:
    return {name: str(body[name]) for name in ("Id", "SyncToken") if body.get(name) is not None}


def _get_current(company: Company, entity: Entity, values: Json) -> Json:
    row_id = values.get("Id")
    if not row_id:
        raise faults.missing("Id")
    if not row_id.isdecimal():
        raise faults.invalid_id(row_id)
    row = company.get(entity.name, row_id)
    if values.get("SyncToken") is None:
        raise faults.missing("SyncToken")
    if values["SyncToken"] != row["SyncToken"]:
        raise faults.stale(company.person)
    return row


def _merge(entity: Entity, old: Json | None, values: Json, *, sparse: bool) -> Json:
    """The row as it is to become: sparse keeps what was not sent, full clears it, but for what only we write."""
    base = copy_row(old) if old else {}
    if old and not sparse:
        base = {name: value for name, value in base.items() if name in _SYSTEM or _is_ours(entity, name)}
    sent = {name: value for name, value in values.items() if name not in _SYSTEM}
    row = {**base, **copy_row(sent)}
    if entity.name == "Preferences" and sparse:
        row = {name: _mix(base.get(name), value) for name, value in row.items()}
    return {name: value for name, value in row.items() if value is not None}


def _mix(old: Any, new: Any) -> Any:
    """A group of preferences with some of them changed: a sparse update leaves its neighbours alone."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {**old, **{name: _mix(old.get(name), value) for name, value in new.items()}}
    return new


def _is_ours(entity: Entity, name: str) -> bool:
    field = entity.fields.get(name)
    return field is None or field.readonly


Settler = Callable[[Company, Entity, Json, Json | None, Json, Manner], None]


def _settle(company: Company, entity: Entity, row: Json, old: Json | None, sent: Json, manner: Manner) -> None:
    if entity.sale:
        sales.settle(company, entity, row, old, sent, allow_duplicate=manner.allow_duplicate)
    else:
        _SETTLERS.get(entity.name, _settle_plain)(company, entity, row, old, sent, manner)
    if entity.is_list:
        names.settle(company, entity, row, old)


def _settle_item(company: Company, _e: Entity, row: Json, old: Json | None, sent: Json, manner: Manner) -> None:
    if not manner.by_user:
        items.refuse_bare_quantity(sent, old)
    items.settle(company, row, old, by_user=manner.by_user)


def _settle_person(company: Company, entity: Entity, row: Json, old: Json | None, _s: Json, _m: Manner) -> None:
    people.settle(company, entity.name, row, old)


def _settle_payment(company: Company, _e: Entity, row: Json, old: Json | None, _s: Json, _m: Manner) -> None:
    payments.settle(company, row, old)


def _settle_adjustment(company: Company, entity: Entity, row: Json, old: Json | None, _s: Json, _m: Manner) -> None:
    documents.settle_date(company, row)
    documents.refuse_closed(company, row, old)
    stock.settle_adjustment(company, row)
    stock.check(company, entity.name, row)


def _settle_account(company: Company, _e: Entity, row: Json, old: Json | None, _s: Json, _m: Manner) -> None:
    if not row.get("AccountType"):
        raise faults.Fault("6010", "Invalid Account.AccountType", "AccountType or AccountSubType is required", "")
    row.setdefault("Active", True)
    row["Classification"] = lists.ACCOUNT_TYPES[row["AccountType"]]
    row.setdefault("CurrencyRef", {"value": company.home_currency})
    for name in ("CurrentBalance", "CurrentBalanceWithSubAccounts"):
        row[name] = old[name] if old else people.ZERO


def _settle_plain(_c: Company, entity: Entity, row: Json, _old: Json | None, _s: Json, _m: Manner) -> None:
    if entity.is_list:
        row.setdefault("Active", True)


_SETTLERS: dict[str, Settler] = {
    "Item": _settle_item,
    **dict.fromkeys(PEOPLE, _settle_person),
    "Payment": _settle_payment,
    "InventoryAdjustment": _settle_adjustment,
    "Account": _settle_account,
}


def _follow(company: Company, entity: Entity, old: Json | None, new: Json | None) -> None:
    """After the change is stored: stock, balances, names down the tree."""
    stock.move(company, entity.name, old, new)
    if entity.name == "Payment":
        payments.follow(company, old, new)
    elif entity.sale:
        for row in (old, new):
            people.settle_balance(company, (row or {}).get("CustomerRef", {}).get("value"))
    if entity.name == "Invoice" and new:
        _convert_estimates(company, new)
    if old and new and old.get("FullyQualifiedName") != new.get("FullyQualifiedName"):
        names.rename_children(company, entity, new)


def _convert_estimates(company: Company, invoice: Json) -> None:
    """An estimate that an invoice was made of is over."""
    for linked in invoice.get("LinkedTxn", []):
        estimate = company.find("Estimate", linked["TxnId"]) if linked.get("TxnType") == "Estimate" else None
        if estimate and estimate.get("TxnStatus") != "Converted":
            estimate["TxnStatus"] = "Converted"
            company.touch("Estimate", estimate, bump=True, announce=True)
