"""The data of one MplusKASSA installation: tables, rising counters, switches and the ledger of effects."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_OID, uuid5

from sandbox.mpluskassa.structs import AMSTERDAM, Record

TABLE_KEYS = {
    "branches": "branchNumber",
    "vat_groups": "_key",
    "turnover_groups": "turnoverGroup",
    "payment_methods": "method",
    "delivery_methods": "deliveryMethod",
    "employees": "employeeNumber",
    "sales_prices": "salesPriceNumber",
    "price_groups": "priceGroupNumber",
    "custom_fields": "_key",
    "card_categories": "_key",
    "products": "productNumber",
    "articles": "articleNumber",
    "groups": "groupNumber",
    "relations": "relationNumber",
    "stock": "_key",
    "stock_history": "stockId",
    "receipts": "receiptId",
    "invoices": "invoiceId",
    "orders": "orderId",
    "cash_counts": "cashCountId",
    "remembered": "_key",
    "subscriptions": "subscriptionId",
}


@dataclass
class Switches:
    """What nobody outside the vendor knows for sure, and what a strict server chooses until told otherwise.

    `percentage_scale`: 1 writes 21 % as 21, 100 writes it as 2100. `omitted_fields`: what updateProduct does with what
    was not sent, `clear` or `keep`. `unordered_pages`: rows of a page come in no particular order of marker.
    `omit_zero_decimal_places`: leave `decimalPlaces` out when it is 0. `omit_empty_lists`: optional empty lists are
    absent. `omit_missing_payload`: a not-found answer leaves out its required payload. `parent_includes_sublines`: a
    line's totals hold those of its preparations. `set_stock_sets`: `physical` or `free`. `exact_match_ignores_case`:
    findRelationV2. `vat_misconfigured`: the VAT code whose rate is broken. `check_answers`: validate every answer.
    `omitted_decimal_places`: leave `decimalPlaces` out when it is this. `sublists`: what an update does with the
    entries of a sent list, `replace`, `merge` or `lose`. `long_texts`: an article's text beyond `text_limit`
    characters is `kept`, `cut` or `refused`. `pages_hold`: the `oldest` changes since the marker asked for, or the
    `newest`. `timezone_told`: a moment's `timezone` is in `minutes`, in `hours` or always `zero`. `tells_finalized`:
    an invoice says whether it is final. `login_refused`: a wrong secret is answered by the documented `fault`, by a
    `vague` fault or by the HTTP `status` 401, or `never`. `corrections` of many articles are booked
    `exact`, `refused`, refused after half of them were booked (`halved`), or taken for `counts` whatever their mode
    says. `unbooked_stock`: what getStock says of a shelf nothing was booked on yet, a `zero` or `nothing`.
    `calls_at_once`: more are refused; 0 is no limit. `one_item_lists`: a list of one item is `wrapped` as the schema
    says, `bare` (the item without the list around it), `flat` (the list with the item's own fields in it) or `nil` (a
    nil item after it).
    `untaxed_rates`: the rate of a reverse-charged or untaxed line is told as `zero` or as the article's `own`.
    `moves_articles`: an article named in an update of another product moves there, else its number is taken.
    `empty_products`: a product may be made without articles; getProducts does not show it until it has one.
    `deposits_come_as`: each payment of an order comes along to its receipt or invoice as it was made (`payments`) or
    under a new id (`copies`), or all of them as a `tender` of that day, or they are `left_out` and only counted as
    paid. `payment_ids`: payments have ids, which the schema does not demand. `lists_show_payments`: a list without
    lines has the payments all the same. `journals_count`: money put into the drawer or taken out is in a journal's
    VAT and payments (`moves`), in its payments only (`moved_money`), or not in it (`sales`).
    """

    percentage_scale: int = 1
    omitted_fields: str = "clear"
    unordered_pages: bool = True
    omit_zero_decimal_places: bool = False
    omit_empty_lists: bool = False
    omit_missing_payload: bool = False
    parent_includes_sublines: bool = False
    untaxed_rates: str = "zero"
    deposits_come_as: str = "payments"
    payment_ids: bool = True
    lists_show_payments: bool = True
    journals_count: str = "moves"
    moves_articles: bool = True
    empty_products: bool = True
    set_stock_sets: str = "physical"
    exact_match_ignores_case: bool = True
    vat_misconfigured: int | None = None
    check_answers: bool = False
    omitted_decimal_places: int | None = None
    sublists: str = "replace"
    long_texts: str = "kept"
    text_limit: int = 100
    pages_hold: str = "oldest"
    timezone_told: str = "minutes"
    tells_finalized: bool = True
    login_refused: str = "fault"
    corrections: str = "exact"
    unbooked_stock: str = "zero"
    calls_at_once: int = 0
    one_item_lists: str = "wrapped"
    page_size: int = 200
    relation_page_size: int = 1000


class Table:
    """Rows by one of their own fields."""

    def __init__(self, key: str) -> None:
        self.key = key
        self._rows: dict[Any, Record] = {}
        self._highest = 0

    def find(self, key: Any) -> Record | None:
        """The row, or None."""
        return self._rows.get(key)

    def get(self, key: Any) -> Record:
        """The row, which must exist."""
        return self._rows[key]

    def put(self, row: Record) -> Record:
        """Store a row under its own key."""
        key = row[self.key]
        self._rows[key] = row
        if isinstance(key, int):
            self._highest = max(self._highest, key)
        return row

    def clear(self) -> None:
        """Remove all rows."""
        self._rows.clear()

    def next_number(self) -> int:
        """One more than the highest number ever used as a key."""
        return self._highest + 1

    def __contains__(self, key: object) -> bool:
        return key in self._rows

    def __iter__(self) -> Iterator[Record]:
        return iter(list(self._rows.values()))

    def __len__(self) -> int:
        return len(self._rows)


def read_clock() -> datetime:
    """The wall clock of the shop."""
    return datetime.now(AMSTERDAM)


@dataclass
class Till:
    """One installation. Deterministic: the same calls with the same seed and clock give the same numbers and ids."""

    seed: str = "kassa"
    clock: Callable[[], datetime] = read_clock
    switches: Switches = field(default_factory=Switches)
    counters: dict[str, int] = field(default_factory=dict)
    ledger: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.tables = {name: Table(key) for name, key in TABLE_KEYS.items()}

    def __getitem__(self, name: str) -> Table:
        return self.tables[name]

    def count(self, name: str) -> int:
        """Raise a counter by one and return it."""
        self.counters[name] = self.counters.get(name, 0) + 1
        return self.counters[name]

    def new_id(self, kind: str) -> str:
        """A UUID that the seed and the number of earlier ones decide."""
        return str(uuid5(NAMESPACE_OID, f"{self.seed}/{kind}/{self.count(f'id:{kind}')}"))

    def record_effect(self, effect: str, key: Any, **details: Any) -> None:
        """Append what was really done to the ledger; reads leave no entry."""
        entry = {"number": len(self.ledger) + 1, "at": self.clock().isoformat(), "effect": effect, "key": key}
        self.ledger.append({**entry, **details})

    def to_snapshot(self) -> Record:
        """Everything but the clock, as JSON-able values (Decimals stay Decimals)."""
        return {
            "seed": self.seed,
            "switches": asdict(self.switches),
            "counters": self.counters,
            "ledger": self.ledger,
            "tables": {name: list(table) for name, table in self.tables.items()},
        }


def from_snapshot(snapshot: Record, clock: Callable[[], datetime] = read_clock) -> Till:
    """The installation a snapshot was taken of."""
    till = Till(
        seed=snapshot["seed"],
        clock=clock,
        switches=Switches(**snapshot["switches"]),
        counters=dict(snapshot["counters"]),
        ledger=list(snapshot["ledger"]),
    )
    for name, rows in snapshot["tables"].items():
        for row in rows:
            till[name].put(_exact(row) if name == "stock" else row)
    return till


def _exact(row: Record) -> Record:
    return {**row, "physical": Decimal(row["physical"]), "reserved": Decimal(row["reserved"])}
