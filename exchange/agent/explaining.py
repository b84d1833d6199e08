"""Why a value is or is not blocked: what is said of it, what the policy makes of that, and what takes it away."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from exchange.agent import jobs, lookup_tables
from exchange.agent import policy as policies
from exchange.agent.allowing import network
from exchange.agent.gone import KEPT, Gone
from exchange.agent.parts import Part
from exchange.agent.policy import FLOORS, Policy, Statement, Verdict
from exchange.agent.store import Store
from exchange.lists.lines import Said, compared

#: What stands in a list or a store as it is written: a token, a STIX id, a host.
_AS_LISTED = re.compile(r"[0-9a-f]{64}|[a-z0-9-]+--[0-9a-f-]{36}|(?=.*[a-z])[a-z0-9_-]+(\.[a-z0-9_-]+)+", re.IGNORECASE)
#: Everything of every feed.
_WHOLE: Mapping[str, Part] = {}
_BY_TOKENS = (
    "A raw e-mail address, phone, device, account or prompt is listed by its tokens: --subkind email makes them."
)

_NOT_REMEMBERED = "Of regexes and NOVA rules that went nothing is remembered."
_OLD = "what is held is old, and `stale` of the policy says what becomes of it then"
_PROMPT = "prompt-signature"
_MOST_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Explained:
    """What is said of one value in one meaning, and the verdict over it."""

    said: Sequence[Statement]
    verdict: Verdict
    ended: Sequence[Statement]  # said, but not in force any more
    went: Sequence[Gone] = ()  # said once, and no more
    left: Sequence[Statement] = ()  # said, but not of the kind or as sure as the feed's settings ask
    later: Sequence[Statement] = ()  # said, but not yet in force


def of(
    value: str,
    stores: Mapping[str, Store],
    policy: Policy,
    *,
    now: datetime,
    tokens: Sequence[str] = (),
    parts: Mapping[str, Part] = _WHOLE,
) -> list[Explained]:
    """The explanations of a value, or of all values of a STIX id; `stores` by the names of their feeds.

    `tokens` are those of the value, where it is a raw one; `parts` what the feeds' settings ask for.
    """
    killed: frozenset[str] = frozenset()
    off: set[str] = set()
    found: list[Statement] = []
    begun: set[Statement] = set()
    went: list[Gone] = []
    policy = policy.when(old=all(jobs.is_stale(store) for store in stores.values()))  # as lists and look-ups do
    for feed, store in stores.items():
        killed |= store.killed() - {"*"}
        off |= {feed} if "*" in store.killed() else set()
        asked = list(dict.fromkeys([value, *looked_up(value), *tokens]))
        about = list(store.about(asked))
        ids = {one.said.value for one in about if value in one.said.ids}
        words = sorted({*asked, *ids})
        about += [one for one in store.about(sorted(ids)) if one not in about] if ids else []
        went += [one for one in store.went(words) if one not in went]
        signed = list(_signed(value, store))
        now_said = {*store.about(words, now=now), *(one for one, begins in signed if begins is None or begins <= now)}
        found += [one._replace(feed=feed) for one in (*about, *(one for one, _ in signed))]
        begun |= {one._replace(feed=feed) for one in now_said}
    explained: list[Explained] = []
    for same in policies.by_value(sorted(found, key=lambda one: one.said.value)):
        ended = [one for one in same if one.said.valid_until is not None and one.said.valid_until <= now]
        later = [one for one in same if one not in ended and one not in begun]
        in_force = [one for one in same if one not in ended and one not in later]
        left = [one for one in in_force if not parts.get(one.feed, Part()).has(one)]
        said = [one for one in in_force if one not in left]
        on = [one for one in said if one.feed not in off]
        if said and not on:
            verdict = Verdict(suppressed_by=policies.KILL_SWITCH)
        else:
            verdict = policy.judge(on, killed=killed) if on else policies.NONE
        first = same[0].said
        # the value itself is allowed, though the range that it lies in is not
        if (verdict.action or verdict.would) and (by := policy.allowed.by(first.subkind, value)):
            verdict = replace(verdict, action=None, would=None, suppressed_by=by)
        explained.append(Explained(said, verdict, ended, _taken(went, first), left, later))
    # what nobody says any more, each meaning of a value by itself
    while went:
        explained.append(Explained((), policies.NONE, (), _taken(went, went[0])))
    return explained


def _signed(value: str, store: Store) -> Iterator[tuple[Statement, datetime | None]]:
    """The regexes and rules of a STIX id or of these words, each with all that say the same, and when it begins.

    They are no entries: look-ups of texts alone use them, and judge what says the same together.
    """
    held = list(store.signatures())
    wanted = {(one.said.subkind, one.said.value) for one, _ in held if value in (one.said.value, *one.said.ids)}
    yield from ((one, begins) for one, begins in held if (one.said.subkind, one.said.value) in wanted)


def _taken(went: list[Gone], of: Said | Gone) -> list[Gone]:
    """Take out of `went` what went of the same value in the same meaning."""
    meaning = _meaning(of)
    same = [one for one in went if _meaning(one) == meaning]
    went[:] = [one for one in went if one not in same]
    return same


def _meaning(of: Said | Gone) -> tuple[str, str, str, str]:
    return of.value, compared(of.subkind), of.scheme, of.key_epoch


def looked_up(value: str) -> Iterator[str]:
    """The values under which something may be said of this one: its normal forms, and every network that holds it."""
    yield value.lower()
    if (net := network(value)) is not None:
        for length in range(net.prefixlen, -1, -1):
            wide = net.supernet(new_prefix=length)
            yield str(wide)
            if length == net.max_prefixlen:
                yield str(wide.network_address)
    for normal in lookup_tables.NORMAL.values():
        with suppress(ValueError):
            yield normal(value)


def document(one: Explained) -> dict[str, Any]:
    """For programs."""
    told = (*one.said, *one.left, *one.later, *one.ended)
    first: Said | Gone = next((each.said for each in told), None) or one.went[0]
    return {
        "value": first.value,
        "kind": first.kind,
        "subkind": first.subkind,
        "action": one.verdict.word,
        "would": one.verdict.would,
        "rule": one.verdict.rule,
        "floor": one.verdict.floor,
        "suppressed_by": one.verdict.suppressed_by,
        "independent_publishers": policies.independent(one.said) if one.said else 0,
        "said": [
            *(_said(each, in_force=True) for each in one.said),
            *(_said(each, in_force=True, left_out=True) for each in one.left),
            *(_said(each, in_force=False, not_begun=True) for each in one.later),
            *(_said(each, in_force=False) for each in one.ended),
        ],
        "went": [
            {"publisher": each.publisher, "id": each.stix_id, "reason": each.reason, "at": each.at.isoformat()}
            for each in one.went
        ],
    }


def _said(one: Statement, *, in_force: bool, left_out: bool = False, not_begun: bool = False) -> dict[str, Any]:
    until = one.said.valid_until
    return {
        "publisher": one.said.sources[0],
        "named": bool(one.said.named),
        "id": one.said.ids[0] if one.said.ids else None,
        "confidence": one.said.confidence,
        "valid_until": until.isoformat() if until else None,
        "in_force": in_force,
        "left_out": left_out,
        "not_begun": not_begun,
        "control": one.control,
        "shared_infra": one.shared_infra,
        "review": one.review,
        "standing": one.standing,
    }


def text(value: str, found: Sequence[Explained], *, subkind: str = "") -> str:
    """For a person. `subkind` is said where a raw value was looked up by its tokens."""
    if not found:
        said = f"{value}: nobody says anything of it in this feed, or did in the {KEPT.days} days that are remembered."
        is_raw = not subkind and network(value) is None and not _AS_LISTED.fullmatch(value)
        if value.startswith("indicator--"):
            return f"{said}\n{_NOT_REMEMBERED}"
        return f"{said}\n{_BY_TOKENS}" if is_raw else said
    lines: list[str] = []
    for one in found:
        told = document(one)
        lines.append(f"{_shown(told['value'])} ({told['kind']}, {told['subkind']}): {told['action']}, {_why(one)}")
        for each in told["said"]:
            sure = "no confidence said" if each["confidence"] is None else f"confidence {each['confidence']}"
            facts = [sure, each["control"], each["shared_infra"], each["review"]]
            state = "not begun yet" if each["not_begun"] else "" if each["in_force"] else "ended"
            facts += [each["standing"], state, "left out" if each["left_out"] else ""]
            lines.append(f"  {each['publisher']}: {each['id']} ({', '.join(word for word in facts if word)})")
        for gone in one.went:
            when = f"{gone.at:%Y-%m-%d %H:%M:%S} UTC"
            lines.append(f"  {gone.publisher}: {gone.stix_id} (went {when}, {gone.reason or 'unknown'}: {gone.why})")
    return "\n".join(lines)


def _shown(value: str) -> str:
    """A value in one line: a rule has many, and a pattern may hold what a terminal obeys."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in value).split())
    return plain if len(plain) <= _MOST_SHOWN else f"{plain[: _MOST_SHOWN - 1]}…"


def _why(one: Explained) -> str:
    verdict = one.verdict
    if not one.said and one.left:
        return "because the kind or min_confidence that was asked for leaves out what is said of it"
    if not one.said and one.later:
        return "because what is said of it has not begun yet"
    if not one.said:
        return "because what was said of it has ended" if one.ended else "because nobody says it any more"
    if verdict.suppressed_by == policies.STALE:
        return f"suppressed: {_OLD}"
    if verdict.suppressed_by:
        return f"suppressed by {verdict.suppressed_by}"
    reasons = [f"by rule {verdict.rule}"] if verdict.rule else []
    if verdict.floor == policies.STALE:
        reasons.append(_OLD)
    elif verdict.floor:
        reasons.append(f"below the floor {verdict.floor} ({FLOORS[policies.Floor(verdict.floor)]})")
    if verdict.would:
        reasons.append(f"in shadow: it would be {verdict.would}")
    return ", ".join(reasons)
