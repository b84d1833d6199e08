"""A partner comes to see more, or less: told to it alone, and to nobody else, where in the log it happened.

Called by `partners.sight` in the transaction that changes a membership or a clearance. What it gained enters again
for that partner, behind everything that it has read; what it lost is removed. The log alone is not enough for who
lags behind: removes of an audience are told for the stretch in which it was seen (`Window`).
"""

from collections.abc import Iterable
from uuid import UUID

from django.db import transaction

from indicators import changes, living, notifying
from indicators.models import Window
from partners.attribution import Attribution
from partners.channels import Turn
from partners.models import Audience
from partners.sharing import intern_telling
from partners.tlp import Tlp


def tell(turn: Turn) -> int:
    """Append what changes for its partner; returns the place before it. What finds it begins under the order lock."""
    changes.lock()
    here = changes.head()
    sees = turn.kept | turn.gained
    gained, lost = _only(turn.gained, but=turn.kept), _only(turn.lost, but=sees)
    if not gained and not lost:
        return here
    _turn_windows(turn.partner_id, here, gained=gained, lost=lost)
    told = {
        audience.pk: _telling(turn.partner_id, audience) for audience in Audience.objects.filter(pk__in=gained | lost)
    }
    changes.append_found(
        _FOUND,
        {
            "gained": sorted(gained),
            "lost": sorted(lost),
            "sees": sorted(_only(sees, but=())),
            "of": list(told),
            "told": list(told.values()),
            "other": next(iter(told.values())),
            "viewer": turn.partner_id,
        },
    )
    transaction.on_commit(notifying.hint, robust=True)
    return here


def _only(channels: Iterable[int], *, but: Iterable[int]) -> frozenset[int]:
    """The audiences that have one of these channels and none of those."""
    having = Audience.objects.filter(channels__overlap=list(channels), use=Audience.Use.OBJECTS)
    return frozenset(having.exclude(channels__overlap=list(but)).values_list("pk", flat=True))


def _telling(partner_id: UUID, of: Audience) -> int:
    """Who is told of objects with the audience `of`: the partner alone, of the same source."""
    veil = None if of.attribution == Attribution.NAMED else of
    return intern_telling(partner_id, Tlp(of.tlp), [partner_id], veil=veil)


def _turn_windows(partner_id: UUID, here: int, *, gained: frozenset[int], lost: frozenset[int]) -> None:
    """Open a window on what is gained, and close the one on what is lost."""
    of_partner = Window.objects.filter(partner_id=partner_id)
    known = set(of_partner.filter(audience__in=lost, until=None).values_list("audience_id", flat=True))
    of_partner.filter(audience__in=known, until=None).update(until=here)
    ended = [Window(partner_id=partner_id, audience_id=pk, until=here) for pk in sorted(lost - known)]
    begun = [Window(partner_id=partner_id, audience_id=pk, after=here) for pk in sorted(gained)]
    Window.objects.bulk_create([*ended, *begun])


# Versions of every age and state enter again, for TAXII serves them all; the delta feed tells of the living ones.
# What stays in sight though one of its entries is lost (it was re-addressed before) enters again, too: its latest
# entry that is left could lie before one that the partner has not read yet.
_FOUND = (
    """
SELECT found.holding, found.object, found.publisher, found.audience, found.op, found.reason, found.again,
       row_number() OVER (ORDER BY found.again, found.object) AS place
FROM (
    SELECT h.id AS holding, h.newest_id AS object, h.publisher_id AS publisher, told.id AS audience, 'remove' AS op,
           'narrowed' AS reason, false AS again
    FROM indicators_holding h
    JOIN unnest(%(of)s::bigint[], %(told)s::bigint[]) AS told(of, id) ON told.of = h.audience_id
    WHERE h.audience_id = ANY(%(lost)s) AND """
    + living.LIVES
    + """
    UNION ALL
    SELECT h.id, o.id, h.publisher_id, told.id, 'upsert', 'granted', true
    FROM indicators_holding h JOIN indicators_stixobject o ON o.holding_id = h.id
    JOIN unnest(%(of)s::bigint[], %(told)s::bigint[]) AS told(of, id) ON told.of = h.audience_id
    WHERE h.audience_id = ANY(%(gained)s) AND """
    + living.shown()
    + """
    UNION ALL
    SELECT DISTINCT h.id, o.id, h.publisher_id, %(other)s::bigint, 'upsert', 'granted', true
    FROM indicators_change c JOIN indicators_holding h ON h.id = c.holding_id
    JOIN indicators_stixobject o ON o.id = c.object_id
    WHERE c.audience_id = ANY(%(lost)s) AND (c.op = 'upsert' OR c.reason = 'revoked')
      AND h.audience_id = ANY(%(sees)s) AND NOT h.audience_id = ANY(%(gained)s) AND """
    + living.shown()
    + """
) found
"""
)
