"""Items of a load, a batch at a time: what is unchanged is counted, what is new is made, the rest has events.

The till has no call that makes several products, so each costs one; everything else is done once for a batch. What a
batch begins with is stored in one transaction: its events, those of new items claimed already under the lease of the
load, and the position after it. How they end is stored in another. If the process dies between the two, the events are
taken over like any others, each by itself: an article that exists is recognised by its number. An item with another
open event, or with one since it was read, is left to events, so that older data never overwrites newer.
"""

from __future__ import annotations

import dataclasses
import time
import uuid
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from itertools import chain
from typing import Final

from gateway import failpoints
from gateway.database.session import reading, writing
from gateway.errors import AuthLost, GatewayError, Permanent, RateLimited, Transient, Unanswered
from gateway.observability import counters
from gateway.store import claims, inbox, links, records, requests, round_robin
from gateway.store.events import BACKFILL, Change, Event, Flow, Outcome, State
from gateway.store.leases import Lease
from gateway.store.links import Link, LinkKind
from gateway.store.records import RecordKind
from handlers.catalogue import articles, categories, items, ownership, products, steps
from handlers.catalogue.articles import Member
from handlers.catalogue.items import ItemReading
from handlers.catalogue.steps import ItemContext, ItemStep
from handlers.deps import Deps
from handlers.result import Ended, Result, done, store_ended, to_end_entry
from mapping import products as mapped
from mapping.errors import MappingError, NotBookable
from mapping.items import CATEGORY, find_own_number, needs_allocation
from mapping.records import Item, Product
from mapping.vat_table import VatTable

FIRST, MOST = 25, 200
"""Items of a batch: at first, and at most."""
BATCH_SECONDS: Final = 2.0
RETRY_SECONDS: Final = 30.0
KEPT_SECONDS: Final = 600.0
_SURE_SECONDS: Final = 2.0
_UNSURE_SECONDS: Final = 5.0
_INTERRUPTING: Final = (Transient, Unanswered, AuthLost)


@dataclass(frozen=True, slots=True)
class ItemPage:
    """Items as the books listed them for a load, from a position on, and the till's products by article number.

    `altered`: items whose articles were changed by hand. `numbers`: how many items have an SKU that is this number.
    """

    key: str
    start: int
    items: Sequence[Item]
    read_at: datetime
    present: Mapping[int | None, Product]
    altered: frozenset[str]
    is_last: bool
    numbers: Counter[int | None] = field(default_factory=Counter)
    kept_at: float = field(default_factory=time.monotonic)

    def serves(self, key: str, position: int) -> bool:
        fresh = time.monotonic() - self.kept_at < KEPT_SECONDS
        return fresh and key == self.key and self.start <= position < self.start + len(self.items)


@dataclass(slots=True)
class LoadState:
    """What a process keeps of the load of a connection between two batches."""

    page: ItemPage | None = None
    size: int = field(default_factory=lambda: FIRST)

    def learn(self, seconds: float, *, failed: bool) -> None:
        """Choose the size of the next batch by how long this one took."""
        grown = round(self.size * min(4.0, BATCH_SECONDS / max(seconds, 0.001)))
        self.size = 1 if failed else max(1, min(MOST, grown))


@dataclass(frozen=True, slots=True)
class NewItem:
    """An item whose article the till does not have, and what is made of it."""

    known: ItemContext
    product: Product


def find_known(page: Sequence[Item], deps: Deps) -> dict[str, Link]:
    """The links of these items, by item; items that were never written are absent."""
    return deps.read(links.find_all, LinkKind.ITEM, [item.id for item in page])


