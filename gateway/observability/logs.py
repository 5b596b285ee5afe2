"""Logging of a process: structured, correlated, redacted; and error reports to Sentry.

`start` is called once by each composition root, before the broker is built.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from gateway import VERSION
from gateway.observability import redaction, sentry
from gateway.observability.redaction import to_redactor
from gateway.settings import VARIABLES, Settings

_LOUD = ("uvicorn", "uvicorn.error", "dramatiq")
_QUIET = ("zeep", "alembic", "urllib3", "sqlalchemy")
_ESCAPES = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))} | {
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
    **{code: f"\\u{code:04x}" for code in (0x2028, 0x2029, *range(0x202A, 0x202F), *range(0x2066, 0x206A))},
}


def start(settings: Settings, role: str, *, dramatiq: bool = False, stream: TextIO | None = None) -> None:
    """Log to `stream` (default: stdout) as the settings say and report errors to Sentry, as `role` (web, worker ...).

    Pass `dramatiq=True` in the worker, before its broker is built, so that Sentry sees unexpected failures of jobs.
    """
    secret = [getattr(settings, field) for field, v in VARIABLES.items() if v.secret]
    values = [part for value in secret for part in (value if isinstance(value, tuple) else (value,))]
    redactor = to_redactor(values, addresses=(settings.database_url, settings.redis_url, settings.smtp_url))
    out = stream or sys.stdout
    shared = _steps(role)
    first: list[Processor] = [structlog.stdlib.filter_by_level, structlog.stdlib.PositionalArgumentsFormatter()]
    structlog.configure(
        processors=[*first, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    # A worker's stdout is Dramatiq's pipe, which is not a terminal.
    terminal = bool(getattr(out, "isatty", bool)())
    style = settings.log_format or ("console" if terminal else "json")
    render = structlog.processors.JSONRenderer(default=str) if style == "json" else _render_console
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        lambda _logger, _method, event: redactor.clean(event),
        render,
    ]
    foreign: list[Processor] = [structlog.stdlib.ExtraAdder(), *shared]
    formatter = structlog.stdlib.ProcessorFormatter(processors=last, foreign_pre_chain=foreign)
    _install(formatter, settings.log_level.upper(), out)
    sentry.start(
        settings.sentry_dsn,
        redactor,
        environment=settings.sentry_environment,
        release=f"kassabridge@{VERSION}",
        role=role,
        dramatiq=dramatiq,
    )


@contextmanager
def correlated(correlation: str, **facts: str | int | None) -> Iterator[None]:
    """All log lines inside have this correlation id (and the known facts)."""
    known = {name: value for name, value in facts.items() if value is not None}
    with structlog.contextvars.bound_contextvars(correlation=correlation, **known):
        yield


def _steps(role: str) -> list[Processor]:
    def name(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event["role"] = role
        event.pop("color_message", None)  # uvicorn's second copy of its message
        return event

    return [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(lambda exc_info: redaction.to_text(exc_info[1])),
        structlog.processors.StackInfoRenderer(),
        name,
    ]


def _install(formatter: logging.Formatter, level: str, out: TextIO) -> None:
    handler = logging.StreamHandler(out)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _LOUD:
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel("WARNING")
    logging.captureWarnings(capture=True)


def _render_console(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> str:
    exception = str(event.pop("exception", ""))
    time = str(event.pop("timestamp", ""))[11:23]
    level = str(event.pop("level", "")).upper()
    title = _escape(event.pop("event", ""))
    facts = " ".join(f"{_escape(k)}={_escape(v)}" for k, v in event.items() if k not in {"role", "logger"})
    line = f"{time} {level:<7} {title}{'  ' if facts else ''}{facts}"
    # Each line of a traceback is marked, so that no text inside it can pass for a line of ours.
    return line + "".join(f"\n    | {_escape(part)}" for part in exception.splitlines())


def _escape(value: Any) -> str:
    return str(value).translate(_ESCAPES)
