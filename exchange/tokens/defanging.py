"""Values as people write them where they must not be followed, such as `203.0.113[.]64/26`, and back again. Pure."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

_NAME = re.compile(r"[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.[a-z][a-z0-9-]+", re.IGNORECASE)
# A word of a text, without what encloses it and what ends a sentence.
_WORD = re.compile(r"[^\s'\"`<>()\[\]{},;=|“”„\u2018\u2019]*[^\s'\"`<>()\[\]{},;=|“”„\u2018\u2019.:!?]")
_HOST_OF = re.compile(r"[^/:]+(?=[/:])")
_MARKED = (
    (re.compile(r"\[\.\]|\(\.\)|\{\.\}|\[dot\]|\(dot\)", re.IGNORECASE), "."),
    (re.compile(r"\[:\]"), ":"),
    (re.compile(r"\[://\]"), "://"),
    (re.compile(r"\[at\]|\(at\)|\[@\]", re.IGNORECASE), "@"),
    (re.compile(r"\bh(?:xx|XX|tx)p(s?)(?=:)", re.IGNORECASE), r"http\1"),
)


def defanged(value: str) -> str:
    """A network, host, address of mail or URL that no program takes for one; any other text as it is."""
    if "://" in value:
        scheme, _, rest = value.partition("://")
        host, slash, path = rest.partition("/")
        return f"{scheme.replace('http', 'hxxp')}://{_name(host)}{slash}{path}"
    local, at, host = value.rpartition("@")
    return f"{local}@{_name(host)}" if at and local else _name(value)


def defanged_text(text: str) -> str:
    """A text in which each value that stands as a word of its own is defanged: titles, which people write freely."""
    return _WORD.sub(lambda found: _word(found[0]), text)


def _word(word: str) -> str:
    """The same of one word, which may be a host with a port or a path."""
    told = defanged(word)
    return told if told != word else _HOST_OF.sub(lambda host: _name(host[0]), word, count=1)


def refanged(text: str) -> str:
    """What a text that was defanged in one of the usual ways stands for."""
    for marked, plain in _MARKED:
        text = marked.sub(plain, text)
    return text


def host_of(text: str) -> str:
    """The host of a URL, whatever path it has; empty where the text is none."""
    try:
        return urlsplit(text).hostname or "" if "://" in text else ""
    except ValueError:
        return ""


def _name(value: str) -> str:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        head, _, last = value.rpartition(".")
        return f"{head}[.]{last}" if _NAME.fullmatch(value) else value
    if network.version == 6:
        return value.replace(":", "[:]", 1)
    address, slash, bits = value.partition("/")
    head, _, tail = address.rpartition(".")
    return f"{head}[.]{tail}{slash}{bits}"
