"""The till's relations, sales and day journals <-> records. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Any

from gateway.connectors.mpluskassa import wire
from gateway.connectors.mpluskassa.wire import Malformed, Row
from mapping.records import Journal, Payment, Relation, Sale, SaleKind, SaleLine, TillAddress, VatAmount

# The till's name of each field of ours that is a text, in a relation and in the addresses.
_RELATION = {
    "ext_id": "extRelationId",
    "email": "email",
    "company": "companyName",
    "contact": "contact",
    "phone": "telephone",
    "mobile": "mobile",
    "vat_number": "vatNumber",
    "vat_method": "defaultVatMethod",
}
_HOME = {"street": "address", "postal_code": "zipcode", "city": "city", "country": "country"}
_DELIVERY = {field: f"delivery{name.capitalize()}" for field, name in _HOME.items()}
_ADDRESS = {"name": "name", "contact": "contact", **_HOME, "company": "companyName"}


def to_address(row: Row, names: Mapping[str, str] = _ADDRESS) -> TillAddress | None:
    """An Address struct of a sale, or None when it is empty; a relation's two are flat fields of other `names`."""
    address = TillAddress(**{field: wire.text(row, name) for field, name in names.items()})
    return None if address == TillAddress() else address


def to_relation(row: Row) -> Relation:
    texts: dict[str, Any] = {field: wire.text(row, name) for field, name in _RELATION.items()}
    return Relation(
        number=wire.need(row, "relationNumber"),
        name=wire.text(row, "name") or "",
        address=to_address(row, _HOME),
        delivery_address=to_address(row, _DELIVERY),
        payment_days=row.get("paymentWithinDays"),
        active=row.get("active") is not False,
        created_at=wire.to_moment(row.get("createTimestamp")),
        sync_marker=row.get("syncMarker"),
        **texts,
    )


def to_soap(relation: Relation) -> dict[str, Any]:
    """A Relation to create (number 0: the till gives one) or to update, with only the fields of the record."""
    home, delivery = relation.address or TillAddress(), relation.delivery_address or TillAddress()
    parts = ((relation, _RELATION), (home, _HOME), (delivery, _DELIVERY))
    return wire.known(
        relationNumber=relation.number or None,
        active=relation.active,
        name=relation.name or None,
        paymentWithinDays=relation.payment_days,
        **{name: getattr(said, field) for said, names in parts for field, name in names.items()},
    )


def to_change(relation: Relation, present: Relation) -> dict[str, Any]:
    """The body of an update: the number, and only the fields that differ from what was read."""
    before = to_soap(present)
    said = {name: value for name, value in to_soap(relation).items() if value != before.get(name)}
    return {"relationNumber": relation.number, **said}


def to_sale(kind: SaleKind, row: Row, *, default_places: int = 0) -> Sale:
    """A receipt, invoice or order. Raises Malformed when an amount, the date or the branch is missing."""
    sale_id, is_order = wire.need(row, f"{kind.lower()}Id"), kind is SaleKind.ORDER
    is_cancelled = is_order and row.get("cancelState") == "ORDER-CANCEL-STATE-COMPLETE"
    state = "cancelState" if is_cancelled else "completeState" if is_order else "state"
    divisor = sale_divisor(row)
    # The vendor's own client writes 0 for a branch that nobody named.
    branches = [each for each in (row.get("financialBranchNumber"), row.get("entryBranchNumber")) if each is not None]
    branch: int = next(filter(None, branches), 0) if branches else wire.need(row, "entryBranchNumber")
    day = wire.to_date(row.get("financialDate"))
    if day is None and is_order:
        # An order has no business date before it is delivered or paid. The clock beside the day may show anything.
        day = wire.to_date(row.get("entryTimestamp"))
    if day is None:
        raise Malformed("the till left out the business date", field="financialDate")
    return Sale(
        kind=kind,
        id=sale_id,
        number=find_number(kind, row) or sale_id,
        type=row.get(f"{kind.lower()}Type") or "",
        state=wire.text(row, state) or "",
        branch=branch,
        business_date=day,
        total_incl_cents=wire.need(row, "totalInclAmount"),
        total_excl_cents=wire.need(row, "totalExclAmount"),
        vat_method=row.get("vatMethod") or "",
        vat=tuple(to_vat_amount(each, divisor) for each in wire.rows(row, "vatGroupList", "vatGroup")),
        lines=_to_lines(wire.rows(row, "lineList", "line"), divisor, default_places),
        payments=_to_payments(wire.rows(row, "paymentList", "payment")),
        paid_cents=row.get("prepaidAmount" if is_order else "paidAmount") or 0,
        credited_id=wire.text(row, f"credited{kind}Id"),
        **_circumstances(row),
    )


