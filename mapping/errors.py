"""Errors of the mapping: a refusal that names the record, the field and the fix."""

from __future__ import annotations


class MappingError(Exception):
    """A record cannot be translated; a person has to act, so the job is parked.

    `reason` says what is wrong, `record` names the record ("receipt 1.2.2026.345"), `field` the field or setting,
    `fix` what a person can do about it. None of them contains personal data except the record's number. `code` names
    the kind of cause, if events can wait for its end, and `cause` is its key; default: `record`.
    """

    def __init__(
        self,
        reason: str,
        *,
        record: str | None = None,
        field: str | None = None,
        fix: str | None = None,
        code: str | None = None,
        cause: str | None = None,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.cause = cause
        self.reason = reason
        self.record = record
        self.field = field
        self.fix = fix


class NotBookable(MappingError):
    """The record is not to be synchronised, or not yet: the job is skipped with this reason; no action is needed."""


class ItemNeeded(MappingError):
    """The document needs an item of ours that is missing: the caller may find or create it, and retry.

    `reference` is the field of `References` that names it.
    """

    reference = ""


class RoundingItemNeeded(ItemNeeded):
    """An item for a rounding line."""

    reference = "rounding_item_id"


class ClearingItemNeeded(ItemNeeded):
    """An item for money in a separate document."""

    reference = "clearing_item_id"


class OrderDepositItemNeeded(ItemNeeded):
    """An item for deposits on orders."""

    reference = "order_deposit_item_id"
