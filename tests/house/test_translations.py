"""Whatever a page says is said in every language: each word of the templates, the tables and the settings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import get_args

import pytest

from gateway import catalogue
from gateway.connectors.mpluskassa import faults as till_faults
from gateway.connectors.quickbooks import auth, faults
from gateway.store import sales
from gateway.store.events import Flow, State
from gateway.store.sales import SaleStatus
from gateway.store.users import NoUser, Role
from gateway.web import actions, dashboard, setups
from gateway.web.dashboard import (
    agreement_calendar,
    home,
    login,
    mapping_form,
    preview,
    records,
    setup,
    todo,
)
from handlers.sales.dry_runs import STEPS
from mapping import choices, messages, settings_guide
from mapping.agreement_causes import Cause
from mapping.control import Caught
from mapping.explanations import KEPT
from mapping.messages import message
from mapping.settings_document import SettingsDocument
from tests.house import templates_in_code

PAGES, LOCALES = Path(dashboard.__file__).parent, Path(catalogue.__file__).with_name("locale")


_COUNTED = r"{(n|count|total|all|days|minutes)} (?!of )(?!%)(\w+ )*?(\w+s|are|wait|need|differ)\b"
"""A number before a noun in the plural or a verb for many."""
_NEVER_ONE: frozenset[str] = frozenset({
    "At least {n} characters; several words are easiest to remember.",
    "Counted in the newest {n} sales of the last 90 days.",
    "it has {n} characters; a document may have {most}",
    "{start} to {through} is not a period of 1 to {days} days",
    "{n} documents of this sale were deleted in QuickBooks",
    '{n} customers in QuickBooks have the {field} "{record}": {named}',
    '{n} items in QuickBooks have the {field} "{record}": {named}',
    *(f"{{n}} {what}" for what in ("causes are put off", "days could not be compared", "faults", "feeds fail")),
    *(f"{{n}} {what}" for what in ("things need somebody", "things need your attention", "values are not mapped")),
    *("{n} on open estimates", "{read} of {all} lists were read"),
})  # fmt: skip
"""Shown for two and more only, or the number is a limit."""


def words_of_tables() -> set[str]:
    """What pages say by what is stored, and what is said in the code of pages."""
    values = [value for table in catalogue.tables().values() for value in table.values()]
    words = {word for value in values for word in ([value] if isinstance(value, str) else value)} - {""}
    results = {*get_args(preview.Effect), preview.UNNAMED, preview.PROMISED, *STEPS, *KEPT}
    forms = {*mapping_form.FAULTS, *(where for _, where in setup.HOOKS.values()), setup.NO_DAY, setup.NOT_SAVED}
    lists = {*home.URGENCIES.values(), *records.MARKS.values(), *todo.SNOOZES.values(), *Cause}
    logins = {login.AGAIN, login.NOT_OURS, login.LEFT, login.MEANWHILE}
    fixed = {"Mapping", "Products", "Customers", *State, *Flow, "yes", "no", "paused by a person"}
    return words | results | forms | lists | logins | fixed


def test_each_word_of_a_kind_has_a_text_of_its_table() -> None:
    kinds: Mapping[str, Iterable[str]] = {
        "sale_statuses": SaleStatus,
        "sale_kinds": sales.KINDS,
        "mapping_caught": Caught,
        "roles": Role,
        "rights": Role,
        "sign_on_refusals": NoUser,
        "agreement_results": agreement_calendar.CalendarResult,
        "loads": setups.LOADED,
        "previews": {*Flow, actions.OF_BOOKS},
        "mapping_columns": [each.path for each in choices.CONTROLS],
        "mapping_hints": [each.path for each in choices.CONTROLS],
        "mapping_titles": [each.path for each in choices.CONTROLS],
        "mapping_unchosen": [each.path for each in choices.SINGLES],
    }
    assert {name: set(catalogue.tables()[name]) for name in kinds} == {
        name: set(map(str, kinds[name])) for name in kinds
    }


def locale(name: str) -> dict[str, str]:
    return tomllib.loads((LOCALES / f"{name}.toml").read_text("utf-8"))


def words_of_pages(language: str) -> dict[str, str]:
    return locale(language) | locale(f"{language}-records")


def test_f9_every_word_of_the_pages_is_translated() -> None:
    source = "".join(path.read_text("utf-8") for path in PAGES.glob("templates/*.html"))
    used = set(re.findall(r"""_\((?:"([^"]+)"|'([^']+)')""", source))
    words = {double or single for double, single in used} | words_of_tables()
    assert len(words) > 300
    assert words_of_pages("nl").keys() == words_of_pages("de").keys()
    for language in ("nl", "de"):
        assert words - set(words_of_pages(language)) == set(), language
        for english, translated in words_of_pages(language).items():
            assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", translated)), english


def test_dutch_pages_have_one_word_for_an_item() -> None:
    """Names of settings and values apart: `mapping.special_items`, {item}."""
    texts = catalogue.words("nl").values()
    assert [text for text in texts if re.search(r"(?<![\w.{])items?(?![\w}_])", text, re.IGNORECASE)] == []


@pytest.mark.parametrize("language", ["nl", "de"])
def test_f9_every_setting_is_explained_in_every_language(language: str) -> None:
    guide = settings_guide.explain(SettingsDocument())
    paths = {f"[{chapter.name}]" for chapter in guide} | {each.path for chapter in guide for each in chapter.settings}
    assert set(locale(f"{language}-settings")) == paths


