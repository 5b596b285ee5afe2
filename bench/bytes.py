"""How much a sale takes in PostgreSQL: `python bench/bytes.py --sales 500`.

Cash sales of two lines are booked one after the other, as a till's trade comes; then the tables are measured with their
indexes. The log of calls (`journal`) is deleted after `RETENTION_DAYS`; the rest stays.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sqlalchemy import Engine, text

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from bench import figures
from bench.drain import opened
from gateway.database.session import open_engine
from gateway.store import installation
from tests.handlers.shop import Shop, sold

BATCH = 50
_SIZES = (
    "SELECT relname, pg_total_relation_size(oid) FROM pg_class"
    " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
)


def sizes(engine: Engine) -> dict[str, int]:
    """Bytes of each table, with its indexes and long values, after a vacuum."""
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("VACUUM FULL"))
        return {str(name): int(size) for name, size in connection.execute(text(_SIZES))}


def main() -> None:
    """Print the bytes of a sale by table."""
    given = argparse.ArgumentParser(description=__doc__)
    given.add_argument("--sales", type=int, default=500)
    wanted = given.parse_args()
    print(figures.machine())
    with opened("postgres") as url:
        engine = open_engine(url)
        installation.upgrade(engine)
        shop = Shop(engine)
        before = sizes(engine)
        for done in range(0, wanted.sales, BATCH):
            for _ in range(min(BATCH, wanted.sales - done)):
                shop.till.sell(lines=[sold(1001), sold(1002, 2)])
            shop.settle()
        grown = {name: size - before.get(name, 0) for name, size in sizes(engine).items()}
        for name, size in sorted(grown.items(), key=lambda one: -one[1]):
            if size > 0:
                print(f"{size / wanted.sales:8.0f} bytes a sale  {name}")
        print(f"{sum(grown.values()) / wanted.sales:8.0f} bytes a sale in all")
        shop.close()
        engine.dispose()


if __name__ == "__main__":
    main()
