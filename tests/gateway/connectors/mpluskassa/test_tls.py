"""Failure 69: an untrusted certificate, or one of another host, is refused before anything is sent."""

from __future__ import annotations

import gc
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.connectors.http import Limits
from gateway.connectors.mpluskassa.client import MplusKassa
from gateway.errors import GatewayError, Transient
from tests.gateway.connectors.mpluskassa.soap_server import IDENT, SECRET, STOCK_CHANGED, SoapServer, says
from tests.tls import write_certificate

LIMITS = Limits(connect=2, read=2, total=4)


@contextmanager
def secure_till(certificate: Path, key: Path) -> Iterator[tuple[str, SoapServer]]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    with SoapServer(says(STOCK_CHANGED), tls=context) as server:
        yield server.url.replace("http://", "https://"), server


def test_a_certificate_that_is_vouched_for_is_taken(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, "127.0.0.1")
    with secure_till(certificate, key) as (url, server):
        kassa = MplusKassa(url, IDENT, SECRET, limits=LIMITS, ca_file=str(certificate))
        assert kassa.update_stock(1, 100, Decimal(1)) == 7
        assert len(server.posts) == 1


def test_the_authorities_are_read_once_for_all_installations() -> None:
    MplusKassa("https://first.invalid", IDENT, SECRET)
    before = count_contexts()
    tills = [MplusKassa(f"https://till-{number}.invalid", IDENT, SECRET) for number in range(3)]
    assert count_contexts() == before, tills


def count_contexts() -> int:
    return sum(isinstance(each, ssl.SSLContext) for each in gc.get_objects())


@pytest.mark.parametrize(
    ("host", "days", "vouched", "said"),
    [
        ("127.0.0.1", 1, False, "a certificate that is not trusted"),
        ("127.0.0.2", 1, True, "the certificate of another address"),
        ("127.0.0.1", -1, True, "a certificate that has expired"),
    ],
    ids=["self-signed", "other host", "run out"],
)
def test_69_a_certificate_that_is_not_waits_and_nothing_was_sent(
    tmp_path: Path, host: str, days: int, vouched: bool, said: str
) -> None:
    certificate, key = write_certificate(tmp_path, host, days=days)
    with secure_till(certificate, key) as (url, server):
        kassa = MplusKassa(url, IDENT, SECRET, limits=LIMITS, ca_file=str(certificate) if vouched else None)
        with pytest.raises(GatewayError) as refused:
            kassa.update_stock(1, 100, Decimal(1))
        assert type(refused.value) is Transient
        assert refused.value.code == "TLS"
        assert said in refused.value.reason
        assert server.asked == []
