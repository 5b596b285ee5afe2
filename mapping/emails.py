"""E-mail addresses as people and systems write them, and as keys by which a person is the same on both sides."""

from __future__ import annotations

import unicodedata

_UNSEEN = frozenset({"Cc", "Cf"})  # categories of control characters and of invisible ones
_ACE = "xn--"  # a label of a domain in ASCII
EMAIL_LENGTH = 100


def email_key(text: str | None) -> str | None:
    """The e-mail address as a key: the first of several; None if it is no address."""
    return next(iter(email_keys(text)), None)


def email_keys(text: str | None) -> tuple[str, ...]:
    """Every e-mail address in a field as a key: in lower case, its domain as people write it (no "xn--").

    Plus signs and dots are kept as part of the address: their meaning depends on the mail provider.
    """
    return tuple(dict.fromkeys(map(_to_key, email_addresses(text))))


def email_address(text: str | None) -> str | None:
    """The first address as it is written, to be written elsewhere."""
    return next(iter(email_addresses(text)), None)


def email_addresses(text: str | None) -> tuple[str, ...]:
    """Every e-mail address in a field as it is written: in lower case, without a name and invisible characters."""
    shown = "".join(each for each in text or "" if each in "\t\r\n" or unicodedata.category(each) not in _UNSEEN)
    parts = (part.rpartition("<")[2].strip().rstrip(">") for part in shown.replace(";", ",").split(","))
    # Case folding would make another address of one with an ß, and the key is what is written.
    candidates = (part.strip().lower() for part in parts)
    return tuple(dict.fromkeys(address for address in candidates if _is_address(address)))


def _to_key(address: str) -> str:
    local, _, domain = unicodedata.normalize("NFC", address).partition("@")
    return f"{local}@{'.'.join(map(_decode_label, domain.split('.')))}"


def _decode_label(label: str) -> str:
    """A label of a domain in letters; unchanged if it is none, or no correct one."""
    if not label.startswith(_ACE):
        return label
    try:
        letters = unicodedata.normalize("NFC", label.removeprefix(_ACE).encode("ascii").decode("punycode").lower())
    except ValueError:
        return label
    is_name = all(each == "-" or unicodedata.category(each)[0] in "LMN" for each in letters)
    return letters if is_name and _encode_label(letters) == label else label


def _encode_label(label: str) -> str:
    return label if label.isascii() else _ACE + label.encode("punycode").decode("ascii")


def email_spellings(address: str) -> tuple[str, ...]:
    """The address as it may be written elsewhere: with its domain in letters, and as the mail system has it."""
    key = _to_key(address)
    local, _, domain = key.partition("@")
    return tuple(dict.fromkeys((key, f"{local}@{'.'.join(map(_encode_label, domain.split('.')))}")))


def _is_address(address: str) -> bool:
    local, at, domain = address.partition("@")
    plain = not any(map(str.isspace, address)) and "@" not in domain
    return bool(local and at and "." in domain.strip(".") and plain and len(address) <= EMAIL_LENGTH)


def keep_spelling(present: str | None, wanted: str | None) -> str | None:
    """The field unchanged, if it already contains one of the wanted addresses: staff may add other text."""
    if set(email_keys(present)) & set(email_keys(wanted)):
        return present
    return email_address(wanted) or present
