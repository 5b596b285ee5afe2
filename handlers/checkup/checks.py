"""The table of the checks that call both systems."""

from __future__ import annotations

from typing import Final

from gateway.findings import Check
from handlers.checkup import books, goods, settings, till, together
from handlers.deps import Deps

BOOKS: Final = "QuickBooks"
TILL: Final = "MplusKASSA"

OF_SETTINGS: Final[tuple[Check[Deps], ...]] = (
    Check("settings", settings.look_at_books, frozenset({BOOKS})),
    Check("settings", settings.look_at_till, frozenset({TILL})),
    Check("mapping", together.look, frozenset({BOOKS, TILL})),
)
"""The checks that a settings document has to pass before it is put in force, too."""

ALL: Final[tuple[Check[Deps], ...]] = (
    Check(TILL, till.look),
    Check(BOOKS, books.look),
    Check("items", goods.look, frozenset({BOOKS})),
    *OF_SETTINGS,
)
