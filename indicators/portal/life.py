"""The life of an indicator as a line: seen, published, revised, judged, met, said by others, until it ends. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from django.utils.translation import gettext

from indicators.opinions.giving import Judged
from indicators.opinions.sighting import Sighted
from indicators.reading import Statement

Kind = Literal["seen", "published", "revised", "other", "confirmed", "disputed", "met", "ends"]
#: So many marks are drawn: the first and the last of them.
MOST = 24


@dataclass(frozen=True, slots=True)
class Mark:
    """One moment: where it lies on the line, in per cent of its length, and in words what happened."""

    at: datetime
    kind: Kind
    says: str
    percent: float = 0.0


@dataclass(frozen=True, slots=True)
class Timeline:
    """The line: its marks in order, how much of it is over, and how many marks were left out."""

    marks: tuple[Mark, ...]
    now_percent: float
    over: bool
    left_out: int


def of(
    versions: Sequence[Statement],
    beside: Iterable[Statement],
    judged: Iterable[Judged],
    sighted: Iterable[Sighted],
    *,
    extension: Mapping[str, Any],
    now: datetime,
) -> Timeline | None:
    """The line of an indicator; None where less than two moments are known."""
    found = sorted(_marks(versions, beside, judged, sighted, extension), key=lambda one: one.at)
    until = next((said.valid_until for said in versions if said.latest and said.valid_until), None)
    end = max([until or now, now, *(one.at for one in found)])
    if until is not None:
        found.append(Mark(until, "ends", gettext("It ends")))
        found.sort(key=lambda one: one.at)
    if len(found) < 2:
        return None
    begin = found[0].at
    span = max((end - begin).total_seconds(), 1.0)
    kept = found if len(found) <= MOST else [*found[: MOST // 2], *found[-MOST // 2 :]]

    def percent(moment: datetime) -> float:
        return round(1 + 98 * (moment - begin).total_seconds() / span, 2)

    marks = tuple(Mark(one.at, one.kind, one.says, percent(one.at)) for one in kept)
    return Timeline(marks, percent(now), over=until is not None and until <= now, left_out=len(found) - len(kept))


def _marks(
    versions: Sequence[Statement],
    beside: Iterable[Statement],
    judged: Iterable[Judged],
    sighted: Iterable[Sighted],
    extension: Mapping[str, Any],
) -> Iterator[Mark]:
    if (seen := _moment(extension.get("first_seen"))) is not None:
        yield Mark(seen, "seen", gettext("First seen by its publisher"))
    told = sorted(versions, key=_made)
    ids = {said.stix_id for said in versions}
    for place, said in enumerate(told):
        if place == 0:
            yield Mark(
                _made(said),
                "published",
                gettext("Published by {publisher_name}").format(publisher_name=said.publisher_name),
            )
        else:
            what = gettext("Revoked") if said.revoked else gettext("Told again")
            yield Mark(
                _made(said),
                "revised",
                gettext("{what} by {publisher_name}").format(what=what, publisher_name=said.publisher_name),
            )
    for said in beside:
        if said.stix_id not in ids:
            yield Mark(
                _made(said),
                "other",
                gettext("The same value by {publisher_name}").format(publisher_name=said.publisher_name),
            )
    for one in judged:
        for given in one.opinions:
            kind: Kind = "confirmed" if "disagree" not in given.opinion else "disputed"
            if given.opinion != "neutral":
                yield Mark(given.modified, kind, f"{given.reason.replace('_', ' ').capitalize()}: {given.partner.name}")
    for each in sighted:
        if (moment := _moment(each.last_seen or each.first_seen)) is not None:
            yield Mark(moment, "met", gettext("Met by {name}").format(name=each.partner.name))


def _made(said: Statement) -> datetime:
    """When a version was made; what is judged or re-addressed later is told with a new date."""
    return min(said.modified or said.date_added, said.date_added)


def _moment(said: Any) -> datetime | None:
    """A moment of an object; None where it is none, or is without a zone, or out of all bounds."""
    try:
        moment = datetime.fromisoformat(said) if isinstance(said, str) else None
    except ValueError:
        return None
    if moment is None or moment.tzinfo is None or not timedelta(days=-36_500) < moment - _MIDDLE < timedelta(36_500):
        return None
    return moment


_MIDDLE = datetime.fromisoformat("2026-01-01T00:00:00+00:00")


def hour_of(said: Any) -> datetime | None:
    """The hour in which a moment of an object lies, by its beginning, UTC; None where it is no moment."""
    moment = _moment(said)
    return moment and moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
