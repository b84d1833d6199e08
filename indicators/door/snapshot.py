"""MISP's warninglists as the door uses them: which networks, hosts, hashes and wallets are everybody's.

A snapshot is one JSON file, made by `exchange-manage benign_lists` of a checkout of misp-warninglists, or the bundled
one. Read once per process and file; a file that is replaced is read again.
"""

from __future__ import annotations

import gzip
import hashlib
import ipaddress
import json
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from exchange.tokens import normalising

BUNDLED = Path(__file__).parent / "lists" / "warninglists.json.gz"

#: Which lists are used, and how. `shared`: nobody's own, whatever part of a network it is. `cloud`: rented by anybody:
#: an address may be named, and a range that is listed, or wider, may not. `exact`: as it is. `suffix`: and all below.
USED: dict[str, tuple[str, ...]] = {
    "shared": (
        *(
            "akamai",
            "apple",
            "bunny-net",
            "check-host-net",
            "cloudflare",
            "crl-ip",
            "fastly",
            "google-gmail-sending-ips",
        ),
        *("googlebot", "icloud-private-relay", "microsoft-office365-ip", "openai-gptbot", "smtp-sending-ips"),
        "wikimedia",
    ),
    "cloud": ("amazon-aws", "google-gcp", "microsoft-azure", "oracle-oci"),
    "address": ("public-dns-v4",),
    "exact": (
        *("captive-portals", "cisco_top10k", "crl-hostname", "dynamic-dns", "link-in-bio", "lots-project", "tranco10k"),
        *("security-provider-blogpost", "university_domains", "url-shortener", "whats-my-ip"),
    ),
    "suffix": ("bank-website", "google"),  # values that begin with a dot; the others are exact
    "hash": ("common-ioc-false-positive", "empty-hashes"),
}
#: Taken away from `exact`: domains that anybody may have a mailbox at for a minute, which campaigns use.
DISPOSABLE = "disposable-email"
_NETWORKS = frozenset({"shared", "cloud", "address"})

#: Wallets that everybody knows: burn addresses, contracts of large coins, exchanges' own, and those of documentation.
WALLETS = {
    "a burn address": (
        *("1BitcoinEaterAddressDontSendf59kuE", "0x" + "0" * 40, "0x" + "0" * 36 + "dead"),
        "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
    ),
    "the contract of a large coin": (
        *("0xdac17f958d2ee523a2206206994597c13d831ec7", "0xa0b86991c6218b36c1d19d4a2e9eb0ce3606eb48"),
        *("0xc02aaa39b223fe8d0a0e5c4f27ead9083c756cc2", "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"),
    ),
    "the wallet of an exchange": (
        *("34xp4vRoCGJym3xR7yCVPFHoCNxv4Twseo", "0x28c6c06298d514db089934071355e5743bf21d60"),
        *(
            "bc1qgdjqv0av3q56jvd82tkdjpy7gdp9ut8tlqmgrpmv24sq90ecnvqqjwvw97",
            "0x3f5ce5fbfe3e9af3971dd833d26ba9b5c936f0be",
        ),
    ),
}
#: Of documentation: BIP 173, and the wiki of Bitcoin.
EXAMPLE_WALLETS = frozenset(
    {
        "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4",
        "3J98t1WpEZ73CNmQviecrnyiWrnqRhWNLy",
        "1BvBMSEYstWetqTFn5Au4m4GFg7xJaNVN2",
    }
)
#: Card ranges in which payment providers publish numbers for tests.
TEST_BINS = frozenset({"411111", "424242", "400000", "401288", "555555", "510510", "520082", "222300", "601111"})


@dataclass(frozen=True, slots=True)
class Snapshot:
    """By use, each value with the name of its list."""

    shared: dict[str, str]
    cloud: dict[str, str]
    address: dict[str, str]
    exact: dict[str, str]
    suffix: dict[str, str]
    hash: dict[str, str]


class Lists(NamedTuple):
    """A file that `built` made, as it was at a moment."""

    path: Path
    changed_ns: int = 0
    size: int = 0

    @classmethod
    def at(cls, path: Path) -> Lists:
        """As it is now. Raises OSError."""
        found = path.stat()
        return cls(path, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def digest(lists: Lists) -> int:
    """63 bits of what is in the file. Raises OSError."""
    return int.from_bytes(hashlib.sha256(lists.path.read_bytes()).digest()[:8]) >> 1


@lru_cache(maxsize=4)
def read(lists: Lists) -> Snapshot:
    """What is in the file. Raises OSError, ValueError."""
    try:
        found: dict[str, Any] = json.loads(gzip.decompress(lists.path.read_bytes()))
        uses = {use: {value: name for name, values in found[use].items() for value in values} for use in USED}
    except (EOFError, gzip.BadGzipFile, zlib.error, KeyError, TypeError, AttributeError) as broken:
        raise ValueError("not a snapshot") from broken
    return Snapshot(**uses)


def built(list_of: Callable[[str], Iterable[str]]) -> bytes:
    """A snapshot of warninglists; `list_of` gives the values of one by its name, or raises KeyError.

    Values are in normal form; what is none, and what another list of the same use has, is left out.
    """
    disposable = {value.lower() for value in list_of(DISPOSABLE)}
    made: dict[str, dict[str, list[str]]] = {use: {} for use in USED}
    seen: dict[str, set[str]] = {use: set(disposable) if use == "exact" else set() for use in USED}
    for use, name in ((use, name) for use, names in USED.items() for name in names):
        listed: dict[str, set[str]] = {}
        for text in list_of(name):
            of = "exact" if use == "suffix" and not text.startswith(".") else use
            if (value := _normal(text, of)) is not None and value not in seen[of]:
                listed.setdefault(of, set()).add(value)
                seen[of].add(value)
        for of, values in listed.items():
            made[of][name] = sorted(values)
    return gzip.compress(json.dumps(made, separators=(",", ":")).encode(), mtime=0)


def _normal(text: str, use: str) -> str | None:
    try:
        if use in _NETWORKS:
            return str(ipaddress.ip_network(text.strip(), strict=False))
        if use == "hash":
            bare = text.strip().lower()
            return bare if len(bare) in {32, 40, 64} and int(bare, 16) >= 0 else None
        return normalising.host(text.removeprefix("."))
    except ValueError:
        return None
