"""The verb that becomes the web process exits when the application cannot be imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.gateway.process.programs import ROOT
from tests.servers import find_free_port


@pytest.mark.parametrize("processes", ["1", "2"])
def test_76_code_that_cannot_be_imported_ends_the_web_process(tmp_path: Path, processes: str) -> None:
    (tmp_path / "jinja2.py").write_text("raise ImportError('a broken deployment')")
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}",
        "DATABASE_URL": f"sqlite:///{tmp_path / 'gateway.db'}",
        "PORT": str(find_free_port()),
        "WEB_CONCURRENCY": processes,
    }
    command = [sys.executable, "-m", "gateway", "web"]
    ended = subprocess.run(command, env=environ, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode != 0
    assert "a broken deployment" in ended.stderr + ended.stdout
