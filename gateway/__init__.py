"""The platform: endpoints, clients and the database. It contains the protocols of both systems and no business rule.

The version of this code and of its schema are here.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

VERSION = "0.1.0"
MIGRATIONS = Path(__file__).resolve().parents[1] / "migrations"


@cache
def known_revisions() -> frozenset[str]:
    """The revisions of this code, as the names of their files begin; the greatest is the newest."""
    return frozenset(file.name.partition("_")[0] for file in (MIGRATIONS / "versions").glob("[0-9]*.py"))
