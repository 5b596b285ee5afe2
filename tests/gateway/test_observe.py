"""Logging and reporting, seen from outside: the lines a process prints and the envelopes it sends to Sentry."""

from __future__ import annotations

import gzip
import itertools
import json
import os
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests import forking

ROOT = Path(__file__).resolve().parents[2]
SECRET = "correct-horse-battery-staple"
START = """
    import logging, os, warnings, structlog
    from pathlib import Path
    from gateway import settings
    from gateway.observability import logs
    given = settings.read(os.environ)
    logs.start(given, "web", dramatiq=os.environ.get("WITH_DRAMATIQ") == "1")
    log = structlog.get_logger("shop")
"""


@pytest.fixture
def lines(tmp_path: Path) -> Callable[..., list[str]]:
    """Run code in a process of its own whose logging was started; answers what it printed."""
    runs = itertools.count(1)

    def run(code: str, **environ: str) -> list[str]:
        base = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "ADMIN_TOKEN": SECRET, "LOG_FORMAT": "json"}
        log = tmp_path / f"run-{next(runs)}.log"
        argv = [sys.executable, "-c", dedent(START) + dedent(code)]
        process = forking.launch(argv, environ=base | environ, folder=tmp_path, log=log)
        code_of_exit = process.wait(30)
        printed = log.read_text("utf-8")
        assert code_of_exit == 0, printed
        return printed.splitlines()

    return run


def test_every_library_logs_through_the_same_renderer_with_the_correlation(
    lines: Callable[..., list[str]],
) -> None:
    printed = lines(
        """
        with logs.correlated("abc123", event=7):
            log.info("posted", document="42")
            logging.getLogger("uvicorn.error").info("started %s", "server", extra={"color_message": "x"})
            logging.getLogger("dramatiq.worker").warning("late")
        logging.getLogger("httpx").info("chatter")
        log.debug("too fine")
        """
    )
    rows = [json.loads(line) for line in printed]
    assert [row["event"] for row in rows] == ["posted", "started server", "late"]
    assert {row["correlation"] for row in rows} == {"abc123"}
    assert rows[0]["document"] == "42"
    assert rows[1]["level"] == "info"
    assert rows[1]["logger"] == "uvicorn.error"
    assert {row["role"] for row in rows} == {"web"}
    assert "color_message" not in rows[1]


def test_no_secret_is_printed_whatever_carries_it(lines: Callable[..., list[str]]) -> None:
    printed = lines(
        f"""
        secret = "{SECRET}"
        log.info("token is " + secret, headers={{"Authorization": "Bearer abcdefghij"}}, deep=[{{"x": secret}}])
        logging.getLogger("httpx").warning("GET https://till.example:1/?ident=shop1&secret=abcdefghij failed")
        logging.getLogger("zeep").error("%r", (secret, secret.encode()))
        try:
            raise ValueError("refused " + secret)
        except ValueError:
            log.exception("failed")
        warnings.warn("old " + secret)
        """
    )
    text = "\n".join(printed)
    assert len(printed) == 5
    assert SECRET not in text
    assert "abcdefghij" not in text
    assert "shop1" not in text
    assert "ValueError" in text


@pytest.mark.parametrize("style", ["json", "console"])
def test_a_text_from_outside_cannot_forge_a_line(lines: Callable[..., list[str]], style: str) -> None:
    printed = lines(
        r"""
        evil = "x\n12:00:00.000 ERROR   forged\r\x1b[2J\u2028forged\u202e"
        log.info(evil, sku=evil, **{"a\nforged": "b"})
        try:
            raise ValueError(evil)
        except ValueError:
            log.exception("failed")
        """,
        LOG_FORMAT=style,
    )
    assert not [line for line in printed if line.startswith(("12:00:00.000 ERROR", "forged"))]
    assert not set("\x1b\r\u2028\u202e") & set("".join(printed))
    assert sum(not line.startswith("    | ") for line in printed) == 2


def test_the_level_of_the_settings_decides_what_is_printed(lines: Callable[..., list[str]]) -> None:
    code = """
        log.debug("fine")
        log.warning("coarse")
    """
    assert len(lines(code, LOG_LEVEL="debug")) == 2
    assert len(lines(code, LOG_LEVEL="warning")) == 1
    assert lines(code, LOG_LEVEL="error") == []


@pytest.fixture
def sentry(serve: Callable[..., str]) -> tuple[str, list[dict[str, Any]]]:
    """A Sentry that keeps what it is sent: its DSN and the events."""
    events: list[dict[str, Any]] = []

    async def keep(request: Request) -> JSONResponse:
        body = await request.body()
        raw = gzip.decompress(body) if request.headers.get("content-encoding") == "gzip" else body
        for line in raw.splitlines():
            item = json.loads(line)
            if "exception" in item or "message" in item:
                events.append(item)
        return JSONResponse({})

    url = serve(Starlette(routes=[Route("/api/1/envelope/", keep, methods=["POST"])]))
    return url.replace("http://", "http://key@") + "/1", events


