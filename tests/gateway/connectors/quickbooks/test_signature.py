"""A delivery is authentic when its raw bytes carry a signature made with one of our verifier tokens."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.connectors.quickbooks.webhook import find_signature, is_authentic, sign
from tests.gateway.connectors.quickbooks.examples import read_bytes

TOKEN = "b5771f19b12ddb4bcdb9f08bdc50bc63878a"
BODY = b'[{"specversion":"1.0"}]'


def vectors() -> list[tuple[bytes, str, str]]:
    rows = json.loads(read_bytes("webhook-signature-vectors.json"))["vectors"]
    return [
        (read_bytes(row["file"]) if "file" in row else row["body"].encode(), row["verifier_token"], row["signature"])
        for row in rows
    ]


def test_the_published_signatures_are_accepted() -> None:
    assert len(vectors()) == 3
    for body, token, signature in vectors():
        assert is_authentic(body, signature, [token]) == 0
        assert is_authentic(body, signature.encode(), ["another", token]) == 1


def test_18_both_tokens_count_during_a_rotation_and_the_old_one_ends() -> None:
    old = sign(BODY, "old")
    assert is_authentic(BODY, old, ["new", "old"]) == 1
    assert is_authentic(BODY, old, ["new"]) is None


def test_17_the_same_meaning_in_other_bytes_is_refused() -> None:
    assert is_authentic(BODY.replace(b":", b": "), sign(BODY, TOKEN), [TOKEN]) is None


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        b"",
        "no",
        sign(BODY, TOKEN) + "\n",
        f"{sign(BODY, TOKEN)}, {sign(BODY, TOKEN)}",
        sign(BODY, TOKEN).rstrip("="),
        sign(BODY, TOKEN).lower(),
        "é" * 44,
        "\ud800",
        b"\xff\xfe",
    ],
)
def test_16_anything_but_the_one_exact_signature_is_refused(header: str | bytes | None) -> None:
    assert is_authentic(BODY, header, [TOKEN]) is None


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_19_an_empty_token_signs_nothing(empty: str) -> None:
    assert is_authentic(BODY, sign(BODY, empty), [empty]) is None
    assert is_authentic(BODY, sign(BODY, ""), []) is None


@given(st.binary(), st.one_of(st.none(), st.binary(), st.text(alphabet=st.characters())), st.lists(st.text()))
def test_no_bytes_header_or_token_ever_raises(body: bytes, header: bytes | str | None, tokens: list[str]) -> None:
    assert is_authentic(body, header, tokens) is None


def test_one_header_of_any_case_is_found_and_two_are_none() -> None:
    assert find_signature([(b"host", b"x"), (b"Intuit-Signature", b"abc")]) == b"abc"
    assert find_signature([(b"intuit-signature", b"abc"), (b"intuit-signature", b"abc")]) is None
    assert find_signature([]) is None
