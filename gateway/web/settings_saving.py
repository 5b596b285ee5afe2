"""Putting a settings document in force: a worker first checks it against both systems, if one answers in time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlmodel import Session

from gateway.store import audit, connections, documents, inbox, installation, progress, requests, views
from gateway.store.events import State
from gateway.web import presentation, waiting
from gateway.web.problems import Refusal
from gateway.web.services import Services
from mapping.messages import message
from mapping.settings_document import DocumentError, DocumentFault

CHECK_SECONDS = 10.0
"""How long somebody who saves a document waits for the check; then it is saved without."""


ACTION = "settings"


@dataclass(frozen=True, slots=True)
class Draft:
    """A document to put in force, and why. `after` is the version they had before them, if that counts."""

    text: str
    actor: str
    reason: str | None = None
    after: int | None = None


@dataclass(frozen=True, slots=True)
class Saved:
    """A document in force. `checked` says whether both systems were asked; `warnings` are worth a look."""

    version: int
    checked: bool
    warnings: tuple[DocumentFault, ...] = ()


async def save(shared: Services, name: str, draft: Draft) -> Saved:
    """Check and put in force. Raises `SettingsError` with what neither system has, `Refusal` 404, `Outdated`."""
    found = await _check(shared, name, draft)
    if faults := _to_faults(found, "faults"):
        raise DocumentError(faults)
    checked = found is not None and not found.get("unasked")
    version, event_ids = await shared.write(lambda session: store(session, name, draft, checked=checked))
    shared.notifier.notify(event_ids)
    return Saved(version, checked, _to_faults(found, "warnings"))


async def _check(shared: Services, name: str, draft: Draft) -> Mapping[str, Any] | None:
    """What a worker found, or None when none could look."""

    def ask(session: Session) -> int | None:
        must_exist(session, name)
        if "worker" not in {process.role for process in installation.alive(session)}:
            return None
        change = requests.check_settings(draft.text, connection=name, actor=draft.actor)
        (received,) = inbox.receive(session, [change])
        return received.id

    event_id = await shared.write(ask)
    if event_id is None:
        return None
    shared.notifier.notify([event_id])
    settled, event_id = await waiting.wait_until_settled(shared, event_id, seconds=CHECK_SECONDS)
    event = await shared.read(lambda session: views.find_event(session, event_id)) if settled else None
    found = presentation.parse(event.result) if event and event.state == State.DONE else None
    return found if isinstance(found, Mapping) else None


def store(session: Session, name: str, draft: Draft, *, checked: bool) -> tuple[int, list[int]]:
    """Put a document in force, audited; answers its version, and the events by which it is checked later.

    Raises `Refusal` 404, `Outdated`.
    """
    must_exist(session, name)
    version = documents.save(session, name, draft.text, author=draft.actor, after=draft.after)
    audit.note(session, actor=draft.actor, action=ACTION, target=to_target(name, version), reason=draft.reason)
    return version, progress.request_check(session, name, version, checked=checked)


def to_target(name: str, version: int) -> str:
    """A version as the audit names it."""
    return message("connection {name}, version {version}", name=name, version=version)


def must_exist(session: Session, name: str) -> None:
    """Raises `Refusal` 404 for an unknown connection."""
    if name not in connections.names(session):
        raise Refusal(404, f"there is no connection {name}")


def _to_faults(found: Mapping[str, Any] | None, kind: str) -> tuple[DocumentFault, ...]:
    rows = (found or {}).get(kind) or ()
    return tuple(DocumentFault(str(row["path"]), str(row["message"]), str(row["hint"])) for row in rows)
