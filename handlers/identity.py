"""Request ids: the same for the same write, for ever, so that the books answer a repeat with the first answer.

They name the company and what is written (a sale, a payment of the till, a relation; for a change the record and the
version it replaces), never its content, which another attempt may see otherwise, nor a name that somebody chose.
"""

from __future__ import annotations

import uuid

_OURS = uuid.UUID("6f9bb1cb-2d9a-4d0e-9d50-6b1f0c9b2f0a")


def request_id(company: str, operation: str, *identity: object) -> str:
    """A UUID derived from what is written into which company of the books."""
    return str(uuid.uuid5(_OURS, "\x1f".join([company, operation, *map(str, identity)])))
