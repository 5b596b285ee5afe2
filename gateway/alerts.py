"""Alerts and all-clears: one for each cause, also when two processes look; by e-mail, a signed webhook and Sentry."""

from __future__ import annotations

import hashlib
import hmac
import json
import smtplib
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from email.utils import formatdate
from functools import partial
from http import HTTPStatus
from ipaddress import ip_address
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import structlog
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import Engine

from gateway import catalogue
from gateway.connectors.http import Limits, NoAnswer, open_http, refuse_name, send
from gateway.database.session import reading, writing
from gateway.observability import counters, sentry
from gateway.settings import Settings
from gateway.store import alerts as rows
from gateway.store import connections, installation
from gateway.store.alerts import Thresholds
from gateway.store.tables import AlertRow

LOOK_SECONDS = 15.0  # between two looks of a process
PATIENCE_SECONDS = 20.0  # for one channel; this process holds an alert that is being sent for a minute
MAX_AT_ONCE = 50
SECONDS = 15.0
_KEY_PREFIX = "whsec_"
_log = structlog.get_logger(__name__)


class NotDelivered(Exception):
    """A channel did not take the message; it is sent again. The text holds no secret."""


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """One message. `id` stays the same when a message is sent again, so that a receiver can drop duplicates."""

    id: str
    cleared: bool
    cause: str
    title: str
    detail: str
    fix: str
    connection: str | None
    since: datetime
    dashboard: str
    language: str = "en"

    @property
    def subject(self) -> str:
        place = f"{self.connection}: " if self.connection else ""
        begin = catalogue.translate(self.language, "all clear:") + " " if self.cleared else ""
        line = f"[Kassabridge] {begin}{place}{self.title}"
        return " ".join(line.split())[:200]

    @property
    def text(self) -> str:
        words = partial(catalogue.translate, self.language)
        lines = [self.title, self.detail, words("Since {moment} UTC.", moment=f"{self.since:%Y-%m-%d %H:%M}")]
        if self.cleared:
            lines.append(words("This is over; nothing needs to be done."))
        elif self.fix:
            lines.append(words("What to do: {fix}.", fix=self.fix))
        return "\n\n".join([line for line in lines if line] + [self.dashboard, ""])


Channel = Callable[[AlertMessage], None]


def to_message(alert: AlertRow, settings: Settings, *, called: str | None = None) -> AlertMessage:
    """An alert as a message in ALERT_LANGUAGE; `called` is the present name of its connection."""
    language = settings.alert_language
    title, detail, fix = (
        catalogue.say(language, text, alert.messages) for text in (alert.title, alert.detail, alert.fix)
    )
    cleared = alert.cleared_at is not None
    parts = ("alert", str(alert.id), alert.stage.replace(" ", ""), "clear" if cleared else "raised")
    return AlertMessage(
        id="_".join(part for part in parts if part),
        cleared=cleared,
        cause=alert.cause,
        title=title,
        detail=detail,
        fix=fix,
        connection=called or alert.connection,
        since=alert.first_seen,
        dashboard=settings.public_url,
        language=language,
    )


def open_channels(settings: Settings) -> Mapping[str, Channel]:
    """The channels that are set up, by name. Each raises `NotDelivered`."""
    channels: dict[str, Channel] = {}
    if settings.alert_email and settings.smtp_url:
        channels["email"] = lambda message: send_mail(settings, message)
    if settings.alert_webhook_url:
        channels["webhook"] = lambda message: post(settings, message)
    if settings.sentry_dsn:
        channels["sentry"] = report
    return channels


