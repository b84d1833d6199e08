"""The only door out: every request to an address that somebody gave us goes through here.

Server-side request forgery is stopped by looking the host up once, refusing every answer that is not a public
address, and connecting to that very address, so that no second look-up can point elsewhere (DNS rebinding).
Redirects are not followed. The whole exchange has one deadline, and the answer is read up to a bound.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import httpcore
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
    return _ask("POST", url, body, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes)


def get(url: str, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int) -> Reply:
    """GET `url`. Raises Blocked or Failed."""
    return _ask("GET", url, None, headers=headers, timeout_s=timeout_s, max_bytes=max_bytes)


def _ask(
    method: str, url: str, body: bytes | None, *, headers: Mapping[str, str], timeout_s: float, max_bytes: int
) -> Reply:
    target = _target(url)
    deadline = time.monotonic() + timeout_s
    sent = {**headers, "Host": target.authority, "Accept-Encoding": "identity"}
    if body is not None:
        sent["Content-Length"] = str(len(body))
    try:
        with (
            httpcore.ConnectionPool(ssl_context=_tls(), network_backend=_Door(deadline)) as pool,
            pool.stream(method, target.url, headers=list(sent.items()), content=body) as answer,
        ):
            read = _read(answer.iter_stream(), max_bytes=max_bytes)
            return Reply(answer.status, _retry_after(answer.headers), read)
    except (httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError) as error:
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
    url: httpcore.URL
    host: str
    authority: str


def _target(url: str) -> _Target:
    if len(url) > _MAX_URL_CHARS or any(character <= " " or character == "\x7f" for character in url):
        raise Blocked("The address is too long or holds a space or control character.")
    try:
        parts = urlsplit(url)
        _ = parts.port  # a ValueError where it is none
        read = httpx.URL(url)
    except (ValueError, httpx.InvalidURL):
        raise Blocked("The address cannot be read as a URL.") from None
    schemes = ("https", "http") if settings.OUTBOUND_ALLOW_HTTP else ("https",)
    if parts.scheme not in schemes or not parts.hostname:
        raise Blocked("The address must be an https URL.")
    if parts.username or parts.password or parts.fragment:
        raise Blocked("The address must not carry a user name, a password or a fragment.")
    url_asked = httpcore.URL(scheme=read.raw_scheme, host=read.raw_host, port=read.port, target=read.raw_path)
    return _Target(url_asked, read.host, read.netloc.decode())


class _Door(httpcore.NetworkBackend):
    """Connects to addresses that were judged, and to no other; every wait ends at the deadline."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._inner = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Look the host up once, judge all that is found, and connect to the first. Raises Blocked, Failed."""
        address = _resolve(host, port)[0]
        wait_s = _left(self._deadline, httpcore.ConnectTimeout)
        return _Timed(self._inner.connect_tcp(str(address), port, timeout=wait_s), self._deadline)


class _Timed(httpcore.NetworkStream):
    """A connection on which each read and write waits until the deadline at most, whatever came before."""

    def __init__(self, inner: httpcore.NetworkStream, deadline: float) -> None:
        self._inner = inner
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Raises httpcore.ReadTimeout after the deadline."""
        return self._inner.read(max_bytes, timeout=_left(self._deadline, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Raises httpcore.WriteTimeout after the deadline."""
        self._inner.write(buffer, timeout=_left(self._deadline, httpcore.WriteTimeout))

    def close(self) -> None:
        """Close it."""
        self._inner.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        """The certificate must be for the host of the URL, whatever address it led to."""
        wait_s = _left(self._deadline, httpcore.ConnectTimeout)
        return _Timed(self._inner.start_tls(ssl_context, server_hostname, wait_s), self._deadline)

    def get_extra_info(self, info: str) -> Any:
        """As the connection itself says."""
        return self._inner.get_extra_info(info)


def _left(deadline: float, over: type[Exception]) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise over
    return left


@lru_cache(maxsize=1)
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


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


def _read(chunks: Iterable[bytes], *, max_bytes: int) -> bytes:
    read = bytearray()
    for chunk in chunks:
        read += chunk[: max_bytes - len(read)]
        if len(read) >= max_bytes:
            break
    return bytes(read)


def _retry_after(headers: Iterable[tuple[bytes, bytes]]) -> int | None:
    value = next((value for name, value in headers if name.lower() == b"retry-after"), b"")
    return int(value) if value.isdigit() and len(value) < 7 else None
