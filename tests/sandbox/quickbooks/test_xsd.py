"""The judge itself: Intuit's XSDs are there, accept what was recorded, and catch what is wrong."""

from __future__ import annotations

import pytest
import simplejson

from sandbox.quickbooks import entities
from tests.sandbox.quickbooks import xsd
from tests.sandbox.quickbooks.desk import REALM, Desk


@pytest.fixture(autouse=True)
def _need_schema() -> None:
    if xsd.load() is None:
        pytest.skip("shared data is not here: answers are not checked against Intuit's XSDs")


def test_recorded_answers_pass_and_mistakes_are_caught() -> None:
    recorded = simplejson.loads(
        (xsd.SHARED / "qbo-examples" / "invoice-object-docs.json").read_text(), use_decimal=True
    )
    assert xsd.find_differences(recorded) == []
    wrong = {"Invoice": {"DocNumbr": "1", "TotalAmt": "1", "BillAddr": "here", "PrintStatus": "Maybe"}}
    assert len(xsd.find_differences(wrong)) == 4


def test_every_property_of_our_tables_is_one_of_intuits() -> None:
    for entity in entities.ENTITIES.values():
        kind = xsd.load().elements[entity.name].type
        known = {each.local_name for each in kind.content.iter_elements()} | {"domain", "sparse", "status"}
        assert entity.fields.keys() - known == set(), entity.name


def test_every_row_of_a_new_company_is_as_intuit_describes_it(desk: Desk) -> None:
    rows = [{name: desk.simulation.rows(REALM, name)} for name in entities.ENTITIES]
    assert xsd.find_differences(rows) == []
