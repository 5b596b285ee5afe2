"""People who log in by name, with role and invitation, their sessions, and wrong tokens by source.

Wrong tokens are counted over all web processes. A row is written for a wrong token only and lasts a minute, and the
number of rows is limited: a right token costs neither a read nor a write.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from sqlalchemy import ColumnElement, and_, case, delete, insert, or_, select, update
from sqlmodel import Session, col

from gateway.database.sealing import digest
from gateway.database.sql import epoch, given, moment, upsert
from gateway.store.tables import LoginFailureRow, UserRow, WebSessionRow

INVITATION_SECONDS = 7 * 86_400.0
_LONGEST_BROWSER = 120
_IS_ENABLED = col(UserRow.disabled_at).is_(None)
_EMAIL = re.compile(r"[^@\s\x00-\x1f]{1,64}@[^@\s\x00-\x1f]{1,189}")


class Role(StrEnum):
    """What a person may do: read, work on what was refused, configure; `AGENCY` configures every connection."""

    VIEWER = "viewer"
    BOOKKEEPER = "bookkeeper"
    OWNER = "owner"
    AGENCY = "agency"


@dataclass(frozen=True, slots=True)
class User:
    """A person. `connection` is the key of the only connection they may see, None for all.

    `email` is the address for single sign-on, `has_signed_on` whether an account of the provider belongs to them.
    `unknown_role` is a role of a later release: until then `role` is that of a viewer.
    """

    id: int
    name: str
    role: Role
    connection: str | None
    has_password: bool
    invited_until: datetime | None
    disabled_at: datetime | None
    email: str | None
    has_signed_on: bool
    unknown_role: str | None = None


class NoUser(StrEnum):
    """Why nobody may log in with an account of the provider."""

    UNVERIFIED = "unverified"
    UNKNOWN = "unknown"
    ANOTHER = "another"


@dataclass(frozen=True, slots=True)
class WebSession:
    """A session that has not ended. `digest` names it and is no secret; `user` is None for ADMIN_TOKEN."""

    digest: str
    user: User | None
    address: str
    browser: str
    began_at: datetime
    ends_at: datetime


def add(session: Session, name: str, role: Role, connection: str | None) -> int | None:
    """Add a person, who has no password yet; answers the id, or None when the name (in any case) is taken."""
    row = {"login": name.casefold(), "name": name, "role": role, "connection": connection, "created_at": moment()}
    made: int | None = upsert(session, UserRow, row, keys=("login",), returning=[col(UserRow.id)]).scalar_one_or_none()
    return made


def find(session: Session, user_id: int) -> User | None:
    row = session.get(UserRow, user_id)
    return _to_user(row) if row else None


def every(session: Session, connection: str | None = None) -> list[User]:
    """Everybody, or only the people of one connection, by name."""
    found = select(UserRow).where(*given((UserRow.connection, connection))).order_by(col(UserRow.login))
    return [_to_user(row) for row in session.execute(found).scalars()]


def members(session: Session, connection: str) -> list[tuple[str, datetime]]:
    """The people of one connection: their names, and when each was added."""
    columns = (col(UserRow.name), col(UserRow.created_at))
    rows = session.execute(select(*columns).where(col(UserRow.connection) == connection)).all()
    return [(str(name), since) for name, since in rows]


def find_login(session: Session, name: str) -> tuple[User, str] | None:
    """Who has this name, and the hash of their password; None for somebody unknown, disabled or without password."""
    row = session.execute(select(UserRow).where(col(UserRow.login) == name.casefold(), _IS_ENABLED)).scalars().first()
    return (_to_user(row), row.password) if row and row.password else None


def to_email(text: str) -> str | None:
    """An address as it is stored and compared. ASCII only: other letters may become the same in lower case."""
    email = text.strip()
    return email.lower() if email.isascii() and _EMAIL.fullmatch(email) else None


def change_email(session: Session, user_id: int, email: str | None) -> bool:
    """Another address for single sign-on; the account of the earlier one no longer counts. False when it is taken."""
    others = select(col(UserRow.id)).where(col(UserRow.email) == email, col(UserRow.id) != user_id)
    if email and session.execute(others).first():
        return False
    _change(session, user_id, email=email, subject=None)
    return True


def _change(session: Session, user_id: int, **values: object) -> None:
    session.execute(update(UserRow).where(col(UserRow.id) == user_id).values(**values))


def sign_on(session: Session, subject: str, email: str | None) -> tuple[User, bool] | NoUser:
    """Who this account of the provider is, and whether for the first time; nobody is added.

    The first time the verified address finds the person, from then on the account alone.
    """
    known = session.execute(select(UserRow).where(col(UserRow.subject) == subject)).scalars().one_or_none()
    if known is not None:
        return (_to_user(known), False) if known.disabled_at is None else NoUser.UNKNOWN
    stored = to_email(email or "")
    if stored is None:
        return NoUser.UNVERIFIED
    row = session.execute(select(UserRow).where(col(UserRow.email) == stored, _IS_ENABLED)).scalars().one_or_none()
    if row is None:
        return NoUser.UNKNOWN
    is_free = and_(col(UserRow.id) == row.id, col(UserRow.subject).is_(None))
    taken = session.execute(update(UserRow).where(is_free).values(subject=subject).returning(col(UserRow.id)))
    if taken.first():
        return _to_user(row), True
    # The same account may have logged in for the first time at this moment.
    mine = select(col(UserRow.id)).where(col(UserRow.id) == row.id, col(UserRow.subject) == subject)
    return (_to_user(row), False) if session.execute(mine).first() else NoUser.ANOTHER


def invite(session: Session, user_id: int, secret: str) -> None:
    """Let who has the secret choose this person's password, once, within a week. An earlier invitation ends."""
    _change(session, user_id, invitation=digest(secret), invitation_ends_at=moment(INVITATION_SECONDS))


