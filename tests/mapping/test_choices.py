"""What the page of the mapping shows for a value is what a sale with it gets."""

from __future__ import annotations

import pytest

from mapping import choices, list_entries
from mapping.choices import ListName, ListOption, Options, SourceValue
from mapping.list_entries import KnownLists
from mapping.records import Branch, CompanyProfile, ListEntry
from mapping.sections import MappingSettings

COMPANY = CompanyProfile(
    name="Shop",
    country="NL",
    home_currency="EUR",
    custom_document_numbers=True,
    tracks_departments=True,
    tracks_stock=True,
    books_closed_through=None,
    uses_tax=True,
)
DEPARTMENTS = next(each for each in choices.CONTROLS if each.path == "mapping.departments")


@pytest.mark.parametrize("branch", ["Den Haag", " den haag ", "Den  Haag", "Den\tHaag", "Delft"])
@pytest.mark.parametrize("location", ["Den Haag", "DEN HAAG", "Den  Haag "])
def test_a_place_is_found_by_name_on_the_page_and_by_a_sale(branch: str, location: str) -> None:
    settings = MappingSettings()
    offered = Options([ListOption("L1", location)])
    lists = {ListName.LOCATIONS: offered}
    shown = choices.cover(DEPARTMENTS, settings.departments, SourceValue("1", branch), lists, offered)
    known = KnownLists(COMPANY, (Branch(1, branch),), entries={"Department": (ListEntry("L1", location),)})
    assert list_entries.department(1, known, settings) == (shown.target.id if shown.target else None)


def test_of_two_entries_that_differ_in_space_the_exact_one_is_found() -> None:
    entries = [ListEntry("1", "Den  Haag"), ListEntry("2", "Den Haag"), ListEntry("3", "Delft")]
    shown = Options([ListOption(entry.id, entry.name) for entry in entries])
    for name, expected in (("Den Haag", "2"), ("Den  Haag", "1"), ("den haag", "1"), ("Gouda", None)):
        by_sale, on_page = list_entries.named(name, entries), choices.named(name, shown)
        assert [each.id if each else None for each in (by_sale, on_page)] == [expected, expected]


def test_a_former_entry_is_found_however_much_space_its_name_has() -> None:
    entries = [ListEntry("1", "PIN  pas (deleted)", active=False), ListEntry("2", "PIN pas", active=False)]
    assert list_entries.former_ids("PIN pas", entries) == ["1", "2"]
