"""Findings as text: what was found, which setting it decides, what has to be done first."""

from __future__ import annotations

from collections.abc import Sequence

from tests.contract.probe import Finding, Fit

_MARKS = {Fit.FITS: "ok", Fit.SET: "->", Fit.STOP: "!!"}


def to_text(finding: Finding) -> str:
    """One finding, in two lines or a few more."""
    mark = _MARKS[finding.way.fit] if finding.way else "??"
    answer = finding.way.name if finding.way else "not told"
    lines = [f"{mark}  {finding.probe.system}/{finding.probe.name}: {answer}", f"    asked: {finding.probe.question}"]
    lines.append(f"    seen:  {finding.evidence}")
    if finding.way:
        lines.append(f"    means: {finding.way.meaning}")
    if finding.way and finding.way.setting:
        lines.append(f"    {finding.way.fit}: {finding.way.setting}")
    lines += [f"    LEFT BEHIND: {each}" for each in finding.left]
    return "\n".join(lines)


def summarise(findings: Sequence[Finding]) -> str:
    """What has to be done, in one paragraph."""
    decided = [f for f in findings if f.way]
    to_set = [f.way.setting for f in decided if f.way and f.way.fit is Fit.SET]
    stops = [f.probe.name for f in decided if f.way and f.way.fit is Fit.STOP]
    unclear = [f.probe.name for f in findings if f.way is None]
    lines = [f"{len(findings)} probes: {len(decided)} answered, {len(to_set)} want a setting, {len(stops)} say stop"]
    lines += [f"  set: {each}" for each in to_set]
    lines += [f"  stop: {', '.join(stops)}"] if stops else []
    lines += [f"  not told: {', '.join(unclear)}"] if unclear else []
    return "\n".join(lines)


def is_clear(findings: Sequence[Finding]) -> bool:
    """Whether the defaults fit everything that was asked."""
    return all(f.way is not None and f.way.fit is Fit.FITS and not f.left for f in findings)
