"""Marked secrets and a marked person, and every place that a story can leave them in."""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote

import redis
from sqlalchemy import inspect, text
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from gateway.database.session import open_engine, reading
from gateway.settings import read
from tests.stories.stage import ADMIN_TOKEN, VERIFIER, WEBHOOK_SECRET, Stage

PERSON: Mapping[str, str] = {
    "name": "Markedname Person",
    "email": "marked.person@marked-mail.example",
    "telephone": "0699887766",
    "address": "Markedstraat 12",
    "city": "Markedcity",
}
SECRETS: Mapping[str, str] = {
    "SECRET_KEY": "a-marked-secret-key-for-tests",
    "MPLUS_IDENT": "marked-till-ident",
    "SMTP_URL": "smtp://postman:marked-smtp-password@127.0.0.1:9",
    "ALERT_WEBHOOK_SECRET": "whsec_" + base64.b64encode(b"a marked alert webhook key").decode(),
}


@dataclass
class Places:
    """What left the gateway: to Sentry, to the alert webhook, and as answers to strangers."""

    sentry: list[bytes] = field(default_factory=list)
    alerts: list[bytes] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def app(self) -> Starlette:
        """A Sentry and a receiver of alerts in one."""
        hooks = [Route("/api/1/envelope/", self._keep_envelope, methods=["POST"])]
        return Starlette(routes=[*hooks, Route("/alerts", self._keep_alert, methods=["POST"])])

    async def _keep_envelope(self, request: Request) -> Response:
        body = await request.body()
        self.sentry.append(gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body)
        return JSONResponse({})

    async def _keep_alert(self, request: Request) -> Response:
        self.alerts.append(await request.body() + repr(request.headers.items()).encode())
        return Response(status_code=204)

    def everything(self, stage: Stage) -> dict[str, str]:
        """All places in which neither a secret nor a person belongs."""
        return {
            "logs": stage.logs(),
            "Sentry": b"\n".join(self.sentry).decode("utf-8", "replace"),
            "alerts": b"\n".join(self.alerts).decode("utf-8", "replace"),
            "answers": "\n".join(self.answers),
            "broker": dump_broker(stage.environment["REDIS_URL"]),
        }


def mark(stage: Stage, receiver: str) -> None:
    """Give the stage secrets that can be told from any other text."""
    stage.environment |= SECRETS
    stage.environment |= {
        "SENTRY_DSN": receiver.replace("http://", "http://markedsentrykey@") + "/1",
        "ALERT_WEBHOOK_URL": f"{receiver}/alerts?key=marked-alert-key",
        "ALERT_EMAIL": "owner@shop.example",
    }
    stage.till.ident = SECRETS["MPLUS_IDENT"]


def secrets_of(stage: Stage) -> dict[str, str]:
    """Every secret of the story by its name, tokens that were handed out meanwhile included."""
    known = {
        "client secret": "marked-client-secret",
        "till secret": "marked-till-secret",
        "till ident": SECRETS["MPLUS_IDENT"],
        "verifier": VERIFIER,
        "till webhook secret": WEBHOOK_SECRET,
        "admin token": ADMIN_TOKEN,
        "secret key": SECRETS["SECRET_KEY"],
        "mail password": "marked-smtp-password",
        "alert secret": SECRETS["ALERT_WEBHOOK_SECRET"].removeprefix("whsec_"),
        "alert address": "marked-alert-key",
        "Sentry key": "markedsentrykey",
    }
    refreshes = {f"refresh token {n}": token for n, token in enumerate(stage.books.grants.refreshes)}
    return known | refreshes | {f"access token {n}": token for n, token in enumerate(stage.books.grants.accesses)}


def find_hits(marks: Mapping[str, str], places: Mapping[str, str]) -> list[str]:
    """Where which mark stands, in any spelling that quoting or encoding gives it."""
    return [
        f"{name} in {place}: …{found[max(0, at - 60) : at + 80]}…"
        for place, found in places.items()
        for name, mark_ in marks.items()
        for spelling in spellings(mark_)
        if (at := found.lower().find(spelling.lower())) >= 0
    ]


def spellings(mark_: str) -> Iterable[str]:
    """The mark as it is, quoted for an address, and in base64."""
    return {
        mark_,
        quote(mark_, safe=""),
        mark_.replace(" ", "+"),
        base64.b64encode(mark_.encode()).decode().rstrip("="),
    }


def dump_database(stage: Stage) -> dict[str, str]:
    """Every row of every table as text, by table."""
    engine = open_engine(read(stage.environment).database_url, pool_size=1)
    try:
        with reading(engine) as session:
            names = inspect(session.connection()).get_table_names()
            return {name: repr(session.execute(text(f'SELECT * FROM "{name}"')).all()) for name in names}  # noqa: S608
    finally:
        engine.dispose()


def read_files(folder: Path) -> dict[str, str]:
    """The bytes of every file of a folder, as text in which ASCII stands as it is."""
    return {path.name: path.read_bytes().decode("latin-1") for path in folder.iterdir() if path.is_file()}


def dump_broker(url: str) -> str:
    """Every key and value of the broker."""
    with redis.Redis.from_url(url) as broker:
        keys = cast("list[bytes]", broker.keys("*"))
        return "\n".join(repr((key, _value_of(broker, key))) for key in keys)


def _value_of(broker: redis.Redis, key: bytes) -> Any:
    readers: dict[bytes, Any] = {
        b"string": broker.get,
        b"hash": broker.hgetall,
        b"list": lambda name: broker.lrange(name, 0, -1),
        b"set": broker.smembers,
        b"zset": lambda name: broker.zrange(name, 0, -1),
    }
    return readers[cast("bytes", broker.type(key))](key)
