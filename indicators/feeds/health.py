"""How the instances that enforce a partner's feeds stand: in step, behind, differing or silent, by their receipts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID

import orjson
from django.utils.translation import gettext

from exchange import clock
from exchange.sql import ask
from exchange.translating import later
from partners.viewer import Viewer

#: An instance without a word for this long is silent: agents speak every minute, changes or none.
SILENT = timedelta(minutes=15)
#: How long an instance is remembered here after its last word.
LATELY = timedelta(days=14)
#: An instance that lacks a change of its set for this long is behind, not on its way.
BEHIND = timedelta(minutes=5)
_MOST = 100

#: What a receipt counts: values of the set that are blocked, would be, or are suppressed; rows the agent does not know.
REPORTED = ("blocked", "shadow", "suppressed", "skipped")

State = Literal["differs", "silent", "lags", "in step"]
#: The worst first.
STATES: tuple[State, ...] = ("differs", "silent", "lags", "in step")


#: As a list of late parts names each kind.
_WORDS = {
    "command": later("the command of --on-change"),
    "file": later("a file"),
    "look-ups": later("look-ups"),
    "postgres": later("PostgreSQL"),
    "redis": later("Redis"),
    "webhook": later("a webhook"),
}


@dataclass(frozen=True, slots=True)
class Late:
    """Parts of an instance, of one kind, that lack something for so many seconds."""

    part: str
    count: int
    behind_s: int

    @property
    def words(self) -> str:
        """What it is, how many, for how long: as of the instance's last word."""
        name = str(_WORDS.get(self.part, self.part))
        many = f"{name} ({self.count})" if self.count > 1 else name
        minutes = self.behind_s // 60
        if minutes < 120:
            return gettext("{part} for {minutes} min").format(part=many, minutes=minutes)
        return gettext("{part} for {hours} h").format(part=many, hours=minutes // 60)


@dataclass(frozen=True, slots=True)
class Instance:
    """One agent: what it said last. `behind` is how many changes of its set it lacks; `lag_s` its own measure.

    `behind_since`: when the first of those that it lacks was told to its set; None where it lacks none.
    """

    name: str
    feed_id: UUID | None
    feed_name: str
    version: str
    behind: int
    equal: bool | None
    lag_s: float | None
    at: datetime
    counts: Mapping[str, int]
    set_count: int
    set_hash: str
    late: tuple[Late, ...]  # parts of it that lack what it fetched
    narrowed: bool  # its key sees some groups only, so its set is one of its own
    behind_since: datetime | None = None
    place: int = 0  # of its set: what was told up to it is applied there

    @property
    def state(self) -> State:
        """One word for it."""
        if self.equal is False:
            return "differs"
        if self.at < clock.now() - SILENT:
            return "silent"
        return "lags" if self.behind or self.late else "in step"

    @property
    def behind_too_long(self) -> bool:
        """Whether it speaks, and lacks a change for `BEHIND` nonetheless: one that is on its way does not count."""
        if self.state != "lags" or self.behind_since is None:
            return False
        return self.behind_since <= clock.now() - BEHIND

    @property
    def report(self) -> list[tuple[str, int]]:
        """What its policy makes of the entries of its set, by the words of its receipt that it says anything for."""
        return [(word, self.counts[word]) for word in REPORTED if self.counts.get(word)]

    @property
    def late_words(self) -> str:
        """Which parts are late, for a person."""
        return ", ".join(one.words for one in self.late)

    @property
    def mode(self) -> Literal["enforcing", "shadow", "nothing", ""]:
        """Whether it blocks, rehearses, or by its own count does nothing of it; empty where it does not say."""
        if self.counts.get("blocked"):
            return "enforcing"
        if self.counts.get("shadow"):
            return "shadow"
        return "nothing" if "blocked" in self.counts else ""


def instances(viewer: Viewer, *, feed: UUID | Literal["any"] | None = "any") -> list[Instance]:
    """The instances of the viewer's partner that spoke lately, the worst first; of one feed (None: of everything).

    One query.
    """
    rows = ask(
        _RECEIPTS,
        {
            "me": viewer.partner_id,
            "since": clock.now() - LATELY,
            "any": feed == "any",
            "feed": None if feed == "any" else feed,
            "most": _MOST,
        },
    )
    return sorted(
        (_instance(row) for row in rows), key=lambda one: (STATES.index(one.state), one.name, str(one.feed_id))
    )


def _instance(row: tuple[Any, ...]) -> Instance:
    name, feed_id, feed_name, version, behind, equal, lag_s, at, counts, late, set_count, total, scope, since, place = (
        row
    )
    return Instance(
        name=name,
        feed_id=feed_id,
        feed_name=feed_name or "Everything",
        version=version,
        behind=max(0, behind),
        equal=equal,
        lag_s=lag_s,
        at=at,
        counts=orjson.loads(counts or "{}"),
        late=tuple(Late(**one) for one in orjson.loads(late or "[]")),
        set_count=set_count,
        set_hash=bytes(total).hex(),
        narrowed=not scope.endswith(";"),
        behind_since=since,
        place=place,
    )


# A row for each instance of the partner's own that spoke lately, the newest word first: what it said, its set, and when
# the first change that it lacks was told (by `in_force_by_place`).
_RECEIPTS = """
SELECT r.instance, s.feed_id, f.name, r.version, s.place - r.place, r.equal, r.lag_s, r.at, r.counts::text,
       r.late::text, s.count, s.total, s.scope,
       (SELECT f.told_at FROM indicators_inforce f
        WHERE f.feed_set_id = s.id AND f.place > r.place ORDER BY f.place LIMIT 1), r.place
FROM indicators_feedset s
JOIN indicators_receipt r ON r.feed_set_id = s.id
LEFT JOIN indicators_feed f ON f.id = s.feed_id
WHERE s.partner_id = %(me)s AND r.at >= %(since)s
  AND (%(any)s OR s.feed_id IS NOT DISTINCT FROM %(feed)s::uuid)
ORDER BY r.at DESC LIMIT %(most)s
"""
