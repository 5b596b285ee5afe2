"""The first load of a connection, on its set-up page: asked for by flow, with progress, paused and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final

from sqlmodel import Session

from gateway.store import audit, progress, requests, views
from gateway.store.events import Flow
from gateway.store.progress import Progress
from gateway.web import actions
from gateway.web.problems import Refusal
from gateway.web.services import Services
from mapping.messages import message

FLOWS: Final = (Flow.PRODUCTS, Flow.CUSTOMERS, Flow.ORDERS)
TITLES: Final = {
    Flow.PRODUCTS: "Products, their categories and stock",
    Flow.CUSTOMERS: "Customers of the till",
    Flow.ORDERS: "Sales from a day on",
}
NO_DAY: Final = "Choose the first day, not in the future."


@dataclass(frozen=True, slots=True)
class Load:
    """The last load of a flow, None before the first; `after` is the one of stock that follows that of products."""

    flow: Flow
    progress: Progress | None
    after: Progress | None

    @property
    def title(self) -> str:
        """What is loaded, in a person's words."""
        return TITLES[self.flow]

    @property
    def parts(self) -> list[Progress]:
        """The load, and the one that follows it."""
        return [each for each in (self.progress, self.after) if each is not None]

    @property
    def running(self) -> bool:
        """Whether it is not over, paused or not."""
        return any(not each.over for each in self.parts)


def read(session: Session, connection: str) -> list[Load]:
    """The last load of every flow."""
    return [_read_one(session, connection, flow) for flow in FLOWS]


def _read_one(session: Session, connection: str, flow: Flow) -> Load:
    event = views.newest_about(session, requests.backfill(flow, connection=connection).subject)
    if event is None:
        return Load(flow, None, None)
    after = progress.find_follower(session, event) if flow is Flow.PRODUCTS else None
    return Load(flow, progress.look(session, event), progress.look(session, after) if after else None)


def find_day(text: str, *, today: date) -> date | None:
    """The first day of a load of sales, if it is one."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day <= today else None


async def hold(shared: Services, event_id: int, *, connection: str, pause: bool, actor: str) -> None:
    """Pause a load of this connection, or let it go on. Raises `Refusal` 404, 409."""

    def change(session: Session) -> None:
        event = views.find_event(session, event_id)
        if event is None or event.connection != connection or event.entity != requests.BACKFILLING:
            raise Refusal(404, "there is no such load")
        changed = progress.pause(session, event) if pause else progress.resume(session, event)
        if not changed:
            raise Refusal(409, "this load is over")
        action = "pause load" if pause else "resume load"
        audit.note(
            session,
            actor=actor,
            action=action,
            target=message("connection {name}, {flow}", name=connection, flow=message(event.flow)),
        )

    await shared.write(change)
    if not pause:
        shared.notifier.notify([event_id])


async def begin(shared: Services, flow: Flow, *, since: date | None, connection: str, actor: str) -> None:
    """Ask for everything of a flow."""
    await actions.backfill(shared, flow, since=since, connection=connection, actor=actor)
