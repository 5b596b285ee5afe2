"""Session events: only the till can send them, and any content is read without raising."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.mpluskassa import webhook

SECRET = "eFc5HrxwLbONJ+EYXrbHB+a9HueYIQzotgKRLRVAfx0="
SIGNATURE = "EBFFIb5qPH/teEFmjtwcIj6h80cl+X1DUy62D46tnu8="
OTHER = base64.b64encode(b"another key").decode()
SUBSCRIPTION = "sub-1"
SESSION = "6f9619ff-8b86-d011-b42d-00cf4fc964ff"


def is_authentic(
    signature: Any = SIGNATURE,
    *,
    subscription: Any = SUBSCRIPTION,
    subscription_id: str = SUBSCRIPTION,
    secrets: tuple[str, ...] = (SECRET,),
) -> bool:
    return webhook.is_authentic(b"test", subscription, signature, subscription_id=subscription_id, secrets=secrets)


def event(**parts: Any) -> bytes:
    document = {
        "event": {"eventBlocking": True, "eventCounter": 4, "eventTimestamp": "2026-03-29T12:00:00+02:00"},
        "sender": {"branchNumber": 1, "workplaceNumber": 2},
        "session": {"sessionId": SESSION, "lines": [{"priceIncl": 1.5}]},
        **parts,
    }
    return json.dumps(document).encode()


def parsed(name: str, body: bytes) -> webhook.SessionHint:
    hint = webhook.parse(name, body)
    assert isinstance(hint, webhook.SessionHint)
    return hint


def test_the_public_vector_is_authentic() -> None:
    assert is_authentic()
    assert webhook.sign(b"test", SECRET) == SIGNATURE


def test_both_secrets_hold_while_rotating_and_a_third_does_not() -> None:
    assert is_authentic(secrets=(OTHER, SECRET))
    assert is_authentic(webhook.sign(b"test", OTHER), secrets=(OTHER, SECRET))
    assert not is_authentic(secrets=(OTHER,))


@pytest.mark.parametrize(
    "signature",
    [
        None,
        "",
        SIGNATURE + "\n",
        f"{SIGNATURE}, {SIGNATURE}",
        [SIGNATURE, SIGNATURE],
        SIGNATURE.encode(),
        base64.b64decode(SIGNATURE).hex(),
        "é" * 44,
        "\udcff" * 44,
        SIGNATURE.lower(),
    ],
)
def test_16_a_wrong_doubled_or_odd_signature_is_refused_without_raising(signature: Any) -> None:
    assert not is_authentic(signature)


def test_a_body_written_differently_is_refused() -> None:
    signature = webhook.sign(b'{"a":1}', SECRET)
    assert not webhook.is_authentic(
        b'{"a": 1}', SUBSCRIPTION, signature, subscription_id=SUBSCRIPTION, secrets=[SECRET]
    )


def test_another_subscription_or_none_configured_is_refused() -> None:
    assert not is_authentic(subscription="sub-2")
    assert not is_authentic(subscription=None)
    assert not is_authentic(subscription="", subscription_id="")


@pytest.mark.parametrize("secrets", [(), ("",), ("   ",), ("not base64!",), ("é",)])
def test_19_an_empty_or_broken_secret_opens_nothing(secrets: tuple[str, ...]) -> None:
    empty_key = base64.b64encode(__import__("hmac").digest(b"", b"test", "sha256")).decode()
    assert not is_authentic(empty_key, secrets=secrets)
    with pytest.raises(ValueError, match="base64"):
        webhook.sign(b"test", secrets[0] if secrets else "")


def test_our_answer_is_signed_with_the_secret_of_the_subscription() -> None:
    body, headers = webhook.answer(SECRET, SUBSCRIPTION)
    assert json.loads(body) == {}
    assert webhook.is_authentic(
        body,
        headers[webhook.SUBSCRIPTION_HEADER],
        headers[webhook.SIGNATURE_HEADER],
        subscription_id=SUBSCRIPTION,
        secrets=[SECRET],
    )


def test_an_event_hints_at_its_session() -> None:
    hint = parsed("completeSession", event())
    assert hint == webhook.SessionHint(
        event="completeSession",
        session_id=SESSION,
        counter=4,
        branch=1,
        workplace=2,
        occurred_at=datetime(2026, 3, 29, 10, 0, tzinfo=UTC),
    )
    assert hint.settles
    assert not parsed("scanCode", event()).settles


def test_a_complaint_about_our_answer_still_hints_at_the_original_event() -> None:
    original = json.loads(event())
    hint = parsed("completeSession", event(error={"code": "INVALID_SIGNATURE", "message": "x"}, original=original))
    assert hint.complaint == "INVALID_SIGNATURE"
    assert webhook.dedupe_key(SUBSCRIPTION, hint) == webhook.dedupe_key(
        SUBSCRIPTION, parsed("completeSession", event())
    )


def test_events_of_a_session_differ_by_name_and_counter() -> None:
    later = event(event={"eventCounter": 5})
    keys = {
        webhook.dedupe_key(SUBSCRIPTION, parsed(name, body))
        for name in ("completeSession", "creditSession")
        for body in (event(), later, event(event={}))
    }
    assert len(keys) == 6


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b"{}",
        b"[" * 100_000,
        b'{"session": {"sessionId": ' + b"9" * 10_000 + b"}}",
        b'{"session": {"sessionId": "a\\u0000b"}}',
        b'{"session": {"sessionId": "\\ud800"}}',
        b'{"session": {"sessionId": "' + b"a" * 1000 + b'"}}',
        b'{"session": NaN}',
    ],
)
def test_25_a_body_that_says_nothing_is_unreadable_with_a_reason(body: bytes) -> None:
    unreadable = webhook.parse("completeSession", body)
    assert isinstance(unreadable, webhook.UnreadableSession)
    assert unreadable.reason


@pytest.mark.parametrize("name", ["", "../admin", "a" * 65, "complete session", "x\n"])
def test_an_address_that_is_no_event_name_is_unreadable(name: str) -> None:
    assert isinstance(webhook.parse(name, event()), webhook.UnreadableSession)


def test_unstorable_numbers_and_times_without_a_zone_are_left_out() -> None:
    hint = parsed("completeSession", event(event={"eventCounter": 2**70, "eventTimestamp": "2026-01-01T10:00:00"}))
    assert (hint.counter, hint.occurred_at) == (None, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["event", "session", "sender", "error", "original", "sessionId", "eventCounter", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=12,
)


@given(st.text(max_size=70), st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_parsing_never_raises(name: str, body: bytes) -> None:
    assert isinstance(webhook.parse(name, body), webhook.SessionHint | webhook.UnreadableSession)


@given(st.binary(max_size=50), st.text(max_size=50), st.text(max_size=50), st.lists(st.text(max_size=20), max_size=3))
def test_checking_never_raises(body: bytes, subscription: str, signature: str, secrets: list[str]) -> None:
    assert not webhook.is_authentic(body, subscription, signature, subscription_id=SUBSCRIPTION, secrets=secrets)
