"""The demo's secrets and addresses, and when there is a demo at all."""

from __future__ import annotations

import base64
import socket
import stat
from contextlib import closing
from pathlib import Path

import pytest

from gateway import settings
from gateway.process import demo
from gateway.settings import Settings, SettingsError


@pytest.fixture
def given(tmp_path: Path) -> Settings:
    return settings.read({"PORT": "18000"}, var=tmp_path)


def test_secrets_are_made_once_and_kept_for_us_alone(given: Settings, tmp_path: Path) -> None:
    first, second = demo.prepare(given, tmp_path), demo.prepare(given, tmp_path)
    assert first.secrets == second.secrets
    assert stat.S_IMODE((tmp_path / "demo.json").stat().st_mode) == 0o600
    assert len(base64.b64decode(first.secrets["webhook_secret"])) == 32
    assert first.secrets["secret"] not in repr(first)


def test_two_folders_have_different_secrets(given: Settings, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert demo.prepare(given, tmp_path).secrets != demo.prepare(given, tmp_path / "other").secrets


def test_both_simulators_get_the_same_demo_data(given: Settings, tmp_path: Path) -> None:
    made = demo.prepare(given, tmp_path)
    theirs, ours = made.to_sandbox(), made.to_gateway()
    for one, other in (
        ("SANDBOX_CLIENT_ID", "QUICKBOOKS_CLIENT_ID"),
        ("SANDBOX_REFRESH_TOKEN", "QUICKBOOKS_REFRESH_TOKEN"),
        ("SANDBOX_VERIFIER", "QUICKBOOKS_WEBHOOK_VERIFIER"),
        ("SANDBOX_MPLUS_IDENT", "MPLUS_IDENT"),
        ("SANDBOX_MPLUS_SECRET", "MPLUS_SECRET"),
        ("SANDBOX_SUBSCRIPTION_ID", "MPLUS_WEBHOOK_SUBSCRIPTION_ID"),
        ("SANDBOX_WEBHOOK_SECRET", "MPLUS_WEBHOOK_SECRET"),
    ):
        assert theirs[one] == ours[other]
    assert ours["QUICKBOOKS_API_URL"].endswith(f":{theirs['SANDBOX_QUICKBOOKS_PORT']}")
    assert ours["MPLUS_URL"].endswith(f":{theirs['SANDBOX_MPLUS_PORT']}")
    assert theirs["SANDBOX_QUICKBOOKS_WEBHOOK_URL"] == "http://127.0.0.1:18000/webhooks/quickbooks"


def test_the_gateway_accepts_every_variable_the_demo_sets(given: Settings, tmp_path: Path) -> None:
    ours = demo.prepare(given, tmp_path).to_gateway()
    read = settings.read(ours, var=tmp_path)
    assert read.mplus_secret == ours["MPLUS_SECRET"]
    assert set(ours) <= {variable.name for variable in settings.VARIABLES.values()}


def test_a_command_beside_the_demo_knows_what_it_was_told(given: Settings, tmp_path: Path) -> None:
    assert demo.find_beside({}, tmp_path) == {}
    ours = demo.prepare(given, tmp_path).to_gateway()
    assert demo.find_beside({}, tmp_path) == {"PORT": "18000", **ours}
    assert stat.S_IMODE((tmp_path / "demo-environment.json").stat().st_mode) == 0o600
    assert demo.find_beside({"MPLUS_URL": "https://api.mpluskassa.nl"}, tmp_path) == {}
    assert demo.find_beside({"DATABASE_URL": "sqlite:///other.db"}, tmp_path) == {}
    (tmp_path / "demo-environment.json").write_text("half a fi")
    assert demo.find_beside({}, tmp_path) == {}


def test_a_simulator_whose_port_is_taken_gets_another(given: Settings, tmp_path: Path) -> None:
    with _hold(demo.QUICKBOOKS_PORT), _hold(demo.MPLUS_PORT):
        made = demo.prepare(given, tmp_path)
    assert demo.QUICKBOOKS_PORT not in {made.quickbooks_port, made.mplus_port}
    assert demo.MPLUS_PORT not in {made.quickbooks_port, made.mplus_port}
    assert made.quickbooks_port != made.mplus_port


@pytest.mark.parametrize("name", ["MPLUS_URL", "QUICKBOOKS_REFRESH_TOKEN", "QUICKBOOKS_CLIENT_ID"])
def test_any_real_credential_means_no_demo(name: str) -> None:
    assert demo.is_wanted({name: "  "})
    assert not demo.is_wanted({name: "x"})


def test_an_invalid_file_is_named(given: Settings, tmp_path: Path) -> None:
    (tmp_path / "demo.json").write_text('{"client_id": "x"}')
    with pytest.raises(SettingsError, match=r"demo\.json.*delete it"):
        demo.prepare(given, tmp_path)


def _hold(port: int) -> closing[socket.socket]:
    """Listen on this port, unless it is in use."""
    try:
        return closing(socket.create_server(("127.0.0.1", port)))
    except OSError:
        return closing(socket.socket())
