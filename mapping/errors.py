"""What went wrong with a record, in the words for a person; and the errors of the mapping, which carry it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What happened (`reason`), to which `record` ("receipt 1.2.2026.345") and `field` or setting; what to do (`fix`).

    Without a `record` it is about the record that is being handled. `code` names the kind of problem, and `cause` what
    its event waits for, as a key; default: `record`. None of them may hold a secret, or a person's data beyond the
    record's own number.
    """

    reason: str | None = None
    code: str | None = None
    record: str | None = None
    field: str | None = None
    fix: str | None = None
    cause: str | None = None

    def named(self, *names: str) -> dict[str, Any]:
        """Those of the named parts that are known; without names all of them."""
        found = ((name, getattr(self, name)) for name in names or Problem.__slots__)
        return {name: value for name, value in found if value}


class ProblemError(Exception):
    """Base of everything raised on purpose: carries a `Problem`."""

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        record: str | None = None,
        field: str | None = None,
        fix: str | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.problem = Problem(reason=reason, code=code, record=record, field=field, fix=fix, cause=cause)

    def about(self, **parts: Any) -> None:
        """Change parts of the problem, where more is known than where it was raised."""
        self.problem = dataclasses.replace(self.problem, **parts)
        self.args = (self.reason,)

    @property
    def reason(self) -> str:
        return self.problem.reason or ""

    @property
    def code(self) -> str | None:
        return self.problem.code

    @property
    def record(self) -> str | None:
        return self.problem.record

    @property
    def field(self) -> str | None:
        return self.problem.field

    @property
    def fix(self) -> str | None:
        return self.problem.fix


class MappingError(ProblemError):
    """A record cannot be translated; a person has to act, so the job is parked."""


@contextmanager
def naming(**parts: str | None) -> Iterator[None]:
    """A `MappingError` raised inside gets these parts of its problem: where it is raised they are not known."""
    try:
        yield
    except MappingError as refusal:
        refusal.about(**parts)
        raise


class NotBookable(MappingError):
    """The record is not to be synchronised, or not yet: the job is skipped with this reason; no action is needed."""


class ItemNeeded(MappingError):
    """The document needs an item of ours that is missing: the caller may find or create it, and retry.

    `reference` is the field of `References` that names it.
    """

    def __init__(self, reason: str, *, reference: str = "", **parts: Any) -> None:
        super().__init__(reason, **parts)
        self.reference = reference
