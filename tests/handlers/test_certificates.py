"""Certificates of compared days: signed to the cent, chained, superseded by another result, verified without us."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import Engine, update
from sqlmodel import col

from gateway import __main__ as main
from gateway import startup
from gateway.database.sealing import Seal
from gateway.database.session import reading, writing
from gateway.queries import figures
from gateway.store import agreements, requests
from gateway.store.agreements import Certificate
from gateway.store.tables import CertificateRow
from mapping import agreement
from tests.gateway.process.programs import ROOT
from tests.handlers.shop import REALM, Shop, on_both_databases
from tests.handlers.test_agreement_by_itself import _within_one_day, known_for, night, plan, sell, today

__all__ = ["_within_one_day"]
File = dict[str, Any]
Cli = Callable[..., tuple[int, str, str]]


def issued(shop: Shop) -> list[Certificate]:
    with reading(shop.engine) as session:
        return agreements.find_certificates(session)


def export(shop: Shop) -> File:
    key = agreements.find_key(shop.engine, Seal(["a-secret-key-for-tests"]))
    return figures.export_certificates(issued(shop), key=key, at=datetime(2026, 11, 29, tzinfo=UTC))


def compare(shop: Shop) -> None:
    """A person asks for yesterday and today."""
    change = requests.agree(connection="default", start=today() - timedelta(days=1), through=today())
    shop.receive(change)
    shop.settle()


@on_both_databases
def test_a_closed_day_is_certified_and_another_result_supersedes_it(shop: Shop) -> None:
    known_for(shop, 2)
    sell(shop)
    shop.settle()
    plan(shop, night())
    (first,) = issued(shop)
    content = first.content
    assert (content["result"], content["till_cents"], content["books_cents"]) == ("AGREES", 2833, 2833)
    assert (content["number"], content["previous"], content["supersedes"]) == (1, None, None)
    assert {(each["measure"], each["key"]) for each in content["amounts"]} >= {("vat", "21"), ("net", "9")}
    plan(shop, night() + timedelta(minutes=1))
    compare(shop)
    assert issued(shop) == [first]  # the same result again is no other certificate
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    compare(shop)
    before, second = issued(shop)
    assert (before.document, before.superseded_by, second.superseded_by) == (first.document, 2, None)
    assert (second.content["previous"], second.content["supersedes"]) == (first.digest, 1)
    assert (second.result, second.content["records"][0]["cause"]) == ("DIFFERS", "deleted in the books")
    assert list(figures.find_faults(export(shop))) == []


@pytest.fixture
def run(shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Call the command line on the shop's database; answers exit code, stdout and stderr."""
    url = shop.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("CALLED_FROM", str(tmp_path))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()  # what the worker logged
        code = main.main(arguments)
        return code, *capsys.readouterr()

    return call


def damaged(file: File) -> Iterator[tuple[File, str]]:
    """Every way to change a file, and what is said about it."""

    def changed(change: Callable[[File], object]) -> File:
        other = deepcopy(file)
        change(other)
        return other

    def renumbered(other: File) -> None:
        other["certificates"].reverse()
        other["statement"]["certificates"].reverse()

    yield changed(lambda f: f["certificates"][0]["certificate"].update(till_cents=1)), "certificate default 1"
    yield changed(lambda f: f["certificates"][1]["certificate"].update(result="AGREES")), "its records say DIFFERS"
    yield changed(lambda f: f["certificates"][1]["certificate"]["records"].clear()), "no record explains"
    yield changed(lambda f: f["certificates"].pop()), "one was changed, added, removed"
    yield changed(lambda f: (f["certificates"].pop(), f["statement"]["certificates"].pop())), "the list of its"
    yield changed(lambda f: f["certificates"][1]["certificate"].update(previous="0" * 64)), "the chain is broken"
    yield changed(renumbered), "its number stands in the file before"
    yield changed(lambda f: f.update(signature="AAAA")), "the signature of the file does not fit"
    yield changed(lambda f: f.pop("public_key")), "something of it is missing"


