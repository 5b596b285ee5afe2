"""The till's relations and addresses <-> records. Pure."""

from __future__ import annotations

from typing import Any

from gateway.connectors.mpluskassa.wire import Row, known, need, text, to_moment
from mapping.records import Relation, TillAddress


def to_address(row: Row) -> TillAddress | None:
    """An Address struct of a sale, or None when it is empty."""
    address = TillAddress(
        name=text(row, "name"),
        contact=text(row, "contact"),
        street=text(row, "address"),
        postal_code=text(row, "zipcode"),
        city=text(row, "city"),
        country=text(row, "country"),
        company=text(row, "companyName"),
    )
    return None if address == TillAddress() else address


def to_relation(row: Row) -> Relation:
    """A relation; its two addresses are flat fields."""
    return Relation(
        number=need(row, "relationNumber"),
        name=text(row, "name") or "",
        ext_id=text(row, "extRelationId"),
        email=text(row, "email"),
        company=text(row, "companyName"),
        contact=text(row, "contact"),
        phone=text(row, "telephone"),
        mobile=text(row, "mobile"),
        address=_flat_address(row, "address", "zipcode", "city", "country"),
        delivery_address=_flat_address(row, "deliveryAddress", "deliveryZipcode", "deliveryCity", "deliveryCountry"),
        vat_number=text(row, "vatNumber"),
        payment_days=row.get("paymentWithinDays"),
        vat_method=text(row, "defaultVatMethod"),
        active=row.get("active") is not False,
        created_at=to_moment(row.get("createTimestamp")),
        sync_marker=row.get("syncMarker"),
    )


def to_soap(relation: Relation) -> dict[str, Any]:
    """A Relation to create (number 0: the till gives one) or to update, with only the fields of the record."""
    home, delivery = relation.address or TillAddress(), relation.delivery_address or TillAddress()
    return known(
        relationNumber=relation.number or None,
        extRelationId=relation.ext_id,
        active=relation.active,
        name=relation.name or None,
        address=home.street,
        zipcode=home.postal_code,
        city=home.city,
        country=home.country,
        deliveryAddress=delivery.street,
        deliveryZipcode=delivery.postal_code,
        deliveryCity=delivery.city,
        deliveryCountry=delivery.country,
        contact=relation.contact,
        telephone=relation.phone,
        mobile=relation.mobile,
        email=relation.email,
        paymentWithinDays=relation.payment_days,
        vatNumber=relation.vat_number,
        defaultVatMethod=relation.vat_method,
        companyName=relation.company,
    )


def to_change(relation: Relation, present: Relation) -> dict[str, Any]:
    """The body of an update: the number, and only the fields that differ from what was read."""
    before = to_soap(present)
    said = {name: value for name, value in to_soap(relation).items() if value != before.get(name)}
    return {"relationNumber": relation.number, **said}


def relation_marker(row: Row) -> int | None:
    """The marker of a relation's last change."""
    return row.get("syncMarker")


def _flat_address(row: Row, street: str, postal_code: str, city: str, country: str) -> TillAddress | None:
    address = TillAddress(
        street=text(row, street),
        postal_code=text(row, postal_code),
        city=text(row, city),
        country=text(row, country),
    )
    return None if address == TillAddress() else address
