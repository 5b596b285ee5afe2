"""The admin API: one file per subject, and its OpenAPI document from one table of operations."""

from starlette.routing import Route

from gateway.web.access import admin_only
from gateway.web.api import agreement, connections, events, operations, people, previews, settings, status

__all__ = ["agreement", "backfills", "events", "people", "routes", "settings", "status"]


def routes() -> list[Route]:
    """Every address below `/admin`, and the document that describes them."""
    return [
        Route("/admin/events", admin_only(events.list_events), methods=["GET"]),
        Route("/admin/events/retry", admin_only(events.retry_many), methods=["POST"]),
        Route("/admin/events/{id}", admin_only(events.show_event), methods=["GET"]),
        Route("/admin/events/{id}/retry", admin_only(events.retry_event), methods=["POST"]),
        Route("/admin/events/{id}/ignore", admin_only(events.ignore_event), methods=["POST"]),
        Route("/admin/orders/{id}", admin_only(events.show_order), methods=["GET"]),
        Route("/admin/orders/{id}/resend", admin_only(events.resend_order), methods=["POST"]),
        Route("/admin/agreement", admin_only(agreement.handle_agreement), methods=["GET", "POST"]),
        Route("/admin/certificates", admin_only(agreement.export_certificates), methods=["GET"]),
        Route("/admin/connections", admin_only(connections.list_connections), methods=["GET"]),
        Route("/admin/connections/{name}", admin_only(connections.handle_connection), methods=["GET", "PUT", "DELETE"]),
        Route("/admin/connections/{name}/rename", admin_only(connections.rename_connection), methods=["POST"]),
        Route("/admin/connections/{name}/check", admin_only(connections.check_connection), methods=["POST"]),
        Route("/admin/connections/{name}/live", admin_only(connections.let_live), methods=["POST"]),
        Route("/admin/connections/{name}/pause", admin_only(connections.pause_connection), methods=["POST"]),
        Route("/admin/connections/{name}/settings", admin_only(settings.handle_settings), methods=["GET", "PUT"]),
        Route("/admin/connections/{name}/preview", admin_only(previews.preview), methods=["POST"]),
        Route("/admin/status", admin_only(status.show_status), methods=["GET"]),
        Route("/admin/flows/{flow}/backfill", admin_only(status.backfill_flow), methods=["POST"]),
        Route("/admin/audit", admin_only(status.list_actions), methods=["GET"]),
        Route("/admin/people/{email}/export", admin_only(people.export_person), methods=["POST"]),
        Route("/admin/people/{email}/erase", admin_only(people.erase_person), methods=["POST"]),
        Route("/admin/backfills", admin_only(status.list_backfills), methods=["GET"]),
        Route("/openapi.json", operations.describe, methods=["GET"]),
    ]
