"""Links: which record of one system belongs to which in the other, and what was last written there.

Beside them are the article numbers given to items whose SKU is no number, one per item and permanent. The links that
the handling of a sale needs are named here, loaded together and handed on.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from enum import StrEnum
from functools import cache
from typing import Any, TypeAlias

from sqlalchemy import Engine, String, and_, bindparam, case, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.types import TypeEngine
from sqlmodel import Session, col

from gateway.database import sql
from gateway.database.session import reading
from gateway.database.sql import moment
from gateway.errors import Permanent
from gateway.store.tables import LinkRow, NumberRow
from mapping.messages import message
from mapping.money_documents import DEPOSIT, Deposit, from_detail
from mapping.records import Sale, SaleKind
from mapping.references import CLEARING, ORDER_DEPOSITS, ROUNDING_ITEM, OwnItem
from mapping.sale_identity import name_document
from mapping.settings_document import SettingsDocument


class LinkKind(StrEnum):
    """What a link joins. The source id is of the system the data comes from."""

    ITEM = "item"  # books' item id -> till article
    ARTICLE = "article"  # till article number -> books' item
    CUSTOMER = "customer"  # e-mail key or relation number -> books' customer
    DOCUMENT = "document"  # till document id -> books' sales document
    PAYMENT = "payment"  # document's entity/id/till payment id -> books' payment
    DEPOSIT = "deposit"  # order/payment of the till -> the books' document of that deposit
    MONEY = "money"  # document's entity/id/tender:day -> the books' document of money beside it
    ORDER = "order"  # till order id, and order id/sale id -> the document of a receipt or invoice of the order
    RELATION = "relation"  # till relation number -> what was last written of it
    GROUP = "group"  # books' category id -> till article group
    FAMILY = "family"  # category of the books/name of a family -> till product of its items
    SPECIAL = "special"  # an item that the gateway itself uses in the books
    DAY = "day"  # branch and business day -> its summary document
    CLAIM = "claim"  # till article number/books' item -> the item that waits until the article is free
    DAY_DOCUMENT = "day_document"  # day/entity/id -> a summary document of this day, or a correction of it
    MERGED = "merged"  # entity/id of a record of the books that a merge removed -> the one that stayed
    STOCK = "stock"  # branch/article -> quantity last written


class BookingStatus(StrEnum):
    """What became of a document or payment that was booked. `DELETED` and `VOIDED`: by others, in the books."""

    BOOKED = "booked"
    REPLACING = "replacing"  # the gateway deletes it, to book another kind of document
    WITHDRAWN = "withdrawn"  # its sale was cancelled: the gateway voids it
    RELEASING = "releasing"  # the till took the payment back or changed it: the gateway voids it
    RELEASED = "released"  # ... and has voided it
    REMOVED = "removed"  # the sale does not contain this deposit or money any more: the gateway deletes it
    LEFT_OUT = "left_out"  # the document of the sale's day is booked without the sale
    DELETED = "deleted"
    VOIDED = "voided"

    @property
    def is_gone(self) -> bool:
        """Whether others removed it from the books."""
        return self in (BookingStatus.DELETED, BookingStatus.VOIDED)

    @property
    def is_our_doing(self) -> bool:
        """Whether the gateway takes it out of the books, or has done so."""
        return not self.is_gone and self not in (BookingStatus.BOOKED, BookingStatus.LEFT_OUT)

    @property
    def is_in_books(self) -> bool:
        """Whether a payment, or a document of money beside a sale, still counts. One that is being voided does."""
        return not (self.is_gone or self in (BookingStatus.RELEASED, BookingStatus.REMOVED))


Key: TypeAlias = tuple[LinkKind, str]
"""A kind of link and a source record."""
_STATUSES = frozenset(BookingStatus)
UNKNOWN_STATUS = "unknown-status"
NAMED = "special:"
"""The start of the source id of a special link whose item the settings name; we made every other such item."""


@dataclass(frozen=True, slots=True)
class Link:
    """One link. `fingerprint` is that of the last write to the target; `detail` is small JSON-able data.

    `generation` counts the deleted targets of this source record; saving never lowers it. What was booked of a sale has
    a `status`; `adopted`: another program booked it, and it is never written; `day`: the day whose document it is, or
    whose document contains the sale.
    """

    kind: str
    source_id: str
    target_entity: str
    target_id: str
    sync_token: str | None = None
    fingerprint: str | None = None
    detail: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0
    status: BookingStatus = BookingStatus.BOOKED
    adopted: bool = False
    day: str | None = None


# Links are looked up and saved several times for every event: their statements are built once and only bound again.
_LINKS = LinkRow.__table__  # type: ignore[attr-defined]
_KEY = ("connection", "kind", "source_id")
_COLUMNS = tuple(each.name for each in fields(Link))
_CHANGING = tuple(name for name in _COLUMNS if name not in _KEY)
_ROW = {**{name: bindparam(name) for name in ("connection", *_COLUMNS)}, "created_at": moment(), "updated_at": moment()}
_ADD = sql.statement(_LINKS, _ROW, keys=_KEY)
_UPSERT = sql.statement(_LINKS, _ROW, lambda new: {
    **{name: new[name] for name in (*_CHANGING, "updated_at")},
    "generation": case((_LINKS.c.generation > new.generation, _LINKS.c.generation), else_=new.generation),
}, keys=_KEY)  # fmt: skip
_SELECT = select(*(_LINKS.c[name] for name in _COLUMNS)).where(_LINKS.c.connection == bindparam("of"))
_OF_KIND = _SELECT.where(_LINKS.c.kind == bindparam("like"))
_OF_KINDS = _SELECT.where(_LINKS.c.kind.in_(bindparam("kinds", expanding=True)))
_BY_SOURCE = _OF_KIND.where(_LINKS.c.source_id == bindparam("id"))
_BY_SOURCES = _OF_KINDS.where(_LINKS.c.source_id.in_(bindparam("ids", expanding=True)))
_AT_ONCE = 500
_TARGET: Mapping[str, TypeEngine[Any]] = {"owner": String(), "id": String()}
_BY_TARGET = _OF_KIND.where(_LINKS.c.target_id == bindparam("id"))


def find(session: Session, connection: str, kind: LinkKind, source_id: str) -> Link | None:
    """The link of this source record, or None. Raises `Permanent` for a status of a later release, as all here do."""
    row = session.execute(_BY_SOURCE, {"of": connection, "like": kind, "id": source_id}).one_or_none()
    return _to_link(row) if row else None


def find_all(session: Session, connection: str, kind: LinkKind, source_ids: Iterable[str]) -> dict[str, Link]:
    """The links of these source records, any number of them, by source id; those without one are absent."""
    found = find_each(session, connection, [(kind, source_id) for source_id in source_ids])
    return {source_id: link for (_, source_id), link in found.items() if link}


def find_each(session: Session, connection: str, wanted: Collection[Key]) -> dict[Key, Link | None]:
    """These links, with one statement for some hundred; None for one that does not exist."""
    found: dict[Key, Link | None] = dict.fromkeys(wanted)
    given: dict[str, Any] = {"of": connection, "kinds": sorted({kind for kind, _ in wanted})}
    for some in sql.chunks(sorted({source_id for _, source_id in wanted}), _AT_ONCE):
        for row in session.execute(_BY_SOURCES, {**given, "ids": some}):
            key = (LinkKind(row.kind), row.source_id)
            if key in found:
                found[key] = _to_link(row)
    return found


def created_at(session: Session, connection: str, link: Link) -> datetime | None:
    return session.execute(select(_LINKS.c.created_at).where(_is(connection, link))).scalar_one_or_none()


def find_by_target(session: Session, connection: str, kind: LinkKind, target_id: str) -> list[Link]:
    return [_to_link(row) for row in session.execute(_BY_TARGET, {"of": connection, "like": kind, "id": target_id})]


def find_by_targets(
    session: Session, connection: str, kinds: Collection[LinkKind], target_ids: Collection[str]
) -> dict[str, list[Link]]:
    """Every link of these kinds that points at one of these targets, by target; those without one are absent."""
    found = find_by_owned_targets(session, kinds, [(connection, id_) for id_ in target_ids])
    return {id_: same for (_, id_), same in found.items()}


def find_by_owned_targets(
    session: Session, kinds: Collection[LinkKind], targets: Collection[tuple[str, str]]
) -> dict[tuple[str, str], list[Link]]:
    """`find_by_targets` for targets of several connections: each is a connection and an id."""
    found: dict[tuple[str, str], list[Link]] = {}
    if targets:
        dialect = session.get_bind().dialect.name
        given = {"kinds": list(kinds), **sql.bind_rows(dialect, _TARGET, [*targets])}
        for row in session.execute(_by_targets(dialect), given):
            found.setdefault((row.connection, row.target_id), []).append(_to_link(row))
    return found


@cache
def _by_targets(dialect: str) -> Any:
    wanted = sql.bound_rows(dialect, _TARGET)
    of_kinds = _LINKS.c.kind.in_(bindparam("kinds", expanding=True))
    same = and_(_LINKS.c.connection == wanted.c.owner, of_kinds, _LINKS.c.target_id == wanted.c.id)
    columns = (*(_LINKS.c[name] for name in _COLUMNS), _LINKS.c.connection)
    return select(*columns).select_from(wanted.join(_LINKS, same))


def find_under(session: Session, connection: str, kind: LinkKind, prefix: str) -> list[Link]:
    begun = _OF_KIND.where(sql.begins(_LINKS.c.source_id, prefix)).order_by(_LINKS.c.id)
    return [_to_link(row) for row in session.execute(begun, {"of": connection, "like": kind})]


def source_ids(session: Session, connection: str, kind: LinkKind, *, day: str | None = None) -> list[str]:
    """The source records with a link of this kind; with a day, those that its document contains."""
    mine = sql.given((LinkRow.connection, connection), (LinkRow.kind, kind), (LinkRow.day, day))
    return sorted(session.execute(select(_LINKS.c.source_id).where(*mine)).scalars())


def target_ids(session: Session, connection: str, kinds: Collection[LinkKind], entity: str) -> list[str]:
    """The ids of every record of this entity that links of these kinds point at, each once and in order."""
    mine = (_LINKS.c.connection == connection, _LINKS.c.kind.in_(kinds), _LINKS.c.target_entity == entity)
    return sorted(session.execute(select(_LINKS.c.target_id).where(*mine).distinct()).scalars())


def save(session: Session, connection: str, *links: Link) -> None:
    """Store the links, replacing those of these source records."""
    save_all(session, [(connection, link) for link in links])


def save_all(session: Session, found: Iterable[tuple[str, Link]]) -> None:
    if rows := [_to_values(connection, link) for connection, link in found]:
        session.execute(_UPSERT, rows)


def add(session: Session, connection: str, link: Link) -> Link:
    """Store the link unless its source record has one; returns the link it has."""
    session.execute(_ADD, _to_values(connection, link))
    return find(session, connection, LinkKind(link.kind), link.source_id) or link


def _to_values(connection: str, link: Link) -> dict[str, Any]:
    detail = json.dumps(link.detail, default=str) if link.detail else None
    return {name: getattr(link, name) for name in _COLUMNS} | {"connection": connection, "detail": detail}


def mark_unsure(session: Session, connection: str, found: Iterable[Link]) -> int:
    """Clear the fingerprints of these links, because their targets have changed; returns their number.

    A link that was written again since it was read keeps its fingerprint.
    """
    changing = update(_LINKS).values(fingerprint=None, updated_at=moment())
    as_read = (and_(_is(connection, link), _LINKS.c.fingerprint == link.fingerprint) for link in found)
    return sum(sql.change(session, changing.where(each)) for each in as_read)


def _is(connection: str, link: Link) -> Any:
    return and_(_LINKS.c.connection == connection, _LINKS.c.kind == link.kind, _LINKS.c.source_id == link.source_id)


def forget(session: Session, connection: str, kind: LinkKind, source_id: str) -> None:
    """Delete a link whose target does not exist any more."""
    of_kind = (_LINKS.c.connection == connection, _LINKS.c.kind == kind)
    session.execute(delete(_LINKS).where(*of_kind, _LINKS.c.source_id == source_id))


def _to_link(row: Any) -> Link:
    detail = json.loads(row.detail) if row.detail else {}
    if row.status not in _STATUSES:
        # It was written before a rollback; what may be done with the record is not known here.
        reason = 'a later release has set its status to "{status}", which this release does not know'
        raise Permanent(
            message(reason, status=row.status),
            code=UNKNOWN_STATUS,
            record=name_document(row.target_entity, detail.get("document_number"), row.target_id),
            fix="nothing was changed; install the later release again, then retry the event",
        )
    named = {name: getattr(row, name) for name in _COLUMNS}
    return Link(**{**named, "detail": detail, "status": BookingStatus(row.status)})


# --- what the handling of a sale needs ------------------------------------------------------------------------------


def of_other(sale: Sale) -> list[Key]:
    """The links by which a sale may be booked as another record: an order, or its receipt or invoice."""
    return [(LinkKind.ORDER, sale.id), *((LinkKind.DOCUMENT, order_id) for order_id in sale.order_ids)]


def debtor(name: str) -> str:
    """The source id of the customer for walk-ins."""
    return f"name:{name.casefold()}"


def named_item(kind: str, name: str) -> str:
    return f"{NAMED}{kind}:{name}"


def key_of_own(own: OwnItem, settings: SettingsDocument) -> str:
    """The source id of an item of ours on the account that the settings name."""
    return f"{own.name}:{getattr(settings.mapping, own.setting) or ''}"


def to_claims(sale: Sale, kind: str, document_id: str) -> list[Link]:
    """The links that name the orders a sale delivers: they are not booked again, nor are payments of the sale."""
    sources = (source for order_id in sale.order_ids for source in (order_id, f"{order_id}/{sale.id}"))
    return [Link(LinkKind.ORDER, source, kind, document_id, detail={"number": sale.number}) for source in sources]


def find_deposits(session: Session, connection: str, sale: Sale) -> list[Deposit]:
    """The payments of the sale's orders that are in the books by themselves."""
    order_ids = () if sale.kind is SaleKind.ORDER else sale.order_ids
    return [
        from_detail(link.source_id.split("/", 1)[1], link.detail.get(DEPOSIT) or {})
        for order_id in order_ids
        for link in find_under(session, connection, LinkKind.DEPOSIT, f"{order_id}/")
        if link.status.is_in_books
    ]


