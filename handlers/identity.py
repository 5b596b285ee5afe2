"""Request ids: the same for the same write, for ever, so that the books answer a repeat with the first answer."""

from __future__ import annotations

import uuid

_OURS = uuid.UUID("6f9bb1cb-2d9a-4d0e-9d50-6b1f0c9b2f0a")


def request_id(connection: str, operation: str, *content: object) -> str:
    """A UUID derived from what is written: other content, other id."""
    return str(uuid.uuid5(_OURS, "\x1f".join([connection, operation, *map(repr, content)])))
