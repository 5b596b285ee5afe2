"""The gate before every outside call: a slot and a place in the budget, leased for the process, used by its threads.

A call costs no statement of its own: slots are kept while they are used, calls are leased in blocks. A process that
waits for a slot gets one within about a second, whoever holds them; a dead process's slots run out.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import Engine

from gateway import counters
from gateway.errors import RateLimited, Transient
from gateway.store import limits
from gateway.store.limits import HORIZON_SECONDS, Account, Budget, Held, Refused

BATCH = "POST batch"
BLOCK = 16
CALL_PATIENCE, SLOT_PATIENCE = 15.0, 30.0
SHORT_BRAKE = 2.0  # a thread waits so long itself; a longer pause frees it for other connections
KEEP_SECONDS, IDLE_SECONDS = 1.0, 2.0
ASK_SECONDS, WANT_AGAIN_SECONDS = 0.1, 1.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Rules:
    """What an account allows: calls at once, and calls and batches a minute where it counts them."""

    places: int
    calls: Budget | None = None
    batches: Budget | None = None


class Turnstiles:
    """Every gate of this process, and the thread that keeps their slots alive."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._holder = uuid.uuid4().hex
        self._gates: dict[Account, Turnstile] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._keeper: threading.Thread | None = None

    def gate(self, account: Account, rules: Rules) -> Turnstile:
        """The gate of an account; the same for everybody who asks it."""
        with self._lock:
            if account not in self._gates:
                self._gates[account] = Turnstile(self._engine, account, self._holder, rules)
            if self._keeper is None:
                self._keeper = threading.Thread(target=self._keep, name="slots", daemon=True)
                self._keeper.start()
            return self._gates[account]

    def close(self) -> None:
        """Give every slot back."""
        self._stop.set()
        for gate in self._every():
            gate.yield_slots(idle_seconds=0.0)

    def _every(self) -> list[Turnstile]:
        with self._lock:
            return list(self._gates.values())

    def _keep(self) -> None:
        while not self._stop.wait(KEEP_SECONDS):
            try:
                self._keep_once([gate for gate in self._every() if gate.holds_slots])
            except Transient as error:
                _log.warning("slots could not be kept", reason=error.reason)
            except Exception:  # noqa: BLE001 - a keeper that stops would let other processes in
                _log.exception("keeping slots failed and goes on")

    def _keep_once(self, gates: list[Turnstile]) -> None:
        if not gates:
            return
        asked_at = time.monotonic()
        held = limits.keep_slots(self._engine, self._holder)
        for gate in gates:
            gate.hear([each for each in held if each.account == gate.account], asked_at=asked_at)
            gate.yield_slots(idle_seconds=IDLE_SECONDS)


class Turnstile:
    """The gate of one account, for the threads of this process; a context manager factory, as the clients want it."""

    def __init__(self, engine: Engine, account: Account, holder: str, rules: Rules) -> None:
        self.account = account
        self._engine = engine
        self._rules = rules
        self._slots = _Slots(engine, account, holder, rules.places)
        self._budgets = {
            batches: _Calls(engine, account, budget, batches=batches)
            for batches, budget in ((False, rules.calls), (True, rules.batches))
            if budget is not None
        }
        self._braked_until = 0.0

    def __call__(self, operation: str = "") -> AbstractContextManager[None]:
        """Let one call through. Raises `RateLimited` when that would take too long: nothing was sent then."""
        return self._pass(operation)

    @contextmanager
    def _pass(self, operation: str) -> Iterator[None]:
        self._wait_out_brake()
        with self._slots.hold():
            for batches, calls in self._budgets.items():
                if not batches or operation == BATCH:
                    calls.take()
            self._wait_out_brake()
            yield

    @property
    def holds_slots(self) -> bool:
        """Whether there is anything to keep alive."""
        return self._slots.any_held

    def brake(self, seconds: float) -> None:
        """The other side asked for a pause: no process asks it anything until it is over."""
        self._brake_here(seconds)
        limits.brake(self._engine, self.account, seconds, budget=self._rules.calls)

    def hear(self, held: list[Held], *, asked_at: float) -> None:
        """Take note of what the database said about our slots, and of a brake another process put on."""
        self._slots.hear(held, asked_at=asked_at)
        braked = max((each.braked for each in held), default=0.0)
        if braked > 0:
            self._brake_here(braked)

    def yield_slots(self, *, idle_seconds: float) -> None:
        """Give back slots that are not used, or that others wait for."""
        self._slots.yield_idle(idle_seconds)

    def _brake_here(self, seconds: float) -> None:
        self._braked_until = max(self._braked_until, time.monotonic() + seconds)
        for calls in self._budgets.values():
            calls.forget()

    def _wait_out_brake(self) -> None:
        left = self._braked_until - time.monotonic()
        if left > SHORT_BRAKE:
            raise _refusal(self.account, left, braked=True)
        if left > 0:
            time.sleep(left)


