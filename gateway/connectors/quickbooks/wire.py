"""The books' lists, settings, captured changes and estimates, JSON to records. Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Final, TypeAlias

from gateway.connectors import texts
from gateway.connectors.quickbooks import fields
from gateway.connectors.quickbooks.faults import find_fault, to_error
from gateway.connectors.quickbooks.fields import Json, find_moment
from mapping.fingerprints import fingerprint
from mapping.records import ChangeSet, CompanyProfile, DocumentContent, Item, ListEntry, RecordChange, TaxCode
from mapping.sale_identity import find_signed_content, unsigned

_DELETED: Final = " (deleted)"
_ITEM_LINE: Final = "SalesItemLineDetail"
_PLAIN_TAX: Final = "TaxOnAmount"
_TYPE_FIELDS: Final = {"Account": ("AccountType", "AccountSubType")}
References: TypeAlias = Mapping[str, Sequence[str | None]]


def plain_name(source: Json, key: str) -> str:
    """The name a person gave it: the books append ` (deleted)` to the name of what was made inactive."""
    name = fields.need_text(source, key)
    return name if fields.is_true(source, "Active", default=True) else name.removesuffix(_DELETED)


def to_item(source: Json) -> Item:
    """An Item object as a record; the quantity only where the books track it."""
    tracked = fields.is_true(source, "TrackQtyOnHand")
    return Item(
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


def item_of(change: RecordChange) -> Item:
    """The item that changed. Raises Permanent if its row cannot be understood."""
    return to_item(change.raw)


def keeps_stock(change: RecordChange) -> bool:
    return fields.is_true(change.raw, "TrackQtyOnHand")


def to_stored(item: Item | RecordChange) -> Json:
    """The item as the books answered it, to be stored with an event; `to_item` reads it again."""
    return item.raw


@dataclass(frozen=True, slots=True)
class TaxTable:
    """The books' tax codes with every rate they had and will have: the rate of any day needs no other read."""

    codes: tuple[Json, ...]
    rates: tuple[Json, ...]

    def on(self, day: date) -> tuple[TaxCode, ...]:
        """The codes with the rates in force on a day.

        The percentage is None where it cannot be said: no sales rate, a rate that is not in force, or tax upon tax.
        """
        rates_by_id = {fields.need_text(rate, "Id"): _rate_on(rate, day) for rate in self.rates}
        return tuple(_to_tax_code(code, rates_by_id) for code in self.codes)


def _to_tax_code(code: Json, rates_by_id: dict[str, Decimal | None]) -> TaxCode:
    details = fields.rows(fields.part(code, "SalesTaxRateList"), "TaxRateDetail")
    rate_ids = [fields.find_reference(detail, "TaxRateRef") for detail in details]
    percentages = [rates_by_id.get(rate_id) for rate_id in rate_ids if rate_id]
    known = [percentage for percentage in percentages if percentage is not None]
    plain = all(fields.find_text(detail, "TaxTypeApplicable") in {None, _PLAIN_TAX} for detail in details)
    summable = plain and known and len(known) == len(details)
    return TaxCode(
        id=fields.need_text(code, "Id"),
        name=plain_name(code, "Name"),
        active=fields.is_true(code, "Active", default=True),
        percentage=sum(known, Decimal(0)) if summable else None,
        rate_id=rate_ids[0] if len(rate_ids) == 1 else None,
    )


def _rate_on(rate: Json, on: date) -> Decimal | None:
    periods = fields.rows(rate, "EffectiveTaxRate")
    if not periods:
        return fields.find_number(rate, "RateValue")
    in_force = [
        period
        for period in periods
        if (fields.find_date(period, "EffectiveDate") or date.min)
        <= on
        <= (fields.find_date(period, "EndDate") or date.max)
    ]
    latest = max(in_force, key=lambda period: fields.find_date(period, "EffectiveDate") or date.min, default=None)
    return fields.find_number(latest, "RateValue") if latest else None


