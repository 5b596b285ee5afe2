"""A folder of its own for each test."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker keeps the till's WSDL by its address where it runs: an earlier test's port may have been the same."""
    monkeypatch.chdir(tmp_path)
