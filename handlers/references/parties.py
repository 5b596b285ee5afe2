"""The customer a sale is booked on: the relation's, found or created by e-mail, or the default debtor.

The books compare an e-mail address with the whole field as it was typed. So every customer is read once, change data
capture and webhooks update the index, and a customer found there is read again before it is used.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Final

from gateway.connectors import texts
from gateway.database.session import writing
from gateway.errors import DuplicateName, Transient
from gateway.privacy import personal
from gateway.store import cursors, leases, links
from gateway.store.links import Link, LinkKind, debtor
from handlers import known_records
from handlers.deps import Deps, not_shown_yet
from mapping import customers
from mapping.customers import email_key, email_keys, email_spellings, to_iso3
from mapping.errors import MappingError
from mapping.list_entries import named_currency, require_home
from mapping.messages import message
from mapping.records import Customer, Relation, Sale, SaleKind, fingerprint
from mapping.sale_identity import name_record

_STALE, _CREATED = "stale", "created"
_SAME_MOMENT = {timedelta(hours=hours) for hours in range(3)}


@dataclass(frozen=True, slots=True)
class Buyer:
    """The buyer: the books' customer, and the till's relation if there is one."""

    customer_id: str
    relation: Relation | None = None


def buyer(sale: Sale, deps: Deps) -> Buyer:
    """The buyer of this sale; the books' customer is created if there is none."""
    if not sale.relation_number or customers.uses_default_debtor(sale, deps.settings.customers):
        return Buyer(default_debtor(deps))
    relation = deps.till.relation(sale.relation_number)
    emails = email_keys(relation.email) if relation else ()
    if relation and emails:
        deps.set_facts(email=emails[0])
        keys = [key_of_email(email) for email in emails]
        deps.links.load((LinkKind.CUSTOMER, key) for key in (*keys, key_of_relation(relation)))
        if linked := next(filter(None, (_linked(deps, key) for key in keys)), None):
            return Buyer(linked, relation)
        found = find(relation, deps)
        customer = remember(relation, found, deps) if found else create(relation, deps)
        return Buyer(customer.id or "", relation)
    return Buyer(_without_email(sale, relation, deps), relation)


def country(sale: Sale, relation: Relation | None, deps: Deps) -> str | None:
    """Where the goods went, as ISO alpha-3: the sale's own delivery or billing address, else the relation's."""
    addresses = (sale.shipping, sale.billing, *((relation.delivery_address, relation.address) if relation else ()))
    written = (address.country for address in addresses if address and address.country)
    return to_iso3(next(written, None), deps.settings.customers.countries)


def _without_email(sale: Sale, relation: Relation | None, deps: Deps) -> str:
    """A relation without an e-mail address has no key; a sale on account still needs its own debtor."""
    policy = deps.settings.customers.without_email
    if policy == "park":
        raise MappingError(
            message("relation {number} has no e-mail address", number=sale.relation_number),
            code="relation-without-email",
            record=name_record(sale),
            field="customers.without_email",
            fix="enter the e-mail address at the till, then retry (or change the setting)",
        )
    if relation is None or (policy == "default_debtor" and sale.kind is not SaleKind.INVOICE):
        return default_debtor(deps)
    link = _link_of_number(relation, deps)
    linked = link.target_id if link and not _is_stale(link) else None
    return linked or create(relation, deps).id or ""


class Inactive(MappingError):
    """The customer is in the books, but inactive."""


def find(relation: Relation, deps: Deps) -> Customer | None:
    """The customer with one of these addresses in the books; else the customer linked before the address changed.

    Raises `Inactive` if only an inactive one exists, unless the settings want a new customer.
    """
    emails = email_keys(relation.email)
    found = search(emails, deps) if emails else []
    if usable := choose(found, deps):
        return usable
    # The customer linked last, even if the books refused a document with it.
    link = _link_of_number(relation, deps)
    if before := (link.target_id if link else None):
        found += deps.books.customers_by_ids([before])
    usable = choose(found, deps)
    inactive = next((customer for customer in found if not customer.active), None)
    if usable is None and inactive and deps.settings.customers.inactive == "park":
        raise Inactive(
            f'customer "{inactive.display_name}" of relation {relation.number} is inactive in QuickBooks',
            code=known_records.INACTIVE_CUSTOMER,
            record=f'customer "{inactive.display_name}"',
            cause=known_records.cause_of_customer(inactive.id or ""),
            field="active",
            fix="make the customer active again, or merge it into another: what waits for it then continues "
            '(or set customers.inactive to "create")',
        )
    return usable