class AlertMonitor:
    def __init__(self, engine: Engine, settings: Settings, *, patience: float = PATIENCE_SECONDS) -> None:
        self._engine = engine
        self._settings = settings
        self._senders = [AlertSender(name, channel, patience) for name, channel in open_channels(settings).items()]
        self._patience = Thresholds(timedelta(minutes=settings.alert_minutes), settings.quickbooks_monthly_reads)

    def look(self) -> None:
        """Store which causes exist and which ended, then send the alerts that are not sent yet."""
        with reading(self._engine) as session:
            found = rows.find_causes(session, self._patience)
        with writing(self._engine) as session:
            rows.note(session, found)
        for sender in self._senders:
            sender.start_round()
        for _ in range(MAX_AT_ONCE):
            with writing(self._engine) as session:
                unsent = rows.take_unsent(session, limit=1)
            if not unsent:
                break
            alert = unsent[0]
            with reading(self._engine) as session:
                called = connections.display_names(session).get(alert.connection or "")
            message = to_message(alert, self._settings, called=called)
            reached = {name for name in (alert.clear_told if message.cleared else alert.told).split(",") if name}
            _log.info("alert", cause=alert.cause, title=alert.title, cleared=message.cleared)
            reached |= {each.name for each in self._senders if each.name not in reached and each.send(message)}
            everyone = reached >= {each.name for each in self._senders}
            with writing(self._engine) as session:
                rows.mark_sent(session, alert, sorted(reached), everyone=everyone)

    def look_without_clock(self) -> None:
        """Look for causes when no clock process runs: a stopped clock cannot report itself."""
        with reading(self._engine) as session:
            roles = {process.role for process in installation.alive(session)}
        if "clock" not in roles:
            self.look()


class AlertSender:
    """One channel of this process. A message that takes too long is abandoned; one that fails ends the round."""

    def __init__(self, name: str, channel: Channel, patience: float = PATIENCE_SECONDS) -> None:
        self.name = name
        self._channel = channel
        self._patience = patience
        self._paused = False
        self._thread: threading.Thread | None = None

    def start_round(self) -> None:
        """Begin a round, unless a message of the round before is still being sent."""
        self._paused = self._thread is not None and self._thread.is_alive()

    def send(self, message: AlertMessage) -> bool:
        if self._paused:
            return False
        ended: list[str] = []
        self._thread = threading.Thread(target=self._run, args=(message, ended), name=f"alert-{self.name}", daemon=True)
        self._thread.start()
        self._thread.join(self._patience)
        reason = ended[0] if ended else "it did not end in time"
        counters.MESSAGES.labels(self.name, "failed" if reason else "sent").inc()
        if reason:
            self._paused = True
            _log.warning("an alert could not be sent and is tried again", channel=self.name, reason=reason)
        return not reason

    def _run(self, message: AlertMessage, ended: list[str]) -> None:
        try:
            self._channel(message)
        except NotDelivered as error:
            ended.append(str(error))
        except Exception as error:  # noqa: BLE001 - one invalid address must not stop the other channels
            ended.append(f"it cannot be sent at all ({type(error).__name__})")
        else:
            ended.append("")


def send_mail(settings: Settings, message: AlertMessage) -> None:
    """By SMTP_URL: `smtps://` is TLS from the start, `smtp://` uses STARTTLS where the server has it.

    A password is never sent in the clear, except to this machine.
    """
    parts = urlsplit(settings.smtp_url)
    host = parts.hostname or "localhost"
    try:
        is_tls = parts.scheme == "smtps"
        connect = partial(smtplib.SMTP_SSL, context=ssl.create_default_context()) if is_tls else smtplib.SMTP
        with connect(host, parts.port or (465 if is_tls else 587), timeout=SECONDS) as server:
            secure = is_tls or _start_tls(server, host)
            if parts.username:
                if not secure and not _is_here(host):
                    raise NotDelivered("the mail server has no TLS; the password was not sent")
                server.login(unquote(parts.username), unquote(parts.password or ""))
            refused = server.send_message(to_mail(settings, message))
    except (smtplib.SMTPException, OSError) as error:
        raise NotDelivered(f"the mail server did not take it ({type(error).__name__})") from None
    if refused:
        # The other recipients have it; sent again, they would get it twice.
        _log.warning("the mail server refused a recipient of alerts", recipients=len(refused))


