"""`up` as a person starts it: the real processes, a taken port, a second start, a crash, a clean end."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import Engine

from gateway import jobs, settings
from gateway.process import up
from gateway.settings import Settings
from tests.gateway.process.programs import ROOT, Running, is_alive
from tests.servers import wait_until

UP = [sys.executable, "-m", "gateway", "up"]


def to_environ(port: int, **more: str) -> dict[str, str]:
    """A shop that has its own credentials (no server answers there), so that no simulator is started."""
    closed = "http://127.0.0.1:9"
    base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "PORT": str(port), "LOG_FORMAT": "console"}
    till = {"MPLUS_URL": closed, "MPLUS_IDENT": "shop-ident", "MPLUS_SECRET": "shop-secret"}
    return base | till | more


@pytest.fixture
def start(tmp_path: Path, free_port: Callable[[], int]) -> Iterator[Callable[[], Running]]:
    port, started = free_port(), list[Running]()

    def run() -> Running:
        started.append(Running(tmp_path, UP, to_environ(port)))
        return started[-1]

    yield run
    for running in started:
        running.destroy()


def listening_addresses(port: int) -> set[str]:
    """The addresses of this machine on which something listens at this port (IPv4)."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    local = [row[1].split(":") for row in rows if row[3] == "0A"]
    found = [bytes.fromhex(address)[::-1] for address, hexed in local if int(hexed, 16) == port]
    return {socket.inet_ntoa(each) for each in found}


