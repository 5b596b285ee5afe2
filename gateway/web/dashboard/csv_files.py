"""Lists as files: RFC 4180 for programs, and for the spreadsheets of countries that write 12,50.

Such a spreadsheet splits a file at semicolons only, and takes 3.12 for the third of December.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import Any, Final
from urllib.parse import urlencode

from sqlmodel import Session
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from gateway.web import queries, services
from gateway.web.visitors import chosen_language
from mapping.money import show_cents

MARK: Final = "\ufeff"
"""At the beginning of a file: it tells spreadsheets that this is UTF-8."""
Rows = Iterable[Sequence[str]]
CSV_PAGE: Final = 1_000
_DECIMAL: Final = "decimal"
_FORMULAS: Final = ("=", "+", "-", "@", "\t", "\r", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""A spreadsheet takes a text that begins like this for a formula."""


class CsvStyle(StrEnum):
    """What stands before the cents; with a comma there, semicolons part the cells."""

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


def find_style(given: Mapping[str, Any]) -> CsvStyle:
    """The style that the address of a file asks for. Raises `Refusal` 400."""
    return queries.find_choice(given, _DECIMAL, CsvStyle) or CsvStyle.POINT


def to_query(request: Request, query: Mapping[str, str]) -> str:
    """The query of a page's link to its file: in the style of the page's language."""
    is_comma = chosen_language(request) in {"de", "nl"}
    return urlencode({**query, _DECIMAL: CsvStyle.COMMA} if is_comma else query)


async def to_download(
    request: Request, name: str, columns: Sequence[str], read: Callable[[Session, Any], tuple[Rows, Any]]
) -> Response:
    """A file of all the rows that `read` answers, page by page: from a cursor on, with the next one (None: the end)."""
    style, shared = find_style(request.query_params), services.of(request)

    def find(after: Any) -> Awaitable[tuple[Rows, Any]]:
        return shared.read(lambda session: read(session, after))

    first = await find(None)

    async def pages() -> AsyncIterator[str]:
        yield MARK + style.to_text([columns])
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
