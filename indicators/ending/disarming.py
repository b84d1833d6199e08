"""A mass revocation takes effect at once, and can be undone for an hour: its holdings are disarmed.

Where a partner ends more living holdings within an hour than its cap (`caps.Caps.ends`), readers are told to drop them
(`remove`, `disarmed`) and nobody sees them any more, as if they were withdrawn. What they were, and what is to become
of them, is kept until somebody decides (`deciding`). Called by `publishing` and `withdrawing`, behind the publisher's
lock, so that nobody counts at the same moment. With `deciding` the only writer of Ending and Disarmed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils.translation import gettext
from msgspec.structs import replace

from exchange import clock
from exchange.sql import Message
from exchange.translating import later
from indicators import living
from indicators.log import changes
from indicators.models import Change, Disarmed, Ending, Holding
from indicators.publishing import storing
from indicators.publishing.reach import Reach
from indicators.publishing.results import Result, answered
from indicators.publishing.storing import Turned
from indicators.publishing.versions import Entering, History
from indicators.stix.drafts import Draft, Refusal
from indicators.stored import Version
from partners import mailing
from partners.log import audit
from partners.models import User
from partners.scopes import ROLE_SCOPES, Role, Scope
from partners.sharing import audience_ids, intern_withdrawn
from partners.viewer import Viewer

#: The time over which ends are counted, and in which what is disarmed can be brought back.
WINDOW = timedelta(hours=1)
#: Why readers are told that they lose what is disarmed, where it is not for a mass of ends.
REASONS = {Ending.Verb.FLOOD: Change.Reason.FLOOD, Ending.Verb.RECALL: Change.Reason.RECALLED}
_MOST_IN_THE_LOG = 1_000
DISARMED = Refusal(
    "disarmed",
    "/id",
    "It has ended for all who hold it, with many others: they can be brought back for an hour, then it is final.",
)
ALREADY = Refusal("disarmed", "/id", "It has ended already, with many others, and is final in an hour at the latest.")


@dataclass(frozen=True, slots=True)
class Ended:
    """A living holding that ends, by its newest version, and the drafts of it that came with its end."""

    held: Version
    drafts: tuple[Draft, ...] = ()


def is_mass(by: Viewer, count: int) -> bool:
    """Whether so many ends are more than the partner's cap, with those of the last hour. One query; none for none."""
    return bool(count) and (count > by.caps.most_ends or beyond_cap(by, count, lately(by)))


def beyond_cap(by: Viewer, count: int, ended: int) -> bool:
    """The same, where so many `ended` within the last hour: pure."""
    return bool(count) and count + ended > by.caps.most_ends


def lately(by: Viewer) -> int:
    """How many ended within the last hour and did not come back. One query."""
    ends = Ending.objects.of(by).filter(at__gt=clock.now() - WINDOW).exclude(state=Ending.State.UNDONE)
    ends = ends.exclude(verb=Ending.Verb.FLOOD)
    return ends.aggregate(count=Sum("objects_ended"))["count"] or 0


def by_history(entering: Iterable[Entering], closed: Iterable[History]) -> dict[History, Ended]:
    """The living holdings that a batch ends, by their histories."""
    histories = [*(new.history for new in entering if new.draft.revoked and new.latest), *closed]
    drafts: dict[History, list[Draft]] = {history: [] for history in histories}
    for new in entering:
        if new.history in drafts:
            drafts[new.history].append(new.draft)
    return {
        history: Ended(history.stored_latest, tuple(drafts[history]))
        for history in histories
        if history.stored_latest is not None and living.lives(history.stored_latest.state)
    }


def reworded(results: Iterable[Result], ids: Collection[str]) -> list[Result]:
    """The results, where an end that was accepted of these ids is told to be one that can be undone."""
    return [
        replace(one, verdict=DISARMED) if one.status == "accepted" and one.stix_id in ids else one for one in results
    ]


def note(by: Viewer, count: int, verb: Ending.Verb) -> None:
    """Count ends that are final at once; nothing of none."""
    if count:
        state, at = Ending.State.FINAL, clock.now()
        Ending.unrestricted.create(
            partner_id=by.partner_id, actor=by.actor, verb=verb, objects_ended=count, state=state, at=at
        )