def find_children(pid: int) -> dict[str, int]:
    """The supervisor's children by the module they run (or their program)."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    words = {int(child): Path(f"/proc/{child}/cmdline").read_bytes().decode().split("\0") for child in listed}
    programs = {child: Path(f"/proc/{child}/exe").resolve().name for child in words}
    return {(w[w.index("-m") + 1] if "-m" in w else programs[child]): child for child, w in words.items()}


def find_roles(address: str, token: str) -> set[str]:
    allowed = {"Authorization": f"Bearer {token.strip()}"}
    found = httpx.get(f"{address}/admin/status", headers=allowed, timeout=20).json()["processes"]
    return {process["role"] for process in found}


def test_everything_starts_heals_ends_and_finds_its_state_again(start: Callable[[], Running], tmp_path: Path) -> None:
    running = start()
    running.wait_for("is up", seconds=40)
    token = (tmp_path / "var/admin_token").read_text()
    address = next(line.split()[-1] for line in running.output.splitlines() if "dashboard" in line)
    assert token in running.output
    assert httpx.get(f"{address}/livez").status_code == 200
    assert listening_addresses(int(address.rpartition(":")[2])) == {"127.0.0.1"}
    children = find_children(running.process.pid)
    assert children.keys() == {"valkey-server", "uvicorn", "dramatiq"}

    folders = [tmp_path / "var/heartbeat" / name for name in ("web", "worker")]
    wait_until(lambda: all(any(folder.iterdir()) for folder in folders), seconds=30, what="every heartbeat")
    wait_until(lambda: find_roles(address, token) == {"web", "worker", "clock"}, seconds=40, what="every role")

    os.kill(children["uvicorn"], signal.SIGKILL)
    running.wait_for("web ended (killed by SIGKILL)")
    wait_until(lambda: "uvicorn" in find_children(running.process.pid), what="web to start again")
    broker = jobs.open_redis(settings.embedded_broker(tmp_path / "var"))
    broker.set("kept", "yes")
    broker.close()

    everything = [*children.values(), *find_children(running.process.pid).values()]
    code, seconds = running.end()
    assert code == 0
    assert seconds < 15
    assert not [pid for pid in everything if is_alive(pid)]
    assert "shop-secret" not in running.output

    again = start()
    wait_until(lambda: again.output.count("is up") == 2, seconds=40, what="the second start")
    assert (tmp_path / "var/admin_token").read_text() == token
    broker = jobs.open_redis(settings.embedded_broker(tmp_path / "var"))
    assert broker.get("kept") == b"yes"
    broker.close()
    assert again.end()[0] == 0


def run_up(folder: Path, environ: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """`up` that is expected to refuse."""
    return subprocess.run(UP, cwd=folder, env=environ, capture_output=True, text=True, timeout=30, check=False)


def test_a_taken_port_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as other:
        port = other.getsockname()[1]
        ended = run_up(tmp_path, to_environ(port))
    assert ended.returncode == 2
    assert ended.stderr == f"PORT: should be a free port, but another program listens on {port}\n"


def test_a_malformed_variable_is_one_clear_line_and_exit_code_2(tmp_path: Path) -> None:
    ended = run_up(tmp_path, to_environ(8000, PORT="eighty"))
    assert (ended.returncode, ended.stderr.count("\n")) == (2, 1)
    assert ended.stderr.startswith("PORT: ")


def test_a_second_gateway_on_the_same_folder_is_refused(tmp_path: Path, free_port: Callable[[], int]) -> None:
    import fcntl

    (tmp_path / "var").mkdir()
    with (tmp_path / "var/supervisor.lock").open("w") as first:
        fcntl.flock(first, fcntl.LOCK_EX)
        first.write("4711")
        first.flush()
        ended = run_up(tmp_path, to_environ(free_port()))
    assert ended.returncode == 2
    assert ended.stderr == "var/: is in use by another gateway (process 4711); stop it first\n"


def test_real_systems_are_never_connected_to_the_database_of_the_demo(
    tmp_path: Path, free_port: Callable[[], int]
) -> None:
    (tmp_path / "var").mkdir()
    (tmp_path / "var/demo.json").write_text("{}")
    ended = run_up(tmp_path, to_environ(free_port()))
    assert ended.returncode == 2
    assert ended.stderr.startswith("DATABASE_URL: ")


def test_a_folder_too_deep_for_a_socket_gets_a_private_one_elsewhere(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    up.prepare_valkey(deep)
    path = settings.find_socket(deep)
    assert len(str(path)) < settings.LONGEST_SOCKET
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert path == settings.find_socket(deep)
    assert path != settings.find_socket(deep / "other")
    path.parent.rmdir()


def test_a_folder_that_cannot_be_made_for_valkey_asks_for_redis_url(tmp_path: Path) -> None:
    (tmp_path / "valkey").touch()
    with pytest.raises(settings.SettingsError, match=r"REDIS_URL: should be set: .*valkey"):
        up.prepare_valkey(tmp_path)


def test_a_path_with_spaces_and_percent_signs_is_found_by_the_client(tmp_path: Path) -> None:
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kb a%20#") as folder:
        var = Path(folder)
        up.prepare_valkey(var)
        binary = up.find_binary()
        assert binary is not None
        with subprocess.Popen(up.to_valkey_command(binary, var), stdin=subprocess.DEVNULL) as server:
            wait_until(lambda: up.valkey_answers(settings.find_socket(var)), what="Valkey to answer")
            client = jobs.open_redis(settings.embedded_broker(var))
            assert client.ping()
            client.close()
            server.terminate()


def test_webhooks_wait_for_a_release_step_only_where_it_migrates(engine: Engine, tmp_path: Path) -> None:
    """Those who use the settings, which the release step reads, always wait."""
    address = engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    named = {"DATABASE_URL": address, "SECRET_KEY": "k" * 32}
    given = settings.read({**named, "ADMIN_TOKEN": "t" * 32}, var=tmp_path)

    def to_names(given: Settings = given) -> list[list[str]]:
        plan = up.StartPlan(given, tmp_path, {}, None, None, up.is_migrated(given))
        return [[child.name for child in stage] for stage in plan.to_stages()]

    assert to_names() == [[], ["migrate", "web"], ["worker"]]
    assert to_names(replace(given, worker_processes=2)) == [[], ["migrate", "web"], ["worker", "clock"]]
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    assert to_names() == [[], ["migrate"], ["web", "worker"]]
    with engine.begin() as connection:
        connection.exec_driver_sql("DROP TABLE alembic_version")
    assert to_names() == [[], ["migrate"], ["web", "worker"]]
