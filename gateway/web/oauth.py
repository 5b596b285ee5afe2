"""Connecting a QuickBooks company: to Intuit's consent page and back, with a state that fits one browser once."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

import anyio
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from gateway import removal, token_manager
from gateway.connectors.http import open_http
from gateway.connectors.quickbooks.auth import TokenPair
from gateway.connectors.quickbooks.client import QuickBooks
from gateway.database.sealing import Seal
from gateway.errors import AUTH_LOST
from gateway.settings import Settings
from gateway.store import audit, connections, cursors, inbox, leases, tokens
from gateway.web import inputs, services, setups
from gateway.web.access import drop_cookie, find_statement, find_visitor, for_visitors, set_cookie
from gateway.web.inputs import Refusal
from gateway.web.services import Services
from gateway.web.sessions import Right, Visitor
from mapping.messages import message

CALLBACK = "/oauth/quickbooks/callback"
_COOKIE = "_state"
_STATE_SECONDS = 900
_PURPOSE = "quickbooks-state"
_LOOKS, _LOOK_SECONDS = 20, 0.25
_START_AGAIN = "this answer of QuickBooks does not belong to a connection you started here; start again"


@dataclass(frozen=True, slots=True)
class _Issued:
    """A token for the one call that proves it opens this company; it was just issued, so it is never renewed."""

    token: str

    def access(self) -> str:
        return self.token

    def renew(self, rejected: str) -> str:
        return rejected

    def refuse(self, code: str) -> None:
        """The caller is told by the error."""


def routes() -> list[Route]:
    return [
        Route("/connect/quickbooks", for_visitors(start, right=Right.CONFIGURE), methods=["GET"]),
        Route(CALLBACK, finish, methods=["GET"]),
    ]


async def start(request: Request, visitor: Visitor) -> Response:
    """To the consent page. `?connection=` names the connection (default: the first one)."""
    shared = services.of(request)
    settings = shared.settings
    if not (settings.quickbooks_client_id and settings.quickbooks_client_secret):
        raise Refusal(409, "set QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET first (from Intuit's portal)")
    state = secrets.token_urlsafe(32)
    name = setups.check_name(inputs.find_text(request.query_params, "connection") or connections.DEFAULT)
    statement = {"state": state, "session": visitor.session_id, "connection": name}
    with open_http() as http:
        address = removal.open_oauth(http, settings).consent_url(redirect_uri=redirect_uri(settings), state=state)
    response = RedirectResponse(address, 302)
    signed = shared.sessions.sign(_PURPOSE, statement, seconds=_STATE_SECONDS)
    set_cookie(request, response, signed, suffix=_COOKIE, seconds=_STATE_SECONDS)
    return response


async def finish(request: Request) -> Response:
    """Back from the consent page: the state is checked before anything, the company before anything is stored."""
    shared = services.of(request)
    request.state.back = setups.ADDRESS
    statement, visitor = find_statement(request, _PURPOSE, _COOKIE), await find_visitor(request)
    if statement is None or visitor is None or statement["session"] != visitor.session_id:
        raise Refusal(400, _START_AGAIN)
    # In all processes. `Transient` while the database cannot say it.
    is_first = await shared.write(lambda session: leases.use_once(session, statement["state"], seconds=_STATE_SECONDS))
    name, actor = str(statement["connection"]), visitor.actor
    page = f"{setups.ADDRESS}/{quote(name, safe='')}"
    request.state.back = f"{page}#books"
    if not is_first:
        return await _await_first(shared, name, page)
    given = request.query_params
    if "error" in given:
        raise Refusal(400, "the consent page was left without agreeing")
    code, realm = given.get("code", ""), given.get("realmId", "")
    if not code or not realm.isascii() or not realm.isdigit():
        raise Refusal(400, _START_AGAIN)

    def exchange() -> TokenPair:
        """The tokens, after they opened this very company: the realm in the address is not signed."""
        with open_http() as http:
            pair = removal.open_oauth(http, shared.settings).exchange(code, redirect_uri(shared.settings))
            base_url = shared.settings.quickbooks_api_url
            QuickBooks(http, base_url=base_url, realm_id=realm, tokens=_Issued(pair.access)).company()
        return pair

    pair = await shared.run(exchange)
    is_live = await shared.write(lambda session: _keep(session, name, realm, pair, shared.seal, actor))
    shared.directory.forget()
    response = RedirectResponse("/" if is_live else page, 303)
    drop_cookie(request, response, _COOKIE)
    return response


async def _await_first(shared: Services, name: str, page: str) -> Response:
    """Consent was pressed twice, and the browser shows this answer only: nothing is stored, the first one decides.

    Raises `Refusal` 400 when the company is not connected by then.
    """

    def is_connected(session: Session) -> bool:
        key = connections.find_key(session, name)
        return key is not None and tokens.is_authorised(tokens.every(session).get(key))

    for _ in range(_LOOKS):
        if await shared.read(is_connected):
            return RedirectResponse(page, 303)
        await anyio.sleep(_LOOK_SECONDS)
    raise Refusal(400, _START_AGAIN)


def _keep(session: Session, name: str, realm: str, pair: TokenPair, seal: Seal, actor: str) -> bool:
    """Store the authorisation; answers whether the connection is live."""
    connections.hold_all(session)  # two at once must not create the same name
    key = connections.find_key(session, name) or connections.new_key(session, name)
    owner = connections.names_by_realm(session).get(realm, key)
    now = connections.find(session, key, seal, hold=True)
    if owner != key:
        called = connections.display_names(session)[owner]
        said = "this QuickBooks company already belongs to the connection {name}"
        raise Refusal(409, message(said, name=called))
    if now is not None and now.realm_id not in {None, realm}:
        said = "the connection {name} belongs to another QuickBooks company; nothing was changed"
        raise Refusal(409, message(said, name=name))
    known = now or connections.Connection(key, display_name=name)
    connections.save(session, replace(known, realm_id=realm, paused=None), seal)
    tokens.save(session, key, token_manager.to_tokens(pair), seal)
    cursors.ensure(session, key, cursors.BOOKS, datetime.now(UTC).isoformat())
    inbox.requeue_parked(session, connection=key, code=AUTH_LOST)
    target = message("connection {name}, company {realm}", name=name, realm=realm)
    audit.note(session, actor=actor, action="connect", target=target)
    return now is not None and now.live


def redirect_uri(settings: Settings) -> str:
    """The address to register with the app at Intuit, byte for byte."""
    return settings.public_url + CALLBACK
