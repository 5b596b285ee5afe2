"""Characters that XML forbids, in every way an answer can spell them: left out, and the answer stays readable."""

from __future__ import annotations

import pytest
from lxml import etree

from gateway.connectors.texts import clean_xml


def read(piece: bytes, encoding: str) -> tuple[str, int]:
    """The text of a document with this piece in it, and how many characters were left out."""
    document = f'<?xml version="1.0" encoding="{encoding}"?>'.encode() + b"<a>x" + piece + b"y</a>"
    cleaned, count = clean_xml(document)
    return str(etree.fromstring(cleaned).text), count


@pytest.mark.parametrize(
    "piece",
    [
        b"\x0b",
        "\x85".encode(),
        "\ufffe".encode(),
        "\uffff".encode(),
        b"&#xB;",
        b"&#27;",
        b"&#x0000000000B;",
        b"&#00000000000011;",
        b"&#xFFFF;",
        b"&#xD800;",
        b"&#1114112;",
        b"&#999999999999;",
        b"&#" + b"9" * 5000 + b";",
        b"<![CDATA[\x0b]]>",
    ],
)
def test_a_forbidden_character_is_left_out_however_it_is_spelled(piece: bytes) -> None:
    assert read(piece, "UTF-8") == ("xy", 1)


@pytest.mark.parametrize("piece", ["é", "😀", "\t", "&#233;", "&#x000000E9;", "&#x1F600;", "&#1114109;"])
def test_a_character_that_xml_allows_stays(piece: str) -> None:
    text = str(etree.fromstring(f"<a>{piece}</a>").text)
    assert read(piece.encode(), "UTF-8") == (f"x{text}y", 0)


@pytest.mark.parametrize(
    ("encoding", "piece", "text"),
    [("UTF-8", b"\xff", "�"), ("UTF-8", b"\xed\xa0\x80", "���"), ("windows-1252", b"\x81", "?")],
)
def test_bytes_of_no_character_do_not_make_an_answer_unreadable(encoding: str, piece: bytes, text: str) -> None:
    assert read(piece, encoding) == (f"x{text}y", len(text))
