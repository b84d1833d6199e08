"""Values that nobody may block, and values that are too broad: judged at the door, in microseconds, without a database.

What is judged is a value in clear in its normal form. Bundled are special-purpose ranges and AS numbers (IANA), public
resolvers and clouds, freemail providers and public suffixes (`lists/README.md`); the hosts and ranges that members make
known as their own are given.
"""

from __future__ import annotations

import gzip
import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache, lru_cache
from pathlib import Path
from socket import AF_INET, AF_INET6, inet_pton
from typing import Any, NamedTuple

from exchange.lists.lines import compared
from exchange.tokens import normalising
from indicators.door import snapshot
from indicators.door.snapshot import Lists

TOO_BROAD = "too-broad"
BENIGN = "benign-listed"

_BUNDLED = Lists(snapshot.BUNDLED)
_LISTS = Path(__file__).parent / "lists"
_WIDEST = {4: 16, 6: 32}
#: What one customer of a cloud may have.
_WIDEST_IN_CLOUD = {4: 24, 6: 48}
_BITS = {4: 32, 6: 128}
_FAMILY = {4: AF_INET, 6: AF_INET6}


class Network(NamedTuple):
    """A network as its first and last address, whole numbers. Read here, for `ipaddress` takes ten times as long."""

    version: int
    first: int
    last: int
    prefix: int

    @classmethod
    def read(cls, value: str) -> Network:
        """Of a network in normal form; an address alone is a network of one. Raises OSError, ValueError."""
        address, _, prefix = value.partition("/")
        version = 6 if ":" in address else 4
        length = int(prefix or _BITS[version])
        first = int.from_bytes(inet_pton(_FAMILY[version], address))
        return cls(version, first, first | ((1 << (_BITS[version] - length)) - 1), length)


#: IANA IPv4 and IPv6 Special-Purpose Address Registries, multicast and reserved space. Of IPv6 only 2000::/3 is global
#: unicast, so what lies outside is special whatever it is.
_SPECIAL = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"),
    *("192.31.196.0/24", "192.52.193.0/24", "192.88.99.0/24", "192.168.0.0/16", "192.175.48.0/24", "224.0.0.0/3"),
    *("::/3", "4000::/2", "8000::/1", "2001::/23", "2002::/16", "2620:4f:8000::/48"),
)
#: Documentation and benchmarking (RFC 5737, 3849, 9637, 2544): taken where example values are.
_EXAMPLES = (
    *("192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32", "3fff::/20"),
    "2001:2::/48",
)
#: IANA Special-Purpose AS Numbers: first and last, and whether they are for documentation.
_SPECIAL_AS = (
    *((0, 0, False), (112, 112, False), (23456, 23456, False), (64496, 64511, True), (64512, 65535, False)),
    *((65536, 65551, True), (4_200_000_000, 4_294_967_295, False)),
)
#: Special-use names (RFC 6761 and its registry) that stand for a place inside a network.
_SPECIAL_NAMES = frozenset({"alt", "arpa", "home.arpa", "internal", "lan", "local", "localdomain", "localhost"})
_EXAMPLE_NAMES = frozenset({"example", "example.com", "example.net", "example.org", "invalid", "test"})


class _Ranges:
    """Disjoint ranges of addresses, as whole numbers, by version."""

    def __init__(self, networks: Iterable[Network]) -> None:
        self._starts: dict[int, list[int]] = {4: [], 6: []}
        self._ends: dict[int, list[int]] = {4: [], 6: []}
        for net in sorted(networks, key=lambda net: (net.version, net.first, net.prefix)):
            starts, ends = self._starts[net.version], self._ends[net.version]
            if not ends or net.first > ends[-1]:  # one that lies in the one before says nothing new
                starts.append(net.first)
                ends.append(net.last)

    def hold(self, net: Network) -> bool:
        """Whether all of the network lies in one of them."""
        starts, ends = self._starts[net.version], self._ends[net.version]
        place = bisect_right(starts, net.first) - 1
        return place >= 0 and net.last <= ends[place]

    def lie_in(self, net: Network) -> bool:
        """Whether one of them lies in the network, or is it."""
        starts, ends = self._starts[net.version], self._ends[net.version]
        place = bisect_left(starts, net.first)
        return place < len(starts) and ends[place] <= net.last

    def touch(self, net: Network) -> bool:
        """Whether the network and one of them have an address in common."""
        place = bisect_left(self._ends[net.version], net.first)
        starts = self._starts[net.version]
        return place < len(starts) and starts[place] <= net.last