def handle(some: Sequence[Item], page: ItemPage, reached: object, event: Event, deps: Deps) -> GatewayError | None:
    """Handle some items of a page; what interrupted that, or None. `reached`: the position after them.

    Raises `AuthLost` where the till refuses our login.
    """
    asked = [item for item in some if item.type != CATEGORY]
    known = find_known(asked, deps)
    sold = [item for item in asked if item.active or item.id in known]
    numbers = _find_numbers([item for item in sold if item.id not in known], page, deps)
    with _hold(numbers.values(), deps) as lease:
        mapped = _map(sold, known, numbers, page, event, deps)
        settled = {each.item.id for each in mapped if steps.decide(each) is ItemStep.NOTHING} - page.altered
        new = _find_new(mapped, deps) if lease else {}
        taken = page.present.keys()
        changes = {
            item.id: to_change(event, item, page.read_at, Flow.PRODUCTS, absent=find_own_number(item.sku) not in taken)
            for item in sold
            if item.id not in settled
        }
        begun = _begin(page, reached, changes, new, event, deps, read=len(asked), unchanged=len(asked) - len(changes))
        if lease is None or not begun:
            return None
        failpoints.reach(failpoints.AFTER_CLAIM, items.ENTITY)
        return _make({id_: new[id_] for id_ in begun}, begun, lease, deps)


def notice_altered(
    page: Sequence[Item], known: Mapping[str, Link], present: Mapping[int | None, Product], deps: Deps
) -> frozenset[str]:
    """Mark as unsure the links of items whose articles differ from what the gateway would write; returns their ids.

    A link stores what was last written, so an unchanged item needs no read; here the page was read anyway. Then the
    item's own event reads the article and writes what differs. `present`: the till's products, by article number.
    """
    vat = deps.vat_table()
    linked = ((item, known[item.id]) for item in page if item.id in known)
    trusted = ((i, link) for i, link in linked if link.fingerprint not in (None, items.GONE, items.LEFT_OUT))
    altered = {item.id: link for item, link in trusted if _is_altered(item, link, present, vat, deps)}
    if altered:
        with writing(deps.engine) as session:
            links.mark_unsure(session, deps.connection, altered.values())
            records.note_altered(session, deps.connection, RecordKind.PRODUCT, altered)
    return frozenset(altered)


def _map(
    sold: Iterable[Item],
    known: Mapping[str, Link],
    numbers: Mapping[str, int],
    page: ItemPage,
    event: Event,
    deps: Deps,
) -> list[ItemContext]:
    """What is known of the items, loaded at once; without those whose step only their own events can decide.

    Those are items that changed, wait for their category, or may have the article of another. What is wrong with an
    item is for its event to say.
    """
    numbers = {**numbers, **{id_: int(link.target_id) for id_, link in known.items()}}
    categories_ = sorted({item.parent_id for item in sold if item.parent_id})
    with reading(deps.engine) as session:
        groups = links.find_all(session, deps.connection, LinkKind.GROUP, categories_)
        owners = links.find_all(session, deps.connection, LinkKind.ARTICLE, [str(n) for n in numbers.values()])
    ours, vat, found = items.find_ours([id_ for id_ in numbers if id_ not in known], deps), deps.vat_table(), []
    for item in sold:
        link, number, category = known.get(item.id), numbers.get(item.id), groups.get(item.parent_id or "")
        awaits = item.parent_id is not None and category is None and deps.settings.categories.enabled
        changed = link is not None and link.detail.get("content") != items.content(item)
        owner = owners.get(str(number))
        if number is None or item.id in ours or awaits or changed or (owner and owner.target_id != item.id):
            continue
        seen = ItemReading(item, page.read_at)
        context = ItemContext(event, deps.settings, repeated=False, reading=seen, loaded=True)
        context = dataclasses.replace(context, link=link, owns=owner is not None, number=number, category=category)
        with suppress(MappingError):
            context = dataclasses.replace(context, refusal=steps.find_refusal(context))
            if steps.decide(context) is ItemStep.MAP:
                group = categories.group_number(category, deps) if category else None
                context = products.map_as(number, group, context, vat, deps)
                # The page was read with the till's articles: one without a link is not among them.
                found.append(dataclasses.replace(context, read=link is None))
    return found