def test_77_a_silent_sentry_delays_only_the_exit_by_two_seconds_at_most(
    lines: Callable[..., list[str]],
) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as silent:
        printed = lines(
            """
            import sentry_sdk, time
            began = time.monotonic()
            for number in range(50):
                sentry_sdk.capture_message(f"message {number}")
            print(time.monotonic() - began)
            print(time.time())
            """,
            SENTRY_DSN=f"http://key@127.0.0.1:{silent.getsockname()[1]}/1",
        )
        over = time.time()
    asking, ended = (float(line) for line in printed if line.replace(".", "", 1).isdigit())
    # Waiting for it even once would take thirty seconds; a busy machine takes some.
    assert asking < 10.0
    assert over - ended < 2.0 + 8.0


@pytest.mark.parametrize("answer", [429, 500, None])
def test_77_a_sentry_that_refuses_or_is_away_costs_nothing(
    lines: Callable[..., list[str]], serve: Callable[..., str], free_port: Callable[[], int], answer: int | None
) -> None:
    asked: list[int] = []

    async def refuse(_request: Request) -> JSONResponse:
        asked.append(1)
        return JSONResponse({}, answer or 500, {"Retry-After": "60"})

    app = Starlette(routes=[Route("/api/1/envelope/", refuse, methods=["POST"])])
    url = serve(app) if answer else f"http://127.0.0.1:{free_port()}"
    printed = lines(
        """
        import sentry_sdk, time
        from gateway.observability import sentry
        began = time.monotonic()
        for number in range(20):
            sentry_sdk.capture_message(f"message {number}")
            with sentry.monitored(f"run-{number}", seconds=60):
                pass
        sentry_sdk.flush(5)
        sentry_sdk.capture_message("after it was asked to wait")
        print(time.monotonic() - began)
        """,
        SENTRY_DSN=url.replace("http://", "http://key@") + "/1",
    )
    assert float(next(line for line in printed if not line.startswith("{"))) < 10.0
    assert "Traceback" not in "".join(printed)
    if answer == 429:
        assert len(asked) < 10  # it asked for calm, and gets it


def test_an_error_reaches_sentry_without_variables_headers_or_secrets(
    lines: Callable[..., list[str]], sentry: tuple[str, list[dict[str, Any]]]
) -> None:
    dsn, events = sentry
    lines(
        f"""
        import sentry_sdk
        def work(refresh_token, customer):
            local = "local-value-of-work"
            raise ValueError("refused {SECRET} for " + customer)
        sentry_sdk.set_user({{"email": "jan@example.nl"}})
        sentry_sdk.set_extra("body", "extra-body")
        sentry_sdk.set_tag("flow", "orders")
        sentry_sdk.set_tag("customer", "tag-jansen")
        sentry_sdk.set_context("dramatiq", {{"args": "dramatiq-args"}})
        logging.getLogger("x").error("only logged")
        try:
            work("a-refresh-token-value", "order 7")
        except ValueError as error:
            sentry_sdk.capture_exception(error)
        """,
        SENTRY_DSN=dsn,
    )
    assert len(events) == 1
    event, text = events[0], json.dumps(events[0])
    assert event["exception"]["values"][-1]["type"] == "ValueError"
    assert event["tags"] == {"flow": "orders", "role": "web"}
    assert event["release"].startswith("kassabridge@")
    for hidden in (
        SECRET,
        "local-value",
        "jan@",
        "extra-body",
        "tag-jansen",
        "dramatiq-args",
        "a-refresh",
        "only logged",
    ):
        assert hidden not in text


def test_an_error_of_the_web_app_arrives_without_query_body_and_headers(
    lines: Callable[..., list[str]], sentry: tuple[str, list[dict[str, Any]]]
) -> None:
    dsn, events = sentry
    lines(
        """
        import asyncio, httpx
        from starlette.applications import Starlette
        from starlette.routing import Route
        async def fail(request):
            await request.body()
            raise RuntimeError("broken")
        app = Starlette(routes=[Route("/oauth", fail, methods=["POST"])])
        async def main():
            transport = httpx.ASGITransport(app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as client:
                headers = {"Authorization": "Bearer head-value", "intuit-signature": "sign-value", "Cookie": "a=cook"}
                await client.post("/oauth?code=code-value&state=state-value", headers=headers, content="body-value")
        asyncio.run(main())
        """,
        SENTRY_DSN=dsn,
    )
    assert len(events) == 1
    text = json.dumps(events[0])
    assert events[0]["request"] == {"method": "POST", "url": "http://shop.example/oauth"}
    for hidden in ("head-value", "sign-value", "cook", "code-value", "state-value", "body-value"):
        assert hidden not in text


def test_the_dramatiq_integration_is_there_only_when_asked_for(
    lines: Callable[..., list[str]], sentry: tuple[str, list[dict[str, Any]]]
) -> None:
    code = """
        import dramatiq
        from dramatiq.brokers.stub import StubBroker
        print([type(m).__name__ for m in StubBroker(middleware=[]).middleware])
    """
    assert "SentryMiddleware" in lines(code, SENTRY_DSN=sentry[0], WITH_DRAMATIQ="1")[-1]
    assert "SentryMiddleware" not in lines(code, SENTRY_DSN=sentry[0])[-1]