def disarm(
    ended: Mapping[str, Ended], *, by: Viewer, verb: Ending.Verb, within: Message, reach: Reach | None = None
) -> list[changes.NewChange]:
    """Disarm holdings, by their ids, when the message is sent; returns what is to be told, appended by the caller.

    `reach` is the audience that the batch of a revocation named.
    """
    ending = an_ending(by, len(ended), verb, reach=reach)
    return disarm_as(ending, ended, by=by, within=within)


def an_ending(by: Viewer, count: int, verb: Ending.Verb, *, reach: Reach | None = None, alone: bool = False) -> Ending:
    """The act that disarms so many holdings, before it is kept; `alone`: no second person is needed for it."""
    at = clock.now()
    return Ending(
        partner_id=by.partner_id,
        actor=by.actor,
        verb=verb,
        objects_ended=count,
        state=Ending.State.DISARMED,
        at=at,
        until=None if verb == Ending.Verb.FLOOD else at + WINDOW,
        reach=None if reach is None else reach.to_json(),
        alone=alone,
    )


def disarm_as(ending: Ending, ended: Mapping[str, Ended], *, by: Viewer, within: Message) -> list[changes.NewChange]:
    """Disarm holdings by this act, as `disarm` does."""
    _tell(by, ending)
    ending.save(force_insert=True)
    held = [one.held for one in ended.values()]
    Disarmed.unrestricted.filter(holding__in=[one.holding_id for one in held]).delete()  # of what was woken since
    Disarmed.unrestricted.bulk_create(
        Disarmed(
            ending=ending,
            partner_id=by.partner_id,
            holding_id=one.held.holding_id,
            audience_id=one.held.audience_id,
            newest_id=one.held.object_id,
            body=b",".join(draft.raw for draft in one.drafts).decode(),
        )
        for one in ended.values()
    )
    storing.turn(asleep(held, publisher_id=by.partner_id, state=Holding.State.DISARMED), within=within)
    audit.record(
        audit.Verb.OBJECTS_DISARMED,
        by=by,
        target=f"ending:{ending.pk}",
        within=within,
        ended_by=str(ending.verb),
        **named(sorted(ended)),
    )
    return changes.removes(held, REASONS.get(Ending.Verb(ending.verb), Change.Reason.DISARMED))


def living_of(by: Viewer, holdings: Sequence[int]) -> dict[str, Ended]:
    """What of these lives now, by id, as it is to be disarmed. One query."""
    with connection.cursor() as cursor:
        cursor.execute(_LIVING, {"holdings": list(holdings), "audiences": audience_ids(by, own=True)})
        return {
            stix_id: Ended(Version(holding, version, bytes(sha256), state, True, False, *rest))
            for stix_id, holding, version, sha256, state, *rest in cursor.fetchall()
        }


# A row for each holding of these that lives, by its key, as `stored.Version` has its newest version.
_LIVING = f"""
SELECT h.stix_id, h.id, o.id, o.sha256, h.state, h.audience_id, a.tlp, FALSE, FALSE, a.attribution
FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
JOIN indicators_stixobject o ON o.id = h.newest_id
WHERE h.id = ANY(%(holdings)s) AND h.audience_id = ANY(%(audiences)s) AND {living.LIVES} AND NOT o.revoked
ORDER BY h.id
"""


def named(stix_ids: Sequence[str]) -> dict[str, Any]:
    """How the log names objects: by their ids; very many by their number and a digest of the ids, a line each."""
    if len(stix_ids) <= _MOST_IN_THE_LOG:
        return {"ids": list(stix_ids)}
    digest = hashlib.sha256("\n".join(stix_ids).encode()).hexdigest()
    return {"objects": len(stix_ids), "ids_sha256": digest}


