"""A campaign as a picture: what every member of its group is shown of it, as of when the group was told last.

Labs have no names here and stand in an order that says nothing; each is a lane. Tokens have ids of this campaign's own.
Every number but how many labs there are is a bucket. What only one lab carries is not shown one by one: it is summed by
subkind. Which lane is one's own, one's own accounts, and what one's own tokens are is added when somebody looks
(`viewing`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac

from exchange import clock
from indicators.campaigns import objects
from indicators.campaigns.counting import bucket
from indicators.campaigns.joining import Grade
from indicators.campaigns.queueing import rows
from indicators.campaigns.saying import sentence
from indicators.campaigns.tables import Campaign

#: Marks of a picture, all kinds together; of them tokens one by one, and of one subkind.
MOST_MARKS = 300
MOST_TOKENS = 60
_MOST_OF_SUBKIND = 12
#: Labs of a picture, and steps of its timeline: by the hour for two days, then by the day.
_MOST_LABS = 30
_HOURS = 48
_DAYS = 92
#: A token's purity is told where so many labs answered: as a share in tenths.
_LABS_FOR_PURITY = 3


def lane_of(campaign: UUID, partner: UUID) -> str:
    """The lane of a lab in the pictures of one campaign. Without the exchange's key nobody can tell whose it is."""
    return f"lab-{_drawn('lane', campaign, partner)}"


def node_of(campaign: UUID, token: int) -> str:
    """A token in the pictures of one campaign."""
    return f"token-{_drawn('token', campaign, token)}"


def _drawn(kind: str, campaign: UUID, thing: object) -> str:
    said = f"{kind} {campaign} {thing}"
    return salted_hmac("indicators.campaigns.picturing", said, algorithm="sha256").hexdigest()[:12]


@dataclass(slots=True)
class _Token:
    """A token that two accounts of the campaign or more carry; by lane, how many."""

    pk: int
    subkind: str
    holders: int = 0
    suspects: int = 0
    answered: int = 0
    by_lane: dict[str, int] = field(default_factory=dict)

    @property
    def accounts(self) -> int:
        return sum(self.by_lane.values())

    @property
    def strength(self) -> tuple[int, int, int]:
        """What is shown first: what more labs carry, then more accounts."""
        return -len(self.by_lane), -self.accounts, self.pk


def picture(one: Campaign, *, linked: Sequence[str] = ()) -> dict[str, Any]:
    """What is shown of a campaign now. Reads all its accounts and their pure tokens."""
    lanes = _lanes(one)
    shown = {lane["id"]: lane for lane in lanes[:_MOST_LABS]}
    tokens = _tokens(one, shown)
    bridges = sorted((token for token in tokens if len(token.by_lane) > 1), key=lambda token: token.strength)
    chosen = _chosen(bridges)
    alone = [token for token in tokens if len(token.by_lane) == 1]
    rest = _summed([token for token in bridges if token not in chosen], Grade.CORROBORATED)
    rest += _summed(alone, Grade.WORD)
    nodes: list[dict[str, Any]] = [
        {"id": "campaign", "type": "campaign", "name": one.name, "accounts": bucket(one.accounts), "grade": one.grade}
    ]
    nodes += shown.values()
    nodes += [_node(one.pk, token) for token in chosen]
    nodes += [summed for summed, _ in rest]
    nodes += [{"id": each, "type": "campaign", "grade": Grade.WORD} for each in linked]
    edges = [
        {"from": lane, "to": node_of(one.pk, token.pk), "accounts": bucket(count), "grade": Grade.CORROBORATED}
        for token in chosen
        for lane, count in sorted(token.by_lane.items())
    ]
    edges += [
        {"from": lane, "to": summed["id"], "accounts": bucket(count), "grade": summed["grade"]}
        for summed, by_lane in rest
        for lane, count in sorted(by_lane.items())
    ]
    edges += [{"from": "campaign", "to": each, "grade": Grade.WORD} for each in linked]
    _give_marks(shown.values(), MOST_MARKS - len(nodes))
    return {
        "as_of": objects.hour(clock.now()),
        "nodes": nodes,
        "edges": edges,
        "reasons": _reasons(tokens),
        "timeline": _timeline(one, shown),
        "left_out": {
            "tokens": bucket(len(bridges) - len(chosen) + len(alone)),
            "labs": max(0, len(lanes) - _MOST_LABS),
        },
    }


