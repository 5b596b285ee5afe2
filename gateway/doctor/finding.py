"""One thing that was checked, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked. `fix` is empty when all is well, else what the person should do."""

    subject: str
    said: str
    fix: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.fix

    def to_data(self) -> dict[str, Any]:
        """For `--json`."""
        return {"check": self.subject, "good": self.good, "said": self.said, "fix": self.fix or None}
