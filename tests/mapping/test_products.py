"""Items become products, keyed by a numeric SKU, priced to the cent, without changing the staff's own fields."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mapping import items, products, records, vat_table
from mapping.errors import MappingError, NotBookable
from mapping.items import is_gtin
from mapping.records import Article, Item, Product, TaxCode, VatGroup
from mapping.settings_document import parse

WSDL = Path(__file__).resolve().parents[2] / ".." / "shared" / "data" / "mplusqapi.wsdl"
VAT = vat_table.VatTable(
    groups=(
        VatGroup(1, Decimal(9), 1),
        VatGroup(2, Decimal(21), 1),
        VatGroup(3, Decimal(0), 1),
        VatGroup(2, Decimal(21), 2),
    ),
    tax_codes={
        "5": TaxCode("5", "21 % sales", active=True, percentage=Decimal(21)),
        "6": TaxCode("6", "9 % sales", active=True, percentage=Decimal(9)),
        "7": TaxCode("7", "12 % sales", active=True, percentage=Decimal(12)),
    },
)
COFFEE = Item(
    id="42",
    sync_token="0",
    name="Coffee",
    type="Inventory",
    sku="1001",
    description="Freshly ground",
    unit_price=Decimal("2.95"),
    price_includes_tax=True,
    tax_code_id="6",
    raw={"Name": "Coffee", "Type": "Inventory", "Sku": "1001", "Description": "Freshly ground"},
)
DEFAULTS = parse("").products


def convert(item: Item, toml: str = "", **more: Any) -> Article:
    (article,) = products.to_product(item, settings=parse(toml).products, vat=VAT, **more).articles
    return article


def test_a_plain_item_becomes_an_article_with_everything_out_of_the_box() -> None:
    assert convert(COFFEE) == Article(
        number=1001,
        ext_id="42",
        active=True,
        description="Coffee",
        receipt_text="Coffee",
        invoice_text="Coffee",
        display_text="Coffee",
        extra_text="Freshly ground",
        vat_code=1,
        price_incl_cents=295,
        stock_article=True,
    )


@pytest.mark.parametrize("sku", [None, "", "  "])
def test_an_item_without_a_sku_is_refused_by_record_and_with_a_way_out(sku: str | None) -> None:
    with pytest.raises(MappingError, match="no SKU") as refusal:
        convert(replace(COFFEE, sku=sku))
    assert refusal.value.record is not None
    assert COFFEE.name in refusal.value.record
    assert refusal.value.fix


@pytest.mark.parametrize("sku", ["AB-1", "12a", "0.2", "-5", "1 2", "١٢", "²"])
def test_a_sku_that_is_not_plain_digits_is_refused_by_default(sku: str) -> None:
    with pytest.raises(MappingError, match="digits only"):
        convert(replace(COFFEE, sku=sku))


def test_a_sku_with_letters_gets_the_allocated_number_and_stays_in_the_plu() -> None:
    item = replace(COFFEE, sku="AB-1")
    toml = '[products]\nsku_with_letters = "allocate"'
    assert items.needs_allocation(item, parse(toml).products)
    article = convert(item, toml, allocated=900_000_001)
    assert (article.number, article.plu, article.ext_id) == (900_000_001, "AB-1", "42")
    with pytest.raises(MappingError, match="digits only"):
        convert(item, toml)


def test_leading_zeros_survive_in_the_plu() -> None:
    article = convert(replace(COFFEE, sku="00042"))
    assert (article.number, article.plu) == (42, "00042")


@pytest.mark.parametrize("sku", ["0", "000", str(2**63)])
def test_a_number_the_till_cannot_hold_is_refused(sku: str) -> None:
    with pytest.raises(MappingError, match="not an article number"):
        convert(replace(COFFEE, sku=sku))


def test_the_largest_number_the_till_can_hold_is_kept() -> None:
    assert convert(replace(COFFEE, sku=str(2**63 - 1))).number == 2**63 - 1


@pytest.mark.parametrize(
    ("sku", "valid"),
    [("8712345678906", True), ("8712345678907", False), ("96385074", True), ("12345", False), ("00000000", False),
     ("036000291452", True), ("10012345678902", True)],
)  # fmt: skip
def test_a_sku_with_a_valid_check_digit_is_the_barcode_too(sku: str, *, valid: bool) -> None:
    assert is_gtin(sku) is valid


def test_the_barcode_comes_from_the_sku_a_mapped_field_or_not_at_all() -> None:
    ean = replace(COFFEE, sku="8712345678906", raw={"Barcode": "96385074"})
    assert convert(ean).barcode == "8712345678906"
    assert convert(ean, '[products]\nfields = { barcode = "Barcode" }').barcode == "96385074"
    assert convert(ean, "[products]\nbarcode_from_sku = false").barcode is None


def test_a_net_price_in_whole_cents_is_sent_without_vat() -> None:
    article = convert(replace(COFFEE, unit_price=Decimal("2.50"), price_includes_tax=False))
    assert (article.price_excl_cents, article.price_incl_cents) == (250, None)


def test_a_net_price_with_fractions_is_sent_as_the_gross_price_it_was() -> None:
    item = replace(COFFEE, unit_price=Decimal("8.2645"), price_includes_tax=False, tax_code_id="5")
    assert convert(item).price_incl_cents == 1000
    rounded = convert(item, '[products]\nsub_cent_prices = "round"')
    assert (rounded.price_excl_cents, rounded.price_incl_cents) == (826, None)
    with pytest.raises(MappingError, match=r"8\.2645"):
        convert(item, '[products]\nsub_cent_prices = "park"')


def test_an_item_without_a_price_sets_none() -> None:
    article = convert(replace(COFFEE, unit_price=None))
    assert (article.price_excl_cents, article.price_incl_cents) == (None, None)


def test_a_rate_the_till_does_not_know_is_refused_with_the_rate() -> None:
    with pytest.raises(MappingError, match=r'"12 % sales" of 12 %') as refusal:
        convert(replace(COFFEE, tax_code_id="7"))
    assert refusal.value.field == "products.vat"


def test_a_table_in_the_settings_beats_the_rate() -> None:
    toml = '[products.vat]\nmode = "table"\ntable = { "12 % sales" = "3" }'
    assert convert(replace(COFFEE, tax_code_id="7"), toml).vat_code == 3


def test_a_vat_code_that_means_another_rate_elsewhere_is_not_taken() -> None:
    table = vat_table.VatTable((VatGroup(1, Decimal(9), 1), VatGroup(1, Decimal(6), 2), VatGroup(4, Decimal(9), 2)))
    assert table.find_code(Decimal(9)) == 4
    assert table.find_code(Decimal(9), branch=1) == 1
    assert table.find_percentage(1) is None


@pytest.mark.parametrize(("kind", "reason"), [("Group", "bundles"), ("Category", "article group"), ("Other", "Other")])
def test_what_is_no_article_is_skipped_with_its_reason(kind: str, reason: str) -> None:
    with pytest.raises(NotBookable, match=reason):
        convert(replace(COFFEE, type=kind))


def test_the_filter_decides_which_items_flow() -> None:
    toml = '[products]\nfilter = { all = [{ field = "Type", value = "Inventory" }, { not = { field = "Name", is = "starts_with", value = "Test" } }] }'  # noqa: E501
    assert convert(COFFEE, toml).number == 1001
    with pytest.raises(NotBookable, match="filter"):
        convert(replace(COFFEE, raw={"Type": "Inventory", "Name": "Test coffee"}), toml)


def test_a_foreign_currency_is_refused_not_converted() -> None:
    with pytest.raises(MappingError, match="priced in USD"):
        convert(replace(COFFEE, raw={"CurrencyRef": {"value": "USD"}}))


def test_an_inactive_item_is_deactivated_and_keeps_its_clean_name() -> None:
    article = convert(replace(COFFEE, active=False, name="Coffee (deleted)"))
    assert (article.active, article.description) == (False, "Coffee")


TILL = Product(
    7,
    "Coffee",
    (Article(1001, "42", description="Coffee", receipt_text="Koffie van de zaak", display_text="Coffee"),),
)


def test_a_text_enriched_in_the_till_is_not_overwritten_unless_asked() -> None:
    renamed = replace(COFFEE, name="Espresso")
    article = convert(renamed, existing=TILL)
    assert (article.description, article.receipt_text, article.display_text) == ("Espresso", None, "Espresso")
    asked = convert(renamed, '[products.write]\nreceipt_text = "both"', existing=TILL)
    assert asked.receipt_text == "Espresso"


NEIGHBOURS = replace(
    VAT,
    groups=tuple(
        VatGroup(*row)
        for row in (
            (1, Decimal(9), 1),
            (1, Decimal(7), 2),
            (2, Decimal(21), 1),
            (4, Decimal(21), 1),
            (4, Decimal(21), 2),
        )
    ),
)


def test_a_code_of_two_rates_in_two_branches_is_refused_until_one_decides() -> None:
    with pytest.raises(MappingError, match="VAT code 1 means 9 % at branch 1, 7 % at branch 2") as refusal:
        products.to_product(COFFEE, settings=DEFAULTS, vat=NEIGHBOURS)
    assert refusal.value.field == "products.vat_branch"
    home = parse("[products]\nvat_branch = 1").products
    assert products.to_product(COFFEE, settings=home, vat=NEIGHBOURS).articles[0].vat_code == 1
    table = parse('[products.vat]\ntable = {"9 % sales" = "1"}').products
    assert products.to_product(COFFEE, settings=table, vat=NEIGHBOURS).articles[0].vat_code == 1


def test_of_two_codes_with_one_rate_the_one_that_every_branch_has_is_taken() -> None:
    standard = replace(COFFEE, tax_code_id="5")
    assert products.to_product(standard, settings=DEFAULTS, vat=NEIGHBOURS).articles[0].vat_code == 4


@pytest.mark.skipif(not WSDL.exists(), reason="the vendor's WSDL is not beside the project")
def test_the_till_knows_one_vat_code_per_article_whatever_the_branch() -> None:
    contract = WSDL.read_text(encoding="utf-8")
    article = _type(contract, "Article")
    assert re.search(r'name="vatCode" type="xsd:int" minOccurs="0" />', article)
    assert "maxOccurs" not in re.search(r'<element name="vatCode".*', article).group(0)  # type: ignore[union-attr]
    deviation = _type(contract, "ArticleBranchDeviationLine")
    assert "salesPriceIncl" in deviation
    assert "vat" not in deviation.lower()
    assert "branchNumber" in _type(contract, "VatGroup")


def _type(contract: str, name: str) -> str:
    return contract.partition(f'<complexType name="{name}">')[2].partition("</complexType>")[0]


def traces(item: Item, toml: str = "") -> dict[str, str]:
    return products.trace(products.to_article(item, 1001, parse(toml).products, VAT))


def shown(**fields: Any) -> Product:
    """The article as the till has it after it was written, with later changes by the staff."""
    return Product(7, "Coffee", (replace(convert(COFFEE), **fields),))


def test_a_text_of_ours_follows_the_books_and_one_of_the_staff_does_not() -> None:
    reworded = replace(COFFEE, description="Slowly roasted")
    assert convert(reworded, existing=shown(), traces=traces(COFFEE)).extra_text == "Slowly roasted"
    theirs = shown(extra_text="Our barista's favourite")
    assert convert(reworded, existing=theirs, traces=traces(COFFEE)).extra_text is None
    assert convert(reworded, existing=shown()).extra_text is None  # no trace is stored: it may be the staff's


@pytest.mark.parametrize(
    ("policy", "emptied"), [(None, ""), ("update", ""), ("both", ""), ("create", None), ("never", None)]
)
def test_a_text_cleared_in_the_books_is_emptied_where_the_policy_owns_it(
    policy: str | None, emptied: str | None
) -> None:
    toml = f'[products.write]\nextra_text = "{policy}"' if policy else ""
    cleared = replace(COFFEE, description=None)
    assert convert(cleared, toml, existing=shown(), traces=traces(COFFEE)).extra_text == emptied
    theirs = shown(extra_text="Our barista's favourite")
    assert convert(cleared, toml, existing=theirs, traces=traces(COFFEE)).extra_text is None


@given(ours=st.text(min_size=1), theirs=st.text(min_size=1), now=st.none() | st.text(min_size=1))
def test_no_word_of_the_staff_is_ever_lost(ours: str, theirs: str, now: str | None) -> None:
    before, after = replace(COFFEE, description=ours), replace(COFFEE, description=now)
    written = convert(after, existing=shown(extra_text=theirs), traces=traces(before)).extra_text
    assert (written is None) or theirs in (ours, now)


def test_what_the_settings_do_not_map_any_more_is_not_emptied() -> None:
    mapped = '[products.fields]\ncolour = "Colour"'
    red = replace(COFFEE, raw={**COFFEE.raw, "Colour": "red"})
    known = traces(red, mapped)
    assert convert(COFFEE, mapped, existing=shown(colour="red"), traces=known).colour == ""
    assert convert(COFFEE, existing=shown(colour="red"), traces=known).colour is None


@pytest.mark.parametrize(
    ("policy", "created", "updated"),
    [("create", 295, None), ("update", None, 295), ("both", 295, 295), ("never", None, None)],
)
def test_a_write_policy_separates_creating_from_updating(policy: str, created: int | None, updated: int | None) -> None:
    toml = f'[products.write]\nprice = "{policy}"'
    assert convert(COFFEE, toml).price_incl_cents == created
    assert convert(COFFEE, toml, existing=TILL).price_incl_cents == updated


def test_offer_and_content_are_switched_separately() -> None:
    no_offer = convert(COFFEE, "[products]\noffer = false", existing=TILL)
    assert (no_offer.price_incl_cents, no_offer.active, no_offer.description) == (None, None, "Coffee")
    no_content = convert(COFFEE, "[products]\ncontent = false", existing=TILL)
    assert (no_content.price_incl_cents, no_content.description, no_content.extra_text) == (295, None, None)
    new = convert(COFFEE, "[products]\ncontent = false")
    assert (new.description, new.extra_text) == ("Coffee", None)


def test_updates_may_be_switched_off() -> None:
    with pytest.raises(NotBookable, match="updates are switched off"):
        convert(COFFEE, "[products]\nupdate_existing = false", existing=TILL)


def test_an_article_of_another_item_is_never_taken_over() -> None:
    foreign = replace(TILL, articles=(replace(TILL.articles[0], ext_id="99"),))
    with pytest.raises(MappingError, match="belongs to another item"):
        convert(COFFEE, existing=foreign)
    unowned = replace(TILL, articles=(replace(TILL.articles[0], ext_id=None),))
    assert convert(COFFEE, existing=unowned).ext_id == "42"


def test_mapped_fields_and_free_fields_go_over_the_defaults() -> None:
    toml = """
    [products.fields]
    receipt_text = { do = "text", action = "upper", of = "Name" }
    colour = { do = "constant", value = "brown" }
    [products.custom_fields]
    Allergens = "Note"
    """
    article = convert(COFFEE, toml)
    assert (article.receipt_text, article.colour) == ("COFFEE", "brown")
    assert article.custom_fields == {}


@given(st.decimals(min_value="0.01", max_value="99999", places=2))
def test_a_price_survives_to_the_cent(price: Decimal) -> None:
    assert convert(replace(COFFEE, unit_price=price)).price_incl_cents == int(price * 100)


def test_an_unchanged_item_keeps_its_fingerprint_after_a_new_sync_token() -> None:
    before = products.to_product(COFFEE, settings=DEFAULTS, vat=VAT)
    touched = products.to_product(replace(COFFEE, sync_token="9"), settings=DEFAULTS, vat=VAT)
    dearer = products.to_product(replace(COFFEE, unit_price=Decimal("3.05")), settings=DEFAULTS, vat=VAT)
    assert records.fingerprint(before) == records.fingerprint(touched) != records.fingerprint(dearer)
