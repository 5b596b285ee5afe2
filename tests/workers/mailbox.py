"""A small real mail server for tests: enough of SMTP for smtplib, on a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from email import message_from_bytes
from email.message import Message


class Mailbox:
    """Listens on a loopback port; `mails` are what it took. With `refuse` it answers 451 to every mail."""

    def __init__(self) -> None:
        self.mails: list[Message] = []
        self.said: list[str] = []
        self.refuse = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        assert self._ready.wait(10)

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._stop = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        await self._stop.wait()
        server.close()

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"220 mailbox\r\n")
        while line := await reader.readline():
            verb = line.strip().decode().partition(" ")[0].upper()
            self.said.append(line.strip().decode())
            if verb == "DATA":
                writer.write(b"354 go on\r\n")
                writer.write(self._take(await reader.readuntil(b"\r\n.\r\n")))
            elif verb == "QUIT":
                writer.write(b"221 bye\r\n")
                break
            else:
                writer.write(b"250 fine\r\n")
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    def _take(self, data: bytes) -> bytes:
        if self.refuse:
            return b"451 not now\r\n"
        self.mails.append(message_from_bytes(data.removesuffix(b"\r\n.\r\n")))
        return b"250 taken\r\n"