def _is_altered(item: Item, link: Link, products: Mapping[int | None, Product], vat: VatTable, deps: Deps) -> bool:
    present = products.get(int(link.target_id))
    if present is None:
        return True
    try:
        member = Member(item, int(link.target_id), None, link, guest=articles.guest_of(link))
        wanted = articles.to_product(member, vat, deps, present)
    except NotBookable:
        return False
    except MappingError:
        return True  # its own event reports the error
    branch = deps.settings.products.vat_branch
    if articles.differs(wanted, present, vat, branch):
        return True
    group = articles.group_of(link)
    return group is not None and categories.are_groups_written(deps) and group not in present.group_numbers


def to_change(event: Event, item: Item, read_at: datetime, flow: Flow, **more: bool) -> Change:
    return Change(
        key=f"{event.key}:{item.id}",
        flow=flow,
        source="backfill",
        entity=items.ENTITY,
        entity_id=item.id,
        connection=event.connection,
        hint=items.to_hint(item, read_at, **more),
        sku=item.sku,
        priority=BACKFILL,
    )


def receive(
    event: Event, deps: Deps, changes: Iterable[Change], reached: object, *, read: int | None = None, unchanged: int = 0
) -> bool:
    """Store a page and the position in one transaction.

    Nothing is stored if a person paused the backfill meanwhile, and False returned: no later page may be stored then,
    so that this one is read again when it goes on.
    `read`: the records of the page, if not only new ones count. `unchanged`: those without anything to do.
    """
    with writing(deps.engine) as session:
        if requests.find_holds(session, event)[0]:
            return False
        received = requests.receive_page(session, event, list(changes), reached, read=read, unchanged=unchanged)
    deps.notify([row.id for row in received if row.pending][:1])
    return True


def _find_numbers(new: Sequence[Item], page: ItemPage, deps: Deps) -> dict[str, int]:
    """Article numbers that the till does not have, by the item: its SKU that no other item has, or one given to it."""
    settings = deps.settings.products
    own = {item.id: find_own_number(item.sku) for item in new}
    found = {id_: n for id_, n in own.items() if n is not None and n not in page.present and page.numbers[n] == 1}
    if settings.enabled:
        letters = [item for item in new if needs_allocation(item, settings)]
        found |= items.give_all([item for item in letters if mapped.is_wanted(item, settings)], deps)
    return found


@contextmanager
def _hold(numbers: Collection[int], deps: Deps) -> Iterator[Lease | None]:
    """The lease on these articles; None if there are none, or another process works on one of them."""
    with ExitStack() as stack:
        lease: Lease | None = None
        if numbers and deps.settings.products.enabled:
            try:
                lease = stack.enter_context(ownership.hold(numbers, deps))
            except RateLimited:
                deps.note("another worker is busy with one of these articles: each item has its own event")
        yield lease


def _find_new(mapped: Iterable[ItemContext], deps: Deps) -> dict[str, NewItem]:
    """The items whose articles can be made as they are: the product of a family may be there already."""
    found: dict[str, NewItem] = {}
    for known in mapped:
        if steps.decide(known) is ItemStep.WRITE and known.mapped.family is None:
            with suppress(MappingError):
                product = articles.to_product(known.mapped, known.vat, deps)
                new = articles.to_new(product, known.mapped.group, deps.lists.turnover_groups())
                found[known.item.id] = NewItem(known, new)
    return found


