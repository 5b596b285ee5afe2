"""Links: one target per source record, the latest save wins, and connections are separate."""

from __future__ import annotations

from sqlalchemy import Engine

from gateway.database.session import reading, writing
from gateway.store import links
from gateway.store.links import Link, LinkKind


def save(engine: Engine, *saved: Link, connection: str = "c") -> None:
    with writing(engine) as session:
        for link in saved:
            links.save(session, connection, link)


def test_a_link_is_read_back_as_it_was_saved(engine: Engine) -> None:
    link = Link(
        LinkKind.DOCUMENT, "r-1", "SalesReceipt", "17", "3", "print", {"number": "1.2.2026.3", "total_cents": 1250}
    )
    save(engine, link)
    with reading(engine) as session:
        assert links.find(session, "c", LinkKind.DOCUMENT, "r-1") == link


def test_saving_again_replaces_what_was_known_and_makes_no_second_link(engine: Engine) -> None:
    save(engine, Link(LinkKind.ITEM, "1", "Article", "1001", fingerprint="old", detail={"a": 1}))
    save(engine, Link(LinkKind.ITEM, "1", "Article", "1002"))
    with reading(engine) as session:
        assert links.find(session, "c", LinkKind.ITEM, "1") == Link(LinkKind.ITEM, "1", "Article", "1002")
        assert links.find_by_target(session, "c", LinkKind.ITEM, "1001") == []


def test_kinds_and_connections_are_independent(engine: Engine) -> None:
    save(engine, Link(LinkKind.ITEM, "1", "Article", "1001"))
    save(engine, Link(LinkKind.ARTICLE, "1", "Item", "9"))
    save(engine, Link(LinkKind.ITEM, "1", "Article", "2001"), connection="other")
    with reading(engine) as session:
        mine, theirs = (links.find(session, name, LinkKind.ITEM, "1") for name in ("c", "other"))
        assert mine is not None
        assert theirs is not None
        assert (mine.target_id, theirs.target_id) == ("1001", "2001")
        assert links.find(session, "third", LinkKind.ITEM, "1") is None


def test_several_sources_are_found_at_once_and_one_target_may_have_several(engine: Engine) -> None:
    save(engine, *(Link(LinkKind.ARTICLE, str(n), "Item", "7") for n in (1, 2, 3)))
    with reading(engine) as session:
        assert sorted(links.find_all(session, "c", LinkKind.ARTICLE, ["1", "3", "99"])) == ["1", "3"]
        assert links.find_all(session, "c", LinkKind.ARTICLE, []) == {}
        assert len(links.find_by_target(session, "c", LinkKind.ARTICLE, "7")) == 3


def test_a_forgotten_link_is_gone_alone(engine: Engine) -> None:
    save(engine, Link(LinkKind.ARTICLE, "1", "Item", "7"), Link(LinkKind.ARTICLE, "2", "Item", "8"))
    with writing(engine) as session:
        links.forget(session, "c", LinkKind.ARTICLE, "1")
    with reading(engine) as session:
        assert list(links.find_all(session, "c", LinkKind.ARTICLE, ["1", "2"])) == ["2"]


def test_an_unsure_link_loses_its_fingerprint_unless_written_meanwhile(engine: Engine) -> None:
    read, rewritten = (Link(LinkKind.ITEM, id_, "Article", f"100{id_}", fingerprint="old") for id_ in ("1", "2"))
    newer = Link(LinkKind.ITEM, "2", "Article", "1002", fingerprint="new")
    save(engine, read, newer)
    with writing(engine) as session:
        assert links.mark_unsure(session, "c", [read, rewritten]) == 1
    with reading(engine) as session:
        found = links.find_all(session, "c", LinkKind.ITEM, ["1", "2"])
    assert {id_: link.fingerprint for id_, link in found.items()} == {"1": None, "2": "new"}


def test_links_are_found_by_any_beginning_of_their_source(engine: Engine) -> None:
    ids = [
        *("a", "a/", "a/1", "a/1/2", "a0", "A/1", "a/%", "a/_x", "a-1", "ä/1", "a/\ud7ffx", "a/\U0010ffff", "b"),
        *("\U0010ffff", "\U0010ffffz", "1/2", "1/10", "10/1", "1 /2", ""),
    ]
    save(engine, *(Link(LinkKind.PAYMENT, each, "Payment", "1") for each in ids))
    save(engine, Link(LinkKind.MONEY, "a/1", "Payment", "1"))
    save(engine, Link(LinkKind.PAYMENT, "a/1", "Payment", "1"), connection="other")
    with reading(engine) as session:
        for prefix in (*ids, "a/\ud7ff", "1/1", "zz"):
            found = [link.source_id for link in links.find_under(session, "c", LinkKind.PAYMENT, prefix)]
            assert found == [each for each in ids if each.startswith(prefix)], prefix


def test_links_of_several_connections_are_found_by_their_targets(engine: Engine) -> None:
    with writing(engine) as session:
        for connection in ("a", "b"):
            links.save(session, connection, Link(LinkKind.ITEM, f"of {connection}", "article", "7"))
        kinds, targets = [LinkKind.ITEM], [("a", "7"), ("b", "7"), ("b", "8")]
        found = links.find_by_owned_targets(session, kinds, targets)
        assert {target: [each.source_id for each in same] for target, same in found.items()} == {
            ("a", "7"): ["of a"],
            ("b", "7"): ["of b"],
        }
        assert links.find_by_owned_targets(session, kinds, []) == {}
        assert list(links.find_by_targets(session, "b", kinds, ["7", "8"])) == ["7"]