@dataclass(frozen=True, slots=True)
class Known:
    """What is known to be benign besides the bundled lists.

    `hosts` and `networks` are those that members make known as their own, in normal form; a host stands for the names
    below it, too. With `examples`, values that are for documentation are taken, as in a demo.
    """

    examples: bool = False
    hosts: frozenset[str] = frozenset()
    networks: _Ranges = field(default_factory=lambda: _Ranges(()))
    lists: Lists = _BUNDLED

    @classmethod
    def of(cls, values: Iterable[str], *, examples: bool, lists: Lists = _BUNDLED) -> Known:
        """Of members' hosts and ranges in normal form, and a snapshot of warninglists."""
        listed = list(values)
        networks = [Network.read(value) for value in listed if "/" in value]
        return cls(examples, frozenset(value for value in listed if "/" not in value), _Ranges(networks), lists)


def judge(domain: str, value: str, known: Known) -> str:
    """`too-broad`, `benign-listed`, or "" for a value that may be listed. `domain` is what the value is compared as."""
    own = _by_rule(domain, value, known)
    return own or (BENIGN if listed_in(domain, value, known) else "")


def listed_in(domain: str, value: str, known: Known) -> str:
    """The warninglist, or what else is well known, that a value in clear is in; "" for one that is in none."""
    meaning = compared(domain)
    if meaning == "net":
        return "" if value.startswith("as") else _network_in(Network.read(value), value, known)
    if meaning == "host":
        return _host_in(value, known)
    if domain.startswith("file:hashes"):
        return snapshot.read(known.lists).hash.get(value, "")
    if meaning == "crypto_addr":
        return _wallet(value, known)
    if domain == "bin_range" and not known.examples:
        return "numbers for tests" if _holds_test_bin(value) else ""
    if domain == "url:value" and normalising.is_bare(value):
        host = normalising.url_host(value)
        return "" if ":" in host or host.rpartition(".")[2].isdigit() else _host_in(host, known)
    return ""


def _network_in(net: Network, value: str, known: Known) -> str:
    """Shared networks in both directions; of clouds a listed range or a wider one; of open resolvers the address."""
    if known.examples and _examples().hold(net):
        return ""
    held = snapshot.read(known.lists)
    if _ranges(known.lists, "shared").touch(net):
        return held.shared.get(value, "a network that many share")
    cloud = _ranges(known.lists, "cloud")
    if cloud.lie_in(net) or (net.prefix < _WIDEST_IN_CLOUD[net.version] and cloud.hold(net)):
        return held.cloud.get(value, "a cloud")
    return held.address.get(value, "")


def _host_in(value: str, known: Known) -> str:
    held = snapshot.read(known.lists)
    if value in held.exact:
        return held.exact[value]
    return next(
        (held.suffix[name] for name in _suffixes(value) if name in held.suffix and not _is_public_suffix(name)), ""
    )


def _wallet(value: str, known: Known) -> str:
    if value in snapshot.EXAMPLE_WALLETS:
        return "" if known.examples else "an address of documentation"
    return next((name for name, values in snapshot.WALLETS.items() if value in values), "")


def _holds_test_bin(value: str) -> bool:
    first, _, last = value.partition("-")
    return any(first[:6] <= one <= (last or first)[:6] for one in snapshot.TEST_BINS)


@lru_cache(maxsize=16)
def _ranges(lists: Lists, use: str) -> _Ranges:
    return _Ranges(Network.read(value) for value in getattr(snapshot.read(lists), use))


def _by_rule(domain: str, value: str, known: Known) -> str:
    meaning = compared(domain)
    if meaning == "net":
        return _as_number(value, known) if value.startswith("as") else _network(Network.read(value), known)
    if meaning == "host":
        return _host(value, known)
    if domain == "url:value":
        return _url(value, known)
    if domain == "email-addr:value":
        return BENIGN if _is_ones_own(value.rpartition("@")[2], known) else ""
    return ""


