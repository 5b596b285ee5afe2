"""Places on a network that none of our calls may reach: where a cloud hands its machines their credentials."""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

# Beside the link-local networks: the metadata addresses that some clouds keep elsewhere.
_METADATA: Final = frozenset({ip_address("fd00:ec2::254"), ip_address("100.100.100.200"), ip_address("168.63.129.16")})


class Forbidden(OSError):
    """A name leads to a place that is none of our business."""


def refuse_metadata(host: str) -> None:
    """Raises `Forbidden` when this IP address is link-local, multicast, or a cloud's metadata service.

    Private networks and this machine are allowed: a till may stand in the shop, a simulator beside us.
    """
    address = _to_address(host)
    if address.is_link_local or address.is_multicast or address in _METADATA:
        raise Forbidden("the address leads to a link-local or metadata service")


def refuse_name(host: str, port: int) -> None:
    """Raises `Forbidden` when any address of this name is such a place, `OSError` when the name is unknown."""
    for *_, place in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        refuse_metadata(str(place[0]))


def _to_address(host: str) -> IPv4Address | IPv6Address:
    address = ip_address(host.partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
