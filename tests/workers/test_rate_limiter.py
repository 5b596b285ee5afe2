"""The rate limiter across processes: it limits every caller, is fair, survives a kill, and recovers quickly."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, update
from sqlalchemy import event as sqlalchemy_event

from gateway.database.session import open_engine, reading, writing
from gateway.database.sql import epoch
from gateway.errors import RateLimited
from gateway.store import rate_limits
from gateway.store.rate_limits import Account, Later, Limit, Slot, Taken
from gateway.store.tables import CallSlotRow, RateLimitRow
from tests import forking
from tests.servers import wait_until
from workers import rate_limiter
from workers.rate_limiter import RateLimiter, RateLimiters

BOOKS, TILL = Account(rate_limits.QUICKBOOKS, "realm"), Account(rate_limits.MPLUSKASSA, "https://till")


@pytest.fixture
def open_limiters(engine: Engine) -> Iterator[Callable[[], RateLimiters]]:
    """Call it for the rate limiters of one more process."""
    opened: list[RateLimiters] = []

    def start() -> RateLimiters:
        opened.append(RateLimiters(engine, f"process-{len(opened)}"))
        return opened[-1]

    yield start
    for limiters in opened:
        limiters.close()


class Line:
    """The calls as the other system gets them: how many run, and when each began."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.running = self.most = 0
        self.began: list[float] = []
        self._seconds = seconds
        self._lock = threading.Lock()

    def call(self, limiter: RateLimiter, operation: str = "GET item") -> None:
        with limiter(operation):
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
                self.began.append(time.monotonic())
            time.sleep(self._seconds)
            with self._lock:
                self.running -= 1

    def max_within(self, seconds: float) -> int:
        """The largest number of calls that began within so many seconds."""
        return max(sum(first <= other < first + seconds for other in self.began) for first in self.began)


def state_of(engine: Engine) -> dict[Account, float]:
    with reading(engine) as session:
        return rate_limits.find_cooldowns(session)


def test_a_burst_starts_no_more_calls_in_a_second_than_are_allowed(
    open_limiters: Callable[[], RateLimiters],
) -> None:
    line, limit = Line(0.01), Limit.of(at_once=8, per_second=10, per_minute=430)
    limiters = [open_limiters().of(BOOKS, limit) for _ in range(2)]
    with ThreadPoolExecutor(12) as pool:
        list(pool.map(lambda n: line.call(limiters[n % 2]), range(30)))
    assert len(line.began) == 30
    assert line.max_within(1.0) <= 10
    assert max(line.began) - min(line.began) < 6.0  # thirty calls at 430 a minute


@pytest.mark.parametrize(
    ("at_once", "per_second", "per_minute"),
    [(8, 10, 430), (3, 10, 60), (40, 10, 500), (1, 1, 10), (2, 10, 10_000), (8, 10_000, 100_000)],
)
def test_a_limit_keeps_calls_at_once_per_second_and_per_minute(at_once: int, per_second: int, per_minute: int) -> None:
    limit = Limit.of(at_once=at_once, per_second=per_second, per_minute=per_minute)
    assert limit.slots <= min(at_once, per_second)
    in_a_second = math.floor(1.0 / limit.interval) + (limit.interval < 1.0)
    assert limit.slots * max(1, in_a_second) <= per_second
    assert limit.slots * 60.0 / limit.interval <= per_minute + 0.001


def test_a_limit_that_was_raised_delays_no_call() -> None:
    assert Limit.of(at_once=8, per_second=10_000, per_minute=100_000).interval < 0.01


def test_a_second_process_gets_its_calls_while_the_first_is_busy(open_limiters: Callable[[], RateLimiters]) -> None:
    line = Line(0.03)
    limiters = [open_limiters().of(BOOKS, Limit(2)) for _ in range(2)]
    until = time.monotonic() + 3.0
    made = [0, 0]

    def work(which: int) -> None:
        while time.monotonic() < until:
            line.call(limiters[which])
            made[which] += 1

    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(work, which) for which in (0, 1) for _ in range(4)]:
            job.result()
    assert line.most == 2
    assert min(made) > 0.25 * sum(made), made


