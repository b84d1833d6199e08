"""What is known of a list of values: of each line known, unknown, benign-listed or not a value, and how it was read.

What comes here is what the browser lets out (`static/indicators/reading.js`): tokens, and values that may travel in
clear. Values are looked up by themselves, whatever subkind they were said under.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from exchange import clock
from exchange.errors import Refused
from exchange.sql import ask
from exchange.stix import words
from exchange.tokens import normalising
from exchange.tokens.defanging import defanged_text
from indicators.benign import service_hosts
from indicators.door import benign
from indicators.reading import carriers, titling
from indicators.reading.carriers import Carrier
from indicators.values import carrying
from partners.groups import directory
from partners.portal import letters
from partners.portal.letters import Lab
from partners.viewer import Viewer

MOST_LINES = 1_000
_MOST_TOKENS = 12
_MOST_CHARS = 300
_HEX = re.compile(r"[0-9a-f]{64}")
#: What may be asked in clear, and what it is compared as at the door.
_CLEAR = {
    "net": "net",
    "host": "gateway_host",
    "crypto_addr": "crypto_addr",
    "bin_range": "bin_range",
    "client_fp": "client_fp",
    "hash": "file:hashes",
    "id": "",
}
_NORMAL = {
    "net": normalising.network,
    "host": normalising.host,
    "crypto_addr": normalising.crypto_addr,
    "bin_range": normalising.bin_range,
}
_WIDEST = {4: 16, 6: 32}
#: Ours first, so that columns can be compared; whoever has no name last.
_ORDER = {"us": 0, "named": 1, "veiled": 2}


@dataclass(frozen=True, slots=True)
class PastedLine:
    """One line as the browser read it: `how` in its words; tokens, or a value in clear and what it is."""

    number: int
    subkind: str
    tokens: tuple[str, ...] = ()
    clear: str = ""


def read_lines(document: Any) -> list[PastedLine]:
    """What was sent. Raises Refused, with the field."""
    lines = document.get("lines") if isinstance(document, Mapping) else None
    if not isinstance(lines, list) or not 0 < len(lines) <= MOST_LINES:
        raise Refused(
            gettext("1 to {MOST_LINES} lines.").format(MOST_LINES=f"{MOST_LINES:,}"), code="too-many-lines", at="/lines"
        )
    return [_line(one, f"/lines/{place}") for place, one in enumerate(lines)]


def _line(sent: Any, at: str) -> PastedLine:
    if not isinstance(sent, Mapping) or not isinstance(number := sent.get("n"), int):
        raise Refused(gettext("A line is an object with a number."), code="bad-line", at=at)
    subkind, tokens, clear = sent.get("subkind", ""), sent.get("tokens", []), sent.get("clear", "")
    if subkind not in _CLEAR and subkind not in words.TOKENISED and subkind != "token":
        raise Refused(gettext("A subkind that is asked about."), code="unknown-subkind", at=f"{at}/subkind")
    if not isinstance(tokens, list) or len(tokens) > _MOST_TOKENS or not all(map(_is_token, tokens)):
        raise Refused(gettext("Tokens are 64 lower-case hexadecimal digits."), code="bad-token", at=f"{at}/tokens")
    if not isinstance(clear, str) or len(clear) > _MOST_CHARS or (clear and subkind not in _CLEAR):
        raise Refused(
            gettext("This may not travel in clear: it is made a token first."), code="not-in-clear", at=f"{at}/clear"
        )
    return PastedLine(number, subkind, tuple(tokens), clear)


def _is_token(written: Any) -> bool:
    return isinstance(written, str) and _HEX.fullmatch(written) is not None


def answers(viewer: Viewer, lines: Sequence[PastedLine]) -> list[dict[str, Any]]:
    """An answer for each line, in order."""
    forms = {line.number: _forms(line) for line in lines}
    keys = _keys({form for found in forms.values() for form in found})
    said = carriers.of(viewer, {key for found in keys.values() for key in found})
    ids = [line.clear.lower() for line in lines if line.subkind == "id"]
    titles = titling.titles(viewer, ids) if ids else {}
    known = service_hosts.known()
    labs = letters.labs(viewer, directory.known()) if said else {}
    return [_answer(line, forms[line.number], keys, said, titles, known, labs) for line in lines]


def _forms(line: PastedLine) -> tuple[str, ...]:
    """The values that would be this one, the most exact first: itself, and of a network those that hold it."""
    if line.tokens:
        return line.tokens
    if line.subkind in _NORMAL:
        try:
            normal = _NORMAL[line.subkind](line.clear)
        except ValueError:
            return ()
        return (normal, *_around(normal)) if line.subkind == "net" else (normal,)
    return (line.clear.strip().lower(),) if line.subkind == "hash" else (line.clear.strip(),)


def _around(value: str) -> Iterable[str]:
    """The networks that hold a network, up to the widest that may be said."""
    if value.startswith("as"):
        return
    net = ipaddress.ip_network(value)
    for prefix in range(net.prefixlen - 1, _WIDEST[net.version] - 1, -1):
        yield str(net.supernet(new_prefix=prefix))


def _keys(values: set[str]) -> dict[str, list[UUID]]:
    """The keys under which these values are stored, by value."""
    wanted = sorted(values)
    within = [carrying.keys_within(value) for value in wanted]
    asked = {"values": wanted, "first": [first for first, _ in within], "last": [last for _, last in within]}
    found: dict[str, list[UUID]] = {}
    for value, key in ask(_KEYS, asked) if wanted else ():
        found.setdefault(value, []).append(key)
    return found


# A row for each key of each value: by the primary key, a few keys for each (OFFSET 0). Else PostgreSQL, which takes a
# stretch of keys for long, would read all values that are stored.
_KEYS = """
SELECT asked.value, v.id
FROM unnest(%(values)s::text[], %(first)s::uuid[], %(last)s::uuid[]) AS asked(value, first, last)
CROSS JOIN LATERAL (
    SELECT v.id, v.value FROM indicators_tokenvalue v WHERE v.id BETWEEN asked.first AND asked.last OFFSET 0) v