@dataclass(frozen=True, slots=True)
class Ends:
    """Of what a batch ends, the holdings that are disarmed, by id, or how many are final at once.

    And what else enters and ends, with the answers.
    """

    mass: Mapping[str, Ended]
    final: int
    entering: list[Entering]
    closed: list[History]
    settled: list[Result]

    @classmethod
    def of(
        cls,
        entering: list[Entering],
        closed: list[History],
        settled: list[Result],
        *,
        by: Viewer,
        for_good: bool,
        lately: int,
    ) -> Ends:
        """Beyond the cap all that ends is disarmed; `lately` so many ended. What is `for_good` was counted before."""
        ended = {} if for_good else by_history(entering, closed)
        if not beyond_cap(by, len(ended), lately):
            return cls({}, len(ended), entering, closed, settled)
        said = answered([new.draft for new in entering if new.history in ended], "accepted")
        mass = {history.stix_id: one for history, one in ended.items()}
        return cls(
            mass,
            0,
            [new for new in entering if new.history not in ended],
            [history for history in closed if history not in ended],
            reworded([*settled, *said], mass),
        )

    def write(self, *, by: Viewer, reach: Reach, within: Message) -> list[changes.NewChange]:
        """Count what is final, and disarm the rest when the message is sent; returns what is to be told of it, last."""
        note(by, self.final, Ending.Verb.REVOKE)
        if not self.mass:
            return []
        return disarm(self.mass, by=by, verb=Ending.Verb.REVOKE, reach=reach, within=within)


def asleep(held: Sequence[Version], *, publisher_id: UUID, state: Holding.State) -> list[Turned]:
    """What holdings are that nobody sees: in this state, and with nothing that is shown."""
    nobody = {kind: intern_withdrawn(publisher_id, attribution=kind) for kind in {one.attribution for one in held}}
    return [Turned(one.holding_id, nobody[one.attribution], state, None) for one in held]


def _tell(by: Viewer, ending: Ending) -> None:
    """Mail the people who may undo it; once while anything is disarmed, however many calls there are."""
    open_ones = Ending.objects.of(by).filter(state=Ending.State.DISARMED, until__gt=ending.at)
    if ending.verb != Ending.Verb.FLOOD and open_ones.exists():
        return
    subject, body = _words(by, ending)
    publishing = [role for role in Role if Scope.PUBLISH in ROLE_SCOPES[role]]
    people = User.objects.filter(partner=by.partner_id, role__in=publishing, is_active=True).exclude(email="")
    for email in people.order_by("pk").values_list("email", flat=True):
        mailing.tell(email, subject=subject, text=body, partner_id=by.partner_id)


def _words(by: Viewer, ending: Ending) -> tuple[str, str]:
    """Subject and text of the mail."""
    if ending.verb == Ending.Verb.FLOOD:
        return str(_FLOOD), f"{_FLOOD_TEXT}\n{settings.BASE_URL}/organisation/waiting/\n"
    named = {
        "count": f"{ending.objects_ended:,}",
        "verb": Ending.Verb(ending.verb).label.lower(),
        "partner": by.partner_name,
        "actor": ending.actor,
        "cap": f"{by.caps.most_ends:,}",
        "until": f"{ending.until:%Y-%m-%d %H:%M}",
    }
    parts = (
        _RECALLED if ending.alone or ending.verb == Ending.Verb.RECALL else _CAPPED,
        f"\n\n{_ALONE if ending.alone else _BY_TWO}\n",
        f"{settings.BASE_URL}/organisation/waiting/\n\n",
        gettext("If this was not meant, look at the key or the person first, and revoke the key.\n"),
    )
    return gettext("{count} objects were {verb} at once").format(**named), "".join(map(str, parts)).format(**named)


_RECALLED = later("{count} objects of {partner} were {verb} at once by {actor}.")
_CAPPED = later(
    "{count} objects of {partner} were {verb} at once by {actor}: with these, more within an hour than your partner's"
    " cap of {cap}."
)
_ALONE = later(
    "All who hold them are told to drop them. Until {until} UTC anybody of yours who publishes can bring them back, in"
    " one step; anybody of yours who publishes can make it final. If nobody decides, it is final then."
)
_BY_TWO = later(
    "All who hold them are told to drop them. Until {until} UTC anybody of yours who publishes can bring them back, in"
    " one step; a second person can make it final. If nobody decides, it is final then."
)
_FLOOD = later("An indicator of yours was stopped: it met far more than ever")
_FLOOD_TEXT = later(
    "Three or more subscribers met it, within two hours, far more often than each of them did before. So it was"
    " disarmed: everybody is told to drop it.\n\nIt comes back only when somebody of yours who publishes says so, and"
    " stays then, however often it is met up to this level; or you make its end final."
)
