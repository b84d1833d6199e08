"""Every byte that leaves the client, and one search in it for all that may not leave."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Callable, Iterable, Iterator

import httpx
import numpy as np

from exchange.tokens import forms

_HASHES = ("md5", "sha1", "sha256", "sha512")


def tap(monkeypatch) -> bytearray:
    """What leaves from now on by any of the client's connections, unpacked: addresses, headers and bodies."""
    gone = bytearray()
    real = httpx.HTTPTransport.handle_request

    def tapped(self, request):
        body = request.read()
        packed = request.headers.get("Content-Encoding") == "gzip"
        gone.extend(str(request.url).encode() + repr(request.headers.raw).encode())
        gone.extend(gzip.decompress(body) if packed else body)
        return real(self, request)

    monkeypatch.setattr(httpx.HTTPTransport, "handle_request", tapped)
    return gone


def raw_or_hashed(subkind: str, values: Iterable[str]) -> Iterator[tuple[bytes, str]]:
    """Whatever says a value: itself, its normal forms, and their unkeyed hashes as bytes, in hexadecimal and base64.

    Each with what it is.
    """
    for value in values:
        for form in {value, *forms.of(subkind, value)}:
            yield form.encode(), f"{subkind} {form}"
            for text in (form.encode(), forms.input_bytes(subkind, form)):
                for name in _HASHES:
                    said = f"{name} of {subkind} {form}"
                    digest = hashlib.new(name, text).digest()
                    for written in (digest, digest.hex().encode(), digest.hex().upper().encode()):
                        yield written, said
                    for written in (base64.b64encode(digest), base64.urlsafe_b64encode(digest)):
                        yield written.rstrip(b"="), said


def found_in(gone: bytes, sought: Callable[[], Iterable[tuple[bytes, str]]]) -> list[str]:
    """What of it is there. `sought` is called twice, for of a million texts only how they begin is kept.

    A tree of them (Aho and Corasick's) would take seconds for a thousand people, and a gigabyte for ten thousand.
    """
    begins = np.fromiter((_begin(text) for text, _ in sought() if len(text) >= _BEGIN_BYTES), dtype=np.uint64)
    begins.sort()
    marked = np.zeros(1 << _BITS, dtype=bool)
    marked[_slot(begins)] = True
    met: set[int] = set()
    for shift in range(_BEGIN_BYTES):
        there = np.frombuffer(gone, dtype="<u8", offset=shift, count=(len(gone) - shift) // _BEGIN_BYTES)
        there = there[marked[_slot(there)]]
        met.update(there[begins[np.searchsorted(begins, there) % len(begins)] == there].tolist())
    return [said for text, said in sought() if (len(text) < _BEGIN_BYTES or _begin(text) in met) and text in gone]


#: So many bytes of a text are one number.
_BEGIN_BYTES = 8
#: Slots of a table that tells most texts apart from those that are sought.
_BITS = 24


def _begin(text: bytes) -> int:
    return int.from_bytes(text[:_BEGIN_BYTES], "little")


def _slot(numbers: np.ndarray) -> np.ndarray:
    return (numbers * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - _BITS)
