"""Limits across processes: budgets and slots hold whoever asks, are shared fairly, survive a death, and cost little."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import Engine, event, update

from gateway.errors import RateLimited
from gateway.store import limits
from gateway.store.clock import epoch, moment
from gateway.store.limits import Account, Budget, Refused
from gateway.store.session import open_engine, reading, writing
from gateway.store.tables import LimitRow, SlotRow
from tests.servers import wait_until
from workers.turnstiles import BATCH, Rules, Turnstile, Turnstiles

BOOKS, TILL = Account(limits.QUICKBOOKS, "realm"), Account(limits.MPLUSKASSA, "https://till")
WIDE = Budget(60_000)
_spawn = multiprocessing.get_context("spawn")


@pytest.fixture
def open_gates(engine: Engine) -> Iterator[Callable[[], Turnstiles]]:
    """Call it for the gates of one more process."""
    opened: list[Turnstiles] = []

    def start() -> Turnstiles:
        opened.append(Turnstiles(engine))
        return opened[-1]

    yield start
    for gates in opened:
        gates.close()


class Line:
    """What the other side sees: how many calls run, and when each began."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.running = self.most = 0
        self.began: list[float] = []
        self._seconds = seconds
        self._lock = threading.Lock()

    def call(self, gate: Turnstile, operation: str = "GET item") -> None:
        with gate(operation):
            with self._lock:
                self.running += 1
                self.most = max(self.most, self.running)
                self.began.append(time.monotonic())
            time.sleep(self._seconds)
            with self._lock:
                self.running -= 1


def test_calls_of_one_process_cost_few_statements(engine: Engine, open_gates: Callable[[], Turnstiles]) -> None:
    statements: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: statements.append(given[2]))
    gate, line = open_gates().gate(BOOKS, Rules(8, WIDE)), Line()
    for _ in range(160):
        line.call(gate)
    made = [s for s in statements if not s.startswith(("BEGIN", "COMMIT"))]
    assert len(line.began) / len(made) > 5, made


def test_a_second_process_gets_its_slots_while_the_first_is_busy_and_there_are_never_too_many(
    open_gates: Callable[[], Turnstiles],
) -> None:
    line, rules = Line(0.03), Rules(2)
    gates = [open_gates().gate(BOOKS, rules) for _ in range(2)]
    until = time.monotonic() + 3.5
    made = [0, 0]

    def work(which: int) -> None:
        while time.monotonic() < until:
            line.call(gates[which])
            made[which] += 1

    with ThreadPoolExecutor(8) as pool:
        for job in [pool.submit(work, which) for which in (0, 1) for _ in range(4)]:
            job.result()
    assert line.most == 2
    assert min(made) > 0.15 * sum(made), made


def test_calls_to_an_installation_are_serial_over_all_processes(open_gates: Callable[[], Turnstiles]) -> None:
    line = Line(0.02)
    gates = [open_gates().gate(TILL, Rules(1)) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda n: line.call(gates[n % 3]), range(18)))
    assert line.most == 1
    assert len(line.began) == 18


def hammer(url: str, seconds: float, made: Any, hold: bool) -> None:
    """A whole process of its own: calls as fast as it may."""
    engine = open_engine(url)
    gate = Turnstiles(engine).gate(BOOKS, Rules(3, Budget(240)))
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with gate("GET item"):
            made.value += 1
            if hold:
                time.sleep(60)
    engine.dispose()


def test_two_processes_share_one_budget(migrated_url: str) -> None:
    seconds, budget = 6.0, Budget(240)
    counts = [_spawn.Value("i", 0) for _ in range(2)]
    workers = [_spawn.Process(target=hammer, args=(migrated_url, seconds, count, False)) for count in counts]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(timeout=60)
    made = [count.value for count in counts]
    # They may start some seconds apart; the leases they hold at the end are not used any more.
    assert sum(made) <= budget.burst + (seconds + 5) / budget.interval + 2
    # Whoever came first had the burst; what came after it was shared.
    assert min(made) > 0.6 * (sum(made) - budget.burst) / 2, made


def test_the_slots_of_a_killed_process_are_free_again_when_their_lease_is_over(
    migrated_url: str, engine: Engine, open_gates: Callable[[], Turnstiles]
) -> None:
    count = _spawn.Value("i", 0)
    victim = _spawn.Process(target=hammer, args=(migrated_url, 60.0, count, True))
    victim.start()
    wait_until(lambda: count.value == 1, seconds=30, what="the call of the process that will die")
    victim.kill()
    victim.join(timeout=10)
    assert limits.take_slot(engine, BOOKS, "another", places=1) is None
    with writing(engine) as session:
        session.execute(update(SlotRow).values(leased_until=moment(-0.1)))
    line = Line()
    line.call(open_gates().gate(BOOKS, Rules(1)))
    assert line.most == 1


def test_a_long_call_keeps_its_slot_and_an_idle_process_gives_its_slots_back(
    engine: Engine, open_gates: Callable[[], Turnstiles]
) -> None:
    gate = open_gates().gate(TILL, Rules(1))
    with gate("longCall"):
        with writing(engine) as session:
            session.execute(update(SlotRow).values(leased_until=moment(0.5)))
        time.sleep(1.6)
        assert limits.take_slot(engine, TILL, "another", places=1) is None
    wait_until(lambda: limits.take_slot(engine, TILL, "another", places=1) == 0, what="the slot to be given back")