def test_calls_to_an_installation_are_serial_over_all_processes(open_limiters: Callable[[], RateLimiters]) -> None:
    line = Line(0.02)
    limiters = [open_limiters().of(TILL, Limit(1)) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: line.call(limiters[n % 3]), range(18)))
    assert line.most == 1
    assert len(line.began) == 18


def test_calls_in_a_row_ask_the_database_once(engine: Engine, open_limiters: Callable[[], RateLimiters]) -> None:
    limiter, line = open_limiters().of(TILL, Limit(1)), Line()
    line.call(limiter)
    asked: list[str] = []
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    line.call(limiter)
    each = len(asked)
    with limiter.in_a_row():
        for _ in range(5):
            line.call(limiter)
    line.call(limiter)
    assert len(asked) <= 3 * each
    assert len(line.began) == 8
    assert not limiter.is_held


def test_a_call_nothing_holds_up_costs_two_statements(
    engine: Engine, open_limiters: Callable[[], RateLimiters]
) -> None:
    limiter, line = open_limiters().of(TILL, Limit(1)), Line()
    line.call(limiter)
    asked: list[str] = []
    sqlalchemy_event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    line.call(limiter)
    assert [each.split()[0] for each in asked if not each.startswith("SET")] == ["UPDATE", "UPDATE"]


@pytest.mark.parametrize("processes", [1, 2])
def test_calls_in_a_row_let_another_caller_in_soon(open_limiters: Callable[[], RateLimiters], processes: int) -> None:
    limiters = [open_limiters().of(TILL, Limit(1)) for _ in range(processes)]
    line, ended, waited = Line(0.01), threading.Event(), []

    def load() -> None:
        with limiters[0].in_a_row():
            while not ended.is_set():
                line.call(limiters[0])

    loading = threading.Thread(target=load)
    loading.start()
    wait_until(lambda: len(line.began) > 3, what="the load to begin")
    for _ in range(5):
        began = time.monotonic()
        with limiters[-1]("getReceipts"):
            waited.append(time.monotonic() - began)
            assert line.running == 0
    ended.set()
    loading.join()
    assert line.most == 1
    assert min(waited) < 0.1 + rate_limiter.KEEP_SECONDS
    assert len(line.began) > 5


def test_calls_in_a_row_end_when_the_system_refuses_one(open_limiters: Callable[[], RateLimiters]) -> None:
    limiter = open_limiters().of(TILL, Limit(1))
    with limiter.in_a_row():
        with limiter("createProduct"):
            limiter.cool_down(30.0)
        with pytest.raises(RateLimited), limiter("createProduct"):
            pytest.fail("it may not leave")
    assert not limiter.is_held


def hammer(url: str, seconds: float, made: Any, hold: bool) -> None:
    """A whole process of its own: calls as fast as it may."""
    engine = open_engine(url)
    limiter = RateLimiters(engine, "process").of(BOOKS, Limit.of(at_once=3, per_second=10, per_minute=240))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with limiter("GET item"):
            made.value += 1
            if hold:
                time.sleep(60)
    engine.dispose()


