"""What people are given: a template and its values as a page, everything escaped, and lists as CSV files."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Match

from gateway import VERSION, catalogue
from gateway.settings import PRODUCTION_API, SANDBOX_API, Settings
from gateway.store import rate_limits
from gateway.store.events import Event, Flow, State
from gateway.store.sales import AMSTERDAM
from gateway.web import inputs, services
from gateway.web.access import chosen_language, split
from gateway.web.sessions import DASHBOARD, Visitor
from mapping import settings_guide
from mapping.choices import CONTROLS, SINGLES
from mapping.money import show_cents, to_cents
from mapping.settings_document import SettingsDocument
from mapping.settings_guide import Setting

_FOLDER = Path(__file__).parent
_NAMED = re.compile(
    r"(?P<login>/connect/quickbooks)\b|"
    r'\b(?P<path>[a-z]+\.[a-z_]+)(?:\.[a-z_]+)*\b(?:\s(?:=|is|ist)\s(?P<value>"[a-z_]+"|true|false))?'
)
ASKED_FLOWS: Final = (
    "products.enabled",
    "categories.enabled",
    "stock.enabled",
    "customers.enabled",
    "orders.enabled",
)
ASKED_OTHERS: Final = (
    "products.turnover_group",
    "products.update_existing",
    "products.sku_with_letters",
    "customers.default_debtor",
    "customers.always_default_debtor",
    "customers.without_email",
    "orders.summary",
    "orders.summary_item",
    "orders.receipt_target",
    "orders.returns",
    "orders.missing_item",
    "orders.fallback_item",
    "orders.changed",
    "orders.cancelled",
    "orders.closed_books",
)
"""Settings that the set-up asks for: which flows, and what a shop most often wants otherwise."""
_MAPPED = frozenset(each.path for each in (*CONTROLS, *SINGLES))


def find_settings(document: SettingsDocument) -> dict[str, Setting]:
    """Every setting, with its explanation, by its path."""
    return {each.path: each for chapter in settings_guide.explain(document) for each in chapter.settings}


_SETTINGS: Final = find_settings(SettingsDocument())
_RESEND = re.compile(r"\./run resend [^\s,;]+")
_WORDS: Final = catalogue.tables()
_SETTING_TITLES: Final = {**_WORDS["mapping_titles"], **_WORDS["setting_titles"]}
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400

_environment = Environment(
    loader=FileSystemLoader(_FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


@cache
def to_asset(name: str) -> str:
    """The address of a static file, with a mark of its content, so that a browser may keep it."""
    digest = hashlib.sha256((_FOLDER / "static" / name).read_bytes()).hexdigest()[:12]
    return f"/static/{name}?{digest}"


_environment.globals |= {
    "asset": to_asset,
    "flows": list(Flow),
    "languages": catalogue.LANGUAGES,
    "pretty": partial(json.dumps, indent=2, ensure_ascii=False, default=str),
    "states": list(State),
    "system_names": rate_limits.NAMES,
    "version": VERSION,
    "words": _WORDS,
}


@dataclass(frozen=True, slots=True)
class SentForm:
    """What a form that was refused held, why, by field, and the status of the page that shows both again."""

    typed: Mapping[str, Any] = field(default_factory=dict)
    faults: Mapping[str, str] = field(default_factory=dict)
    status: int = 200


NOT_SENT: Final = SentForm()


def render(
    request: Request, template: str, sent: SentForm = NOT_SENT, *, status: int | None = None, **values: Any
) -> Response:
    """The page, with what was typed into its form and is wrong with it as `typed` and `faults`."""
    language, visitor = chosen_language(request), getattr(request.state, "visitor", None)
    directory = services.of(request).directory.peek()
    names = directory.display_names if directory else {}
    visible = [name for key, name in names.items() if visitor and visitor.connection in {None, key}]
    words = partial(catalogue.translate, language)
    shown = {
        "_": words,
        "say": partial(catalogue.say, language),
        "told": partial(_tell, language, visitor),
        "meaning": partial(catalogue.explain, language),
        "language": language,
        "visitor": visitor,
        "path": request.url.path,
        "here": _find_here(request, visitor),
        "person": partial(to_person, language),
        "clock": partial(to_clock, language),
        "duration": partial(to_duration, language),
        "record": partial(to_record, names),
        "entity": lambda entity: words(str(_WORDS["entities"].get(entity, entity))),
        "called": lambda key: names.get(key, key),
        "names": visible,
        "several": len(visible) > 1,
        "money": partial(catalogue.show_money, language),
        "number": partial(catalogue.show_number, language),
        "decimal": partial(_show_decimal, partial(catalogue.show_number, language)),
        "euros": partial(_show_decimal, lambda number: catalogue.show_money(language, to_cents(number))),
        "iso_day": lambda text: catalogue.show_day(language, date.fromisoformat(text)) if text else "",
        "day": partial(catalogue.show_day, language),
        "month_name": partial(catalogue.show_month, language),
        "weekdays": partial(catalogue.weekdays, language),
        "typed": sent.typed,
        "faults": sent.faults,
    }
    if "name" in values:
        values["name"] = names.get(values["name"], values["name"])
    if "names" in values:
        values["names"] = [names.get(each, each) for each in values["names"]]
    text = _environment.get_template(template).render(shown | values)
    headers = {"Content-Language": language, "Vary": "Accept-Language, Cookie"}
    return HTMLResponse(text, status or sent.status, headers=headers)


def _tell(
    language: str, visitor: Visitor | None, text: str | None, stored: str | None = None, connection: str | None = None
) -> Markup:
    """A message with the settings it names in words; they are links for a connection, by what it is called.

    A command that resends a sale is named by its button.
    """
    may_configure = visitor is not None and visitor.may_configure
    button = f'"{catalogue.translate(language, "Send to QuickBooks again")}"'
    said = _RESEND.sub(lambda _: button, catalogue.say(language, text, stored))
    return show_settings(language, said, connection, may_configure=may_configure)


def _show_decimal(show: Callable[[Decimal], str], text: str | Decimal | None) -> str:
    """A decimal number as people write it; a text that is none, or parts of a cent, as it is."""
    try:
        return "" if text in (None, "") else show(Decimal(text))
    except (InvalidOperation, ValueError):
        return str(text)


def show_settings(language: str, text: str, connection: str | None = None, *, may_configure: bool = False) -> Markup:
    """The text with each setting in words; with a connection (as it is called) they are links."""
    shown, end, name = Markup(), 0, quote(connection or "", safe="")
    for found in _NAMED.finditer(text):
        words: str
        address = ""
        if found["login"]:
            words = catalogue.translate(language, "Reconnect QuickBooks")
            address = f"{found['login']}?connection={name}" if may_configure else ""
        elif setting := _SETTINGS.get(found["path"]):
            words, path = _to_words(language, setting, found["value"]), setting.path
            address = f"/connections/{name}/{'mapping' if path in _MAPPED else 'settings'}#{path}"
            if path in (*ASKED_FLOWS, *ASKED_OTHERS) and may_configure:
                address = f"/setup/{name}#{path}"
        else:
            continue
        if connection is not None and address:
            words = Markup('<a href="{}">{}</a>').format(address, words)
        shown += escape(text[end : found.start()]) + Markup("<q>{}</q>").format(words)
        end = found.end()
    return shown + escape(text[end:])


def _to_words(language: str, setting: Setting, value: str | None) -> str:
    meaning = re.split("[:;]", catalogue.explain(language, setting.path, setting.meaning))[0]
    title = catalogue.translate(language, _SETTING_TITLES[setting.path]) if setting.path in _SETTING_TITLES else meaning
    if value is None:
        return title
    plain = value.strip('"')
    chosen = {"true": "on", "false": "off"}.get(plain) or _WORDS["setup_choices"].get(f"{setting.path}={plain}", plain)
    return f"{title}: {catalogue.translate(language, chosen)}"


def _find_here(request: Request, visitor: Visitor | None) -> str:
    """The address of this page, for a form that comes back to it; what answers a form is the page that sent it.

    A page without a login repeats no query: a secret may stand in it.
    """
    is_known = visitor is not None or request.url.path == "/login"
    if request.method == "GET":
        return request.url.path + (f"?{request.url.query}" if request.url.query and is_known else "")
    sender = split(request.headers.get("referer", ""))
    parts = request.url.path.split("/")
    above = ["/".join(parts[:count]) for count in range(len(parts), 1, -1)]
    path = next((path for path in (sender.path, *above) if _is_page(request, path)), "/")
    return f"{path}?{sender.query}" if sender.query and is_known and path == sender.path else path


def _is_page(request: Request, path: str) -> bool:
    """What only answers forms is none, although its name fits a later route ("/events/retry" as an id)."""
    asked = {"type": "http", "method": "GET", "path": path, "headers": []}
    found = (route.matches(asked)[0] for route in request.app.routes)
    return next((match for match in found if match is not Match.NONE), Match.NONE) is Match.FULL


def show_problem(request: Request, status: int, detail: str | None) -> Response:
    """`request.state.back` is where to go on, where the answer of another system led here."""
    language, request.state.visitor = chosen_language(request), None  # it shows nothing that needs a login
    back = getattr(request.state, "back", None)
    title = catalogue.translate(language, "QuickBooks was not connected" if back else HTTPStatus(status).phrase)
    said = catalogue.say(language, detail)
    return render(request, "problem.html", status=status, title=title, detail=said, number=status, back=back)


def to_older(path: str, query: Mapping[str, str], after: object) -> str | None:
    """The address of the next page of a list; None behind the last."""
    return f"{path}?{urlencode({**query, 'after': after})}" if after else None


def to_clock(language: str, moment: datetime | None) -> Markup:
    """A moment by the shop's clock, the UTC moment in its title; paper has the day of a moment of today, too."""
    if moment is None:
        return Markup("")
    local, now = moment.astimezone(AMSTERDAM), datetime.now(AMSTERDAM)
    is_today = local.date() == now.date()
    text = f"{local:%H:%M:%S}" if is_today else catalogue.show_moment(language, local)
    utc, day = moment.astimezone(UTC), catalogue.show_day(language, local.date()) if is_today else ""
    return Markup('<time datetime="{}" title="{}"{}>{}</time>').format(
        utc.isoformat(timespec="seconds"),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        Markup(' data-day="{}"').format(day) if day else "",
        text,
    )