class KnownLinks(dict[Key, Link | None]):
    """Links as they were loaded, None for one that does not exist; what was not loaded is read when it is needed."""

    def __init__(self, engine: Engine, connection: str) -> None:
        super().__init__()
        self._engine = engine
        self._connection = connection

    def load(self, wanted: Iterable[Key]) -> None:
        """Read those that are not known yet, in one transaction."""
        if new := set(wanted) - self.keys():
            with reading(self._engine) as session:
                self.update(find_each(session, self._connection, new))

    def load_sale(self, sale: Sale, settings: SettingsDocument) -> None:
        """Read what is not known yet of a sale: its document, the record it may be booked as, and all it refers to."""
        wanted = {(LinkKind.DOCUMENT, sale.id), *of_other(sale)}
        wanted.add((LinkKind.CUSTOMER, debtor(settings.customers.default_debtor)))
        if sale.credited_id:
            wanted.add((LinkKind.DOCUMENT, sale.credited_id))
        wanted |= {(LinkKind.ARTICLE, str(line.article)) for line in sale.every_line if line.article}
        named = [named_item(kind, name) for kind, name in settings.mapping.special_items.items()]
        if settings.orders.fallback_item:
            named.append(named_item("fallback", settings.orders.fallback_item))
        own = (key_of_own(each, settings) for each in (CLEARING, ORDER_DEPOSITS))
        self.load(wanted | {(LinkKind.SPECIAL, key) for key in (*named, ROUNDING_ITEM, *own)})

    def __missing__(self, key: Key) -> Link | None:
        self.load([key])
        return self[key]