def same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether two pictures show the same, whenever they were made."""
    return {**one, "as_of": ""} == {**other, "as_of": ""}


# A row for each lab of the campaign and what it did: its accounts, those on one lab's word, the first.
_LANES = """
SELECT p.partner_id, s.publisher_action, count(*), count(*) FILTER (WHERE p.grade <> 'corroborated'), min(s.since)
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = %(campaign)s GROUP BY p.partner_id, s.publisher_action
"""


def _lanes(one: Campaign) -> list[dict[str, Any]]:
    """A node for each lab, in the order of ids that say nothing."""
    did: dict[UUID, Counter[str]] = defaultdict(Counter)
    word: Counter[UUID] = Counter()
    first: dict[UUID, datetime] = {}
    for partner, action, count, on_word, since in rows(_LANES, campaign=one.pk):
        did[partner][action] += count
        word[partner] += on_word
        first[partner] = min(since, first.get(partner, since))
    return sorted(
        (
            {
                "id": lane_of(one.pk, partner),
                "type": "lab",
                "accounts": bucket(actions.total()),
                "on_one_labs_word": bucket(word[partner]),
                "did": {action: bucket(count) for action, count in sorted(actions.items())},
                "first_seen": objects.hour(first[partner]),
            }
            for partner, actions in did.items()
        ),
        key=lambda node: str(node["id"]),
    )


# A row for each lab and pure token of the campaign: on how many of its accounts there; and what labs answered of it.
# Walks `placed_by_campaign`, then the accounts' tokens by their key.
_TOKENS = """
SELECT p.partner_id, t.id, t.subkind, count(*)
FROM indicators_placed p JOIN indicators_carried c ON c.suspect = p.suspect
JOIN indicators_puretoken u ON u.token = c.token JOIN indicators_evidencetoken t ON t.id = c.token
WHERE p.campaign = %(campaign)s GROUP BY p.partner_id, t.id
"""
_ANSWERED = """
SELECT token, count(*), sum(holders)::bigint, sum(suspects)::bigint
FROM indicators_prevalence WHERE token = ANY(%(tokens)s) AND holders > 0 GROUP BY token
"""


def _tokens(one: Campaign, shown: Mapping[str, Any]) -> list[_Token]:
    found: dict[int, _Token] = {}
    for partner, pk, subkind, count in rows(_TOKENS, campaign=one.pk):
        lane = lane_of(one.pk, partner)
        if lane in shown:
            found.setdefault(pk, _Token(pk, subkind)).by_lane[lane] = count
    held = [token for token in found.values() if token.accounts > 1]
    for pk, labs, holders, suspects in rows(_ANSWERED, tokens=[token.pk for token in held]):
        found[pk].answered, found[pk].holders, found[pk].suspects = labs, holders, suspects
    return held


def _chosen(bridges: Iterable[_Token]) -> list[_Token]:
    """The strongest, of no subkind too many."""
    found: list[_Token] = []
    taken: Counter[str] = Counter()
    for token in bridges:
        if taken[token.subkind] < _MOST_OF_SUBKIND and len(found) < MOST_TOKENS:
            taken[token.subkind] += 1
            found.append(token)
    return found


def _node(campaign: UUID, token: _Token) -> dict[str, Any]:
    return {
        "id": node_of(campaign, token.pk),
        "type": "token",
        "subkind": token.subkind,
        "kind": objects.kinds_of([token.subkind])[0],
        "grade": Grade.CORROBORATED,
        "labs": len(token.by_lane),
        "accounts": bucket(token.accounts),
        "purity": _purity([token]),
    }


def _summed(tokens: Iterable[_Token], grade: Grade) -> list[tuple[dict[str, Any], Counter[str]]]:
    """By subkind, one node for what is not shown one by one; with the accounts of each lane that carry any, at most."""
    by_subkind: dict[str, list[_Token]] = defaultdict(list)
    for token in tokens:
        by_subkind[token.subkind].append(token)
    found = []
    for subkind, some in sorted(by_subkind.items()):
        by_lane: Counter[str] = Counter()
        for token in some:
            for lane, count in token.by_lane.items():
                by_lane[lane] = max(by_lane[lane], count)
        node = {
            "id": f"{subkind}-{'more' if grade is Grade.CORROBORATED else 'of-one-lab'}",
            "type": "tokens",
            "subkind": subkind,
            "kind": objects.kinds_of([subkind])[0],
            "grade": grade,
            "tokens": bucket(len(some)),
            "labs": len(by_lane),
        }
        found.append((node, by_lane))
    return found


def _purity(tokens: Sequence[_Token]) -> float | None:
    """The share of suspects among holders, in tenths, down; None where too few labs answered."""
    told = [token for token in tokens if token.answered >= _LABS_FOR_PURITY]
    holders = sum(token.holders for token in told)
    return int(10 * sum(token.suspects for token in told) / holders) / 10 if holders else None


def _reasons(tokens: Iterable[_Token]) -> list[dict[str, Any]]:
    """Why these accounts are one campaign: by subkind, corroborated first, each as a sentence."""
    by: dict[tuple[Grade, str], list[_Token]] = defaultdict(list)
    for token in tokens:
        by[Grade.CORROBORATED if len(token.by_lane) > 1 else Grade.WORD, token.subkind].append(token)
    found = []
    for (grade, subkind), some in by.items():
        labs = {lane for token in some for lane in token.by_lane}
        most = bucket(max(token.accounts for token in some))
        said: dict[str, Any] = {
            "subkind": subkind,
            "kind": objects.kinds_of([subkind])[0],
            "grade": grade,
            "tokens": bucket(len(some)),
            "accounts": most,
            "labs": len(labs),
            "lanes": sorted(labs),
            "purity": _purity(some),
        }
        found.append((said | {"sentence": sentence(said)}, -len(labs), -max(token.accounts for token in some)))
    found.sort(key=lambda each: (each[0]["grade"] != Grade.CORROBORATED, each[1], each[2], each[0]["subkind"]))
    return [said for said, _, _ in found]


# A row for each lab and hour: accounts of the campaign that it sent first then.
_SEEN = """
SELECT p.partner_id, date_trunc('hour', s.since, 'UTC'), count(*)
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = %(campaign)s GROUP BY 1, 2
"""


def _timeline(one: Campaign, shown: Mapping[str, Any]) -> dict[str, Any]:
    """Accounts first seen, a lane for each lab and all together: by the hour for two days, then by the day, in buckets.

    `growth` is how many there were at each step's end. What came before the first step is counted into `growth` alone.
    """
    seen = [(lane_of(one.pk, partner), at, count) for partner, at, count in rows(_SEEN, campaign=one.pk)]
    seen = [each for each in seen if each[0] in shown]
    if not seen:
        return {"grain": "hour", "steps": [], "lanes": [], "growth": []}
    first, last = min(at for _, at, _ in seen), max(at for _, at, _ in seen)
    hourly = last - first < timedelta(hours=_HOURS)
    step, most = (timedelta(hours=1), _HOURS) if hourly else (timedelta(days=1), _DAYS)
    begin = first if hourly else first.replace(hour=0)
    count = (last - begin) // step + 1
    begin, count = begin + max(0, count - most) * step, min(count, most)
    lanes: dict[str, list[int]] = {lane: [0] * count for lane in shown}
    before = 0
    for lane, at, number in seen:
        if at < begin:
            before += number
        else:
            lanes[lane][(at - begin) // step] += number
    total, growth = before, []
    for place in range(count):
        total += sum(counts[place] for counts in lanes.values())
        growth.append(bucket(total))
    return {
        "grain": "hour" if hourly else "day",
        "steps": [objects.hour(begin + place * step) for place in range(count)],
        "lanes": [{"lab": lane, "seen": [bucket(number) for number in counts]} for lane, counts in lanes.items()],
        "growth": growth,
    }


def _give_marks(lanes: Iterable[dict[str, Any]], room: int) -> None:
    """How many dots stand for each lab's accounts: as the square root of its bucket, all within what room is left."""
    held = list(lanes)
    wanted = [int((10 ** int(str(lane["accounts"]).removeprefix("10^") or 0)) ** 0.5 * 4) + 1 for lane in held]
    share = min(1.0, max(0, room) / max(1, sum(wanted)))
    for lane, marks in zip(held, wanted, strict=True):
        lane["marks"] = int(marks * share)
