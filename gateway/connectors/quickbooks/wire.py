"""The books' lists, customers, settings, captured changes and estimates, JSON to records and back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from http import HTTPStatus
from typing import Any, Final, Literal

from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.faults import find_fault, to_error
from gateway.connectors.quickbooks.fields import Json, find_moment
from gateway.errors import Permanent
from mapping import records

_DELETED: Final = " (deleted)"
_PLAIN_TAX: Final = "TaxOnAmount"
_TYPE_FIELDS: Final = {"Account": ("AccountType", "AccountSubType")}
_LINES: Final = ("Line1", "Line2", "Line3", "Line4", "Line5")
NAMESAKES: Final = ("Vendor", "Employee")

# The field of a European VAT number is not documented for "Global" companies: ResaleNum takes any text and reads back
# unmasked, PrimaryTaxIdentifier is documented for some countries only and reads back masked.
VatField = Literal["ResaleNum", "PrimaryTaxIdentifier"]


def plain_name(source: Json, key: str) -> str:
    """The name a person gave it: the books append ` (deleted)` to the name of what was made inactive."""
    name = fields.need_text(source, key)
    return name if fields.is_true(source, "Active", default=True) else name.removesuffix(_DELETED)


def to_item(source: Json) -> records.Item:
    """An Item object as a record; the quantity only where the books track it."""
    tracked = fields.is_true(source, "TrackQtyOnHand")
    return records.Item(
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        name=plain_name(source, "Name"),
        type=fields.find_text(source, "Type") or "",
        sku=fields.find_text(source, "Sku"),
        description=fields.find_text(source, "Description"),
        unit_price=fields.find_number(source, "UnitPrice"),
        price_includes_tax=fields.is_true(source, "SalesTaxIncluded"),
        tax_code_id=fields.find_reference(source, "SalesTaxCodeRef"),
        parent_id=fields.find_reference(source, "ParentRef"),
        active=fields.is_true(source, "Active", default=True),
        track_stock=tracked,
        quantity_on_hand=fields.find_number(source, "QtyOnHand") if tracked else None,
        updated_at=fields.updated_at(source),
        raw=source,
    )


def item_of(change: records.RecordChange) -> records.Item:
    """The item that changed. Raises Permanent if its row cannot be understood."""
    return to_item(change.raw)


def keeps_stock(change: records.RecordChange) -> bool:
    return fields.is_true(change.raw, "TrackQtyOnHand")


def to_stored(item: records.Item | records.RecordChange) -> Json:
    """The item as the books answered it, to be stored with an event; `to_item` reads it again."""
    return item.raw


@dataclass(frozen=True, slots=True)
class TaxTable:
    """The books' tax codes with every rate they had and will have: the rate of any day needs no other read."""

    codes: tuple[Json, ...]
    rates: tuple[Json, ...]

    def on(self, day: date) -> tuple[records.TaxCode, ...]:
        """The codes with the rates in force on a day.

        The percentage is None where it cannot be said: no sales rate, a rate that is not in force, or tax upon tax.
        """
        rates_by_id = {fields.need_text(rate, "Id"): _rate_on(rate, day) for rate in self.rates}
        found: list[records.TaxCode] = []
        for code in self.codes:
            details = fields.rows(fields.part(code, "SalesTaxRateList"), "TaxRateDetail")
            rate_ids = [fields.find_reference(detail, "TaxRateRef") for detail in details]
            percentages = [rates_by_id.get(rate_id) for rate_id in rate_ids if rate_id]
            known = [percentage for percentage in percentages if percentage is not None]
            plain = all(fields.find_text(detail, "TaxTypeApplicable") in {None, _PLAIN_TAX} for detail in details)
            summable = plain and known and len(known) == len(details)
            tax_code = records.TaxCode(
                id=fields.need_text(code, "Id"),
                name=plain_name(code, "Name"),
                active=fields.is_true(code, "Active", default=True),
                percentage=sum(known, Decimal(0)) if summable else None,
                rate_id=rate_ids[0] if len(rate_ids) == 1 else None,
            )
            found.append(tax_code)
        return tuple(found)


def _rate_on(rate: Json, on: date) -> Decimal | None:
    periods = fields.rows(rate, "EffectiveTaxRate")
    if not periods:
        return fields.find_number(rate, "RateValue")

    def begin(period: Json) -> date:
        return fields.find_date(period, "EffectiveDate") or date.min

    in_force = [each for each in periods if begin(each) <= on <= (fields.find_date(each, "EndDate") or date.max)]
    latest = max(in_force, key=begin, default=None)
    return fields.find_number(latest, "RateValue") if latest else None


