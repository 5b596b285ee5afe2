"""Sealing: opened by any key of the ring, sealed with the newest, closed to every other key."""

from __future__ import annotations

import pytest

from gateway.errors import Permanent
from gateway.store.sealing import Seal

OLD, NEW = "the-key-of-last-year", "the-key-of-this-year"


def test_what_is_sealed_can_be_opened_and_not_read() -> None:
    seal = Seal([NEW])
    sealed = seal.seal("geheim €")
    assert seal.open(sealed) == "geheim €"
    assert sealed.isascii()
    assert "geheim" not in sealed
    assert sealed != seal.seal("geheim €")


def test_67_after_a_rotation_old_secrets_open_and_new_ones_are_sealed_with_the_new_key() -> None:
    sealed = Seal([OLD]).seal("secret")
    ring = Seal([NEW, OLD])
    assert ring.open(sealed) == "secret"
    assert Seal([NEW]).open(ring.rotate(sealed)) == "secret"
    with pytest.raises(Permanent):
        Seal([OLD]).open(ring.seal("secret"))


@pytest.mark.parametrize(
    "sealed", [Seal([OLD]).seal("secret"), "", "not sealed at all"], ids=["under another key", "empty", "damaged"]
)
def test_67_a_wrong_key_or_a_damaged_secret_fails_closed_and_names_the_setting(sealed: str) -> None:
    with pytest.raises(Permanent) as refused:
        Seal([NEW]).open(sealed)
    assert refused.value.field == "SECRET_KEY"
    assert refused.value.fix
