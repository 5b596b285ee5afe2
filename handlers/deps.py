"""What every handler gets: both systems of one connection, its settings, the store, and a log."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final, Generic, TypeVar

from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.connectors.quickbooks.client import ListEntity, QuickBooks
from gateway.database.session import ConnectionStore, writing
from gateway.errors import DuplicateName, Transient
from gateway.store import claims, inbox, requests
from gateway.store import links as stored_links
from gateway.store.agreements import SigningKey
from gateway.store.audit import Entry
from gateway.store.claims import Claim
from gateway.store.events import Change, Event, Flow
from gateway.store.links import KnownLinks, Link, LinkKind
from gateway.store.records import RecordFacts
from handlers.lists import Lists
from mapping import list_entries, settings_document
from mapping.messages import message
from mapping.records import BookedDocument, LineAmounts, Sale
from mapping.settings_document import SettingsDocument
from mapping.vat_table import VatTable

_NOW: Final = partial(datetime.now, UTC)
READ_CACHE_SECONDS: Final = 3.0
READ_CACHE_AT_MOST: Final = 200
ITEMS_SECONDS: Final = 30.0
Read = TypeVar("Read")


class ReadCache(Generic[Read]):
    """Records as this process has read them moments ago, by the key of their event: few, and only in memory.

    Each is handed out once, for a later version has another key. A handler that finds none reads the other system.
    """

    def __init__(self, *, seconds: float = READ_CACHE_SECONDS, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._kept: dict[str, tuple[float, Read]] = {}
        self._lock = threading.Lock()

    def put(self, read: Mapping[str, Read]) -> None:
        """Keep them for a few seconds; the oldest are dropped."""
        with self._lock:
            self._drop_old()
            self._kept |= {key: (self._clock(), record) for key, record in read.items()}
            for key in list(self._kept)[:-READ_CACHE_AT_MOST]:
                del self._kept[key]

    def take(self, key: str) -> Read | None:
        with self._lock:
            self._drop_old()
            found = self._kept.pop(key, None)
        return found[1] if found else None

    def _drop_old(self) -> None:
        oldest = self._clock() - self._seconds
        self._kept = {key: kept for key, kept in self._kept.items() if kept[0] >= oldest}


class ItemReadCache(ReadCache[Any]):
    """Items that were read together for several events of a connection; `lock` is held while they are read."""

    def __init__(self) -> None:
        super().__init__(seconds=ITEMS_SECONDS)
        self.lock = threading.Lock()


def not_shown_yet(name: str) -> Transient:
    """The error about a name that the books refuse as used and do not show: a query may lag behind a create."""
    return Transient(message("QuickBooks has the name {name} already, and does not show it yet", name=name))


@dataclass(frozen=True)
class ProcessState:
    """State of a process: its start time, its poll interval of the till, and the cursors it has reached.

    `sales_read` are the sales that its polls have read a moment ago, `items` those of each connection that were read
    together, `loads` what a first load of each connection keeps. `name` begins the tokens of its leases.
    """

    started: datetime
    poll_every: timedelta
    polled: dict[tuple[str, str], int] = field(default_factory=dict)
    sales_read: ReadCache[Sale] = field(default_factory=ReadCache)
    items: defaultdict[str, ItemReadCache] = field(default_factory=lambda: defaultdict(ItemReadCache))
    loads: dict[str, Any] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True)
class Deps(ConnectionStore):
    """The dependencies of one event. `facts` are event columns found so far, stored even if the handler fails later;
    `sales` are the sales it is about, by the till's id, as far as they were read; `documents` are those of the books as
    they were last read or written, by their kind and id; `records` is what was seen of products and customers.

    With `dry_run` (see `without_writes`) neither system is written to, and nothing is stored.
    `line_amounts` is what the company of the books accepts as the amount of a line; `taxes_sums`: it was seen to tax
    the sum of a code's lines, whatever tax was stated.
    `links` are those that were loaded for the event, without those it has written since.
    `claim` is the worker's lease of the event: after it is lost, nothing is stored. `installation` is the name that
    documents are signed with, `signing` gives the key of certificates. `known` is what `registry.look_up` found.
    Within `in_a_row` calls to the till share a slot of the rate limiter: nothing may be waited for between them.
    """

    books: QuickBooks
    till: MplusKassa
    lists: Lists
    settings: SettingsDocument
    log: list[Entry]
    notify: Callable[[Iterable[int]], None]
    process: ProcessState
    links: KnownLinks
    facts: dict[str, Any] = field(default_factory=dict)
    sales: dict[str, Sale | None] = field(default_factory=dict)
    documents: dict[tuple[str, str], BookedDocument] = field(default_factory=dict)
    records: dict[tuple[str, str], RecordFacts] = field(default_factory=dict)
    now: Callable[[], datetime] = _NOW
    dry_run: bool = False
    line_amounts: LineAmounts = LineAmounts.ROUNDED
    taxes_sums: bool = False
    installation: str = ""
    signing: Callable[[], SigningKey] | None = None
    claim: Claim | None = None
    known: object = None
    in_a_row: Callable[[], AbstractContextManager[None]] = nullcontext

    def without_writes(self) -> Deps:
        """The dependencies of a dry run: both clients refuse what is not a read, before it leaves."""
        books, till = self.books.reading_only(), self.till.reading_only()
        return dataclasses.replace(self, books=books, till=till, dry_run=True)

    def vat_table(self) -> VatTable:
        """Today's tax codes and VAT codes. Raises `MappingError` if prices are in another currency."""
        list_entries.require_home(self.lists.company(), self.settings.products.currency)
        codes = {code.id: code for code in self.lists.tax_codes(self.now().date())}
        return VatTable(groups=self.lists.vat_groups(), tax_codes=codes)

    def note(self, title: str, **detail: Any) -> None:
        """Write a decision into the event's activity log."""
        self.log.append(Entry("decided", title, detail=detail or None, at=self.now()))

    def save_links(self, *found: Link) -> None:
        """Store links at once, in their own transaction: what exists in a system stays known even if this event fails.

        Raises `LeaseLost` if another worker has the event now: its links are not overwritten.
        """
        if self.dry_run or not found:
            return
        with writing(self.engine) as session:
            claims.hold(session, self.claim)
            stored_links.save(session, self.connection, *found)
        for link in found:
            self.links.pop((LinkKind(link.kind), link.source_id), None)

    def save_link_once(self, link: Link) -> Link:
        """Store a link that is written only once; returns the link that was stored first."""
        if self.dry_run:
            return link
        self.links.pop((LinkKind(link.kind), link.source_id), None)
        with writing(self.engine) as session:
            return stored_links.add(session, self.connection, link)

    def delete_link(self, kind: LinkKind, source_id: str) -> None:
        """Delete a link whose target does not exist any more."""
        if self.dry_run:
            return
        with writing(self.engine) as session:
            claims.hold(session, self.claim)
            stored_links.forget(session, self.connection, kind, source_id)
        self.links.pop((kind, source_id), None)

    def create_entry(self, entity: ListEntity, name: str, identity: Sequence[str], said: str) -> str:
        """Make an entry that a small list of the books lacks, and say so; returns its id.

        `identity` begins the request id. The successor of an inactive entry is another one: the books may repeat their
        first answer.
        """
        token = self.books.request_id(*identity, *list_entries.former_ids(name, self.lists.entries(entity)))
        try:
            made = self.books.create_entry(entity, name, token)
        except DuplicateName:  # another sale made it, in books that did not recognise the common request id
            found = list_entries.named(name, self.lists.read_again(entity))
            if found is None:
                raise not_shown_yet(name) from None
            return found.id
        if not self.dry_run:
            self.lists.add(entity, made)
            self.note(said, name=name, id=made.id)
        return made.id

    def enqueue(self, *changes: Change) -> None:
        """Put follow-up changes into the inbox at once; repeated changes are recognised by their keys."""
        if self.dry_run:
            return
        with writing(self.engine) as session:
            received = inbox.receive(session, changes)
        self.notify([row.id for row in received if row.pending])

    def to_change(self, key: str, flow: Flow, entity: str, entity_id: str, **more: Any) -> Change:
        """A follow-up change of our own, about a record of this connection; `more` are other fields of it."""
        return Change(key, flow, "gateway", entity, entity_id, self.connection, **more)

    def release_waiting(self, code: str, cause: str) -> None:
        """A cause is gone: release the events that are parked or waiting because of it."""
        if self.dry_run:
            return
        with writing(self.engine) as session:
            ids = inbox.requeue_by_code(session, self.connection, code=code, cause=cause)
        if ids:
            self.note("what waited for this goes on", events=ids, code=code, cause=cause)
            self.notify(ids)

    def set_facts(self, **facts: Any) -> None:
        """Set event columns (order_id, sku, email, target_entity, target_id), and `record`: what people call it."""
        self.facts.update({name: value for name, value in facts.items() if value})

    def note_record(self, facts: RecordFacts) -> None:
        """Keep what was seen of a product or customer; it is stored with the outcome of the event."""
        key = (facts.kind, facts.source_id)
        self.records[key] = facts.with_earlier(self.records.get(key))


def for_preview(event: Event, deps: Deps) -> Deps:
    """Dependencies of a preview: nothing is stored, and a settings document in the request is used."""
    document = event.asked.get(requests.SETTINGS)
    settings = deps.settings if document is None else settings_document.parse(document)
    records = deps.records if document is None else {}  # with other settings something else would differ
    return dataclasses.replace(deps.without_writes(), settings=settings, records=records)