def test_a_budget_that_is_used_up_is_given_out_at_its_pace_and_first_come_first_served(engine: Engine) -> None:
    limits.open_account(engine, BOOKS, places=1)
    budget = Budget(60)
    burst = limits.lease_calls(engine, BOOKS, budget, most=15, patience=5)
    assert not isinstance(burst, Refused)
    assert burst.count == 15
    assert burst.first + 14 * burst.interval <= 0.001
    first = limits.lease_calls(engine, BOOKS, budget, most=4, patience=15)
    second = limits.lease_calls(engine, BOOKS, budget, most=4, patience=15)
    assert not isinstance(first, Refused)
    assert not isinstance(second, Refused)
    assert 0 < first.first <= budget.interval + 0.1
    assert second.first - first.first == pytest.approx(4 * budget.interval, abs=0.3)
    for _ in range(5):
        last = limits.lease_calls(engine, BOOKS, budget, most=4, patience=15)
    assert last == Refused(15, braked=False)


def test_batches_have_a_budget_of_their_own(open_gates: Callable[[], Turnstiles]) -> None:
    gate, line = open_gates().gate(BOOKS, Rules(4, WIDE, Budget(120))), Line()
    began = time.monotonic()
    for _ in range(20):
        line.call(gate)
    calls = time.monotonic() - began
    for _ in range(33):
        line.call(gate, BATCH)
    batches = time.monotonic() - began - calls
    assert batches > 1.0 > calls * 0.2  # thirty at once, then each half a second


def test_a_pause_asked_for_is_kept_by_every_process_and_by_no_other_account(
    engine: Engine, open_gates: Callable[[], Turnstiles]
) -> None:
    rules = Rules(4, WIDE)
    ours, theirs, other = (
        open_gates().gate(BOOKS, rules),
        open_gates().gate(BOOKS, rules),
        open_gates().gate(TILL, Rules(1)),
    )
    line = Line()
    line.call(ours)
    line.call(theirs)
    ours.brake(60)
    with pytest.raises(RateLimited) as refused:
        line.call(ours)
    assert 55 < refused.value.after <= 60

    def is_refused() -> bool:
        try:
            line.call(theirs)
        except RateLimited:
            return True
        return False

    wait_until(is_refused, seconds=5, what="the other process to hear of the pause")
    line.call(other)
    with reading(engine) as session:
        (left,) = limits.find_brakes(session).values()
    assert 50 < left <= 60


def test_who_keeps_slots_of_two_accounts_hears_of_a_pause_for_the_one_that_asked_for_it(engine: Engine) -> None:
    for account in (BOOKS, TILL):
        limits.open_account(engine, account, places=2)
        limits.take_slot(engine, account, "we", places=2)
    limits.brake(engine, BOOKS, 60)
    braked = {held.account: held.braked for held in limits.keep_slots(engine, "we")}
    assert braked[BOOKS] > 50
    assert braked[TILL] == 0


def test_after_a_pause_calls_begin_slowly(engine: Engine) -> None:
    limits.open_account(engine, BOOKS, places=1)
    budget = Budget(600)
    limits.brake(engine, BOOKS, 0.2, budget=budget)
    assert isinstance(limits.lease_calls(engine, BOOKS, budget, most=16, patience=5), Refused)
    wait_until(lambda: not _brakes(engine), what="the pause to end")
    block = limits.lease_calls(engine, BOOKS, budget, most=16, patience=5)
    assert not isinstance(block, Refused)
    assert block.count == 4


def test_a_shorter_pause_does_not_end_a_longer_one(engine: Engine) -> None:
    limits.open_account(engine, BOOKS, places=1)
    limits.brake(engine, BOOKS, 60)
    limits.brake(engine, BOOKS, 1)
    assert _brakes(engine)[BOOKS] > 50


def _brakes(engine: Engine) -> dict[Account, float]:
    with reading(engine) as session:
        return limits.find_brakes(session)


@pytest.mark.parametrize("per_minute", [10, 60, 400, 5000])
def test_no_minute_sees_more_than_the_budget_and_its_stated_slack(per_minute: int) -> None:
    budget = Budget(per_minute)
    assert budget.burst + (limits.MINUTE + limits.HORIZON_SECONDS) / budget.interval <= per_minute * 1.15 + 0.001


def test_71_what_a_clock_that_was_set_back_left_in_the_future_holds_up_nobody(engine: Engine) -> None:
    limits.open_account(engine, BOOKS, places=1)
    budget, far = Budget(60), 7200.0
    with writing(engine) as session:
        ahead = epoch() + far
        session.execute(update(LimitRow).values(calls_at=ahead, batches_at=ahead, braked_until=ahead))
        session.execute(update(SlotRow).values(holder="of a dead process", leased_until=moment(far)))
    assert _brakes(engine) == {}
    for batches in (False, True):
        block = limits.lease_calls(engine, BOOKS, budget, most=4, batches=batches, patience=1.0)
        assert isinstance(block, limits.Block)
        assert block.first <= 0
    assert limits.take_slot(engine, BOOKS, "mine", places=1) == 0
    limits.brake(engine, BOOKS, 30)
    assert 25 < _brakes(engine)[BOOKS] <= 30