def to_entry(entity: str, source: Json) -> records.ListEntry:
    """A row of a small list; an Account's type and subtype, a Term's days, any other's type."""
    type_field, subtype_field = _TYPE_FIELDS.get(entity, ("Type", "SubType"))
    due_days = fields.find_number(source, "DueDays")
    return records.ListEntry(
        id=fields.need_text(source, "Id"),
        name=plain_name(source, "Name"),
        active=fields.is_true(source, "Active", default=True),
        type=fields.find_text(source, type_field),
        subtype=fields.find_text(source, subtype_field),
        full_name=fields.find_text(source, "FullyQualifiedName"),
        due_days=None if due_days is None else int(due_days),
        currency=fields.find_reference(source, "CurrencyRef"),
    )


def to_entry_body(entity: str, name: str) -> dict[str, object]:
    """The body that creates a row of a list by its name. Raises Permanent when the name is too long."""
    return {"Name": fields.fit_key(f"{entity}.Name", name.replace(":", "-")), **_ENTRY_TYPES.get(entity, {})}


_ENTRY_TYPES: Mapping[str, Mapping[str, str]] = {
    "PaymentMethod": {"Type": "NON_CREDIT_CARD"},
    "Account": {"AccountType": "Other Current Liability", "AccountSubType": "OtherCurrentLiabilities"},
}


def to_profile(company: Json, preferences: Json) -> records.CompanyProfile:
    """CompanyInfo and Preferences, reduced to what the gateway needs before it posts."""
    sales = fields.part(preferences, "SalesFormsPrefs")
    accounting = fields.part(preferences, "AccountingInfoPrefs")
    currency = fields.part(preferences, "CurrencyPrefs")
    tax = fields.part(preferences, "TaxPrefs")
    country = fields.find_text(company, "Country") or ""
    per_document, per_line = (fields.is_true(accounting, f"ClassTrackingPerTxn{which}") for which in ("", "Line"))
    return records.CompanyProfile(
        name=fields.find_text(company, "CompanyName") or "",
        country=country,
        home_currency=fields.find_reference(currency, "HomeCurrency"),
        custom_document_numbers=fields.is_true(sales, "CustomTxnNumbers"),
        tracks_departments=fields.is_true(accounting, "TrackDepartments"),
        tracks_stock=fields.is_true(fields.part(preferences, "ProductAndServicesPrefs"), "QuantityOnHand"),
        books_closed_through=fields.find_date(accounting, "BookCloseDate"),
        uses_tax=fields.is_true(tax, "UsingSalesTax"),
        multi_currency=fields.is_true(currency, "MultiCurrencyEnabled"),
        tracks_classes=per_document or per_line,
        class_per_document=per_document and not per_line,
        allows_shipping=fields.is_true(sales, "AllowShipping"),
        # Automated sales tax exists in the United States only; what else may set this preference is not documented.
        computes_tax_itself=country in ("", "US") and fields.is_true(tax, "PartnerTaxEnabled"),
    )


def to_customer(source: Json, *, vat_field: VatField = "ResaleNum") -> records.Customer:
    """A Customer object as a record; a masked tax identifier is no VAT number."""
    return records.Customer(
        display_name=plain_name(source, "DisplayName"),
        id=fields.need_text(source, "Id"),
        sync_token=fields.need_text(source, "SyncToken"),
        email=fields.find_text(fields.part(source, "PrimaryEmailAddr"), "Address"),
        given_name=fields.find_text(source, "GivenName"),
        family_name=fields.find_text(source, "FamilyName"),
        company_name=fields.find_text(source, "CompanyName"),
        phone=fields.find_text(fields.part(source, "PrimaryPhone"), "FreeFormNumber"),
        mobile=fields.find_text(fields.part(source, "Mobile"), "FreeFormNumber"),
        billing=_find_address(source, "BillAddr"),
        shipping=_find_address(source, "ShipAddr"),
        vat_number=fields.find_text(source, "ResaleNum") if vat_field == "ResaleNum" else None,
        currency=fields.find_reference(source, "CurrencyRef"),
        active=fields.is_true(source, "Active", default=True),
    )


def customer_of(change: records.RecordChange) -> records.Customer:
    """The customer that changed. Raises Permanent if its row cannot be understood."""
    return to_customer(change.raw)


def to_holder(entity: str, source: Json) -> records.ListEntry:
    """A supplier or employee, by its name, which no customer can have as well."""
    return records.ListEntry(fields.need_text(source, "Id"), plain_name(source, "DisplayName"), type=entity)


def _find_address(source: Json, key: str) -> records.PostalAddress | None:
    """An address inside an object; None where it is absent or holds nothing."""
    address = fields.part(source, key)
    found = records.PostalAddress(
        lines=tuple(line for line in (fields.find_text(address, name) for name in _LINES) if line),
        postal_code=fields.find_text(address, "PostalCode"),
        city=fields.find_text(address, "City"),
        country=fields.find_text(address, "Country"),
    )
    return None if found == records.PostalAddress() else found


