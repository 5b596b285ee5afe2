"""One chaos from the first morning to the verdict: trade and troubles by plan, then healing, draining, checking."""

from __future__ import annotations

import heapq
import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import make_url, select, update
from sqlmodel import col

from gateway.database.session import reading, writing
from gateway.store import cursors
from gateway.store.tables import CursorRow, TokenRow
from tests.chaos import goods
from tests.chaos.arena import Arena
from tests.chaos.checker import PARKED, check
from tests.chaos.history import History
from tests.chaos.person import Person
from tests.chaos.plan import Act, Plan, Trouble
from tests.chaos.report import Report
from tests.chaos.trade import DAYS, Trade
from tests.chaos.trouble import Troubles
from tests.chaos.witness import Witness
from tests.forking import Launch, launch_anew
from tests.servers import wait_until
from tests.stories.stage import REALM

_OPENING_SECONDS = 300.0
_LOOK_SECONDS = 1.0
_REMIND_SECONDS = 4.0
_QUIET_LOOKS = 30  # the polls look every second: what they have not found by then they never will
_PERSON_SECONDS = 5.0
_CONNECT_SECONDS = 45.0
_AGREE_SECONDS = 300
_UNKNOWN_WRITERS = ("backup restored", "second deployment")


@dataclass
class Chaos:
    """Carries out a plan. `bound` is how many seconds may pass between healing and rest; `say` hears how it goes."""

    plan: Plan
    folder: Path
    url: str
    command: str
    bound: float
    say: Callable[[str], None] = lambda _: None
    launch: Launch = launch_anew
    connected_again: int = field(default=0, init=False)
    _connects_from: float = field(default=0.0, init=False)

    def run(self) -> Report:
        """From the first morning to the verdict."""
        self.arena = Arena(self.folder, self.url, seed=self.plan.seed, launch=self.launch)
        try:
            self.trade = Trade(self.arena.stage.books, REALM, self.arena.stage.till, seconds=self.plan.seconds)
            self.troubles = Troubles(self.arena, self.trade, self.plan.seed)
            self.witness = Witness(self.arena, self.trade)
            collisions = self.troubles.collisions
            self.witness.excused, collisions.list_acknowledged = collisions.excused, self.witness.list_acknowledged
            self.person = Person(self.arena, self.troubles.happened)
            try:
                return self._run()
            finally:
                collisions.second.stop()
        finally:
            self.arena.close()

    def _run(self) -> Report:
        began = time.monotonic()
        self.arena.open()
        wait_until(self._is_open, seconds=_OPENING_SECONDS, what="the first load")
        self._begin_before_the_trade()
        if any(trouble.name == "second deployment" for trouble in self.plan.troubles):
            self.troubles.collisions.second.prepare()
        self.arena.mistreat()
        opened = time.monotonic()
        self._carry_out()
        traded = time.monotonic()
        self._heal()
        self._drain()
        drained = time.monotonic()
        agreed = self._ask_agreement()
        self._drain()  # meanwhile polls went on, and told of what was drained
        history = self.witness.tell(texts=True, agreed=agreed)
        return self._report(history, [opened - began, traded - opened, drained - traded, time.monotonic() - drained])

    def _is_open(self) -> bool:
        articles = self.arena.stage.articles()
        known = all(number in articles for number in (*goods.STOCKED, *goods.RANGE))
        return known and not self.witness.count_pending()

    def _begin_before_the_trade(self) -> None:
        """The trade is of days that are over: the connection is older than they are, so none of it was before."""
        began = datetime.now(UTC) - timedelta(days=DAYS + 1)
        with writing(self.arena.engine) as session:
            sales = col(CursorRow.source).in_((cursors.RECEIPTS, cursors.INVOICES))
            session.execute(update(CursorRow).where(sales).values(began_at=began))

    # --- by plan ---

    def _carry_out(self) -> None:
        began = time.monotonic()
        self._ends: list[tuple[float, int, Callable[[], None]]] = []
        looked = 0.0
        for number, step in enumerate(self.plan.steps):
            self._wait(began, step.at)
            if step.at - looked > _PERSON_SECONDS:
                looked = step.at
                self._look_after(time.monotonic() - began)
            self._take(step, number)
        self._wait(began, float("inf"), patient=False)

    def _take(self, step: Act | Trouble, number: int) -> None:
        if isinstance(step, Act):
            self.trade.do(step)
            return
        end = self.troubles.begin(step)
        if end is not None:
            heapq.heappush(self._ends, (step.at + step.seconds, number, end))

    def _wait(self, began: float, until: float, *, patient: bool = True) -> None:
        """Until that moment of the plan, ending meanwhile what ends."""
        while self._ends and self._ends[0][0] <= until:
            at, _, end = heapq.heappop(self._ends)
            time.sleep(max(0.0, began + at - time.monotonic()))
            end()
        if patient:
            time.sleep(max(0.0, began + until - time.monotonic()))

    def _look_after(self, at: float) -> None:
        self._connect_again()
        self.witness.look_for_cooldowns()
        self.say(f"{at:.0f} s: {self.trade.done.total()} acts, {self.troubles.happened.total()} troubles")

    def _connect_again(self) -> None:
        """What a person does when the books do not let us in any more: connect once more."""
        with reading(self.arena.engine) as session:
            lost = session.execute(select(col(TokenRow.lost)).where(col(TokenRow.lost).is_not(None))).first()
        if lost and time.monotonic() > self._connects_from:
            self._connects_from = time.monotonic() + _CONNECT_SECONDS
            self.connected_again += 1
            grant = self.arena.stage.books.connect(REALM, "client")
            self.arena.stage.environment["QUICKBOOKS_REFRESH_TOKEN"] = str(grant["refresh_token"])
            self.arena.troupe.restart("clock")  # it reads the environment for everybody

    # --- afterwards ---

    def _heal(self) -> None:
        self.arena.heal()
        self.trade.close()
        self.say(f"healed; {self.witness.count_pending()} pending")

    def _drain(self) -> None:
        """Until nothing waits and nothing is wrong any more, or the time is over: then the verdict says what."""
        end, remind, quiet = time.monotonic() + self.bound, 0.0, 0
        while time.monotonic() < end and quiet < _QUIET_LOOKS:
            if time.monotonic() > remind:
                self._connect_again()
                self.troubles.remind()
                remind = time.monotonic() + _REMIND_SECONDS
            self.witness.look_for_cooldowns()
            self.person.look()
            self.witness.has_unknown_writers = any(map(self.troubles.happened.get, _UNKNOWN_WRITERS))
            quiet = 0 if (pending := self.witness.count_pending()) else quiet + 1
            if not pending and not any(check(self.witness.tell()).values()):
                return
            self.say(f"{pending} pending")
            time.sleep(_LOOK_SECONDS)

    def _ask_agreement(self) -> str | None:
        start = self.trade.today - timedelta(days=DAYS - 1)
        days = ("--from", start.isoformat(), "--through", self.trade.today.isoformat())
        command = [sys.executable, "-m", "gateway", "agree", "--json", "--wait", str(_AGREE_SECONDS), *days]
        stage = self.arena.stage
        done = subprocess.run(
            command,
            env=stage.environment,
            cwd=stage.folder,
            capture_output=True,
            check=False,
            timeout=_AGREE_SECONDS + 30,
        )
        if not done.stdout.strip():
            return f"nothing: {done.stderr.decode()[-500:]}"
        report = json.loads(done.stdout)
        if "rows" not in report:  # no worker has finished the comparison: the answer says why
            return str(report)
        return None if report["agrees"] else f"{len(report['rows'])} differences, first {report['rows'][:3]}"

    def _report(self, history: History, took: list[float]) -> Report:
        slowest, left_out = self.witness.find_slowest_recovery()
        outbox, seen = self.arena.stage.books.outbox, self.arena.stage.till.courier.seen
        figures = {
            "seconds": "first load {:.0f}, trade {:.0f}, healing and draining {:.0f}, checking {:.0f}".format(*took),
            "webhooks": f"{outbox.attempts + len(seen)} deliveries, {len(history.acknowledged)} events acknowledged",
            "events": f"{len(history.rows)} in the inbox",
            "sales": f"{len(history.sales)} at the till, {len(history.entries)} documents and payments in the books",
            "recovery": f"{len(self.arena.troupe.kills)} kills, at most {slowest:.1f} s from one to the "
            f"next event that came to its end ({left_out} left out: then a vendor had asked for calm)",
            "connected again by a person": str(self.connected_again),
            "told to a person, who did what the event says": _list(self.person.followed),
            "former names left, because an unknown writer wrote them": str(len(self.witness.kept_names)),
            "installations that signed documents which stand": _list(self.witness.count_signatures()),
            "vendors failed": f"{self.arena.stage.books.injected.struck} calls of the books by order",
        }
        return Report(
            seed=self.plan.seed,
            database=make_url(self.url).get_backend_name(),
            command=self.command,
            history=history,
            findings=check(history),
            parked=[f"{row.about}: {row.reason} ({row.fix})" for row in history.rows if row.state == PARKED],
            acts=self.trade.done,
            troubles=self.troubles.happened,
            strikes=self.arena.count_strikes(),
            ended=self.arena.troupe.ended,
            figures=figures,
        )


def _list(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{times} x {name}" for name, times in sorted(counts.items())) or "nothing"
