"""The last step to and from the wire: the scale of percentages, decimal places and empty lists, as switched.

Inside the simulator a percentage is an integer of hundredths (2100 is 21 %); on the wire the switch decides.
"""

from __future__ import annotations

from typing import Any

from sandbox.mpluskassa.structs import Record
from sandbox.mpluskassa.till import Switches

_MINUTES_OF = {"minutes": 1, "hours": 60, "zero": 24 * 60}
PERCENTAGES = frozenset({"vatPercentage", "vatPercentageAlternative", "discountPercentage"})


def from_wire(value: Any, switches: Switches) -> Any:
    """A decoded request with its percentages in hundredths."""
    match value:
        case dict():
            return {key: _read(key, inner, switches) for key, inner in value.items()}
        case list():
            return [from_wire(inner, switches) for inner in value]
    return value


def _read(key: str, value: Any, switches: Switches) -> Any:
    return value * 100 // switches.percentage_scale if key in PERCENTAGES else from_wire(value, switches)


def to_wire(value: Any, switches: Switches) -> Any:
    """A copy of an answer as the switches want it written."""
    match value:
        case dict():
            return _write_record(value, switches)
        case list():
            return [to_wire(inner, switches) for inner in value]
    return value


def _write_record(record: Record, switches: Switches) -> Record:
    written: Record = {}
    for key, value in record.items():
        if _left_out(key, value, switches):
            continue
        written[key] = _scaled(value, switches) if key in PERCENTAGES else to_wire(value, switches)
    if "timezone" in written:
        written["timezone"] //= _MINUTES_OF[switches.timezone_told]
    return written


def _scaled(value: int | None, switches: Switches) -> int | None:
    return None if value is None else round(value * switches.percentage_scale / 100)


def _left_out(key: str, value: Any, switches: Switches) -> bool:
    if "decimalPlaces" in key or key.endswith("DecimalPlaces"):
        implied = 0 if switches.omit_zero_decimal_places else switches.omitted_decimal_places
        return implied is not None and value == implied
    if key == "finalized":
        return not switches.tells_finalized
    return switches.omit_empty_lists and key in _OPTIONAL_LISTS and not any(value.values())


_OPTIONAL_LISTS = frozenset(
    {"articleList", "lineList", "paymentList", "vatGroupList", "customFieldList", "preparationList", "categoryIds"}
)
