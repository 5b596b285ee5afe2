"""Every secret and one person are marked, much goes wrong, and no place holds what does not belong there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from sqlalchemy import text

from gateway.database.session import open_engine, writing
from gateway.settings import read
from sandbox.mpluskassa.faults import KINDS, Plan
from sandbox.mpluskassa.lines import ItemSold
from sandbox.quickbooks.injected_faults import Mode
from tests.servers import wait_until
from tests.stories import marks
from tests.stories.marks import PERSON, Places
from tests.stories.memory import Memory, opened
from tests.stories.stage import ADMIN_TOKEN, REALM, VERIFIER, Stage
from tests.stories.trade import ARTICLE, furnish

# Where the person may stand: what was exchanged, until its retention ends or the person is erased.
RETAINED = {"inbox", "journal", "links", "records", "sales"}
_NAME = PERSON["name"]
_SHOUT = f"BEGIN RAISE EXCEPTION 'broken by % of {_NAME}', NEW.source_id; END"
_EACH = "BEFORE INSERT ON links FOR EACH ROW WHEN (NEW.kind = 'customer')"
BREAK = {
    "sqlite": (f"CREATE TRIGGER broken {_EACH} BEGIN SELECT RAISE(ABORT, 'broken'); END",),
    "postgresql": (
        f"CREATE FUNCTION shout() RETURNS trigger AS $$ {_SHOUT} $$ LANGUAGE plpgsql",
        f"CREATE TRIGGER broken {_EACH} EXECUTE FUNCTION shout()",
    ),
}
MEND = {"sqlite": "DROP TRIGGER broken", "postgresql": "DROP TRIGGER broken ON links"}


@pytest.fixture
def places(stage: Stage, serve: Callable[..., str]) -> Places:
    made = Places()
    marks.mark(stage, serve(made.app()))
    return made


@contextmanager
def broken_links(stage: Stage) -> Iterator[None]:
    """Meanwhile the database refuses to remember a customer, with an error that quotes the person."""
    engine = open_engine(read(stage.environment).database_url, pool_size=1)
    name = engine.dialect.name
    try:
        with writing(engine) as session:
            for statement in BREAK[name]:
                session.execute(text(statement))
        yield
        with writing(engine) as session:
            session.execute(text(MEND[name]))
    finally:
        engine.dispose()


def sell_to_person(stage: Stage) -> str:
    relation = stage.till.add_relation(**PERSON)
    return str(stage.sell(ItemSold(ARTICLE), relation=relation["relationNumber"])["receiptId"])


def fail_inside(stage: Stage, memory: Memory) -> None:
    """An error nobody foresaw, in the middle of a person's sale."""
    with broken_links(stage):
        sell_to_person(stage)
        wait_until(lambda: memory.rows(code="unexpected", entity="Receipt"), seconds=40, what="the fault of our own")
    httpx.post(f"{stage.url}/admin/events/retry", headers=stage.bearer, json={"reason": "mended"}, timeout=20)
    memory.wait_for(1, entity="Receipt", seconds=40)


def fail_outside(stage: Stage, memory: Memory) -> None:
    """Both systems answer badly, refuse our credentials, and come back."""
    for mode in Mode:
        for operation in ("POST customer", "POST salesreceipt", "GET query", "POST token"):
            stage.books.injected.plan(operation, mode, seconds=0.1)
    for kind in KINDS:
        stage.till.misbehaviour.plans += [Plan(kind, "getReceipts", seconds=0.1), Plan(kind, "getRelation")]
    stage.books.grants.expire_accesses(REALM)
    stage.till.secret = "another"
    stage.sell(ItemSold(ARTICLE))
    wait_until(lambda: any(row.failure for row in memory.cursors()), seconds=40, what="a poll the till refuses")
    stage.till.secret = "marked-till-secret"
    stage.books.injected.clear()
    stage.till.misbehaviour.plans = []


