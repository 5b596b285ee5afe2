"""Setting up a connection: its till, a check of both systems, going live, loads. All audited; secrets write-only."""

from __future__ import annotations

import base64
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlsplit

from sqlmodel import Session
from starlette.requests import Request

from gateway import removal
from gateway.connectors import http
from gateway.database.sealing import Seal
from gateway.errors import AUTH_LOST
from gateway.queries import activity
from gateway.queries.activity import Progress
from gateway.store import audit, connections, event_history, inbox, requests, tokens
from gateway.store.connections import DEFAULT, Connection
from gateway.store.events import SETTLED, Change, Flow
from gateway.web import actions, inputs, services
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from mapping.messages import message

PAUSED_BY_HAND: Final = "paused by a person"
ADDRESS: Final = "/setup"
MISSING: Final = "this has to be filled in"
SECRETS: Final = "mplus_webhook_secrets"
FIELDS: Final = ("mplus_url", "mplus_ident", "mplus_secret", "mplus_subscription_id")
_MAX_SECRETS = 4


@dataclass(frozen=True, slots=True)
class Till:
    """What somebody says about a connection's till, by the fields of a connection; what was left out stays as it is.

    `moved` says that another address leads to the same installation.
    """

    said: Mapping[str, Any]
    moved: bool = False

    def __repr__(self) -> str:
        return f"Till({self.said.get('mplus_url')!r})"


def check_name(name: str) -> str:
    """A name that a connection may get. Raises `Refusal` 400."""
    if not connections.is_name(name):
        raise Refusal(400, connections.NAME_RULE)
    return name


def to_till(given: Mapping[str, Any], *, needed: Collection[str] = ()) -> Till:
    """The till as a JSON body says it. Raises `Refusal` 400, and 422 with what is wrong with each field.

    `needed` are the fields that may not be left out.
    """
    moved = inputs.find_switch(given, "moved")
    said: dict[str, Any] = {name: text for name in FIELDS if (text := inputs.find_text(given, name))}
    faults = [{"path": name, "message": MISSING} for name in needed if not given.get(name)]
    if url := said.get("mplus_url"):
        if fault := _find_url_fault(url):
            example = message("e.g. {example}", example="https://api.mpluskassa.nl:12345")
            faults.append({"path": "mplus_url", "message": fault, "hint": example})
        said["mplus_url"] = url.rstrip("/")
    rows = given.get(SECRETS)
    if rows is not None:  # several while they rotate
        if not (isinstance(rows, list) and all(isinstance(row, str) for row in rows)):
            raise Refusal(400, message("{name} should be a list of texts", name=SECRETS))
        said[SECRETS] = tuple(row.strip() for row in rows)
        if len(rows) > _MAX_SECRETS or not all(map(_is_base64, said[SECRETS])):
            hint = "copy it from the till's webhook settings; the newest first, separated by commas"
            faults.append({"path": SECRETS, "message": "a webhook secret is base64", "hint": hint})
    if faults:
        raise Refusal(422, "the till was refused; nothing was changed", faults=faults)
    return Till(said, moved=moved)


