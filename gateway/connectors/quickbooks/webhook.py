"""A delivery of the books, from signed bytes to hints: both formats; one bad event does not affect another.

The CloudEvents format is a JSON array; the legacy one an object with `eventNotifications`. The format can
change between two deliveries, so each is parsed on its own. A hint says that something changed, never its new state.
"""

from __future__ import annotations

import codecs
import hashlib
import hmac
import json
import re
from binascii import b2a_base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from gateway.connectors.quickbooks.fields import find_moment, spell

_MARK: Final = codecs.BOM_UTF8
_LONGEST_TEXT: Final = 255
_LONGEST_INTEGER: Final = 40
_TYPE: Final = re.compile(r"qbo\.([a-z0-9]+)\.([a-z]+)\.v\d+", re.IGNORECASE)
_UNSTORABLE: Final = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")
_OPERATIONS: Final = {
    "created": "Create",
    "updated": "Update",
    "deleted": "Delete",
    "merged": "Merge",
    "voided": "Void",
    "emailed": "Emailed",
}


class Hint(NamedTuple):
    """`entity` `entity_id` of company `account` changed; `operation` in the legacy words (Create, Update, ...).

    `dedupe_key` is equal for every delivery of one event, at most 255 characters. `deleted_id` is the record that
    a merge removed.
    """

    account: str
    entity: str
    entity_id: str
    operation: str
    dedupe_key: str
    occurred_at: datetime | None = None
    deleted_id: str | None = None


@dataclass(frozen=True, slots=True)
class UnreadableDelivery:
    """An event (`position` counts from 0 over the whole delivery) or, with `position` None, an unreadable body."""

    position: int | None
    reason: str


class _Unusable(Exception):
    """An event lacks what a hint needs; the message says what."""


def parse(body: bytes) -> list[Hint | UnreadableDelivery]:
    """Every event of a delivery, in its order. Never raises for any bytes."""
    try:
        # Bytes that are not UTF-8 become lone surrogates, so that only the event with them is unusable.
        delivery = _DECODER.decode(body.removeprefix(_MARK).decode("utf-8", "surrogateescape"))
    except RecursionError:
        return [UnreadableDelivery(None, "the JSON is nested too deeply")]
    except ValueError:
        return [UnreadableDelivery(None, "the body is not JSON")]
    events: Iterable[object]
    match delivery:
        case list():
            events = delivery
        case {"eventNotifications": list(notifications)}:
            events = _flatten(notifications)
        case {"specversion": _}:
            events = [delivery]
        case _:
            return [UnreadableDelivery(None, "neither a list of CloudEvents nor an object with eventNotifications")]
    return [_read_event(position, event) for position, event in enumerate(events)]


# Fractions, NaN and infinities are not valid in an event.
_DECODER: Final = json.JSONDecoder(
    parse_int=lambda digits: int(digits) if len(digits) <= _LONGEST_INTEGER else None,
    parse_float=lambda _: None,
    parse_constant=lambda _: None,
)


class _LegacyEvent(NamedTuple):
    account: object
    entity: object


def _flatten(notifications: list[Any]) -> Iterator[object]:
    for notification in notifications:
        match notification:
            case {"realmId": account, "dataChangeEvent": {"entities": list(entities)}}:
                yield from (_LegacyEvent(account, entity) for entity in entities)
            case _:
                yield notification


def _read_event(position: int, event: object) -> Hint | UnreadableDelivery:
    try:
        if isinstance(event, dict):
            return _read_cloud_event(event)
        if isinstance(event, _LegacyEvent) and isinstance(event.entity, dict):
            return _read_legacy(event.account, event.entity)
        return UnreadableDelivery(position, "not an event of a known shape")
    except _Unusable as flaw:
        return UnreadableDelivery(position, str(flaw))


def _read_cloud_event(event: Mapping[str, Any]) -> Hint:
    account, entity_id, kind = (_need(event, key) for key in ("intuitaccountid", "intuitentityid", "type"))
    entity, operation = _split_type(kind)
    event_id, time = _find_text(event.get("id")), event.get("time")
    data = event.get("data")
    return Hint(
        account=account,
        entity=entity,
        entity_id=entity_id,
        operation=operation,
        dedupe_key=event_id or _digest("event", account, kind, entity_id, time),
        occurred_at=find_moment(time),
        deleted_id=_find_text(data.get("deletedid")) if isinstance(data, Mapping) else None,
    )


@lru_cache(maxsize=256)
def _split_type(kind: str) -> tuple[str, str]:
    found = _TYPE.fullmatch(kind)
    if found is None:
        return kind, ""
    verb = found[2].lower()
    return spell(found[1]), _OPERATIONS.get(verb, verb)


def _read_legacy(account: object, entity: Mapping[str, Any]) -> Hint:
    realm = _need({"realmId": account}, "realmId")
    name, entity_id = _need(entity, "name"), _need(entity, "id")
    operation = _find_text(entity.get("operation")) or ""
    moment = entity.get("lastUpdated")
    return Hint(
        account=realm,
        entity=spell(name),
        entity_id=entity_id,
        operation=operation,
        dedupe_key=_digest("legacy", realm, name, entity_id, operation, moment),
        occurred_at=find_moment(moment),
        deleted_id=_find_text(entity.get("deletedId")),
    )


def _need(event: Mapping[str, Any], key: str) -> str:
    text = _find_text(event.get(key))
    if text is None:
        raise _Unusable(f"{key} is missing or not usable as text")
    return text


def _find_text(value: object) -> str | None:
    """A text that any database column accepts: not empty, not long, no control characters, no broken encoding."""
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not 0 < len(text) <= _LONGEST_TEXT:
        return None
    # Printable text can always be stored, and this check costs a tenth of the search.
    return text if text.isprintable() or not _UNSTORABLE.search(text) else None


def _digest(*parts: object) -> str:
    spelled = json.dumps([part if isinstance(part, str) else None for part in parts])
    return f"{parts[0]}-{hashlib.sha256(spelled.encode()).hexdigest()}"


HEADER: Final = "intuit-signature"
_RAW_HEADER: Final = HEADER.encode()


def find_signature(raw_headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The one signature header of an ASGI request; None when it is absent or occurs more than once."""
    values = [value for name, value in raw_headers if name.lower() == _RAW_HEADER]
    return values[0] if len(values) == 1 else None


def is_authentic(body: bytes, signature_header: bytes | str | None, verifiers: Sequence[str]) -> int | None:
    """The index of the verifier token that signed exactly these bytes, or None. Never raises.

    Several tokens are accepted while they rotate; an empty one is never used as a key. A header that holds more
    than one value equals no signature and is refused by the same comparison.
    """
    given = _to_bytes(signature_header)
    matches = [
        index
        for index, verifier in enumerate(verifiers)
        if verifier.strip() and hmac.compare_digest(_sign(body, verifier), given)
    ]
    return matches[0] if matches else None


def sign(body: bytes, verifier: str) -> str:
    """The signature Intuit would send for a body: standard base64 with padding."""
    return _sign(body, verifier).decode("ascii")


def _sign(body: bytes, verifier: str) -> bytes:
    return b2a_base64(hmac.digest(_to_bytes(verifier), body, "sha256"), newline=False)


def _to_bytes(text: bytes | str | None) -> bytes:
    # compare_digest raises on non-ASCII str, and a lone surrogate cannot be encoded: bytes that match nothing instead.
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    return text or b""
