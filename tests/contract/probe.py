"""What a probe is: a question, the ways it can be answered, what each of them decides, and asking it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from gateway.errors import GatewayError


class Fit(StrEnum):
    """How our default fares with a way: it fits, something has to be set, or nobody should go live like this."""

    FITS = "the default fits"
    SET = "set it"
    STOP = "do not go live"


@dataclass(frozen=True, slots=True)
class Way:
    """One answer. `setting` is a line of the settings document or of the environment, empty when none decides it."""

    name: str
    meaning: str
    setting: str = ""
    fit: Fit = Fit.FITS


@dataclass(frozen=True, slots=True)
class Seen:
    """Which way it was, and what was seen of it."""

    way: str
    evidence: str


class Unclear(Exception):
    """The question could not be answered here; the text says what it takes."""


class Ground(Protocol):
    """A system that can be asked, by name; `may_write` says whether test records may be made in it."""

    @property
    def system(self) -> str: ...
    @property
    def may_write(self) -> bool: ...
    def restore(self) -> list[str]:
        """Take back what a probe made; answers what could not be taken back."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A question to one system. `facts` is where it stands among the unknowns; `does` is what it makes there."""

    name: str
    system: str
    question: str
    facts: str
    does: str
    ways: tuple[Way, ...]
    ask: Callable[[Any], Seen]
    writes: bool = False

    def way(self, name: str) -> Way:
        """The way of this name. KeyError."""
        return {way.name: way for way in self.ways}[name]


@dataclass(frozen=True, slots=True)
class Finding:
    """What a probe found. `way` is None when it could not be told; `evidence` then says why. `left` was not removed."""

    probe: Probe
    way: Way | None
    evidence: str
    left: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        way = self.way
        return {
            "probe": self.probe.name,
            "system": self.probe.system,
            "question": self.probe.question,
            "way": way and way.name,
            "means": way and way.meaning,
            "setting": way and way.setting,
            "fit": way and way.fit.name.lower(),
            "seen": self.evidence,
            "left": list(self.left),
        }


def run(probes: Iterable[Probe], grounds: Mapping[str, Ground]) -> Iterator[Finding]:
    """Ask each probe of its system, one after the other; what it made is taken back before the next."""
    for probe in probes:
        ground = grounds.get(probe.system)
        if ground is not None:
            yield _ask(probe, ground)


def _ask(probe: Probe, ground: Ground) -> Finding:
    if probe.writes and not ground.may_write:
        return Finding(probe, None, f"not asked: it {probe.does}, and this was not called a test system")
    way, evidence = _find_way(probe, ground)
    return Finding(probe, way, evidence, tuple(ground.restore()))


def _find_way(probe: Probe, ground: Ground) -> tuple[Way | None, str]:
    try:
        seen = probe.ask(ground)
    except Unclear as unclear:
        return None, str(unclear)
    except GatewayError as error:
        return None, f"{type(error).__name__}: {error.reason}" + (f" ({error.code})" if error.code else "")
    return probe.way(seen.way), seen.evidence
