"""The tables of people who log in to the dashboard by name, and of the sessions of all who logged in."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index
from sqlmodel import Field, SQLModel

from gateway.store.clock import time_field


class UserRow(SQLModel, table=True):
    """A person with a role, for one connection (its key) or, where that is empty, for all.

    `login` is the name without regard to case. `invitation` is the SHA-256 of the secret in its link. Without
    `password` (Argon2id, PHC format) the person cannot log in.
    """

    __tablename__ = "users"
    __table_args__ = (Index("users_connection", "connection"),)

    id: int | None = Field(default=None, primary_key=True)
    login: str = Field(unique=True)
    name: str
    role: str
    connection: str | None = None
    password: str | None = None
    invitation: str | None = Field(default=None, unique=True)
    invitation_ends_at: datetime | None = time_field(nullable=True)
    created_at: datetime = time_field()
    disabled_at: datetime | None = time_field(nullable=True)


class WebSessionRow(SQLModel, table=True):
    """A session that a login began, by the SHA-256 of its id; without its row it has ended.

    `user_id` is empty for ADMIN_TOKEN; `browser` is the beginning of the User-Agent.
    """

    __tablename__ = "web_sessions"
    __table_args__ = (Index("web_sessions_user", "user_id"), Index("web_sessions_ends", "ends_at"))

    digest: str = Field(primary_key=True)
    user_id: int | None = None
    address: str
    browser: str
    began_at: datetime = time_field()
    ends_at: datetime = time_field()