def test_a_changed_file_is_refused_with_the_reason(shop: Shop, run: Cli, tmp_path: Path) -> None:
    known_for(shop, 2)
    sell(shop)
    shop.settle()
    plan(shop, night())
    shop.books.delete(REALM, "SalesReceipt", shop.only("SalesReceipt")["Id"])
    compare(shop)
    code, out, _ = run("certificate", "list")
    assert (code, len(out.splitlines())) == (0, 2)
    assert "AGREES, till 28.33, books 28.33, superseded by 2" in out
    (tmp_path / "days.json").write_text(run("certificate", "list", "--json")[1])
    code, out, err = run("certificate", "verify", "days.json")
    assert (code, err) == (0, "")
    assert "valid: 2 certificates of 1 day" in out
    file = json.loads((tmp_path / "days.json").read_text())
    for other, words in damaged(file):
        (tmp_path / "other.json").write_text(json.dumps(other))
        code, out, _ = run("certificate", "verify", "other.json")
        assert (code, words in out) == (1, True), (words, out)
    with writing(shop.engine) as session:
        session.execute(update(CertificateRow).where(col(CertificateRow.number) == 2).values(digest="0" * 64))
    code, out, _ = run("certificate", "verify", "days.json")
    assert (code, "certificate default 2 is another one in this installation's database" in out) == (1, True)
    (tmp_path / "other.json").write_text('{"statement": 1, "statement": 2}')
    assert run("certificate", "verify", "other.json")[0] == 1
    assert [run(*wrong)[0] for wrong in (("certificate", "verify"), ("certificate", "verify", "none.json"))] == [2, 2]


def test_a_file_signed_by_another_key_is_not_this_installations(shop: Shop, run: Cli, tmp_path: Path) -> None:
    known_for(shop, 2)
    plan(shop, night())
    file, stranger = export(shop), agreements.SigningKey("", Ed25519PrivateKey.generate())
    public = base64.b64encode(stranger.secret.public_key().public_bytes_raw()).decode()
    for each, text in ((file, file["statement"]), *((e, e["certificate"]) for e in file["certificates"])):
        each |= {"public_key": public, "signature": stranger.sign(agreement.to_canonical(text))}
    (tmp_path / "forged.json").write_text(json.dumps(file))
    code, out, _ = run("certificate", "verify", "forged.json")
    assert (code, "which is not the key of this installation" in out) == (1, True)
    assert run("certificate", "verify", "forged.json", "--key", public)[0] == 0


def test_an_auditor_verifies_a_file_without_the_installation(shop: Shop, tmp_path: Path) -> None:
    known_for(shop, 2)
    plan(shop, night())
    away = tmp_path / "away"
    away.mkdir()
    (away / "days.json").write_text(json.dumps(export(shop)))
    elsewhere = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CALLED_FROM": str(away)}
    call = [sys.executable, "-m", "gateway", "certificate", "verify", "days.json"]
    done = subprocess.run(call, cwd=away, env=elsewhere, capture_output=True, text=True, check=False)
    assert (done.returncode, "valid: 1 certificate of 1 day" in done.stdout) == (0, True), done.stderr
    assert export(shop)["public_key"] in done.stderr
    assert not list(away.rglob("*.db"))


@on_both_databases
def test_two_writers_at_once_make_one_chain(shop: Shop) -> None:
    key = agreements.find_key(shop.engine, Seal(["a-secret-key-for-tests"]))
    empty = {"result": "AGREES", "till_cents": 0, "books_cents": 0, "amounts": [], "records": []}
    journal = {"journal": {"asked": True, "beyond_documents": []}}

    def issue(number: int) -> None:
        day = {**empty, **journal, "day": (today() - timedelta(days=number)).isoformat()}
        with writing(shop.engine) as session:
            at = datetime.now(UTC)
            agreements.issue(session, "default", [day], at=at, key=key, installation="test")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(issue, range(12)))
    assert [each.number for each in issued(shop)] == list(range(1, 13))
    assert list(figures.find_faults(export(shop))) == []


def test_a_rotated_secret_key_keeps_the_signing_key(engine: Engine) -> None:
    before = agreements.find_key(engine, Seal(["the-old-key"])).public
    startup.reseal(engine, Seal(["the-new-key", "the-old-key"]))
    assert agreements.find_key(engine, Seal(["the-new-key"])).public == before
    assert startup.forget_locked(engine, Seal(["a-third-key"])) == 1
    after = agreements.find_key(engine, Seal(["a-third-key"])).public
    with reading(engine) as session:
        assert figures.known_keys(session) == {before, after}
