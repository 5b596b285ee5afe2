"""One company's books: rows, ids, tombstones, remembered answers; it stores and stamps, and knows no rules."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sandbox.quickbooks import clock, faults
from sandbox.quickbooks.clock import Clock
from sandbox.quickbooks.entities import ENTITIES, PEOPLE, Entity
from sandbox.quickbooks.faults import Json
from sandbox.quickbooks.switches import Switches

NameKey: TypeAlias = tuple[str, str, str]
"""Id series, parent's id, name without regard to case: what one row only may hold."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something that happened to a row: the webhook's operation, and whether it belongs in the ledger."""

    realm: str
    entity: str
    id: str
    operation: str
    moment: str
    row: Json
    quiet: bool = False
    vanished: str | None = None


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What is left of a deleted transaction."""

    entity: str
    id: str
    moment: str


@dataclass
class Company:
    """A realm and everything in it. `changed` is told of every stored change; `person` appears in stale faults.

    `denied` are the kinds of records that the company's plan does not allow to be written, `unreadable` those that the
    user who connected it has no right to see; a company that is `elsewhere` lives in the other environment than this
    address. `locked_out`: every token is refused, good ones too; `view_only`: so are writes, for a subscription ended.
    """

    realm: str
    clock: Clock
    switches: Switches
    changed: Callable[[Change], None]
    person: str = "the bookkeeper"
    warn_duplicates: bool = True
    subscription_ended: bool = False
    denied: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    elsewhere: bool = False
    locked_out: bool = False
    view_only: bool = False
    custom_fields: dict[str, str] = field(default_factory=dict)
    rows: dict[str, dict[str, Json]] = field(default_factory=dict)
    tombstones: list[Tombstone] = field(default_factory=list)
    answers: dict[str, Json] = field(default_factory=dict)
    series: dict[str, int] = field(default_factory=dict)
    holders: dict[NameKey, tuple[str, str]] = field(default_factory=dict)

    # --- reading ---

    def table(self, entity: str) -> dict[str, Json]:
        """All rows of an entity by id; the rows are live, never hand them out."""
        return self.rows.setdefault(entity, {})

    def find(self, entity: str, row_id: str) -> Json | None:
        """The live row, or None."""
        return self.table(entity).get(row_id)

    def get(self, entity: str, row_id: str) -> Json:
        """The live row. Raises fault 610."""
        row = self.find(entity, row_id)
        if row is None:
            raise faults.not_found()
        return row

    def select(self, entity: str, keep: Callable[[Json], bool]) -> Iterator[Json]:
        """Live rows that satisfy `keep`."""
        return (row for row in self.table(entity).values() if keep(row))

    def preference(self, group: str, name: str, default: Any = None) -> Any:
        """A value out of the company's Preferences."""
        preferences = self.table("Preferences").get("1", {})
        return preferences.get(group, {}).get(name, default)

    @property
    def country(self) -> str:
        """ISO code of the company's country."""
        return str(self.table("CompanyInfo").get("1", {}).get("Country", "US"))

    @property
    def is_us(self) -> bool:
        """Sales tax works differently in the United States."""
        return self.country == "US"

    @property
    def home_currency(self) -> str:
        """Code of the home currency."""
        home = self.preference("CurrencyPrefs", "HomeCurrency", {"value": "USD"})
        return str(home["value"])

    @property
    def keeps_currencies(self) -> bool:
        """Whether multicurrency is switched on."""
        return bool(self.preference("CurrencyPrefs", "MultiCurrencyEnabled", False))

    # --- writing ---

    def next_id(self, series: str) -> str:
        """The next id of a series."""
        self.series[series] = self.series.get(series, 0) + 1
        return str(self.series[series])

    def stamp(self) -> str:
        """The current moment as MetaData carries it."""
        return clock.to_stamp(self.clock.now())

    def insert(self, entity: Entity, row: Json) -> Json:
        """Store a new row and tell of it; `row` may carry its id already (singletons)."""
        moment = self.stamp()
        row["Id"] = row.get("Id") or self.next_id(entity.series)
        row.update(SyncToken="0", domain="QBO", sparse=False)
        row["MetaData"] = {"CreateTime": moment, "LastUpdatedTime": moment}
        self._store(entity, row)
        self._tell(entity.name, row, "Create")
        return row

    def replace(self, entity: Entity, row: Json, *, operation: str = "Update") -> Json:
        """Store a changed row with the next SyncToken and tell of it."""
        old = self.get(entity.name, row["Id"])
        row["SyncToken"] = str(int(old["SyncToken"]) + 1)
        row.update(domain="QBO", sparse=False)
        row["MetaData"] = {"CreateTime": old["MetaData"]["CreateTime"], "LastUpdatedTime": self.stamp()}
        self._drop_name(entity, old)
        self._store(entity, row)
        self._tell(entity.name, row, operation)
        return row

    def touch(self, entity: str, row: Json, *, bump: bool = False, announce: bool = False) -> None:
        """Mark a row as changed by something else (stock, balance, a parent's name)."""
        row["MetaData"]["LastUpdatedTime"] = self.stamp()
        if bump:
            row["SyncToken"] = str(int(row["SyncToken"]) + 1)
        if announce:
            self._tell(entity, row, "Update", quiet=True)

    def remove(self, entity: Entity, row: Json, *, operation: str = "Delete", vanished_into: str | None = None) -> None:
        """Forget a row, leaving a tombstone. A merge tells of the survivor and names the vanished row."""
        moment = self.stamp()
        del self.table(entity.name)[row["Id"]]
        self._drop_name(entity, row)
        self.tombstones.append(Tombstone(entity.name, row["Id"], moment))
        survivor = vanished_into or row["Id"]
        vanished = row["Id"] if vanished_into else None
        self.changed(Change(self.realm, entity.name, survivor, operation, moment, row, vanished=vanished))

    def find_holder(self, entity: Entity, row: Json) -> tuple[str, str] | None:
        """Entity and id of the stored row that holds this row's name, or None."""
        return self.holders.get(to_name_key(entity, row))

    def index_names(self) -> None:
        """Build the index of names again, after rows were put in place or moved by hand."""
        self.holders.clear()
        for name, table in self.rows.items():
            for row in table.values():
                self._store(ENTITIES[name], row)

    def _store(self, entity: Entity, row: Json) -> None:
        self.table(entity.name)[row["Id"]] = row
        if entity.is_list:
            self.holders[to_name_key(entity, row)] = (entity.name, row["Id"])

    def _drop_name(self, entity: Entity, row: Json) -> None:
        if self.find_holder(entity, row) == (entity.name, row["Id"]):
            del self.holders[to_name_key(entity, row)]

    def _tell(self, entity: str, row: Json, operation: str, *, quiet: bool = False) -> None:
        moment = row["MetaData"]["LastUpdatedTime"]
        self.changed(Change(self.realm, entity, row["Id"], operation, moment, row, quiet))


def copy_row(row: Json) -> Json:
    """A row that may be handed out or changed."""
    return {name: _copy(value) for name, value in row.items()}


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return copy_row(value)
    return [_copy(each) for each in value] if isinstance(value, list) else value


def to_name(row: Json | None) -> str | None:
    """The name a reference to this row shows."""
    if row is None:
        return None
    return row.get("FullyQualifiedName") or row.get("DisplayName") or row.get("Name") or row.get("DocNumber")


def to_name_key(entity: Entity, row: Json) -> NameKey:
    """The key of a row's name; people share one series, other lists are unique under their parent."""
    parent = "" if entity.name in PEOPLE else row.get("ParentRef", {}).get("value", "")
    return entity.series, parent, str(row.get(entity.name_field, "")).casefold()