class _Calls:
    """Leased calls of one budget, each with the moment from which it may be made."""

    def __init__(self, engine: Engine, account: Account, budget: Budget, *, batches: bool) -> None:
        self._engine, self._account, self._budget, self._batches = engine, account, budget, batches
        self._usable: deque[float] = deque()
        self._lock = threading.Lock()

    def take(self) -> None:
        """Wait for the next call's moment."""
        with self._lock:
            moment = self._next()
        if (left := moment - time.monotonic()) > 0:
            time.sleep(left)

    def forget(self) -> None:
        """Drop what was leased."""
        self._usable.clear()

    def _next(self) -> float:
        while True:
            try:
                moment = self._usable.popleft()
            except IndexError:
                self._lease()
                continue
            if moment > time.monotonic() - HORIZON_SECONDS:
                return moment

    def _lease(self) -> None:
        most = 1 if self._batches else BLOCK
        found = limits.lease_calls(
            self._engine, self._account, self._budget, most=most, batches=self._batches, patience=CALL_PATIENCE
        )
        if isinstance(found, Refused):
            raise _refusal(self._account, found.seconds, braked=found.braked)
        # What has been usable for long is as good as usable now; the horizon counts from the lease.
        now = time.monotonic()
        self._usable.extend(now + max(0.0, found.first + n * found.interval) for n in range(found.count))


class _Slots:
    """The slots of one account that this process holds."""

    def __init__(self, engine: Engine, account: Account, holder: str, places: int) -> None:
        self._engine, self._account, self._holder, self._places = engine, account, holder, places
        self._free: list[int] = []
        self._used: set[int] = set()
        self._wanted: set[int] = set()
        self._unknown: set[int] = set()
        self._since: dict[int, float] = {}
        self._changed = threading.Condition()
        self._opened = False
        self._ask_at = self._want_at = self._used_at = 0.0

    @property
    def any_held(self) -> bool:
        return bool(self._free or self._used)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Have a slot for as long as a call takes."""
        number = self._enter()
        try:
            yield
        finally:
            self._leave(number)

    def _enter(self) -> int:
        deadline = time.monotonic() + SLOT_PATIENCE
        with self._changed:
            while (number := self._find()) is None:
                if time.monotonic() > deadline:
                    raise _refusal(self._account, SHORT_BRAKE, braked=False)
                self._changed.wait(ASK_SECONDS)
            self._used.add(number)
            return number

    def _find(self) -> int | None:
        if self._free:
            return self._free.pop()
        if len(self._used) >= self._places or time.monotonic() < self._ask_at:
            return None
        return self._ask()

    def _ask(self) -> int | None:
        if not self._opened:
            limits.open_account(self._engine, self._account, places=self._places)
            self._opened = True
        number = limits.take_slot(self._engine, self._account, self._holder, places=self._places)
        now = time.monotonic()
        if number is None:
            self._ask_at = now + ASK_SECONDS
            if now > self._want_at:
                self._want_at = now + WANT_AGAIN_SECONDS
                limits.want_slot(self._engine, self._account, self._holder, places=self._places)
        else:
            self._since[number] = now
        return number

    def _leave(self, number: int) -> None:
        with self._changed:
            self._used_at = time.monotonic()
            ours = number in self._used
            self._used.discard(number)
            if ours and number not in self._wanted:
                self._free.append(number)
                self._changed.notify()
                return
            self._wanted.discard(number)
        if ours:
            self._give([number])

    def hear(self, held: list[Held], *, asked_at: float) -> None:
        """What we held when the database was asked, and what others wait for."""
        kept = {each.number for each in held}
        with self._changed:
            ours = kept | {number for number, since in self._since.items() if since >= asked_at}
            self._free = [number for number in self._free if number in ours]
            self._used &= ours
            self._wanted = {each.number for each in held if each.wanted}
            unknown = kept - self._used - set(self._free)
            # Twice in a row: not one that was given back while the database was asked.
            stray, self._unknown = unknown & self._unknown, unknown
        if stray:
            self._give(sorted(stray))

    def yield_idle(self, seconds: float) -> None:
        """Give back free slots that others wait for; all of them when none was used for so long."""
        with self._changed:
            idle = not self._used and time.monotonic() - self._used_at >= seconds
            given = [number for number in self._free if idle or number in self._wanted]
            self._free = [number for number in self._free if number not in given]
        if given:
            self._give(given)

    def _give(self, numbers: list[int]) -> None:
        try:
            limits.give_slots(self._engine, self._account, self._holder, numbers)
        except Transient as error:
            _log.warning("a slot could not be given back; it runs out by itself", reason=error.reason)


def _refusal(account: Account, seconds: float, *, braked: bool) -> RateLimited:
    system = "QuickBooks" if account.system == limits.QUICKBOOKS else "MplusKASSA"
    counters.THROTTLED.labels(account.system, "braked" if braked else "busy").inc()
    if braked:
        return RateLimited(f"{system} asked to slow down", after=seconds, code="braked")
    return RateLimited(f"more is waiting for {system} than it may be asked at once", after=seconds, code="busy")
