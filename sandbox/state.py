"""Both systems on disk: opened (or furnished, the first time), and the books saved while they change."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from pathlib import Path

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sandbox import shop
from sandbox.mpluskassa.simulation import Simulation as Till
from sandbox.mpluskassa.webhooks import Subscription
from sandbox.quickbooks import snapshot
from sandbox.quickbooks.simulation import Simulation as Books
from sandbox.settings import Settings, SettingsError

SAVE_EVERY_SECONDS = 1.0
RESTING_SHARE = 20
"""A save that takes a second is followed by this many without one."""
DELIVERY_TIME_SCALE = 0.1
_TOKEN_PATH = "/oauth2/"


@dataclass(frozen=True, slots=True)
class Simulations:
    """The books and the till, and the file of the books (the till knows its own)."""

    books: Books
    till: Till
    books_file: Path

    def save(self) -> None:
        """Write both, each whole or not at all."""
        snapshot.save(self.books, self.books_file)
        if self.till.snapshot is not None:
            self.till.save(self.till.snapshot)


def open_simulations(settings: Settings) -> Simulations:
    """The systems as they were left, furnished if they are new; set to what the settings say of apps and addresses.

    Raises `SettingsError` when what is kept belongs to another company, or is not complete.
    """
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    books_file, till_file = settings.state / "books.json", settings.state / "till.json"
    if books_file.exists() != till_file.exists():
        raise _unfit(settings, "holds only one of the two systems")
    fresh = not books_file.exists()
    till = Till(ident=settings.ident, secret=settings.secret, seed=settings.seed, snapshot=till_file)
    books = Books(seed=settings.seed) if fresh else snapshot.load(books_file)
    if fresh:
        shop.furnish(books, till, settings.seed, realm=settings.realm_id)
    elif settings.realm_id not in books.companies:
        raise _unfit(settings, "belongs to another company")
    _connect_books(books, settings)
    _connect_till(till, settings)
    simulations = Simulations(books, till, books_file)
    simulations.save()
    return simulations


def _unfit(settings: Settings, what: str) -> SettingsError:
    return SettingsError(f"SANDBOX_STATE_DIR should be an empty folder or our own, but {settings.state} {what}")


def _connect_books(books: Books, settings: Settings) -> None:
    """The app, its grant and its address. A refresh token seen before is left alone: it may have rotated since."""
    books.register_app(settings.client_id, settings.client_secret, "*")
    if settings.refresh_token not in books.grants.refreshes:
        books.grants.plant(settings.client_id, settings.realm_id, settings.refresh_token)
    deliveries = books.switches.deliveries
    deliveries.url, deliveries.verifier = settings.quickbooks_webhook_url, settings.verifier
    deliveries.time_scale = DELIVERY_TIME_SCALE


def _connect_till(till: Till, settings: Settings) -> None:
    till.unsubscribe()
    if settings.mplus_webhook_url:
        till.subscribe(Subscription(settings.subscription_id, settings.webhook_secret, settings.mplus_webhook_url))


async def keep_books(simulations: Simulations) -> None:
    """Save the books soon after they changed, until cancelled; large ones are saved less often."""
    saved = _count_changes(simulations.books)
    while True:
        await asyncio.sleep(SAVE_EVERY_SECONDS)
        changes = _count_changes(simulations.books)
        if changes != saved:
            saved, began = changes, time.monotonic()
            await asyncio.to_thread(snapshot.save, simulations.books, simulations.books_file)
            await asyncio.sleep(RESTING_SHARE * (time.monotonic() - began))


def _count_changes(books: Books) -> tuple[int, ...]:
    outbox = books.outbox
    return outbox.made, outbox.delivered, outbox.attempts, len(books.ledger.effects), books.grants.issued


class TokensKept:
    """Middleware of the books: a rotated refresh token is on disk before it is answered, whatever happens next."""

    def __init__(self, app: ASGIApp, simulations: Simulations) -> None:
        self._app, self._simulations = app, simulations

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        about_tokens = scope["type"] == "http" and scope["path"].startswith(_TOKEN_PATH)
        await self._app(scope, receive, self._to_keeping(send) if about_tokens else send)

    def _to_keeping(self, send: Send) -> Send:
        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                await asyncio.to_thread(snapshot.save, self._simulations.books, self._simulations.books_file)
            await send(message)

        return keep
