"""The register of personal data: which column holds it, why and for how long. The page about it is made from this.

Every column of every table is listed, as personal or as not; a test compares this with the tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holding:
    """What some columns of a table hold of persons. `erased` says what an erasure does with them."""

    columns: tuple[str, ...]
    what: str
    why: str
    kept: str
    erased: str


_RETAINED = "`RETENTION_DAYS` after the event ended"
_PERMANENT = "permanently: fiscal record"

PERSONAL: Mapping[str, tuple[Holding, ...]] = {
    "inbox": (
        Holding(("email",), "the customer's e-mail address", "customers are matched by it; the search",
                _RETAINED, "emptied"),
        Holding(("hint", "result"), "what a webhook said, a preview shows or a person asked for: may hold names",
                "to handle the event; to show the preview", _RETAINED, "emptied"),
        Holding(("reason", "record", "fix", "messages"),
                "why an event ended so; may quote what QuickBooks answered, a name too",
                "a person has to correct it; why a sale is not booked", "with the event",
                "reason and messages are emptied; what names the person is taken out of the others"),
        Holding(("entity_id", "subject", "key", "target_id"),
                "where the event is of a customer: the number of the relation or customer, a pseudonym",
                "one change is handled once, in order", "with the event", "stays: it identifies no person alone"),
        Holding(("order_id",), "the number of a sale, a pseudonym", "the way back from a document to its sale",
                _PERMANENT, "stays"),
    ),
    "journal": (
        Holding(("detail", "title", "messages"),
                "what was asked of both systems and what they answered: names, addresses, telephone numbers, what was "
                "bought", "to find out what happened to a record",
                "`RETENTION_DAYS`", "detail and messages are emptied; what names the person is taken out of the title"),
    ),
    "links": (
        Holding(("source_id",), "of a customer: the e-mail address, or the relation's number; of a document: "
                "the number of a sale", "so that nothing is made twice",
                "a customer's until erased; a document's permanently: fiscal record",
                "a customer's rows are deleted; a document's stay"),
        Holding(("target_id",), "the customer or the document in QuickBooks, a pseudonym",
                "so that nothing is made twice", "as its row", "with its row"),
        Holding(("fingerprint", "detail"), "of a customer: digests of what was last written; of a document: digests, "
                "numbers and amounts", "to see what changed", "as its row", "with its row"),
    ),
    "sales": (
        Holding(("customer",), "the name of the customer of a sale", "people look for a sale by it",
                "`RETENTION_DAYS` after the sale's last change", "emptied"),
        Holding(("sale_id", "number", "document_id", "document_number"),
                "the number of a sale and of its document, a pseudonym", "which sale is which document of the books",
                _PERMANENT, "stays"),
    ),
    "sale_contents": (
        Holding(("sale_id", "content"), "what was sold in a sale, in both systems, and the customer's number in each, "
                "a pseudonym", "to show both sides of a sale and what changed", "`RETENTION_DAYS` after it was seen",
                "the rows are deleted"),
    ),
    "sale_tags": (
        Holding(("name",), "the text of a line as the till printed it, in which staff may have written of a person",
                "sales are found by it", _PERMANENT, "the person is taken out of it"),
    ),
    "records": (
        Holding(("code", "books_name", "till_name", "fields"), "of a customer: address, names, and what differs "
                "between till and books", "to show both sides of a customer",
                "`RETENTION_DAYS` after the record's last change", "the rows are deleted"),
        Holding(("source_id", "name", "books_id", "till_number"), "of a customer: its numbers in both systems, "
                "pseudonyms", "which relation is which customer", "until erased", "the rows are deleted"),
    ),
    "customer_addresses": (
        Holding(("customer_id", "digest"), "the customer in QuickBooks, a pseudonym, and a digest of the address",
                "the customer is found in any spelling of capitals", "until erased, or changed in QuickBooks",
                "the rows are deleted"),
    ),
    "alerts": (
        Holding(("detail", "title", "fix", "messages"), "the reason of a parked event, as above",
                "to say what needs a person",
                "`RETENTION_DAYS` after the all-clear", "reason and messages are emptied, the address is taken out"),
    ),
    "audit": (
        Holding(("target", "reason", "messages"), "what was done with which record, and what the person who did it "
                "wrote; of an erasure a digest of the address", "actions have to be provable", "permanently",
                "the address is taken out; the digest stays as proof"),
        Holding(("actor",), "the name of the person of the dashboard who did it", "actions have to be provable",
                "permanently", "stays: it is who acted, not a customer"),
    ),
    "cause_marks": (
        Holding(("note", "assignee", "marked_by"), "what people of the dashboard note about a cause, and who looks "
                "after it", "to work together", "until the cause is gone", "stays: it is who works, not a customer"),
    ),
    "bulk_actions": (
        Holding(("actor", "reason"), "who did something to many records, and why", "to show and undo it", "90 days",
                "stays: it is who acted, not a customer"),
    ),
    "users": (
        Holding(("name", "login", "email", "subject", "password", "invitation"), "the name of who may log in, address "
                "and account for single sign-on, the hash of the password, the digest of an invitation's secret",
                "to log in; to say who did what", "until removed, or with the data of the connection; an invitation "
                "until used", "stays: removed under People"),
    ),
    "web_sessions": (
        Holding(("address", "browser"), "from where and with which browser somebody logged in",
                "sessions are listed and ended", "twelve hours", "deleted automatically"),
    ),
    "agreement_records": (
        Holding(("record", "reason", "fix", "messages"), "the number of a sale, a pseudonym, and what differs about it",
                "the agreement of till and books has to be provable", _PERMANENT, "stays"),
    ),
    "certificates": (
        Holding(("document", "digest", "signature"), "the numbers of sales, pseudonyms, and what differs about them, "
                "signed as a whole", "the agreement of till and books has to be provable", _PERMANENT, "stays"),
    ),
    "day_sign_offs": (
        Holding(("signed_by",), "the name of who signed a day off", "a day's check has to be provable", _PERMANENT,
                "stays: it is part of the books' checks"),
    ),
    "settings_documents": (
        Holding(("document",), "what the operator writes; no flow puts anything in", "the settings of a connection",
                "every version, permanently", "stays: write no names of persons in"),
    ),
    "guesses": (
        Holding(("source",), "the address of who sent a wrong token", "login attempts are limited", "a minute",
                "deleted automatically"),
    ),
}  # fmt: skip

IMPERSONAL: Mapping[str, tuple[str, ...]] = {
    "inbox": (
        *("id", "connection", "account", "flow", "source", "entity", "operation", "priority", "state", "code", "cause"),
        *("field", "attempts", "crashes", "careful", "due_at", "turn_at", "lease", "leased_until", "sku"),
        *("target_entity", "superseded_by", "correlation", "occurred_at", "received_at", "updated_at"),
    ),
    "journal": ("id", "event_id", "connection", "at", "kind", "system", "milliseconds"),
    "links": (
        *("id", "connection", "kind", "target_entity", "sync_token", "generation", "created_at", "updated_at"),
        *("status", "adopted", "day"),
    ),
    "alerts": (
        *("id", "cause", "stage", "connection", "first_seen", "seen_at", "sent_at", "cleared_at", "clear_sent_at"),
        *("told", "clear_told", "sending_until"),
    ),
    "audit": ("id", "at", "action"),
    "users": ("id", "role", "connection", "invitation_ends_at", "created_at", "disabled_at"),
    "web_sessions": ("digest", "user_id", "began_at", "ends_at"),
    "agreement_days": (
        *("connection", "day", "status", "checked_at", "due_at", "event_id", "till_cents", "books_cents"),
        "difference_cents",
    ),
    "agreement_records": ("id", "connection", "day", "cause", "by_policy", "event_id", "cents"),
    "certificates": ("id", "connection", "number", "day", "result", "public_key", "created_at"),
    "day_sign_offs": ("id", "connection", "day", "certificate", "signed_at"),
    "signing_keys": ("public_key", "secret_sealed", "created_at"),
    "settings_documents": ("id", "connection", "version", "author", "created_at"),
    "guesses": ("failures", "ends_at"),
    "installations": ("name", "only"),
    "spent": ("digest", "ends_at"),
    "numbers": ("connection", "number", "item_id", "given_at"),
    "connections": (
        *("name", "realm_id", "mplus_url", "mplus_ident_sealed", "mplus_secret_sealed", "mplus_subscription_id"),
        *("mplus_webhook_secrets_sealed", "live", "paused", "line_amounts", "created_at", "updated_at"),
        *("display_name", "status", "removed_at"),
    ),
    "tokens": (
        *("connection", "access_sealed", "access_expires_at", "refresh_sealed", "refresh_expires_at"),
        *("hard_expires_at", "seed", "lease", "leased_until", "lost", "lost_code", "lost_at", "updated_at"),
    ),
    "sales": (
        *("id", "connection", "kind", "day", "branch", "branch_name", "amount_cents", "vat_cents", "tenders"),
        *("vat_rates", "turnover_groups", "status", "document_entity", "event_id", "updated_at", "document_cents"),
        *("document_vat_cents", "document_day", "document_read_at"),
    ),
    "sale_contents": ("id", "connection", "side", "version", "seen_at"),
    "records": (
        *("id", "connection", "kind", "active", "status", "differs", "stock", "changed_at", "looked_at", "written_at"),
        *("altered_at", "event_id", "updated_at"),
    ),
    "sale_tags": ("id", "connection", "kind", "key", "code"),
    "tagged_sales": ("id", "connection", "tag_id", "sale_id"),
    "customer_addresses": ("connection",),
    "cursors": (
        *("connection", "source", "position", "polled_at", "lease", "leased_until", "failure", "began_at", "settled"),
        *("marked", "marked_at", "witness", "generation", "reread_to", "reread_at", "reread_until", "stretch"),
    ),
    "systems": ("connection", "system", "answered_at", "overdue_at", "failing_since", "failure"),
    "system_lists": ("connection", "name", "options", "read_at"),
    "backfills": ("event_key", "connection", "position", "total", "read", "unchanged", "paused_at", "cancelled_at"),
    "first_webhooks": ("connection", "system", "arrived_at"),
    "leases": ("connection", "work", "lease", "leased_until"),
    "meters": ("connection", "system", "month", "kind", "calls"),
    "processes": ("boot", "role", "version", "started_at", "seen_at", "pool_size", "pool_used"),
    "tallies": ("name", "labels", "value"),
    "cause_marks": ("connection", "cause", "snoozed_until", "marked_at"),
    "bulk_actions": ("id", "action", "connection", "begun_at", "undone_at"),
    "bulk_events": ("bulk_id", "event_id"),
    "booked_days": ("connection", "day", "branch", "sales", "cents"),
    "read_days": ("connection", "day", "what", "reads"),
    "hours": ("connection", "at", "lag_seconds", "causes"),
    "event_counts": ("flow", "state", "shard", "events", "newest"),
    "rate_limits": ("system", "account", "cooldown_from", "cooldown_until", "refusal_level", "refused_at", "wanted_by",
                    "wanted_until"),
    "call_slots": ("system", "account", "number", "holder", "leased_until", "ready_at"),
}  # fmt: skip
