"""Customers are written and read back unchanged; a value that does not fit is refused with its field's name."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.connectors.quickbooks import wire
from gateway.connectors.quickbooks.fields import fit_prose
from gateway.errors import Permanent
from mapping.records import Customer, PostalAddress
from tests.gateway.connectors.quickbooks.examples import answer_of, read_json

FULL = Customer(
    display_name="Jan de Vries",
    email="jan@x.nl",
    given_name="Jan",
    family_name="de Vries",
    company_name="De Vries B.V.",
    phone="030-1234567",
    mobile="06-12345678",
    billing=PostalAddress(("Dorpsstraat 1", "Achter"), "3511 AA", "Utrecht", "NLD"),
    shipping=PostalAddress(("Kade 2",), "1011 AB", "Amsterdam", "NLD"),
    vat_number="NL123456789B01",
)


def test_a_documented_customer_is_read() -> None:
    found = wire.to_customer(read_json("customer-object-docs.json")["Customer"])
    assert (found.id, found.display_name, found.email) == ("2", "Bill's Windsurf Shop", "Surf@Intuit.com")
    assert (found.given_name, found.family_name, found.phone) == ("Bill", "Lucchini", "(415) 444-6538")
    assert found.billing == PostalAddress(("12 Ocean Dr.",), "94213", "Half Moon Bay", None)
    assert found.shipping is None


def test_a_recorded_answer_to_a_create_is_read() -> None:
    found = wire.to_customer(answer_of("customer-create-exchange-recorded.json")["Customer"])
    assert (found.id, found.sync_token, found.active, found.vat_number) == ("70", "0", True, None)


@pytest.mark.parametrize("vat_field", ["ResaleNum", "PrimaryTaxIdentifier"])
def test_what_is_written_reads_back(vat_field: Any) -> None:
    body = wire.to_customer_body(FULL, vat_field=vat_field)
    assert body[vat_field] == "NL123456789B01"
    found = wire.to_customer({**body, "Id": "1", "SyncToken": "0"}, vat_field=vat_field)
    # The books mask the tax identifier: a masked value is never used as the number.
    kept = FULL.vat_number if vat_field == "ResaleNum" else None
    assert found == replace(FULL, id="1", sync_token="0", vat_number=kept)


def test_what_is_not_known_is_not_sent() -> None:
    assert wire.to_customer_body(Customer("Balieverkoop")) == {"DisplayName": "Balieverkoop"}


def test_an_update_is_sparse_and_keeps_the_active_flag() -> None:
    body = wire.to_customer_change(Customer("A", id="7", sync_token="3", active=False, phone="1"))
    assert body == {
        "Id": "7",
        "SyncToken": "3",
        "sparse": True,
        "Active": False,
        "DisplayName": "A",
        "PrimaryPhone": {"FreeFormNumber": "1"},
    }


def test_only_a_customer_that_was_read_can_be_updated() -> None:
    with pytest.raises(ValueError, match="read"):
        wire.to_customer_change(Customer("A"))


@pytest.mark.parametrize(
    ("given", "sent"),
    [("Jan: de\tVries\n", "Jan- de Vries"), ("  Jan   de Vries ", "Jan de Vries"), ("Jan\x00", "Jan")],
)
def test_a_name_loses_what_the_books_refuse(given: str, sent: str) -> None:
    assert wire.to_display_name(given) == sent


@pytest.mark.parametrize("name", ["", "  ", "\n\t"])
def test_a_customer_without_a_name_is_refused(name: str) -> None:
    with pytest.raises(Permanent) as raised:
        wire.to_customer_body(Customer(name))
    assert raised.value.field == "DisplayName"


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("DisplayName", {"display_name": "x" * 501}),
        ("GivenName", {"given_name": "x" * 101}),
        ("FamilyName", {"family_name": "x" * 101}),
        ("CompanyName", {"company_name": "x" * 101}),
        ("PrimaryEmailAddr", {"email": "x" * 95 + "@x.nl" + "x"}),
        ("PrimaryPhone", {"phone": "1" * 31}),
        ("Mobile", {"mobile": "1" * 31}),
        ("ResaleNum", {"vat_number": "N" * 17}),
        ("PostalCode", {"billing": PostalAddress(postal_code="1" * 31)}),
        ("City", {"shipping": PostalAddress(city="x" * 256)}),
    ],
)
def test_a_key_that_is_too_long_is_refused_by_its_name(field: str, changed: dict[str, Any]) -> None:
    with pytest.raises(Permanent) as raised:
        wire.to_customer_body(replace(FULL, **changed))
    assert raised.value.field == field
    assert raised.value.fix


def test_a_long_address_is_folded_and_cut_but_never_refused() -> None:
    body = wire.to_address_body(PostalAddress(("1", "", "2", "3", "4", "5", "6" * 500)))
    assert body is not None
    assert [body[f"Line{n}"] for n in (1, 2, 3, 4)] == ["1", "2", "3", "4"]
    assert body["Line5"].startswith("5, 666")
    assert body["Line5"].endswith("…")
    assert len(body["Line5"]) == 400


def test_an_address_that_holds_nothing_is_not_sent() -> None:
    assert wire.to_address_body(PostalAddress(("", " "))) is None
    assert wire.to_address_body(None) is None


@pytest.mark.parametrize(
    ("given", "kept"),
    [(None, None), ("", None), ("a\r\nb", "a\nb"), ("a\x00b", "a b"), ("x" * 1000, "x" * 1000)],
)
def test_prose_keeps_its_lines_and_loses_control_characters(given: str | None, kept: str | None) -> None:
    assert fit_prose("CustomerMemo", given) == kept


def test_prose_that_is_too_long_shows_that_it_was_cut() -> None:
    assert fit_prose("CustomerMemo", "x" * 1001) == "x" * 999 + "…"
