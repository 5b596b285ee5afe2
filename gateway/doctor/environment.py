"""Checks of the variables and of PUBLIC_URL: weak secrets, other keys, webhooks and alerts not set up, its answer."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx

from gateway import alerts
from gateway.connectors.http import Transport, to_client
from gateway.errors import Permanent, Transient
from gateway.findings import Finding
from gateway.settings import PRODUCTION_API, SANDBOX_API, Settings
from gateway.web.dashboard.login import CALLBACK, open_provider
from gateway.web.oauth import redirect_uri
from mapping.messages import message

LONG_ENOUGH = 32
VARIED_ENOUGH = 10  # different characters; random ones of this length have about twenty
_HERE = {"localhost", "127.0.0.1", "::1"}
SECONDS = 5.0


def check(settings: Settings) -> Iterator[Finding]:
    """What can be checked from the environment alone."""
    yield Finding("settings", "every variable is well formed")
    yield from _check_secrets(settings)
    yield from _check_app(settings)
    yield from _check_webhooks(settings)
    yield _check_alerts(settings)


def is_here(settings: Settings) -> bool:
    """Whether PUBLIC_URL is this machine, which cannot be reached from outside."""
    return urlsplit(settings.public_url).hostname in _HERE


def _check_secrets(settings: Settings) -> Iterator[Finding]:
    for name, values in (("SECRET_KEY", settings.secret_keys), ("ADMIN_TOKEN", (settings.admin_token,))):
        weakest = min(values, key=lambda value: (len(set(value)) >= VARIED_ENOUGH, len(value)))
        weak = len(weakest) < LONG_ENOUGH or len(set(weakest)) < VARIED_ENOUGH
        fix = f"use at least {LONG_ENOUGH} random characters" if weak else ""
        which = f", the shortest of {len(values)}" if len(values) > 1 else ""
        yield Finding(name, f"{min(map(len, values))} characters{which}", fix)
    if settings.admin_token in settings.secret_keys:
        yield Finding("secrets", "ADMIN_TOKEN is also a SECRET_KEY", "make another ADMIN_TOKEN: people type that one")


def _check_app(settings: Settings) -> Iterator[Finding]:
    subject, kind = "QuickBooks app", settings.quickbooks_environment
    if not (settings.quickbooks_client_id and settings.quickbooks_client_secret):
        fix = "set QUICKBOOKS_CLIENT_ID and QUICKBOOKS_CLIENT_SECRET (Intuit's portal, Keys & credentials)"
        yield Finding(subject, "no keys", fix)
        return
    other = {"sandbox": PRODUCTION_API, "production": SANDBOX_API}[kind]
    if settings.quickbooks_api_url == other:
        fix = "remove QUICKBOOKS_API_URL, or set the other QUICKBOOKS_ENVIRONMENT"
        yield Finding(subject, f"QUICKBOOKS_ENVIRONMENT is {kind}, but QUICKBOOKS_API_URL is the other one's", fix)
        return
    keys = {"sandbox": "development", "production": "production"}[kind]
    yield Finding(subject, f"{kind}: needs the app's {keys} keys and companies of that kind")


def _check_webhooks(settings: Settings) -> Iterator[Finding]:
    places = (
        (
            "QUICKBOOKS_WEBHOOK_VERIFIER",
            settings.quickbooks_verifiers,
            "Intuit's portal, Webhooks, Show verifier token",
        ),
        (
            "MPLUS_WEBHOOK_SECRET",
            settings.mplus_webhook_secrets,
            "the till's back office, Beheer > Instellingen > Webhooks",
        ),
    )
    for name, secrets, place in places:
        if not secrets:
            said = "not set: these webhooks are refused, changes arrive by polling alone"
            yield Finding(name, f"{said} (it is in {place})")


def _check_alerts(settings: Settings) -> Finding:
    if settings.alert_email and not settings.smtp_url:
        return Finding("alerts", "ALERT_EMAIL without a mail server", "set SMTP_URL to smtp://user:password@host:587")
    channels = ", ".join(alerts.open_channels(settings))
    if not channels:
        fix = "" if is_here(settings) else "set ALERT_EMAIL with SMTP_URL, or ALERT_WEBHOOK_URL"
        return Finding("alerts", "none set: failures are shown in the dashboard only", fix)
    signed = f"; the webhook's receiver verifies with {alerts.show_secret(settings)}"
    own = settings.alert_webhook_url and not settings.alert_webhook_secret
    return Finding("alerts", f"by {channels}{signed if own else ''}")


def check_address(settings: Settings) -> Iterator[Finding]:
    yield _check_scheme(settings)
    yield _check_answer(settings)
    if settings.quickbooks_client_id:
        said = f"{redirect_uri(settings)} must be among the redirect URIs in Intuit's portal, letter for letter"
        yield Finding("redirect URI", said)


def check_single_sign_on(settings: Settings) -> Iterator[Finding]:
    """The OpenID provider, where one is set up: its description, its name, and whether it accepts the client."""
    provider, subject = open_provider(settings), "single sign-on"
    if provider is None:
        return
    try:
        is_known = provider.check()
    except (Transient, Permanent) as error:
        fix = error.fix or "start the provider, or correct OIDC_ISSUER, its name in the DNS or its certificate"
        yield Finding(subject, error.reason, fix)
    else:
        said = "the provider {issuer} answers and knows the client {client}"
        if is_known is None:
            said = "the provider {issuer} answers; whether it knows the client {client} shows the first login"
        yield Finding(subject, message(said, issuer=settings.oidc_issuer, client=settings.oidc_client_id))
    address = settings.public_url + CALLBACK
    said = message("{address} must be among the redirect addresses at the provider, letter for letter", address=address)
    secure = urlsplit(settings.public_url).scheme == "https" or is_here(settings)
    yield Finding("redirect of single sign-on", said, "" if secure else "set PUBLIC_URL to an https address")


def _check_scheme(settings: Settings) -> Finding:
    secure = settings.public_url.startswith("https://")
    if is_here(settings) and settings.quickbooks_environment == "production" and settings.quickbooks_client_id:
        said = f"{settings.public_url}: only this machine reaches it, so no webhook does"
        return Finding(
            "PUBLIC_URL",
            said,
            ""
            if settings.quickbooks_api_url.startswith(("http://localhost", "http://127.0.0.1"))
            else "set it to the https address of this gateway",
        )
    return Finding(
        "PUBLIC_URL", settings.public_url, "" if secure or is_here(settings) else "use https: Intuit refuses plain http"
    )


def _check_answer(settings: Settings) -> Finding:
    subject, url = "address", f"{settings.public_url}/livez"
    try:
        with to_client(Transport(), timeout=SECONDS) as http:
            answer = http.get(url)
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        fix = "start web, or correct PUBLIC_URL, its name in the DNS, its certificate or the proxy"
        return Finding(subject, f"{url} does not answer from here ({type(error).__name__})", fix)
    if answer.is_redirect:
        fix = "set PUBLIC_URL to the final address: a webhook does not follow"
        return Finding(subject, f"{url} redirects to {answer.headers.get('location', '')}", fix)
    fix = "" if answer.is_success else "let the proxy pass everything below PUBLIC_URL to web"
    return Finding(subject, f"{url} answers {answer.status_code}", fix)
