"""The OAuth addresses: the page where a user connects a company, the token and revoke endpoints, discovery."""

from __future__ import annotations

import base64
import binascii
import hmac
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlencode

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from sandbox.quickbooks import api, wire
from sandbox.quickbooks.fault_injection import with_injected_fault
from sandbox.quickbooks.faults import Fault, Json
from sandbox.quickbooks.grants import SCOPE, App, Denied

if TYPE_CHECKING:
    from sandbox.quickbooks.simulation import Simulation

_HARD_EXPIRY = "x_refresh_token_hard_expires_in"


async def authorize(request: Request) -> Response:
    """GET /connect/oauth2: the page with the Connect button, or straight back when approval is automatic."""
    simulation: Simulation = request.app.state.simulation
    params = dict(request.query_params)
    wrong = _find_wrong(simulation, params)
    if wrong:
        return _page("Something's not right", f"<p>{escape(wrong)}</p>", 400)
    if simulation.switches.auto_approve or params.get("auto_approve") == "1":
        realm = params.get("realmId") or next(iter(simulation.companies))
        return _connect(simulation, params, realm)
    return _page("Connect to QuickBooks", _to_form(simulation, params))


async def decide(request: Request) -> Response:
    """POST /connect/oauth2: the user chose a company and pressed Connect, or pressed Cancel."""
    simulation: Simulation = request.app.state.simulation
    params = await _read_form(request)
    wrong = _find_wrong(simulation, params)
    if wrong:
        return _page("Something's not right", f"<p>{escape(wrong)}</p>", 400)
    if params.get("decision") != "connect":
        return _redirect(params, {"error": "access_denied", "state": params["state"]})
    return _connect(simulation, params, params.get("realmId", ""))


async def token(request: Request) -> Response:
    """POST /oauth2/v1/tokens/bearer: a code or a refresh token for tokens."""
    simulation: Simulation = request.app.state.simulation
    params = await _read_form(request)

    async def work() -> Response:
        try:
            with simulation.lock:
                body = _grant(simulation, _get_app(simulation, request, params), params)
        except Denied as denied:
            return _deny(simulation, denied)
        if request.headers.get("x-include-refresh-token-hard-expires-in") != "true":
            body.pop(_HARD_EXPIRY)
        return _respond(simulation, 200, body)

    return await with_injected_fault(simulation, request, "POST token", work)


async def revoke(request: Request) -> Response:
    """POST /v2/oauth2/tokens/revoke: end the connection a token belongs to."""
    simulation: Simulation = request.app.state.simulation
    try:
        is_form = request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
        body: Json = {**await _read_form(request)} if is_form else wire.load_object(await request.body())
        with simulation.lock:
            simulation.grants.revoke(_get_app(simulation, request, {}), str(body.get("token", "")))
    except Denied as denied:
        return _deny(simulation, denied)
    except Fault:
        return _deny(simulation, Denied("invalid_request"))
    return Response(status_code=200, headers={"intuit_tid": api.next_tid(simulation)})


async def discover(request: Request) -> Response:
    """The discovery document, with this server's own addresses."""
    here = str(request.base_url).rstrip("/")
    body = {
        "issuer": f"{here}/op/v1",
        "authorization_endpoint": f"{here}/connect/oauth2",
        "token_endpoint": f"{here}/oauth2/v1/tokens/bearer",
        "userinfo_endpoint": f"{here}/v1/openid_connect/userinfo",
        "revocation_endpoint": f"{here}/v2/oauth2/tokens/revoke",
        "jwks_uri": f"{here}/op/v1/jwks",
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "email", "profile", "address", "phone"],
        "token_endpoint_auth_methods_supported": ["client_secret_post", "client_secret_basic"],
        "claims_supported": ["aud", "exp", "iat", "iss", "realmid", "sub"],
    }
    return _respond(request.app.state.simulation, 200, body)


def _grant(simulation: Simulation, app: App, params: dict[str, str]) -> Json:
    match params.get("grant_type"):
        case "authorization_code":
            _require(params, "code", "redirect_uri")
            return simulation.grants.exchange(app, params["code"], params["redirect_uri"])
        case "refresh_token":
            _require(params, "refresh_token")
            return simulation.grants.refresh(app, params["refresh_token"])
        case None:
            raise Denied("invalid_request")
        case _:
            raise Denied("unsupported_grant_type")


