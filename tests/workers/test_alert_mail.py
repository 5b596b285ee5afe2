"""Alerts by e-mail to real mail servers: plain, STARTTLS and TLS from the start, logins, refusals, servers away."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.header import decode_header, make_header
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, insert, update

from gateway import alerts, settings
from gateway.alerts import AlertMonitor, AlertSender, NotDelivered
from gateway.database.session import writing
from gateway.database.sql import moment
from gateway.settings import Settings
from gateway.store import inbox
from gateway.store.tables import AlertRow, ConnectionRow
from tests import tls
from tests.servers import find_free_port
from tests.workers.mailbox import Mailbox
from tests.workers.test_alerting import age, connect, park, read

Open = Callable[..., Mailbox]
PASSWORD = "marked:p@ss/word"
QUOTED = "marked%3Ap%40ss%2Fword"


@pytest.fixture
def open_box() -> Iterator[Open]:
    """Call it for a mail server; it is closed after the test."""
    opened: list[Mailbox] = []

    def run(**options: Any) -> Mailbox:
        opened.append(Mailbox(**options))
        return opened[-1]

    yield run
    for box in opened:
        box.close()


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    return tls.write_certificate(tmp_path, "127.0.0.1")[0]


@pytest.fixture
def context(certificate: Path) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(certificate, certificate.with_name("key.pem"))
    return made


def given(url: str, to: str = "owner@example.nl", **more: str) -> Settings:
    basic = {"SECRET_KEY": "a-secret-key-of-good-length", "ADMIN_TOKEN": "an-admin-token-for-tests"}
    return settings.read({**basic, "PUBLIC_URL": "https://shop.example", "SMTP_URL": url, "ALERT_EMAIL": to, **more})


def send(url: str, to: str = "owner@example.nl", **alert: Any) -> None:
    now = datetime.now(UTC)
    row = AlertRow(**{"id": 1, "cause": "c", "title": "t", "first_seen": now, "seen_at": now, **alert})
    found = given(url, to)
    alerts.send_mail(found, alerts.to_message(row, found))


def test_without_tls_and_login_a_mail_is_taken_as_it_is(open_box: Open) -> None:
    box = open_box()
    send(box.url, title="orders wait", detail="article 7", fix="add it")
    (mail,) = box.mails
    assert (mail["From"], mail["To"]) == ("kassabridge@shop.example", "owner@example.nl")
    assert "What to do: add it." in str(mail.get_payload())
    assert mail["Auto-Submitted"] == "auto-generated"


@pytest.mark.parametrize("implicit", [False, True])
def test_a_login_goes_over_tls_only_and_the_mail_after_it(
    open_box: Open, context: ssl.SSLContext, certificate: Path, monkeypatch: pytest.MonkeyPatch, *, implicit: bool
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    box = open_box(tls=context, implicit=implicit, login=("shop@mail.example", PASSWORD))
    send(box.url_for("shop%40mail.example", QUOTED))
    assert [mail["From"] for mail in box.mails] == ["shop@mail.example"]
    verbs = [said.partition(" ")[0].upper() for said in box.said]
    assert ("STARTTLS" in verbs) is not implicit
    assert verbs.index("AUTH") > (0 if implicit else verbs.index("STARTTLS"))


def test_an_unverified_server_gets_neither_password_nor_mail(open_box: Open, context: ssl.SSLContext) -> None:
    box = open_box(tls=context, implicit=True, login=("shop", PASSWORD))
    with pytest.raises(NotDelivered, match="SSLCertVerificationError"):
        send(box.url_for("shop", QUOTED))
    assert (box.said, box.mails) == ([], [])


def test_a_wrong_mail_password_is_reported_without_the_password(open_box: Open, context: ssl.SSLContext) -> None:
    box = open_box(tls=context, login=("shop", PASSWORD))
    with pytest.raises(NotDelivered, match="SMTPAuthenticationError") as untold:
        send(box.url_for("shop", "wrong-marked"))
    assert "marked" not in str(untold.value)
    assert box.mails == []


def test_a_refused_recipient_is_reported_and_the_others_get_the_mail(open_box: Open) -> None:
    box = open_box(unknown=("nobody@example.nl",))
    with pytest.raises(NotDelivered, match="SMTPRecipientsRefused"):
        send(box.url, "nobody@example.nl")
    send(box.url, "nobody@example.nl, owner@example.nl")
    assert len(box.mails) == 1


@pytest.mark.parametrize("evil", ["x\r\nBcc: a@b.example", "x\nSubject: y", "x\u2028Bcc: a@b", "x\x0b\x0cTo: z", "\0x"])
def test_no_text_of_a_record_becomes_a_header_or_ends_the_mail(open_box: Open, evil: str) -> None:
    box = open_box()
    send(box.url, title=evil, detail=f"{evil}\r\n.\r\nMAIL FROM:<a@b>", fix=evil, connection=evil)
    (mail,) = box.mails
    assert (mail["Bcc"], mail.get_all("To"), len(mail.get_all("Subject") or [])) == (None, ["owner@example.nl"], 1)
    assert not [said for said in box.said if "a@b" in said]
    assert "MAIL FROM:<a@b>" in str(mail.get_payload(decode=True))


def pause(engine: Engine, *names: str) -> None:
    """A cause for each of these connections."""
    with writing(engine) as session:
        for name in names:
            times = {"created_at": moment(), "updated_at": moment()}
            session.execute(insert(ConnectionRow).values(name=name, live=True, paused="by hand", **times))


def retry_soon(engine: Engine) -> None:
    with writing(engine) as session:
        session.execute(update(AlertRow).values(sending_until=None))


def test_77_alerts_wait_for_an_unreachable_mail_server(engine: Engine) -> None:
    pause(engine, "a", "b", "c")
    port = find_free_port()
    watch = AlertMonitor(engine, given(f"smtp://127.0.0.1:{port}"))
    watch.look()
    box = Mailbox()
    with closing(box):
        watch = AlertMonitor(engine, given(box.url))
        retry_soon(engine)
        watch.look()
        watch.look()
        assert sorted(str(mail["Subject"])[14:15] for mail in box.mails) == ["a", "b", "c"]


def test_77_a_silent_mail_server_costs_one_wait_a_round(engine: Engine, open_box: Open) -> None:
    pause(engine, *(f"c{number}" for number in range(8)))
    box = open_box()
    box.deaf = True
    watch = AlertMonitor(engine, given(box.url), patience=0.5)
    began = time.monotonic()
    watch.look()
    watch.look()
    assert time.monotonic() - began < 3.0  # eight waits for each look would be eight seconds
    assert box.mails == []


def test_a_channel_with_an_unexpected_error_has_failed() -> None:
    def broken(_message: alerts.AlertMessage) -> None:
        raise ValueError("marked")

    sender = AlertSender("email", broken)
    sender.start_round()
    now = datetime.now(UTC)
    assert sender.send(alerts.AlertMessage("i", False, "c", "t", "", "", None, now, "https://shop.example")) is False


def test_alerts_are_told_in_the_language_of_the_setting(engine: Engine, open_box: Open) -> None:
    mailbox = open_box()
    connect(engine)
    park(engine)
    german = read(SMTP_URL=mailbox.url, ALERT_EMAIL="owner@example.nl", ALERT_LANGUAGE="de")
    watch = AlertMonitor(engine, german)
    watch.look()
    age(engine)
    with writing(engine) as session:
        inbox.ignore(session, 1, "settled")
    age(engine)
    watch.look()
    first, second = (
        [str(make_header(decode_header(str(mail["Subject"])))), cast("bytes", mail.get_payload(decode=True)).decode()]
        for mail in mailbox.mails
    )
    assert first[0].startswith("[Kassabridge] shop: 1 Verkauf bitte prüfen")
    assert "attention" not in "".join(first)
    assert "Seit " in first[1]
    assert "Was zu tun ist:" in first[1]
    assert "Entwarnung: shop:" in second[0]
    assert "es ist nichts zu tun" in second[1]