def test_two_processes_share_one_pace(migrated_url: str) -> None:
    seconds = 4.0
    counts = [forking.context.Value("i", 0) for _ in range(2)]
    workers = [forking.context.Process(target=hammer, args=(migrated_url, seconds, count, False)) for count in counts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    made = [count.value for count in counts]
    # They may start some seconds apart: 4 calls a second over at most 11 seconds, and one rested slot each.
    assert sum(made) <= 3 + 4 * (seconds + 5)
    assert min(made) > 0.25 * sum(made), made


def test_the_slots_of_a_killed_process_are_free_when_their_lease_ends(
    migrated_url: str, engine: Engine, open_limiters: Callable[[], RateLimiters]
) -> None:
    count = forking.context.Value("i", 0)
    victim = forking.context.Process(target=hammer, args=(migrated_url, 60.0, count, True))
    victim.start()
    wait_until(lambda: count.value == 1, seconds=30, what="the call of the process to be killed")
    victim.kill()
    victim.join(timeout=10)
    assert isinstance(rate_limits.take_slot(engine, BOOKS, Limit(1), "another", patience=1.0), Taken)
    with writing(engine) as session:
        session.execute(update(CallSlotRow).values(leased_until=epoch() - 0.1))
    line = Line()
    line.call(open_limiters().of(BOOKS, Limit(1)))
    assert line.most == 1


def test_a_long_call_keeps_its_slot(
    engine: Engine, open_limiters: Callable[[], RateLimiters], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.rate_limiter.RENEW_SECONDS", 0.2)
    limiter = open_limiters().of(TILL, Limit(1))
    with limiter("longCall"):
        with writing(engine) as session:
            session.execute(update(CallSlotRow).values(leased_until=epoch() + 0.5))
        time.sleep(1.0)
        assert isinstance(rate_limits.take_slot(engine, TILL, Limit(1), "another", patience=0.0), Taken)
    time.sleep(rate_limits.WANTED_SECONDS)
    assert isinstance(rate_limits.take_slot(engine, TILL, Limit(1), "third", patience=0.0), Slot)


def test_starts_are_given_in_the_order_of_the_requests(engine: Engine) -> None:
    limit = Limit(2, interval=10.0)
    rate_limits.open_account(engine, BOOKS, limit)
    waits = []
    for holder in ("a", "b", "a", "b"):
        slot = rate_limits.take_slot(engine, BOOKS, limit, holder, patience=60.0)
        assert isinstance(slot, Slot)
        waits.append(slot.wait)
        rate_limits.release_slot(engine, BOOKS, holder, slot.number)
    assert waits == pytest.approx([0.0, 0.0, 10.0, 10.0], abs=0.5)
    later = rate_limits.take_slot(engine, BOOKS, limit, "c", patience=15.0)
    assert isinstance(later, Later)
    assert later.seconds == pytest.approx(20.0, abs=0.5)


def test_a_slot_that_was_not_used_starts_at_once_to_the_last_digit(engine: Engine) -> None:
    limit = Limit(10, interval=0.006)
    rate_limits.open_account(engine, BOOKS, limit)
    slots = [rate_limits.take_slot(engine, BOOKS, limit, "us", patience=1.0) for _ in range(10)]
    assert [slot.wait for slot in slots if isinstance(slot, Slot)] == [0.0] * 10


def test_a_call_that_began_late_moves_the_next_start_of_its_slot(engine: Engine) -> None:
    limit = Limit(1, interval=2.0)
    rate_limits.open_account(engine, BOOKS, limit)
    first = rate_limits.take_slot(engine, BOOKS, limit, "us", patience=60.0)
    assert isinstance(first, Slot)
    with writing(engine) as session:  # the thread was held up for a second and a half before its call
        session.execute(update(CallSlotRow).values(ready_at=epoch() + 0.5))
    rate_limits.release_slot(engine, BOOKS, "us", first.number, rest=2.0)
    second = rate_limits.take_slot(engine, BOOKS, limit, "us", patience=60.0)
    assert isinstance(second, Slot)
    assert second.wait == pytest.approx(2.0, abs=0.4)


def test_a_pause_is_kept_by_every_process_and_by_no_other_account(
    engine: Engine, open_limiters: Callable[[], RateLimiters]
) -> None:
    ours, theirs = (open_limiters().of(BOOKS, Limit(4)) for _ in range(2))
    other, line = open_limiters().of(TILL, Limit(1)), Line()
    line.call(ours)
    line.call(theirs)
    ours.cool_down(60)
    for limiter in (ours, theirs):
        with pytest.raises(RateLimited) as refused:
            line.call(limiter)
        assert 55 < refused.value.after <= 60
    line.call(other)
    assert 50 < state_of(engine)[BOOKS] <= 60
    assert list(state_of(engine)) == [BOOKS]


def test_a_pause_that_is_asked_for_is_kept_however_long_it_is(engine: Engine) -> None:
    rate_limits.open_account(engine, TILL, Limit(1))
    rate_limits.cool_down(engine, TILL, 7200.0)
    assert 7190 < state_of(engine)[TILL] <= 7200
    rate_limits.cool_down(engine, TILL, 1.0)
    assert state_of(engine)[TILL] > 7190
    with writing(engine) as session:  # the pace has recovered long before
        session.execute(update(RateLimitRow).values(refused_at=epoch() - 3600.0))
    asked = rate_limits.take_slot(engine, TILL, Limit(1), "us", patience=1.0)
    assert isinstance(asked, Later)
    assert asked.cooling


def test_who_found_every_slot_taken_gets_the_next_one_first(engine: Engine) -> None:
    rate_limits.open_account(engine, TILL, Limit(1))
    slot = rate_limits.take_slot(engine, TILL, Limit(1), "first", patience=1.0)
    assert isinstance(slot, Slot)
    found = [rate_limits.take_slot(engine, TILL, Limit(1), "second", patience=1.0)]
    rate_limits.release_slot(engine, TILL, "first", slot.number)
    found += [rate_limits.take_slot(engine, TILL, Limit(1), by, patience=1.0) for by in ("first", "second")]
    assert [type(each) for each in found] == [Taken, Taken, Slot]


def test_the_first_refusal_costs_two_seconds_and_repeated_ones_more(engine: Engine) -> None:
    rate_limits.open_account(engine, BOOKS, Limit(8, interval=1.0))
    pauses = []
    for _ in range(8):
        pauses.append(rate_limits.cool_down(engine, BOOKS))
        again = rate_limits.cool_down(engine, BOOKS)  # of a call that was under way when the pause began
        assert again <= pauses[-1] + 0.001  # within one tick of the database's clock the rest is rounded up
        with writing(engine) as session:
            session.execute(update(RateLimitRow).values(cooldown_until=epoch()))
    assert pauses == pytest.approx([2, 4, 8, 16, 32, 60, 60, 60], rel=0.1)
    with writing(engine) as session:
        session.execute(update(RateLimitRow).values(refused_at=epoch() - 6 * rate_limits.RECOVERY_SECONDS))
    assert rate_limits.cool_down(engine, BOOKS) == pytest.approx(2.0, abs=0.1)


def test_after_a_refusal_calls_start_at_half_the_pace_and_recover(engine: Engine) -> None:
    limit = Limit(1, interval=4.0)
    rate_limits.open_account(engine, BOOKS, limit)
    rate_limits.cool_down(engine, BOOKS)

    def pace() -> float:
        """Seconds from one call to the next."""
        with writing(engine) as session:
            session.execute(update(RateLimitRow).values(cooldown_until=epoch()))
            session.execute(update(CallSlotRow).values(ready_at=0.0))
        slots = []
        for _ in range(2):
            slot = rate_limits.take_slot(engine, BOOKS, limit, "us", patience=60.0)
            assert isinstance(slot, Slot)
            rate_limits.release_slot(engine, BOOKS, "us", slot.number)
            slots.append(slot)
        return slots[1].wait

    assert pace() == pytest.approx(8.0, abs=0.5)
    with writing(engine) as session:
        session.execute(update(RateLimitRow).values(refused_at=epoch() - rate_limits.RECOVERY_SECONDS))
    assert pace() == pytest.approx(4.0, abs=0.5)


def test_71_times_in_the_future_after_a_clock_change_delay_no_call(engine: Engine) -> None:
    limit = Limit(1, interval=1.0)
    rate_limits.open_account(engine, BOOKS, limit)
    with writing(engine) as session:
        ahead = epoch() + 7200.0
        late = {"cooldown_from": ahead, "cooldown_until": ahead + 60, "wanted_by": "killed", "wanted_until": ahead}
        session.execute(update(RateLimitRow).values(late))
        session.execute(update(CallSlotRow).values(holder="of a killed process", leased_until=ahead, ready_at=ahead))
    assert state_of(engine) == {}
    slot = rate_limits.take_slot(engine, BOOKS, limit, "mine", patience=1.0)
    assert isinstance(slot, Slot)
    assert slot.wait < 0.05
    rate_limits.cool_down(engine, BOOKS, 30)
    assert 25 < state_of(engine)[BOOKS] <= 30
