"""A customer of the books as a relation of the till: the reverse of `mapping.customers`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from mapping.customers import email_key, keep_spelling
from mapping.errors import NotBookable
from mapping.fingerprints import fingerprint
from mapping.messages import message
from mapping.records import Customer, PostalAddress, Relation, TillAddress
from mapping.sections import CustomerSettings

NEW = 0
"""The number of a relation that is still to be created: the till assigns one."""
_SHARED: Final = {
    "company": "company_name",
    "phone": "phone",
    "mobile": "mobile",
    "address": "billing",
    "delivery_address": "shipping",
}
"""Fields of a relation that are compared one by one, and the customer's fields of the same meaning."""


@dataclass(frozen=True, slots=True)
class Agreed:
    """What each side had in each shared field when one was last written to the other, as hashes of 16 bits.

    So short, because the hash of a telephone number must not lead back to the number. Empty: never written.
    """

    relation: Mapping[str, str]
    customer: Mapping[str, str]


def agree(relation: Relation, customer: Customer) -> Agreed:
    """What both sides have now."""
    return Agreed(_hashes(relation), _hashes(to_relation(customer)))


def changed_alone(relation: Relation, customer: Customer, agreed: Agreed) -> tuple[set[str], set[str]]:
    """The fields that only the relation changed since then, and those that only the customer changed.

    Where nothing was agreed: the fields that only one of them has.
    """
    at_till = _changed(relation, agreed.relation)
    in_books = _changed(to_relation(customer), agreed.customer)
    return at_till - in_books, in_books - at_till


def keep_of_relation(wanted: Relation, present: Relation, fields: Collection[str]) -> Relation:
    """The wanted relation with these fields as they are."""
    return replace(wanted, **{name: getattr(present, name) for name in fields})


def keep_of_customer(wanted: Customer, present: Customer, fields: Collection[str]) -> Customer:
    """The wanted customer with these fields (by their names at the till) as they are."""
    return replace(wanted, **{_SHARED[name]: getattr(present, _SHARED[name]) for name in fields})


def _changed(relation: Relation, before: Mapping[str, str]) -> set[str]:
    nothing = _hash(None)
    return {name for name, value in _hashes(relation).items() if value != before.get(name, nothing)}


def _hashes(relation: Relation) -> dict[str, str]:
    return {name: _hash(getattr(relation, name)) for name in _SHARED}


def _hash(value: object) -> str:
    return fingerprint(value)[:4]


def require_switched_on(settings: CustomerSettings) -> None:
    """Raises `NotBookable` if customers of the books are not wanted at the till."""
    if not (settings.enabled and settings.to_till):
        why = "customers of QuickBooks do not flow to the till: customers.to_till is off"
        raise NotBookable(why, field="customers.to_till")


def require_wanted(customer: Customer, currency: str) -> str:
    """The key of a customer that becomes a relation. Raises `NotBookable` for any other.

    No sale in the till's `currency` can be booked on a customer with another currency.
    """
    email = email_key(customer.email)
    if customer.currency not in (None, currency):
        raise NotBookable(
            message(
                "the customer keeps {currency}, the till sells in {till_currency}",
                currency=customer.currency,
                till_currency=currency,
            ),
            field="currency",
        )
    if not customer.active:
        raise NotBookable("the customer is inactive")
    if email is None:
        raise NotBookable("without an e-mail address it has no key")
    return email


def to_relation(customer: Customer, *, existing: Relation | None = None) -> Relation:
    """The relation as it should be at the till; fields that the books do not have stay unchanged."""
    present = existing or Relation(NEW, "")
    person = " ".join(part for part in (customer.given_name, customer.family_name) if part)
    contact = (person or None) if customer.company_name else None
    return replace(
        present,
        name=(existing.name if existing else "") or customer.company_name or person or customer.display_name,
        ext_id=present.ext_id or customer.id,
        email=keep_spelling(present.email, customer.email),
        company=customer.company_name or present.company,
        contact=contact or present.contact,
        phone=customer.phone or present.phone,
        mobile=customer.mobile or present.mobile,
        address=_to_address(customer.billing) or present.address,
        delivery_address=_to_address(customer.shipping) or present.delivery_address,
        vat_number=customer.vat_number or present.vat_number,
    )


def _to_address(postal: PostalAddress | None) -> TillAddress | None:
    """The till has one street line: the last of the books' lines; names and companies come before it."""
    if postal is None:
        return None
    street = postal.lines[-1] if postal.lines else None
    return TillAddress(street=street, postal_code=postal.postal_code, city=postal.city, country=postal.country)


def relation_fingerprint(relation: Relation) -> str:
    """The relation's content, without the time of its last change."""
    return fingerprint(replace(relation, sync_marker=None))
