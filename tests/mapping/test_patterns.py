"""Patterns of the settings: Python's notation, matched in linear time; unsupported ones are refused with a reason."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import catalogue
from mapping import patterns
from mapping.errors import MappingError
from mapping.patterns import PatternError


@pytest.mark.parametrize(
    "pattern", [r"(\w+ ?)+/$", r"^(\w+ ?)+/$", r"(a+)+$", r"(a|aa)+$", r"(.*)*x$", r"^(([a-z])+.)+[A-Z]([a-z])+$"]
)
def test_g9_no_pattern_takes_longer_than_its_text(pattern: str) -> None:
    began = time.process_time()
    assert not patterns.read(pattern).fits("a" * 4000 + "!")
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        (r"(a)\1", r"back-reference \1"),
        (r"(?P<a>x)(?P=a)", "back-reference"),
        ("a(?=b)", "look-ahead"),
        ("a(?!b)", "look-ahead"),
        ("(?<=a)b", "look-behind"),
        ("(?<!a)b", "look-behind"),
        ("(?>a)", "atomic group"),
        ("a++", "not a pattern"),
        ("(", "not a pattern"),
        ("a{2000}", "repetition size"),
        ("(?P<size>a)(?P<size>b)", 'the part "size" twice'),
        (r"[\W]", "outside of the"),
        ("a" * 2000, "at most 1000"),
    ],
)
def test_what_cannot_be_matched_in_time_is_refused_with_the_reason(pattern: str, reason: str) -> None:
    with pytest.raises(PatternError, match=re.escape(reason)):
        patterns.read(pattern)
    with pytest.raises(MappingError, match=re.escape(reason)):
        patterns.recall(pattern)


FAULTY = ["(a", "a)", "[a", "a**", "*a", "a{3,1}", "[z-a]", r"\q", "a\\", "(?P<a", "(?z)", r"\p{Foo}", "[[:foo:]]"]
LARGE = r"(\pL{1000}){1}"


@pytest.mark.parametrize("language", ["de", "nl"])
@pytest.mark.parametrize("pattern", [*FAULTY, LARGE])
def test_what_is_wrong_with_a_pattern_is_said_in_each_language(pattern: str, language: str) -> None:
    with pytest.raises(PatternError) as refused:
        patterns.read(pattern)
    template = refused.value.args[0].values["reason"].template
    assert template in catalogue.words(language)
    assert catalogue.words(language)[template] != template


@pytest.mark.parametrize(
    "pattern",
    [
        r"^\w+$", r"\W", r"^[\w\s-]+$", r"\d", r"[\d.]", r"\D", r"[^\s]", r"\s", r"\S", r"^.{,4}$", r"e\Z", r"[]x]",
        r"[^]a]", "\\u00e9", r"(?i)CAF", r"a|b$", r"(?:c|C)a", r"^$", r"\.", r"[\]]", r"\\", r"x*",
    ],
)  # fmt: skip
@given(text=st.text(alphabet="Cafée a-1٣.,]{}\\\u00a0\u2003x\t", max_size=8))
def test_what_is_accepted_means_what_it_means_in_python(pattern: str, text: str) -> None:
    assert patterns.read(pattern).fits(text) is (re.search(pattern, text) is not None)


def test_parts_are_found_by_name_and_half_characters_harm_nothing() -> None:
    pattern = patterns.read("(?P<product>.+) - (?P<colour>[^/]+?)( / (?P<size>.+))?$")
    assert pattern.parts == {"product", "colour", "size"}
    assert pattern.find("Tee - Blue / S") == {"product": "Tee", "colour": "Blue", "size": "S"}
    assert pattern.find("Tee - Blue") == {"product": "Tee", "colour": "Blue"}
    assert pattern.find("Tee") is None
    assert patterns.read("x$").fits("\ud800x")
