"""`doctor`: checks what can be checked from here, has a worker check the outside, and says how to fix each problem."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, func, select
from sqlmodel import Session, col

from gateway import findings
from gateway.doctor import checks
from gateway.findings import Check, Finding
from gateway.settings import Settings
from gateway.store import connections, counts, tokens, views
from gateway.store.connections import Connection
from gateway.store.sealing import Seal
from gateway.store.session import reading
from gateway.store.tables import InboxRow
from gateway.web import deliveries
from mapping.messages import message


@dataclass(frozen=True, slots=True)
class Installation:
    """What this side is checked with; of the connections `only` those with these keys, by default all."""

    settings: Settings
    engine: Engine
    seal: Seal
    only: Collection[str] | None = None


def _on_server(look: Callable[[Installation], Finding]) -> Callable[[Installation], list[Finding]]:
    return lambda at: [look(at)] if at.engine.dialect.name == "postgresql" else []


_NEEDS: Final = frozenset({"database"})
CHECKS: Final[tuple[Check[Installation], ...]] = (
    Check("settings", lambda at: checks.check(at.settings)),
    Check("PUBLIC_URL", lambda at: checks.check_address(at.settings)),
    Check("single sign-on", lambda at: checks.check_single_sign_on(at.settings)),
    Check("broker", lambda at: checks.check_broker(at.settings)),
    Check("database", lambda at: [checks.check_schema(at.settings, at.engine)]),
    Check("PostgreSQL", _on_server(lambda at: checks.check_version(at.engine)), _NEEDS),
    Check("pooler", _on_server(lambda at: checks.check_pooler(at.engine)), _NEEDS),
    Check("connections left", _on_server(lambda at: checks.check_capacity(at.settings, at.engine)), _NEEDS),
    Check("clocks", lambda at: [checks.check_clocks(at.engine)], _NEEDS),
    Check("processes", lambda at: [checks.check_processes(at.engine)], _NEEDS),
    Check("connections", lambda at: check_connections(at.settings, at.engine, at.seal, at.only), _NEEDS),
)


def examine(at: Installation) -> Iterator[Finding]:
    """Every check of this side, in order."""
    return findings.run(CHECKS, at, otherwise="start it, or correct DATABASE_URL")


def check_connections(
    settings: Settings, engine: Engine, seal: Seal, only: Collection[str] | None = None
) -> Iterator[Finding]:
    with reading(engine) as session:
        every = [each for each in connections.every(session, seal) if only is None or each.name in only]
        unknown = connections.with_unknown_status(session) if only is None else []
        held = {each.name: tokens.find(session, each.name, seal) for each in every}
        found = [*_check_webhooks(settings, session, every), _check_plan(settings, session)]
    if not every and not unknown:
        yield Finding(
            "connections", "none yet", "connect both systems in the dashboard, or set MPLUS_* and QUICKBOOKS_*"
        )
    for called, status in unknown:
        said = message('stopped: its status "{status}" is one of a later release', status=status)
        yield Finding(message("connection {name}", name=called), said, "run the release that set it, or a later one")
    for connection in every:
        yield _check_connection(connection)
        yield _check_tokens(connection, held[connection.name])
    yield from found


def _check_connection(connection: Connection) -> Finding:
    missing = [
        name
        for name, value in (
            ("a QuickBooks company", connection.realm_id),
            ("the till's address", connection.mplus_url),
            ("the till's ident", connection.mplus_ident),
            ("the till's secret", connection.mplus_secret),
        )
        if not value
    ]
    subject = f"connection {connection.display_name}"
    if missing:
        return Finding(subject, f"lacks {', '.join(missing)}", "finish the assistant in the dashboard")
    if connection.paused:
        return Finding(subject, f"paused: {connection.paused}", "remove the cause, then resume it in the dashboard")
    return Finding(subject, "live" if connection.live else "complete", "" if connection.live else "let it go live")


def _check_tokens(connection: Connection, held: tokens.Tokens | None) -> Finding:
    subject = f"authorisation {connection.name}"
    if held is None or not held.refresh:
        return Finding(subject, "QuickBooks was never connected", "connect QuickBooks in the dashboard")
    if held.lost_code:
        return Finding(subject, f"refused: {held.lost}", tokens.REFUSED)
    if held.lost:
        return Finding(subject, f"lost: {held.lost}", "connect QuickBooks again in the dashboard")
    until = f"{held.refresh_expires_at:%Y-%m-%d}" if held.refresh_expires_at else "unknown (not refreshed yet)"
    return Finding(subject, f"good until {until}")


def _check_webhooks(settings: Settings, session: Session, every: list[Connection]) -> Iterator[Finding]:
    """Whether webhooks that are set up have ever come; before the first connection none can."""
    for connection in every if settings.quickbooks_verifiers else ():
        fix = "enter PUBLIC_URL/webhooks/quickbooks in Intuit's portal, tick the entities, send a test event there"
        yield _check_heard("QuickBooks", connection, _newest(session, connection, of_till=False), fix)
    for connection in every:
        if connection.mplus_webhook_secrets:
            fix = (
                "enter PUBLIC_URL/webhooks/mpluskassa in the till's back office (module webhooks), then sell something"
            )
            yield _check_heard("MplusKASSA", connection, _newest(session, connection, of_till=True), fix)


def _check_heard(system: str, connection: Connection, last: datetime | None, fix: str) -> Finding:
    subject = f"webhooks of {system}, {connection.name}"
    return (
        Finding(subject, f"the last came {last:%Y-%m-%d %H:%M} UTC") if last else Finding(subject, "none came yet", fix)
    )


def _newest(session: Session, connection: Connection, *, of_till: bool) -> datetime | None:
    from_till = col(InboxRow.entity).in_((deliveries.SESSION, deliveries.COMPLAINT))
    mine = (col(InboxRow.connection) == connection.name) & (col(InboxRow.source) == deliveries.SOURCE)
    statement = select(func.max(col(InboxRow.received_at))).where(mine, from_till if of_till else ~from_till)
    found: datetime | None = session.execute(statement).scalar_one_or_none()
    return found


def _check_plan(settings: Settings, session: Session) -> Finding:
    now = views.now_of(session)
    used = counts.forecast_reads(
        counts.calls_of_month(session, f"{now:%Y-%m}"), now=now, allowance=settings.quickbooks_monthly_reads
    )
    said = f"{used.reads} of {used.allowance} used in {used.month}, {used.forecast} expected"
    risky = used.warning or used.forecast > used.allowance
    fix = "raise QUICKBOOKS_CDC_SECONDS, buy a larger plan, or correct QUICKBOOKS_MONTHLY_READS" if risky else ""
    return Finding("metered reads", said, fix)
