"""Secrets at rest: sealed with the newest key of the ring, opened with any key of it."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from gateway.errors import Permanent


class Seal:
    """Seals and opens short texts. `keys` are the values of SECRET_KEY, newest first."""

    def __init__(self, keys: Sequence[str]) -> None:
        self._newest = Fernet(_derive(keys[0]))
        self._ring = MultiFernet([Fernet(_derive(key)) for key in keys])

    def seal(self, text: str) -> str:
        """The text, encrypted and authenticated, as ASCII."""
        return self._ring.encrypt(text.encode()).decode("ascii")

    def open(self, sealed: str) -> str:
        """The text again. Raises `Permanent` when no key of the ring fits: nothing is overwritten then."""
        try:
            return self._ring.decrypt(sealed.encode("ascii")).decode()
        except InvalidToken:
            raise Permanent(
                "a stored secret cannot be opened with the present SECRET_KEY",
                code="wrong-key",
                field="SECRET_KEY",
                fix="put the key that was used before behind the new one, separated by a comma; "
                "if it is lost: `./run forget-secrets`, then connect again",
            ) from None

    def fits(self, sealed: str) -> bool:
        """Whether any key of the ring opens it."""
        try:
            self._ring.decrypt(sealed.encode("ascii"))
        except InvalidToken:
            return False
        return True

    def is_newest(self, sealed: str) -> bool:
        """Whether the newest key opens it."""
        try:
            self._newest.decrypt(sealed.encode("ascii"))
        except InvalidToken:
            return False
        return True

    def rotate(self, sealed: str) -> str:
        """The same secret under the newest key. Raises `Permanent` like `open`."""
        return self.seal(self.open(sealed))


def _derive(key: str) -> bytes:
    # Domain separation: the same SECRET_KEY also signs sessions, with another derived key.
    raw = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kassabridge/seal").derive(key.encode())
    return base64.urlsafe_b64encode(raw)
