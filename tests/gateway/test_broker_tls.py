"""A broker behind TLS: its certificate is verified unless the settings say otherwise; connections are few and kept."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

from gateway import jobs, settings
from gateway.settings import SettingsError
from tests.servers import Valkey
from tests.tls import Door, write_certificate


@pytest.fixture(autouse=True)
def _real_authorities(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one authority of the other tests has the name of the certificates here."""
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)


@pytest.fixture
def door(valkey: Valkey, tmp_path: Path) -> Iterator[Door]:
    """TLS with a certificate that only its own maker signed."""
    opened = Door(valkey.socket, *write_certificate(tmp_path, "127.0.0.1"))
    yield opened
    opened.close()


def test_69_an_unknown_certificate_is_refused_before_anything_is_sent(door: Door) -> None:
    with (
        jobs.open_redis(f"rediss://:secret@127.0.0.1:{door.port}/0") as client,
        pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"),
    ):
        client.ping()


def test_73_it_is_accepted_where_the_settings_say_so(door: Door) -> None:
    with jobs.open_redis(f"rediss://127.0.0.1:{door.port}/0", tls_insecure=True) as client:
        assert client.ping()


def test_an_authority_of_ones_own_is_named_by_the_address(door: Door, tmp_path: Path) -> None:
    with jobs.open_redis(f"rediss://127.0.0.1:{door.port}/0?ssl_ca_certs={tmp_path / 'certificate.pem'}") as client:
        assert client.ping()


def test_69_a_certificate_is_valid_for_its_host_alone(door: Door, tmp_path: Path) -> None:
    url = f"rediss://localhost:{door.port}/0?ssl_ca_certs={tmp_path / 'certificate.pem'}"
    with jobs.open_redis(url) as client, pytest.raises(redis.ConnectionError, match="CERTIFICATE_VERIFY_FAILED"):
        client.ping()


@pytest.mark.parametrize("value", ["none", "optional", ""])
def test_verification_is_not_switched_off_by_the_address(value: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="REDIS_TLS_INSECURE"):
        settings.read({"REDIS_URL": f"rediss://broker.invalid?ssl_cert_reqs={value}"}, var=tmp_path)


def test_threads_share_few_connections_and_reopen_an_idle_one_that_was_cut(door: Door) -> None:
    with jobs.open_redis(f"rediss://127.0.0.1:{door.port}/0", tls_insecure=True, most=2) as client:
        with ThreadPoolExecutor(8) as pool:
            assert all(pool.map(lambda _: client.ping(), range(40)))
        assert 1 <= door.count() <= 2
        door.cut()
        assert client.ping()
