"""Gathers the histories of a chaos: from both simulators, from the gateway's database, from everything it wrote."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import redis
from sqlalchemy import select, text
from sqlmodel import col

from gateway.database.session import reading
from gateway.store import rate_limits
from gateway.store.tables import InboxRow
from tests.chaos import goods
from tests.chaos.arena import Arena
from tests.chaos.history import History, Row, Twin
from tests.chaos.ledgers import read_entries, read_sales
from tests.chaos.trade import CARD, Trade
from tests.stories.stage import REALM, SUBSCRIPTION

_BRANCHES = {"Winkel Utrecht": 1, "Winkel Amersfoort": 2}
_SECRETS = (
    "QUICKBOOKS_CLIENT_SECRET",
    "QUICKBOOKS_WEBHOOK_VERIFIER",
    "MPLUS_SECRET",
    "MPLUS_WEBHOOK_SECRET",
    "ADMIN_TOKEN",
    "SECRET_KEY",
)
_SIGNATURE = re.compile(r"\[installation:([0-9a-f]+)")
_PENDING = frozenset({"received", "waiting", "uncertain", "working"})


class Witness:
    """Sees everything of one arena and its trade."""

    def __init__(self, arena: Arena, trade: Trade) -> None:
        self.arena, self.trade, self.books, self.till = arena, trade, arena.stage.books, arena.stage.till
        self._cooling: list[datetime] = []
        self.excused: set[str] = set()
        self.has_unknown_writers = False
        self.kept_names: set[tuple[str, str]] = set()

    def tell(self, *, texts: bool = False, agreed: str | None = None) -> History:
        """The histories up to now; `texts` with everything that was written, which takes a while."""
        sales = read_sales(self.till)
        return History(
            acknowledged=frozenset(self.list_acknowledged() - self.excused),
            rows=tuple(self._list_rows()),
            sales=sales,
            entries=read_entries(self.books, REALM, sales, _BRANCHES),
            twins=(*self._pair_articles(), *self._pair_stock(), *self._pair_people()),
            texts=dict(self._read_texts()) if texts else {},
            secrets=self._list_secrets(),
            agreed=agreed,
        )

    def count_pending(self) -> int:
        """Events that are not over, and webhooks not yet delivered."""
        with reading(self.arena.engine) as session:
            states = session.execute(select(col(InboxRow.state))).scalars()
            return sum(state in _PENDING for state in states) + len(self.books.outbox.waiting)

    # --- what the senders saw ---

    def list_acknowledged(self) -> set[str]:
        """The keys of all events that their senders saw acknowledged; `excused` are those no check asks for."""
        return set(self._read_acknowledged())

    def _read_acknowledged(self) -> Iterator[str]:
        yield from (f"qbo:{each.realm}:{each.key}-{each.entity}-{each.id}" for each in self.books.outbox.acknowledged)
        for seen in list(self.till.courier.seen):
            if seen["outcome"] == "answered" and seen["status"] == httpx.codes.OK and not seen["handshake"]:
                yield f"mplus:{SUBSCRIPTION}|{seen['sessionId']}|{seen['event']}|{seen['eventCounter']}"

    # --- what we stored ---

    def _list_rows(self) -> list[Row]:
        now = datetime.now(UTC)
        with reading(self.arena.engine) as session:
            return [_to_row(row, now) for row in session.execute(select(InboxRow)).scalars()]

    def look_for_cooldowns(self) -> None:
        """Note whether an outside system has asked to be left alone now."""
        with reading(self.arena.engine) as session:
            if rate_limits.find_cooldowns(session):
                self._cooling.append(datetime.now(UTC))

    def find_slowest_recovery(self) -> tuple[float, int]:
        """Seconds from a kill to the next event that came to its end, the longest of all; and how many were left out.

        Left out is a kill after which an outside system had asked to be left alone: then nobody may work.
        """
        with reading(self.arena.engine) as session:
            over = col(InboxRow.state).in_(("done", "skipped"))
            ends = sorted(session.execute(select(col(InboxRow.updated_at)).where(over)).scalars())
        spans = [(kill, next((end for end in ends if end > kill), kill)) for kill in self.arena.troupe.kills]
        free = [(end - kill).total_seconds() for kill, end in spans if not any(kill < b < end for b in self._cooling)]
        return max(free, default=0.0), len(spans) - len(free)

    # --- what arrived outside ---

    def _pair_articles(self) -> Iterator[Twin]:
        with self.till.lock:
            articles = [row for row in self.till.till["articles"] if row["active"]]
        for item in self._items():
            number = int(item["Sku"])
            wanted = f"{item['Name']} at {int(Decimal(item['UnitPrice']) * 100)} cents"
            rows = [row for row in articles if number == row["articleNumber"] or row["extArticleId"] == item["Id"]]
            found = tuple(f"{self._name(row, item)} at {row['priceIncl']} cents" for row in rows)
            yield Twin("article", str(number), wanted, found)

    def _name(self, row: Mapping[str, Any], item: Mapping[str, Any]) -> str:
        """The article's name. A former one that this database does not know counts as the staff's own, and stays.

        Another deployment wrote it, or this one before a backup was restored.
        """
        given = (row["extArticleId"], row["description"])
        if self.has_unknown_writers and row["description"] != item["Name"] and given in self.trade.former_names:
            self.kept_names.add(given)
            return str(item["Name"])
        return str(row["description"])

    def _pair_stock(self) -> Iterator[Twin]:
        sold = self._count_sold()
        for item in self._items():
            if (number := int(item["Sku"])) not in goods.STOCKED:
                continue
            wanted = f"{Decimal(goods.FIRST_STOCK) + self.trade.delivered[number] - sold.get(number, 0):g} pieces"
            with self.till.lock:
                row = self.till.till["stock"].find(f"{goods.MAIN_BRANCH}/{number}")
            yield Twin(
                "stock at the till of article", str(number), wanted, (f"{row['physical']:g} pieces",) if row else ()
            )
            yield Twin("stock in the books of item", str(number), wanted, (f"{Decimal(item['QtyOnHand']):g} pieces",))

    def _count_sold(self) -> Mapping[int, Decimal]:
        sold: dict[int, Decimal] = {}
        with self.till.lock:
            for table in ("receipts", "invoices"):
                for row in self.till.till[table]:
                    for line in row["lineList"]["line"]:
                        data, number = line["data"], line["articleNumber"]
                        sold[number] = sold.get(number, Decimal(0)) + Decimal(data["quantity"]).scaleb(
                            -data["decimalPlaces"]
                        )
        return sold

    def _pair_people(self) -> Iterator[Twin]:
        customers = _by_email(
            self.books.rows(REALM, "Customer"), lambda row: row.get("PrimaryEmailAddr", {}).get("Address")
        )
        with self.till.lock:
            active = [row for row in self.till.till["relations"] if row["active"]]
            relations = _by_email(active, lambda row: row["email"])
        for email, rows in relations.items():
            found = tuple(map(_telephone, customers.get(email, ())))
            if found or email.endswith(CARD):  # who had a card before the gateway came is a customer once he buys
                yield Twin("customer", email, _telephone(rows[0]), found)
        for email, rows in customers.items():
            yield Twin("relation", email, _telephone(rows[0]), tuple(map(_telephone, relations.get(email, ()))))

    def _items(self) -> list[dict[str, Any]]:
        return [row for row in self.books.rows(REALM, "Item") if row.get("Sku", "").isdecimal()]

    def count_signatures(self) -> Mapping[str, int]:
        """How many documents that stand each installation has signed, the first one most likely the most."""
        kinds = ("SalesReceipt", "Invoice", "RefundReceipt", "CreditMemo")
        notes = (row.get("PrivateNote") or "" for kind in kinds for row in self.books.rows(REALM, kind))
        return Counter(found.group(1) for found in map(_SIGNATURE.search, notes) if found)

    # --- what was written where ---

    def _list_secrets(self) -> Mapping[str, str]:
        environment, grants = self.arena.stage.environment, self.books.grants
        tokens = {f"refresh token {number}": token for number, token in enumerate(grants.refreshes, 1)}
        accesses = {f"access token {number}": token for number, token in enumerate(grants.accesses, 1)}
        return {**{name: environment[name] for name in _SECRETS}, **tokens, **accesses}

    def _read_texts(self) -> Iterator[tuple[str, bytes]]:
        folder = self.arena.stage.folder
        yield from ((path.name, path.read_bytes()) for path in folder.glob("*.log"))
        yield from ((path.name, path.read_bytes()) for path in folder.glob("*.db*"))
        if self.arena.engine.dialect.name == "postgresql":
            yield "the database", "\n".join(self._dump_tables()).encode()
        with redis.Redis.from_url(self.arena.broker.url) as broker:
            kept = [repr((key, broker.dump(key))) for key in broker.scan_iter()]
        yield "the broker", "\n".join(kept).encode()

    def _dump_tables(self) -> Iterator[str]:
        with reading(self.arena.engine) as session:
            names = session.execute(text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).scalars()
            for name in list(names):
                rows = text(f'SELECT t::text FROM "{name}" t')  # noqa: S608 -- the name is the catalogue's
                yield from session.execute(rows).scalars()


def _to_row(row: InboxRow, now: datetime) -> Row:
    leased = row.leased_until is not None and row.leased_until > now
    about = f"{row.entity} {row.entity_id}"
    return Row(row.id or 0, row.key, row.state, leased, row.reason, row.fix, about)


def _by_email(
    rows: list[dict[str, Any]], find: Callable[[dict[str, Any]], str | None]
) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if email := find(row):
            found.setdefault(email.casefold(), []).append(row)
    return found


def _telephone(row: Mapping[str, Any]) -> str:
    number = row.get("telephone") or row.get("PrimaryPhone", {}).get("FreeFormNumber") or "none"
    return f"known by telephone {number}"
