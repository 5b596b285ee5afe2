"""Reading a request's body with a limit on its size while it streams; the time it may take is the protocol's."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import Request

from gateway.web.problems import Refusal
from mapping.messages import message

LARGEST_DELIVERY = 4 * 1024 * 1024
LARGEST_FORM = 1024 * 1024
MOST_FIELDS = 2_000
"""Of a form: the mapping has one for every way to pay, branch, rate and turnover group."""
_LONGEST_NUMBER = 18  # digits; a longer Content-Length is found out while reading


async def read(request: Request, *, limit: int) -> bytes:
    """The whole body, as it was sent. Raises `Refusal`: 413 too large, 415 compressed, 400 cut off."""
    for name, value in request.scope["headers"]:
        # Nothing is inflated here: a few bytes could become gigabytes before the signature is known.
        if name == b"content-encoding" and value.strip().lower() not in {b"", b"identity"}:
            raise Refusal(
                415, "send the body as it is, without a content encoding", headers={"Accept-Encoding": "identity"}
            )
        if (
            name == b"content-length"
            and (int(value) if value.isdigit() and len(value) <= _LONGEST_NUMBER else 0) > limit
        ):
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
    body = await read(request, limit=LARGEST_FORM)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except (UnicodeDecodeError, ValueError):
        raise Refusal(400, "this is not a form") from None
    return {name: values[-1] for name, values in fields.items()}


async def read_json(request: Request) -> dict[str, Any]:
    """A JSON object; an empty body is an empty object."""
    body = await read(request, limit=LARGEST_FORM)
    if not body.strip():
        return {}
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        raise Refusal(400, "the body is not JSON") from None
    if not isinstance(content, dict):
        raise Refusal(400, "the body is not a JSON object")
    return content