def names(known: Known, domain: str, value: str) -> bool:
    """Whether the hosts and ranges of `known` hold a value in clear, whatever else is known of it."""
    meaning = compared(domain)
    if meaning == "net":
        return not value.startswith("as") and known.networks.touch(Network.read(value))
    if domain == "url:value":
        host = normalising.url_host(value)
        if ":" in host or host.rpartition(".")[2].isdigit():
            return known.networks.touch(Network.read(host))
    else:
        host = value.rpartition("@")[2] if domain == "email-addr:value" else value if meaning == "host" else ""
    return any(name in known.hosts for name in _suffixes(host))


def is_declarable(value: str) -> bool:
    """Whether a member may make a host or range in normal form known as its own: not what many share."""
    if "/" in value:
        net = Network.read(value)
        return net.prefix >= _WIDEST[net.version] and not _special().hold(net)
    return not _is_public_suffix(value) and value not in _freemail() and not _ends_in(value, _SPECIAL_NAMES)


def _network(net: Network, known: Known) -> str:
    if net.prefix < _WIDEST[net.version]:
        return TOO_BROAD
    if known.networks.touch(net) or _resolvers().touch(net):
        return BENIGN
    if _examples().hold(net):
        return "" if known.examples else BENIGN
    return BENIGN if _special().touch(net) else ""


def _as_number(value: str, known: Known) -> str:
    number = int(value.removeprefix("as"))
    for first, last, is_example in _SPECIAL_AS:
        if first <= number <= last:
            return "" if is_example and known.examples else BENIGN
    return BENIGN if number in _as_numbers() else ""


def _host(value: str, known: Known) -> str:
    if _is_ones_own(value, known) or value in _freemail() or _is_public_suffix(value):
        return BENIGN
    return BENIGN if not known.examples and _ends_in(value, _EXAMPLE_NAMES) else ""


def _is_ones_own(host: str, known: Known) -> bool:
    """Whether it is a service of a member or of everybody, or a name that means something inside a network only."""
    return any(name in known.hosts or name in _services() or name in _SPECIAL_NAMES for name in _suffixes(host))


def _url(value: str, known: Known) -> str:
    """As its host where that is somebody's own; a page at a provider that many share may be listed, its front not."""
    host = normalising.url_host(value)
    if ":" in host or host.rpartition(".")[2].isdigit():
        verdict = _network(Network.read(host), known)
    else:
        verdict = _host(host, known) if normalising.is_bare(value) else BENIGN * _is_ones_own(host, known)
    return verdict


def _suffixes(host: str) -> Iterable[str]:
    """The name itself and every name above it."""
    yield host
    place = host.find(".")
    while place >= 0:
        yield host[place + 1 :]
        place = host.find(".", place + 1)


def is_below_a_public_suffix(host: str, known: Known) -> bool:
    """Whether somebody can have this name; examples' names where these are taken."""
    above = list(_suffixes(host))[1:]
    return any(map(_is_public_suffix, above)) or (known.examples and _ends_in(host, _EXAMPLE_NAMES))


def _ends_in(host: str, names: frozenset[str]) -> bool:
    return any(name in names for name in _suffixes(host))


@lru_cache(maxsize=4_096)
def _is_public_suffix(host: str) -> bool:
    """Whether a name is a public suffix (publicsuffix.org/list, "Algorithm"): others register names right below it."""
    rules = _public_suffixes()
    if f"!{host}" in rules:
        return False
    return host in rules or f"*.{host.partition('.')[2]}" in rules


@cache
def _special() -> _Ranges:
    return _Ranges(Network.read(text) for text in _SPECIAL)


@cache
def _examples() -> _Ranges:
    return _Ranges(Network.read(text) for text in _EXAMPLES)


@cache
def _resolvers() -> _Ranges:
    return _Ranges(Network.read(address) for listed in _infrastructure()["resolvers"].values() for address in listed)


@cache
def _as_numbers() -> frozenset[int]:
    return frozenset(number for listed in _infrastructure()["as_numbers"].values() for number in listed)


@cache
def _services() -> frozenset[str]:
    found = _infrastructure()
    return frozenset(found["resolver_hosts"]) | frozenset(found["ai_services"])


@cache
def _infrastructure() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((_LISTS / "infrastructure.json").read_text())
    return found


@cache
def _freemail() -> frozenset[str]:
    return _lines("freemail.txt.gz")


@cache
def _public_suffixes() -> frozenset[str]:
    return _lines("public_suffixes.txt.gz")


def _lines(name: str) -> frozenset[str]:
    return frozenset(gzip.decompress((_LISTS / name).read_bytes()).decode().split())
