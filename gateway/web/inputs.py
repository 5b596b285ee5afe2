"""What a request holds: its body, within a limit; filters, numbers and days, refused by name where they are wrong.

Every error becomes an answer here: RFC 9457 problem JSON for programs, a plain page for people.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from http import HTTPStatus
from typing import Any, TypeVar
from urllib.parse import parse_qs

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from gateway.errors import Permanent, Rejected, Transient
from gateway.queries.activity import LONGEST_PAGE, PAGE, Filter
from gateway.store.events import Flow, State
from mapping.messages import message

LONGEST_TEXT = 200
LARGEST_ID = 2**63 - 1
LARGEST_NUMBER = 2**31 - 1
# One line of text: no control character, no other line break, nothing that changes the direction of writing.
ONE_LINE = r"^[^\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]*$"
_ONE_LINE = re.compile(ONE_LINE)
FILTER = ("state", "flow", "connection", "q", "after", "limit")
Choice = TypeVar("Choice", bound=StrEnum)


class Refusal(Rejected):
    """A request refused with a status, a sentence and perhaps more members of the problem."""

    def __init__(self, status: int, detail: str, *, headers: Mapping[str, str] | None = None, **members: Any) -> None:
        super().__init__(status, detail)
        self.headers = dict(headers or {})
        self.members = members


def only(given: Mapping[str, Any], *names: str) -> Mapping[str, Any]:
    """The same, if it holds nothing but these names. Raises `Refusal` 400: a misspelt `dry_run` must never write."""
    unknown = sorted(set(given) - set(names))
    if unknown:
        known = ", ".join(names) or message("nothing")
        said = message("unknown: {names}; known here: {known}", names=", ".join(unknown)[:LONGEST_TEXT], known=known)
        raise Refusal(400, said)
    return given


def to_filter(given: Mapping[str, Any]) -> Filter:
    """The filter of `?state= &flow= &connection= &q= &after= &limit=`. Raises `Refusal` 400."""
    return Filter(
        state=find_choice(given, "state", State),
        flow=find_choice(given, "flow", Flow),
        connection=find_text(given, "connection"),
        code=find_text(given, "code"),
        q=find_text(given, "q"),
        before=find_cursor(given),
        limit=find_limit(given),
    )


def find_cursor(given: Mapping[str, Any]) -> int | None:
    """The id of `?after=`, from which a list goes on; None for its first page."""
    return find_number(given, "after", low=1, high=LARGEST_ID)


def find_limit(given: Mapping[str, Any]) -> int:
    """How many rows a page holds."""
    return find_number(given, "limit", low=1, high=LONGEST_PAGE) or PAGE


def only_filled(given: Mapping[str, str]) -> dict[str, str]:
    """The fields that say something: a browser also sends those that were left empty."""
    return {name: value for name, value in given.items() if value}


def find_choice(given: Mapping[str, Any], name: str, choices: type[Choice]) -> Choice | None:
    """One of the words of an enumeration, or None when absent or empty."""
    if (value := given.get(name)) in (None, ""):
        return None
    found = next((choice for choice in choices if choice == value), None)
    if found is None:
        raise Refusal(400, message("{name} should be one of {choices}", name=message(name), choices=", ".join(choices)))
    return found


def find_text(given: Mapping[str, Any], name: str) -> str | None:
    """A short text, or None when absent or empty."""
    if (value := given.get(name)) in (None, ""):
        return None
    if not isinstance(value, str) or len(value) > LONGEST_TEXT or not is_line(value):
        said = "{name} should be one line of text, at most {most} characters"
        raise Refusal(400, message(said, name=message(name), most=LONGEST_TEXT))
    return value


def is_line(text: str) -> bool:
    # Half a surrogate pair passes through JSON, but is no character.
    return _ONE_LINE.fullmatch(text) is not None and text.encode("utf-8", "ignore").decode() == text


def find_number(given: Mapping[str, Any], name: str, *, low: int = 0, high: int = LARGEST_NUMBER) -> int | None:
    """A whole number within bounds, or None when absent or empty."""
    if (value := given.get(name)) in (None, ""):
        return None
    number = _find_whole(value)
    if number is None or not low <= number <= high:
        said = "{name} should be a whole number from {low} to {high}"
        raise Refusal(400, message(said, name=message(name), low=low, high=high))
    return number


def _find_whole(value: object) -> int | None:
    """A number of JSON or in digits; None for anything else, and for one too long to be meant."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float):
        return int(value) if value.is_integer() else None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(LARGEST_ID)):
        return int(value)
    return None


