"""Lists for what enforces them: nftables, ipset, nginx, Envoy, hosts files, and external dynamic lists of firewalls.

Each takes the networks or the hosts of a list and leaves the rest out. A value is read here once more and written anew
(a network by `nets`, a host by a closed alphabet), so no publisher's text reaches a configuration. Where a device
replaces its set by a script, the script does so in one step.
"""

from __future__ import annotations

import heapq
import json
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from exchange.lists import nets
from exchange.lists.lines import Line, compared
from exchange.lists.nets import Net

#: Entries of a list that a firewall pulls: what the smaller ones take. Those with most publishers and confidence stay.
MOST_OF_A_DEVICE = 50_000
_HOST = re.compile(r"(?=.{1,253}$)[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?)+")
_SET, _MOST_OF_A_SET = "exchange", 4_194_304


@dataclass(frozen=True, slots=True)
class Device:
    """How a list is written for one sort of device: each piece by `piece`, None where it does not take the value.

    `values` reads them back from a line of it. `empty` is the whole list where nothing is in it.
    """

    piece: Callable[[Line], str | None]
    values: re.Pattern[str]
    head: str = ""
    tail: str = ""
    between: str = ""
    empty: str | None = None
    most: int | None = None


def _net(line: Line) -> Net | None:
    return nets.read(line.value) if compared(line.subkind) == "net" else None


def _host(line: Line) -> str | None:
    is_host = compared(line.subkind) == "host" and _HOST.fullmatch(line.value)
    return line.value if is_host else None


def _of_net(write: Callable[[Net], str]) -> Callable[[Line], str | None]:
    def piece(line: Line) -> str | None:
        net = _net(line)
        return None if net is None else write(net)

    return piece


def _of_host(write: Callable[[str], str]) -> Callable[[Line], str | None]:
    def piece(line: Line) -> str | None:
        host = _host(line)
        return None if host is None else write(host)

    return piece


def _principal(net: Net) -> str:
    said = {"address_prefix": str(net.network_address), "prefix_len": net.prefixlen}
    return json.dumps({"remote_ip": said}, separators=(",", ":"))


def _of_versions(words: str) -> str:
    """The same lines for the sets of both versions of IP."""
    return "".join(
        words.format(set=f"{_SET}{number}", family=family, type=kind, most=_MOST_OF_A_SET)
        for number, family, kind in ((4, "inet", "ipv4_addr"), (6, "inet6", "ipv6_addr"))
    )


DEVICES: dict[str, Device] = {
    "edl-domain": Device(_of_host(lambda host: f"{host}\n"), re.compile(r"^(\S+)$"), most=MOST_OF_A_DEVICE),
    "edl-ip": Device(_of_net(lambda net: f"{net}\n"), re.compile(r"^(\S+)$"), most=MOST_OF_A_DEVICE),
    "envoy": Device(
        _of_net(_principal),
        re.compile(r'"address_prefix":"([^"]+)","prefix_len":(\d+)'),
        head='{"action":"DENY","policies":{"exchange":{"permissions":[{"any":true}],"principals":[\n',
        tail="\n]}}}\n",
        between=",\n",
        empty='{"action":"DENY","policies":{}}\n',
    ),
    "hosts": Device(_of_host(lambda host: f"0.0.0.0 {host}\n"), re.compile(r"^0\.0\.0\.0 (\S+)$")),
    "ipset": Device(
        _of_net(lambda net: f"add {_SET}{net.version}-new {net}\n"),
        re.compile(r"^add \S+ (\S+)$"),
        head=_of_versions(
            "create {set} hash:net family {family} maxelem {most} -exist\n"
            "create {set}-new hash:net family {family} maxelem {most} -exist\n"
            "flush {set}-new\n"
        ),
        tail=_of_versions("swap {set} {set}-new\ndestroy {set}-new\n"),
    ),
    "nftables": Device(
        _of_net(lambda net: f"add element inet {_SET} {_SET}{net.version} {{ {net} }}\n"),
        re.compile(r"^add element .*\{ (\S+) \}$"),
        head=f"add table inet {_SET}\n"
        + _of_versions(
            f"add set inet {_SET} {{set}} {{{{ type {{type}}; flags interval; auto-merge; }}}}\n"
            f"flush set inet {_SET} {{set}}\n"
        ),
    ),
    "nginx-geo": Device(_of_net(lambda net: f"{net} 1;\n"), re.compile(r"^(\S+) 1;$")),
    "nginx-map": Device(_of_host(lambda host: f"{host} 1;\n"), re.compile(r"^(\S+) 1;$")),
}


def chosen(lines: Iterable[Line], device: Device) -> Iterator[Line]:
    """The lines that a device takes; where it holds only so many, those that most publishers say most surely."""
    taken = (line for line in lines if device.piece(line) is not None)
    if device.most is None:
        yield from taken
        return
    best = heapq.nlargest(device.most, taken, key=lambda line: (line.publishers, line.confidence or 0))
    yield from sorted(best, key=lambda line: line.value)


def read(file: Iterable[str], device: Device) -> Iterator[dict[str, Any]]:
    """The values of a list that was written for a device."""
    for line in file:
        if (found := device.values.search(line.rstrip("\n"))) is not None:
            value = "/".join(found.groups())
            yield {"value": value, "subkind": "host" if nets.read(value) is None else "net"}
