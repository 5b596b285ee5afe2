"""The SOAP operations the simulator carries out, by name: what was asked in, what is answered out, both as dicts."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sandbox.mpluskassa.operations import article_groups, billing, lookups, people, products, shelves, trade
from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Till

Handler = Callable[[Till, Record], Record]

HANDLERS: Mapping[str, Handler] = {
    **lookups.HANDLERS,
    **products.HANDLERS,
    **article_groups.HANDLERS,
    **shelves.HANDLERS,
    **people.HANDLERS,
    **trade.HANDLERS,
    **billing.HANDLERS,
}
