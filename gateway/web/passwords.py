"""Passwords of people: hashed with Argon2id (OWASP's parameters), one at a time, because each takes 19 MiB."""

from __future__ import annotations

import os
from typing import Final

import anyio
import anyio.to_thread
from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

SHORTEST: Final = 12
LONGEST: Final = 200
_MEMORY_KIB: Final = 19_456
_NOBODY: Final = f"$argon2id$v=19$m={_MEMORY_KIB},t=2,p=1${'A' * 22}${'A' * 43}"
"""The hash of no known password: a name that nobody has takes as long to refuse as a wrong password."""
_one_at_a_time = anyio.Semaphore(1)


async def to_hash(password: str) -> str:
    """The hash in PHC format, with a salt of its own."""
    async with _one_at_a_time:
        return await anyio.to_thread.run_sync(_hash, _encode(password))


async def is_right(password: str, hashed: str | None) -> bool:
    """Whether this is the password; always false, but no sooner, without a hash."""
    async with _one_at_a_time:
        return await anyio.to_thread.run_sync(_verify, _encode(password), hashed or _NOBODY)


def _encode(password: str) -> bytes:
    return password.encode("utf-8", "surrogatepass")


def _hash(password: bytes) -> str:
    kdf = Argon2id(salt=os.urandom(16), length=32, iterations=2, lanes=1, memory_cost=_MEMORY_KIB)
    return kdf.derive_phc_encoded(password)


def _verify(password: bytes, hashed: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password, hashed)
    except InvalidKey:
        return False
    return True
