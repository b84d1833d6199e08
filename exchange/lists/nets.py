"""An address or a network that is read from a value: the one place, for lists, look-ups and allowlists.

An IPv6 address may carry a zone (`fe80::1%eth0`), which names an interface of one machine and, to Python, is any text
behind the `%`. So it is never a value of a list; in what is only looked up, it is left out.
"""

from __future__ import annotations

import ipaddress

Net = ipaddress.IPv4Network | ipaddress.IPv6Network


def read(value: str) -> Net | None:
    """The network that a value of a list is: as it is written, without a zone. None for anything else."""
    if "%" in value:
        return None
    try:
        return ipaddress.ip_network(value)
    except ValueError:  # an AS number, a host
        return None


def asked(value: str) -> Net | None:
    """The network that somebody asks about: host bits and a zone count for nothing. None for anything else."""
    address, slash, bits = value.strip().partition("/")
    address, zone, _ = address.partition("%")
    if zone and ":" not in address:
        return None
    try:
        return ipaddress.ip_network(f"{address}{slash}{bits}", strict=False)
    except ValueError:
        return None


def is_zoned(value: str) -> bool:
    """Whether it is an address with a zone, whatever stands in it."""
    address, zone, _ = value.partition("%")
    return bool(zone) and ":" in address and asked(address) is not None
