"""Product and simulator through a till of gSOAP, made from the vendor's WSDL by tools that nobody here wrote."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from zeep.helpers import serialize_object

from sandbox.mpluskassa.app import create_app
from sandbox.mpluskassa.compact import OPERATIONS
from sandbox.mpluskassa.simulation import Simulation
from sandbox.mpluskassa.structs import AMSTERDAM
from tests.contract.catalogue import PROBES
from tests.contract.test_both_ways import furnish_till
from tests.sandbox.mpluskassa.conftest import BINDING, REAL, Clock, Sandbox, stocked
from tests.sandbox.mpluskassa.gsoap import building
from tests.sandbox.mpluskassa.test_operations import ASKED, trade, with_ids

ROOT = Path(__file__).parents[4]
pytestmark = pytest.mark.xdist_group("gsoap")


class Till:
    """The running program before a simulator, and what it found not to be as the schema has it."""

    def __init__(self, program: Path, simulator: str, port: int, folder: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._errors = folder / f"{port}.log"
        arguments = (str(program), str(port), simulator, str(REAL))
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n", self.complaints()

    def complaints(self) -> str:
        return self._errors.read_text("utf-8")

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if missing := [each for each in building.PROGRAMS if shutil.which(each) is None]:
        pytest.skip(f"not installed here: {', '.join(missing)}")
    if not REAL.exists():
        pytest.skip("the vendor's WSDL is not here")
    return building.build(REAL, tmp_path_factory.mktemp("gsoap"))


@pytest.fixture
def start(
    program: Path, serve: Callable[..., str], free_port: Callable[[], int], tmp_path: Path
) -> Iterator[Callable[[Simulation], Till]]:
    """Starts a till of gSOAP before a simulation."""
    started: list[Till] = []

    def put(simulation: Simulation) -> Till:
        started.append(Till(program, serve(create_app(simulation)), free_port(), tmp_path))
        return started[-1]

    yield put
    for till in started:
        till.stop()


def plain(answer: Any) -> Any:
    """An answer without its time, and without what is empty: gSOAP leaves out wrappers that are sent empty."""
    found = serialize_object(answer, dict)  # type: ignore[no-untyped-call]
    if isinstance(found, dict):
        named = {name: plain(value) for name, value in found.items() if name != "serverDateTime"}
        return {name: each for name, each in named.items() if each not in (None, {}, [])}
    return [plain(each) for each in found] if isinstance(found, list) else found


def test_every_operation_goes_through_in_both_directions(
    start: Callable[[Simulation], Till], real_client: Any, serve: Callable[..., str]
) -> None:
    simulation = stocked(Clock(datetime(2026, 3, 14, 10, 0, tzinfo=AMSTERDAM)))
    ids = trade(simulation)
    till = start(simulation)
    direct, through = (
        real_client.create_service(BINDING, Sandbox(simulation, url).address())
        for url in (serve(create_app(simulation)), till.url)
    )
    for operation in OPERATIONS:
        asked = with_ids(ASKED.get(operation, {}), ids)
        answer = getattr(through, operation)(**asked)
        if operation.startswith(("get", "find")):
            assert plain(answer) == plain(getattr(direct, operation)(**asked)), operation
    assert till.complaints() == ""


def test_every_probe_finds_the_same_till(start: Callable[[Simulation], Till], tmp_path: Path) -> None:
    simulation = Simulation(ident="probe", secret="probe-secret")
    furnish_till(simulation)
    till = start(simulation)
    others = {name: value for name, value in os.environ.items() if not name.startswith(("QUICKBOOKS_", "MPLUS_"))}
    given = {"MPLUS_URL": till.url, "MPLUS_IDENT": "probe", "MPLUS_SECRET": "probe-secret", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "tests.contract"]
    ended = subprocess.run(
        command, env=others | given, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    asked = sum(probe.system == "mpluskassa" for probe in PROBES)
    assert f"{asked} probes: {asked} answered" in ended.stdout, ended.stdout + ended.stderr
    assert till.complaints() == ""