def _start_tls(server: smtplib.SMTP, host: str) -> bool:
    server.ehlo_or_helo_if_needed()
    if not server.has_extn("starttls"):
        return False
    # A server on this machine cannot be impersonated, and rarely has a certificate with its name.
    context = ssl._create_unverified_context() if _is_here(host) else ssl.create_default_context()  # noqa: SLF001, S323
    server.starttls(context=context)
    return True


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def to_mail(settings: Settings, message: AlertMessage) -> EmailMessage:
    """The mail, from `?from=` of SMTP_URL, else its user, else this gateway's own host."""
    parts = urlsplit(settings.smtp_url)
    asked = parse_qs(parts.query).get("from", [""])[0]
    user = unquote(parts.username or "")
    domain = urlsplit(settings.public_url).hostname or "localhost"
    mail = EmailMessage()
    mail["From"] = asked or (user if "@" in user else f"kassabridge@{domain}")
    mail["To"] = settings.alert_email
    mail["Subject"] = message.subject
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{message.id}@{domain}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(message.text)
    return mail


def find_keys(settings: Settings) -> list[bytes]:
    """The signing keys of the webhook, newest first: ALERT_WEBHOOK_SECRET, else one made from each SECRET_KEY."""
    if settings.alert_webhook_secret:
        return [b64decode(settings.alert_webhook_secret.removeprefix(_KEY_PREFIX))]
    return [
        HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=b"kassabridge/alert-webhook").derive(key.encode())
        for key in settings.secret_keys
    ]


def show_secret(settings: Settings) -> str:
    """The secret in the format of the receiver's software."""
    return _KEY_PREFIX + b64encode(find_keys(settings)[0]).decode("ascii")


def sign(keys: list[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """The `webhook-signature` of Standard Webhooks 1.0: one signature per key, so that a key can be replaced."""
    signed = f"{message_id}.{timestamp}.".encode() + body
    each = (hmac.new(key, signed, hashlib.sha256).digest() for key in keys)
    return " ".join(f"v1,{b64encode(digest).decode('ascii')}" for digest in each)


def to_body(message: AlertMessage) -> bytes:
    data: dict[str, Any] = {
        "cause": message.cause,
        "connection": message.connection,
        "title": message.title,
        "detail": message.detail,
        "fix": message.fix,
        "since": message.since.astimezone(UTC).isoformat(),
        "dashboard": message.dashboard,
    }
    kind = "alert.cleared" if message.cleared else "alert.raised"
    return json.dumps({"type": kind, "timestamp": datetime.now(UTC).isoformat(), "data": data}).encode()


def post(settings: Settings, message: AlertMessage) -> None:
    """To ALERT_WEBHOOK_URL, signed. Any 2xx counts; a redirect does not."""
    body, now = to_body(message), int(time.time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message.id,
        "webhook-timestamp": str(now),
        "webhook-signature": sign(find_keys(settings), message.id, now, body),
    }
    try:
        # A proxy of the environment resolves names: then the name can only be checked beforehand.
        parts = urlsplit(settings.alert_webhook_url)
        refuse_name(parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
        with open_http() as http:
            request = http.build_request("POST", settings.alert_webhook_url, content=body, headers=headers)
            status = send(http, request, Limits(connect=SECONDS, read=SECONDS, total=SECONDS)).status
    except (NoAnswer, OSError) as error:
        why = error.code if isinstance(error, NoAnswer) else type(error).__name__
        raise NotDelivered(f"the webhook's receiver did not answer ({why})") from None
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise NotDelivered(f"the webhook's receiver answered {status}")


def report(message: AlertMessage) -> None:
    sentry.report(
        message.subject,
        "info" if message.cleared else "error",
        group=["alert", message.cause],
        code=message.cause.partition("/")[0],
        connection=message.connection,
    )
