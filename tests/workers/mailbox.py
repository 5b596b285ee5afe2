"""A small real mail server for tests: enough of SMTP for smtplib, with TLS and a password if wanted, on a thread."""

from __future__ import annotations

import asyncio
import ssl
import threading
from base64 import b64decode
from collections.abc import Collection
from contextlib import suppress
from email import message_from_bytes
from email.message import Message

_PLAIN = {"STARTTLS": b"220 go on\r\n", "QUIT": b"221 bye\r\n"}


class Mailbox:
    """Listens on a loopback port; `mails` are what it took, `said` the commands it got.

    With `refuse` it answers 451 to every mail, with `deaf` it never answers. `tls` is offered as STARTTLS, or spoken
    from the start when `implicit`; `login` is the user and password without which nothing is taken.
    """

    def __init__(
        self,
        *,
        tls: ssl.SSLContext | None = None,
        implicit: bool = False,
        login: tuple[str, str] | None = None,
        unknown: Collection[str] = (),
    ) -> None:
        self.mails: list[Message] = []
        self.said: list[str] = []
        self.refuse = self.deaf = False
        self._tls, self._implicit, self._login, self._unknown = tls, implicit, login, unknown
        self._talks: set[asyncio.Task[None]] = set()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"{'smtps' if self._implicit else 'smtp'}://127.0.0.1:{self.port}"

    def url_for(self, user: str, password: str) -> str:
        """The address with a login."""
        return self.url.replace("://", f"://{user}:{password}@")

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0, ssl=self._tls if self._implicit else None)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        server.close()
        if self._talks:
            await asyncio.wait(self._talks, timeout=5)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._talks.add(asyncio.current_task())  # type: ignore[arg-type]
        with suppress(ConnectionError, ssl.SSLError):
            await (self._stop.wait() if self.deaf else Conversation(self, reader, writer).run())
        writer.close()
        with suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    def offers(self, *, secure: bool) -> bytes:
        """The answer to EHLO."""
        lines = [b"mailbox"]
        if self._tls and not secure:
            lines.append(b"STARTTLS")
        elif self._login:
            lines.append(b"AUTH PLAIN")
        return b"".join(b"250%s%s\r\n" % (b" " if line is lines[-1] else b"-", line) for line in lines)

    def admits(self, said: str) -> bool:
        """Whether this is the login, as AUTH PLAIN has it."""
        _, _, coded = said.rpartition(" ")
        return self._login is not None and b64decode(coded).decode() == "\0{}\0{}".format(*self._login)

    def knows(self, said: str) -> bool:
        """Whether there is a box for this recipient."""
        return not any(address in said for address in self._unknown)

    def take(self, data: bytes) -> bytes:
        """Keep a mail, or not."""
        if self.refuse:
            return b"451 not now\r\n"
        self.mails.append(message_from_bytes(data.removesuffix(b"\r\n.\r\n")))
        return b"250 taken\r\n"

    @property
    def is_open(self) -> bool:
        """Whether no login is needed."""
        return self._login is None

    @property
    def tls(self) -> ssl.SSLContext | None:
        """The TLS context of STARTTLS."""
        return self._tls


class Conversation:
    """One client."""

    def __init__(self, box: Mailbox, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._box, self._reader, self._writer = box, reader, writer
        self._secure = writer.get_extra_info("sslcontext") is not None
        self._known = box.is_open

    async def run(self) -> None:
        self._writer.write(b"220 mailbox\r\n")
        while line := await self._reader.readline():
            said = line.strip().decode()
            self._box.said.append(said)
            verb = said.partition(" ")[0].upper()
            self._writer.write(await self._answer(verb, said))
            await self._writer.drain()
            if verb == "STARTTLS":
                await self._writer.start_tls(self._box.tls)  # type: ignore[arg-type]
                self._secure = True
            if verb == "QUIT":
                return

    async def _answer(self, verb: str, said: str) -> bytes:
        match verb:
            case "EHLO":
                return self._box.offers(secure=self._secure)
            case "AUTH":
                self._known = self._box.admits(said)
                return b"235 come in\r\n" if self._known else b"535 no\r\n"
            case "MAIL" if not self._known:
                return b"530 log in\r\n"
            case "RCPT" if not self._box.knows(said):
                return b"550 nobody of that name\r\n"
            case "DATA":
                self._writer.write(b"354 go on\r\n")
                return self._box.take(await self._reader.readuntil(b"\r\n.\r\n"))
            case _:
                return _PLAIN.get(verb, b"250 fine\r\n")
