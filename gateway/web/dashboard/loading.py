"""The first load of a connection, on its set-up page: asked for by flow, with progress, paused and resumed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
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
        return TITLES[self.flow]

    @property
    def parts(self) -> list[Progress]:
        return [each for each in (self.progress, self.after) if each is not None]

    @property
    def running(self) -> bool:
        return any(not each.over for each in self.parts)


def read(session: Session, connection: str) -> list[Load]:
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


class Hold(StrEnum):
    """What a person does to a load that is not over."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_HOLDS: Final = {Hold.PAUSE: progress.pause, Hold.RESUME: progress.resume, Hold.CANCEL: progress.cancel}


async def hold(shared: Services, event_id: int, wanted: Hold, *, connection: str | None, actor: str) -> None:
    """Pause a load (of this connection), let it go on, or cancel it. Raises `Refusal` 404, 409."""

    def change(session: Session) -> None:
        event = views.find_event(session, event_id)
        if event is None or connection not in {None, event.connection} or event.entity != requests.BACKFILLING:
            raise Refusal(404, "there is no such load")
        if not _HOLDS[wanted](session, event):
            raise Refusal(409, "this load is over")
        audit.note(
            session,
            actor=actor,
            action=f"{wanted} load",
            target=message("connection {name}, {flow}", name=event.connection, flow=message(event.flow)),
        )

    await shared.write(change)
    if wanted is Hold.RESUME:
        shared.notifier.notify([event_id])


async def begin(shared: Services, flow: Flow, *, since: date | None, connection: str, actor: str) -> None:
    await actions.backfill(shared, flow, since=since, connection=connection, actor=actor)
