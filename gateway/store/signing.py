"""The keys that certificates are signed with: Ed25519, the secret half sealed, made when first needed."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlalchemy import Engine, insert, select
from sqlmodel import Session, col

from gateway.store.clock import moment
from gateway.store.sealing import Seal, SealedColumn
from gateway.store.session import reading, writing
from gateway.store.tables import SigningKeyRow

SEALED: Final = ("secret_sealed",)


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair; `public` is its public half in base64."""

    public: str
    secret: Ed25519PrivateKey = field(repr=False)

    def sign(self, text: str) -> str:
        """The signature, in base64."""
        return base64.b64encode(self.secret.sign(text.encode())).decode()


def is_signed(text: str, signature: str, public: str) -> bool:
    """Whether the owner of this public key signed this text."""
    try:
        key = Ed25519PublicKey.from_public_bytes(base64.b64decode(public, validate=True))
        key.verify(base64.b64decode(signature, validate=True), text.encode())
    except (InvalidSignature, ValueError, binascii.Error):
        return False
    return True


def find_key(engine: Engine, seal: Seal) -> SigningKey:
    """The key that signs now: the oldest whose secret half is still there, or a new one.

    Raises `Permanent` when it cannot be opened with the present SECRET_KEY.
    """
    with reading(engine) as session:
        found = _oldest(session)
    if found is None:
        with writing(engine) as session:
            _add(session, seal)
            found = _oldest(session)  # of two processes at once, both take the same
    public, sealed = found or ("", "")
    secret = base64.b64decode(seal.open(sealed, _place(public)))
    return SigningKey(public, Ed25519PrivateKey.from_private_bytes(secret))


def known_keys(session: Session) -> set[str]:
    """The public halves of every key this installation signed with."""
    return set(session.execute(select(col(SigningKeyRow.public_key))).scalars())


def _oldest(session: Session) -> tuple[str, str] | None:
    row = SigningKeyRow
    usable = select(col(row.public_key), col(row.secret_sealed)).where(col(row.secret_sealed).is_not(None))
    found = session.execute(usable.order_by(col(row.created_at), col(row.public_key)).limit(1)).one_or_none()
    return (str(found[0]), str(found[1])) if found else None


def _add(session: Session, seal: Seal) -> None:
    made = Ed25519PrivateKey.generate()
    public = base64.b64encode(made.public_key().public_bytes_raw()).decode()
    sealed = seal.seal(base64.b64encode(made.private_bytes_raw()).decode(), _place(public))
    session.execute(insert(SigningKeyRow).values(public_key=public, secret_sealed=sealed, created_at=moment()))


def _place(public: str) -> SealedColumn:
    return SealedColumn("signing_keys", *SEALED, public)