WHERE v.value = asked.value
"""


def _answer(
    line: PastedLine,
    forms: Sequence[str],
    keys: Mapping[str, list[UUID]],
    said: Mapping[UUID, list[Carrier]],
    titles: Mapping[str, str],
    known: benign.Known,
    labs: Mapping[UUID, Lab],
) -> dict[str, Any]:
    if line.subkind == "id":
        stix_id = line.clear.lower()
        if stix_id in titles:
            return {
                "n": line.number,
                "state": "known",
                "value": stix_id,
                "title": defanged_text(titles[stix_id]),
                "id": stix_id,
            }
        return _other(line, "unknown", stix_id, gettext("nobody you may see holds it"))
    if not forms:
        return _other(line, "invalid", line.clear, gettext("nothing we can compare"))
    for form in forms:
        if found := [each for key in keys.get(form, ()) for each in said.get(key, ())]:
            return _known(line, form, found, labs, exact=form == forms[0] or bool(line.tokens))
    if line.clear and (why := _benign(line.subkind, forms[0], known)):
        state = "invalid" if why[0] == benign.TOO_BROAD else "benign"
        return _other(line, state, forms[0], why[1])
    return _other(line, "unknown", forms[0], gettext("nobody you may see holds it"))


def _benign(subkind: str, value: str, known: benign.Known) -> tuple[str, str] | None:
    domain = _CLEAR[subkind]
    verdict = benign.judge(domain, value, known)
    if not verdict:
        return None
    if verdict == benign.TOO_BROAD:
        return verdict, gettext("wider than an indicator may be: /16 for IPv4, /32 for IPv6")
    listed = benign.listed_in(domain, value, known)
    return verdict, gettext("on the list {listed}").format(listed=listed) if listed else gettext(
        "special-purpose, of everybody, or a member's own"
    )


def _other(line: PastedLine, state: str, value: str, why: str) -> dict[str, Any]:
    return {"n": line.number, "state": state, "value": value, "why": why}


def _known(
    line: PastedLine, form: str, found: Sequence[Carrier], labs: Mapping[UUID, Lab], *, exact: bool
) -> dict[str, Any]:
    """What the carriers say, as one answer: the newest of them speaks for what differs."""
    first = found[0]
    ends = [each.valid_until for each in found if each.valid_until is not None]
    sources = {each.source.id: (each.source.name, labs.get(each.source.id, letters.VEILED)) for each in found}
    return {
        "n": line.number,
        "state": "known",
        "value": form,
        "inside": not exact,
        "kind": first.kind,
        "id": first.stix_id,
        "title": defanged_text(first.title),
        "sources": [
            {"name": name, "letter": lab.letter, "shown": lab.shown}
            for name, lab in sorted(sources.values(), key=lambda one: (_ORDER[one[1].shown], one[1].letter, one[0]))
        ],
        "standing": first.standing,
        "severity": first.severity,
        "action": first.action,
        "left_days": round((max(ends) - clock.now()).total_seconds() / 86_400, 1) if ends else None,
        "until": clock.rfc3339(max(ends)) if ends else None,
    }
