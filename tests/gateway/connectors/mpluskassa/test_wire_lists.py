"""Relations, stock and the small lists of the till as records, and back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from gateway.connectors.mpluskassa.wire import Malformed, to_page
from gateway.connectors.mpluskassa.wire_catalogue import (
    marker_flags,
    to_api_version,
    to_booking,
    to_branch,
    to_movement,
    to_payment_method,
    to_stock,
    to_sync_markers,
    to_vat_groups,
)
from gateway.connectors.mpluskassa.wire_sales import to_journal, to_relation, to_soap
from gateway.errors import Transient
from mapping.records import Branch, Relation, SyncMarkers, TillAddress, TillPaymentMethod, VatGroup


def test_a_relation_survives_the_way_there_and_back() -> None:
    relation = Relation(
        number=5,
        name="Jansen",
        ext_id="Q-1",
        email="jan@example.nl",
        company="Jansen BV",
        phone="020",
        address=TillAddress(street="Dam 1", city="Amsterdam"),
        delivery_address=TillAddress(street="Hof 2", country="NL"),
        vat_number="NL1",
        payment_days=14,
        vat_method="VAT-METHOD-INCLUSIVE",
    )
    assert to_relation(to_soap(relation)) == relation


def test_a_relation_says_only_what_it_knows_and_a_new_one_has_no_number() -> None:
    assert to_soap(Relation(number=0, name="Jansen")) == {"name": "Jansen", "active": True}


def test_a_relation_without_a_word_about_it_is_active() -> None:
    assert to_relation({"relationNumber": 1}).active
    assert not to_relation({"relationNumber": 1, "active": False}).active


def test_stock_is_read_with_each_amount_in_its_own_decimals() -> None:
    row = {
        "articleNumber": 100,
        "stockId": 9,
        "amountFree": -15,
        "decimalPlacesFree": 1,
        "amountReserved": 2,
    }
    stock = to_stock(row, branch=3)
    assert (stock.article, stock.branch, stock.stock_id) == (100, 3, 9)
    assert (stock.free, stock.reserved) == (Decimal("-1.5"), Decimal(2))


def test_a_movement_names_its_cause() -> None:
    movement = to_movement(
        {
            "stockId": 9,
            "articleNumber": 100,
            "amountChanged": -1,
            "type": "STOCK-HISTORY-TYPE-SALES",
            "receiptId": "r-1",
            "afterCorrectionQuantity": 25,
            "afterCorrectionDecimalPlaces": 1,
        }
    )
    assert (movement.change, movement.type, movement.receipt_id) == (Decimal(-1), "STOCK-HISTORY-TYPE-SALES", "r-1")
    assert movement.after == Decimal("2.5")


def test_a_booking_always_sends_its_decimals() -> None:
    assert to_booking(1, 100, Decimal("2.50"), employee=None, reference="QBO") == {
        "branchNumber": 1,
        "articleNumber": 100,
        "amountChanged": 25,
        "decimalPlaces": 1,
        "reference": "QBO",
    }


@pytest.mark.parametrize(("high", "low", "zero"), [(21, 9, 0), (2100, 900, 0)])
def test_vat_rates_are_per_cent_on_either_scale(high: int, low: int, zero: int) -> None:
    found = [
        {"vatCode": code, "vatPercentage": rate, "branchNumber": 1, "countryIso3": "NLD"}
        for code, rate in ((1, high), (2, low), (3, zero))
    ]
    groups = to_vat_groups(found)
    assert [group.percentage for group in groups] == [21, 9, 0]
    assert groups[0] == VatGroup(1, Decimal(21), branch=1, country="NLD")


def test_a_vat_group_without_a_rate_is_malformed() -> None:
    with pytest.raises(Malformed):
        to_vat_groups([{"vatCode": 1}])


def test_markers_are_asked_for_by_flag_and_read_by_name() -> None:
    assert marker_flags() == {
        "includeArticleSyncMarker": True,
        "includeArticleGroupSyncMarker": True,
        "includeRelationSyncMarker": True,
        "includeReceiptSyncMarker": True,
        "includeInvoiceSyncMarker": True,
        "includeOrderSyncMarker": True,
        "includeStockId": True,
    }
    assert to_sync_markers({"receiptSyncMarker": 4, "stockId": 2}) == SyncMarkers(receipt=4, stock=2)
    with pytest.raises(Transient, match="receiptSyncMarker"):
        to_sync_markers({"receiptSyncMarker": 10**22})


def test_branches_and_ways_to_pay_are_read() -> None:
    branch = {
        "branchNumber": 1,
        "branchName": "Dam",
        "countryIso3": "NLD",
        "workplaces": {"workplace": {"workplaceNumber": 2}},
    }
    assert to_branch(branch) == Branch(1, "Dam", "NLD", (2,))
    assert to_payment_method({"method": "PIN", "description": "Pin"}) == TillPaymentMethod("PIN", "Pin")


def test_a_version_prefers_the_words_of_the_service() -> None:
    assert to_api_version({"majorNumber": 1, "serviceMajorNumber": 67}) == "67.0.0"
    assert to_api_version({"serviceMajorNumber": 67, "serviceVersionDisplayString": "67.1.3"}) == "67.1.3"


def test_a_journal_is_a_branch_and_a_day() -> None:
    journal = to_journal(
        {
            "financialDate": {"day": 1, "mon": 2, "year": 2026},
            "branchNumber": 1,
            "turnoverGroupList": {
                "turnoverGroup": {"turnoverGroup": 3, "turnoverGroupName": "Drank", "inclAmount": 109}
            },
            "paymentList": {"payment": {"method": "PIN", "amount": 109}},
            "vatGroupList": {"vatGroup": {"vatCode": 2, "vatPercentage": 900, "exclAmount": 100, "vatAmount": 9}},
        }
    )
    assert (journal.business_date, journal.branch) == (date(2026, 2, 1), 1)
    assert journal.payments[0].amount_cents == 109
    assert journal.vat[0].percentage == 9


def test_one_bad_row_does_not_stop_a_page_and_still_moves_its_marker() -> None:
    def read(row: Any) -> int:
        if row["id"] == "bad":
            raise Malformed("no date", field="financialDate")
        number: int = row["n"]
        return number

    found = [{"id": "a", "n": 1, "syncMarker": 3}, {"id": "bad", "syncMarker": 8}, {"id": "b", "n": 2, "syncMarker": 5}]
    page = to_page(found, read, key="id")
    assert (list(page), page.marker) == ([1, 2], 8)
    assert [(row.id, row.field) for row in page.unreadable] == [("bad", "financialDate")]
    assert page
    assert to_page(found[1:2], read, key="id")
    assert not to_page([], read, key="id")
