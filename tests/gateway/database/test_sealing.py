"""Sealing: opened at its place by any key of the ring, sealed with the newest, not opened by other keys or places."""

from __future__ import annotations

import base64
import dataclasses

import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.database.sealing import Seal, SealedColumn
from gateway.errors import Permanent

OLD, NEW = "the-key-of-last-year", "the-key-of-this-year"
HERE = SealedColumn("connections", "mplus_secret_sealed", "shop")


def seal_as_before(text: str, key: str) -> str:
    """As earlier releases sealed: without a place."""
    raw = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kassabridge/seal").derive(key.encode())
    return Fernet(base64.urlsafe_b64encode(raw)).encrypt(text.encode()).decode()


def test_what_is_sealed_can_be_opened_and_not_read() -> None:
    seal = Seal([NEW])
    sealed = seal.seal("geheim €", HERE)
    assert seal.open(sealed, HERE) == "geheim €"
    assert sealed.isascii()
    assert "geheim" not in sealed
    assert sealed != seal.seal("geheim €", HERE)


@pytest.mark.parametrize(
    "elsewhere",
    [
        dataclasses.replace(HERE, owner="other"),
        dataclasses.replace(HERE, column="mplus_ident_sealed"),
        dataclasses.replace(HERE, table="tokens"),
    ],
    ids=["another connection", "another column", "another table"],
)
def test_a_sealed_value_copied_elsewhere_does_not_open(elsewhere: SealedColumn) -> None:
    seal = Seal([NEW])
    sealed = seal.seal("secret", HERE)
    assert (seal.fits(sealed, HERE), seal.fits(sealed, elsewhere)) == (True, False)
    with pytest.raises(Permanent):
        seal.open(sealed, elsewhere)


def test_67_after_a_rotation_old_secrets_open_and_new_use_the_new_key() -> None:
    sealed = Seal([OLD]).seal("secret", HERE)
    ring = Seal([NEW, OLD])
    assert (ring.open(sealed, HERE), ring.is_newest(sealed, HERE)) == ("secret", False)
    again = ring.seal("secret", HERE)
    assert (Seal([NEW]).open(again, HERE), ring.is_newest(again, HERE)) == ("secret", True)
    with pytest.raises(Permanent):
        Seal([OLD]).open(again, HERE)


def test_what_the_release_before_sealed_opens_and_counts_as_old() -> None:
    sealed = seal_as_before("secret", OLD)
    ring = Seal([NEW, OLD])
    assert (ring.open(sealed, HERE), ring.is_newest(sealed, HERE)) == ("secret", False)
    assert not Seal([OLD]).is_newest(sealed, HERE)
    assert not Seal([NEW]).fits(sealed, HERE)


@pytest.mark.parametrize(
    "sealed",
    [Seal([OLD]).seal("secret", HERE), seal_as_before("secret", OLD), "", "not sealed at all", "2.", "2.AAAA", "2.é"],
    ids=["under another key", "old and under another key", "empty", "damaged", "nothing in it", "cut off", "no ASCII"],
)
def test_67_a_wrong_key_or_damaged_secret_fails_and_names_the_setting(sealed: str) -> None:
    with pytest.raises(Permanent) as refused:
        Seal([NEW]).open(sealed, HERE)
    assert refused.value.field == "SECRET_KEY"
    assert refused.value.fix
