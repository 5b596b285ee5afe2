"""Secrets at rest: sealed with the newest key of the ring for one place in the database, opened with any key of it."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import Permanent

_MARK: Final = "2."  # earlier releases sealed with Fernet, without a place; such a value opens until it is sealed again
_NONCE: Final = 12


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """The place of a sealed value: a copy at another place cannot be opened."""

    table: str
    column: str
    owner: str

    def to_bytes(self) -> bytes:
        """The associated data of the encryption."""
        return f"{self.table}\x1f{self.column}\x1f{self.owner}".encode()


class Seal:
    """Seals and opens short texts. `keys` are the values of SECRET_KEY, newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._ring = [AESGCM(_derive(key, b"kassabridge/seal/2")) for key in keys]
        self._older = [Fernet(base64.urlsafe_b64encode(_derive(key, b"kassabridge/seal"))) for key in keys]

    def seal(self, text: str, place: SealedColumn) -> str:
        """The text, encrypted and authenticated for this place, as ASCII."""
        nonce = os.urandom(_NONCE)
        sealed = nonce + self._ring[0].encrypt(nonce, text.encode(), place.to_bytes())
        return _MARK + base64.urlsafe_b64encode(sealed).decode("ascii")

    def open(self, sealed: str, place: SealedColumn) -> str:
        """The text again. Raises `Permanent` when no key of the ring fits: nothing is overwritten then."""
        text = self._find(sealed, place, len(self._ring))
        if text is None:
            raise Permanent(
                "a stored secret cannot be opened with the present SECRET_KEY",
                code="wrong-key",
                field="SECRET_KEY",
                fix="put the key that was used before behind the new one, separated by a comma; "
                "if it is lost: `./run forget-secrets`, then connect again",
            )
        return text

    def fits(self, sealed: str, place: SealedColumn) -> bool:
        """Whether any key of the ring opens it there."""
        return self._find(sealed, place, len(self._ring)) is not None

    def is_newest(self, sealed: str, place: SealedColumn) -> bool:
        """Whether it is sealed for its place, with the newest key."""
        return sealed.startswith(_MARK) and self._find(sealed, place, 1) is not None

    def _find(self, sealed: str, place: SealedColumn, most: int) -> str | None:
        """The text, if one of the first keys opens it."""
        try:
            if not sealed.startswith(_MARK):
                return MultiFernet(self._older[:most]).decrypt(sealed.encode("ascii")).decode()
            content = base64.urlsafe_b64decode(sealed.removeprefix(_MARK).encode("ascii"))
        except (ValueError, InvalidToken):
            return None
        for key in self._ring[:most]:
            try:
                return key.decrypt(content[:_NONCE], content[_NONCE:], place.to_bytes()).decode()
            except (InvalidTag, ValueError):
                continue
        return None


def digest(text: str) -> str:
    """What is stored of a text that is only compared: its SHA-256, in hexadecimal."""
    return hashlib.sha256(text.encode()).hexdigest()


def _derive(key: str, purpose: bytes) -> bytes:
    # Domain separation: the same SECRET_KEY also signs sessions, with another derived key.
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=purpose).derive(key.encode())
