"""Each cause is sent once over every channel, and once when it is over, also by two processes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text, update
from sqlmodel import col
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import alerts, settings
from gateway.alerts import AlertMonitor
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.database.sql import moment
from gateway.privacy import retention
from gateway.queries import todo
from gateway.settings import Settings
from gateway.store import alerts as rows
from gateway.store import claims, connections, counts, cursors, inbox, tokens
from gateway.store.alerts import AlertCause, Thresholds, find_causes
from gateway.store.connections import Connection
from gateway.store.events import BACKFILL, Change, Flow, Outcome, State
from gateway.store.tables import AlertRow, CursorRow, InboxRow, ProcessRow, TokenRow
from tests.claiming import finish
from tests.conftest import on_both_databases
from tests.conftest import one_migrated_url as migrated_url  # noqa: F401 - a fixture
from tests.workers.mailbox import Mailbox

SEAL = Seal([KEY := "a-secret-key-of-good-length"])
PATIENCE = Thresholds(timedelta(minutes=15), 1000)


@pytest.fixture
def mailbox() -> Iterator[Mailbox]:
    with closing(Mailbox()) as made:
        yield made


class Receiver:
    """Takes webhooks; `status` is what it answers."""

    def __init__(self) -> None:
        self.status = 204
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.app = Starlette(routes=[Route("/hook", self._take, methods=["POST"])])

    async def _take(self, request: Request) -> Response:
        self.got.append((dict(request.headers), await request.body()))
        return Response(status_code=self.status)

    @property
    def sent(self) -> list[tuple[str, str]]:
        parsed = [json.loads(body) for _, body in self.got]
        return [(each["type"], each["data"]["cause"]) for each in parsed]


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


@pytest.fixture
def given(mailbox: Mailbox, receiver: Receiver, serve: Callable[..., str]) -> Settings:
    return read(SMTP_URL=mailbox.url, ALERT_EMAIL="owner@example.nl", ALERT_WEBHOOK_URL=f"{serve(receiver.app)}/hook")


def read(**more: str) -> Settings:
    basic = {"SECRET_KEY": KEY, "ADMIN_TOKEN": "an-admin-token-for-tests", "PUBLIC_URL": "https://shop.example"}
    return settings.read({**basic, **more})


def connect(engine: Engine, name: str = "shop", **more: Any) -> None:
    facts: dict[str, Any] = {"live": True, "paused": None, **more}
    made = Connection(name, f"realm-{name}", "https://till", "i", "s", None, (), **facts)
    with writing(engine) as session:
        connections.save(session, made, SEAL)


def park(engine: Engine, key: str = "k", code: str = "missing-item", **more: Any) -> int:
    about: dict[str, Any] = {
        "flow": Flow.ORDERS,
        "source": "t",
        "entity": "Receipt",
        "entity_id": key,
        "connection": "shop",
        **more,
    }
    with writing(engine) as session:
        (received,) = inbox.receive(session, [Change(key=key, **about)])
    event = claims.claim(engine, received.id)
    assert event is not None
    with writing(engine) as session:
        finish(session, event, Outcome(State.PARKED, reason="article 7 is unknown", code=code, fix="add it"))
    return received.id


def keys(engine: Engine) -> list[str]:
    with reading(engine) as session:
        return sorted(cause.key for cause in find_causes(session, PATIENCE))


def age(engine: Engine) -> None:
    """As if a minute had passed since every alert was last found or tried."""
    with writing(engine) as session:
        session.execute(update(AlertRow).values(seen_at=moment(-60), sending_until=None))


def test_a_parked_group_is_sent_once_by_mail_and_webhook_with_its_end(
    engine: Engine, given: Settings, mailbox: Mailbox, receiver: Receiver
) -> None:
    connect(engine)
    first = park(engine, "1")
    second = park(engine, "2")
    watch = AlertMonitor(engine, given)
    watch.look()
    watch.look()
    age(engine)
    watch.look()
    assert [str(mail["Subject"]) for mail in mailbox.mails] == ["[Kassabridge] shop: 2 sales need attention"]
    assert "add it" in str(mailbox.mails[0].get_payload())
    assert mailbox.mails[0]["To"] == "owner@example.nl"
    with writing(engine) as session:
        for event_id in (first, second):
            inbox.ignore(session, event_id, "settled")
    age(engine)
    watch.look()
    watch.look()
    assert "all clear" in str(mailbox.mails[1]["Subject"])
    assert len(mailbox.mails) == 2
    cause = "parked/shop/orders/missing-item"
    assert receiver.sent == [("alert.raised", cause), ("alert.cleared", cause)]


def test_the_webhook_is_signed_as_standard_webhooks_says(engine: Engine, given: Settings, receiver: Receiver) -> None:
    connect(engine, paused="by hand")
    AlertMonitor(engine, given).look()
    ((headers, body),) = receiver.got
    secret = base64.b64decode(alerts.show_secret(given).removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert len(secret) >= 24


def test_the_example_of_the_standard_is_signed_to_the_letter() -> None:
    secret = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    signature = alerts.sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signature == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_during_a_key_change_both_sign_and_a_given_secret_signs_alone() -> None:
    assert alerts.sign(alerts.find_keys(read(SECRET_KEY=f"{KEY},the-key-before-this")), "id", 1, b"").count("v1,") == 2
    own = "whsec_" + base64.b64encode(b"x" * 32).decode()
    assert alerts.find_keys(read(ALERT_WEBHOOK_SECRET=own)) == [b"x" * 32]
    with pytest.raises(settings.SettingsError, match="ALERT_WEBHOOK_SECRET"):
        read(ALERT_WEBHOOK_SECRET="whsec_tooshort")


@on_both_databases
def test_two_clocks_send_one_message(engine: Engine, given: Settings, mailbox: Mailbox) -> None:
    connect(engine, paused="by hand")
    watches = [AlertMonitor(engine, given) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda watch: watch.look(), watches))
    assert len(mailbox.mails) == 1


def test_a_channel_that_fails_is_tried_again_alone(
    engine: Engine, given: Settings, mailbox: Mailbox, receiver: Receiver
) -> None:
    connect(engine, paused="by hand")
    mailbox.refuse = True
    watch = AlertMonitor(engine, given)
    watch.look()
    assert len(receiver.got) == 1
    mailbox.refuse = False
    watch.look()
    assert mailbox.mails == []  # not hammered: only after a while
    age(engine)
    watch.look()
    assert len(mailbox.mails) == 1
    assert len(receiver.got) == 1


@pytest.mark.parametrize("status", [302, 410, 500])
def test_only_a_good_answer_counts_as_sent(given: Settings, receiver: Receiver, status: int) -> None:
    receiver.status = status
    alert = AlertRow(id=1, cause="c", title="t", first_seen=_now(), seen_at=_now())
    with pytest.raises(alerts.NotDelivered, match=str(status)):
        alerts.post(given, alerts.to_message(alert, given))


def _now() -> datetime:
    return datetime.now(UTC)


def test_a_password_is_not_sent_to_a_far_server_without_tls(mailbox: Mailbox) -> None:
    url = mailbox.url.replace("127.0.0.1", "user:marked-password@127.0.0.1")
    alert = AlertRow(id=1, cause="c", title="t", first_seen=_now(), seen_at=_now())
    given = read(SMTP_URL=url, ALERT_EMAIL="o@example.nl")
    with pytest.raises(alerts.NotDelivered) as untold:  # this server has no AUTH; on this machine it is tried
        alerts.send_mail(given, alerts.to_message(alert, given))
    assert "marked-password" not in str(untold.value)
    assert mailbox.mails == []


def test_a_title_cannot_add_a_header_to_the_mail(given: Settings, mailbox: Mailbox) -> None:
    alert = AlertRow(id=1, cause="c", title="t\r\nBcc: x@example.com", first_seen=_now(), seen_at=_now())
    alerts.send_mail(given, alerts.to_message(alert, given))
    assert mailbox.mails[0]["Bcc"] is None


def test_a_lost_authorisation_is_one_alert_and_its_parked_events_are_none(engine: Engine) -> None:
    connect(engine)
    park(engine, code="auth-lost")
    with writing(engine) as session:
        tokens.save_first(session, "shop", "refresh", SEAL)
        tokens.mark_refused(session, "shop", "revoked")
    assert keys(engine) == ["lost/shop"]


@pytest.mark.parametrize(("days", "stage"), [(31, None), (29, "30"), (6, "7"), (0, "0"), (-1, "0")])
def test_reconnecting_is_asked_for_in_good_time(engine: Engine, days: int, stage: str | None) -> None:
    connect(engine)
    with writing(engine) as session:
        tokens.save_first(session, "shop", "refresh", SEAL)
        later = moment(days * 86_400 - 60 if days else -60)
        session.execute(update(TokenRow).values(refresh_expires_at=moment(100 * 86_400), hard_expires_at=later))
    with reading(engine) as session:
        found = [cause.stage for cause in find_causes(session, PATIENCE) if cause.key == "reconnect/shop"]
    assert found == ([stage] if stage else [])


def test_a_new_stage_is_sent_again_without_an_all_clear(
    engine: Engine, given: Settings, receiver: Receiver, mailbox: Mailbox
) -> None:
    connect(engine)
    watch = AlertMonitor(engine, given)
    for days in (20, 20, 5):
        with writing(engine) as session:
            tokens.save_first(session, "shop", "refresh", SEAL)
            session.execute(update(TokenRow).values(hard_expires_at=moment(days * 86_400)))
        watch.look()
    assert [kind for kind, _ in receiver.sent] == ["alert.raised", "alert.raised"]
    ids = {headers["webhook-id"] for headers, _ in receiver.got}
    assert len(ids) == 2


def test_a_flow_that_is_behind_raises_an_alert_but_no_backfill_or_pause(engine: Engine) -> None:
    connect(engine)
    connect(engine, "resting", paused="by hand")
    about: dict[str, Any] = {"flow": Flow.ORDERS, "source": "t", "entity": "Receipt"}
    with writing(engine) as session:
        inbox.receive(session, [Change(key="1", entity_id="1", connection="shop", **about)])
        inbox.receive(session, [Change(key="2", entity_id="2", connection="resting", **about)])
        products = {**about, "flow": Flow.PRODUCTS}
        inbox.receive(session, [Change(key="3", entity_id="3", connection="shop", priority=BACKFILL, **products)])
    assert keys(engine) == ["paused/resting"]
    with writing(engine) as session:
        session.execute(update(InboxRow).values(received_at=moment(-1000), updated_at=moment(-1000)))
    assert keys(engine) == ["behind/shop/orders", "paused/resting"]


def test_records_that_are_tried_again_are_not_behind(engine: Engine) -> None:
    connect(engine)
    with writing(engine) as session:
        inbox.receive(session, [Change("1", Flow.ORDERS, "t", "Receipt", "1", "shop", state=State.PARKED)])
        session.execute(update(InboxRow).values(received_at=moment(-9000), updated_at=moment(-9000)))
        assert inbox.requeue(session, [1], states=[State.PARKED])
    assert keys(engine) == []
    # Nobody comes for it, or it waits for its next attempt again and again; a till may take a minute for each.
    for state, attempts, seconds in ((State.RECEIVED, 0, -1000), (State.WAITING, 1, 0), (State.WORKING, 2, 0)):
        with writing(engine) as session:
            session.execute(update(InboxRow).values(state=state, attempts=attempts, updated_at=moment(seconds)))
        assert keys(engine) == ["behind/shop/orders"]


def test_a_write_that_stays_uncertain_raises_an_alert(engine: Engine) -> None:
    connect(engine)
    about: dict[str, Any] = {"flow": Flow.ORDERS, "source": "t", "entity": "Receipt", "connection": "shop"}
    with writing(engine) as session:
        inbox.receive(session, [Change(key="1", entity_id="1", state=State.UNCERTAIN, **about)])
        session.execute(update(InboxRow).values(received_at=moment(-1000)))
    assert "uncertain/shop/orders" in keys(engine)


def test_only_a_poll_that_keeps_failing_raises_an_alert(engine: Engine) -> None:
    connect(engine)
    with writing(engine) as session:
        cursors.move_to(session, "shop", cursors.RECEIPTS, "1")
        session.execute(update(CursorRow).values(failure="no answer"))
    assert keys(engine) == []
    with writing(engine) as session:
        session.execute(update(CursorRow).values(polled_at=moment(-120)))
    assert keys(engine) == ["poll/shop/mpluskassa.receipt"]


def test_the_read_allowance_raises_an_alert_at_80_and_100_percent(engine: Engine) -> None:
    month = f"{_now():%Y-%m}"
    for calls, stage in ((799, None), (1, "80 %"), (200, "used up")):
        with writing(engine) as session:
            counts.add_calls(session, "shop", system="quickbooks", month=month, kind="read", calls=calls)
            counts.add_calls(session, "shop", system="mpluskassa", month=month, kind="call", calls=5000)
        with reading(engine) as session:
            found = [cause.stage for cause in find_causes(session, PATIENCE)]
        assert found == ([stage] if stage else [])


def test_a_missing_process_is_reported_by_those_that_run(engine: Engine, given: Settings, receiver: Receiver) -> None:
    with writing(engine) as session:
        for role, seen in (("web", -1), ("worker", -1), ("clock", -100)):
            times = {"started_at": moment(-600), "seen_at": moment(seen)}
            session.execute(insert(ProcessRow).values(boot=role, role=role, version="1", **times))
    assert keys(engine) == ["process/clock"]
    AlertMonitor(engine, given).look_without_clock()
    assert receiver.sent == [("alert.raised", "process/clock")]


def test_a_deployment_that_has_just_started_raises_no_alert(engine: Engine) -> None:
    with writing(engine) as session:
        times = {"started_at": moment(-5), "seen_at": moment()}
        session.execute(insert(ProcessRow).values(boot="w", role="worker", version="1", **times))
    assert keys(engine) == []


def test_without_channels_alerts_are_kept_for_the_dashboard(engine: Engine) -> None:
    connect(engine, paused="by hand")
    AlertMonitor(engine, read()).look()
    with reading(engine) as session:
        (alert,) = todo.find_alerts(session)
    assert (alert.cause, alert.title) == ("paused/shop", "the connection is paused")


def test_a_cause_that_comes_back_is_sent_again(engine: Engine) -> None:
    cause = AlertCause("c", "t")
    for _ in range(2):
        with writing(engine) as session:
            rows.note(session, [cause])
            assert len(rows.take_unsent(session)) == 1
            session.execute(text("UPDATE alerts SET sent_at = seen_at, clear_sent_at = seen_at, told = 'email'"))
        age(engine)
        with writing(engine) as session:
            rows.note(session, [])
            assert session.execute(text("SELECT count(*) FROM alerts WHERE cleared_at IS NULL")).scalar_one() == 0
    with writing(engine) as session:
        session.execute(update(AlertRow).values(cleared_at=moment(-10 * 86_400)).where(col(AlertRow.id) > 0))
        assert retention.forget(session, "alerts", days=5, limit=10) == 2
        assert session.execute(text("SELECT count(*) FROM alerts")).scalar_one() == 0


def test_processes_of_before_a_restart_raise_no_alert_during_the_start(engine: Engine) -> None:
    with writing(engine) as session:
        for boot, role, started, seen in (
            ("1", "worker", -9000, -300),
            ("2", "clock", -9000, -300),
            ("3", "web", -5, -1),
        ):
            times = {"started_at": moment(started), "seen_at": moment(seen)}
            session.execute(insert(ProcessRow).values(boot=boot, role=role, version="1", **times))
    assert keys(engine) == []


def test_a_process_that_ended_a_moment_ago_may_be_on_its_way_back(engine: Engine) -> None:
    with writing(engine) as session:
        for role, seen in (("web", -58), ("worker", -62), ("clock", -61)):
            times = {"started_at": moment(-9000), "seen_at": moment(seen)}
            session.execute(insert(ProcessRow).values(boot=role, role=role, version="1", **times))
    assert keys(engine) == []


def test_an_alert_of_a_group_has_reason_and_fix_of_its_newest_record(engine: Engine) -> None:
    with writing(engine) as session:
        for key, reason, fix in (("a", "z: no SKU", "a: enter one"), ("b", "a: letters", "z: use digits")):
            change = Change(key, Flow.PRODUCTS, "poll", "Item", key, "default", state=State.PARKED, reason=reason)
            inbox.receive(session, [change])
            session.execute(update(InboxRow).where(col(InboxRow.key) == key).values(fix=fix))
        (cause,) = [each for each in find_causes(session, PATIENCE) if each.key.startswith("parked/")]
    assert (cause.detail, cause.fix) == ("a: letters", "z: use digits")


@pytest.mark.parametrize("flow", list(Flow))
def test_no_alert_repeats_what_a_reason_quotes_of_somebody(engine: Engine, flow: Flow) -> None:
    reason = "the name exists already (QuickBooks 6240, HTTP 400): Another customer is called Jan de Vries"
    with writing(engine) as session:
        inbox.receive(session, [Change("k", flow, "poll", "X", "1", "default", state=State.PARKED, reason=reason)])
        (cause,) = [each for each in find_causes(session, PATIENCE) if each.key.startswith("parked/")]
    assert cause.detail == ("the dashboard says which and why" if flow in {Flow.CUSTOMERS, Flow.ORDERS} else reason)
