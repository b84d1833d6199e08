"""What a partner says of others' objects goes no further than those objects: opinions and sightings.

Decided by what its giver may know of who reads them: whether they go to everyone, to which groups of the giver's, and
who publishes them. So no answer tells the giver more than that. Of a batch that names its audience, what would go
further is refused; the default audience is narrowed. Where the object is narrowed later, `opinions.bounding` follows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import UUID

from exchange.sql import Message, array_of
from indicators.log import walking
from indicators.stix.drafts import Draft
from partners.attribution import Attribution
from partners.audiences import Shown
from partners.tlp import Tlp
from partners.viewer import Viewer

#: The types of what is said of others' objects and counts for how they stand.
TYPES = ("opinion", "sighting")


class Seen(NamedTuple):
    """A holding that is shown to the partner that speaks of it; `others`: somebody else publishes it."""

    holding_id: int
    others: bool
    shown: Shown


#: What is seen of the ids that somebody speaks of, by id.
About = Mapping[str, Sequence[Seen]]


def spoken_of(draft: Draft) -> list[str]:
    """The ids that an opinion or a sighting is about; none of anything else."""
    if draft.stix_type not in TYPES:
        return []
    return sorted({ref.target for ref in draft.references if is_about(ref.path)})


def is_about(path: str) -> bool:
    """Whether the reference at this place of an opinion or sighting says what it is about."""
    return path == "/sighting_of_ref" or path.startswith("/object_refs/")


def of_others(draft: Draft, about: About) -> list[list[Shown]]:
    """How each of the objects is shown that a draft speaks of and somebody else publishes; none it does not see."""
    return [
        [one.shown for one in about[target]]
        for target in spoken_of(draft)
        if any(one.others for one in about.get(target, ()))
    ]


def about_within(message: Message, by: Viewer, drafts: Sequence[Draft]) -> Callable[[], About]:
    """What the drafts of a batch speak of, as it stands before the batch; call what is returned once it is sent.

    What the batch itself brings under such an id counts for nothing: somebody else may publish the id, too.
    """
    ids = {target for draft in drafts for target in spoken_of(draft)}
    if not ids:
        return dict
    found = message.add(_ABOUT, _asked(by, ids))
    return lambda: _read(by, found.rows)


def about(by: Viewer, ids: Iterable[str]) -> About:
    """The same of ids, at once. One query."""
    message = Message()
    found = message.add(_ABOUT, _asked(by, ids))
    message.send()
    return _read(by, found.rows)


def _asked(by: Viewer, ids: Iterable[str]) -> dict[str, Any]:
    groups = array_of(str(group) for group in sorted(by.group_ids))
    return walking.of(by) | {"ids": array_of(sorted(ids)), "member": groups}


def _read(by: Viewer, rows: Iterable[tuple[Any, ...]]) -> About:
    seen: dict[str, list[Seen]] = {}
    for row in rows:
        stix_id, found = _seen(by, *row)
        seen.setdefault(stix_id, []).append(found)
    return seen


def _seen(
    by: Viewer,
    stix_id: str,
    holding_id: int,
    publisher_id: UUID,
    tlp: int,
    everyone: bool,  # noqa: FBT001
    attribution: int,
    groups: list[UUID],
    partners: list[UUID],
) -> tuple[str, Seen]:
    others = publisher_id != by.partner_id
    publisher = publisher_id if attribution == Attribution.NAMED else None
    shown = Shown(
        Tlp(tlp), everyone=everyone, groups=frozenset(groups), partners=frozenset(partners), publisher=publisher
    )
    return stix_id, Seen(holding_id, others, shown)


# A row for each holding under the ids that the rule lets the viewer see; of the partners that read it those in a group
# that the viewer is in, too, and of its own those that it named.
_ABOUT = f"""
WITH {walking.OPEN}
SELECT h.stix_id, h.id, h.publisher_id, a.tlp, a.everyone, a.attribution,
       ARRAY(SELECT g.id FROM unnest(a.groups) g(id) WHERE g.id = ANY(%(member)s::uuid[])),
       ARRAY(SELECT m.partner_id FROM partners_membership m
             WHERE m.until IS NULL AND m.group_id = ANY(a.groups) AND m.group_id = ANY(%(member)s::uuid[])
             UNION SELECT p.id FROM unnest(a.partners) p(id) WHERE h.publisher_id = %(viewer)s)
FROM indicators_holding h JOIN partners_audience a ON a.id = h.audience_id
WHERE h.stix_id = ANY(%(ids)s::text[]) AND h.newest_id IS NOT NULL
  AND {walking.SEES.format(audience="h.audience_id")}
"""