def default_debtor(deps: Deps) -> str:
    """The customer for walk-ins, created if it does not exist."""
    name = deps.settings.customers.default_debtor
    if linked := _linked(deps, debtor(name)):
        return linked
    found = oldest(deps.books.customers_by_name(name))
    company, currency = deps.lists.company(), deps.settings.products.currency
    require_home(company, currency)
    if found and found.currency not in (None, currency):
        said = "the default debtor {name} keeps {currency}, the till sells in {till_currency}"
        fix = "make a customer that keeps {currency} in QuickBooks and name it in customers.default_debtor"
        raise MappingError(
            message(said, name=name, currency=found.currency, till_currency=currency),
            code="debtor-currency",
            record=message('customer "{name}"', name=found.display_name),
            field="customers.default_debtor",
            fix=message(fix, currency=currency),
        )
    if found is None:
        wanted = replace(customers.default_debtor(deps.settings.customers), currency=named_currency(company, currency))
        again = _stale([debtor(name)], deps)
        token = deps.books.request_id("customer", "debtor", wanted.display_name, *again)
        try:
            found = deps.books.create_customer(wanted, token)
        except DuplicateName:  # another sale made it, in books that did not recognise the common request id
            found = oldest(deps.books.customers_by_name(name))
            if found is None and not deps.books.holders_of_name(name):
                raise not_shown_yet(name) from None
            if found is None:
                raise MappingError(
                    message("a supplier or employee has the name of the default debtor, {name}", name=name),
                    code="debtor-name-taken",
                    record=message('customer "{name}"', name=name),
                    field="customers.default_debtor",
                    fix="name another customer in customers.default_debtor, or rename the other one, then retry",
                ) from None
    deps.save_links(_to_link(debtor(name), found))
    return found.id or ""


def create(relation: Relation, deps: Deps) -> Customer:
    """Create the customer, one event of a relation or an e-mail address at a time: another may have created it since.

    In books that forget request ids, a second create would make a second customer, of the next name.
    """
    if deps.dry_run:
        return _create(relation, deps)
    own, keys = key_of_relation(relation), _keys(relation)
    works = [f"customer of {own}", *(f"customer of address {fingerprint(key)}" for key in keys if key != own)]
    with leases.alone(deps.engine, deps.connection, *works, process=deps.process.name):
        ids = {
            key: link.target_id
            for key, link in deps.read(links.find_all, LinkKind.CUSTOMER, keys).items()
            if not _is_stale(link) and (key != own or not is_another(link, relation))
        }
        found = deps.books.customers_by_ids(sorted(set(ids.values()))) if ids else ()
        # Another relation of the same address is the same customer, as long as that has this address.
        emails = set(email_keys(relation.email))
        same = [each for each in found if each.id == ids.get(own) or emails & set(email_keys(each.email))]
        meanwhile = choose(same, deps) if same else None
        return remember(relation, meanwhile or _create(relation, deps), deps, written=meanwhile is None)


def _create(relation: Relation, deps: Deps, *, attempt: int = 0) -> Customer:
    """Create the customer with the first of its names that the books accept; `to_customer` ends the series.

    Customers, suppliers and employees share one list of names; the log shows which name was used.
    """
    wanted = customers.to_customer(relation, settings=deps.settings.customers, attempt=attempt)
    customer = replace(wanted, currency=named_currency(deps.lists.company(), deps.settings.products.currency))
    # A repeat gets the first answer; a successor of a removed customer, or of another relation's, must get a new one.
    again = _stale(_keys(relation), deps)
    linked = deps.links[LinkKind.CUSTOMER, key_of_relation(relation)]
    again += [linked.target_id] if linked and is_another(linked, relation) else []
    try:
        token = deps.books.request_id("customer", relation.number, attempt, *again)
        return _bring_up_to_date(deps.books.create_customer(customer, token), customer, deps)
    except DuplicateName:
        same = find_same(customer, deps)
        if same is None:
            deps.note(
                "the books know this name already, trying the next", relation=relation.number, attempt=attempt + 1
            )
        return same or _create(relation, deps, attempt=attempt + 1)


