"""The standing of a holding for one viewer, from the opinions that this viewer may see: one rule, in Python and in SQL.

Opinions count that are given under a partner's name by who is not the publisher, one for each partner; those of a
suspended partner do not count until it is reinstated (`silencing` tells of both). A dissent has
ended where two others confirmed after it. `supported`: two or more confirm and none dissents. `refuted`: two or more
dissent and outnumber who confirms. `disputed`: two or more dissent, or one does, with the weight to do so alone, and
nobody confirms.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from django.db import connection

from indicators.opinions.counting import COUNTS
from partners.sharing import audience_ids
from partners.viewer import Viewer


class Standing(StrEnum):
    """How a holding stands."""

    DISPUTED = "disputed"
    REFUTED = "refuted"
    SUPPORTED = "supported"
    UNREVIEWED = "unreviewed"


#: What disarms an entry of a list.
DISARMED = (Standing.DISPUTED, Standing.REFUTED)
_ENOUGH = 2


@dataclass(frozen=True, slots=True)
class Heard:
    """One partner's opinion that the viewer sees: says is 1 (confirms), -1 (dissents) or 0; `place` is its order."""

    partner: UUID | str
    says: int
    place: int
    alone: bool = True  # whether this dissent disputes by itself


def standing(heard: Iterable[Heard]) -> Standing:
    """The rule, of one opinion for each partner, without the publisher's own."""
    said = list(heard)
    confirms = [one for one in said if one.says > 0]
    dissents = [one for one in said if one.says < 0 and not _has_ended(one, confirms)]
    if len(dissents) >= _ENOUGH:
        return Standing.REFUTED if len(dissents) > len(confirms) else Standing.DISPUTED
    if not confirms and any(one.alone for one in dissents):
        return Standing.DISPUTED
    return Standing.SUPPORTED if len(confirms) >= _ENOUGH and not dissents else Standing.UNREVIEWED


def _has_ended(dissent: Heard, confirms: list[Heard]) -> bool:
    return sum(one.place > dissent.place for one in confirms) >= _ENOUGH


# The opinions `j` on the holding `{holding}` that the viewer hears: the opinion is in force and in sight, under a name,
# and its partner's count.
_HEARD = f"""
    SELECT j.partner_id, j.says, j.place, j.alone
    FROM indicators_opinion j
    JOIN indicators_holding s ON s.id = j.said_by_id AND s.state = 'live'
    JOIN partners_audience x ON x.id = s.audience_id AND x.attribution = 0
    JOIN partners_partner giver ON giver.id = j.partner_id AND {COUNTS}
    WHERE j.holding_id = {{holding}}.id AND j.partner_id <> {{holding}}.publisher_id AND {{hears}}
"""
_STANDING = f"""
(SELECT CASE WHEN t.dissents >= {_ENOUGH} THEN CASE WHEN t.dissents > t.confirms THEN 'refuted' ELSE 'disputed' END
             WHEN t.confirms = 0 AND t.alone THEN 'disputed'
             WHEN t.confirms >= {_ENOUGH} AND t.dissents = 0 THEN 'supported'
             ELSE 'unreviewed' END
 FROM (SELECT count(*) FILTER (WHERE e.says > 0) AS confirms, count(*) FILTER (WHERE e.stands) AS dissents,
              coalesce(bool_or(e.stands AND e.alone), FALSE) AS alone
       FROM (SELECT m.says, m.alone, m.says < 0 AND {_ENOUGH} > (
                        SELECT count(*) FROM ({_HEARD}) n WHERE n.says > 0 AND n.place > m.place) AS stands
             FROM ({_HEARD}) m) e) t)
"""
# Nearly no holding has a dissent, and one look into the index says so.
_DISARMED = """
(EXISTS (SELECT FROM indicators_opinion d WHERE d.holding_id = {holding}.id AND d.says < 0)
 AND (EXISTS (SELECT FROM indicators_opinion d JOIN indicators_holding s ON s.id = d.said_by_id AND s.state = 'live'
              WHERE d.holding_id = {holding}.id AND d.says < 0 AND d.partner_id = {viewer})
      OR {by_standing}))
"""


#: Of the holding `s` of an opinion: the viewer sees it.
HEARS = "s.audience_id = ANY(%(audiences)s)"
#: The viewer's partner.
VIEWER = "%(viewer)s"


def sql(holding: str = "h", *, hears: str = HEARS) -> str:
    """The standing of a holding, as an SQL expression; `hears` is the rule for the holding `s` of an opinion."""
    return _STANDING.format(holding=holding, hears=hears)


def is_disarmed(holding: str = "h", *, by_standing: bool = True, hears: str = HEARS, viewer: str = VIEWER) -> str:
    """Whether lists of the viewer leave the holding out: it is disputed or refuted, or the viewer itself dissents.

    Without `by_standing`, where a filter says itself which standings it wants, only the latter.
    """
    judged = f"{sql(holding, hears=hears)} IN ('disputed', 'refuted')" if by_standing else "FALSE"
    return _DISARMED.format(holding=holding, by_standing=judged, viewer=viewer)


def of(viewer: Viewer, holding_ids: Iterable[int]) -> dict[int, Standing]:
    """How holdings stand, by key, for the viewer, who is known to see them. Two queries, and none for none."""
    wanted = list(holding_ids)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT h.id, {sql()} FROM indicators_holding h WHERE h.id = ANY(%(ids)s)",
            {"ids": wanted, "audiences": audience_ids(viewer), "viewer": viewer.partner_id},
        )
        return {pk: Standing(word) for pk, word in cursor.fetchall()}
