"""Certificates made on the spot, and a door that speaks TLS before a server that does not."""

from __future__ import annotations

import ipaddress
import selectors
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_POSTGRES_ASKS_FOR_TLS = struct.pack("!II", 8, 80877103)


def write_certificate(folder: Path, host: str, *, days: int = 1) -> tuple[Path, Path]:
    """A self-signed certificate and its key; `days` below 0 has run out."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "till")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=3))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "certificate.pem", folder / "key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return paths


class Door:
    """Listens on a loopback port, speaks TLS, and passes everything on to a unix socket in the clear.

    With `postgres`, a client has to ask for TLS first, as PostgreSQL's do; who does not is turned away.
    """

    def __init__(self, behind: Path, certificate: Path, key: Path, *, postgres: bool = False) -> None:
        self._behind = behind
        self._greet: Callable[[socket.socket], bool] = _greet_postgres if postgres else lambda _: True
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._listen, daemon=True).start()

    def close(self) -> None:
        """Let nobody in any more and cut who is."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def count(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def cut(self) -> None:
        """Drop every connection without a word, as a router does to idle ones."""
        for one in list(self._open):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                outside, _ = self._listener.accept()
                threading.Thread(target=self._serve, args=(outside,), daemon=True).start()

    def _serve(self, outside: socket.socket) -> None:
        try:
            secure = self._secure(outside)
        except OSError:
            outside.close()
            return
        with secure, socket.socket(socket.AF_UNIX) as inside, suppress(OSError):
            inside.connect(str(self._behind))
            self._open.add(secure)
            _pass_on(secure, inside)
        self._open.discard(secure)

    def _secure(self, outside: socket.socket) -> ssl.SSLSocket:
        if not self._greet(outside):
            raise ConnectionRefusedError("no TLS")
        return self._context.wrap_socket(outside, server_side=True)


def _greet_postgres(outside: socket.socket) -> bool:
    asked = outside.recv(len(_POSTGRES_ASKS_FOR_TLS), socket.MSG_WAITALL) == _POSTGRES_ASKS_FOR_TLS
    if asked:
        outside.sendall(b"S")
    return asked


def _pass_on(secure: ssl.SSLSocket, inside: socket.socket) -> None:
    with selectors.DefaultSelector() as either:
        either.register(secure, selectors.EVENT_READ, (secure, inside))
        either.register(inside, selectors.EVENT_READ, (inside, secure))
        while True:
            for key, _ in either.select():
                source, target = key.data
                data = source.recv(65_536)
                # What TLS has unpacked already is not seen by the selector.
                data += secure.recv(secure.pending()) if source is secure and secure.pending() else b""
                if not data:
                    return
                target.sendall(data)
