"""The API in words that machines read: OpenAPI 3.1 from one table of operations, which a test holds to the routes."""

from gateway.web.openapi.operations import routes, to_document

__all__ = ["routes", "to_document"]
