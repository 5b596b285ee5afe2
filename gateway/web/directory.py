"""Which connection a delivery belongs to: companies and till subscriptions, kept for a few seconds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import Engine

from gateway.store import connections
from gateway.store.sealing import Seal
from gateway.store.session import reading


@dataclass(frozen=True, slots=True)
class Subscription:
    """The webhook subscription of a till: whose it is and the secrets that may sign for it."""

    connection: str
    id: str
    secrets: tuple[str, ...]

    def __repr__(self) -> str:
        return f"Subscription({self.connection!r})"


@dataclass(frozen=True, slots=True)
class Directory:
    """Connections by company, subscriptions by their id, what each is called by its key, and its key by that.

    `keys` also has what a connection was called first, so that an old address still leads to it.
    """

    names_by_realm: Mapping[str, str]
    subscriptions: Mapping[str, Subscription]
    display_names: Mapping[str, str]
    keys: Mapping[str, str]


def read(engine: Engine, seal: Seal) -> Directory:
    """The directory as the database has it now. Raises `Transient`."""
    with reading(engine) as session:
        every, called = connections.every(session, seal), connections.display_names(session)
    return Directory(
        names_by_realm={c.realm_id: c.name for c in every if c.realm_id},
        subscriptions={
            c.mplus_subscription_id: Subscription(c.name, c.mplus_subscription_id, c.mplus_webhook_secrets)
            for c in every
            if c.mplus_subscription_id and c.mplus_webhook_secrets
        },
        display_names=called,
        keys={c.name: c.name for c in every} | {c.display_name: c.name for c in every},
    )
