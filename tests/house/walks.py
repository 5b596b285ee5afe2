"""The modules that a reader enters to follow one call, in the order in which the program enters them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from tests.house.sources import ROOT

_ROOT = f"{ROOT}/"


@dataclass
class Walk:
    """`modules`: each module entered, in order of the first time. `climbs`: calls back to a module entered before.

    A climb is a pair of functions, counted once: the caller's module was entered after the called one, so that a
    reader has to return to a module that he had left.
    """

    packages: tuple[str, ...]
    modules: list[str] = field(default_factory=list)
    climbs: list[tuple[str, str]] = field(default_factory=list)

    def follow(self, caller: FrameType | None, called: FrameType) -> None:
        """Note one call. A property is read like a field: nobody has to look where it comes from."""
        to = self._module(called)
        if to is None or _is_property(called):
            return
        while caller is not None and self._module(caller) is None:
            caller = caller.f_back
        come_from = self._module(caller) if caller else None
        if to not in self.modules:
            self.modules.append(to)
        elif come_from and come_from != to and self.modules.index(to) < self.modules.index(come_from):
            pair = f"{come_from} {caller.f_code.co_name}" if caller else "", f"{to} {called.f_code.co_name}"
            if pair not in self.climbs:
                self.climbs.append(pair)

    def _module(self, frame: FrameType) -> str | None:
        name = frame.f_code.co_filename
        path = name.removeprefix(_ROOT)
        return path.removesuffix(".py") if path != name and path.startswith(self.packages) else None


def _is_property(frame: FrameType) -> bool:
    owner = type(frame.f_locals.get("self"))
    return isinstance(getattr(owner, frame.f_code.co_name, None), property)


@contextmanager
def recorded(function: Callable[..., Any], *packages: str) -> Iterator[Walk]:
    """Record the calls inside this function, of this thread, between functions of these packages."""
    walk, depth, code = Walk(packages), 0, function.__code__

    def note(frame: FrameType, event: str, _: object) -> None:
        nonlocal depth
        if event == "call":
            depth += frame.f_code is code
            if depth:
                walk.follow(frame.f_back, frame)
        elif event == "return":
            depth -= frame.f_code is code

    sys.setprofile(note)
    try:
        yield walk
    finally:
        sys.setprofile(None)
