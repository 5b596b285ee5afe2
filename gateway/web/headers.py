"""The security headers of every answer, added on its way out."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY = (
    "default-src 'self'; img-src 'self' data:; object-src 'none'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'"
)
_ALWAYS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_MACHINES = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}  # no browser reads a webhook's answer
FOR_MACHINES = [(name.lower().encode(), value.encode()) for name, value in _MACHINES.items()]
_KEPT = "public, max-age=31536000, immutable"  # the address of a static file changes with its content
_STRICT_TRANSPORT = "max-age=31536000"


class SecurityHeaders:
    """Middleware. `https` says that browsers reach us encrypted, and should insist on it."""

    def __init__(self, app: ASGIApp, *, https: bool) -> None:
        self._app = app
        always = _ALWAYS | ({"Strict-Transport-Security": _STRICT_TRANSPORT} if https else {})
        # No endpoint sets any of these, so they are appended.
        self._fleeting = _to_raw(always | {"Cache-Control": "no-store"})
        self._static = _to_raw(always | {"Cache-Control": _KEPT})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path = scope["path"]
        headers = self._static if path.startswith("/static/") else self._fleeting
        if path.startswith("/webhooks/"):
            headers = FOR_MACHINES

        async def add(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, add)


def _to_raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode(), value.encode()) for name, value in headers.items()]
