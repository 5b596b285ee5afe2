"""The e-mail addresses of the books' customers: the books search only the exact spelling, so we keep an index.

Addresses are kept as digests, because they are only compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence

from sqlalchemy import Index, and_, delete, or_, select
from sqlmodel import Field, Session, SQLModel, col

from gateway.store.upserts import upsert

UNREAD = ""
"""Digest of a customer that was reported and has not been read since."""
AT_ONCE = 200


class CustomerAddressRow(SQLModel, table=True):
    """A customer of the books has this e-mail address (its digest); empty: it is to be read again."""

    __tablename__ = "customer_addresses"
    __table_args__ = (Index("customer_addresses_digest", "connection", "digest"),)

    connection: str = Field(primary_key=True)
    customer_id: str = Field(primary_key=True)
    digest: str = Field(primary_key=True)


def put(session: Session, connection: str, customers: Mapping[str, Sequence[str]]) -> None:
    """Store all addresses of these customers, by id. None for one that does not exist any more."""
    ids = sorted(customers)
    for first in range(0, len(ids), AT_ONCE):
        some = ids[first : first + AT_ONCE]
        of_these = and_(col(CustomerAddressRow.connection) == connection, col(CustomerAddressRow.customer_id).in_(some))
        session.execute(delete(CustomerAddressRow).where(of_these))
        _insert(session, connection, [(id_, _digest(address)) for id_ in some for address in customers[id_]])


def mark(session: Session, connection: str, customer_id: str) -> None:
    """Note that a customer was made or changed and is to be read before the next search."""
    _insert(session, connection, [(customer_id, UNREAD)])


def marked(session: Session, connection: str) -> list[str]:
    """The ids of customers to read, at most as many as one read takes."""
    return _ids(session, connection, [UNREAD])[:AT_ONCE]


def find(session: Session, connection: str, addresses: Sequence[str]) -> list[str]:
    """The ids of the customers that have one of these addresses."""
    return _ids(session, connection, [_digest(address) for address in addresses])


def forget(session: Session, addresses: Iterable[str], customers: Iterable[tuple[str, str]]) -> None:
    """Drop these addresses, and all of these customers (connection and id)."""
    digests = [_digest(address) for address in addresses]
    known = [
        and_(col(CustomerAddressRow.connection) == name, col(CustomerAddressRow.customer_id) == id_)
        for name, id_ in customers
    ]
    session.execute(delete(CustomerAddressRow).where(or_(col(CustomerAddressRow.digest).in_(digests), *known)))


def _ids(session: Session, connection: str, digests: Sequence[str]) -> list[str]:
    wanted = and_(col(CustomerAddressRow.connection) == connection, col(CustomerAddressRow.digest).in_(digests))
    found = session.execute(select(col(CustomerAddressRow.customer_id)).where(wanted).distinct()).scalars()
    return sorted(found, key=lambda id_: (len(id_), id_))


def _insert(session: Session, connection: str, rows: Sequence[tuple[str, str]]) -> None:
    values = [{"connection": connection, "customer_id": id_, "digest": digest} for id_, digest in dict.fromkeys(rows)]
    if values:
        upsert(session, CustomerAddressRow, values)


def _digest(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()
