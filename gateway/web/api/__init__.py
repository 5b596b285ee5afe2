"""The admin API: one file per subject, and its OpenAPI document from one table of operations."""

from starlette.routing import Route

from gateway.web.api import agreement, backfills, connections, events, operations, people, previews, settings, status

__all__ = ["agreement", "backfills", "events", "people", "routes", "settings", "status"]


def routes() -> list[Route]:
    """Every address below `/admin`, and the document that describes them."""
    parts = (events, agreement, connections, settings, previews, status, people, backfills, operations)
    return [route for part in parts for route in part.routes()]
