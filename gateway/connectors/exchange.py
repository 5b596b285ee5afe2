"""One exchange with an outside system, as the activity log keeps it: what was asked, what came, how long it took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Exchange:
    """Never holds a credential; large and binary parts are clipped by the connector before they come here.

    `status` is the HTTP status (None: no answer), `trace` the id to quote at the other side, `metered` whether the
    call counts towards a paid allowance, `error` the code of the error it ended in, `refused` whether the other
    side refused it because of its limits, `pause` the seconds it then asked to wait for (None: it named none),
    `note` what a reader of the log should know of it besides.
    """

    system: str
    operation: str
    url: str
    request: Mapping[str, Any] | None
    status: int | None
    response: Mapping[str, Any] | None
    trace: str | None
    milliseconds: int
    metered: bool = False
    error: str | None = None
    refused: bool = False
    pause: float | None = None
    note: str | None = None


def say_dropped(sent: int, received: int) -> str | None:
    """The note about characters that were left out because the other side, or nobody, can read them."""
    found = ((sent, "what was sent"), (received, "the answer"))
    parts = [
        f"{count} control character{'s' if count > 1 else ''} left out of {where}" for count, where in found if count
    ]
    return "; ".join(parts) or None
