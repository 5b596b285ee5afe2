"""Characters that a system can never accept, left out of what is read and written. Pure.

XML 1.0 forbids most control characters, even written as `&#x1B;`, and one of them makes a whole answer unreadable.
No register, printer or page of the books can show any but tabs and line breaks, so the others are always dropped.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

_FORBIDDEN: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_ASTRAL: Final = re.compile("[\U00010000-\U0010ffff]")
_RARE: Final = re.compile(" ?(?:[\U00010000-\U0010ffff][\u200d\ufe0e\ufe0f]*)+")  # with joiners and variation selectors
_RAW: Final = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_HIGH: Final = re.compile(rb"\xc2[\x80-\x9f]|\xef\xbf[\xbe\xbf]")  # U+0080 to U+009F, U+FFFE and U+FFFF in UTF-8
_REFERENCE: Final = re.compile(rb"&#(x[0-9A-Fa-f]+|[0-9]+);")
_LONGEST_REFERENCE: Final = 7  # 1114111 is the last character
_DECLARED: Final = re.compile(rb"""\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]+)["']""")
_ASCII_COMPATIBLE: Final = frozenset({"utf-8", "us-ascii", "iso-8859-1", "iso-8859-15", "windows-1252"})


def clean(value: Any) -> tuple[Any, int]:
    """The value without control characters and others that XML forbids, in all its texts, and how many there were."""
    return _strip(value, lambda text: _FORBIDDEN.subn("", text))


def to_basic_plane(value: Any) -> tuple[Any, int]:
    """The value without characters above U+FFFF (emoji and the like), in all its texts, and how many there were."""

    def leave_out(text: str) -> tuple[str, int]:
        count = len(_ASTRAL.findall(text))
        return (_RARE.sub("", text).strip(), count) if count else (text, 0)

    return _strip(value, leave_out)


def _strip(value: Any, strip: Callable[[str], tuple[str, int]]) -> tuple[Any, int]:
    match value:
        case str():
            return strip(value)
        case Mapping():
            parts = {key: _strip(inner, strip) for key, inner in value.items()}
            count = sum(found for _, found in parts.values())
            return ({key: inner for key, (inner, _) in parts.items()}, count) if count else (value, 0)
        case list() | tuple():
            stripped = [_strip(inner, strip) for inner in value]
            count = sum(found for _, found in stripped)
            return ([inner for inner, _ in stripped], count) if count else (value, 0)
    return value, 0


def clean_xml(document: bytes) -> tuple[bytes, int]:
    """A document without control characters and others XML forbids, in UTF-8 that can be decoded, and their number.

    A document in an encoding that is no superset of ASCII is left as it is.
    """
    declared = _DECLARED.match(document)
    encoding = declared[1].decode("ascii").lower() if declared else "utf-8"
    if encoding not in _ASCII_COMPATIBLE or document[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return document, 0
    document, raw = _RAW.subn(b"", document)
    references = sum(1 for each in _REFERENCE.finditer(document) if not _is_allowed(each[1]))
    if references:
        document = _REFERENCE.sub(lambda each: each[0] if _is_allowed(each[1]) else b"", document)
    if encoding in {"utf-8", "us-ascii"}:
        encoding = "utf-8"
        document, high = _HIGH.subn(b"", document)
        raw += high
    broken = 0
    try:
        document.decode(encoding)
    except UnicodeDecodeError:
        decoded = document.decode(encoding, "replace")
        document, broken = decoded.encode(encoding, "replace"), max(1, decoded.count("\ufffd"))
    return document, raw + references + broken


def _is_allowed(reference: bytes) -> bool:
    digits = reference.lstrip(b"x0") or b"0"
    if len(digits) > _LONGEST_REFERENCE:
        return False
    code = int(digits, 16 if reference.startswith(b"x") else 10)
    return code <= sys.maxunicode and not _FORBIDDEN.match(chr(code))