def to_entry(entity: str, source: Json) -> ListEntry:
    """A row of a small list; an Account's type and subtype, a Term's days, any other's type."""
    type_field, subtype_field = _TYPE_FIELDS.get(entity, ("Type", "SubType"))
    due_days = fields.find_number(source, "DueDays")
    return ListEntry(
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


def to_profile(company: Json, preferences: Json) -> CompanyProfile:
    """CompanyInfo and Preferences, reduced to what the gateway needs before it posts."""
    sales = fields.part(preferences, "SalesFormsPrefs")
    accounting = fields.part(preferences, "AccountingInfoPrefs")
    currency = fields.part(preferences, "CurrencyPrefs")
    tax = fields.part(preferences, "TaxPrefs")
    country = fields.find_text(company, "Country") or ""
    per_document, per_line = (fields.is_true(accounting, f"ClassTrackingPerTxn{which}") for which in ("", "Line"))
    return CompanyProfile(
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


LARGEST_ANSWER: Final = 1000
_OK: Final = 200


def to_change_set(answer: Json) -> ChangeSet:
    """A change data capture answer. Raises the error of a fault inside it."""
    as_of = find_moment(answer.get("time"))
    if as_of is None:
        raise fields.misshapen("time")
    changes: list[RecordChange] = []
    for group in _groups(answer):
        for entity, value in group.items():
            if isinstance(value, list):
                changes += [to_change(entity, row, as_of) for row in fields.rows(group, entity)]
    return ChangeSet(tuple(changes), as_of, possibly_truncated=len(changes) >= LARGEST_ANSWER)


def _groups(answer: Json) -> Iterator[Json]:
    for response in fields.rows(answer, "CDCResponse"):
        for group in (response, *fields.rows(response, "QueryResponse")):
            fault = find_fault(group)
            if fault is not None:
                raise to_error(_OK, fault)
            if group is not response:
                yield group


def to_change(entity: str, row: Json, as_of: datetime) -> RecordChange:
    """A row as a change, with its own date or else `as_of`."""
    return RecordChange(
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


def to_content(source: Json) -> DocumentContent:
    """The content of a document as answered, or of a body to send with its `TotalAmt` added."""
    return DocumentContent(
        day=fields.find_text(source, "TxnDate"),
        customer=fields.find_reference(source, "CustomerRef"),
        note=fields.find_text(source, "PrivateNote"),
        total=fields.need_number(source, "TotalAmt"),
        lines=tuple(_to_line(line) for line in fields.rows(source, "Line") if line.get("DetailType") == _ITEM_LINE),
    )


def _to_line(line: Json) -> tuple[Decimal | None, str | None, str | None]:
    detail = fields.part(line, _ITEM_LINE)
    item, code = (fields.find_reference(detail, name) for name in ("ItemRef", "TaxCodeRef"))
    return fields.find_number(line, "Amount"), item, code


def content_of(content: DocumentContent) -> str:
    """A fingerprint of day, customer, note, total and lines; what the books add is left out."""
    note = " ".join(unsigned(content.note).split())
    return fingerprint(
        {**{each.name: getattr(content, each.name) for each in dataclasses.fields(content)}, "note": note}
    )


def contents_of(content: DocumentContent) -> frozenset[str]:
    """`content_of` a document as it is, and without the characters that the books may not have taken in its note."""
    return frozenset({content_of(content), content_of(in_basic_plane(content))})


def in_basic_plane(content: DocumentContent) -> DocumentContent:
    """The content without the characters that the books may not take in its note."""
    return dataclasses.replace(content, note=texts.to_basic_plane(content.note)[0])


def is_as_signed(content: DocumentContent) -> bool:
    """Whether a document still has the content that is named in the signature of its note."""
    signed = find_signed_content(content.note)
    return signed is not None and any(each.startswith(signed) for each in contents_of(content))


def references_of(content: DocumentContent) -> References:
    """The customer, and the items of the lines, that a document names."""
    return {"Customer": [content.customer], "Item": [item for _, item, _ in content.lines]}


def with_references(content: DocumentContent, references: References) -> DocumentContent:
    lines = ((amount, item, code) for (amount, _, code), item in zip(content.lines, references["Item"], strict=True))
    return dataclasses.replace(content, customer=references["Customer"][0], lines=tuple(lines))
