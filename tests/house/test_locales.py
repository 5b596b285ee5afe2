"""The dashboard's translations can be read: one sentence that stands twice in a file makes every page of it fail."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

LOCALES = sorted((Path(__file__).resolve().parents[2] / "gateway/locale").glob("*.toml"))


@pytest.mark.parametrize("path", LOCALES, ids=lambda path: path.name)
def test_every_file_of_translations_can_be_read(path: Path) -> None:
    assert tomllib.loads(path.read_text(encoding="utf-8"))
