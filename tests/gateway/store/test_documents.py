"""Settings documents: every version kept, the newest in force, an identical one is no version."""

from __future__ import annotations

from sqlalchemy import Engine

from gateway.database.session import reading, writing
from gateway.store import connections


def save(engine: Engine, document: str, connection: str = "c") -> int:
    with writing(engine) as session:
        return connections.save_settings(session, connection, document, author="test")


def test_versions_count_up_per_connection_and_the_newest_is_in_force(engine: Engine) -> None:
    with reading(engine) as session:
        assert connections.newest_settings(session, "c") is None
    assert [save(engine, "a = 1"), save(engine, "a = 2"), save(engine, "b = 1", "other")] == [1, 2, 1]
    with reading(engine) as session:
        assert connections.newest_settings(session, "c") == (2, "a = 2")


def test_an_identical_document_makes_no_version_but_an_older_text_does(engine: Engine) -> None:
    assert [save(engine, text) for text in ("a = 1", "a = 1", "a = 2", "a = 1")] == [1, 1, 2, 3]
