"""The timeline of a campaign: a lane for each lab with accounts first seen, and what became of the campaign. Pure.

Heights are square roots, so that a day of ten is seen beside one of a thousand. Counts of all lanes are buckets, as the
group was told.
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
#: Days that can be shown.
SPANS = (1, 7, 42)
_TICKS = 6


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


@dataclass(frozen=True, slots=True)
class Lanes:
    """All that is drawn."""

    lanes: list[Lane]
    signs: list[tuple[float, str, datetime, str]]  # x, words, when, kind
    signs_y: float
    ticks: list[tuple[float, datetime]]
    height: float
    days: int


def lay_out(
    timeline: Mapping[str, Any],
    labs: Sequence[Lab],
    events: Sequence[Mapping[str, Any]],
    *,
    days: int,
    now: datetime,
) -> Lanes:
    """The lanes of the last `days`, up to now."""
    step = timedelta(hours=1 if timeline["grain"] == "hour" else 24)
    ends = now + step
    begins = ends - max(timedelta(days=days), step)
    steps = [datetime.fromisoformat(at) for at in timeline["steps"]]
    seen = {lane["lab"]: [size_of(count) for count in lane["seen"]] for lane in timeline["lanes"]}

    def x_of(moment: datetime) -> float:
        return round(LEFT + (WIDTH - LEFT) * min(max((moment - begins) / (ends - begins), 0), 1), 1)

    shown = [place for place, at in enumerate(steps) if begins <= at <= ends]
    highest = math.sqrt(max((seen[lab][place] for lab in seen for place in shown), default=1) or 1)
    width = max(1.5, (WIDTH - LEFT) * (step / (ends - begins)) - 1.5)
    lanes = []
    for number, lab in enumerate(labs):
        base = TOP + LANE * (number + 1) - 6
        bars = [
            _bar(x_of(steps[place]), base, width, math.sqrt(count) / highest, count, steps[place])
            for place in shown
            if (count := seen.get(lab.id, [0] * len(steps))[place])
        ]
        first = datetime.fromisoformat(lab.first_seen)
        lanes.append(Lane(lab, _did(lab), base, bars, x_of(first) if first >= begins else None))
    signs_y = TOP + LANE * len(labs) + 22
    signs = [
        (x_of(event["at"]), event["words"], event["at"], event["kind"])
        for event in events
        if begins <= event["at"] <= ends
    ]
    ticks = [begins + (ends - begins) * place / _TICKS for place in range(_TICKS)]
    return Lanes(lanes, signs, signs_y, [(x_of(at), at) for at in ticks], signs_y + 32, days)


def span_of(labs: Sequence[Lab], now: datetime) -> int:
    """The shortest of the spans that shows when each lab saw its first account; the longest where none does."""
    begun = min((datetime.fromisoformat(lab.first_seen) for lab in labs), default=now)
    return next((days for days in SPANS if now - begun < timedelta(days=days)), SPANS[-1])


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
