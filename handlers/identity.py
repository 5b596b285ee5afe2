"""Request ids: always the same for the same write, so that the books answer a repeat with the first answer.

They are made of the company and what is written (a sale, a payment of the till, a relation; for a change the record
and the version it replaces), never of its content, which may differ in another attempt, nor of a name a person chose.
"""

from __future__ import annotations

import uuid

_OURS = uuid.UUID("6f9bb1cb-2d9a-4d0e-9d50-6b1f0c9b2f0a")


def request_id(company: str, operation: str, *identity: object) -> str:
    """A UUID derived from the company of the books and what is written."""
    return str(uuid.uuid5(_OURS, "\x1f".join([company, operation, *map(str, identity)])))
