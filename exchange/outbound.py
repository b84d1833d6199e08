"""The only door out: every request to an address that somebody gave us goes through here.

Server-side request forgery is stopped by looking the host up once, refusing every answer that is not a public
address, and connecting to that very address, so that no second look-up can point elsewhere (DNS rebinding).
Redirects are not followed. The whole exchange has one deadline, and the answer is read up to a bound.
"""

from __future__ import annotations

import ipaddress
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx
from django.conf import settings

_MAX_URL_CHARS = 1_000
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Blocked(Exception):
    """The address may not be asked. The message is for whoever gave the address."""


class Failed(Exception):
    """No answer came: refused, reset, timed out, or not HTTP."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back, cut at the bound."""

    status: int
    retry_after_s: int | None
    body: bytes


def post(url: str, body: bytes, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Reply:
    """POST `body` to `url`. Raises Blocked or Failed."""
    target = _target(url)
    deadline = time.monotonic() + timeout_s
    addresses = _resolve(target.host, target.port)
    pinned = httpx.URL(url).copy_with(host=str(addresses[0]))
    sent = {**headers, "Host": target.authority}
    try:
        with (
            httpx.Client(timeout=timeout_s, trust_env=False, follow_redirects=False) as client,
            client.stream(
                "POST", pinned, content=body, headers=sent, extensions={"sni_hostname": target.host}
            ) as answer,
        ):
            read = _read(answer, max_bytes=max_bytes, deadline=deadline)
            return Reply(answer.status_code, _retry_after(answer), read)
    except httpx.HTTPError as error:
        raise Failed(type(error).__name__) from error


def check(url: str) -> None:
    """Say whether an address could be used at all, without looking it up or asking it. Raises Blocked."""
    target = _target(url)
    try:
        literal = ipaddress.ip_address(target.host)
    except ValueError:
        return
    if not _allowed(literal):
        raise Blocked("The address is not a public one.")


@dataclass(frozen=True, slots=True)
class _Target:
    host: str
    port: int
    authority: str


def _target(url: str) -> _Target:
    if len(url) > _MAX_URL_CHARS or any(character <= " " or character == "\x7f" for character in url):
        raise Blocked("The address is too long or holds a space or control character.")
    try:
        parts = urlsplit(url)
        port = parts.port
        httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise Blocked("The address cannot be read as a URL.") from None
    schemes = ("https", "http") if settings.OUTBOUND_ALLOW_HTTP else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise Blocked("The address must be an https URL.")
    if parts.username or parts.password or parts.fragment:
        raise Blocked("The address must not carry a user name, a password or a fragment.")
    authority = parts.netloc
    return _Target(parts.hostname, port or (443 if parts.scheme == "https" else 80), authority)


def _resolve(host: str, port: int) -> list[_Address]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise Failed("the host name was not found") from error
    addresses = [ipaddress.ip_address(entry[4][0]) for entry in found]
    if not addresses or not all(_allowed(address) for address in addresses):
        raise Blocked("The address is not a public one.")
    return addresses


def _allowed(address: _Address) -> bool:
    """Globally routable, or inside a network that the operator allows (the demo allows loopback)."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    plain = mapped or address
    for network in settings.OUTBOUND_ALLOW_NETWORKS:
        if plain in ipaddress.ip_network(network):
            return True
    embedded = isinstance(plain, ipaddress.IPv6Address) and (plain.sixtofour is not None or plain.teredo is not None)
    nat64 = plain in ipaddress.ip_network("64:ff9b::/96")
    return plain.is_global and not plain.is_multicast and not embedded and not nat64


def _read(answer: httpx.Response, *, max_bytes: int, deadline: float) -> bytes:
    read = bytearray()
    for chunk in answer.iter_raw():
        read += chunk[: max_bytes - len(read)]
        if len(read) >= max_bytes:
            break
        if time.monotonic() > deadline:
            raise Failed("the answer took too long")
    return bytes(read)


def _retry_after(answer: httpx.Response) -> int | None:
    value = answer.headers.get("Retry-After", "")
    return int(value) if value.isascii() and value.isdigit() and len(value) < 7 else None
