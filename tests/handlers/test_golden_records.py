"""Mapping as code: real records recorded with their results, and mapped again without either system."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import __main__ as main
from tests.gateway.process.programs import ROOT
from tests.handlers.shop import Shop, on_both_databases, sold

Cli = Callable[..., tuple[int, str, str]]
ADDRESS = "jan.jansen@example.nl"


@pytest.fixture
def run(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """Call the command line on the shop's database, with a worker beside it."""
    for name, value in shop.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", shop.engine.url.render_as_string(hide_password=False).replace("+psycopg", ""))
    monkeypatch.setenv("CALLED_FROM", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            shop.work()

    worker = threading.Thread(target=work)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setenv("CALLED_FROM", str(tmp_path))
        if not worker.ident:
            worker.start()  # not before: what a test prepares is handled by its own worker
        capsys.readouterr()
        code = main.main(arguments)
        out, err = capsys.readouterr()
        # What the worker beside it logs has a time in front.
        return code, re.sub(r"^\d{4}-\d\d-\d\d.*\n", "", out, flags=re.MULTILINE), err

    yield call
    over.set()
    if worker.ident:
        worker.join(timeout=30)


def sell_to_jan(shop: Shop) -> tuple[str, int]:
    jan = shop.till.add_relation(name="Jan Jansen", email=ADDRESS, telephone="0612345678", city="Zwolle")
    number = int(jan["relationNumber"])
    receipt = shop.till.sell(lines=[sold(1001, 2), sold(1002)], relation=number)
    shop.settle()
    return shop.newest(receipt["receiptId"]).order_id or "", number


@on_both_databases
def test_recorded_records_are_the_same_until_the_settings_change(shop: Shop, run: Cli, tmp_path: Path) -> None:
    number, jan = sell_to_jan(shop)
    code, out, err = run("mapping", "record", "shop.json", f"sale:{number}", "item:1001", f"relation:{jan}")
    assert (code, out) == (0, f"{tmp_path / 'shop.json'} holds 3 records\n"), err
    text = (tmp_path / "shop.json").read_text()
    file = json.loads(text)
    assert [(each["kind"], each["id"]) for each in file["records"]] == [
        ("sale", number), ("item", "1001"), ("relation", str(jan))
    ]  # fmt: skip
    assert file["records"][0]["result"]["document"]["total"] == 28.33
    assert not any(private in text for private in ("Jansen", ADDRESS, "0612345678", "Zwolle"))
    assert run("mapping", "test", "shop.json")[:2] == (0, "3 records, 0 differ\n")
    settings = (
        '[orders]\nreceipt_target = "invoice"\n[mapping.departments]\nmode = "force"\nvalue = "Winkel Amersfoort"\n'
    )
    (tmp_path / "new.toml").write_text(settings)
    code, out, _ = run("mapping", "test", "shop.json", "--settings", "new.toml")
    assert code == 1
    assert f"sale {number}: document.kind: SalesReceipt -> Invoice" in out
    assert f"sale {number}: document.department_id: " in out
    assert "item 1001" not in out
    assert out.endswith("3 records, 1 differ\n")
    shop.set_document(settings)
    assert run("mapping", "test", "shop.json", "--connection", "default")[:2] == (1, out)
    assert run("mapping", "record", "shop.json")[0] == 0
    assert run("mapping", "test", "shop.json", "--connection", "default")[:2] == (0, "3 records, 0 differ\n")
    offline = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "CALLED_FROM": str(tmp_path)}
    called = [sys.executable, "-m", "gateway", "mapping", "test", "shop.json", "--json"]
    away = tmp_path / "away"
    away.mkdir()
    done = subprocess.run(called, cwd=away, env=offline, capture_output=True, text=True, check=False)
    assert (done.returncode, json.loads(done.stdout)["records"]) == (0, 3), done.stderr
    assert not list(away.rglob("*.db"))


def test_what_cannot_be_recorded_or_tested_is_named(shop: Shop, run: Cli, tmp_path: Path) -> None:
    shop.add_item("A-1")
    code, _, err = run("mapping", "record", "shop.json", "sale:9.9.2026.9", "item:A-1", "customer:999")
    assert code == 1
    assert "not recorded: sale 9.9.2026.9: the till has no sale" in err
    assert "not recorded: customer 999:" in err
    (entry,) = json.loads((tmp_path / "shop.json").read_text())["records"]
    assert (entry["result"]["outcome"], "is not a number" in entry["result"]["reason"]) == ("parked", True)
    (tmp_path / "new.toml").write_text('[orders]\nmissing_item = "fallback"\nfallback_item = "1001"\n')
    code, _, err = run("mapping", "test", "shop.json", "--settings", "new.toml")
    assert (code, "not tested: orders.fallback_item differs" in err) == (0, True)
    (tmp_path / "bad.toml").write_text("[orders]\nsplit = 3\n")
    (tmp_path / "bad.json").write_text("{}")
    wrong = (
        ("record", "x.json"), ("record", "x.json", "shoe:5"), ("test", "none.json"), ("test", "bad.json"),
        ("test", "shop.json", "--settings", "bad.toml"), ("test", "shop.json", "sale:1"),
    )  # fmt: skip
    assert [run("mapping", *each)[0] for each in wrong] == [2] * len(wrong)