def _begin(
    page: ItemPage,
    reached: object,
    changes: Mapping[str, Change],
    new: Mapping[str, NewItem],
    event: Event,
    deps: Deps,
    **counts: int,
) -> dict[str, Event]:
    """Store the batch's events and the position after it; returns the events of new items, claimed, by item.

    Each of these items owns its article from now on. Nothing is stored while a person has paused the load.
    """
    subjects = {changes[id_].subject: id_ for id_ in new}
    with writing(deps.engine) as session:
        claims.hold(session, deps.claim)
        if requests.find_holds(session, event)[0]:
            return {}
        for subject in inbox.find_open_or_recent(session, list(subjects), page.read_at) if subjects else ():
            del subjects[subject]
        mine = inbox.begin(session, [changes[id_] for id_ in subjects.values()], event.lease or uuid.uuid4().hex)
        begun = {each.entity_id: each for each in mine.values()}
        received = [change for id_, change in changes.items() if id_ not in begun]
        members = [new[id_].known.mapped for id_ in begun]
        owners = [Link(LinkKind.ARTICLE, str(m.number), "Item", m.item.id, m.item.sync_token) for m in members]
        links.save(session, deps.connection, *sorted(owners, key=lambda link: link.source_id))
        stored = requests.receive_page(session, event, received, reached, **counts)
    deps.notify([row.id for row in stored if row.pending][:1])
    return begun


def _make(new: Mapping[str, NewItem], begun: Mapping[str, Event], lease: Lease, deps: Deps) -> GatewayError | None:
    """Make the articles one after the other, and store how that ended for all of them; returns what interrupted it."""
    ended: list[Ended] = []
    failure: GatewayError | None = None
    sure_until = 0.0
    with deps.in_a_row():
        for id_, each in new.items():
            before, error, made = len(deps.log), None, None
            try:
                if time.monotonic() >= sure_until:
                    lease.require(seconds=_SURE_SECONDS)
                    sure_until = time.monotonic() + _SURE_SECONDS
                made = articles.create(each.product, deps)
            except (Transient, Unanswered, Permanent) as raised:
                error = raised
            entries = deps.log[before:]
            del deps.log[before:]
            if isinstance(error, _INTERRUPTING):
                failure = error
            if isinstance(error, RateLimited | AuthLost):
                break  # nothing was sent, or nothing accepted
            result, seen = _to_result(each.known, error, made, deps), dataclasses.replace(deps, records={})
            if result.outcome.state is State.DONE:
                products.note(each.known.mapped, None, each.known.vat, seen, written=True)
            entries.append(to_end_entry(result.outcome))
            ended.append(Ended(begun[id_], result.outcome, result, {}, entries, tuple(seen.records.values())))
            if failure is not None:
                break
    _store(ended, [begun[id_] for id_ in list(new)[len(ended) :]], deps)
    if isinstance(failure, AuthLost):
        raise failure
    return failure


def _to_result(known: ItemContext, error: GatewayError | None, made: int | None, deps: Deps) -> Result:
    """What was not made goes on as an event of its own, which looks at what is there, and says what is wrong."""
    if error is None and made is not None:
        link = articles.to_link(known.mapped, known.wanted, known.vat, deps)
        return done(links=(link,), target_entity="Article", target_id=link.target_id)
    reason = error.reason if error else "the till has the article already"
    if isinstance(error, Unanswered):
        return Result(Outcome(State.UNCERTAIN, reason=reason, code=error.code, wait_seconds=_UNSURE_SECONDS))
    return Result(Outcome(State.WAITING, reason=reason, wait_seconds=0.0))


def _store(ended: Sequence[Ended], not_begun: Sequence[Event], deps: Deps) -> None:
    """Store how the events of the batch have ended, with their links, and give back those that have not begun."""
    failpoints.reach(failpoints.BEFORE_RECORD, items.ENTITY)
    with writing(deps.engine) as session:
        due = store_ended(session, ended)
        round_robin.give_back(session, not_begun)
    made = sum(each.outcome.state is State.DONE for each in ended)
    counters.ATTEMPTS.labels(Flow.PRODUCTS, State.DONE).inc(made)
    failpoints.reach(failpoints.AFTER_RECORD, items.ENTITY)
    deps.notify([*chain.from_iterable(due), *(event.id for event in not_begun)])
