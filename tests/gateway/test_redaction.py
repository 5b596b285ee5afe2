"""A secret never survives, wherever it hides."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.observability.redaction import DEEPEST, MASK, SHORTEST, Redactor, to_redactor

secrets = st.text(min_size=SHORTEST, max_size=40).filter(lambda s: s not in "*" * 40)
nothing: Redactor = to_redactor([])


def _hide(secret: str) -> st.SearchStrategy[Any]:
    """Any structure of plain data with the secret somewhere in it, as a value, as a part of one, or as a key."""
    around = st.tuples(st.text(), st.text()).map(lambda ends: f"{ends[0]}{secret}{ends[1]}")
    encoded = st.just(secret.encode("utf-8", "replace"))
    leaf = st.one_of(around, encoded, st.integers(), st.none(), st.booleans(), st.floats(allow_nan=False))
    return st.recursive(
        leaf, lambda deeper: st.lists(deeper) | st.dictionaries(st.text() | around, deeper) | st.tuples(deeper, deeper)
    )


@given(data=st.data(), secret=secrets)
def test_a_known_secret_never_survives_in_any_structure(data: st.DataObject, secret: str) -> None:
    cleaned = to_redactor([secret]).clean(data.draw(_hide(secret)))
    assert secret not in _texts(cleaned)


@given(first=secrets, second=secrets, between=st.text())
def test_two_secrets_that_touch_or_overlap_do_not_survive(first: str, second: str, between: str) -> None:
    cleaned = to_redactor([first, second]).text(f"{first}{second}{between}{second}{first[: len(first) // 2]}{first}")
    assert first not in cleaned
    assert second not in cleaned


@given(secret=secrets)
def test_a_secret_that_was_quoted_or_escaped_on_the_way_does_not_survive(secret: str) -> None:
    redactor = to_redactor([secret])
    forms = [quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1], json.dumps(secret)[1:-1]]
    for form in forms:
        assert form not in redactor.text(f"GET /?x={form} failed").replace(MASK, "")


value = st.text("abcdefghijklmnopqrstuvwxyzABCDEF0123456789-_.~", min_size=8, max_size=60).map(
    lambda text: f"Zq7{text}"
)


@pytest.mark.parametrize(
    "template",
    [
        "POST https://api.example:12345/?ident=shop&secret={}&x=1",
        "https://api.example/?secret={}",
        '{{"access_token": "{}", "expires_in": 3600}}',
        "{{'refresh_token': '{}'}}",
        "grant_type=refresh_token&refresh_token={}",
        "Authorization: Bearer {}",
        "authorization: Basic {}",
        '"Authorization": "Bearer {}"',
        "intuit-signature: {}",
        "X-Mplus-Signature={}",
        "could not connect to postgresql://shop:{}@db.example/gateway",
        "redis://:{}@cache.example:6379/0",
        "client_secret={}",
        "password: {}",
    ],
)
@settings(max_examples=30)
@given(unknown=value)
def test_an_unknown_secret_is_recognised_by_its_context(template: str, unknown: str) -> None:
    cleaned = nothing.text(template.format(unknown))
    assert unknown not in cleaned
    assert MASK in cleaned


@pytest.mark.parametrize("key", ["secret", "mplus_secret", "Authorization", "refresh_token", "accessToken", "api-key"])
@settings(max_examples=30)
@given(unknown=value)
def test_the_value_of_a_suspicious_key_is_masked(key: str, unknown: str) -> None:
    assert nothing.clean({"headers": {key: unknown}}) == {"headers": {key: MASK}}


@given(text=st.text("abcdefghijklmnopqrstuvwxyz 0123456789,.", max_size=80))
def test_harmless_text_stays_as_it_is(text: str) -> None:
    assert to_redactor(["correct-horse-battery"]).text(text) == text


def test_passwords_inside_addresses_are_secrets_in_their_plain_form_too() -> None:
    redactor = to_redactor([], addresses=["postgresql+psycopg://u:p%40ss-word@db/x", "unix:///var/valkey.sock"])
    assert "p@ss-word" not in redactor.text("the password p@ss-word was refused")


def test_a_structure_that_never_ends_is_cut_off() -> None:
    endless: dict[str, Any] = {}
    endless["again"] = endless
    assert json.dumps(nothing.clean(endless)).count("again") == DEEPEST + 1


def _texts(value: Any) -> str:
    match value:
        case dict():
            return "\0".join(f"{k}\0{_texts(v)}" for k, v in value.items())
        case list():
            return "\0".join(map(_texts, value))
        case _:
            return str(value)
