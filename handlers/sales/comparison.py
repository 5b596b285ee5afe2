"""Whether a document of the books is still as we left it.

Changes by QuickBooks itself do not count: after a merge every document, closed or not, names the remaining item or
customer, without any edit.
"""

from __future__ import annotations

from gateway.connectors.quickbooks.wire import References, contents_of, is_as_signed, references_of, with_references
from gateway.errors import NotFound
from gateway.store.events import Change, Flow
from gateway.store.links import Link
from handlers import merges
from handlers.catalogue import items, ownership
from handlers.deps import Deps
from handlers.merges import CUSTOMER, ITEM
from handlers.references import parties
from handlers.sales import bookings
from mapping.records import DocumentContent
from mapping.sale_identity import find_signed_content

_FLOWS = {ITEM: Flow.PRODUCTS, CUSTOMER: Flow.CUSTOMERS}


def is_as_left(link: Link, content: DocumentContent, deps: Deps) -> bool:
    """Whether the document equals what a gateway wrote or was about to write; True if nothing is known of that.

    Of a document whose content was not kept with its link, the signature in its note is known.

    The signature in its note names the content also of a write that this database does not know: of another
    installation, or from before a backup was restored.
    """
    ours = {bookings.detail(link, "seen"), bookings.detail(link, "sent")} - {None}
    if (not ours and not find_signed_content(content.note)) or _is_one_of(ours, content):
        return True
    before = _before_merges(link, references_of(content), deps)
    return before is not None and _is_one_of(ours, with_references(content, before))


def _is_one_of(ours: set[str], content: DocumentContent) -> bool:
    return bool(contents_of(content) & ours) or is_as_signed(content)


def _before_merges(link: Link, now: References, deps: Deps) -> References | None:
    """What the document named before the merges into its records; None if merges explain nothing."""
    kept = bookings.detail(link, bookings.REFERENCES)
    if kept is None:  # booked before references were kept
        was = {entity: [_first_merged(entity, each, deps) for each in ids] for entity, ids in now.items()}
        return was if was != now else None
    if any(len(kept.get(entity, ())) != len(ids) for entity, ids in now.items()):
        return None
    differing = {(entity, *pair) for entity, ids in now.items() for pair in zip(kept[entity], ids, strict=True)}
    changed = [each for each in sorted(differing, key=str) if each[1] != each[2]]
    if not changed or not all(_took_over(entity, was, is_now, deps) for entity, was, is_now in changed):
        return None
    return {entity: kept[entity] for entity in now}


def _first_merged(entity: str, record_id: str | None, deps: Deps) -> str | None:
    merged_ids = merges.find_merged(entity, record_id, deps) if record_id else []
    return merged_ids[0] if merged_ids else record_id


def _took_over(entity: str, was: str | None, is_now: str | None, deps: Deps) -> bool:
    """Whether one record replaced the other because of a merge: nothing else removes a record permanently."""
    if not was or not is_now:
        return False
    if remaining_id := merges.find_remaining(entity, was, deps):
        return remaining_id == is_now
    try:
        deps.books.item(was) if entity == ITEM else deps.books.customer(was)
    except NotFound:
        _follow(entity, was, is_now, deps)
        return True
    return False


def _follow(entity: str, merged_id: str, remaining_id: str, deps: Deps) -> None:
    """Apply a merge that was not reported: use the remaining record for sales, and pass the merge to its own flow."""
    deps.say("merged into another in QuickBooks", entity=entity, merged_id=merged_id, remaining_id=remaining_id)
    if deps.dry_run:
        return
    merges.note(entity, merged_id, remaining_id, deps)
    if entity == ITEM:
        ownership.move(merged_id, remaining_id, deps)
    else:
        parties.move(merged_id, remaining_id, deps)
    change = Change(
        key=f"qbo:merged:{deps.connection}:{entity}:{merged_id}:{remaining_id}",
        flow=_FLOWS[entity],
        source=items.OURS,
        entity=entity,
        entity_id=remaining_id,
        connection=deps.connection,
        operation="merge",
        hint=items.to_merge_hint(merged_id),
    )
    deps.pass_on(change)
