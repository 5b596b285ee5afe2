"""Checks of PUBLIC_URL: https where Intuit demands it, answered by this gateway, not redirected, and the callback."""

from __future__ import annotations

from collections.abc import Iterator

import httpx

from gateway.connectors.http import Transport, to_client
from gateway.doctor.environment import is_here
from gateway.findings import Finding
from gateway.settings import Settings
from gateway.web.oauth import redirect_uri

SECONDS = 5.0


def check(settings: Settings) -> Iterator[Finding]:
    """The public address of this gateway."""
    yield _check_scheme(settings)
    yield _check_answer(settings)
    if settings.quickbooks_client_id:
        said = f"{redirect_uri(settings)} must be among the redirect URIs in Intuit's portal, letter for letter"
        yield Finding("redirect URI", said)


def _check_scheme(settings: Settings) -> Finding:
    secure = settings.public_url.startswith("https://")
    if is_here(settings) and settings.quickbooks_environment == "production" and settings.quickbooks_client_id:
        said = f"{settings.public_url}: only this machine reaches it, so no webhook does"
        return Finding(
            "PUBLIC_URL", said, "" if _is_simulated(settings) else "set it to the https address of this gateway"
        )
    return Finding(
        "PUBLIC_URL", settings.public_url, "" if secure or is_here(settings) else "use https: Intuit refuses plain http"
    )


def _is_simulated(settings: Settings) -> bool:
    return settings.quickbooks_api_url.startswith(("http://localhost", "http://127.0.0.1"))


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
