"""All changes in the books since a time: change data capture, and queries for what exceeds its answer.

Change data capture reaches thirty days back, returns at most a thousand rows over all requested entities, and has no
pages. A query has pages, but shows no deletions: so linked rows are looked up too, and a missing one was deleted. If
the books fail on an answer, each entity is requested separately: one record that they cannot show must not hide the
others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain, islice
from typing import TypeAlias

from gateway.connectors.quickbooks.faults import OUTAGE
from gateway.errors import AuthLost, GatewayError, Permanent, Transient
from handlers.catalogue import items
from handlers.deps import Deps
from mapping.records import ChangeSet, RecordChange

Refused: TypeAlias = Mapping[str, GatewayError]
LOOK_BACK = timedelta(days=29)  # the vendor's limit is 30 days
AT_ONCE = 200  # rows looked up in one read


@dataclass(frozen=True, slots=True)
class Scope:
    """What a poll reads: its entities, the linked ids of an entity, and how to prolong its lease."""

    entities: Sequence[str]
    linked: Callable[[str], Iterable[str]]
    prolong: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Capture:
    """The changes, read during iteration; `as_of` is the books' clock before the first read.

    `read_at` is the database's clock at that time. Entities in `refused` could not be read.
    """

    changes: Iterable[RecordChange]
    as_of: datetime
    read_at: datetime
    refused: Refused = field(default_factory=dict)


def read(scope: Scope, since: datetime, deps: Deps, *, failed_before: bool = False) -> Capture:
    """Everything of these entities that changed since; one read if that is enough.

    `failed_before` says that the poll before this one failed: one internal error says little, two in a row may mean
    that a record cannot be shown.
    """
    read_at = items.now(deps)
    if since < deps.now() - LOOK_BACK:
        # The last poll is older than the vendor's limit: only a full read finds what happened since.
        as_of = deps.books.changes(scope.entities, deps.now()).as_of
        found = (_look_through(entity, scope, since, as_of, deps) for entity in scope.entities)
        return Capture(chain.from_iterable(found), as_of, read_at)
    answer, refused = _ask(scope.entities, since, deps, failed_before=failed_before)
    if not answer.possibly_truncated:
        return Capture(answer.changes, answer.as_of, read_at, refused)
    # One entity in one read; page by page if that answer too has the maximum length.
    alone = {entity: deps.books.changes([entity], since) for entity in scope.entities if entity not in refused}
    parts = [
        _look_through(entity, scope, since, part.as_of, deps) if part.possibly_truncated else part.changes
        for entity, part in alone.items()
    ]
    return Capture(chain.from_iterable(parts), min(part.as_of for part in alone.values()), read_at, refused)


def _ask(
    entities: Sequence[str], since: datetime, deps: Deps, *, failed_before: bool
) -> tuple[ChangeSet, dict[str, GatewayError]]:
    """One answer for all entities, or one each if the books fail on it; and the entities that fail alone."""
    try:
        return deps.books.changes(entities, since), {}
    except GatewayError as error:
        if len(entities) == 1 or not _may_be_about_a_record(error, failed_before=failed_before):
            raise
        deps.say("QuickBooks cannot say what changed: asking for each kind separately", reason=error.reason)
    answers: list[ChangeSet] = []
    refused: dict[str, GatewayError] = {}
    for entity in entities:
        try:
            answers.append(deps.books.changes([entity], since))
        except GatewayError as error:
            if not _may_be_about_a_record(error, failed_before=True):
                raise
            refused[entity] = error
    if not answers:
        raise next(iter(refused.values()))
    changes = tuple(change for answer in answers for change in answer.changes)
    truncated = any(answer.possibly_truncated for answer in answers)
    return ChangeSet(changes, min(answer.as_of for answer in answers), possibly_truncated=truncated), refused


def _may_be_about_a_record(error: GatewayError, *, failed_before: bool) -> bool:
    """Whether a record in the answer may be the cause: a refusal, or a repeated internal error."""
    if isinstance(error, Permanent):
        return not isinstance(error, AuthLost)
    return failed_before and isinstance(error, Transient) and error.code == OUTAGE.code


def _look_through(entity: str, scope: Scope, since: datetime, as_of: datetime, deps: Deps) -> Iterator[RecordChange]:
    """Changed rows first, then linked rows that were not among them: unchanged, deleted, or moved between two pages."""
    deps.say("more changed in QuickBooks than one answer holds: looking through all of it", entity=entity, since=since)
    seen: set[str] = set()
    for change in deps.books.changed_rows(entity, since):
        if len(seen) % AT_ONCE == 0:
            scope.prolong()
        seen.add(change.id)
        yield change
    left = (id_ for id_ in dict.fromkeys(scope.linked(entity)) if id_ not in seen)
    while some := list(islice(left, AT_ONCE)):
        scope.prolong()
        present = {change.id: change for change in deps.books.present_rows(entity, some, as_of)}
        yield from (present.get(id_) or RecordChange(entity, id_, as_of, deleted=True) for id_ in some)
