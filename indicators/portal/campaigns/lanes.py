"""The timeline of a campaign: how it grew, a lane for each lab with accounts first seen, and what became of it. Pure.

Heights of bars are square roots, so that a day of ten is seen beside one of a thousand; that of the growth is the power
of ten. Counts of all lanes are buckets, as the group was told. `twin` says the same as rows of a table.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.utils.translation import gettext

from indicators.portal.campaigns.marks import Lab, size_of

WIDTH, LEFT, LANE, TOP = 700, 150, 44, 10
#: Days that can be shown, by the word of the address; ALL is from the first account on.
SPANS: dict[str, int] = {"1": 1, "7": 7, "42": 42}
ALL = "all"
_TICKS = 6
#: Labels of the growth stand so far from each other.
_APART = 60


@dataclass(frozen=True, slots=True)
class Bar:
    """About so many accounts came from this moment on."""

    x: float
    y: float
    width: float
    height: float
    count: int
    at: datetime


@dataclass(frozen=True, slots=True)
class Lane:
    """One lab."""

    lab: Lab
    did: str
    base: float
    bars: list[Bar]
    first_x: float | None  # when it was seen first
    first_at: datetime


@dataclass(frozen=True, slots=True)
class Growth:
    """How many accounts there were at each moment, all labs together: a line that rises in steps.

    `line` is a path of an SVG that begins at `base`; `labels` are places with about how many there were from there on.
    """

    line: str
    base: float
    labels: list[tuple[float, float, int]]
    last: int


@dataclass(frozen=True, slots=True)
class Row:
    """One step of the timeline in words: labs with about so many new accounts, and how many there were by its end."""

    at: datetime
    seen: list[tuple[str, int]]
    total: int


@dataclass(frozen=True, slots=True)
class Lanes:
    """All that is drawn. `cut`: when the steps begin, where accounts of before are in the growth alone."""

    lanes: list[Lane]
    growth: Growth | None
    twin: list[Row]
    cut: datetime | None
    signs: list[tuple[float, str, datetime, str]]  # x, words, when, kind
    signs_y: float
    ticks: list[tuple[float, datetime]]
    height: float
    span: str
    hourly: bool  # the shown time is so short that ticks say the hour


def lay_out(
    timeline: Mapping[str, Any],
    labs: Sequence[Lab],
    events: Sequence[Mapping[str, Any]],
    *,
    span: str,
    now: datetime,
) -> Lanes:
    """The lanes of a span, a word of SPANS or ALL, up to now."""
    step = timedelta(hours=1 if timeline["grain"] == "hour" else 24)
    ends = now + step
    steps = [datetime.fromisoformat(at) for at in timeline["steps"]]
    first_of_all = min([*_first_seen(labs), *steps[:1]], default=now)
    begins = ends - max(timedelta(days=SPANS[span]), step) if span in SPANS else min(first_of_all, now)
    seen = {lane["lab"]: [size_of(count) for count in lane["seen"]] for lane in timeline["lanes"]}

    def x_of(moment: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT) * min(max((moment - begins) / (ends - begins), 0), 1), 1)

    shown = [place for place, at in enumerate(steps) if begins <= at <= ends]
    highest = math.sqrt(max((seen[lab][place] for lab in seen for place in shown), default=1) or 1)
    width = max(1.5, (WIDTH - LEFT) * (step / (ends - begins)) - 1.5)
    lanes = []
    for number, lab in enumerate(labs):
        base = TOP + LANE * (number + 2) - 6
        bars = [
            _bar(x_of(steps[place]), base, width, math.sqrt(count) / highest, count, steps[place])
            for place in shown
            if (count := seen.get(lab.id, [0] * len(steps))[place])
        ]
        first = datetime.fromisoformat(lab.first_seen)
        lanes.append(Lane(lab, _did(lab), base, bars, x_of(first) if first >= begins else None, first))
    signs_y = TOP + LANE * (len(labs) + 1) + 22
    signs = [
        (x_of(event["at"]), event["words"], event["at"], event["kind"])
        for event in events
        if begins <= event["at"] <= ends
    ]
    ticks = [begins + (ends - begins) * place / _TICKS for place in range(_TICKS)]
    totals = [size_of(count) for count in timeline["growth"]]
    return Lanes(
        lanes=lanes,
        growth=_growth([(x_of(steps[place]), totals[place]) for place in range(len(steps)) if steps[place] <= ends]),
        twin=[
            _row(steps[place], labs, {lab: counts[place] for lab, counts in seen.items()}, totals[place])
            for place in reversed(shown)
        ],
        cut=steps[0] if steps and first_of_all < steps[0] and begins < steps[0] else None,
        signs=signs,
        signs_y=signs_y,
        ticks=[(x_of(at), at) for at in ticks],
        height=signs_y + 32,
        span=span,
        hourly=ends - begins <= timedelta(days=2),
    )


def span_of(labs: Sequence[Lab], now: datetime) -> str:
    """The shortest of the spans that shows when each lab saw its first account."""
    begun = min(_first_seen(labs), default=now)
    return next((word for word, days in SPANS.items() if now - begun < timedelta(days=days)), ALL)


def _first_seen(labs: Sequence[Lab]) -> list[datetime]:
    return [datetime.fromisoformat(lab.first_seen) for lab in labs]


def _growth(points: Sequence[tuple[float, int]]) -> Growth | None:
    """The line of these places and totals, those left of the picture lying at its edge; None where there is nothing."""
    rises = [(x, total) for place, (x, total) in enumerate(points) if not place or total != points[place - 1][1]]
    at: dict[float, int] = dict(rises)  # of those at the edge the last
    if not any(at.values()):
        return None
    base = TOP + LANE - 6
    tallest = _rank(max(at.values()))
    labels: list[tuple[float, float, int]] = []
    line, y = f"M{next(iter(at))} {base}", float(base)
    for x, total in at.items():
        y = round(base - (LANE - 16) * _rank(total) / tallest, 1)
        line += f"H{x}V{y}"
        if total and (not labels or x - labels[-1][0] >= _APART) and x <= WIDTH - _APART:
            labels.append((x, y, total))
    return Growth(f"{line}H{WIDTH}", base, labels, points[-1][1])


def _rank(total: int) -> int:
    """One more than the power of ten; 0 of none."""
    return len(str(total)) if total else 0


def _row(at: datetime, labs: Sequence[Lab], seen: Mapping[str, int], total: int) -> Row:
    return Row(at, [(lab.name, seen[lab.id]) for lab in labs if seen.get(lab.id)], total)


def _did(lab: Lab) -> str:
    """What a lab did, in a few words."""
    suspended = dict(lab.did).get("suspended", 0)
    sign = "" if lab.own else "~ "
    if suspended:
        return gettext("{sign}{suspended} of {sign}{size} suspended").format(
            sign=sign, suspended=f"{suspended:,}", size=f"{lab.size:,}"
        )
    act = lab.did[0][0] if lab.did else "observed"
    return f"{sign}{lab.size:,}, {act}"


def _bar(x: float, base: float, width: float, share: float, count: int, at: datetime) -> Bar:
    height = max(2.0, share * (LANE - 16))
    return Bar(x, round(base - height, 1), round(width, 1), round(height, 1), count, at)
