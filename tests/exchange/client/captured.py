"""Every byte that leaves the client, and one search in it for all that may not leave."""

from __future__ import annotations

import base64
import gzip
import hashlib
from collections.abc import Iterable, Iterator

import ahocorasick
import httpx

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
                    digest = hashlib.new(name, text).digest()
                    for written in (digest, digest.hex().encode(), digest.hex().upper().encode()):
                        yield written, f"{name} of {subkind} {form}"
                    for written in (base64.b64encode(digest), base64.urlsafe_b64encode(digest)):
                        yield written.rstrip(b"="), f"{name} of {subkind} {form}"


def found_in(gone: bytes, sought: Iterable[tuple[bytes, str]]) -> list[str]:
    """What of it is there, by one walk through all that left, however much is sought."""
    tree = ahocorasick.Automaton()
    for text, said in sought:
        tree.add_word(text.decode("latin-1"), said)
    tree.make_automaton()
    return [said for _, said in tree.iter(gone.decode("latin-1"))]
