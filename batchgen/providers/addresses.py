"""Which addresses a download may connect to: the public internet, and nothing behind it."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from typing import Any

_REFUSED_NETWORKS = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "64:ff9b::/96",  # NAT64 (RFC 6052): any IPv4 address hides in it, and Python calls it global
        "64:ff9b:1::/48",  # NAT64 of a local network (RFC 8215)
        "2002::/16",  # 6to4 (RFC 3056), likewise
        "2001::/32",  # Teredo (RFC 4380), likewise
        "fec0::/10",  # site-local (RFC 3879): deprecated, still private, and Python calls it global
        "::/96",  # IPv4-compatible (RFC 4291), likewise
    )
)


class AddressRefusedError(OSError):
    """A connection that was not even tried, because of where it leads."""


def address_allowed(ip: str, loopback_ok: bool) -> bool:
    """Whether an address, as the connection would use it, is a public one. `loopback_ok` adds this machine.

    Refused are private, loopback, link-local (cloud metadata too), carrier-grade NAT, multicast, reserved and
    unspecified addresses, IPv4 addresses inside IPv6 forms, and what is no address at all.
    """
    try:
        address = ipaddress.ip_address(ip.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    if address.is_loopback:
        return loopback_ok
    # `is_global` is False for private, link-local, CGNAT, unspecified and documentation ranges.
    if not address.is_global or address.is_multicast or address.is_reserved:
        return False
    return not any(address in network for network in _REFUSED_NETWORKS)


def guarded_socket_factory(loopback_ok: bool) -> Callable[[tuple[Any, ...]], socket.socket]:
    """Make the sockets of a connector that refuses what `address_allowed` refuses.

    The check sees the very address that is connected to, so a name that resolves differently a second time,
    an odd spelling or a redirect cannot get around it.
    """

    def make(info: tuple[Any, ...]) -> socket.socket:
        family, kind, protocol, _, address = info
        if not address_allowed(str(address[0]), loopback_ok):
            # No address in the text: several refusals of one name then read the same and stay one error.
            raise AddressRefusedError("the link leads to an address inside a private network")
        return socket.socket(family=family, type=kind, proto=protocol)

    return make
