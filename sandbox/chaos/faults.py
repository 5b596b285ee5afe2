"""The faults of a network, as values. A connection keeps the one it was hit by until that fault ends."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias


@dataclass(frozen=True, slots=True)
class Latency:
    """Every portion, both ways, arrives so many seconds later, plus up to `jitter` seconds by chance."""

    seconds: float
    jitter: float = 0.0


@dataclass(frozen=True, slots=True)
class Drip:
    """Answers come in drops of `size` bytes, one every `seconds`."""

    size: int = 1
    seconds: float = 0.05


@dataclass(frozen=True, slots=True)
class Blackhole:
    """Nothing passes and nobody is told. When it ends, what was held passes, as TCP's repetitions would."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """New connections are reset at once; those that are open live on."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The connection is reset after so many bytes of answers."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class Truncate:
    """The connection ends in an orderly way after so many bytes of answers."""

    after: int = 0


@dataclass(frozen=True, slots=True)
class LoseReply:
    """A request that holds `asking` goes through; the answer is swallowed and the connection reset."""

    asking: bytes = b""


@dataclass(frozen=True, slots=True)
class LoseRequest:
    """A request that holds `asking` is thrown away on its way, and the connection reset."""

    asking: bytes = b""


Fault: TypeAlias = Latency | Drip | Blackhole | Refuse | Reset | Truncate | LoseReply | LoseRequest
LASTING = (Latency, Drip, Blackhole)  # these strike when a connection meets them, the others when they cut it
