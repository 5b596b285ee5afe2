"""Everything about the simulator that a test or a person may switch: rules on unknowns, limits, deliveries."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from sandbox.quickbooks.faults import Json

RETRY_SECONDS = (10.0, 20.0, 30.0, 300.0, 1200.0, 7200.0, 14400.0, 21600.0)
"""Intuit's published redelivery schedule; after the last step every six hours."""


@dataclass
class Limits:
    """Throttles of one company. Zero switches a limit off."""

    requests_per_second: int = 10
    requests_per_minute: int = 500
    concurrent: int = 10
    batches_per_minute: int = 40


@dataclass
class Deliveries:
    """How webhooks are sent.

    `time_scale` multiplies every wait of the retry schedule; the rates (0..1) are drawn from the simulation's seeded
    random source; `format` is "cloudevents" or "legacy".
    """

    url: str = ""
    verifier: str = ""
    format: str = "cloudevents"
    group_seconds: float = 0.2
    delay_seconds: float = 0.0
    timeout_seconds: float = 3.0
    time_scale: float = 1.0
    duplicate_rate: float = 0.0
    drop_rate: float = 0.0
    reorder_rate: float = 0.0
    largest_group: int = 100
    paused: bool = False


@dataclass
class Switches:
    """The simulation's rules. Each default is the stricter or the documented choice.

    tax_rounding          "line" (each line rounded) or "code" (the sum per tax rate rounded)
    tax_override          "honour", "ignore" or "refuse" what a client sends as TxnTaxDetail
    rotate_refresh_token  "each" refresh or "daily"
    reuse_kills_grant     a used refresh token also ends the grant's newest one
    duplicate_scope       a DocNumber must be unique per "type" or over all "sales" documents
    void_forms            "documented" address forms only, "any", "operation": operation=void for every kind, or
                          "unheard": a void is an update like any other
    void_events           a void is announced as "voided", or as "updated" like any other change
    request_ids           a repeated requestid is "remembered", or "forgotten": what it asks for is done again
    line_amounts          an Amount is Qty times UnitPrice "rounded" to cents, or "exact" to the last decimal
    stock_start           a sale before an item's stock was started is refused with "6270", with "6000", or "accepted"
    stock_moves_items     a change of quantity counts as a change of the item (its time moves, CDC names it)
    resale_numbers        a customer's ResaleNum is "kept" or "dropped"
    rare_characters       those beyond the basic plane (emoji) are "kept", "replaced", "refused" (as what cannot be
                          decoded), "invalid" (2040), or what the server is "failing" over (500, however often)
    backslashes           in a query a backslash stands for itself when it is "doubled", or "single"
    largest_page          a page of a query holds at most so many rows, whatever was asked
    query_delay_seconds   a query does not show what was made less than this ago; a read by id does
    failing_captures      entities of which one record makes every answer of change data capture fail: "4002" or "500"
    latency_seconds       every call waits this long on the way in
    working_seconds       every admitted call works this long (it counts as running meanwhile)
    """

    tax_rounding: str = "line"
    tax_override: str = "honour"
    rotate_refresh_token: str = "each"
    reuse_kills_grant: bool = False
    auto_approve: bool = False
    access_token_seconds: int = 3600
    code_seconds: int = 300
    duplicate_scope: str = "type"
    void_forms: str = "documented"
    void_events: str = "voided"
    request_ids: str = "remembered"
    line_amounts: str = "rounded"
    stock_start: str = "6270"
    stock_moves_items: bool = True
    resale_numbers: str = "kept"
    rare_characters: str = "kept"
    backslashes: str = "doubled"
    case_sensitive_queries: bool = True
    stock_bumps_sync_token: bool = False
    stock_webhooks: bool = False
    largest_page: int = 1000
    query_delay_seconds: float = 0.0
    failing_captures: dict[str, str] = field(default_factory=dict)
    latency_seconds: float = 0.0
    working_seconds: float = 0.0
    limits: Limits = field(default_factory=Limits)
    deliveries: Deliveries = field(default_factory=Deliveries)

    def to_json(self) -> Json:
        """All switches as JSON."""
        return asdict(self)

    def apply(self, changes: Json) -> None:
        """Set switches from JSON. Raises KeyError for an unknown one, TypeError for a value of another type."""
        _apply(self, changes)


def _apply(target: Any, changes: Json) -> None:
    known = {each.name for each in fields(target)}
    for name, value in changes.items():
        if name not in known:
            raise KeyError(name)
        current = getattr(target, name)
        if isinstance(current, Limits | Deliveries):
            _apply(current, value)
        else:
            setattr(target, name, _coerce(name, current, value))


def _coerce(name: str, current: Any, value: Any) -> Any:
    if isinstance(current, float) and not isinstance(value, bool | str | None):
        return float(value)
    if type(current) is not type(value):
        raise TypeError(name)
    return value
