"""An answer as its reader can compare it with another: whole, but for what is sealed, drawn, or said of the whole log.

A sealed place (a cursor), a tag and a drawn id stand for what cannot be read from them; what a reader can see of them
is their length, and whether they are the same as before. So each is written as where it was first met.
What is drawn for the browser (tokens of forms, ids of sessions and requests) says nothing. The tree of the audit log
is that of all partners: its size, places in it, proofs and heads move once a minute (exchange/docs/log.md, ADR 0016).
"""

from __future__ import annotations

import base64
import io
import itertools
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

#: What `paging.seal` makes: 48 bytes or a multiple of them, and the tag.
_CURSOR = re.compile(r"(?<![A-Za-z0-9_-])[A-Za-z0-9_-]{86,}(?![A-Za-z0-9_-])")
_TAG = re.compile(r'(?<=ETag: )(?:W/)?"[0-9a-f]{32,64}"')
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")
_STATE = re.compile(r"(?<=state=)[0-9a-f]{16,64}")
_DRAWN = re.compile(
    r"(?<=csrftoken=)\w+|(?<=exchange_session=)\w+|(?<='nonce-)[^']+|(?<=X-Request-ID: )\S+|"
    r'(?<="request_id":")[0-9a-f-]+|(?<=csrfmiddlewaretoken" value=")\w+|(?<=csrf-token" content=")\w+|'
    r'(?<="nonce":")[0-9a-f]+|(?<=nonce\\":\\")[0-9a-f]+|(?<="cover.json": ")[0-9a-f]+|(?<="cover.pdf": ")[0-9a-f]+|(?<="form.pdf": ")[0-9a-f]+|'
    r'(?<="leaf":")[0-9a-f]+|(?<=data-label="place" title=")[0-9a-f]{64}|'
    r'(?<=X-CSRFToken&quot;: &quot;)\w+|(?<=nonce=")[^"]+|(?<=Request )[0-9a-f-]{36}'
)
_RANGE = re.compile(r'(?<="seq":")[A-Za-z0-9+/=]+')  # sealed places of what was read, for the operator
_TREE = re.compile(
    r'"(?P<key>index|size|root|signature|head|proof|consistency|release|sha256|hashes)"\s*:\s*'
    r'(?:null|\d+|"[^"]*"|\[[^\]]*\]|\{(?:[^{}]|\{[^{}]*\})*\})'
)
_PLACE_ON_PAGE = re.compile(r'(?<=data-label="place" title=")([0-9a-f]{64}">)[\d,]+')
_HEAD_ON_PAGE = re.compile(r"<h2>State of the log</h2>.*?</dl>", re.DOTALL)
_STREAM = re.compile(rb"/Length \d+\s*>>\s*stream\r?\n(.*?)endstream", re.DOTALL)
_WRITTEN = re.compile(r"\(((?:[^()\\]|\\.)*)\) Tj")
_PROOF_ON_PAPER = re.compile(r"(How to verify|Place in the log).*?(?=\nproofs.json|\Z)", re.DOTALL)
_PLACE_ON_PAPER = re.compile(r"(\d\d:\d\d:\d\d\n)\d+(?=\n)")


@dataclass
class Eyes:
    """One reader's memory in one world."""

    absent: Mapping[str, str]  # what stands for things of others, by their ids
    known: frozenset[str]  # differences that wait to be mended: "cursor", "matches"
    met: dict[str, str] = field(default_factory=dict)

    def of(self, absent: Mapping[str, str], known: frozenset[str]) -> Eyes:
        """The same memory in another world."""
        return Eyes(absent, known, dict(self.met))

    def see(self, name: str, response: Any, body: bytes) -> str:
        """Status, headers and body of the reading `name`."""
        headers = "\n".join(f"{header}: {value}" for header, value in sorted(response.headers.items()))
        cookies = "\n".join(sorted(str(cookie) for cookie in response.cookies.values()))
        text = _readable(body)
        if _shows_the_tree(name, text):
            text, headers = _without_the_tree(text), re.sub(r"(ETag|Content-Length): .*", r"\1: T", headers)
        if "cursor" in self.known and (_CURSOR.search(text) or _STATE.search(text)):
            headers = _TAG.sub("tag", headers)
        headers = self._named(name, headers, _TAG, "tag")
        return self.read(name, f"{response.status_code}\n{headers}\n{cookies}\n\n{text}")

    def read(self, name: str, text: str) -> str:
        """A text that may have come by another way than an answer."""
        for value, label in self.absent.items():
            text = text.replace(value, label)
        text = _RANGE.sub(lambda found: f"range:{len(found[0])}", _DRAWN.sub("drawn", text))
        for pattern, what in ((_ID, "id"), (_CURSOR, "cursor"), (_STATE, "state")):
            text = self._named(name, text, pattern, what)
        return text

    def _named(self, name: str, text: str, pattern: re.Pattern[str], what: str) -> str:
        def label(found: re.Match[str]) -> str:
            if "cursor" in self.known and what in ("cursor", "state"):
                return f"{what}:{len(found[0])}"
            if found[0] not in self.met:
                self.met[found[0]] = f"<{what} of {len(found[0])}, {next(new)} of {name}>"
            return self.met[found[0]]

        new = itertools.count(1)
        return pattern.sub(label, text)


def _readable(body: bytes) -> str:
    if body.startswith(b"PK"):
        with zipfile.ZipFile(io.BytesIO(body)) as files:
            return "\n".join(f"{name}\n{_readable(files.read(name))}" for name in files.namelist())
    if body.startswith(b"%PDF-"):
        pages = [_unpacked(found.strip()) for found in _STREAM.findall(body)]
        return "paper\n" + "\n".join(written for page in pages for written in _WRITTEN.findall(page.decode("latin-1")))
    return body.decode()


def _unpacked(stream: bytes) -> bytes:
    return zlib.decompress(base64.a85decode(stream, adobe=True)) if stream.endswith(b"~>") else stream


def _shows_the_tree(name: str, text: str) -> bool:
    return any(place in name for place in ("/log", "/package", "tokens/keys")) or "State of the log" in text


def _without_the_tree(text: str) -> str:
    text = _TREE.sub(r'"\g<key>":T', text)
    text = _HEAD_ON_PAGE.sub("T", _PLACE_ON_PAGE.sub(r"\1T", text))
    text = _PLACE_ON_PAPER.sub(r"\1T", text)
    text = _PROOF_ON_PAPER.sub("T", text)
    if text.startswith('{"type":"header"'):  # records are in the order of the tree
        text = "\n".join(sorted(text.splitlines()))
    return text
