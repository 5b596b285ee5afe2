"""Links: which record of one system is which in the other, and what was last written there."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.tables import LinkRow


class Kind(StrEnum):
    """What a link joins. The source id is of the system the data comes from."""

    ITEM = "item"  # books' item id -> till article
    ARTICLE = "article"  # till article number -> books' item
    CUSTOMER = "customer"  # e-mail key or relation number -> books' customer
    DOCUMENT = "document"  # till document id -> books' sales document
    PAYMENT = "payment"  # document's entity/id/till payment id -> books' payment
    ORDER = "order"  # till order id -> the document its receipt or invoice became
    RELATION = "relation"  # till relation number -> what was last carried of it
    GROUP = "group"  # books' category id -> till article group
    FAMILY = "family"  # books' item that is no category and has items below it -> till product of them all
    SPECIAL = "special"  # what the gateway itself uses in the books -> its item
    DAY = "day"  # branch and business day -> the document that sums it up
    STOCK = "stock"  # branch/article -> quantity last written


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `fingerprint` is of what was last written to the target; `detail` is small JSON-able data."""

    kind: str
    source_id: str
    target_entity: str
    target_id: str
    sync_token: str | None = None
    fingerprint: str | None = None
    detail: Mapping[str, Any] | None = None


def find(session: Session, connection: str, kind: Kind, source_id: str) -> Link | None:
    """The link of this source record, or None."""
    return next(iter(find_all(session, connection, kind, [source_id]).values()), None)


def find_all(session: Session, connection: str, kind: Kind, source_ids: Sequence[str]) -> dict[str, Link]:
    """The links of these source records, by source id; those without one are absent."""
    wanted = and_(
        col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, col(LinkRow.source_id).in_(source_ids)
    )
    return {link.source_id: link for link in map(_to_link, session.execute(select(LinkRow).where(wanted)).scalars())}


def find_by_target(session: Session, connection: str, kind: Kind, target_id: str) -> list[Link]:
    """Every link of this kind that points at this target."""
    wanted = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, col(LinkRow.target_id) == target_id)
    return [_to_link(row) for row in session.execute(select(LinkRow).where(wanted)).scalars()]


def find_under(session: Session, connection: str, kind: Kind, prefix: str) -> list[Link]:
    """Every link of this kind whose source id begins with this."""
    begins = col(LinkRow.source_id).startswith(prefix, autoescape=True)
    wanted = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, begins)
    return [_to_link(row) for row in session.execute(select(LinkRow).where(wanted).order_by(col(LinkRow.id))).scalars()]


def save(session: Session, connection: str, link: Link) -> None:
    """Record the link, replacing what was known of this source record."""
    detail = json.dumps(link.detail, default=str) if link.detail is not None else None
    changing = {
        "target_entity": link.target_entity,
        "target_id": link.target_id,
        "sync_token": link.sync_token,
        "fingerprint": link.fingerprint,
        "detail": detail,
        "updated_at": moment(),
    }
    fixed = {"connection": connection, "kind": link.kind, "source_id": link.source_id, "created_at": moment()}
    conflict_insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    statement = conflict_insert(LinkRow).values(**fixed, **changing)
    session.execute(statement.on_conflict_do_update(index_elements=["connection", "kind", "source_id"], set_=changing))


def distrust(session: Session, connection: str, found: Iterable[Link]) -> int:
    """Forget what was last written to the targets of these links, because it is not there any more; answers how many.

    A link that was written anew since it was read keeps its fingerprint.
    """
    return len([link for link in found if _distrust_one(session, connection, link)])


def _distrust_one(session: Session, connection: str, link: Link) -> bool:
    as_read = and_(
        col(LinkRow.connection) == connection,
        col(LinkRow.kind) == link.kind,
        col(LinkRow.source_id) == link.source_id,
        col(LinkRow.fingerprint) == link.fingerprint,
    )
    changing = update(LinkRow).where(as_read).values(fingerprint=None, updated_at=moment())
    return session.execute(changing.returning(col(LinkRow.id))).scalar_one_or_none() is not None


def forget(session: Session, connection: str, kind: Kind, source_id: str) -> None:
    """Drop a link whose target turned out not to exist any more."""
    wanted = and_(col(LinkRow.connection) == connection, col(LinkRow.kind) == kind, col(LinkRow.source_id) == source_id)
    session.execute(delete(LinkRow).where(wanted))


def _to_link(row: LinkRow) -> Link:
    detail = json.loads(row.detail) if row.detail else None
    return Link(row.kind, row.source_id, row.target_entity, row.target_id, row.sync_token, row.fingerprint, detail)