@pytest.mark.parametrize(("language", "named_by"), [("nl", "SKU, naam of id"), ("de", "SKU, Name oder Id")])
def test_an_item_is_named_by_the_same_in_every_language(language: str, named_by: str) -> None:
    settings = [each for chapter in settings_guide.explain(SettingsDocument()) for each in chapter.settings]
    named = {each.path for each in settings if "SKU, name or id" in each.meaning}
    texts = locale(f"{language}-settings")
    assert {path for path in named if named_by not in texts[path]} == set() != named


def test_every_message_in_the_code_has_a_template_in_every_language() -> None:
    found = list(templates_in_code.find_all())
    assert len(found) > 700
    assert [each.place for each in found if each.template is None] == []
    # Without a word beside its values it says the same in every language; so do the names of settings and systems.
    said = {
        each.template: each.place for each in found if re.search("[a-z]{2}", re.sub(r"{\w+}", "", each.template or ""))
    }
    named = {text for text in said if text and re.fullmatch(r"[a-z]+\.[a-z_{}]+|QuickBooks|MplusKASSA", text)}
    for language in ("nl", "de"):
        known = catalogue.words(language)
        assert {text: place for text, place in said.items() if text not in known and text not in named} == {}, language


def test_messages_of_tables_have_a_template_in_every_language() -> None:
    meanings = {text for row in faults.ROWS for text in (row.meaning, row.who, row.how)}
    refusals = {text for row in till_faults.RESULTS.values() for text in (row.meaning, row.fix) if text}
    logins = {text for _, *said in auth.REFUSALS.values() for text in said}
    known = catalogue.words("de").keys()
    assert {text for text in meanings | refusals | logins if text not in known} == {"done"} - known
    for part in ("messages", "refusals", "former"):
        assert locale(f"nl-{part}").keys() == locale(f"de-{part}").keys()
        for language in ("nl", "de"):
            for english, translated in locale(f"{language}-{part}").items():
                assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", translated)), english


def test_a_former_template_stays_translated_and_is_not_in_the_code() -> None:
    former = locale("de-former").keys()
    assert former & {each.template for each in templates_in_code.find_all()} == set()
    assert former & (locale("de").keys() | locale("de-messages").keys() | locale("de-refusals").keys()) == set()
    assert "making an item in QuickBooks" in former, "a log line of the release before is English"
    stored = messages.store(message("{reason}: left alone", reason=message("the customer is inactive")))
    said = catalogue.say("de", "the customer is inactive: left alone", stored)
    assert said == "der Kunde ist inaktiv: unverändert gelassen"


_ONE_WORD: Mapping[str, tuple[tuple[str, str], ...]] = {
    "en": ((r"\(s\)", "a number before a noun"),),
    "nl": (
        (r"aftek|afgetek|af te teken", "ondertekenen"),
        (r"\bverslag", "rapport"),
        (r"\bafdeling", "vestiging"),
        (r"betalingstermijn|(?<!betaal)termijn", "betaaltermijn"),
        (r"\border (?!\{)", "bestelling"),
    ),
    "de": (
        (r"\bUSt\.(?!$)", "USt"),
        (r"\bZahlart", "Zahlungsart"),
        (r"abgezeichnet|abzuzeichnen", "unterschreiben"),
        (r"kostenvoranschl", "Angebot"),
        (r"zahlungsfrist|zahlungsbeding", "Zahlungsziel"),
        (r"\babteilung", "Standort"),
        (r"\bauftr[aä]g", "Bestellung"),
    ),
}
"""Words that once stood beside the one that pages use, and that one."""


@pytest.mark.parametrize("language", _ONE_WORD)
def test_one_thing_has_one_word_in_each_language(language: str) -> None:
    said = [text for path in LOCALES.glob(f"{language}*.toml") if "former" not in path.name
            for text in tomllib.loads(path.read_text("utf-8")).values()]  # fmt: skip
    unequal = {
        text: word for text in said for pattern, word in _ONE_WORD[language] if re.search(pattern, text, re.IGNORECASE)
    }
    assert unequal == {}


def test_every_number_of_records_has_words_for_one_and_none() -> None:
    """A text with a number before a noun in the plural says it of one; `none` is the plural, or a text of its own."""
    source = "".join(path.read_text("utf-8") for path in PAGES.glob("templates/*.html"))
    used = {double or single for double, single in re.findall(r"""_\((?:"([^"]+)"|'([^']+)')""", source)}
    texts = used | {each.template or "" for each in templates_in_code.find_all()}
    counted = {text for text in texts if re.search(_COUNTED, text)} - _NEVER_ONE
    plurals = {language: locale(f"{language}-plurals") for language in ("en", "de", "nl")}
    assert {each.rpartition(" [")[0] for each in plurals["en"]} - catalogue.words("de").keys() == set()
    for language, known in plurals.items():
        assert known.keys() == plurals["en"].keys(), language
        assert {text for text in counted if not any(each.startswith(f"{text} [") for each in known)} == set(), language
    for key in plurals["en"]:
        text, _, condition = key.rpartition(" [")
        name, number = condition.rstrip("]").split("=")
        values = dict.fromkeys(re.findall(r"{(\w+)}", text), "7")
        for language in ("en", "de", "nl"):
            said = {n: catalogue.translate(language, text, **{**values, name: n}) for n in ("0", "1", "2")}
            stored = {n: catalogue.say(language, message(text, **{**values, name: n})) for n in ("0", "1", "2")}
            assert said == stored
            assert said["2"] == catalogue.words(language).get(text, text).format_map({**values, name: "2"})
            assert said[number] == plurals[language][key].format_map({**values, name: number}), (language, text)
    assert catalogue.translate("en", "{n} records", n=1) == "1 record"
    assert catalogue.translate("en", "{n} records", n=0) == "0 records"
