"""Serves the listener on a port of this machine while probes run."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from tests.contract.listener import Listener


@contextmanager
def serve(listener: Listener, port: int) -> Iterator[None]:
    """The listener behind every address of this machine, for a tunnel or a proxy in front of it."""
    config = uvicorn.Config(listener.app, host="0.0.0.0", port=port, log_level="warning", ws="none", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(timeout=10)
