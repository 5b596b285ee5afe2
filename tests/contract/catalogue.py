"""All probes, and their table for the documents."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tests.contract import books_money, books_people, till_reading, till_writing
from tests.contract.probe import Probe

PROBES: tuple[Probe, ...] = (*books_money.PROBES, *books_people.PROBES, *till_reading.PROBES, *till_writing.PROBES)


def list_probes() -> Iterator[Sequence[str]]:
    """Every probe: name, question, and each way with the setting it decides."""
    for probe in PROBES:
        ways = "<br>".join(f"*{way.name}*: {way.meaning}{_to_setting(way.setting)}" for way in probe.ways)
        yield f"`{probe.name}`", probe.question, ways


def _to_setting(setting: str) -> str:
    return f" (`{setting}`)" if setting else ""