def to_duration(language: str, seconds: float) -> str:
    """A length of time in its largest unit: "12 s", "3 min", "5 h", "2 days"."""
    if seconds < _MINUTE:
        return f"{int(seconds)} s"
    if seconds < _HOUR:
        return f"{int(seconds // _MINUTE)} min"
    if seconds < 2 * _DAY:
        return catalogue.translate(language, "{n} h", n=int(seconds // _HOUR))
    return catalogue.translate(language, "{n} days", n=int(seconds // _DAY))


def to_person(language: str, actor: str) -> str:
    """Who acted: the name of a person, else what is meant by a name of ours."""
    if actor in _WORDS["actors"]:
        return catalogue.translate(language, _WORDS["actors"][actor])
    return actor.removeprefix(f"{DASHBOARD}: ")


def to_record(names: Mapping[str, str], event: Event) -> str:
    """How a person knows the record: its number, SKU or e-mail, else the id in the other system."""
    if event.entity_id == event.connection:
        return names.get(event.connection, event.connection)
    return event.order_id or event.sku or event.email or event.entity_id


# --- where QuickBooks shows a document -------------------------------------------------------------------------------


_HOSTS: Final = {
    PRODUCTION_API: "https://app.qbo.intuit.com",
    SANDBOX_API: "https://app.sandbox.qbo.intuit.com",
}
"""By the address of the API in use: one that was overridden, such as a simulator's, has no pages."""
_PAGES: Final = {
    "SalesReceipt": "salesreceipt",
    "RefundReceipt": "refundreceipt",
    "Invoice": "invoice",
    "CreditMemo": "creditmemo",
}


def find_address(settings: Settings, entity: str | None, document_id: str | None) -> str | None:
    """Where QuickBooks shows this document to somebody who is logged in there; None if it has no such page."""
    host, page = _HOSTS.get(settings.quickbooks_api_url), _PAGES.get(entity or "")
    if not (host and page and document_id and document_id.isascii() and document_id.isdigit()):
        return None
    return f"{host}/app/{page}?{urlencode({'txnId': document_id})}"


# --- lists as files: RFC 4180, and for spreadsheets of countries that write 12,50 -------------------------------------


BYTE_ORDER_MARK: Final = "\ufeff"
"""At the beginning of a file: it tells spreadsheets that this is UTF-8."""
Rows = Iterable[Sequence[str]]
CSV_PAGE: Final = 1_000
_DECIMAL: Final = "decimal"
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes a text that begins like this for a formula."""


class CsvStyle(StrEnum):
    """What stands before the cents; with a comma there, semicolons part the cells.

    A spreadsheet that writes 12,50 splits a file at semicolons only, and takes 3.12 for the third of December.
    """

    POINT = "point"
    COMMA = "comma"

    def to_text(self, rows: Rows) -> str:
        """Rows as lines that end with CR and LF, with quotes where they are needed."""
        written = io.StringIO()
        delimiter = ";" if self is CsvStyle.COMMA else ","
        csv.writer(written, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
        return written.getvalue()

    def show(self, cents: int | None) -> str:
        """An amount without its currency and without thousands separators, empty for none."""
        shown = "" if cents is None else show_cents(cents)
        return shown.replace(".", ",") if self is CsvStyle.COMMA else shown


def find_csv_style(request: Request) -> CsvStyle:
    """The style that the address of a file asks for. Raises `Refusal` 400."""
    return inputs.find_choice(request.query_params, _DECIMAL, CsvStyle) or CsvStyle.POINT


def to_csv_query(request: Request, query: Mapping[str, str]) -> str:
    """The query of a page's link to its file: in the style of the page's language."""
    is_comma = chosen_language(request) in {"de", "nl"}
    return urlencode({**query, _DECIMAL: CsvStyle.COMMA} if is_comma else query)


async def to_download(
    request: Request, name: str, columns: Sequence[str], read: Callable[[Session, Any], tuple[Rows, Any]]
) -> Response:
    """A file of all the rows that `read` answers, page by page: from a cursor on, with the next one (None: the end)."""
    style, shared = find_csv_style(request), services.of(request)

    def find(after: Any) -> Awaitable[tuple[Rows, Any]]:
        return shared.read(lambda session: read(session, after))

    first = await find(None)

    async def pages() -> AsyncIterator[str]:
        yield BYTE_ORDER_MARK + style.to_text([columns])
        rows, following = first
        while True:
            yield style.to_text(rows)
            if following is None:
                return
            rows, following = await find(following)

    headers = {"Content-Disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(pages(), media_type="text/csv; charset=utf-8; header=present", headers=headers)


def defuse(text: str) -> str:
    """The text with an apostrophe before it where a spreadsheet would take it for a formula."""
    return f"'{text}" if text.lstrip(" ").startswith(_FORMULAS) else text