def find_invited(session: Session, secret: str) -> User | None:
    row = session.execute(select(UserRow).where(_is_invited(secret))).scalars().one_or_none()
    return _to_user(row) if row else None


def accept(session: Session, secret: str, password: str) -> int | None:
    """Set the hash of a password, use up the invitation, end earlier sessions; answers the id, None if it has ended."""
    changes = {"password": password, "invitation": None, "invitation_ends_at": None}
    changed = update(UserRow).where(_is_invited(secret)).values(changes).returning(col(UserRow.id))
    user_id: int | None = session.execute(changed).scalar_one_or_none()
    if user_id is not None:
        end_all(session, user_id)
    return user_id


def change_password(session: Session, user_id: int, password: str, *, keep: str) -> None:
    """Another hash of a password; ends the person's sessions except the one with the digest `keep`."""
    _change(session, user_id, password=password)
    others = and_(col(WebSessionRow.user_id) == user_id, col(WebSessionRow.digest) != keep)
    session.execute(delete(WebSessionRow).where(others))


def enable(session: Session, user_id: int, *, enabled: bool) -> None:
    """Let a person in again, or keep them out and end their sessions."""
    _change(session, user_id, disabled_at=None if enabled else moment(), invitation=None, invitation_ends_at=None)
    end_all(session, user_id)


def change_role(session: Session, user_id: int, role: Role) -> None:
    _change(session, user_id, role=role)


def remove(session: Session, user_id: int) -> None:
    """Delete a person and their sessions; the audit trail keeps the name."""
    end_all(session, user_id)
    session.execute(delete(UserRow).where(col(UserRow.id) == user_id))


def begin(
    session: Session, session_id: str, *, user_id: int | None, address: str, browser: str, seconds: float
) -> None:
    """Begin a session; deletes those that have ended."""
    session.execute(delete(WebSessionRow).where(col(WebSessionRow.ends_at) <= moment()))
    origin = {"address": address, "browser": browser[:_LONGEST_BROWSER]}
    row = {"digest": digest(session_id), "user_id": user_id, "began_at": moment(), "ends_at": moment(seconds)}
    session.execute(insert(WebSessionRow).values(row | origin))


