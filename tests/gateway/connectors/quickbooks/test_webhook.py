"""Deliveries of both formats become hints; an unreadable event stays visible and affects no other."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.quickbooks.webhook import Hint, UnreadableDelivery, parse
from tests.gateway.connectors.quickbooks.examples import read_bytes


def cloud_event(**changed: Any) -> dict[str, Any]:
    event = {
        "specversion": "1.0",
        "id": "e-1",
        "source": "intuit.x",
        "type": "qbo.item.updated.v1",
        "time": "2026-08-01T09:00:00Z",
        "intuitentityid": "11",
        "intuitaccountid": "93",
    }
    return {**event, **changed}


def legacy(*entities: object, realm: object = "93") -> dict[str, Any]:
    return {"eventNotifications": [{"realmId": realm, "dataChangeEvent": {"entities": list(entities)}}]}


def legacy_entity(**changed: Any) -> dict[str, Any]:
    return {"name": "Item", "id": "11", "operation": "Update", "lastUpdated": "2026-08-01T09:00:00Z", **changed}


def read(delivery: object) -> list[Hint | UnreadableDelivery]:
    return parse(json.dumps(delivery).encode())


def hints(delivery: object) -> list[Hint]:
    found = read(delivery)
    assert all(isinstance(one, Hint) for one in found), found
    return [one for one in found if isinstance(one, Hint)]


def test_a_cloud_event_is_read_with_its_nanoseconds() -> None:
    (hint,) = parse(read_bytes("webhook-cloudevents-account-created-blog.json"))
    assert hint == Hint(
        account="310687",
        entity="Account",
        entity_id="1234",
        operation="Create",
        dedupe_key="88cd52aa-33b6-4351-9aa4-47572edbd068",
        occurred_at=datetime(2025, 9, 10, 21, 31, 25, 179851, tzinfo=UTC),
    )


def test_a_batch_over_two_companies_keeps_order_verbs_and_unknown_entities() -> None:
    found = parse(read_bytes("webhook-cloudevents-batch-multi-realm-constructed.json"))
    assert [(one.account[-1], one.entity, one.operation) for one in found if isinstance(one, Hint)] == [
        ("1", "Item", "Create"),
        ("1", "Item", "Update"),
        ("2", "Invoice", "Void"),
        ("2", "Invoice", "Emailed"),
        ("1", "Customer", "Merge"),
        ("2", "Payment", "Delete"),
        ("1", "somethingnew", "Create"),
    ]


def test_a_merge_names_the_removed_record_in_both_formats() -> None:
    cloud = hints([cloud_event(type="qbo.customer.merged.v1", data={"deletedid": "27"})])
    old = parse(read_bytes("webhook-legacy-multi-realm-merge-constructed.json"))
    assert [hint.deleted_id for hint in cloud] == ["27"]
    assert [one.deleted_id for one in old if isinstance(one, Hint)] == ["27", None, None, None]


def test_28_the_legacy_format_is_read_with_its_offset_without_an_event_id() -> None:
    (hint,) = parse(read_bytes("webhook-legacy-single.raw.json"))
    assert isinstance(hint, Hint)
    assert (hint.account, hint.entity, hint.entity_id, hint.operation) == ("1185883450", "Customer", "1", "Create")
    assert hint.occurred_at == datetime(2015, 10, 5, 21, 42, 19, tzinfo=UTC)
    assert hint.dedupe_key.startswith("legacy-")


@pytest.mark.parametrize(
    "name",
    [
        "webhook-cloudevents-class-created-alternative-ids.raw.json",
        "webhook-cloudevents-customer-merged-docs-masked.json",
        "webhook-cloudevents-employee-created-docs-masked.json",
        "webhook-cloudevents-salesreceipt-updated-no-data-docs-masked.json",
        "webhook-legacy-blog-2025.json",
        "webhook-legacy-two-entities.json",
    ],
)
def test_every_published_body_is_readable(name: str) -> None:
    found = parse(read_bytes(name))
    assert found
    assert all(isinstance(one, Hint) and one.occurred_at for one in found)


@pytest.mark.parametrize(
    ("kind", "entity", "operation"),
    [
        ("qbo.salesreceipt.updated.v1", "SalesReceipt", "Update"),
        ("qbo.CreditMemo.Deleted.v2", "CreditMemo", "Delete"),
        ("qbo.paymentmethod.frobbed.v1", "PaymentMethod", "frobbed"),
        ("payroll.something.else", "payroll.something.else", ""),
    ],
)
def test_26_types_are_spelled_as_the_api_does_and_unknown_ones_kept(kind: str, entity: str, operation: str) -> None:
    (hint,) = hints([cloud_event(type=kind)])
    assert (hint.entity, hint.operation) == (entity, operation)


def test_a_redelivered_legacy_event_has_the_same_key_and_others_differ() -> None:
    (first,) = hints(legacy(legacy_entity()))
    (again,) = hints({"more": 1, **legacy({**legacy_entity(), "extra": True})})
    others = [
        hints(legacy(legacy_entity(id="12")))[0],
        hints(legacy(legacy_entity(operation="Delete")))[0],
        hints(legacy(legacy_entity(name="Customer")))[0],
        hints(legacy(legacy_entity(lastUpdated="2026-08-01T09:00:01Z")))[0],
        hints(legacy(legacy_entity(), realm="94"))[0],
    ]
    assert again.dedupe_key == first.dedupe_key
    assert len({first.dedupe_key, *(other.dedupe_key for other in others)}) == 6


@pytest.mark.parametrize("event_id", [None, "", "x" * 256, 5.5, "with\x00nul", {"a": 1}])
def test_an_event_without_a_usable_id_is_still_recognised_when_repeated(event_id: object) -> None:
    (hint,) = hints([cloud_event(id=event_id)])
    (again,) = hints([cloud_event(id=event_id, data={})])
    (other,) = hints([cloud_event(id=event_id, intuitentityid="12")])
    assert hint.dedupe_key.startswith("event-")
    assert hint.dedupe_key == again.dedupe_key != other.dedupe_key


@pytest.mark.parametrize(
    "bad",
    [
        None,
        7,
        "text",
        [],
        {},
        cloud_event(intuitentityid=None),
        cloud_event(intuitaccountid=""),
        cloud_event(intuitaccountid=True),
        cloud_event(type=["qbo"]),
        cloud_event(intuitentityid="nul\x00"),
        cloud_event(intuitentityid="\ud800"),
        cloud_event(intuitentityid="9" * 300),
        cloud_event(intuitentityid=float("nan")),
        cloud_event(intuitentityid=1.5),
        cloud_event(intuitentityid=10**60),
    ],
)
def test_27_one_bad_event_never_loses_the_others(bad: object) -> None:
    found = read([cloud_event(id="before"), bad, cloud_event(id="after")])
    assert [type(one) for one in found] == [Hint, UnreadableDelivery, Hint]
    assert isinstance(found[1], UnreadableDelivery)
    assert found[1].position == 1
    assert found[1].reason


@pytest.mark.parametrize("bad", [None, 7, {}, legacy_entity(name=None), legacy_entity(id="\x00"), [legacy_entity()]])
def test_27_one_bad_legacy_event_never_loses_the_others(bad: object) -> None:
    found = read(legacy(legacy_entity(id="1"), bad, legacy_entity(id="3")))
    assert [type(one) for one in found] == [Hint, UnreadableDelivery, Hint]


def test_27_one_bad_notification_never_loses_the_others() -> None:
    delivery = legacy(legacy_entity())
    delivery["eventNotifications"][:0] = [{"realmId": "1"}, 5, {"dataChangeEvent": {"entities": []}}]
    assert [type(one) for one in read(delivery)] == [UnreadableDelivery, UnreadableDelivery, UnreadableDelivery, Hint]


def test_bytes_that_are_not_text_affect_only_their_own_event() -> None:
    body = json.dumps([cloud_event(intuitentityid="BAD"), cloud_event()]).encode().replace(b"BAD", b"\xff\xfe")
    assert [type(one) for one in parse(body)] == [UnreadableDelivery, Hint]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        b"nonsense",
        b"null",
        b'"text"',
        b"12",
        b"{}",
        b'{"eventNotifications": 5}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"[" * 100_000 + b"]" * 100_000,
        b"\xff\xfe[\x00]",
        b"NaN",
    ],
    ids=lambda body: repr(body[:12]),
)
def test_25_an_unreadable_body_is_one_visible_entry(body: bytes) -> None:
    (found,) = parse(body)
    assert isinstance(found, UnreadableDelivery)
    assert found.position is None


def test_25_a_number_of_megabytes_costs_its_event_and_no_time() -> None:
    body = b'[{"intuitentityid": ' + b"9" * 2_000_000 + b', "intuitaccountid": "1", "type": "qbo.item.created.v1"}]'
    (found,) = parse(body)
    assert isinstance(found, UnreadableDelivery)


def test_an_empty_delivery_holds_nothing() -> None:
    assert read([]) == []
    assert read({"eventNotifications": []}) == []


def test_one_bare_event_and_a_byte_order_mark_are_tolerated() -> None:
    assert parse(b"\xef\xbb\xbf" + json.dumps(cloud_event()).encode()) == read([cloud_event()])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(alphabet=st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)
KEYS = ["id", "type", "time", "data", "intuitentityid", "intuitaccountid"]
LEGACY_KEYS = ["name", "id", "operation", "lastUpdated", "deletedId"]


@given(st.binary())
def test_no_bytes_make_it_raise(body: bytes) -> None:
    assert isinstance(parse(body), list)


@given(st.lists(st.dictionaries(st.sampled_from(KEYS), JSON) | JSON, max_size=4))
def test_no_cloud_events_make_it_raise_and_every_event_leaves_an_entry(events: list[Any]) -> None:
    assert len(read(events)) == len(events)


@given(st.lists(st.dictionaries(st.sampled_from(LEGACY_KEYS), JSON) | JSON, max_size=4), JSON)
def test_no_legacy_events_make_it_raise_and_every_event_leaves_an_entry(entities: list[Any], realm: Any) -> None:
    assert len(read(legacy(*entities, realm=realm))) == len(entities)


@given(JSON)
def test_no_document_makes_it_raise(document: Any) -> None:
    for one in read(document):
        assert isinstance(one, UnreadableDelivery) or len(one.dedupe_key) <= 255


@given(st.text(alphabet=st.characters(), max_size=300), st.text(alphabet=st.characters(), max_size=300))
def test_every_text_of_a_hint_can_be_stored(entity_id: str, operation: str) -> None:
    for one in read(legacy(legacy_entity(id=entity_id, operation=operation))):
        if isinstance(one, Hint):
            stored = one.account + one.entity + one.entity_id + one.operation + one.dedupe_key
            assert "\x00" not in stored.encode().decode()
