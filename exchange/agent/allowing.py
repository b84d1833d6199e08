"""What is never blocked here, whoever publishes it: a subscriber's own lists, each with a name for `suppressed by`.

Values stand in their normal form: a host, an address or range, a token, or a STIX id. A range is allowed with all that
lies in it; of a listed range that is broader, the allowed part is taken out.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from exchange.client.errors import Unusable
from exchange.lists import nets
from exchange.lists.lines import compared
from exchange.lists.nets import Net

#: How many bits stand before an IPv4 address that is written as IPv6.
_MAPPED_BITS = 96


@dataclass(slots=True)
class Allowed:
    """The values, by what they are, with the name of the list that has them."""

    values: dict[str, str] = field(default_factory=dict)
    nets: dict[Net, str] = field(default_factory=dict)

    def add(self, name: str, values: Iterable[str]) -> None:
        """Take in the values of a list."""
        for value in values:
            net = network(value)
            if net is None:
                self.values[value.strip().lower()] = name
            else:
                self.nets[net] = name

    @property
    def raw(self) -> list[str]:
        """The e-mail addresses among the values: a look-up of one finds it, but lists hold tokens."""
        return sorted(value for value in self.values if "@" in value)

    def by(self, subkind: str, value: str, ids: Iterable[str] = ()) -> str:
        """The name of the list that keeps a value, or one of the objects that say it, from being enforced; else ""."""
        for word in (value.lower(), *ids):
            if word in self.values:
                return self.values[word]
        if self.nets and _may_be_net(subkind) and (net := network(value)) is not None:
            return next((name for allowed, name in self.nets.items() if _within(net, allowed)), "")
        return ""

    def parts_of(self, subkind: str, value: str) -> Iterator[str]:
        """The value, or where a part of its range is allowed, the ranges that are left."""
        net = network(value) if self.nets and _may_be_net(subkind) else None
        inside = [allowed for allowed in self.nets if net is not None and _within(allowed, net)]
        if net is None or not inside:
            yield value
            return
        left: list[Any] = [net]
        for allowed in inside:
            left = [part for whole in left for part in _without(whole, allowed)]
        yield from sorted(str(part) for part in left)


def read(document: Mapping[str, Any], *, beside: Path) -> Allowed:
    """The lists of `[[allow]]`: a name, `values`, and `file` (a value a line, # begins a remark). Raises Unusable."""
    allowed = Allowed()
    for place, one in enumerate(document.get("allow", [])):
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or set(one) - {"name", "values", "file"}:
            raise Unusable(f"[[allow]] number {place + 1}: name, values and file are what there is, name is required.")
        values = list(one.get("values", []))
        if file := one.get("file"):
            try:
                lines = (beside / str(file)).read_text().splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise Unusable(f"[[allow]] {one['name']}: {file} cannot be read.") from error
            values += [word for line in lines if (word := line.partition("#")[0].strip())]
        if not all(isinstance(value, str) for value in values):
            raise Unusable(f"[[allow]] {one['name']}: values are texts.")
        allowed.add(one["name"], values)
    return allowed


def network(value: str) -> Net | None:
    """The address or range that a value is, if it is one, without host bits and zone; mapped IPv4 is IPv4."""
    if not value[:1].isalnum() and value[:1] != ":":
        return None
    net = nets.asked(value)
    if isinstance(net, ipaddress.IPv6Network) and net.prefixlen >= _MAPPED_BITS:
        mapped = net.network_address.ipv4_mapped
        return net if mapped is None else ipaddress.IPv4Network((mapped, net.prefixlen - _MAPPED_BITS))
    return net


def _may_be_net(subkind: str) -> bool:
    """What a list told that says no subkind may be a network, too."""
    return not subkind or compared(subkind) == "net"


def _within(inner: Net, outer: Net) -> bool:
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]  # of one version


def _without(whole: Any, allowed: Any) -> Iterator[Any]:
    if whole.subnet_of(allowed):
        return
    if allowed.subnet_of(whole):
        yield from whole.address_exclude(allowed)
    else:
        yield whole
