"""Looks for what needs a person and tells people, each cause once; two processes that do it send one message."""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import Engine

from gateway import alerts
from gateway.alerts import Channel, Untold
from gateway.settings import Settings
from gateway.store import alerts as rows
from gateway.store import causes, presence
from gateway.store.causes import Patience
from gateway.store.session import reading, writing
from gateway.store.tables import AlertRow

SECONDS = 15.0
_log = structlog.get_logger(__name__)


class Watch:
    """One process's look-out."""

    def __init__(self, engine: Engine, settings: Settings) -> None:
        self._engine = engine
        self._settings = settings
        self._channels = alerts.open_channels(settings)
        self._patience = Patience(timedelta(minutes=settings.alert_minutes), settings.quickbooks_monthly_reads)

    def look(self) -> None:
        """Note what is wrong and what is over, then tell whoever does not know yet."""
        with reading(self._engine) as session:
            found = causes.find_causes(session, self._patience)
        with writing(self._engine) as session:
            rows.note(session, found)
            unsent = rows.take_unsent(session)
        for alert in unsent:
            self._tell(alert)

    def stand_in(self) -> None:
        """Look out when no clock process does: a clock that is gone cannot say so itself."""
        with reading(self._engine) as session:
            roles = {process.role for process in presence.alive(session)}
        if "clock" not in roles:
            self.look()

    def _tell(self, alert: AlertRow) -> None:
        message = alerts.to_message(alert, self._settings)
        told = {name for name in (alert.clear_told if message.cleared else alert.told).split(",") if name}
        _log.info("alert", cause=alert.cause, title=alert.title, cleared=message.cleared)
        for name, channel in self._channels.items():
            if name not in told and _sent(name, channel, message):
                told.add(name)
        with writing(self._engine) as session:
            rows.tell(session, alert, sorted(told), everyone=told >= set(self._channels))


def _sent(name: str, channel: Channel, message: alerts.Message) -> bool:
    try:
        channel(message)
    except Untold as error:
        _log.warning("an alert could not be sent and is tried again", channel=name, reason=str(error))
        return False
    return True