def find_day(given: Mapping[str, Any], name: str) -> date | None:
    """A day, or None when absent. An empty text is refused: it would ask for all days, and was hardly meant so."""
    text = given.get(name)
    if text is None:
        return None
    try:
        # Python also reads "20260131" and week dates; one way of writing is enough.
        return date.fromisoformat(text if isinstance(text, str) and len(text) == len("2026-01-31") else "")
    except ValueError:
        raise Refusal(400, message("{name} should be a day such as 2026-01-31", name=message(name))) from None


def find_switch(given: Mapping[str, Any], name: str) -> bool:
    """True or false of a JSON body; absent is false."""
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise Refusal(400, message("{name} should be true or false", name=message(name)))
    return value


def to_id(request: Request) -> int:
    """The row id in the address. Raises `Refusal` 404 for what cannot be one."""
    number = _find_whole(request.path_params["id"])
    if number is None or number > LARGEST_ID:
        raise Refusal(404, "there is no such event")
    return number


def bearer_of(request: Request) -> str:
    """The bearer token of a request; empty when it has none."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


# --- the body; the time it may take is the protocol's ----------------------------------------------------------------


LARGEST_DELIVERY = 4 * 1024 * 1024
LARGEST_FORM = 1024 * 1024
MOST_FIELDS = 2_000
"""Of a form: the mapping has one for every way to pay, branch, rate and turnover group."""
_LONGEST_NUMBER = 18  # digits; a longer Content-Length is found out while reading


async def read_body(request: Request, *, limit: int) -> bytes:
    """The whole body, as it was sent. Raises `Refusal`: 413 too large, 415 compressed, 400 cut off."""
    for name, value in request.scope["headers"]:
        # Nothing is inflated here: a few bytes could become gigabytes before the signature is known.
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            detail = "send the body as it is, without a content encoding"
            raise Refusal(415, detail, headers={"Accept-Encoding": "identity"})
        is_length = name == b"content-length" and value.isdigit() and len(value) <= _LONGEST_NUMBER
        if is_length and int(value) > limit:
            raise _too_large(limit)
    # Straight from the server, message by message: nearly every delivery is one.
    body, more = b"", True
    while more:
        part = await request.receive()
        if part["type"] == "http.disconnect":
            raise Refusal(400, "the body was cut off")
        body += part.get("body", b"")
        if len(body) > limit:
            raise _too_large(limit)
        more = part.get("more_body", False)
    return body


def _too_large(limit: int) -> Refusal:
    return Refusal(413, message("the body is larger than {limit} bytes", limit=limit), headers={"Connection": "close"})


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; the last value of a repeated field."""
    body = await read_body(request, limit=LARGEST_FORM)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise Refusal(400, "this is not a form") from None
    return {name: values[-1] for name, values in fields.items()}


# --- errors as answers: never a secret, never a trace -----------------------------------------------------------------


RETRY_SECONDS = 5
_DETAILS = {
    404: "there is nothing at this address",
    405: "this address does not take that method",
}


def problem(
    status: int,
    detail: str | None = None,
    *,
    instance: str | None = None,
    headers: Mapping[str, str] | None = None,
    **members: Any,
) -> Response:
    """A problem document; `members` extend it (RFC 9457, section 3.2)."""
    content: dict[str, Any] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status}
    content |= {name: said for name, said in (("detail", detail), ("instance", instance)) if said}
    body = json.dumps(content | members, ensure_ascii=False, default=str).encode("utf-8", "backslashreplace")
    return Response(body, status, dict(headers or {}), media_type="application/problem+json")


def answer(request: Request, error: Exception) -> Response:
    """The answer to any error, as a page for people or as a problem document."""
    detail: str | None
    headers: Mapping[str, str] = {}
    members: Mapping[str, Any] = {}
    match error:
        case Refusal():
            status, detail, headers, members = error.status, error.reason, error.headers, error.members
        case Rejected():
            status, detail = error.status, error.reason
        case HTTPException():  # what the framework refuses (404, 405, 413)
            status, detail, headers = error.status_code, _DETAILS.get(error.status_code), dict(error.headers or {})
        case Transient():  # the database cannot be used right now, and trying again is right
            status, detail, headers = 503, error.reason, {"Retry-After": str(RETRY_SECONDS)}
        case Permanent():  # a person has to act, and the error says how
            status, detail, members = 409, error.reason, error.problem.named("code", "field", "fix")
        case _:  # the error goes to the log
            status, detail = 500, "something unexpected happened here; it was logged"
    page = getattr(request.app.state, "problem_page", None)
    is_for_programs = request.url.path.startswith(("/admin/", "/webhooks/", "/metrics", "/livez", "/readyz"))
    if page is None or is_for_programs or "text/html" not in request.headers.get("accept", ""):
        return problem(status, detail, instance=request.url.path, headers=headers, **members)
    shown: Response = page(request, status, detail)
    shown.headers.update(headers)
    return shown
