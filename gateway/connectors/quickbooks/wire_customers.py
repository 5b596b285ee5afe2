"""Customers and addresses of the books, both ways: JSON to records, records to create and sparse update bodies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.fields import Json
from gateway.connectors.quickbooks.wire import plain_name
from gateway.errors import Permanent
from mapping.records import Customer, ListEntry, PostalAddress, RecordChange

# The field of a European VAT number is not documented for "Global" companies: ResaleNum takes any text and reads back
# unmasked, PrimaryTaxIdentifier is documented for some countries only and reads back masked.
VatField = Literal["ResaleNum", "PrimaryTaxIdentifier"]

NAMESAKES: Final = ("Vendor", "Employee")
_LINES: Final = ("Line1", "Line2", "Line3", "Line4", "Line5")


def to_customer(source: Json, *, vat_field: VatField = "ResaleNum") -> Customer:
    """A Customer object as a record; a masked tax identifier is no VAT number."""
    return Customer(
        display_name=plain_name(source, "DisplayName"),
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        email=fields.find_text(fields.part(source, "PrimaryEmailAddr"), "Address"),
        given_name=fields.find_text(source, "GivenName"),
        family_name=fields.find_text(source, "FamilyName"),
        company_name=fields.find_text(source, "CompanyName"),
        phone=fields.find_text(fields.part(source, "PrimaryPhone"), "FreeFormNumber"),
        mobile=fields.find_text(fields.part(source, "Mobile"), "FreeFormNumber"),
        billing=find_address(source, "BillAddr"),
        shipping=find_address(source, "ShipAddr"),
        vat_number=fields.find_text(source, "ResaleNum") if vat_field == "ResaleNum" else None,
        currency=fields.find_reference(source, "CurrencyRef"),
        active=fields.is_true(source, "Active", default=True),
    )


def customer_of(change: RecordChange) -> Customer:
    """The customer that changed. Raises Permanent if its row cannot be understood."""
    return to_customer(change.raw)


def to_holder(entity: str, source: Json) -> ListEntry:
    """A supplier or employee, by its name, which no customer can have as well."""
    return ListEntry(fields.need_text(source, "Id"), plain_name(source, "DisplayName"), type=entity)


def find_address(source: Json, key: str) -> PostalAddress | None:
    """An address inside an object; None where it is absent or holds nothing."""
    address = fields.part(source, key)
    found = PostalAddress(
        lines=tuple(line for line in (fields.find_text(address, name) for name in _LINES) if line),
        postal_code=fields.find_text(address, "PostalCode"),
        city=fields.find_text(address, "City"),
        country=fields.find_text(address, "Country"),
    )
    return None if found == PostalAddress() else found


def to_display_name(text: str) -> str:
    """A name in the form the books accept: no colon (it separates levels), no tab, no line break.

    Raises Permanent when nothing is left or it is longer than 500 characters.
    """
    name = fields.fit_key("DisplayName", text.replace(":", "-"))
    if name is None:
        raise Permanent("a customer has no name", field="DisplayName", fix="give the customer a name, then retry")
    return name


def to_customer_body(customer: Customer, *, vat_field: VatField = "ResaleNum") -> dict[str, Any]:
    """The body that creates a customer. What is None in the record is left out."""
    return _to_content(customer, vat_field) | present({"CurrencyRef": wrap("value", customer.currency)})


def _to_content(customer: Customer, vat_field: VatField) -> dict[str, Any]:
    return {"DisplayName": to_display_name(customer.display_name)} | present(
        {
            "GivenName": _name_part("GivenName", customer.given_name),
            "FamilyName": _name_part("FamilyName", customer.family_name),
            "CompanyName": fields.fit_key("CompanyName", customer.company_name),
            "PrimaryEmailAddr": wrap("Address", fields.fit_key("PrimaryEmailAddr", customer.email)),
            "PrimaryPhone": wrap("FreeFormNumber", fields.fit_key("PrimaryPhone", customer.phone)),
            "Mobile": wrap("FreeFormNumber", fields.fit_key("Mobile", customer.mobile)),
            "BillAddr": to_address_body(customer.billing),
            "ShipAddr": to_address_body(customer.shipping),
            vat_field: fields.fit_key(vat_field, customer.vat_number),
        }
    )


def to_customer_change(customer: Customer, *, vat_field: VatField = "ResaleNum") -> dict[str, Any]:
    """The body of a sparse update: what is None in the record stays as it is in the books, and so does the currency."""
    if customer.id is None or customer.sync_token is None:
        raise ValueError("only a customer that was read can be updated")
    identity = {"Id": customer.id, "SyncToken": customer.sync_token, "sparse": True, "Active": customer.active}
    return identity | _to_content(customer, vat_field)


def to_address_body(address: PostalAddress | None) -> dict[str, Any] | None:
    """An address as an object; more than five lines are folded into the fifth."""
    if address is None:
        return None
    lines = [line for line in address.lines if line.strip()]
    folded = [*lines[:4], ", ".join(lines[4:])]
    numbered = zip(_LINES, (fields.fit_prose("AddressLine", line) for line in folded), strict=False)
    rest = {
        "PostalCode": fields.fit_key("PostalCode", address.postal_code),
        "City": fields.fit_key("City", address.city),
        "Country": fields.fit_key("Country", address.country),
    }
    return present(dict(numbered) | rest) or None


def wrap(key: str, value: str | None) -> dict[str, str] | None:
    """`{key: value}`, or None for nothing."""
    return None if value is None else {key: value}


def present(body: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if value is not None}


def _name_part(field: str, text: str | None) -> str | None:
    return None if text is None else fields.fit_key(field, text.replace(":", "-"))