def _bring_up_to_date(made: Customer, wanted: Customer, deps: Deps) -> Customer:
    """An earlier request may have created the customer from an older version of the relation."""
    # The books may not accept characters above U+FFFF: then the name is without them.
    names = (wanted.display_name, texts.to_basic_plane(wanted.display_name)[0])
    if (made.display_name in names and email_key(made.email) == email_key(wanted.email)) or not made.id:
        return made
    changed = replace(wanted, id=made.id, sync_token=made.sync_token)
    return deps.books.update_customer(changed, deps.books.request_id("customer update", made.id, made.sync_token))


def find_same(customer: Customer, deps: Deps) -> Customer | None:
    """The customer with this name, if its e-mail address is equal ignoring case (the books' search may not)."""
    email = email_key(customer.email)
    if email is None:
        return None
    holders = deps.books.customers_by_name(customer.display_name)
    return choose([holder for holder in holders if email in email_keys(holder.email)], deps)


def choose(found: Iterable[Customer], deps: Deps) -> Customer | None:
    """The oldest active customer with this key that a sale in the till's currency can be booked on."""
    currency = require_home(deps.lists.company(), deps.settings.products.currency)
    active = [customer for customer in found if customer.active]
    usable = oldest(customer for customer in active if customer.currency in (None, currency))
    if active and usable is None:
        named = ", ".join(f"{customer.display_name} keeps {customer.currency}" for customer in active)
        deps.note(message("not booked on who keeps another currency than {currency}", currency=currency), found=named)
    return usable


def oldest(found: Iterable[Customer]) -> Customer | None:
    """The oldest active one of several customers with one key."""
    ranked = sorted((c for c in found if c.active), key=lambda c: (len(c.id or ""), c.id or ""))
    return next(iter(ranked), None)


def remember(relation: Relation, customer: Customer, deps: Deps, *, written: bool = False) -> Customer:
    """Link the customer with the relation and with its e-mail addresses, and with no former one.

    `written`: the gateway created or updated one of the two.
    """
    note([customer], deps)
    known_records.note_pair(relation, customer, deps, written=written)
    for key in _keys(relation):
        deps.save_links(replace(_to_link(key, customer), detail=to_origin(relation)))
    # An address that neither has any more may be the next relation's; another relation of the customer keeps its own.
    present = {*_keys(relation), *map(key_of_email, email_keys(customer.email))}
    for link in links_with(customer.id or "", deps):
        is_former = link.source_id.startswith(key_of_email("")) and link.source_id not in present
        if is_former and not (_is_stale(link) or is_another(link, relation)):
            deps.delete_link(LinkKind.CUSTOMER, link.source_id)
    return customer


def _keys(relation: Relation) -> list[str]:
    return [*map(key_of_email, email_keys(relation.email)), key_of_relation(relation)]


def forget(customer_id: str, deps: Deps) -> None:
    """Stop using links to a customer that the books do not accept; it is stored as gone."""
    for link in links_with(customer_id, deps):
        deps.save_links(replace(link, detail={**link.detail, _STALE: True}))


def _stale(keys: Sequence[str], deps: Deps) -> list[str]:
    found = deps.read(links.find_all, LinkKind.CUSTOMER, keys)
    return sorted({link.target_id for link in found.values() if _is_stale(link)})


def _is_stale(link: Link) -> bool:
    return bool(link.detail.get(_STALE))


def links_with(customer_id: str, deps: Deps) -> Sequence[Link]:
    return deps.read(links.find_by_target, LinkKind.CUSTOMER, customer_id)