def lose_authorisation(stage: Stage, places: Places) -> None:
    """Intuit ends the grant: an alert goes out."""
    stage.books.grants.end_realm(REALM)
    stage.add_item("5002", "1.00")
    wait_until(lambda: stage.admin("status")["connections"][0]["quickbooks"]["lost"], seconds=40, what="the loss")
    stage.kill("clock")
    stage.start("clock")  # it looks around as soon as it starts
    wait_until(lambda: any(b"lost/" in body for body in places.alerts), seconds=60, what="the alert")


def knock(stage: Stage, places: Places) -> None:
    """Strangers at every door, with stolen secrets where they do not open it."""
    wrong = {
        "Authorization": f"Basic {ADMIN_TOKEN}",
        "intuit-signature": VERIFIER,
        "Cookie": f"kassabridge={ADMIN_TOKEN}",
    }
    with httpx.Client(base_url=stage.url, timeout=20, headers={"Accept": "text/html"}) as client:
        for path in ("/nowhere", "/oauth/quickbooks/callback", "/admin/status", "/admin/people/x/export"):
            query = {"token": ADMIN_TOKEN, "code": stage.refresh_token, "secret": "marked-till-secret"}
            places.answers.append(show(client.get(path, params=query, headers=wrong)))
        for path in ("/webhooks/quickbooks", "/webhooks/mpluskassa/x", "/login", "/logout", "/"):
            places.answers.append(show(client.post(path, headers=wrong, content=f"password={ADMIN_TOKEN}x&{PERSON}")))


def break_the_web(stage: Stage, places: Places) -> None:
    """Errors nobody foresaw while a person's address, the token and a document are at hand."""
    engine = open_engine(read(stage.environment).database_url, pool_size=1)
    with writing(engine) as session:
        session.execute(text("ALTER TABLE audit RENAME COLUMN target TO elsewhere"))
    answer = httpx.post(
        f"{stage.url}/admin/events/1/ignore", headers=stage.bearer, json={"reason": PERSON["name"]}, timeout=20
    )
    with writing(engine) as session:
        session.execute(text("ALTER TABLE audit RENAME COLUMN elsewhere TO target"))
    engine.dispose()
    assert answer.status_code in {409, 500, 503}
    places.answers.append(show(answer))


def show(answer: httpx.Response) -> str:
    return f"{answer.status_code} {answer.headers} {answer.text}"


def tables_with_person(stage: Stage) -> set[str]:
    return {hit.split(" in ")[1].split(":")[0] for hit in marks.find_hits(PERSON, marks.dump_database(stage))}


def test_37_inv4_no_secret_and_no_person_stands_where_it_does_not_belong(stage: Stage, places: Places) -> None:
    furnish(stage)
    stage.migrate()
    stage.start()
    with opened(stage) as memory:
        memory.wait_for(1, entity="Item", seconds=40)
        stage.send_webhooks()
        fail_inside(stage, memory)
        knock(stage, places)
        break_the_web(stage, places)
        fail_outside(stage, memory)
        lose_authorisation(stage, places)
    with_person = tables_with_person(stage)
    assert with_person
    assert with_person <= RETAINED
    httpx.post(f"{stage.url}/admin/people/{PERSON['email']}/erase", headers=stage.bearer, timeout=20)
    assert tables_with_person(stage) == set()
    for role in ("web", "worker", "clock"):
        stage.stop(role)
    found = places.everything(stage)
    assert "unexpected failure" in found["logs"]
    assert found["Sentry"].count("exception") > 1
    assert '"correlation"' in next(line for line in found["Sentry"].splitlines() if '"exception"' in line)
    assert "alert.raised" in found["alerts"]
    assert len(places.answers) > 8
    secrets = marks.secrets_of(stage)
    assert len(secrets) > 13
    assert marks.find_hits(secrets | dict(PERSON), found) == []
    tables = marks.dump_database(stage)
    assert marks.find_hits(secrets, tables | marks.read_files(stage.folder)) == []