def to_display_name(text: str) -> str:
    """A name in the form the books accept: no colon (it separates levels), no tab, no line break.

    Raises Permanent when nothing is left or it is longer than 500 characters.
    """
    name = fields.fit_key("DisplayName", text.replace(":", "-"))
    if name is None:
        raise Permanent("a customer has no name", field="DisplayName", fix="give the customer a name, then retry")
    return name


def to_customer_body(customer: records.Customer, *, vat_field: VatField = "ResaleNum") -> dict[str, Any]:
    """The body that creates a customer. What is None in the record is left out."""
    return _to_content(customer, vat_field) | present({"CurrencyRef": wrap("value", customer.currency)})


def _to_content(customer: records.Customer, vat_field: VatField) -> dict[str, Any]:
    return {"DisplayName": to_display_name(customer.display_name)} | present(
        {
            "GivenName": fields.fit_key("GivenName", (customer.given_name or "").replace(":", "-")),
            "FamilyName": fields.fit_key("FamilyName", (customer.family_name or "").replace(":", "-")),
            "CompanyName": fields.fit_key("CompanyName", customer.company_name),
            "PrimaryEmailAddr": wrap("Address", fields.fit_key("PrimaryEmailAddr", customer.email)),
            "PrimaryPhone": wrap("FreeFormNumber", fields.fit_key("PrimaryPhone", customer.phone)),
            "Mobile": wrap("FreeFormNumber", fields.fit_key("Mobile", customer.mobile)),
            "BillAddr": to_address_body(customer.billing),
            "ShipAddr": to_address_body(customer.shipping),
            vat_field: fields.fit_key(vat_field, customer.vat_number),
        }
    )


def to_customer_change(customer: records.Customer, *, vat_field: VatField = "ResaleNum") -> dict[str, Any]:
    """The body of a sparse update: what is None in the record stays as it is in the books, and so does the currency."""
    if customer.id is None or customer.sync_token is None:
        raise ValueError("only a customer that was read can be updated")
    identity = {"Id": customer.id, "SyncToken": customer.sync_token, "sparse": True, "Active": customer.active}
    return identity | _to_content(customer, vat_field)


def to_address_body(address: records.PostalAddress | None) -> dict[str, Any] | None:
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


LARGEST_ANSWER: Final = 1000


def to_change_set(answer: Json) -> records.ChangeSet:
    """A change data capture answer. Raises the error of a fault inside it."""
    as_of = find_moment(answer.get("time"))
    if as_of is None:
        raise fields.misshapen("time")
    changes: list[records.RecordChange] = []
    for response in fields.rows(answer, "CDCResponse"):
        groups = fields.rows(response, "QueryResponse")
        for fault in filter(None, map(find_fault, (response, *groups))):
            raise to_error(HTTPStatus.OK, fault)
        for group in groups:
            for entity, value in group.items():
                if isinstance(value, list):
                    changes += [to_change(entity, row, as_of) for row in fields.rows(group, entity)]
    return records.ChangeSet(tuple(changes), as_of, possibly_truncated=len(changes) >= LARGEST_ANSWER)


def to_change(entity: str, row: Json, as_of: datetime) -> records.RecordChange:
    """A row as a change, with its own date or else `as_of`."""
    return records.RecordChange(
        entity=entity,
        id=fields.need_text(row, "Id"),
        updated_at=fields.updated_at(row) or as_of,
        deleted=row.get("status") == "Deleted",
        raw=row,
    )


_OVER: Final = frozenset({"Closed", "Rejected", "Converted"})
"""By the API reference; the schema files lack `Converted`. A status in neither counts as open."""


def to_pieces(estimates: Iterable[Json]) -> dict[str, Decimal]:
    """Pieces by item id on estimates that are not over, those inside bundles included."""
    found: dict[str, Decimal] = {}
    for estimate in estimates:
        if fields.find_text(estimate, "TxnStatus") not in _OVER:
            for item_id, pieces in _pieces(fields.rows(estimate, "Line")):
                found[item_id] = found.get(item_id, Decimal(0)) + pieces
    return found


def _pieces(lines: Iterable[Json]) -> Iterator[tuple[str, Decimal]]:
    for line in lines:
        detail = fields.part(line, "SalesItemLineDetail")
        item_id, pieces = fields.find_reference(detail, "ItemRef"), fields.find_number(detail, "Qty")
        if item_id and pieces is not None:
            yield item_id, pieces
        yield from _pieces(fields.rows(fields.part(line, "GroupLineDetail"), "Line"))
