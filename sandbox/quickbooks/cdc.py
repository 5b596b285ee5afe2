"""Change data capture: everything of the named entities that changed since a moment, tombstones included."""

from __future__ import annotations

from datetime import datetime

from sandbox.quickbooks import clock, faults, people
from sandbox.quickbooks.company import Company, copy_row
from sandbox.quickbooks.entities import BY_URL, Entity
from sandbox.quickbooks.faults import Json

_FAILURES = {"4002": faults.unreadable_record(), "500": faults.system_failure(500)}
LARGEST_ANSWER = 1000
LOOK_BACK_DAYS = 30


def run(company: Company, entities: str, changed_since: str) -> list[Json]:
    """The CDCResponse: one member per entity asked for, empty where nothing changed; at most 1000 objects in all."""
    since = _read_since(company, changed_since)
    wanted = [_get_entity(name.strip()) for name in entities.split(",") if name.strip()]
    if not wanted:
        raise faults.missing("entities")
    for entity in wanted:
        if rule := company.switches.failing_captures.get(entity.name):
            raise _FAILURES[rule]
    room = LARGEST_ANSWER
    members: list[Json] = []
    for entity in wanted:
        found = _find_changes(company, entity, since)[:room]
        room -= len(found)
        members.append(_to_member(entity, found))
    return [{"QueryResponse": members}]


def _read_since(company: Company, text: str) -> datetime:
    if not text:
        raise faults.missing("changedSince")
    try:
        asked = clock.parse_moment(text.replace(" ", "+"))
    except ValueError as error:
        raise faults.invalid_date("changedSince", text) from error
    return max(asked, clock.days_before(company.clock.now(), LOOK_BACK_DAYS))


def _get_entity(name: str) -> Entity:
    entity = BY_URL.get(name.lower())
    if entity is None or not entity.in_cdc:
        raise faults.invalid_query(f"invalid context declaration: {name}")
    return entity


def _find_changes(company: Company, entity: Entity, since: datetime) -> list[Json]:
    def is_recent(stamp: str) -> bool:
        return clock.parse_moment(stamp) >= since.replace(microsecond=0)

    rows = [copy_row(row) for row in company.select(entity.name, lambda row: is_recent(_stamp(row)))]
    for row in rows:
        people.mask(row)
    gone = [
        {"domain": "QBO", "status": "Deleted", "Id": each.id, "MetaData": {"LastUpdatedTime": each.moment}}
        for each in company.tombstones
        if each.entity == entity.name and is_recent(each.moment)
    ]
    return sorted(rows + gone, key=lambda row: clock.parse_moment(_stamp(row)), reverse=True)


def _stamp(row: Json) -> str:
    return str(row["MetaData"]["LastUpdatedTime"])


def _to_member(entity: Entity, found: list[Json]) -> Json:
    return {entity.name: found, "startPosition": 1, "maxResults": len(found)} if found else {}