def find_session(session: Session, session_id: str) -> WebSession | None:
    """A session, unless it has ended or its person is disabled."""
    return next(iter(_find_sessions(session, col(WebSessionRow.digest) == digest(session_id))), None)


def sessions(session: Session, connection: str | None = None) -> list[WebSession]:
    """The sessions that have not ended, newest first; with `connection` only those of its people."""
    return _find_sessions(session, *given((UserRow.connection, connection)))


def end(session: Session, digest: str) -> None:
    """End a session in every process, for copies of its cookie too."""
    session.execute(delete(WebSessionRow).where(col(WebSessionRow.digest) == digest))


def end_all(session: Session, user_id: int) -> None:
    session.execute(delete(WebSessionRow).where(col(WebSessionRow.user_id) == user_id))


def _find_sessions(session: Session, *conditions: ColumnElement[bool]) -> list[WebSession]:
    is_known = or_(col(WebSessionRow.user_id).is_(None), and_(col(UserRow.id).is_not(None), _IS_ENABLED))
    found = (
        select(WebSessionRow, UserRow)
        .outerjoin(UserRow, col(UserRow.id) == col(WebSessionRow.user_id))
        .where(col(WebSessionRow.ends_at) > moment(), is_known, *conditions)
        .order_by(col(WebSessionRow.began_at).desc())
    )
    return [
        WebSession(row.digest, _to_user(user) if user else None, row.address, row.browser, row.began_at, row.ends_at)
        for row, user in session.execute(found).all()
    ]


def _is_invited(secret: str) -> ColumnElement[bool]:
    return and_(col(UserRow.invitation) == digest(secret), col(UserRow.invitation_ends_at) > moment(), _IS_ENABLED)


def _to_user(row: UserRow) -> User:
    is_known = row.role in set(Role)
    return User(
        id=row.id or 0,
        name=row.name,
        role=Role(row.role) if is_known else Role.VIEWER,
        connection=row.connection,
        has_password=row.password is not None,
        invited_until=row.invitation_ends_at if row.invitation else None,
        disabled_at=row.disabled_at,
        email=row.email,
        has_signed_on=row.subject is not None,
        unknown_role=None if is_known else row.role,
    )


MAX_SOURCES = 10_000


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Failures of one source, and the seconds until they expire."""

    failures: int
    seconds: float


NO_FAILURES = LoginFailures(0, 0.0)


def find_failures(session: Session, source: str) -> LoginFailures:
    left = col(LoginFailureRow.ends_at) - epoch()
    known = select(col(LoginFailureRow.failures), left).where(col(LoginFailureRow.source) == source, left > 0)
    row = session.execute(known).one_or_none()
    return LoginFailures(int(row[0]), float(row[1])) if row else NO_FAILURES


def count_failure(session: Session, source: str, *, most: int, seconds: float) -> LoginFailures:
    """Count one more failure, in one statement; expires `seconds` after the first or the `most`th."""
    failures, ends_at = col(LoginFailureRow.failures), col(LoginFailureRow.ends_at)
    over, until = ends_at <= epoch(), epoch() + seconds
    end = case((or_(over, failures + 1 == most), until), else_=ends_at)
    values = {"failures": case((over, 1), else_=failures + 1), "ends_at": end}
    first = {"source": source, "failures": 1, "ends_at": until}
    row = upsert(session, LoginFailureRow, first, values, returning=[failures, ends_at - epoch()]).one()
    return LoginFailures(int(row[0]), float(row[1]))


def purge_failures(session: Session, *, most: int = MAX_SOURCES) -> None:
    """Delete expired rows, and of the rest all but the `most` that last longest. In its own transaction."""
    ends_at = col(LoginFailureRow.ends_at)
    last = select(ends_at).order_by(ends_at.desc()).offset(most).limit(1).scalar_subquery()
    expired = select(col(LoginFailureRow.source)).where(or_(ends_at <= epoch(), ends_at <= last))
    # Locked rows are left for the next time, so that no one waits.
    gone = col(LoginFailureRow.source).in_(expired.with_for_update(skip_locked=True))
    session.execute(delete(LoginFailureRow).where(gone))
