"""The settings document: defaults when empty, every fault named, a correct example."""

from __future__ import annotations

import re
import time
import tomllib
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from mapping.control import Control, ControlQuestion, resolve
from mapping.errors import MappingError
from mapping.settings_document import DocumentError, SettingsDocument, parse, parse_data, recall, to_data
from mapping.settings_guide import example
from mapping.stock import read_expression

FULL = """
version = 1

[products]
sku_with_letters = "allocate"
filter = { any = [{ field = "Type", value = "Inventory" }, { not = { field = "Sku", is = "empty" } }] }
types = ["Inventory"]

[products.fields]
colour = { do = "lookup", of = "CustomField[Name=Colour].StringValue", table = { red = "R" } }

[products.write]
price = "both"

[stock]
formula = "max(0, available - reserved - safety)"
safety = 2.5

[stock.branches.1]
share = 60

[orders]
split = "largest"
number_prefix = { receipt = "A", invoice = "B", order = "C" }

[mapping.payment_methods]
mode = "table"
table = { PIN = "Card", CASH = "Cash" }
on_miss = "default"
fallback = "Other"
"""


def test_an_empty_document_is_the_defaults() -> None:
    document = parse("")
    assert document == SettingsDocument()
    assert document.products.enabled
    assert document.orders.split == "invoice"
    assert document.customers.default_debtor
    assert to_data(document) == {}


def test_a_document_survives_being_written_and_read_again() -> None:
    document = parse(FULL)
    assert parse_data(to_data(document)) == document
    assert document.stock.branches["1"].share == 60


def test_every_fault_is_named_with_its_place_and_a_hint() -> None:
    with pytest.raises(DocumentError) as refusal:
        parse(
            """
            [orders]
            split = "half"
            colour = 1
            missing_item = "fallback"
            [stock]
            formula = "available -"
            [products]
            fields = { colour = { do = "dance" } }
            [mapping.tax_codes]
            mode = "force"
            [stock.branches.main]
            share = 10
            """
        )
    paths = {fault.path for fault in refusal.value.faults}
    assert {"orders.split", "orders.colour", "stock.formula", "mapping.tax_codes", "products.fields.colour"} <= paths
    assert any(path.startswith("stock.branches") for path in paths)
    assert all(fault.message and fault.hint for fault in refusal.value.faults)
    split = next(fault for fault in refusal.value.faults if fault.path == "orders.split")
    assert "'invoice'" in split.hint


BEYOND_NUMBERS = f"[products]\nallocate_to = {2**63}"
ONE_BRANCH_TWICE = "[stock.branches.01]\nshare = 50\n[stock.branches.1]\nshare = 50"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ('[orders]\nmissing_item = "fallback"', "fallback_item"),
        ("[products]\nallocate_from = 9\nallocate_to = 1", "allocate_from"),
        (BEYOND_NUMBERS, "products.allocate_to"),
        (ONE_BRANCH_TWICE, "stock.branches"),
        ('[mapping.terms]\non_miss = "default"', "fallback"),
        ('[mapping.terms]\nmode = "table"', "table"),
        ('[customers]\nvat_number_field = "VATNumber"', "vat_number_field"),
        ("[mapping]\nomitted_decimal_places = 7", "omitted_decimal_places"),
        ("[mapping]\nomitted_decimal_places = -1", "omitted_decimal_places"),
        ("version = 2", "version"),
        ("[nonsense]", "nonsense"),
    ],
)
def test_settings_that_do_not_fit_together_are_refused(text: str, complaint: str) -> None:
    with pytest.raises(DocumentError, match=complaint):
        parse(text)


def test_what_is_not_toml_is_one_fault() -> None:
    with pytest.raises(DocumentError) as refusal:
        parse("[orders\nsplit")
    assert [fault.path for fault in refusal.value.faults] == ["(document)"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("a." * 20_000 + "a = 1", "a name of more than 40 parts"),
        ("a = {" + "a . " * 20_000 + "a = 1}", "a name of more than 40 parts"),
        ("[" + '"a".' * 20_000 + "a]", "a name of more than 40 parts"),
        ("a = " + "[" * 50_000, "too deep"),
        ("[products]\nfilter = " + "{not = " * 50 + '{field = "a", is = "empty"}' + "}" * 50, "too deep"),
        ("# " + "x" * 300_000, "262144"),
        ("[" + " " * 1_600, "not TOML"),
        ("[" * 200_000, "not TOML"),
        ('[stock]\nformula = "' + "1+" * 40_000 + '1"', "at most 1000"),
        ('[stock]\nformula = "' + "(" * 400 + '1"', "nested too deeply"),
        (f'[products]\nfilter = {{field = "{"a." * 50_000}", is = "empty"}}', "40 parts"),
        ("\n".join(f"x{number} = 1" for number in range(20_000)), "and 19950 more faults"),
    ],
)
def test_no_document_is_so_long_or_deep_that_reading_it_takes_time(text: str, complaint: str) -> None:
    began = time.process_time()
    with pytest.raises(DocumentError, match=complaint):
        parse(text)
    assert time.process_time() - began < 2.0


def test_a_long_formula_is_computed_term_by_term() -> None:
    formula = read_expression("+".join(["a"] * 450) + "-a*0/2" * 10 + "-a/2/2", names=["a"])
    assert formula({"a": Decimal(4)}) == 450 * 4 - 1


UNSUPPORTED = """
[products]
filter = { field = "Name", is = "matches", value = "^(?!Tee)" }
[orders]
filter = { field = "number", is = "matches", value = "(a)\\\\1" }
"""


