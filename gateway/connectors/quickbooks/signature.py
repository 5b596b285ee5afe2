"""Whether a delivery was signed by Intuit: HMAC-SHA256 over the raw bytes, in constant time."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode
from collections.abc import Iterable, Sequence
from typing import Final

HEADER: Final = "intuit-signature"


def find_signature(raw_headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The one signature header of an ASGI request; None when it is absent or occurs more than once."""
    values = [value for name, value in raw_headers if name.lower() == HEADER.encode()]
    return values[0] if len(values) == 1 else None


def is_authentic(body: bytes, signature_header: bytes | str | None, verifiers: Sequence[str]) -> int | None:
    """The index of the verifier token that signed exactly these bytes, or None. Never raises.

    Several tokens are accepted while they rotate; an empty one is never used as a key. A header that holds more
    than one value equals no signature and is refused by the same comparison.
    """
    given = _to_bytes(signature_header)
    matches = [index for index, verifier in enumerate(verifiers) if _signs(verifier, body, given)]
    return matches[0] if matches else None


def sign(body: bytes, verifier: str) -> str:
    """The signature Intuit would send for a body: standard base64 with padding."""
    digest = hmac.new(_to_bytes(verifier), body, hashlib.sha256).digest()
    return b64encode(digest).decode("ascii")


def _signs(verifier: str, body: bytes, given: bytes) -> bool:
    return bool(verifier.strip()) and hmac.compare_digest(sign(body, verifier).encode("ascii"), given)


def _to_bytes(text: bytes | str | None) -> bytes:
    # compare_digest raises on non-ASCII str, and a lone surrogate cannot be encoded: bytes that match nothing instead.
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    return text or b""
