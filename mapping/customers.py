"""A relation of the till as a customer of the books, by e-mail address, and the reverse; and names of countries."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from typing import Any, Final

from mapping.errors import MappingError, NotBookable
from mapping.messages import message
from mapping.records import Customer, PostalAddress, Relation, Sale, TillAddress, fingerprint
from mapping.sections import CustomerSettings

NAME_LENGTH, DISPLAY_LENGTH, EMAIL_LENGTH, PHONE_LENGTH, VAT_LENGTH = 100, 500, 100, 30, 16
_KEPT = ("given_name", "family_name", "company_name", "phone", "mobile", "billing", "shipping", "vat_number")
"""Fields of a customer that stay as they are where the till has nothing."""


def email_key(text: str | None) -> str | None:
    """The e-mail address as a key: the first of several; None if it is no address."""
    return next(iter(email_keys(text)), None)


def email_keys(text: str | None) -> tuple[str, ...]:
    """Every e-mail address in a field as a key: in lower case, its domain as people write it (no "xn--").

    Plus signs and dots are kept as part of the address: their meaning depends on the mail provider.
    """
    return tuple(dict.fromkeys(map(_to_key, email_addresses(text))))


def email_addresses(text: str | None) -> tuple[str, ...]:
    """Every e-mail address in a field as it is written: in lower case, without a name and invisible characters."""
    shown = "".join(each for each in text or "" if each in "\t\r\n" or unicodedata.category(each) not in ("Cc", "Cf"))
    # Case folding would make another address of one with an ß, and the key is what is written.
    parts = (part.rpartition("<")[2].strip().rstrip(">").strip().lower() for part in shown.replace(";", ",").split(","))
    return tuple(dict.fromkeys(address for address in parts if _is_address(address)))


def _to_key(address: str) -> str:
    local, _, domain = unicodedata.normalize("NFC", address).partition("@")
    return f"{local}@{'.'.join(map(_decode_label, domain.split('.')))}"


def _decode_label(label: str) -> str:
    """A label of a domain in letters; unchanged if it is not written in ASCII, or not correctly."""
    with suppress(ValueError):
        letters = unicodedata.normalize("NFC", label.encode("ascii").removeprefix(b"xn--").decode("punycode")).lower()
        is_name = all(each == "-" or unicodedata.category(each)[0] in "LMN" for each in letters)
        return letters if is_name and label == _encode_label(letters) else label
    return label


def _encode_label(label: str) -> str:
    return label if label.isascii() else f"xn--{label.encode('punycode').decode('ascii')}"


def email_spellings(address: str) -> tuple[str, ...]:
    """The address as it may be written elsewhere: with its domain in letters, and as the mail system has it."""
    local, _, domain = (key := _to_key(address)).partition("@")
    return tuple(dict.fromkeys((key, f"{local}@{'.'.join(map(_encode_label, domain.split('.')))}")))


def _is_address(address: str) -> bool:
    local, at, domain = address.partition("@")
    plain = not any(map(str.isspace, address)) and "@" not in domain
    return bool(local and at and "." in domain.strip(".") and plain and len(address) <= EMAIL_LENGTH)


def keep_spelling(present: str | None, wanted: str | None) -> str | None:
    """The field unchanged, if it already contains one of the wanted addresses: staff may add other text."""
    if set(email_keys(present)) & set(email_keys(wanted)):
        return present
    return next(iter(email_addresses(wanted)), present)


def require_wanted(relation: Relation) -> None:
    """Raises `MappingError` for a relation that does not become a customer without a sale."""
    email = email_key(relation.email)
    if email is None and (relation.email or "").strip():
        raise MappingError(
            message("the e-mail address of relation {number} is none", number=relation.number),
            code="no-email",
            record=message("relation {number}", number=relation.number),
            field="email",
            fix="correct the e-mail address at the till; this event then continues automatically",
        )
    if email is None:
        why = "without an e-mail address it has no key; it becomes a customer with its first sale, if at all"
        raise NotBookable(why)
    if not relation.active:
        raise NotBookable("the relation is inactive: its customer stays as it is")


def uses_default_debtor(sale: Sale, settings: CustomerSettings) -> bool:
    """Whether the sale is booked on the default debtor: walk-ins, or every sale when the settings say so."""
    return settings.always_default_debtor or not settings.enabled or not sale.relation_number


def default_debtor(settings: CustomerSettings) -> Customer:
    return Customer(display_name=_clean(settings.default_debtor, DISPLAY_LENGTH))


def display_names(relation: Relation) -> tuple[str, ...]:
    """Names to try in order if the books already use one: plain, with the e-mail address, with the number."""
    name = _clean(relation.company or relation.name or relation.contact or "", DISPLAY_LENGTH - EMAIL_LENGTH - 3)
    email = next(iter(email_addresses(relation.email)), None)
    numbered = f"{name} (relation {relation.number})" if name else f"Relation {relation.number}"
    names = (name, f"{name} ({email})" if name and email else email or "", numbered)
    return tuple(dict.fromkeys(candidate for candidate in names if candidate))


def to_customer(
    relation: Relation,
    *,
    settings: CustomerSettings,
    existing: Customer | None = None,
    attempt: int = 0,
    renamed: bool = False,
) -> Customer:
    """The customer as it should be in the books.

    `attempt` counts name clashes so far: each uses the next of `display_names`; MappingError if none is left.
    An existing customer keeps its id, its display name and everything the till does not have. One that was `renamed`
    at the till is renamed in the books, unless a person wrote its display name there.
    """
    person = relation.contact if relation.company else relation.name
    given, _, family = _clean(person or "", 2 * NAME_LENGTH).partition(" ")  # "de Vries" stays together
    if not family:
        given, family = "", given
    wanted = Customer(
        display_name=_name_again(existing, relation, attempt, renamed=renamed)
        if existing
        else _pick_name(relation, attempt),
        email=next(iter(email_addresses(relation.email)), None),
        given_name=given[:NAME_LENGTH] or None,
        family_name=family[:NAME_LENGTH] or None,
        company_name=_clean(relation.company or "", NAME_LENGTH) or None,
        phone=_clean(relation.phone or "", PHONE_LENGTH) or None,
        mobile=_clean(relation.mobile or "", PHONE_LENGTH) or None,
        billing=to_postal(relation.address, settings.countries),
        shipping=to_postal(relation.delivery_address, settings.countries),
        vat_number=_clean((relation.vat_number or "").replace(" ", ""), VAT_LENGTH) or None,
        active=relation.active,
    )
    if existing is None:
        return wanted
    kept: dict[str, Any] = {name: getattr(wanted, name) or getattr(existing, name) for name in _KEPT}
    email = keep_spelling(existing.email, relation.email)
    return replace(existing, display_name=wanted.display_name, email=email, active=wanted.active, **kept)


def _name_again(existing: Customer, relation: Relation, attempt: int, *, renamed: bool) -> str:
    """The name of the present kind, from the relation's present name; unchanged if the gateway did not create it.

    After `attempt` clashes the next kind, and finally the present name.
    """
    person = " ".join(part for part in (existing.given_name, existing.family_name) if part)
    former = display_names(replace(relation, company=existing.company_name, name=person, contact=None))
    if not renamed or existing.display_name not in former:
        return existing.display_name
    wanted = display_names(relation)[former.index(existing.display_name) + attempt :]
    return next(iter(wanted), existing.display_name)


def _pick_name(relation: Relation, attempt: int) -> str:
    names = display_names(relation)
    if attempt < len(names):
        return names[attempt]
    raise MappingError(
        message("the books already use every name for this customer: {n} were tried", n=len(names)),
        code="names-used-up",
        record=message("relation {number}", number=relation.number),
        field="name",
        fix="rename or merge the customer, supplier or employee of that name in QuickBooks, or rename the relation",
    )


def to_postal(address: TillAddress | None, countries: Mapping[str, str] | None = None) -> PostalAddress | None:
    """The till's address in the books' format; None if it is empty."""
    if address is None:
        return None
    lines = tuple(_clean(line, DISPLAY_LENGTH) for line in (address.company, address.contact, address.street) if line)
    postal = PostalAddress(
        lines=tuple(dict.fromkeys(line for line in lines if line)),
        postal_code=_clean(address.postal_code or "", PHONE_LENGTH) or None,
        city=_clean(address.city or "", NAME_LENGTH) or None,
        country=to_iso3(address.country, countries),
    )
    return postal if postal != PostalAddress() else None


def content_fingerprint(customer: Customer) -> str:
    """A fingerprint of what the gateway owns of a customer; the books' id and token do not count.

    The VAT number is left out as well: the books mask it when it is read. A currency never changes.
    """
    owned = replace(customer, id=None, sync_token=None, vat_number=None, currency=None)
    # "raw" stands for a field of earlier versions: links in the database name these fingerprints.
    return fingerprint({**{each.name: getattr(owned, each.name) for each in fields(owned)}, "raw": {}})


def _clean(text: str, length: int) -> str:
    """One line without the colon, which the books refuse in names."""
    return " ".join(text.replace(":", " ").split())[:length].strip()


_NAMES = {
    "NLD": ("NL", "Nederland", "Netherlands", "The Netherlands", "Niederlande", "Pays-Bas", "Holland"),
    "BEL": ("BE", "België", "Belgie", "Belgium", "Belgien", "Belgique"),
    "DEU": ("DE", "Duitsland", "Germany", "Deutschland", "Allemagne"),
    "LUX": ("LU", "Luxemburg", "Luxembourg"),
    "FRA": ("FR", "Frankrijk", "France", "Frankreich"),
    "GBR": ("GB", "UK", "Verenigd Koninkrijk", "Groot-Brittannië", "United Kingdom", "Great Britain", "Engeland"),
    "IRL": ("IE", "Ierland", "Ireland", "Irland"),
    "ESP": ("ES", "Spanje", "Spain", "Spanien", "España"),
    "PRT": ("PT", "Portugal"),
    "ITA": ("IT", "Italië", "Italie", "Italy", "Italien", "Italia"),
    "AUT": ("AT", "Oostenrijk", "Austria", "Österreich"),
    "CHE": ("CH", "Zwitserland", "Switzerland", "Schweiz", "Suisse"),
    "DNK": ("DK", "Denemarken", "Denmark", "Dänemark", "Danmark"),
    "SWE": ("SE", "Zweden", "Sweden", "Schweden", "Sverige"),
    "NOR": ("NO", "Noorwegen", "Norway", "Norwegen", "Norge"),
    "FIN": ("FI", "Finland", "Finnland", "Suomi"),
    "POL": ("PL", "Polen", "Poland", "Polska"),
    "CZE": ("CZ", "Tsjechië", "Czechia", "Czech Republic", "Tschechien"),
    "SVK": ("SK", "Slowakije", "Slovakia", "Slowakei"),
    "HUN": ("HU", "Hongarije", "Hungary", "Ungarn"),
    "ROU": ("RO", "Roemenië", "Romania", "Rumänien"),
    "BGR": ("BG", "Bulgarije", "Bulgaria", "Bulgarien"),
    "HRV": ("HR", "Kroatië", "Croatia", "Kroatien"),
    "SVN": ("SI", "Slovenië", "Slovenia", "Slowenien"),
    "GRC": ("GR", "EL", "Griekenland", "Greece", "Griechenland"),
    "EST": ("EE", "Estland", "Estonia"),
    "LVA": ("LV", "Letland", "Latvia", "Lettland"),
    "LTU": ("LT", "Litouwen", "Lithuania", "Litauen"),
    "MLT": ("MT", "Malta"),
    "CYP": ("CY", "Cyprus", "Zypern"),
    "USA": ("US", "Verenigde Staten", "United States", "United States of America"),
    "SUR": ("SR", "Suriname"),
    "ABW": ("AW", "Aruba"),
    "CUW": ("CW", "Curaçao", "Curacao"),
    "TUR": ("TR", "Turkije", "Turkey", "Türkei"),
    "CHN": ("CN", "China"),
}
_ISO3 = {name.casefold(): code for code, names in _NAMES.items() for name in (code, *names)}


def to_iso3(country: str | None, table: Mapping[str, str] | None = None) -> str | None:
    """The alpha-3 code of a country as written; the table takes precedence; an unknown name is returned unchanged."""
    written = " ".join((country or "").split())
    if not written:
        return None
    own = {name.casefold(): code for name, code in (table or {}).items()}
    return own.get(written.casefold()) or _ISO3.get(written.casefold()) or written[:100]


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
_HASH_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class Agreed:
    """What each side had in each shared field when one was last written to the other, as hashes of 16 bits.

    So short, because the hash of a telephone number must not lead back to the number. Empty: never written.
    """

    relation: Mapping[str, str]
    customer: Mapping[str, str]


def agree(relation: Relation, customer: Customer) -> Agreed:
    return Agreed(_hashes(relation), _hashes(to_relation(customer)))


def changed_alone(relation: Relation, customer: Customer, agreed: Agreed) -> tuple[set[str], set[str]]:
    """The fields that only the relation changed since then, and those that only the customer changed.

    Where nothing was agreed: the fields that only one of them has.
    """
    at_till = _changed(relation, agreed.relation)
    in_books = _changed(to_relation(customer), agreed.customer)
    return at_till - in_books, in_books - at_till


def keep_of_relation(wanted: Relation, present: Relation, fields: Collection[str]) -> Relation:
    return replace(wanted, **{name: getattr(present, name) for name in fields})


def keep_of_customer(wanted: Customer, present: Customer, fields: Collection[str]) -> Customer:
    """The wanted customer with these fields (by their names at the till) as they are."""
    return replace(wanted, **{_SHARED[name]: getattr(present, _SHARED[name]) for name in fields})


def _changed(relation: Relation, before: Mapping[str, str]) -> set[str]:
    nothing = fingerprint(None)[:_HASH_LENGTH]
    return {name for name, value in _hashes(relation).items() if value != before.get(name, nothing)}


def _hashes(relation: Relation) -> dict[str, str]:
    return {name: fingerprint(getattr(relation, name))[:_HASH_LENGTH] for name in _SHARED}


def require_switched_on(settings: CustomerSettings) -> None:
    """Raises `NotBookable` if customers of the books are not wanted at the till."""
    if not (settings.enabled and settings.to_till):
        why = "customers of QuickBooks do not flow to the till: customers.to_till is off"
        raise NotBookable(why, field="customers.to_till")


def require_wanted_at_till(customer: Customer, currency: str) -> None:
    """Raises `NotBookable` for a customer that does not become a relation.

    No sale in the till's `currency` can be booked on a customer with another currency.
    """
    if customer.currency not in (None, currency):
        said = "the customer keeps {currency}, the till sells in {till_currency}"
        raise NotBookable(message(said, currency=customer.currency, till_currency=currency), field="currency")
    if not customer.active:
        raise NotBookable("the customer is inactive")
    if email_key(customer.email) is None:
        raise NotBookable("without an e-mail address it has no key")


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
