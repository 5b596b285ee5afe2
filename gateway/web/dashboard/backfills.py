"""Loads of what was there before: asked for at the set-up, how far each has come; paused, let go on, cancelled."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from gateway.queries import activity
from gateway.store import audit, event_history, progress, requests
from gateway.store.events import Flow
from gateway.store.progress import Progress
from gateway.web import queries, services
from gateway.web.dashboard.rendering import render
from gateway.web.problems import Refusal
from gateway.web.services import Services
from gateway.web.sessions import Visitor
from mapping.messages import message


async def show_backfills(request: Request, visitor: Visitor) -> Response:
    """Those that are not over, and those that ended within a day."""
    found = await services.of(request).read(lambda session: activity.find_recent(session, visitor.connection))
    names = await services.names_of(request)
    return render(
        request,
        "backfills.html",
        open_ones=[each for each in found if not each.over],
        over=[each for each in found if each.over],
        several=len(names) > 1,
        names=list(await services.names_in_use(request)),
    )


async def hold_backfill(request: Request, visitor: Visitor, _form: dict[str, str]) -> Response:
    wanted = next((each for each in Hold if each == request.path_params["hold"]), None)
    if wanted is None:
        raise Refusal(404, "there is no such button")
    event_id = queries.to_id(request.path_params["id"])
    await hold(services.of(request), event_id, wanted, connection=visitor.connection, actor=visitor.actor)
    return RedirectResponse("/backfills", 303)


# --- a load, also on the page of the set-up ----------------------------------------------------------------------


FLOWS: Final = (Flow.PRODUCTS, Flow.CUSTOMERS, Flow.ORDERS)
NO_DAY: Final = "Choose the first day, not in the future."


@dataclass(frozen=True, slots=True)
class Load:
    """The last load of a flow, None before the first; `after` is the one of stock that follows that of products."""

    flow: Flow
    progress: Progress | None
    after: Progress | None

    @property
    def parts(self) -> list[Progress]:
        return [each for each in (self.progress, self.after) if each is not None]

    @property
    def running(self) -> bool:
        return any(not each.over for each in self.parts)


def read(session: Session, connection: str) -> list[Load]:
    loads = []
    for flow in FLOWS:
        event = event_history.newest_about(session, requests.backfill(flow, connection=connection).subject)
        after = activity.find_follower(session, event) if event and flow is Flow.PRODUCTS else None
        first = progress.look(session, event) if event else None
        loads.append(Load(flow, first, progress.look(session, after) if after else None))
    return loads


def find_day(text: str, *, today: date) -> date | None:
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
        event = activity.find_event(session, event_id)
        if event is None or connection not in {None, event.connection} or event.entity != requests.BACKFILLING:
            raise Refusal(404, "there is no such load")
        if not _HOLDS[wanted](session, event):
            raise Refusal(409, "this load is over")
        target = message("connection {name}, {flow}", name=event.connection, flow=message(event.flow))
        audit.note(session, actor=actor, action=f"{wanted} load", target=target)

    await shared.write(change)
    if wanted is Hold.RESUME:
        shared.notifier.notify([event_id])
