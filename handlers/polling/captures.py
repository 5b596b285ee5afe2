"""What changed in the books since a moment, whole: change data capture, and by query what its answer has no room for.

Change data capture reaches thirty days back, ends at a thousand rows over all entities asked for, and cannot go on.
A query can, but knows of no deletions: so the rows we have links with are looked up as well, and one that is not there
any more was deleted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, islice

from handlers.deps import Deps
from mapping.records import Change

LOOK_BACK = timedelta(days=29)  # the vendor keeps 30 days
AT_ONCE = 200  # rows looked up in one read


@dataclass(frozen=True, slots=True)
class Scope:
    """What a poll follows: its entities, the ids of an entity's rows that are linked, and how to prolong its lease."""

    entities: Sequence[str]
    linked: Callable[[str], Iterable[str]]
    prolong: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Capture:
    """What changed, read while it is iterated over; `as_of` is the books' clock before the first of it was read."""

    changes: Iterable[Change]
    as_of: datetime


def read(scope: Scope, since: datetime, deps: Deps) -> Capture:
    """Everything of these entities that changed since; one read where that is enough."""
    earliest = deps.now() - LOOK_BACK
    return _read(scope, scope.entities, since, deps) if since >= earliest else _reach_back(scope, since, deps)


def _read(scope: Scope, entities: Sequence[str], since: datetime, deps: Deps) -> Capture:
    """All of them in one read; one by one where an answer is as long as answers get."""
    answer = deps.books.changes(entities, since)
    if not answer.possibly_truncated:
        return Capture(answer.changes, answer.as_of)
    if len(entities) == 1:
        return Capture(_look_through(entities[0], scope, since, answer.as_of, deps), answer.as_of)
    parts = [_read(scope, [entity], since, deps) for entity in entities]
    return Capture(chain.from_iterable(part.changes for part in parts), min(part.as_of for part in parts))


def _reach_back(scope: Scope, since: datetime, deps: Deps) -> Capture:
    """A silence longer than the vendor remembers: what happened in it is only found by looking through everything."""
    as_of = deps.books.changes(scope.entities, deps.now()).as_of
    found = (_look_through(entity, scope, since, as_of, deps) for entity in scope.entities)
    return Capture(chain.from_iterable(found), as_of)


def _look_through(entity: str, scope: Scope, since: datetime, as_of: datetime, deps: Deps) -> Iterator[Change]:
    """What exists and changed, then what we know of and did not see: unchanged, deleted, or moved between two pages."""
    deps.say("more changed in QuickBooks than one answer holds: looking through all of it", entity=entity, since=since)
    seen: set[str] = set()
    for change in deps.books.changed_rows(entity, since):
        if len(seen) % AT_ONCE == 0:
            scope.prolong()
        seen.add(change.id)
        yield change
    for some in _chunks(id_ for id_ in dict.fromkeys(scope.linked(entity)) if id_ not in seen):
        scope.prolong()
        present = {change.id: change for change in deps.books.present_rows(entity, some, as_of)}
        yield from (present.get(id_) or Change(entity, id_, as_of, deleted=True) for id_ in some)


def _chunks(ids: Iterator[str]) -> Iterator[list[str]]:
    while some := list(islice(ids, AT_ONCE)):
        yield some
