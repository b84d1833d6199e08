"""The only door out: every request to an address that somebody gave us goes through here.

Server-side request forgery is stopped by looking the host up once, refusing every answer that is not a public
address, and connecting to that very address, so that no second look-up can point elsewhere (DNS rebinding).
Redirects are not followed. The whole exchange, the look-up too, has one deadline, and the answer is read up to a bound.

Every refusal has the same words: whoever gave the address must not learn what names and networks the exchange knows.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache, partial
from typing import Any
from urllib.parse import urlsplit

import dns.exception
import dns.name
import dns.nameserver
import dns.resolver
import httpx
from django.conf import settings

from exchange import outward
from exchange.stepping import READ, Late, Steps, finish

_MAX_URL_CHARS = 1_000
_MOST_TEXTS = 64
_WORDS = (
    "The address must be an https URL of a public host, at most 1,000 characters long, without user name, password "
    "or fragment."
)
#: Of a name that is in no DNS, and of one that leads inside: who asks learns of no name inside.
_NOWHERE = "The name of the host is not in the DNS, or leads to an address that is not public."
#: The only IPv6 space that is given out to the public (IANA, IPv6 Global Unicast Address Assignments).
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
#: What Python takes for global and is not, or what leads to machines that serve the host they are asked from.
_REFUSED = tuple(
    map(
        ipaddress.ip_network,
        (
            "168.63.129.16/32",  # Azure's wire server
            "161.26.0.0/16",  # IBM Cloud's service network, and the next
            "166.8.0.0/14",
            "192.0.0.0/24",  # protocol assignments; Oracle's metadata among them
            "192.31.196.0/24",  # AS112, and the next two
            "192.52.193.0/24",
            "192.175.48.0/24",
            "192.88.99.0/24",  # 6to4 relays
            "2001::/23",  # protocol assignments: Teredo, benchmarking, ORCHID
            "2001:db8::/32",
            "2002::/16",  # 6to4, which carries an IPv4 address
            "2620:4f:8000::/48",  # AS112
            "3fff::/20",  # documentation (RFC 9637)
        ),
    )
)
#: The interface identifiers of ISATAP (RFC 5214 §6.1): an IPv4 address follows.
_ISATAP = (0x0000_5EFE, 0x0200_5EFE)
_Address = outward.Address


class Blocked(Exception):
    """The address may not be asked, or leads nowhere. The same words wherever else it would have led."""

    def __init__(self, words: str = _WORDS) -> None:
        super().__init__(words)


class Failed(Exception):
    """No answer came: refused, reset, timed out, or not HTTP. The message says whether it was the time."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, cut at the bound; the names of `headers` are in lower case."""

    status: int
    retry_after_s: int | None
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)


