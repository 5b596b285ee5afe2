"""The error tree. `workers.retry_policy` alone turns these into the outcome of a job.

Each carries a `Problem` (see `mapping.errors`), and so do the errors of the mapping.
"""

from __future__ import annotations

from mapping.errors import ProblemError

AUTH_LOST = "auth-lost"  # the code of every event parked for it; the other system's code varies


class GatewayError(ProblemError):
    """Base of everything the gateway raises on purpose."""


class Rejected(GatewayError):
    """A request to us that we refuse; `status` is the HTTP status."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


class Transient(GatewayError):
    """A transient failure: a timeout while reading, a 5xx, a refused connection. A later attempt may succeed."""


class RateLimited(Transient):
    """The other system refused a call because of its limits, or our own limit is reached; wait for `after` seconds.

    `asked` are the seconds that the other system named, None when it named none.
    """

    def __init__(self, reason: str, *, after: float, code: str | None = None, asked: float | None = None) -> None:
        super().__init__(reason, code=code)
        self.after = after
        self.asked = asked


class Permanent(GatewayError):
    """A later attempt does not help; a person has to act."""


class AuthLost(Permanent):
    """The connection is no longer authorised."""


class NotConnected(AuthLost):
    """Nobody has connected this system yet."""


class Conflict(Permanent):
    """The record changed between our read and our write (stale SyncToken)."""


class DuplicateName(Permanent):
    """The books refuse the name: a customer, supplier, employee or item has it already."""


class DuplicateNumber(Permanent):
    """The books refuse the document number; `existing_id`/`existing_kind` name the other document if known."""

    existing_id: str | None = None
    existing_kind: str | None = None


class NotFound(Permanent):
    """The record asked for does not exist (any more)."""


class Incident(Permanent):
    """A document was booked, but its amounts are not the till's. A person has to check it; never retried."""


class Unanswered(GatewayError):
    """A write was sent and no answer came: it may or may not have happened."""
