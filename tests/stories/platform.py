"""A platform as Heroku is one: it reads the Procfile, runs a release, starts processes and ends them with SIGTERM."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from tests.house.sources import tracked
from tests.servers import wait_until
from tests.stories.stage import ROOT

GRACE = 30.0  # seconds from SIGTERM to SIGKILL
_LINE = re.compile(r"^([A-Za-z0-9]+):\s*(.+)$")
_UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search,-fowner")


def read_procfile(text: str) -> dict[str, str]:
    """Process types and their commands, as Scalingo reads them: the strictest of all."""
    matches = [_LINE.match(line) for line in text.splitlines() if line.strip()]
    assert all(matches), "every line is a name of letters and digits, a colon and a command"
    return {match[1]: match[2] for match in matches if match}


class Slug:
    """A release as a platform unpacks it: what is under version control, in a folder that nobody may write to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in tracked() or _without_history():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        self.commands = read_procfile((folder / "Procfile").read_text("utf-8"))

    def add_migration(self, name: str, text: str) -> None:
        """Make this the release after ours."""
        (self.folder / "migrations" / "versions" / name).write_text(text, "utf-8")

    def seal(self) -> None:
        """Let nobody write here any more; what is there is what has to be there at the end."""
        for path in (self.folder, *self.folder.rglob("*")):
            path.chmod(0o555 if path.is_dir() else 0o444)
        self._content = self.files()

    def files(self) -> set[str]:
        """Everything that lies here."""
        return {str(path.relative_to(self.folder)) for path in self.folder.rglob("*")}

    def is_untouched(self) -> bool:
        """Whether nothing was written, as root or not."""
        return self.files() == self._content


def _without_history() -> tuple[str, ...]:
    """The files of a copy that came without its history, as far as they are ours."""
    top = [path for path in ROOT.iterdir() if path.name not in {".venv", "var"}]
    paths = [path for one in top for path in (one, *one.rglob("*")) if path.is_file() and path.suffix != ".pyc"]
    return tuple(str(path.relative_to(ROOT)) for path in paths)


class Platform:
    """Runs releases. Every process gets a group of its own, no home, and the environment the platform knows."""

    def __init__(self, folder: Path, environment: Mapping[str, str], python: Path) -> None:
        self.folder = folder
        self.temporary = folder / "tmp"
        self.temporary.mkdir()
        left_out = ("HOME", "PYTHONPATH")
        kept = {name: value for name, value in environment.items() if name not in left_out}
        path = f"{python.parent}{os.pathsep}{kept['PATH']}"
        self.environment = {**kept, "PATH": path, "TMPDIR": str(self.temporary), "DYNO": "any.1"}
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, slug: Slug, process: str, *, name: str, **variables: str) -> None:
        """One more process of this type."""
        self.processes[name] = self._run(slug, slug.commands[process], self.folder / f"{name}.log", variables)

    def release(self, slug: Slug, *, process: str = "release") -> int:
        """Run the release (or Scalingo's postdeploy) and answer its exit code."""
        self.processes[process] = self._run(slug, slug.commands[process], self.folder / "release.log", {})
        return self.processes[process].wait(timeout=60)

    def look(self, slug: Slug, **variables: str) -> str:
        """What the doctor prints in the platform's shell; the test fails if something needs a person."""
        log = self.folder / "look.log"
        self.processes["look"] = self._run(slug, "python -m gateway doctor", log, variables)
        good = self.processes["look"].wait(timeout=60) == 0
        assert good, log.read_text("utf-8")
        return log.read_text("utf-8")

    def end(self, release: str) -> dict[str, float]:
        """SIGTERM for every process of a release's containers, twice, as Heroku may; answers how long each took."""
        names = [name for name in self.processes if name.startswith(release)]
        began = time.monotonic()
        for name in (*names, *names):
            with suppress(ProcessLookupError):
                os.killpg(self.processes[name].pid, signal.SIGTERM)
        took: dict[str, float] = {}

        def all_ended() -> bool:
            for name in names:
                if name not in took and self._has_ended(name):
                    took[name] = time.monotonic() - began
            return len(took) == len(names)

        wait_until(all_ended, seconds=GRACE, what=f"{', '.join(names)} to end in time")
        return took

    def _has_ended(self, name: str) -> bool:
        process = self.processes[name]
        if process.poll() is None:
            return False
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return True
        return False

    def close(self) -> None:
        """Leave nothing behind."""
        for process in self.processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=10)

    def logs(self) -> str:
        """Everything the processes wrote."""
        return "\n".join(path.read_text("utf-8", "replace") for path in sorted(self.folder.glob("*.log")))

    def _run(self, slug: Slug, line: str, log: Path, variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
        command = ("sh", "-c", line)
        powerless = os.geteuid() == 0 and shutil.which(_UNPRIVILEGED[0])
        argv = (*_UNPRIVILEGED, *command) if powerless else command
        environ = {**self.environment, **variables}
        with log.open("ab") as out:
            return subprocess.Popen(argv, env=environ, cwd=slug.folder, stdout=out, stderr=out, start_new_session=True)