def test_g9_an_unsupported_pattern_is_refused_when_saved_with_its_path() -> None:
    with pytest.raises(DocumentError) as refusal:
        parse(UNSUPPORTED)
    found = {fault.path: fault.message for fault in refusal.value.faults}
    assert "look-ahead" in found["products.filter.comparison"]
    assert "back-reference" in found["orders.filter.comparison"]


def test_a_document_in_force_keeps_a_pattern_that_newer_versions_refuse() -> None:
    document = recall(UNSUPPORTED)
    assert document.products.filter is not None
    with pytest.raises(MappingError, match="look-ahead"):
        document.products.filter.holds({"Name": "x"})


def test_a_document_is_immutable() -> None:
    document: Any = parse("")
    with pytest.raises(ValueError, match="frozen"):
        document.orders.split = "largest"


@pytest.mark.parametrize("read", [parse, recall])
def test_a_document_with_a_setting_of_an_earlier_version_stays_good(read: Callable[[str], SettingsDocument]) -> None:
    assert read('[orders]\ninexact_unit_price = "describe"\nsplit = "largest"').orders.split == "largest"


DAY_WITHOUT_ITEM = '[orders]\nsummary = "day"'
NO_STOCK = "\n[stock]\nenabled = false"


def test_a_days_document_needs_an_item_and_the_refusal_says_where_and_how() -> None:
    with pytest.raises(DocumentError) as refusal:
        parse(DAY_WITHOUT_ITEM)
    (fault,) = refusal.value.faults
    assert (fault.path, fault.message) == ("orders.summary_item", 'orders.summary = "day" needs orders.summary_item')
    assert "make a service in QuickBooks" in fault.hint
    assert parse(f'{DAY_WITHOUT_ITEM}\nsummary_item = "OMZET"{NO_STOCK}').orders.summary_item == "OMZET"
    assert parse(f'{DAY_WITHOUT_ITEM}\nfallback_item = "OMZET"{NO_STOCK}').orders.summary_item is None


def test_stock_beside_a_days_document_is_refused_with_the_way_out() -> None:
    text = f'{DAY_WITHOUT_ITEM}\nsummary_item = "OMZET"'
    with pytest.raises(DocumentError) as refusal:
        parse(text)
    (fault,) = refusal.value.faults
    assert fault.path == "orders.summary"
    assert "stock" in fault.message
    assert "stock.enabled = false" in fault.hint
    assert recall(text).loses_stock
    assert not parse(text + NO_STOCK).loses_stock
    assert parse(f"{text}\nenabled = false").stock.enabled


def test_a_document_in_force_goes_on_though_a_newer_version_demands_more() -> None:
    assert recall(DAY_WITHOUT_ITEM).orders.summary == "day"
    assert recall(BEYOND_NUMBERS).products.allocate_to == 2**63
    assert len(recall(ONE_BRANCH_TWICE).stock.branches) == 2
    with pytest.raises(DocumentError):
        recall("[orders]\nunheard_of = 1")


def test_the_example_explains_every_setting_with_the_real_defaults() -> None:
    text = example()
    assert parse(text) == SettingsDocument()
    switched_on = re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert parse(switched_on) == SettingsDocument()
    for name, section in SettingsDocument.model_fields.items():
        for setting, field in getattr(section.annotation, "model_fields", {}).items():
            assert f"# {setting} " in text, f"{name}.{setting}"
            assert field.description, f"{name}.{setting}"
    assert "None" not in "".join(tomllib.loads(switched_on))


ASKED = ControlQuestion("mapping.payment_methods", "PIN", automatic="P7", record="receipt 1", source={"x": "from rule"})


@pytest.mark.parametrize(
    ("control", "value", "by"),
    [
        (Control(), "P7", "automatic"),
        (Control(table={"pin": "P9"}), "P9", "row"),
        (Control(mode="off"), None, "off"),
        (Control(mode="force", value="P1"), "P1", "always"),
        (Control(mode="table", table={"Pin ": "P2"}), "P2", "row"),
        (Control(mode="table", table={"CASH": "P2"}, on_miss="skip"), None, "left_out"),
        (Control(mode="table", table={"CASH": "P2"}, on_miss="default", fallback="P0"), "P0", "fallback"),
        (Control.model_validate({"mode": "rule", "rule": "x"}), "from rule", "rule"),
        (Control.model_validate({"mode": "rule", "rule": "y", "on_miss": "skip"}), None, "left_out"),
    ],
)
def test_one_control_serves_every_setting(control: Control, value: str | None, by: str) -> None:
    answer = resolve(control, ASKED)
    assert (answer.value, answer.by) == (value, by)


def test_a_miss_parks_with_the_setting_and_the_value_that_is_missing() -> None:
    with pytest.raises(MappingError, match='"PIN"') as refusal:
        resolve(Control(mode="table", table={"CASH": "P2"}), ASKED)
    assert (refusal.value.field, refusal.value.record) == ("mapping.payment_methods", "receipt 1")


def test_a_document_with_a_setting_that_is_gone_still_loads_and_says_so() -> None:
    text = "[orders]\nsales_orders = true\nreceipts = false\n"
    recalled = recall(text)
    assert (recalled.orders.retired, recalled.orders.receipts) == (("sales_orders",), False)
    with pytest.raises(DocumentError) as refusal:
        parse(text)
    assert [fault.path for fault in refusal.value.faults] == ["orders.sales_orders"]
    assert parse("[orders]\nsales_orders = false\n").orders.retired == ()
    assert "sales_orders" not in example()
