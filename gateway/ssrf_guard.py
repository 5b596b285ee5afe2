"""The SSRF guard: addresses that no call of ours may reach, such as a cloud's metadata service with its credentials.

A name or number is checked by what it resolves to: resolved as the system does it (decimal, octal and hexadecimal
numbers included), an IPv4 address inside an IPv6 one unpacked, and the peer checked again once it is connected.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

# Beside the link-local networks: the metadata services of some clouds at other addresses.
_METADATA: Final = tuple(
    map(
        ip_network,
        (
            "192.0.0.0/24",  # Oracle's 192.0.0.192; nothing else of this network is a till
            "100.100.100.200/32",  # Alibaba
            "168.63.129.16/32",  # Azure
            "fd00:ec2::/32",  # Amazon
            "fd20:ce::254/128",  # Google
            "fec0::/10",  # what link-local networks were called before
        ),
    )
)
# Networks whose addresses hold an IPv4 address to which a router or translator forwards: prefix, bits behind it.
_TRANSLATED: Final = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("64:ff9b:1::/48"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("::ffff:0:0/96"), 0),
    (IPv6Network("::ffff:0:0:0/96"), 0),
    (IPv6Network("2002::/16"), 80),
)
# The prefix of translators in a network of one's own (RFC 8215). Behind the prefix's length (RFC 6052) the IPv4
# address begins, with the bits 64 to 71 left out.
_LOCAL_TRANSLATORS: Final = IPv6Network("64:ff9b:1::/48")
_PREFIX_LENGTHS: Final = (48, 56, 64)
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
_LOCAL_ENDINGS: Final = (".localhost", ".local", ".lan", ".internal", ".home.arpa")


class Forbidden(OSError):
    """A name resolves to an address that may not be called."""


def refuse_metadata(host: str) -> None:
    """Raises `Forbidden` when this IP address is link-local, multicast, or a cloud's metadata service.

    Private networks and this machine are allowed: a till may be in the shop's network, a simulator on this machine.
    """
    for address in _unpacked(host):
        if address.is_link_local or address.is_multicast or any(address in network for network in _METADATA):
            raise Forbidden("the address leads to a link-local or metadata service")


def refuse_name(host: str, port: int, *, encrypted: bool = True) -> None:
    """Raises `Forbidden` when any address of this name is forbidden, `OSError` when the name is unknown.

    What is not `encrypted` goes to private networks only.
    """
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        refuse(str(place[0]), encrypted=encrypted)


def refuse(host: str, *, encrypted: bool) -> None:
    """Raises `Forbidden` for an IP address that may not be called, or not without encryption."""
    refuse_metadata(host)
    if not encrypted:
        refuse_public(host)


def refuse_public(host: str) -> None:
    """Raises `Forbidden` for a public address: calls to it have to be encrypted."""
    if any(address.is_global for address in _unpacked(host)):
        raise Forbidden("outside a private network the address has to begin with https://")


def is_metadata_number(host: str) -> bool:
    """Whether a host is the number of an address that `refuse_metadata` refuses; a name is not resolved."""
    number = _find_number(host)
    try:
        refuse_metadata(number or "127.0.0.1")
    except Forbidden:
        return True
    except ValueError:  # no address at all
        return False
    return False


def _find_number(host: str) -> str | None:
    """The address that a host is by itself; None for a name."""
    try:
        # The numbers of `inet_aton`, too: the system accepts them as an address.
        return host if ":" in host else socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def is_private_name(host: str) -> bool:
    """Whether a host is in a private network by its text alone: a private address, or a local name."""
    number = _find_number(host)
    if number is None:
        name = host.lower().strip(".")
        return "." not in name or name.endswith(_LOCAL_ENDINGS)
    try:
        refuse_public(number)
    except (Forbidden, ValueError):
        return False
    return True


def _unpacked(host: str) -> Iterator[IPv4Address | IPv6Address]:
    """The IP address without its zone, and every IPv4 address that it holds."""
    address = ip_address(host.partition("%")[0])
    yield address
    if not isinstance(address, IPv6Address):
        return
    for network, shift in _TRANSLATED:
        if address in network:
            yield IPv4Address((int(address) >> shift) & 0xFFFFFFFF)
    if address in _LOCAL_TRANSLATORS:
        rest = (int(address) >> 64 << 56) | (int(address) & ((1 << 56) - 1))
        yield from (IPv4Address((rest >> (88 - length)) & 0xFFFFFFFF) for length in _PREFIX_LENGTHS)
    if address.teredo:
        yield from address.teredo
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        yield IPv4Address(int(address) & 0xFFFFFFFF)
