"""Change data capture of the books with one metered read: items, documents, customers, estimates."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.store import cursors
from gateway.store.session import reading
from handlers.deps import Deps
from handlers.polling import ledger_feed, polls
from handlers.polling.captures import Shared

_SOURCES = {cursors.BOOKS: polls.OVERLAP, ledger_feed.SOURCE: ledger_feed.OVERLAP}


def poll(deps: Deps) -> list[int]:
    """Receive what changed in the books; returns the ids of events to work on now.

    A failure of one feed does not block the other; it is raised at the end. A feed that fails again while the other
    does not waits for the next poll: each read is metered, and its cursor shows the delay.
    """
    with reading(deps.engine) as session:
        failing = {source for source in _SOURCES if cursors.failure(session, deps.connection, source)}
        held = cursors.held_back(session, deps.connection, ledger_feed.SOURCE)
    items = () if cursors.BOOKS in failing else (polls.ITEM,)
    followed = [entity for entity in ledger_feed.entities(deps) if entity not in held]
    shared = Shared((*items, *followed), _find_start(deps), failed_before=bool(failing))
    found: list[int] = []
    failures: dict[str, Exception] = {}
    for source, follow in ((cursors.BOOKS, polls.poll_books), (ledger_feed.SOURCE, ledger_feed.poll)):
        try:
            found += follow(deps, shared)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other feed is not to blame
            failures[source] = error
    if failures.keys() - failing or len(failures) == len(_SOURCES):
        deps.notify(found)
        raise next(iter(failures.values()))
    return found


def _find_start(deps: Deps) -> datetime:
    """The position of the feed that is furthest behind; both are about equal unless one had to wait."""
    with reading(deps.engine) as session:
        positions = {source: cursors.find(session, deps.connection, source) for source in _SOURCES}
    return min(_to_moment(positions[source], overlap, deps) for source, overlap in _SOURCES.items())


def _to_moment(position: str | None, overlap: timedelta, deps: Deps) -> datetime:
    return (datetime.fromisoformat(position) if position else deps.now()) - overlap
