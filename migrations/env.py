"""Alembic's entry: applies the versions beside it to the connection the gateway hands over."""

from alembic import context
from sqlmodel import SQLModel

from gateway.privacy import personal  # noqa: F401 - every module with a table
from gateway.store import audit, counts, sales, tables  # noqa: F401

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    render_as_batch=connection.dialect.name == "sqlite",
)
with context.begin_transaction():
    context.run_migrations()
