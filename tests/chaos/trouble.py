"""Lets the troubles of a plan happen to an arena, and end again when their time is over."""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import redis
from sqlalchemy import select, text, update
from sqlmodel import col

from gateway.database.session import writing
from gateway.store.tables import InboxRow
from handlers.sales import documents, writers
from sandbox.chaos.faults import Blackhole, Drip, Fault, Latency, LoseReply, Refuse, Reset, Truncate
from sandbox.mpluskassa.faults import Plan as TillPlan
from tests.chaos import collisions
from tests.chaos.arena import Arena
from tests.chaos.collisions import Collisions
from tests.chaos.plan import PROCESSES, Trouble
from tests.chaos.trade import Trade
from tests.month.outages import Outages
from tests.outages import end_connections
from tests.stories.stage import REALM

_BOOKS = ("POST salesreceipt", "POST invoice", "POST payment", "POST refundreceipt", "POST creditmemo", "POST customer",
          "GET query", "GET cdc", "POST token", "*", "*", "*")  # fmt: skip
_BOOKS_MODES = ("lost_reply", "lost_reply", "truncate", "reset", "error_500", "error_503", "html_502", "throttle")
_TILL_MODES = ("lost_reply", "lost_reply", "error_500", "html_502", "truncate", "reset", "delay")
_MOST_TIMES = 4
_DAY = 86_400.0
_LONG = timedelta(seconds=writers.LOOKS[-1])