def _require(params: dict[str, str], *names: str) -> None:
    if not all(params.get(name) for name in names):
        raise Denied("invalid_request")


def _get_app(simulation: Simulation, request: Request, params: dict[str, str]) -> App:
    client_id, secret = _read_credentials(request, params)
    app = simulation.grants.find_app(client_id)
    if app is None or not hmac.compare_digest(app.client_secret.encode(), secret.encode()):
        raise Denied("invalid_client", status=401)
    return app


def _read_credentials(request: Request, params: dict[str, str]) -> tuple[str, str]:
    scheme, _, value = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return params.get("client_id", ""), params.get("client_secret", "")
    try:
        client_id, _, secret = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return client_id, secret


async def _read_form(request: Request) -> dict[str, str]:
    raw = (await request.body()).decode("utf-8", errors="replace")
    return {name: values[0] for name, values in parse_qs(raw).items()}


def _find_wrong(simulation: Simulation, params: dict[str, str]) -> str | None:
    app = simulation.grants.find_app(params.get("client_id", ""))
    if app is None:
        return "The client_id is not known."
    if not params.get("redirect_uri") or not _is_registered(app, params["redirect_uri"]):
        return "The redirect_uri query parameter value is invalid. Make sure it is listed in the app's settings."
    if params.get("response_type") != "code":
        return "The response_type query parameter has to be code."
    if SCOPE not in params.get("scope", "").split():
        return "Invalid permissions requested."
    return None if params.get("state") else "The state query parameter is missing."


def _is_registered(app: App, redirect_uri: str) -> bool:
    return "*" in app.redirect_uris or redirect_uri in app.redirect_uris


def _connect(simulation: Simulation, params: dict[str, str], realm: str) -> Response:
    if realm not in simulation.companies:
        return _page("Something's not right", "<p>There is no such company.</p>", 400)
    with simulation.lock:
        code = simulation.grants.approve(params["client_id"], realm, params["redirect_uri"])
    return _redirect(params, {"code": code, "state": params["state"], "realmId": realm})


def _redirect(params: dict[str, str], answer: dict[str, str]) -> Response:
    joint = "&" if "?" in params["redirect_uri"] else "?"
    return RedirectResponse(params["redirect_uri"] + joint + urlencode(answer), 302)


def _to_form(simulation: Simulation, params: dict[str, str]) -> str:
    hidden = "".join(
        f'<input type="hidden" name="{escape(name)}" value="{escape(value)}">'
        for name, value in params.items()
        if name != "realmId"
    )
    options = "".join(
        f'<option value="{escape(realm)}">{escape(company.get("CompanyInfo", "1")["CompanyName"])}</option>'
        for realm, company in simulation.companies.items()
    )
    return (
        '<form method="post" action="/connect/oauth2">'
        f"{hidden}<p>The app asks for access to the accounting data of your company.</p>"
        f'<p><label>Company <select name="realmId">{options}</select></label></p>'
        '<button name="decision" value="connect">Connect</button> '
        '<button name="decision" value="cancel">Cancel</button></form>'
    )


def _page(title: str, inner: str, status: int = 200) -> Response:
    html = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        "<style>body{font:16px system-ui;max-width:28rem;margin:4rem auto;padding:0 1rem}"
        "button{font:inherit;padding:.5rem 1.2rem}select{font:inherit}</style></head>"
        f"<body><h1>{escape(title)}</h1>{inner}<p><small>Simulated QuickBooks Online</small></p></body></html>"
    )
    return HTMLResponse(html, status, {"X-Frame-Options": "DENY", "Cache-Control": "no-store"})


def _deny(simulation: Simulation, denied: Denied) -> Response:
    body: Json = {"error": denied.error}
    if denied.description:
        body["error_description"] = denied.description
    return _respond(simulation, denied.status, body)


def _respond(simulation: Simulation, status: int, body: Json) -> Response:
    headers = {"intuit_tid": api.next_tid(simulation), "Cache-Control": "no-store"}
    return Response(wire.dump(body), status, headers, "application/json")
