"""Relations become customers, keyed by e-mail, named by a visible rule."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import customers
from mapping.customers import email_key, to_iso3
from mapping.errors import MappingError
from mapping.records import Customer, PostalAddress, Relation, TillAddress
from mapping.sections import CustomerSettings
from tests.mapping.sales import line, receipt

DEFAULTS = CustomerSettings()
JAN = Relation(
    number=123,
    name="Jan de Vries",
    email=" Jan@X.nl ",
    phone="020 1234567",
    address=TillAddress(street="Kade 1", postal_code="1011 AB", city="Amsterdam", country="Nederland"),
)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (" Jan@X.nl ", "jan@x.nl"),
        ("JAN@x.NL", "jan@x.nl"),
        ("a@x.nl, b@x.nl", "a@x.nl"),
        ("none; b@x.nl", "b@x.nl"),
        ("<jan@x.nl>", "jan@x.nl"),
        ("Jan de Vries <Jan@X.nl>", "jan@x.nl"),
        ('"Vries, Jan de" <jan@x.nl>; b@x.nl', "jan@x.nl"),
        ("jan <jan>", None),
        ("Jan@STRAßE.nl", "jan@straße.nl"),
        ("info@XN--mller-kva.nl", "info@müller.nl"),
        ("info@mu\u0308ller.nl", "info@müller.nl"),
        ("info@xn--fa-hia.de", "info@faß.de"),
        ("info@xn--a.nl", "info@xn--a.nl"),
        ("info@xn--\u00fc.nl", "info@xn--\u00fc.nl"),
        ("jan", None),
        ("jan@localhost", None),
        ("@x.nl", None),
        ("a b@x.nl", None),
        ("a@b@x.nl", None),
        ("", None),
        (None, None),
        ("a" * 100 + "@x.nl", None),
    ],
)
def test_the_key_is_the_first_address_without_case_or_space(text: str | None, key: str | None) -> None:
    assert email_key(text) == key


@given(st.emails())
def test_case_and_space_never_make_another_customer(address: str) -> None:
    key = email_key(address)
    assert key == email_key(f"  {address.upper().lower()} ")
    assert key is None or email_key(key) == key


def test_a_person_keeps_the_family_name_together() -> None:
    customer = customers.to_customer(JAN, settings=DEFAULTS)
    assert customer == Customer(
        display_name="Jan de Vries",
        email="jan@x.nl",
        given_name="Jan",
        family_name="de Vries",
        phone="020 1234567",
        billing=PostalAddress(("Kade 1",), "1011 AB", "Amsterdam", "NLD"),
    )


def test_a_company_is_a_company_with_its_contact() -> None:
    relation = replace(JAN, company="Bakker BV", contact="Piet Bakker", vat_number="NL 0012.34567 B01")
    customer = customers.to_customer(relation, settings=DEFAULTS)
    assert (customer.display_name, customer.company_name) == ("Bakker BV", "Bakker BV")
    assert (customer.given_name, customer.family_name) == ("Piet", "Bakker")
    assert customer.vat_number == "NL0012.34567B01"


def test_a_single_name_is_a_family_name() -> None:
    customer = customers.to_customer(replace(JAN, name="Cher"), settings=DEFAULTS)
    assert (customer.given_name, customer.family_name) == (None, "Cher")


def test_a_taken_name_is_extended_visibly_and_finally_refused() -> None:
    names = [customers.to_customer(JAN, settings=DEFAULTS, attempt=attempt).display_name for attempt in range(3)]
    assert names == ["Jan de Vries", "Jan de Vries (jan@x.nl)", "Jan de Vries (relation 123)"]
    with pytest.raises(MappingError, match="every name") as refusal:
        customers.to_customer(JAN, settings=DEFAULTS, attempt=3)
    assert refusal.value.record == "relation 123"


def test_a_relation_without_any_name_is_still_nameable() -> None:
    assert customers.display_names(Relation(5, "")) == ("Relation 5",)


def test_names_lose_what_the_books_refuse() -> None:
    assert customers.display_names(replace(JAN, name="De:\tVries\n BV"))[0] == "De Vries BV"


def test_a_customer_keeps_its_name_and_what_the_till_does_not_know() -> None:
    existing = Customer("J. de Vries (VIP)", id="58", sync_token="3", mobile="06 1", email="old@x.nl")
    customer = customers.to_customer(replace(JAN, phone=None), settings=DEFAULTS, existing=existing)
    assert (customer.id, customer.sync_token, customer.display_name) == ("58", "3", "J. de Vries (VIP)")
    assert (customer.mobile, customer.email) == ("06 1", "jan@x.nl")


def test_the_fingerprint_ignores_what_the_books_decide() -> None:
    customer = customers.to_customer(JAN, settings=DEFAULTS)
    stored = replace(customer, id="58", sync_token="9", vat_number="XXXX1")
    assert customers.content_fingerprint(customer) == customers.content_fingerprint(stored)
    assert customers.content_fingerprint(customer) != customers.content_fingerprint(replace(customer, phone="1"))


def test_the_fingerprint_is_that_of_links_stored_by_earlier_releases() -> None:
    known = Customer("A B", id="3", sync_token="1", email="a@b.nl", phone="06", currency="EUR")
    assert customers.content_fingerprint(known) == "e825c08a50aaa5afce8e75d43fdd724c"


def test_walk_ins_and_if_wanted_everybody_are_booked_on_the_default_debtor() -> None:
    sale = receipt(line(1, 100))
    known = replace(sale, relation_number=123)
    assert customers.uses_default_debtor(sale, DEFAULTS)
    assert customers.uses_default_debtor(replace(sale, relation_number=0), DEFAULTS)
    assert not customers.uses_default_debtor(known, DEFAULTS)
    assert customers.uses_default_debtor(known, CustomerSettings(always_default_debtor=True))
    assert customers.default_debtor(DEFAULTS).display_name == DEFAULTS.default_debtor


@pytest.mark.parametrize(
    ("written", "code"),
    [("Nederland", "NLD"), ("nl", "NLD"), (" BELGIË ", "BEL"), ("Duitsland", "DEU"), ("DEU", "DEU"),
     ("Atlantis", "Atlantis"), ("", None), (None, None)],
)  # fmt: skip
def test_countries_are_understood_in_several_languages(written: str | None, code: str | None) -> None:
    assert to_iso3(written) == code


def test_the_settings_know_countries_better() -> None:
    assert to_iso3("Holland-Noord", {"holland-noord": "NLD"}) == "NLD"


def test_an_empty_address_is_none() -> None:
    assert customers.to_postal(TillAddress(street=" ")) is None
    assert customers.to_postal(None) is None


def test_company_contact_and_street_are_lines_of_the_address() -> None:
    postal = customers.to_postal(TillAddress(company="Bakker BV", contact="Piet", street="Kade 1", country="BE"))
    assert postal == PostalAddress(("Bakker BV", "Piet", "Kade 1"), None, None, "BEL")