class Troubles:
    """`happened` counts them by kind."""

    def __init__(self, arena: Arena, trade: Trade, seed: int) -> None:
        self.arena = arena
        self.happened: Counter[str] = Counter()
        self.collisions = Collisions(arena, trade, self.happened)
        self.collisions.release_file = self._release_file
        self._pens: list[tuple[threading.Event, threading.Thread]] = []
        self._outages = Outages(arena.stage.books, arena.stage.till, arena.engine, Random(seed))

    def begin(self, trouble: Trouble) -> Callable[[], None] | None:
        """Let it happen; answers what ends it, if time does."""
        if trouble.target == "database" and "database" not in self.arena.wires:
            return self._lock_file(trouble)
        if trouble.name in collisions.BEGINNINGS:
            return collisions.BEGINNINGS[trouble.name](self.collisions, trouble)
        return BEGINNINGS[trouble.name](self, trouble)

    def _note(self, what: str) -> None:
        self.happened[what] += 1

    # --- processes ---

    def kill(self, trouble: Trouble) -> None:
        """kill -9 of one process."""
        self._note(f"kill -9 {trouble.target}")
        self.arena.troupe.kill(trouble.target)

    def fail_power(self, _trouble: Trouble) -> None:
        """kill -9 of all processes and of what the broker held."""
        self._note("kill -9 of everything")
        self.arena.troupe.kill(*PROCESSES)
        self._flush()

    def pause(self, trouble: Trouble) -> Callable[[], None]:
        """A process stands still for a while."""
        self._note(f"pause {trouble.target}")
        self.arena.troupe.pause(trouble.target)
        return lambda: self.arena.troupe.resume(trouble.target)

    def restart(self, trouble: Trouble) -> None:
        """A process ends when asked, and another one follows."""
        self._note(f"restart {trouble.target}")
        self.arena.troupe.restart(trouble.target)

    # --- the broker and the database ---

    def flush_broker(self, _trouble: Trouble) -> None:
        """The broker forgets everything."""
        self._note("broker flushed")
        self._flush()

    def _flush(self) -> None:
        with redis.Redis.from_url(self.arena.broker.url) as broker, suppress(redis.ConnectionError):
            broker.flushall()

    def stop_broker(self, _trouble: Trouble) -> Callable[[], None] | None:
        """There is no broker for a while; what it held is gone."""
        if not self.arena.broker.socket.exists():
            return None  # it is away already
        self._note("broker stopped")
        self.arena.broker.stop()
        return self.arena.broker.start

    def cut_database(self, trouble: Trouble) -> Callable[[], None] | None:
        """Every connection to the database ends, as in a failover; a file is locked by somebody instead."""
        if "database" not in self.arena.wires:
            return self._lock_file(trouble)
        self._note("database connections ended")
        end_connections(str(self.arena.engine.url.render_as_string(hide_password=False)))
        return None

    def _lock_file(self, trouble: Trouble) -> Callable[[], None]:
        """Somebody holds the only pen of SQLite."""
        self._note("database file locked")
        over = threading.Event()
        thread = threading.Thread(target=self._hold_pen, args=(over,), name="pen", daemon=True)
        thread.start()
        self._pens.append((over, thread))
        timer = threading.Timer(trouble.seconds, over.set)
        timer.daemon = True
        timer.start()
        return over.set

    def _hold_pen(self, over: threading.Event) -> None:
        with writing(self.arena.engine) as session:
            session.execute(text("UPDATE inbox SET id = id WHERE id = -1"))
            over.wait()

    def _release_file(self) -> None:
        """Nobody but us has SQLite's file open any more."""
        while self._pens:
            over, thread = self._pens.pop()
            over.set()
            thread.join()

    # --- wires and vendors ---

    def fail_wire(self, trouble: Trouble) -> Callable[[], None]:
        """A wire misbehaves for a while."""
        self._note(f"{trouble.way} on the wire to the {trouble.target}")
        wire, chance = self.arena.wires[trouble.target], Random(trouble.dice)
        fault, times = FAULTS[trouble.way](chance)
        wire.begin(fault, share=chance.choice((0.5, 1.0)), times=times)
        return wire.end

    def fail_vendor(self, trouble: Trouble) -> None:
        """The next calls of some kind go wrong at a vendor."""
        chance = Random(trouble.dice)
        times = chance.randrange(1, _MOST_TIMES + 1)
        if trouble.target == "books":
            mode = chance.choice(_BOOKS_MODES)
            self.arena.stage.books.injected.plan(chance.choice(_BOOKS), mode, times=times)
        else:
            mode = chance.choice(_TILL_MODES)
            self.arena.stage.till.misbehaviour.plans.append(TillPlan(mode, times=times, seconds=trouble.seconds))
        self._note(f"{trouble.target} answer with {mode}")

    def expire_token(self, _trouble: Trouble) -> None:
        """Every access token ends."""
        self._note("token expired")
        with self.arena.stage.books.lock:
            self.arena.stage.books.grants.expire_accesses(REALM)

    def rotate_token(self, trouble: Trouble) -> None:
        """The next refresh brings another refresh token, too."""
        self.expire_token(trouble)
        self._note("token rotated")
        with self.arena.stage.books.lock:
            for grant in self.arena.stage.books.grants.grants.values():
                grant.refresh_issued -= _DAY

    def say_again(self, trouble: Trouble) -> None:
        """The till's webhooks come twice for a while, or the next one never."""
        manners = self.arena.stage.till.courier.manners
        manners.duplicate = not manners.duplicate
        manners.drop += trouble.dice % 3
        self._note(f"till's webhooks {'twice' if manners.duplicate else 'once'}, {trouble.dice % 3} lost")

    def remind(self) -> None:
        """Nobody here waits for the minutes between two attempts, or for what may still be on the wire: nothing is."""
        with writing(self.arena.engine) as session:
            checks = (col(InboxRow.entity) == documents.CHECK, col(InboxRow.state) == "waiting")
            for event_id, hint in session.execute(select(col(InboxRow.id), col(InboxRow.hint)).where(*checks)).all():
                told = {**json.loads(hint), "since": (datetime.now(UTC) - _LONG).isoformat()}
                changed = update(InboxRow).where(col(InboxRow.id) == event_id).values(hint=json.dumps(told))
                session.execute(changed)
        self._outages.hurry()


BEGINNINGS: Mapping[str, Callable[[Troubles, Trouble], Callable[[], None] | None]] = {
    "kill": Troubles.kill,
    "pause": Troubles.pause,
    "restart": Troubles.restart,
    "power failure": Troubles.fail_power,
    "broker flushed": Troubles.flush_broker,
    "broker stopped": Troubles.stop_broker,
    "database cut": Troubles.cut_database,
    "wire": Troubles.fail_wire,
    "vendor": Troubles.fail_vendor,
    "token expired": Troubles.expire_token,
    "token rotated": Troubles.rotate_token,
    "again": Troubles.say_again,
}
FAULTS: Mapping[str, Callable[[Random], tuple[Fault, int | None]]] = {
    "latency": lambda chance: (Latency(chance.uniform(0.02, 0.4), jitter=0.2), None),
    "drip": lambda chance: (Drip(chance.randrange(40, 400), 0.01), None),
    "blackhole": lambda _: (Blackhole(), None),
    "refuse": lambda _: (Refuse(), None),
    "reset": lambda chance: (Reset(chance.randrange(900)), chance.randrange(1, 8)),
    "truncate": lambda chance: (Truncate(chance.randrange(900)), chance.randrange(1, 8)),
    "lost reply": lambda chance: (LoseReply(), chance.randrange(1, 8)),
}
