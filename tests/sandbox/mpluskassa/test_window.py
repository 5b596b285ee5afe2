"""The till's window: groups as a tree, products with their variants, prices, and stock by branch."""

from __future__ import annotations

from decimal import Decimal

import httpx

from sandbox.mpluskassa import groups, stock
from sandbox.mpluskassa.simulation import Simulation
from tests.sandbox.mpluskassa.conftest import Sandbox

PLAIN = """\
Gifts
  Table
    Apron
      2001  Blue M                                24.95   Winkel Utrecht 5, Winkel Amersfoort 2.5
      2002  Red                                   26.00  (inactive)
    2003  Plate                                  9.95
(in no group)
  2004  Card                                   2.00
"""


def article(number: int, cents: int, **more: object) -> dict[str, object]:
    return {"articleNumber": number, "priceIncl": cents, "vatCode": 2, "turnoverGroup": 1, **more}


def add(simulation: Simulation, name: str, *articles: dict[str, object], into: int | None = None) -> None:
    inside = {"groupNumbers": [into]} if into else {}
    simulation.add_product({"description": name, "articleList": {"article": list(articles)}, **inside})


def furnish(simulation: Simulation) -> None:
    till = simulation.till
    gifts = groups.create_group(till, {"name": "Gifts", "text": "", "parentGroupNumber": 0})
    assert gifts is not None
    table = groups.create_group(till, {"name": "Table", "text": "", "parentGroupNumber": gifts["groupNumber"]})
    assert table is not None
    blue = article(2001, 2495, colour="Blue", size="M", stockArticle=True)
    add(simulation, "Apron", blue, article(2002, 2600, colour="Red", active=False), into=table["groupNumber"])
    add(simulation, "Plate", article(2003, 995), into=table["groupNumber"])
    add(simulation, "Card", article(2004, 200))
    stock.book(till, 1, 2001, Decimal(5), kind="API")
    stock.book(till, 2, 2001, Decimal("2.50"), kind="API")


def test_the_window_shows_what_the_till_has(sandbox: Sandbox) -> None:
    sandbox.simulation.till["products"].clear()
    sandbox.simulation.till["articles"].clear()
    sandbox.simulation.till["groups"].clear()
    furnish(sandbox.simulation)
    shown = httpx.get(f"{sandbox.base}/_control/window")
    assert shown.headers["content-type"].startswith("text/plain")
    assert [line.split() for line in shown.text.splitlines()] == [line.split() for line in PLAIN.splitlines()]
    depth = [len(line) - len(line.lstrip()) for line in shown.text.splitlines() if not line.strip()[:1].isdigit()]
    assert depth == [0, 2, 4, 0]
