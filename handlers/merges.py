"""Items and customers that were merged in the books: which record replaces a merged one."""

from __future__ import annotations

from dataclasses import replace

from gateway.store import claims, links
from gateway.store.links import Link, LinkKind
from gateway.store.session import reading, writing
from handlers.deps import Deps

ITEM, CUSTOMER = "Item", "Customer"


def note(entity: str, merged_id: str, remaining_id: str, deps: Deps) -> None:
    """Store a merge; earlier merges into the merged record are redirected to the remaining one."""
    if deps.dry_run:
        return
    with writing(deps.engine) as session:
        claims.hold(session, deps.claim)
        found = links.find_by_target(session, deps.connection, LinkKind.MERGED, merged_id)
        earlier = [replace(link, target_id=remaining_id) for link in found if link.target_entity == entity]
        merged = Link(LinkKind.MERGED, _key(entity, merged_id), entity, remaining_id)
        links.save(session, deps.connection, merged, *earlier)


def find_remaining(entity: str, merged_id: str, deps: Deps) -> str | None:
    """The record that this one was merged into, if known."""
    with reading(deps.engine) as session:
        link = links.find(session, deps.connection, LinkKind.MERGED, _key(entity, merged_id))
    return link.target_id if link else None


def find_merged(entity: str, remaining_id: str, deps: Deps) -> list[str]:
    with reading(deps.engine) as session:
        found = links.find_by_target(session, deps.connection, LinkKind.MERGED, remaining_id)
    return [link.source_id.partition("/")[2] for link in found if link.target_entity == entity]


def _key(entity: str, merged_id: str) -> str:
    return f"{entity}/{merged_id}"
