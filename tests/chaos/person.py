"""The person whom parked events wait for: does what the fix of each says, if a trouble explains why it is there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress

import httpx
from sqlalchemy import select
from sqlmodel import col

from gateway.database.session import reading
from gateway.store.tables import InboxRow
from tests.chaos.arena import Arena
from tests.chaos.checker import PARKED
from tests.stories.stage import REALM

Follow = Callable[["Person", InboxRow], None]


class Person:
    """`followed` counts the events whose fix was followed, by their code or what they are about."""

    def __init__(self, arena: Arena, happened: Mapping[str, int]) -> None:
        self.arena, self._happened = arena, happened
        self.followed: Counter[str] = Counter()

    def look(self) -> None:
        """Follow the fix of everything parked that a trouble explains; what none explains stays for the verdict."""
        with reading(self.arena.engine) as session:
            rows = list(session.execute(select(InboxRow).where(col(InboxRow.state) == PARKED)).scalars())
        for row in rows:
            why = row.code or row.entity
            troubles, follow = EXPLAINED.get(why, ((), None))
            if follow and any(self._happened.get(trouble) for trouble in troubles):
                with suppress(httpx.HTTPError):  # the web process is being started; at the next look then
                    follow(self, row)
                    self.followed[why] += 1

    def ignore(self, row: InboxRow) -> None:
        """It has been seen."""
        stage = self.arena.stage
        url = f"{stage.url}/admin/events/{row.id}/ignore"
        httpx.post(url, headers=stage.bearer, json={}, timeout=30).raise_for_status()

    def delete_document(self, row: InboxRow) -> None:
        """The second document of a sale leaves the books; then the event is ignored."""
        entity, document = str(row.target_entity), str(row.target_id)
        if any(each["Id"] == document for each in self.arena.stage.books.rows(REALM, entity)):
            self.arena.stage.books.delete(REALM, entity, document)
        self.ignore(row)

    def free_article(self, row: InboxRow) -> None:
        """The external id of the article is emptied at the till, then the event is retried."""
        stage, number = self.arena.stage, str(row.record).rpartition(" ")[2]
        if "external id" not in str(row.fix):
            return  # two items ask for one article: the bookkeeper gives one of them another SKU in a moment
        with stage.till.lock:
            stage.till.till["articles"].get(int(number))["extArticleId"] = ""
        httpx.post(f"{stage.url}/admin/events/{row.id}/retry", headers=stage.bearer, timeout=30).raise_for_status()


_TWO_WRITERS = ("second deployment", "create held", "backup restored")
EXPLAINED: Mapping[str, tuple[tuple[str, ...], Follow]] = {
    "markers-began-again": (("markers begin again",), Person.ignore),
    "Installation": (("second deployment",), Person.ignore),
    "sku-taken": (("backup restored",), Person.free_article),
    "doubled": (_TWO_WRITERS, Person.delete_document),
    "doubled-removed": (_TWO_WRITERS, Person.ignore),
}
"""By an event's code, or else its entity: the troubles that explain it, and what its fix asks a person to do."""
