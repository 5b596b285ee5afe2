"""The admin API: one file per subject; addresses and the OpenAPI document come from one table of operations."""

from gateway.web.api import agreement, events, settings, status
from gateway.web.api.operations import routes

__all__ = ["agreement", "events", "routes", "settings", "status"]