def move(merged_id: str, remaining_id: str, deps: Deps) -> None:
    """Two customers were merged in the books: links to the merged one now point to the remaining one."""
    for link in links_with(merged_id, deps):
        detail = {name: value for name, value in link.detail.items() if name != _STALE}
        deps.save_links(Link(LinkKind.CUSTOMER, link.source_id, "Customer", remaining_id, detail=detail))
        deps.note("the customer was merged into another", link=link.source_id.split(":")[0], now=remaining_id)


def key_of_email(email: str) -> str:
    return f"email:{email}"


def key_of_relation(relation: Relation) -> str:
    return f"relation:{relation.number}"


def to_origin(relation: Relation) -> dict[str, str]:
    """When the till made this relation, for the detail of a link by its number."""
    return {_CREATED: relation.created_at.isoformat()} if relation.created_at else {}


def is_another(link: Link, relation: Relation) -> bool:
    """Whether the link by this number is of an earlier relation: restored from a backup, a till gives numbers again.

    Whole hours between two moments are the same one, read with and without summer time.
    """
    created = link.detail.get(_CREATED)
    if created is None or relation.created_at is None:
        return False
    return abs(relation.created_at - datetime.fromisoformat(created)) not in _SAME_MOMENT


def _link_of_number(relation: Relation, deps: Deps) -> Link | None:
    link = deps.links[LinkKind.CUSTOMER, key_of_relation(relation)]
    return None if link and is_another(link, relation) else link


def _linked(deps: Deps, source_id: str) -> str | None:
    link = deps.links[LinkKind.CUSTOMER, source_id]
    return link.target_id if link and not _is_stale(link) else None


def _to_link(source_id: str, customer: Customer) -> Link:
    return Link(LinkKind.CUSTOMER, source_id, "Customer", customer.id or "", customer.sync_token)


READ: Final = cursors.CUSTOMERS
_AT_ONCE = 1000


def search(emails: Sequence[str], deps: Deps) -> list[Customer]:
    """Every customer with one of these addresses (keys, see `email_keys`), inactive ones too."""
    if not deps.dry_run:
        _read_all(deps)
        if marked := deps.read(personal.find_unread):
            read = deps.books.customers_by_ids(marked)
            note(read, deps, gone=set(marked) - {customer.id for customer in read})
    spellings = [each for email in emails for each in email_spellings(email)]
    ids = deps.read(personal.find_customers, spellings)
    found = deps.books.customers_by_ids(ids) if ids else ()
    gone = set(ids) - {customer.id for customer in found}
    note(found, deps, gone=gone)
    indexed = [customer for customer in found if set(email_keys(customer.email)) & set(emails)]
    return indexed or list(deps.books.customers_by_emails(spellings))


def note(customers: Iterable[Customer], deps: Deps, *, gone: Iterable[str] = ()) -> None:
    """Index the addresses of these customers as they were just read; customers in `gone` are removed."""
    known = {customer.id: email_keys(customer.email) for customer in customers if customer.id}
    known |= dict.fromkeys(gone, ())
    if deps.dry_run or not known:
        return
    deps.write(personal.put_addresses, known)


def mark(customer_id: str, deps: Deps) -> None:
    """A customer was created or changed: it is read before the next search, not now."""
    deps.write(personal.mark_unread, customer_id)


def mark_unsure(deps: Deps) -> None:
    """Customers are not polled any more: drop the index; it is built again when needed."""
    if deps.read(cursors.find, READ) is not None:
        deps.write(cursors.move_to, READ, None)


def _read_all(deps: Deps) -> None:
    """The first read, once: one metered read per thousand customers. Raises `Transient` while another does it."""
    if deps.read(cursors.find, READ) is not None:
        return
    lease = cursors.take(deps.engine, deps.connection, READ, process=deps.process.name)
    if lease is None:
        raise Transient("the customers of the books are being read for the first time", code="customers-unread")
    began = deps.now().isoformat()
    deps.note("reading the customers of the books once, to know them by their e-mail addresses")
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
