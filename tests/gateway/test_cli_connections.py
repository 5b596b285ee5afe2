"""The command line: a connection's settings document, renaming and removing."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import Engine

from tests.gateway.test_cli import Cli, add, run, shop

__all__ = ["run", "shop"]


def test_a_settings_document_is_checked_put_in_force_and_shown(run: Cli, shop: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    file = tmp_path / "home" / "shop.toml"
    file.write_text("version = 1\n[products]\nnonsense = 1\n[stock]\nmore = 2\n")
    code, out, err = run("config", "apply", "shop.toml")
    assert (code, out) == (1, "")
    assert "line 3: products.nonsense: " in err
    assert "line 5: stock.more: " in err
    assert run("config", "show")[1].startswith("# ")
    file.write_text("\n")
    assert run("config", "apply", "shop.toml")[0] == 2
    file.write_text('[orders]\nday_closes = "25:00"\nnumber_prefix = 3\n')
    said = run("config", "apply", "shop.toml")[2].splitlines()
    assert said[0].startswith("line 2: orders.day_closes: ")
    assert said[0].endswith('(write hours and minutes, such as "04:00")')
    assert said[1].startswith("line 3: orders.number_prefix: ")
    assert said[1].endswith("(write its name in [brackets] on a line of its own, and what it holds below)")
    file.write_text("version = 1 # ours\n")
    assert run("config", "apply", "shop.toml")[0] == 0
    assert run("config", "show")[1] == "version = 1 # ours\n"
    assert json.loads(run("config", "show", "--json")[1])["version"] == 1


def test_a_file_that_is_not_there_is_named(run: Cli) -> None:
    assert run("config", "apply", "x.toml") == (2, "", "x.toml cannot be read: no such file or directory\n")
    assert run("config", "apply") == (2, "", "config apply needs a FILE (or - for stdin)\n")


def test_connections_are_listed_renamed_and_removed(run: Cli, shop: str, engine: Engine) -> None:
    add(engine, "a")
    assert run("connection", "list")[:2] == (0, "default: live\n")
    assert run("connection", "rename", "default", "a/b")[0] == 2
    assert run("connection", "rename", "default", "winkel") == (0, "the connection default is called winkel now\n", "")
    assert [each["connection"] for each in json.loads(run("events", "--json")[1])["events"]] == ["winkel"]
    assert len(json.loads(run("events", "--connection", "winkel", "--json")[1])["events"]) == 1
    assert run("config", "show", "--connection", "winkel")[0] == 0
    said = "connection remove needs NAME, and --data keep or --data purge (./run connection --help has examples)\n"
    assert run("connection", "remove", "winkel") == (2, "", said)
    said = "there is no connection winkl; did you mean winkel?\n"
    assert run("connection", "remove", "winkl", "--data", "keep") == (2, "", said)
    code, out, _ = run("connection", "remove", "winkel", "--data", "keep", "--json")
    assert (code, json.loads(out)["ended"], json.loads(out)["revoked"]) == (0, 1, None)
    assert run("connection", "list")[1] == "winkel: removed, its data kept\n"
    assert run("connection", "remove", "winkel", "--data", "purge")[0] == 0
    assert run("connection", "list")[1] == "winkel: being purged\n"
    assert run("connection", "rename", "winkel", "x") == (2, "", "there is no connection winkel\n")
