"""Furnishes both systems as the demo shop has them on its first morning: full books, and a till without articles."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from random import Random

from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.quickbooks import demo
from sandbox.quickbooks.company import Company
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.shop import people
from sandbox.shop.catalogue import BUNDLE, CATEGORIES, GOODS, SHOP, Good

REALM = "9130357000000042"
SEED = "boer-en-strik"
STOCK_SINCE = "2024-01-01"
_CENT = Decimal("0.01")
_LAST_SEASON = Decimal("0.96")

BRANCHES = {1: "Utrecht", 2: "Amersfoort"}
INCOME = {9: "Omzet kaas en delicatessen", 21: "Omzet cadeaus en diensten", 0: "Omzet onbelast"}
PAYMENT_METHODS = (("Contant", "NON_CREDIT_CARD"), ("Creditcard", "CREDIT_CARD"))


def furnish(books: Books, till: Till, seed: str = SEED, *, realm: str = REALM) -> None:
    """Fill two new simulations. The books hold the shop at last season's prices; nothing of it sends a webhook."""
    with till.lock:
        for number, name in BRANCHES.items():
            till.till["branches"].get(number)["branchName"] = name
    for relation in people.RELATIONS:
        till.add_relation(**relation)
    demo.new_company(books, realm, SHOP, departments=tuple(BRANCHES.values()))
    with books.lock:
        waiting = len(books.outbox.waiting)
        _furnish_books(books, realm, Random(seed))
        books.outbox.drop(list(books.outbox.waiting)[waiting:])


def _furnish_books(books: Books, realm: str, chance: Random) -> None:
    for name in INCOME.values():
        books.put(realm, "Account", {"Name": name, "AccountType": "Income", "AccountSubType": "SalesOfProductIncome"})
    for name, kind in PAYMENT_METHODS:
        books.put(realm, "PaymentMethod", {"Name": name, "Type": kind})
    for entity, parties in (("Customer", people.CUSTOMERS), ("Vendor", people.VENDORS)):
        for party in parties:
            books.put(realm, entity, dict(party))
    _add_items(books, realm, chance)


def _add_items(books: Books, realm: str, chance: Random) -> None:
    for name, parent in CATEGORIES:
        above = {"SubItem": True, "ParentRef": {"value": _find(books, realm, Name=parent)}} if parent else {}
        books.put(realm, "Item", {"Name": name, "Type": "Category", **above})
    shelf = Shelf.of(books, realm)
    for good in GOODS:
        stock = None if good.stock is None else max(0, good.stock + chance.randint(-2, 4) if good.stock else 0)
        books.put(realm, "Item", shelf.to_item(good, price=to_last_season(good), stock=stock))
    books.put(realm, "Item", _to_bundle(books, realm))
    for good in GOODS:
        if good.resting:
            books.put(realm, "Item", {"Id": _find(books, realm, Sku=good.sku), "Active": False})


def to_last_season(good: Good) -> Decimal:
    """The price before this season's; services and what is sold at its face value cost the same."""
    if good.service or not good.vat:
        return good.price
    return (good.price * _LAST_SEASON).quantize(_CENT)


def _to_bundle(books: Books, realm: str) -> Json:
    name, sku, parts = BUNDLE
    lines = [{"ItemRef": {"value": _find(books, realm, Sku=part)}, "Qty": 1} for part in parts]
    return {"Name": name, "Sku": sku, "Type": "Group", "ItemGroupDetail": {"ItemGroupLine": lines}}


def _find(books: Books, realm: str, **wanted: object) -> str:
    row = books.find(realm, "Item", **wanted)
    assert row is not None, wanted
    return str(row["Id"])


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where goods go in one company: ids of categories and accounts by name, of tax codes by rate."""

    places: dict[str, str]
    accounts: dict[str, str]
    tax_codes: dict[int, str]

    @classmethod
    def of(cls, books: Books, realm: str) -> Shelf:
        """The shelf as a company has it now."""
        company: Company = books.companies[realm]
        rows = books.rows(realm, "Item")
        places = {row["Name"]: row["Id"] for row in rows if row["Type"] == "Category"}
        accounts = {row["Name"]: row["Id"] for row in books.rows(realm, "Account")}
        return cls(places, accounts, {rate: demo.tax_code_id(company, rate) for rate in INCOME})

    def to_item(self, good: Good, *, price: Decimal, stock: int | None = None) -> Json:
        """A good as the bookkeeper enters it, tracked when it has a `stock`."""
        body: Json = {
            "Name": good.name,
            "Type": good.kind,
            "UnitPrice": price,
            "SalesTaxIncluded": not good.net,
            "SalesTaxCodeRef": {"value": self.tax_codes[good.vat]},
            "SubItem": True,
            "ParentRef": {"value": self.places[good.category]},
            **self._to_accounts(good),
        }
        optional = {"Sku": good.sku, "Description": good.description}
        body |= {name: text for name, text in optional.items() if text}
        tracked = {"TrackQtyOnHand": True, "QtyOnHand": stock, "InvStartDate": STOCK_SINCE}
        return body if stock is None else body | tracked

    def _to_accounts(self, good: Good) -> Json:
        names = {"IncomeAccountRef": "Gift Cards Outstanding" if good.gift_card else INCOME[good.vat]}
        if good.stock is not None:
            names |= {"ExpenseAccountRef": "Cost of Goods Sold", "AssetAccountRef": "Inventory Asset"}
        return {reference: {"value": self.accounts[name]} for reference, name in names.items()}
