"""Reading a request's body with a limit on its size while it streams and on the time it may take as a whole."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import parse_qs

from starlette.requests import ClientDisconnect, Request

from gateway.web.problems import Refusal

LARGEST_DELIVERY = 4 * 1024 * 1024
LARGEST_FORM = 1024 * 1024
LONGEST_SECONDS = 10.0
_LONGEST_NUMBER = 18  # digits; a longer Content-Length is found out while reading


async def read(request: Request, *, limit: int, seconds: float = LONGEST_SECONDS) -> bytes:
    """The whole body, as it was sent. Raises `Refusal`: 413 too large, 415 compressed, 408 too slow, 400 cut off."""
    # Nothing is inflated here: a few bytes could become gigabytes before the signature is known.
    if request.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise Refusal(
            415, "send the body as it is, without a content encoding", headers={"Accept-Encoding": "identity"}
        )
    if _announced(request) > limit:
        raise _too_large(limit)
    try:
        async with asyncio.timeout(seconds):
            return await _collect(request, limit)
    except TimeoutError:
        raise Refusal(408, "the body took too long", headers={"Connection": "close"}) from None
    except ClientDisconnect:
        raise Refusal(400, "the body was cut off") from None


async def _collect(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
    return b"".join(chunks)


def _announced(request: Request) -> int:
    length = request.headers.get("content-length", "")
    return int(length) if length.isascii() and length.isdigit() and len(length) <= _LONGEST_NUMBER else 0


def _too_large(limit: int) -> Refusal:
    return Refusal(413, f"the body is larger than {limit} bytes", headers={"Connection": "close"})


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of a field that stands there twice, the last."""
    body = await read(request, limit=LARGEST_FORM)
    try:
        fields = parse_qs(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
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
