"""Where a request comes from: the caller's network address, and its client certificate if a proxy vouches for one.

Both can be forged by whoever speaks to us directly, so each is believed only from where the installation says: the
address in X-Forwarded-For by counting the proxies from the right, the certificate by the address of the proxy.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import ipaddress
import re
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import unquote

from django.conf import settings
from django.http import HttpRequest

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_HEX = re.compile(r"[0-9a-f]{64}")
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----(.*?)-----END CERTIFICATE-----", re.DOTALL)
_MAX_CHARS = 16_384


@dataclass(frozen=True, slots=True)
class Origin:
    """Whence a request came; `subject` and `fingerprint` are empty where no trusted proxy checked a certificate."""

    address: Address | None = None
    subject: str = ""
    fingerprint: str = ""  # SHA-256 of the DER certificate, 64 hexadecimal digits

    def network(self, *, bits4: int, bits6: int) -> str:
        """The network of the address, with so many bits of it kept; `unknown` where there is no address."""
        if self.address is None:
            return "unknown"
        return _network_of(self.address, bits4 if self.address.version == 4 else bits6)


def origin_of(request: HttpRequest) -> Origin:
    """What is to be believed of where `request` came from."""
    direct = parsed(request.META.get("REMOTE_ADDR", ""))
    if not settings.MTLS_PROXIES or direct is None or not inside(direct, settings.MTLS_PROXIES):
        return Origin(_forwarded(request, direct))
    return Origin(
        _forwarded(request, direct),
        subject=_header(request, settings.MTLS_SUBJECT_HEADER),
        fingerprint=_fingerprint(_header(request, settings.MTLS_CERTIFICATE_HEADER)),
    )


@lru_cache(maxsize=4_096)
def parsed(text: str) -> Address | None:
    """An address, IPv4 in IPv6 clothes unwrapped; None for anything else."""
    try:
        address = ipaddress.ip_address(text.strip().strip("[]"))
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address):
        return address.ipv4_mapped or address
    return address


def inside(address: Address, networks: list[str]) -> bool:
    """Whether the address lies in one of the networks."""
    return any(address in network for network in map(_network, networks))


def is_operators(origin: Origin) -> bool:
    """Whether the operator's people and keys are let in from there (OPERATOR_NETWORKS)."""
    networks = settings.OPERATOR_NETWORKS
    return not networks or (origin.address is not None and inside(origin.address, networks))


def _forwarded(request: HttpRequest, direct: Address | None) -> Address | None:
    """Each proxy appends whom it heard: behind n of them the caller is the n-th from the right.

    Whoever names fewer came around a proxy; what stands there then is the client's own word, and is not taken.
    """
    count = settings.PROXY_COUNT
    if not count:
        return direct
    named = [part for part in request.headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    return parsed(named[-count]) if len(named) >= count else direct


def _header(request: HttpRequest, name: str) -> str:
    return request.headers.get(name, "").strip()[:_MAX_CHARS] if name else ""


def _fingerprint(value: str) -> str:
    """From a fingerprint in hexadecimal digits, or from a certificate as PEM, URL-escaped (nginx) or not."""
    plain = value.replace(":", "").lower()
    if _HEX.fullmatch(plain):
        return plain
    found = _PEM.search(unquote(value))
    if found is None:
        return ""
    try:
        return hashlib.sha256(base64.b64decode("".join(found[1].split()), validate=True)).hexdigest()
    except binascii.Error:
        return ""


@lru_cache(maxsize=4_096)
def _network_of(address: Address, bits: int) -> str:
    return str(ipaddress.ip_network((address, bits), strict=False))


@lru_cache(maxsize=4_096)
def _network(text: str) -> Network:
    return ipaddress.ip_network(text)