def find_number(kind: SaleKind, row: Row) -> str | None:
    """What people call it."""
    number = wire.part(row, f"{kind.lower()}Number")
    place = ("branchNumber", "workplaceNumber") if kind is SaleKind.RECEIPT else ()
    parts = [number.get(name) for name in (*place, "year", "number")]
    printed = None if None in parts else ".".join(map(str, parts))
    if kind is SaleKind.INVOICE:
        printed = wire.text(wire.part(row, "branchInvoiceNumber"), "displayString") or printed
    return printed or wire.text(row, "transactionString")


def to_vat_amount(row: Row, divisor: int) -> VatAmount:
    return VatAmount(
        code=wire.need(row, "vatCode"),
        percentage=Decimal(wire.need(row, "vatPercentage")) / divisor,
        net_cents=wire.need(row, "exclAmount"),
        vat_cents=wire.need(row, "vatAmount"),
    )


def _to_payments(found: list[Row]) -> tuple[Payment, ...]:
    """The payments of a sale. The till need not give them ids: one that is like an earlier one gets an id here."""
    seen: Counter[str] = Counter()
    payments: list[Payment] = []
    for payment in map(to_payment, found):
        looks = f"{payment.method}-{payment.business_date}-{payment.amount_cents}"
        seen[looks] += payment.id is None
        twin = payment.id is None and seen[looks] > 1
        payments.append(replace(payment, id=f"{looks}-{seen[looks]}") if twin else payment)
    return tuple(payments)


def to_payment(row: Row) -> Payment:
    return Payment(
        method=wire.need(row, "method"),
        amount_cents=wire.need(row, "amount"),
        id=wire.text(row, "paymentId"),
        description=wire.text(row, "description"),
        type=wire.text(row, "paymentMethodType"),
        business_date=wire.to_date(row.get("financialDate")),
    )


def sale_divisor(row: Row) -> int:
    """The scale of this document's percentages, found from its VAT rates."""
    lines = wire.rows(row, "lineList", "line")
    rates = [each.get("vatPercentage") for each in wire.rows(row, "vatGroupList", "vatGroup")]
    return wire.percentage_divisor([*rates, *(wire.part(line, "data").get("vatPercentage") for line in lines)])


def _circumstances(row: Row) -> dict[str, Any]:
    """Where, when, by whom and for whom: the fields with equal names in every kind of sale."""
    return {
        "workplace": row.get("workplaceNumber"),
        "entered_at": wire.to_moment(row.get("entryTimestamp")),
        "relation_number": row.get("relationNumber") or None,
        "relation_name": wire.text(row, "relationName"),
        "reference": wire.text(row, "reference"),
        "employee_number": row.get("employeeNumber"),
        "order_ids": tuple(wire.rows(row, "orderIds", "id")),
        "due_date": wire.to_date(row.get("dueDate")),
        "delivery_method": wire.text(row, "deliveryMethod"),
        "billing": to_address(wire.part(row, "invoiceAddress")),
        "shipping": to_address(wire.part(row, "deliveryAddress")),
        "version": row.get("versionNumber"),
        "change_counter": row.get("changeCounter"),
        "sync_marker": row.get("syncMarker"),
        "finalized": row.get("finalized"),
    }


def _to_lines(found: Iterable[Row], divisor: int, default_places: int) -> tuple[SaleLine, ...]:
    lines: list[SaleLine] = []
    for row in found:
        data = wire.part(row, "data")
        line = SaleLine(
            id=row.get("lineId") or "",
            article=row.get("articleNumber") or 0,
            text=row.get("text") or "",
            quantity=wire.to_quantity(data.get("quantity"), data.get("decimalPlaces"), default_places=default_places),
            unit_incl_cents=data.get("price"),
            unit_excl_cents=data.get("priceExcl"),
            total_incl_cents=data.get("totalInclAmount"),
            total_excl_cents=data.get("totalExclAmount"),
            discount_cents=data.get("discountAmount"),
            discount_percentage=wire.to_percentage(data.get("discountPercentage"), divisor),
            vat_code=data.get("vatCode"),
            vat_percentage=wire.to_percentage(data.get("vatPercentage"), divisor),
            turnover_group=data.get("turnoverGroup"),
            turnover_group_type=wire.text(data, "turnoverGroupType"),
            price_type=wire.text(data, "priceType"),
            plu=wire.text(row, "pluNumber"),
            kind=wire.text(row, "lineKind"),
            type=wire.text(row, "lineType"),
            sublines=_to_lines(wire.rows(row, "preparationList", "line"), divisor, default_places),
        )
        lines.append(line)
    return tuple(lines)


def to_journal(row: Row) -> Journal:
    day = wire.to_date(row.get("financialDate"))
    if day is None:
        raise Malformed("the till left out the date of a journal", field="financialDate")
    vat = wire.rows(row, "vatGroupList", "vatGroup")
    paid = wire.rows(row, "paymentList", "payment")
    divisor = wire.percentage_divisor(each.get("vatPercentage") for each in vat)
    return Journal(
        business_date=day,
        branch=wire.need(row, "branchNumber"),
        vat=tuple(to_vat_amount(each, divisor) for each in vat),
        payments=tuple(replace(to_payment(each), business_date=day) for each in paid),
    )