# --- article numbers ----------------------------------------------------------------------------------------------


def find_numbers(session: Session, connection: str, item_ids: Sequence[str]) -> dict[str, int]:
    """The numbers that were given to these items; those without one are absent."""
    theirs = and_(col(NumberRow.connection) == connection, col(NumberRow.item_id).in_(item_ids))
    rows = session.execute(select(col(NumberRow.item_id), col(NumberRow.number)).where(theirs))
    return {row.item_id: int(row.number) for row in rows}


def owner_of_number(session: Session, connection: str, number: int) -> str | None:
    it = and_(col(NumberRow.connection) == connection, col(NumberRow.number) == number)
    return session.execute(select(col(NumberRow.item_id)).where(it)).scalar_one_or_none()


def claim_number(session: Session, connection: str, item_id: str, number: int) -> bool:
    """Give the item this number; False when another process gave the number, or gave the item one, before."""
    row = {"connection": connection, "number": number, "item_id": item_id, "given_at": moment()}
    try:
        with session.begin_nested():
            session.execute(insert(NumberRow).values(**row))
    except IntegrityError:
        return False
    return True


def next_number(session: Session, connection: str, first: int, last: int) -> int:
    inside = and_(col(NumberRow.connection) == connection, col(NumberRow.number).between(first, last))
    highest = session.execute(select(func.max(col(NumberRow.number))).where(inside)).scalar_one_or_none()
    return first if highest is None else int(highest) + 1


def has_numbers(session: Session, connection: str) -> bool:
    mine = select(col(NumberRow.number)).where(col(NumberRow.connection) == connection).limit(1)
    return session.execute(mine).scalar_one_or_none() is not None