def post(url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Reply:
    """POST `body` to `url`. Raises Blocked or Failed."""
    return finish(_asking("POST", url, body, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes))


def posting(url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Steps[Reply]:
    """The same in steps, for who posts much at a time. Raises Blocked or Failed.

    The connection may serve the next request to the same host, a minute at most after that was looked up; where a
    connection that was kept turns out to have ended, the body is sent once more: for who may get it twice.
    """
    return _asking("POST", url, body, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes, keeps=True)


def get(url: str, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Reply:
    """GET `url`. Raises Blocked or Failed."""
    return finish(_asking("GET", url, None, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes))


def delete(url: str, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Reply:
    """DELETE `url`. Raises Blocked or Failed."""
    return finish(_asking("DELETE", url, None, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes))


def _asking(
    method: str,
    url: str,
    body: bytes | None,
    *,
    headers: Mapping[str, str],
    timeout_s: float,
    max_bytes: int,
    keeps: bool = False,
) -> Steps[Reply]:
    target = _target(url)
    deadline = time.monotonic() + timeout_s
    sent = {"Host": target.authority, **headers, "Accept-Encoding": "identity"} | {"Host": target.authority}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    if not keeps:
        sent["Connection"] = "close"
    asked = partial(
        outward.ask, method=method, target=target.path, headers=sent, body=body or b"", deadline=deadline,
        max_bytes=max_bytes,
    )  # fmt: skip
    try:
        answer = (yield from _kept(target, asked)) if keeps else None
        if answer is None:
            wire = yield from _opened(target, deadline)
            answer = yield from _asked(wire, asked, target if keeps else None)
    except Late as error:
        raise Failed(f"No answer within {timeout_s:g} seconds.") from error
    except outward.Broken as error:
        raise Failed("The connection failed, or what came was not HTTP.") from error
    return Reply(answer.status, _retry_after(answer.headers.get("retry-after", "")), answer.body, answer.headers)


_Ask = Callable[[outward.Wire], Steps[outward.Answer]]


def _kept(target: _Target, asked: _Ask) -> Steps[outward.Answer | None]:
    """The answer on a connection that was kept; None where there is none, or it ended before it said anything.

    Only one is tried: a receiver that ends each without a word gets a body twice, and no oftener.
    """
    for wire in _KEPT.take((os.getpid(), target.origin)):
        if not _allowed(wire.address):
            wire.close()
            continue
        try:
            return (yield from _asked(wire, asked, target))
        except outward.Broken as broken:
            if not broken.unheard:
                raise
            return None
    return None


def _asked(wire: outward.Wire, asked: _Ask, keep: _Target | None) -> Steps[outward.Answer]:
    """Its answer; then the connection is kept as leading to `keep`, or closed."""
    answer = None
    try:
        answer = yield from asked(wire)
    finally:
        if keep is not None and answer is not None and answer.keeps:
            _KEPT.give((os.getpid(), keep.origin), wire)
        else:
            wire.close()
    return answer


#: Of this process: what a fork copies belongs to its parent.
_KEPT = outward.Kept()


def txt(name: str, *, timeout_s: float) -> list[str]:
    """The texts that the DNS shows under a name, a few of many; none where there is no such name. Raises Failed.

    The resolvers of the system are asked, or those of OUTBOUND_RESOLVERS. What they say is compared, and never shown.
    """
    resolver = dns.resolver.Resolver(configure=not settings.OUTBOUND_RESOLVERS)
    if settings.OUTBOUND_RESOLVERS:
        resolver.nameservers = [_name_server(word) for word in settings.OUTBOUND_RESOLVERS]
    try:
        whole = dns.name.from_text(name)
        answer = resolver.resolve(whole, "TXT", lifetime=timeout_s, search=False)
    except (dns.resolver.NXDOMAIN, dns.resolver.NoAnswer):
        return []
    except (dns.exception.DNSException, OSError) as error:
        raise Failed("The name servers did not answer.") from error
    return [b"".join(row.strings).decode(errors="replace") for row in list(answer)[:_MOST_TEXTS]]


def _name_server(word: str) -> dns.nameserver.Nameserver:
    """Of `192.0.2.53`, `192.0.2.53:5353` or `[2001:db8::53]:53`."""
    parts = urlsplit(f"//{word}" if word.count(":") < 2 or word.startswith("[") else f"//[{word}]")
    return dns.nameserver.Do53Nameserver(str(ipaddress.ip_address(parts.hostname or "")), parts.port or 53)


def check(url: str) -> None:
    """Say whether an address could be used at all, without looking it up or asking it. Raises Blocked."""
    target = _target(url)
    try:
        literal = ipaddress.ip_address(target.origin[1])
    except ValueError:
        return
    if not _allowed(literal):
        raise Blocked


@dataclass(frozen=True, slots=True)
class _Target:
    """`origin`: scheme, host and port, which a connection leads to."""

    origin: tuple[str, str, int]
    authority: str
    path: bytes


@lru_cache(maxsize=4_096)
def _split(url: str) -> _Target:
    """Raises Blocked for what is no plain URL."""
    if len(url) > _MAX_URL_CHARS or any(character <= " " or character == "\x7f" for character in url):
        raise Blocked
    try:
        parts = urlsplit(url)
        port = parts.port  # a ValueError where it is none
        read = httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise Blocked from None
    if parts.scheme not in _PORTS or not parts.hostname:
        raise Blocked
    if parts.username or parts.password or parts.fragment:
        raise Blocked
    origin = (parts.scheme, read.raw_host.decode(), _PORTS[parts.scheme] if port is None else port)
    return _Target(origin, read.netloc.decode(), read.raw_path)


_PORTS = {"http": 80, "https": 443}


def _target(url: str) -> _Target:
    target = _split(url)
    if target.origin[0] == "http" and not settings.OUTBOUND_ALLOW_HTTP:
        raise Blocked
    return target


def _opened(target: _Target, deadline: float) -> Steps[outward.Wire]:
    """Look the host up once, judge all that is found, and connect to the first.

    The certificate must be for the host of the URL, whatever address it led to. Raises Blocked, Broken.
    """
    scheme, host, port = target.origin
    addresses = yield from _resolved(host, port, deadline)
    wire = yield from outward.opened(addresses[0], port, deadline=deadline)
    if scheme == "https":
        wire = yield from outward.secured(wire, _tls(), host=host, deadline=deadline)
    return wire


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _resolved(host: str, port: int, deadline: float) -> Steps[list[_Address]]:
    """Every address of a host, all of them judged. Raises Blocked.

    The system's resolver knows no deadline, and who answers it may be slow on purpose: so a thread asks, and is left
    to itself after the deadline. What is an address already is not looked up.
    """
    with contextlib.suppress(ValueError):
        literal = ipaddress.ip_address(host)
        if not _allowed(literal):
            raise Blocked
        return [literal]
    found: list[Any] = []
    ours, theirs = socket.socketpair()
    with ours:
        asked = (host, port, found, theirs)
        threading.Thread(target=_look_up, args=asked, name="exchange-look-up", daemon=True).start()
        yield ours.fileno(), READ, deadline
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not addresses or not all(_allowed(address) for address in addresses):
        raise Blocked(_NOWHERE)
    return addresses


def _look_up(host: str, port: int, found: list[Any], done: socket.socket) -> None:
    """Whoever waits at the other end of `done` sees it close."""
    with done, contextlib.suppress(OSError, UnicodeError):
        found += socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


def _allowed(address: _Address) -> bool:
    """Globally routable, or inside a network that the operator allows (the demo allows loopback)."""
    return _judged(address, tuple(settings.OUTBOUND_ALLOW_NETWORKS))


@lru_cache(maxsize=4_096)
def _judged(address: _Address, networks: tuple[str, ...]) -> bool:
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    plain = mapped or address
    for network in networks:
        if plain in ipaddress.ip_network(network):
            return True
    if isinstance(plain, ipaddress.IPv6Address):
        isatap = (int(plain) >> 32) & 0xFFFF_FFFF in _ISATAP
        if isatap or plain.scope_id or plain not in _PUBLIC_V6:
            return False
    return plain.is_global and not plain.is_multicast and not any(plain in network for network in _REFUSED)


def _retry_after(value: str) -> int | None:
    return int(value) if value.isdecimal() and value.isascii() and len(value) < 7 else None
