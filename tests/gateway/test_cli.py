"""The command line: what each verb answers, its exit codes, and that a request is a row a worker handles."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlmodel import Session

from gateway import __main__ as main
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.queries import activity, todo
from gateway.store import audit, connections, inbox
from gateway.store.connections import Connection
from gateway.store.events import Change, Event, Flow, Outcome, State
from tests.claiming import claim_next, finish
from tests.conftest import one_migrated_url as migrated_url  # noqa: F401 - a fixture

KEY = "k" * 40
ADDRESS = "jan@example.nl"
Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line on a migrated database; answers exit code, stdout, stderr."""
    for name, value in (("SECRET_KEY", KEY), ("ADMIN_TOKEN", KEY), ("CALLED_FROM", str(tmp_path / "home"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        code = main.main(arguments)
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return call


@pytest.fixture
def shop(engine: Engine) -> str:
    """A connection that is complete and live."""
    seal = Seal([KEY])
    made = Connection("default", "9130", "http://127.0.0.1:9", "ident", "secret", None, (), live=True, paused=None)
    with writing(engine) as session:
        connections.save(session, made, seal)
    return made.name


def add(engine: Engine, key: str, **more: Any) -> int:
    given = {"flow": Flow.ORDERS, "source": "poll", "entity": "Receipt", "entity_id": "77", "connection": "default"}
    with writing(engine) as session:
        return inbox.receive(session, [Change(key, **(given | more))])[0].id


class Worker:
    """Claims due events and ends them with `handle`: a worker without any outside system."""

    def __init__(self, engine: Engine, handle: Callable[[Session, Event], Outcome]) -> None:
        self.handled: list[Event] = []
        self._engine, self._handle = engine, handle
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._stop.wait(0.02):
            event = claim_next(self._engine)
            if event is None:
                continue
            with writing(self._engine) as session:
                outcome = self._handle(session, event)
                finish(session, event, outcome)
            self.handled.append(event)

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(timeout=10)


@pytest.fixture
def work(engine: Engine) -> Iterator[Callable[..., Worker]]:
    workers: list[Worker] = []

    def start(handle: Callable[[Session, Event], Outcome]) -> Worker:
        workers.append(Worker(engine, handle))
        return workers[-1]

    yield start
    for worker in workers:
        worker.stop()


def finish_well(session: Session, event: Event) -> Outcome:
    audit.write_log(session, [(event.connection, event.id, [audit.Entry("read", "read receipt 77")])])
    return Outcome(State.DONE, facts={"target_entity": "SalesReceipt", "target_id": "145"})


def test_a_resend_of_a_known_order_repeats_its_record_and_is_watched(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    with writing(engine) as session:
        old = Change("old", Flow.ORDERS, "poll", "Receipt", "77", shop, order_id="1.2.2026.9", state=State.DONE)
        inbox.receive(session, [old])
    worker = work(finish_well)
    code, out, err = run("resend", "1.2.2026.9", "--reason", "the customer asked")
    (event,) = worker.handled
    assert code == 0
    assert out == "receipt 1.2.2026.9: done -> SalesReceipt 145\n"
    assert "read receipt 77" in err
    assert (event.entity, event.entity_id, event.source, event.priority) == ("Receipt", "77", "cli", 0)
    assert event.key.startswith("cli:resend:")
    assert json.loads(event.hint or "") == {
        "resend": True,
        "dry_run": False,
        "reason": "the customer asked",
        "actor": "cli",
    }
    with reading(engine) as session:
        (action,) = todo.find_actions(session, before=None, limit=5)[0]
    assert (action.actor, action.action, action.target) == ("cli", "resend", "order 1.2.2026.9")


def test_an_unknown_order_becomes_a_lookup_and_its_result_is_watched(
    run: Cli, shop: str, work: Callable[..., Worker]
) -> None:
    def handle(session: Session, event: Event) -> Outcome:
        if event.entity == "Lookup":
            found = Change(f"{event.key}:found", Flow.ORDERS, "cli", "Invoice", "5", event.connection)
            inbox.receive(session, [found])
            return Outcome(State.DONE)
        return Outcome(State.PARKED, reason="no such SKU", record="Invoice 5", fix="add the SKU")

    worker = work(handle)
    code, out, _ = run("resend", "2026-5")
    assert code == 1
    assert out == "Invoice 5: parked (no such SKU); record: Invoice 5; to do: add the SKU\n"
    assert [event.entity for event in worker.handled] == ["Lookup", "Invoice"]
    assert worker.handled[0].connection == shop


def test_a_dry_run_is_a_subject_of_its_own_and_its_answer_can_be_data(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    waiting = add(engine, "waiting", state=State.PARKED, reason="x")
    work(lambda _session, _event: Outcome(State.SKIPPED, reason="dry run: would create a SalesReceipt"))
    code, out, _ = run("resend", "77", "--dry-run", "--json", "--connection", shop)
    assert code == 0
    assert json.loads(out)["reason"] == "dry run: would create a SalesReceipt"
    assert json.loads(run("events", "--json", "--state", "parked")[1])["events"][0]["id"] == waiting


def test_a_backfill_names_its_flow_and_day(run: Cli, shop: str, work: Callable[..., Worker]) -> None:
    worker = work(lambda _session, _event: Outcome(State.DONE))
    assert run("backfill", "products", "--since", "2026-01-31")[0] == 0
    (event,) = worker.handled
    assert (event.flow, event.entity, event.entity_id, event.connection) == ("products", "Backfill", "products", shop)
    assert event.priority == 20
    assert json.loads(event.hint or "")["since"] == "2026-01-31"


def test_a_poll_is_one_row_for_each_connection(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    second = Connection("second", "9131", None, None, None, None, (), live=True, paused=None)
    with writing(engine) as session:
        connections.save(session, second, Seal([KEY]))
    worker = work(lambda _session, _event: Outcome(State.DONE))
    assert run("poll")[0] == 0
    assert {(event.entity, event.connection) for event in worker.handled} == {("Poll", shop), ("Poll", "second")}


def test_without_a_worker_the_request_stays_and_a_remark_says_so(run: Cli, shop: str, engine: Engine) -> None:
    code, out, err = run("poll", "--wait", "0.3")
    assert code == 1
    assert out == f"Poll {shop}: received\n"
    assert "a worker finds the request in the database" in err
    with reading(engine) as session:
        assert len(inbox.due_ids(session, limit=9)) == 1


@pytest.mark.parametrize("verb", [["poll"], ["resend", "1"], ["backfill", "stock"]])
def test_asking_before_anything_is_connected_is_one_line_and_code_1(run: Cli, verb: list[str]) -> None:
    assert run(*verb) == (1, "", "nothing is connected yet\n")


def test_a_connection_that_does_not_exist_is_named(run: Cli, shop: str) -> None:
    assert run("poll", "--connection", "nowhere")[0] == 2


def test_events_can_be_filtered_and_counted_as_words_and_as_data(run: Cli, shop: str, engine: Engine) -> None:
    add(engine, "a", state=State.PARKED, reason="no such SKU", fix="add it")
    add(engine, "b", entity_id="78")
    add(engine, "c", entity="Item", flow=Flow.PRODUCTS)
    assert len(run("events")[1].splitlines()) == 3
    (line,) = run("events", "--state", "parked")[1].splitlines()
    assert line.endswith("receipt 77: parked (no such SKU); to do: add it")
    assert len(json.loads(run("events", "--flow", "orders", "--limit", "1", "--json")[1])["events"]) == 1


def test_a_resend_of_a_mistyped_number_is_wrong_usage(run: Cli, shop: str, work: Callable[..., Worker]) -> None:
    unknown = Outcome(
        State.SKIPPED, reason="nothing was found under 1.2.2O26.9", code="unknown-order", fix="look again"
    )
    work(lambda _session, _event: unknown)
    code, out, _ = run("resend", "1.2.2O26.9")
    assert code == 2
    assert "nothing was found under 1.2.2O26.9" in out
    assert "look again" in out


def test_a_mistyped_connection_is_wrong_usage_and_a_near_one_is_named(run: Cli, shop: str) -> None:
    for asked, said in (("nope", "there are: default"), ("defualt", "did you mean default?")):
        for verb in ("status", "doctor", "events", "poll", "config show", "agree", "resend 7"):
            refused = run(*verb.split(), "--connection", asked)
            assert refused == (2, "", f"there is no connection {asked}; {said}\n"), verb


def test_status_asks_for_a_person_by_its_exit_code(run: Cli, shop: str, engine: Engine) -> None:
    code, out, _ = run("status")
    assert code == 0
    assert f"connection {shop}: live" in out
    add(engine, "a", state=State.PARKED)
    code, out, _ = run("status", "--json")
    assert code == 1
    assert json.loads(out)["flows"]["orders"]["counts"]["parked"] == 1


def test_a_person_is_exported_and_erased_without_a_trace_in_the_audit(run: Cli, shop: str, engine: Engine) -> None:
    add(engine, "a", email=ADDRESS, hint=json.dumps({"mail": ADDRESS}), state=State.DONE)
    assert len(json.loads(run("person", "export", ADDRESS)[1])["events"]) == 1
    assert run("connection", "rename", shop, "winkel")[0] == 0
    for called in (shop, "winkel"):
        assert len(json.loads(run("person", "export", ADDRESS, "--connection", called)[1])["events"]) == 1
    assert run("person", "erase", ADDRESS)[0] == 0
    code, exported, said = run("person", "export", ADDRESS)
    assert (code, json.loads(exported)["events"]) == (1, [])
    assert f"nothing is kept about {ADDRESS}" in said
    code, _, said = run("person", "erase", ADDRESS)
    assert (code, f"nothing is kept about {ADDRESS}" in said) == (1, True)
    with reading(engine) as session:
        assert all(ADDRESS not in action.target for action in todo.find_actions(session, before=None, limit=9)[0])


def test_purge_deletes_what_is_older_than_the_retention(run: Cli, engine: Engine) -> None:
    from datetime import UTC, datetime, timedelta

    old = audit.Entry("read", "old", at=datetime.now(UTC) - timedelta(days=31))
    with writing(engine) as session:
        audit.write_log(session, [(None, None, [old, old, audit.Entry("read", "new")])])
    assert json.loads(run("purge", "--json")[1]) == {"deleted": 2, "events": 0, "emptied": 0}
    assert json.loads(run("purge", "--json")[1]) == {"deleted": 0, "events": 0, "emptied": 0}


def test_migrate_says_that_a_new_installation_begins_here(
    run: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/new.db?timeout=5")
    _, _, said = run("migrate")
    assert f"a new installation begins in sqlite:///{tmp_path}/new.db; if" in said
    assert "new installation" not in run("migrate")[2]


def test_a_file_that_cannot_be_written_is_refused_before_a_worker_reads(
    run: Cli, shop: str, engine: Engine, tmp_path: Path
) -> None:
    path = tmp_path / "home" / "missing" / "records.json"
    code, _, said = run("mapping", "record", str(path), "sale:77")
    assert (code, said) == (1, f"{path} cannot be written: no such file or directory\n")
    with reading(engine) as session:
        assert activity.find_events(session, activity.Filter()).rows == []
    assert shop


@pytest.mark.usefixtures("shop")
def test_a_link_to_a_file_that_is_still_to_be_written_stays_one(run: Cli, tmp_path: Path) -> None:
    (link := tmp_path / "link.json").symlink_to(tmp_path / "records.json")
    assert (run("mapping", "record", str(link), "sale:77", "--wait", "0.1")[0], link.is_symlink()) == (1, True)


def test_migrate_can_run_twice(run: Cli) -> None:
    assert run("migrate")[0] == 0
    assert run("migrate")[0] == 0


def test_doctor_names_what_is_wrong_and_what_to_do(run: Cli, shop: str, work: Callable[..., Worker]) -> None:
    rows = [{"check": "till login", "good": False, "said": "refused", "fix": "correct MPLUS_SECRET"}]
    work(lambda _session, _event: Outcome(State.DONE, result=json.dumps(rows)))
    code, out, _ = run("doctor", "--json")
    found = {row["check"]: row for row in json.loads(out)}
    assert code == 1
    assert found["database"]["good"]
    assert found["broker"]["fix"] == "start it, or correct REDIS_URL"
    assert found[f"connection {shop}"]["good"]
    assert found[f"authorisation {shop}"]["fix"] == "connect QuickBooks in the dashboard"
    assert found[f"till login ({shop})"]["fix"] == "correct MPLUS_SECRET"


def test_a_malformed_variable_is_one_line_and_code_2(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETENTION_DAYS", "soon")
    code, out, err = run("status")
    assert (code, out) == (2, "")
    assert err == "RETENTION_DAYS: should be a whole number from 1 to 3650, but is 'soon'\n"


def test_a_database_that_cannot_be_reached_is_one_line_and_code_1(run: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:p@127.0.0.1:9/x")
    code, out, err = run("status")
    assert (code, out) == (1, "")
    assert err.startswith("the database x at 127.0.0.1:9 cannot be used: Connection refused; to do: start it, or")
    assert ":p@" not in err


def test_a_database_without_tables_says_what_to_do(
    run: Cli, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url.replace("+psycopg", ""))
    code, out, err = run("status")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.endswith("; to do: ./run migrate\n")


def agreement(status: str) -> str:
    cents = 0 if status == "agrees" else 100
    sums = {side: {"net": 1000, "vat": 210, "tender": 1210} for side in ("till", "books")}
    report = {"agrees": status == "agrees", "status": status, "from": "2026-01-01", "through": "2026-01-31",
              "totals": sums, "cells": [], "rows": [], "unexplained_cents": cents,
              "journal": {"asked": True, "agrees": True, "differences": []}}  # fmt: skip
    return json.dumps(report)


@pytest.mark.parametrize(("status", "expected"), [("agrees", 0), ("explained", 0), ("differs", 1)])
def test_agree_prints_the_report_and_ends_with_what_it_came_to(
    run: Cli, shop: str, work: Callable[..., Worker], status: str, expected: int
) -> None:
    work(lambda _session, _event: Outcome(State.DONE, result=agreement(status)))
    code, printed, _ = run("agree", "--json", "--from", "2026-01-01", "--through", "2026-01-31")
    assert (code, json.loads(printed)["status"]) == (expected, status)
    code, printed, _ = run("agree")
    assert code == expected
    assert f"{status.upper()}: 2026-01-01 to 2026-01-31" in printed


def test_agree_without_an_answer_in_time_says_so_and_is_no_success(run: Cli, shop: str) -> None:
    code, printed, _ = run("agree", "--json", "--wait", "0.2")
    report = json.loads(printed)
    assert (code, report["agrees"], report["state"], report["connection"]) == (1, None, "received", shop)


@pytest.mark.parametrize(
    "asked",
    [
        ("config", "show", "--connection", "nobody"),
        ("connection", "rename", "nobody", "x"),
        ("connection", "remove", "nobody", "--data", "keep"),
        ("person", "export", ADDRESS, "--connection", "nobody"),
        ("person", "erase", ADDRESS, "--connection", "nobody"),
        ("person", "export", "relation:7", "--connection", "nobody"),
    ],
)
def test_an_unknown_connection_is_named_and_is_wrong_usage(run: Cli, shop: str, asked: tuple[str, ...]) -> None:
    code, out, err = run(*asked)
    assert (code, out, err.startswith("there is no connection nobody")) == (2, "", True)


def test_doctor_of_one_connection_checks_that_one(
    run: Cli, shop: str, engine: Engine, work: Callable[..., Worker]
) -> None:
    work(lambda _session, _event: Outcome(State.DONE))  # else it waits for its check of the other systems
    other = Connection("second", "9131", None, None, None, None, (), live=True, paused=None)
    with writing(engine) as session:
        connections.save(session, other, Seal([KEY]))
    _, out, _ = run("doctor", "--connection", "second")
    assert "connection second" in out
    assert "connection default" not in out


@pytest.mark.parametrize(
    "days",
    [
        ("--from", "2026-01-01", "--through", "2026-11-01"),
        ("--from", "2999-01-01"),
        ("--from", "2999-01-01", "--through", "2999-01-02"),
    ],
)
def test_days_that_make_no_period_are_wrong_usage_and_ask_nothing(
    run: Cli, shop: str, engine: Engine, days: tuple[str, ...]
) -> None:
    code, _, err = run("agree", *days)
    assert (code, "is not a period of 1 to 92 days" in err or "2999-01-01 has not begun yet" in err) == (2, True)
    with reading(engine) as session:
        assert inbox.due_ids(session, limit=9) == []
        assert todo.find_actions(session, before=None, limit=9)[0] == []
