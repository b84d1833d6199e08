"""Under `closed-facts`: bytes, numbers, dates and addresses that a schema lets pass and that could spell a text.

A schema reads the value. Who reads the bytes also sees how it is written: blanks, escapes, decimals that round away,
the year 3999. What remains sayable is counted in exchange/docs/security.md ("What remains sayable").
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import orjson

from exchange.stix import words
from exchange.texts import numbering, speech
from exchange.tokens import epochs
from indicators.door import benign

Fault = tuple[str, str]  # the field, and the rule in words

#: Of blanks between two parts of an object; as many as a deep indentation takes.
_MOST_BLANKS = 64
_BLANKS = re.compile(rb"[ \t\r\n]{%d,}|\n[ \t\r]*\n|[\t ][\r\n]" % (_MOST_BLANKS + 1))
_PART = re.compile(rb'"(?:[^"\\]|\\.)*"|[-+.0-9eE]+')
#: What of printable ASCII some encoders write as an escape, and escapes of anything else: a letter needs none.
_ESCAPED = frozenset(b"\"\\&'+/<>`")
_NEEDLESS = re.compile(
    rb"\\u00(?:%s)" % b"|".join(b"%02x" % code for code in range(0x20, 0x7F) if code not in _ESCAPED), re.IGNORECASE
)
_WRITTEN = "Written as an encoder of JSON writes it: no needless escapes, decimals or blanks (`jq -c .`)."


def bytes_of(raw: bytes, data: Mapping[str, Any]) -> Fault | None:
    """What the bytes say beside what they are read as; those of usual encoders say nothing."""
    if raw == orjson.dumps(data) or raw == json.dumps(data).encode():
        return None
    if _BLANKS.search(raw) is not None or _NEEDLESS.search(raw.replace(b"\\\\", b"")) is not None:
        return "", _WRITTEN
    numbers = (part[0] for part in _PART.finditer(raw) if not part[0].startswith(b'"'))
    return None if all(map(_is_short, numbers)) else ("", _WRITTEN)


def _is_short(number: bytes) -> bool:
    """Whether a number has no more digits than it takes; `85.0` is how some write 85."""
    if number in (b"e", b"E"):  # of true and false
        return True
    read = orjson.loads(number)
    return number in (orjson.dumps(read), orjson.dumps(float(read)))


#: Before it there was nothing to share.
_EARLIEST_YEAR = "2020"
_SEEN = ("first_seen", "last_seen", "start_time", "stop_time")
_SAID = ("created", "modified", "valid_from", "valid_until")
_SKEW = timedelta(hours=1)
#: What is valid begins and ends within this time, revoked or not: twice the longest life of a rule.
_FURTHEST = timedelta(days=361)


def times_of(data: Mapping[str, Any], *, now: datetime) -> Fault | None:
    """What was seen lies in the past, and nothing lies before 2020: a date says when, and no plan. `now` is UTC.

    How long what lives may be valid is judged by its subkind (`gates.lifetime`); what is revoked has a bound here.
    """
    latest = _latest(now)
    for name in ("valid_from", "valid_until"):
        if data.get("revoked") is True and name in data and data[name] > _latest(now + _FURTHEST):
            return f"/{name}", "Further ahead than anything may be valid."
    for at, said in _with_extension(data):
        for name in (*_SEEN, *_SAID):
            if name in said and said[name] < _EARLIEST_YEAR:
                return f"{at}/{name}", f"Not before {_EARLIEST_YEAR}."
            if name in said and name in _SEEN and said[name][: len(latest)] > latest:
                return f"{at}/{name}", "What was seen lies in the past."
    return None


@lru_cache(maxsize=64)
def _latest(now: datetime) -> str:
    """As every date of a closed object is written; remembered, because the objects of a batch are judged at once."""
    return f"{now + _SKEW:%Y-%m-%dT%H:%M:%S}"


def _with_extension(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    if data["type"] == "marking-definition":  # its schema says when
        return
    yield "", data
    extension = data.get("extensions", {}).get(words.EXTENSION_ID) if data["type"] == "indicator" else None
    if extension is not None:
        yield f"/extensions/{words.EXTENSION_ID}", extension


_QUARTER = re.compile(r"([0-9]{4}q[1-4])(?:-([0-9]+))?$")
#: Keys of a group in one quarter: each member that leaves makes one.
_MOST_KEYS = 99


@lru_cache(maxsize=1_024)
def is_epoch(epoch: str, *, now: datetime) -> bool:
    """Whether tokens may be made with such a key, or may have been within a year. Remembered, as `_latest`."""
    found = _QUARTER.search(epoch)
    if found is None or int(found[2] or 1) > _MOST_KEYS:
        return False
    return epochs.quarter_of(now - timedelta(days=366)) <= found[1] <= epochs.quarter_of(now + epochs.OVERLAP)


def host_of(value: str, known: benign.Known) -> Fault | None:
    """A host lies below a name that exists (an example's in a demo), and its labels say nothing that none may say."""
    if not benign.is_below_a_public_suffix(value, known):
        return "/value", "No host can have this name."
    return ("/value", SAYS_MORE) if says_more(value) else None


SAYS_MORE = "Its words seem to say what a lab charges, serves or plans, or who somebody is."


def says_more(host: str) -> bool:
    """Whether the words of a host's name say what none may say: those that signs part, numbers in words or digits."""
    said = host.replace("-", " ").replace(".", " ").replace("_", " ")
    if " " not in said:
        return False
    return any(speech.holds_competitive(one) or speech.holds_personal(one) for one in {said, numbering.in_digits(said)})


_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_RIPPLE = "rpshnaf39wBUDNEGHJKLM4PQRST7VWXYZ2bcdeCg65jkm8oFqi1tuvAxyz"
_BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
#: EVM; Monero; Stellar; Algorand: what a form alone tells.
_FORMS = re.compile(
    r"0x[0-9a-f]{40}|[48][1-9A-HJ-NP-Za-km-z]{94}(?:[1-9A-HJ-NP-Za-km-z]{11})?|G[A-Z2-7]{55}|[A-Z2-7]{58}"
)


def wallet_of(value: str) -> Fault | None:
    """A wallet's address has the form of one, with a right check sum where its kind has one."""
    if _FORMS.fullmatch(value) or _is_bech32(value) or _is_base58(value, _BASE58) or _is_base58(value, _RIPPLE):
        return None
    return "/value", "No wallet that is known has such an address: look for a wrong character."


def _is_base58(value: str, alphabet: str) -> bool:
    """Of 32 bytes (Solana), or with a check sum: of SHA-256 twice (Bitcoin and its kin), or SS58 (Polkadot)."""
    if not set(value) <= set(alphabet):
        return False
    number = 0
    for character in value:
        number = number * 58 + alphabet.index(character)
    leading = len(value) - len(value.lstrip(alphabet[0]))
    body = bytes(leading) + number.to_bytes((number.bit_length() + 7) // 8)
    if alphabet is _BASE58 and len(body) == 32:
        return True
    twice = hashlib.sha256(hashlib.sha256(body[:-4]).digest()).digest()
    ss58 = hashlib.blake2b(b"SS58PRE" + body[:-2]).digest()
    return len(body) > 20 and (body[-4:] == twice[:4] or (len(body) in (35, 36) and body[-2:] == ss58[:2]))


def _is_bech32(value: str) -> bool:
    """BIP 173 and 350: the check sum over the part before the last `1` and what follows."""
    name, _, said = value.rpartition("1")
    if not 1 <= len(name) <= 20 or len(said) < 8 or not set(said) <= set(_BECH32) or name != name.lower():
        return False
    check = 1
    high, low = [ord(one) >> 5 for one in name], [ord(one) & 31 for one in name]
    for digit in (*high, 0, *low, *map(_BECH32.index, said)):
        top = check >> 25
        check = (check & 0x1FFFFFF) << 5 ^ digit
        for place, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
            check ^= generator if top >> place & 1 else 0
    return check in (1, 0x2BC830A3)
