"""Customers of the books by e-mail address, ignoring capitals and other text in the field.

The books compare an address with the whole field as it was typed. So every customer is read once, change data capture
and webhooks update the index, and a customer found there is read again before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from gateway.errors import Transient
from gateway.store import cursors, links
from gateway.store.session import reading, writing
from handlers.deps import Deps
from mapping.customers import email_keys
from mapping.records import Customer

READ: Final = cursors.CUSTOMERS
_AT_ONCE = 1000


def search(emails: Sequence[str], deps: Deps) -> list[Customer]:
    """Every customer with one of these addresses (keys, see `email_keys`), inactive ones too."""
    if not deps.dry_run:
        _read_all(deps)
        _read_marked(deps)
    with reading(deps.engine) as session:
        ids = links.find_customers(session, deps.connection, emails)
    found = deps.books.customers_by_ids(ids) if ids else ()
    gone = set(ids) - {customer.id for customer in found}
    note(found, deps, gone=gone)
    indexed = [customer for customer in found if set(email_keys(customer.email)) & set(emails)]
    return indexed or list(deps.books.customers_by_emails(emails))


def note(customers: Iterable[Customer], deps: Deps, *, gone: Iterable[str] = ()) -> None:
    """Index the addresses of these customers as they were just read; customers in `gone` are removed."""
    known = {customer.id: email_keys(customer.email) for customer in customers if customer.id}
    known |= dict.fromkeys(gone, ())
    if deps.dry_run or not known:
        return
    with writing(deps.engine) as session:
        links.put_addresses(session, deps.connection, known)


def mark(customer_id: str, deps: Deps) -> None:
    """A customer was created or changed: it is read before the next search, not now."""
    with writing(deps.engine) as session:
        links.mark_unread(session, deps.connection, customer_id)


def mark_unsure(deps: Deps) -> None:
    """Customers are not polled any more: drop the index; it is built again when needed."""
    with reading(deps.engine) as session:
        if cursors.find(session, deps.connection, READ) is None:
            return
    with writing(deps.engine) as session:
        cursors.move_to(session, deps.connection, READ, None)


def _read_marked(deps: Deps) -> None:
    with reading(deps.engine) as session:
        ids = links.find_unread(session, deps.connection)
    if ids:
        found = deps.books.customers_by_ids(ids)
        note(found, deps, gone=set(ids) - {customer.id for customer in found})


def _read_all(deps: Deps) -> None:
    """The first read, once: one metered read per thousand customers. Raises `Transient` while another does it."""
    with reading(deps.engine) as session:
        if cursors.find(session, deps.connection, READ) is not None:
            return
    lease = cursors.take(deps.engine, deps.connection, READ)
    if lease is None:
        raise Transient("the customers of the books are being read for the first time", code="customers-unread")
    began = deps.now().isoformat()
    deps.say("reading the customers of the books once, to know them by their e-mail addresses")
    try:
        rows = deps.books.all_customers()
        while some := list(islice(rows, _AT_ONCE)):
            note(some, deps)
            cursors.renew(deps.engine, lease)
        with writing(deps.engine) as session:
            cursors.advance(session, deps.connection, READ, began, lease=lease)
            # Changes from now on are not missed.
            if cursors.find(session, deps.connection, cursors.BOOKS) is None:
                cursors.move_to(session, deps.connection, cursors.BOOKS, began)
    finally:  # after a failed read the next caller does not wait until the lease ends
        cursors.release(deps.engine, deps.connection, READ, lease)