def _find_url_fault(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        known = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or parts.username:
        return "this is not the address of an installation"
    if http.is_metadata_number(parts.hostname or ""):
        return "no till is at a link-local or metadata address"
    if parts.scheme == "http" and not http.is_private_name(parts.hostname or ""):
        return "outside a private network the address has to begin with https://, or the secret could be read"
    return None


def _refuse_stored_secret(now: Connection, till: Till) -> None:
    """Credentials stored for one address are not sent to another: a new address needs ident and secret."""
    if "mplus_url" not in till.said or _origin(till.said["mplus_url"]) == _origin(now.mplus_url):
        return
    stored = {"mplus_ident": now.mplus_ident, "mplus_secret": now.mplus_secret}
    hint = "the stored one is sent to the address it was stored for only"
    again = {"message": "enter it again, because the address changed", "hint": hint}
    if faults := [{"path": path, **again} for path, value in stored.items() if value and path not in till.said]:
        raise Refusal(422, "another address needs ident and secret again; nothing was changed", faults=faults)


def _origin(url: str | None) -> tuple[str, str, int | None] | None:
    """The parts of an address that decide who receives what is sent there: scheme, host and port."""
    if url is None:
        return None
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, (parts.hostname or "").rstrip("."), port


def _is_base64(text: str) -> bool:
    try:
        return bool(base64.b64decode(text, validate=True))
    except ValueError:
        return False


async def keep_till(shared: Services, name: str, till: Till, *, actor: str) -> bool:
    """Store what was said, for a new connection or one there is; answers whether it is new.

    Raises `Refusal` 409 where it would follow another till from now on, or share one with another connection.
    """
    if name == DEFAULT and shared.settings.mplus_url:
        raise Refusal(409, "MPLUS_URL is set in the environment: change the till of this connection there")

    def keep(session: Session) -> bool:
        connections.hold_all(session)
        now = connections.find(session, name, shared.seal, hold=True)
        if now is None and connections.find_key(session, name) is not None:
            said = "another connection was called {name} at this moment; nothing was changed"
            raise Refusal(409, message(said, name=name))
        before = now or Connection(connections.new_key(session, check_name(name)), display_name=name)
        wanted = replace(before, **till.said)
        if before.live and before.mplus_url not in {None, wanted.mplus_url} and not till.moved:
            said = "this connection follows another till already; say `moved` if it is the same one at another address"
            raise Refusal(409, said)
        _refuse_stored_secret(before, till)
        _refuse_shared(wanted, [each for each in connections.every(session, shared.seal) if each.name != wanted.name])
        connections.save(session, wanted, shared.seal)
        if now is not None and wanted != now:
            inbox.requeue_parked(session, connection=wanted.name, code=AUTH_LOST)
        address = wanted.mplus_url or message("no address yet")
        target = message("connection {name}, {address}", name=wanted.display_name, address=address)
        audit.note(session, actor=actor, action="till", target=target)
        return now is None

    is_new = await shared.write(keep)
    shared.directory.forget()
    return is_new


def _refuse_shared(wanted: Connection, others: list[Connection]) -> None:
    for other in others:
        said = None
        if wanted.mplus_url and (wanted.mplus_url, wanted.mplus_ident) == (other.mplus_url, other.mplus_ident):
            said = "this till belongs to the connection {name}: its sales would be booked twice"
        elif wanted.mplus_subscription_id and wanted.mplus_subscription_id == other.mplus_subscription_id:
            said = "this webhook subscription belongs to the connection {name}"
        if said:
            raise Refusal(409, message(said, name=other.display_name))


async def check_up(shared: Services, name: str, *, actor: str) -> int:
    """Have a worker check both systems; answers the event whose result are the findings. Raises `Refusal` 404."""
    return await _ask(shared, name, requests.check_up(connection=name, actor=actions.SOURCE), "check", actor)


async def go_live(shared: Services, name: str, *, actor: str) -> int | None:
    """Resume a paused connection (None), or have a worker make a new one live (its event).

    Raises `Refusal` 404, and 409 while a side is missing.
    """

    def let_go_on(session: Session) -> Connection:
        connection = get(session, name, shared.seal)
        token = tokens.every(session).get(connection.name)
        is_connected = connection.realm_id is not None and tokens.is_authorised(token)
        if not connection.has_till:
            missing = message("the till's address, ident or secret is missing")
            raise Refusal(409, message("not yet: {missing}", missing=missing))
        # One that only resumes may go on: what it lacks is reported by its events.
        if not (connection.live or is_connected):
            raise Refusal(409, message("not yet: {missing}", missing=message("QuickBooks is not connected")))
        if connection.live:
            connections.go_live(session, name)
            audit.note(session, actor=actor, action="live", target=message("connection {name}", name=name))
        return connection

    if (await shared.write(let_go_on)).live:
        return None
    return await _ask(shared, name, requests.go_live(connection=name, actor=actions.SOURCE), "live", actor)


async def cancel_live(shared: Services, name: str, *, actor: str) -> None:
    """End a request to go live that waits for the till. Raises `Refusal` 404, 409."""
    wanted = requests.go_live(connection=name, actor=actions.SOURCE)
    event = await shared.read(lambda session: event_history.newest_about(session, wanted.subject))
    if event is not None and event.state not in SETTLED:
        target = message("connection {name}", name=name)
        await actions.ignore(shared, event.id, actor=actor, reason=None, action="cancel live", target=target)


async def pause(shared: Services, name: str, *, actor: str) -> None:
    """Stop a connection; what comes meanwhile waits. Raises `Refusal` 404."""

    def change(session: Session) -> None:
        get(session, name, shared.seal)
        connections.pause(session, name, PAUSED_BY_HAND)
        audit.note(session, actor=actor, action="pause", target=message("connection {name}", name=name))

    await shared.write(change)


async def rename(shared: Services, name: str, wanted: str, *, actor: str) -> None:
    """Rename a connection. Raises `Rejected` 400, 404, 409."""
    await shared.write(lambda session: removal.rename(session, name, wanted, actor=actor))
    shared.directory.forget()


async def remove(request: Request, data: removal.Data, *, actor: str) -> removal.RemovalResult:
    """Remove the connection of the address. Raises `Rejected` 404, 409."""
    shared, name = services.of(request), request.path_params["name"]
    outcome = await shared.run(lambda: removal.remove(shared.engine, shared.settings, name, data, actor=actor))
    shared.directory.forget()
    return outcome


async def _ask(shared: Services, name: str, change: Change, action: str, actor: str) -> int:
    def store(session: Session) -> int:
        get(session, name, shared.seal)
        return audit.ask(session, change, actor=actor, action=action, target=message("connection {name}", name=name))

    return await shared.ask(store)


def get(session: Session, name: str, seal: Seal) -> Connection:
    """The connection. Raises `Refusal` 404."""
    connection = connections.find(session, name, seal)
    if connection is None:
        raise Refusal(404, message("there is no connection {name}", name=name))
    return connection


# --- loads of what was there before -----------------------------------------------------------------------------------


LOADED: Final = (Flow.PRODUCTS, Flow.CUSTOMERS, Flow.ORDERS)


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


def read_loads(session: Session, connection: str) -> list[Load]:
    loads = []
    for flow in LOADED:
        event = event_history.newest_about(session, requests.backfill(flow, connection=connection).subject)
        after = activity.find_follower(session, event) if event and flow is Flow.PRODUCTS else None
        first = activity.look(session, event) if event else None
        loads.append(Load(flow, first, activity.look(session, after) if after else None))
    return loads


class Hold(StrEnum):
    """What a person does to a load that is not over."""

    PAUSE = "pause"
    RESUME = "resume"
    CANCEL = "cancel"


_HOLDS: Final = {Hold.PAUSE: requests.pause, Hold.RESUME: requests.resume, Hold.CANCEL: requests.cancel}


async def hold_load(shared: Services, event_id: int, wanted: Hold, *, connection: str | None, actor: str) -> None:
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
