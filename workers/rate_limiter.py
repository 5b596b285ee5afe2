"""The rate limiter before every outside call, and the count of calls after it.

A call holds a slot in the database while it runs, for all processes. The rules are in `gateway.store.rate_limits`;
here a thread waits for its slot, and another thread renews the leases of slots in use. Calls are counted per
connection and month in memory, and the sums are written now and then.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final

import structlog
from sqlalchemy import Engine

from gateway.connectors.exchange import Exchange
from gateway.database.session import reading, writing
from gateway.database.sql import now_of
from gateway.errors import RateLimited, Transient
from gateway.observability import counters
from gateway.store import connections, counts, rate_limits
from gateway.store.rate_limits import Account, Later, Limit, Slot, Taken
from mapping.messages import message

START_PATIENCE, SLOT_PATIENCE = 15.0, 30.0
SHORT_COOLDOWN: Final = 2.5
"""A thread waits for a cooldown up to this long; a longer one frees it for other connections."""
RENEW_SECONDS: Final = 3.0
KEEP_SECONDS: Final = 0.1
"""How long a thread keeps a slot over several calls: the longest that another process waits for it."""
_RETRY_SECONDS: Final = 0.02
_ANSWERED: Final = {"ok", "throttled"}
_log = structlog.get_logger(__name__)


class RateLimiters:
    """Every rate limiter of this process, called `holder`, and the thread that renews their slots."""

    def __init__(self, engine: Engine, holder: str) -> None:
        self._engine, self._holder = engine, holder
        self._limiters: dict[Account, RateLimiter] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._renewing: threading.Thread | None = None

    def of(self, account: Account, limit: Limit) -> RateLimiter:
        with self._lock:
            if account not in self._limiters:
                self._limiters[account] = RateLimiter(self._engine, account, limit, self._holder)
            if self._renewing is None:
                self._renewing = threading.Thread(target=self._renew, name="call slots", daemon=True)
                self._renewing.start()
            return self._limiters[account]

    def close(self) -> None:
        """Stop renewing slots; the leases of calls still running expire."""
        self._stop.set()

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_SECONDS):
            with self._lock:
                running = any(limiter.is_held for limiter in self._limiters.values())
            try:
                if running:
                    rate_limits.renew_slots(self._engine, self._holder)
            except Transient as error:
                _log.warning("call slots could not be renewed", reason=error.reason)
            except Exception:  # noqa: BLE001 - without this thread the leases expire during calls
                _log.exception("renewing call slots failed and goes on")


@dataclass(slots=True)
class HeldSlot:
    """The slot of a call, or of several in a row. `confirmed`: the claim of the event was looked at meanwhile."""

    number: int
    since: float
    confirmed: bool = False


class FairSemaphore:
    """A semaphore whose permit goes to the thread that has waited longest.

    With one of `threading` a thread that releases and acquires in a loop keeps the permit, and others starve.
    """

    def __init__(self, permits: int) -> None:
        self._free = self._permits = permits
        self._waiting: deque[threading.Event] = deque()
        self._lock = threading.Lock()

    @property
    def is_awaited(self) -> bool:
        return bool(self._waiting)

    @property
    def is_held(self) -> bool:
        return self._free < self._permits

    def acquire(self, *, seconds: float) -> bool:
        """Whether a permit was given within `seconds`."""
        with self._lock:
            if self._free:  # then nobody waits
                self._free -= 1
                return True
            given = threading.Event()
            self._waiting.append(given)
        if given.wait(seconds):
            return True
        with self._lock:
            if given.is_set():
                return True
            self._waiting.remove(given)
            return False

    def release(self) -> None:
        with self._lock:
            if self._waiting:
                self._waiting.popleft().set()
            else:
                self._free += 1


class _Thread(threading.local):
    keeps = False
    slot: HeldSlot | None = None  # of this thread's call before


class RateLimiter:
    """The rate limiter of one account for the threads of this process; the clients call it as their gate."""

    def __init__(self, engine: Engine, account: Account, limit: Limit, holder: str) -> None:
        self.account = account
        self._engine, self._limit, self._holder = engine, limit, holder
        # Threads without a slot wait here, so that at most one per slot polls the database.
        self._local = FairSemaphore(limit.slots)
        self._opened = False
        self._thread = _Thread()
        self._cooled_at = 0.0

    @property
    def is_held(self) -> bool:
        """Whether a thread has a slot, or waits for one that another process has."""
        return self._local.is_held

    @contextmanager
    def in_a_row(self) -> Iterator[None]:
        """Calls of this thread in the block share a slot, up to a tenth of a second or until another thread wants it.

        Between them the thread waits for nothing. Where a slot has an interval, each call takes its own.
        """
        if self._limit.interval > 0:
            yield
            return
        self._thread.keeps = True
        try:
            yield
        finally:
            self._thread.keeps = False
            self._end_kept()

    def cool_down(self, seconds: float | None = None) -> None:
        """The other system refused a call: no process calls it for `seconds`, or for a computed time."""
        self._cooled_at = time.monotonic()
        pause = rate_limits.cool_down(self._engine, self.account, seconds)
        _log.warning("calls are paused", system=self.account.system, seconds=round(pause, 1))

    @contextmanager
    def __call__(self, _operation: str = "") -> Iterator[HeldSlot]:
        """Run one call. Raises `RateLimited` when the wait would be too long; nothing was sent then."""
        if self._thread.slot and not self._may_keep(self._thread.slot):  # the thread was stopped meanwhile
            self._end_kept()
        slot = self._thread.slot or self._begin()
        self._thread.slot = None
        try:
            yield slot
        finally:
            if self._thread.keeps and self._may_keep(slot):
                self._thread.slot = slot
            else:
                self._end(slot)

    def _may_keep(self, slot: HeldSlot) -> bool:
        is_recent = time.monotonic() < slot.since + KEEP_SECONDS
        return is_recent and not self._local.is_awaited and self._cooled_at < slot.since

    def _end_kept(self) -> None:
        if slot := self._thread.slot:
            self._thread.slot = None
            self._end(slot)

    def _begin(self) -> HeldSlot:
        deadline = time.monotonic() + SLOT_PATIENCE
        if not self._local.acquire(seconds=SLOT_PATIENCE):
            raise self._refusal(SHORT_COOLDOWN, cooling=False)
        try:
            if not self._opened:
                rate_limits.open_account(self._engine, self.account, self._limit)
                self._opened = True
            number = self._take(deadline)
        except BaseException:
            self._local.release()
            raise
        return HeldSlot(number, time.monotonic())

    def _end(self, slot: HeldSlot) -> None:
        try:
            self._release(slot.number, rest=self._limit.interval - (time.monotonic() - slot.since))
        finally:
            self._local.release()

    def _take(self, deadline: float) -> int:
        while time.monotonic() < deadline:
            match rate_limits.take_slot(self._engine, self.account, self._limit, self._holder, patience=START_PATIENCE):
                case Slot(number, wait) if wait <= 0:
                    return number
                case Slot(number, wait):
                    time.sleep(wait)
                    with reading(self._engine) as session:
                        is_cooling = self.account in rate_limits.find_cooldowns(session)  # it began meanwhile
                    if not is_cooling:
                        return number
                    self._release(number)
                case Later(seconds, cooling=True) if seconds <= SHORT_COOLDOWN:
                    time.sleep(seconds)
                case Later(seconds, cooling=cooling):
                    raise self._refusal(seconds, cooling=cooling)
                case Taken():
                    time.sleep(_RETRY_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
        raise self._refusal(SHORT_COOLDOWN, cooling=False)

    def _release(self, number: int, *, rest: float = 0.0) -> None:
        try:
            rate_limits.release_slot(self._engine, self.account, self._holder, number, rest=rest)
        except Transient as error:
            _log.warning("a call slot could not be released; its lease will expire", reason=error.reason)

    def _refusal(self, seconds: float, *, cooling: bool) -> RateLimited:
        system = "MplusKASSA" if self.account.system == rate_limits.MPLUSKASSA else "QuickBooks"
        code = "cooldown" if cooling else "busy"
        counters.THROTTLED.labels(self.account.system, code).inc()
        said = message(
            "{system} asked to slow down" if cooling else "more is waiting for {system} than it may be asked at once",
            system=system,
        )
        return RateLimited(said, after=seconds, code=code)


class Meter:
    """The process's share of the counts of calls by month, of metered reads by day, and of the systems that answer."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._counts: Counter[tuple[str, str, date, str]] = Counter()
        self._answered: dict[tuple[str, str], float] = {}
        self._lock = threading.Lock()

    def count(self, connection: str, exchange: Exchange) -> None:
        # Of a call that is metered what is read counts, such as "QUERY Item".
        what = exchange.operation.partition(" ")[2] or exchange.operation if exchange.metered else ""
        with self._lock:
            self._counts[connection, exchange.system, datetime.now(UTC).date(), what] += 1
            if counters.outcome_of(exchange.status, exchange.error) in _ANSWERED:
                self._answered[connection, exchange.system] = time.monotonic()

    def flush(self) -> None:
        """Add what was counted to the database; kept for the next time when the database is away."""
        with self._lock:
            counted, self._counts = self._counts, Counter()
            answered, self._answered = self._answered, {}
        if not counted:
            return
        try:
            with writing(self._engine) as session:
                # In one order, so that two processes never deadlock.
                for (connection, system, day, what), calls in sorted(counted.items()):
                    kind = "read" if what else "call"
                    counts.add_calls(session, connection, system=system, month=f"{day:%Y-%m}", kind=kind, calls=calls)
                    if what:
                        counts.add_reads(session, connection, day=day, what=what, reads=calls)
                # Both clocks are read once: a wait for a lock would date an answer after a failure that followed it.
                now, here = now_of(session), time.monotonic()
                moments = {each: now - timedelta(seconds=here - there) for each, there in answered.items()}
                connections.note_answers(session, moments)
        except Transient:
            with self._lock:
                self._counts.update(counted)
                self._answered = answered | self._answered
