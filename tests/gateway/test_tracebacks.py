"""What of an exception may be logged: its place and kind always, its text only where that is code's and not data's."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from gateway.errors import Permanent
from gateway.observability import redaction
from gateway.observability.redaction import to_redactor

NAME = "Markedname Person"
NOTHING: dict[str, int] = {}


def caught(act: Callable[[], object]) -> BaseException:
    try:
        act()
    except BaseException as error:  # noqa: BLE001 - every kind is asked for
        return error
    pytest.fail("nothing was raised")


def test_the_text_of_an_error_about_data_stays_here() -> None:
    for act in (lambda: NOTHING[NAME], lambda: int(NAME), lambda: NAME.encode("ascii") and [""].index(NAME)):
        text = redaction.to_text(caught(act))
        assert NAME not in text
        assert "test_tracebacks.py" in text
        assert text.splitlines()[-1] in {"KeyError: ***", "ValueError: ***"}


def test_the_text_of_an_error_about_code_files_or_hosts_is_shown() -> None:
    assert "has no attribute 'there'" in redaction.to_text(caught(lambda: object().there))  # type: ignore[attr-defined]
    assert "No such file" in redaction.to_text(caught(lambda: open("/not/there")))  # noqa: SIM115, PTH123


def test_every_link_of_a_chain_is_there_without_data() -> None:
    def act() -> None:
        try:
            int(NAME)
        except ValueError:
            try:
                NOTHING[NAME]
            except KeyError as error:
                raise Permanent("the books refuse it") from error

    text = redaction.to_text(caught(act))
    assert NAME not in text
    kinds = [line for line in text.splitlines() if line and not line.startswith((" ", "Traceback"))]
    assert [line for line in kinds if "exception" not in line] == [
        "ValueError: ***",
        "KeyError: ***",
        "gateway.errors.Permanent: the books refuse it",
    ]
    assert "direct cause" in text
    assert "During handling" in text


def test_a_group_shows_its_members() -> None:
    group = ExceptionGroup(NAME, [ValueError(NAME), OSError("disk full")])
    text = redaction.to_text(group)
    assert NAME not in text
    assert "OSError: disk full" in text


def test_of_an_e_mail_address_only_the_domain_is_logged() -> None:
    redactor = to_redactor([])
    for text in ("refused jan.p+x@mail.example.nl.", "/admin/people/jan%40example.nl/erase", "<Jan@Example.NL>"):
        assert "jan" not in redactor.text(text).lower()
        assert "example.nl" in redactor.text(text).lower()
    assert redactor.text("kassabridge@0.1.0 at 12:00") == "kassabridge@0.1.0 at 12:00"
