"""What came of a chaos, as values and as a page of text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from tests.chaos.history import History

_SHOWN = 12


@dataclass(frozen=True, slots=True)
class Report:
    """`findings` by invariant are what is wrong with `history`; `parked` waits for a person and says so."""

    seed: int
    database: str
    command: str
    history: History
    findings: Mapping[str, Sequence[str]]
    parked: Sequence[str] = ()
    acts: Mapping[str, int] = field(default_factory=dict)
    troubles: Mapping[str, int] = field(default_factory=dict)
    strikes: Mapping[str, int] = field(default_factory=dict)
    ended: Mapping[str, int] = field(default_factory=dict)
    figures: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_well(self) -> bool:
        """Nothing is wrong, and nobody is needed."""
        return not any(self.findings.values()) and not self.parked

    def to_text(self) -> str:
        """A page for people; it begins with the verdict and the command that plays it again."""
        verdict = "WELL" if self.is_well else "NOT WELL"
        lines = [f"{verdict}: seed {self.seed} on {self.database}", f"again: {self.command}"]
        lines += [f"  {name}: {figure}" for name, figure in self.figures.items()]
        for title in ("acts", "troubles", "strikes", "ended"):
            lines.append(f"  {title}: {_count(getattr(self, title))}")
        lines.append("  " + ", ".join(f"{name} {len(found)}" for name, found in self.findings.items()))
        for name, found in (*self.findings.items(), ("waits for a person", self.parked)):
            lines += [f"  {name}: {each}" for each in found[:_SHOWN]]
            lines += [f"  {name}: and {len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
        return "\n".join(lines)


def _count(counts: Mapping[str, int]) -> str:
    listed = ", ".join(f"{count} x {name}" for name, count in Counter(counts).most_common())
    return f"{sum(counts.values())} ({listed})" if counts else "none"
