"""The last line of a test run: how many passed, failed, were skipped, and why."""

from __future__ import annotations

from collections import Counter

import pytest
from _pytest.terminal import TerminalReporter


def say(reporter: TerminalReporter) -> str:
    """`tests: 12 passed, 0 failed, 3 skipped (2 no browser, 1 no shared data)` from what pytest counted."""
    failed = len(reporter.stats.get("failed", [])) + len(reporter.stats.get("error", []))
    skipped = reporter.stats.get("skipped", [])
    reasons = Counter(_reason(report) for report in skipped)
    why = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items()))
    line = f"tests: {len(reporter.stats.get('passed', []))} passed, {failed} failed, {len(skipped)} skipped"
    return f"{line} ({why})" if why else line


def _reason(report: pytest.TestReport | pytest.CollectReport) -> str:
    text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    # What stands behind the colon names the single case; the closing line counts the cause.
    return text.removeprefix("Skipped: ").partition(":")[0]
