"""Nobody passes on more openly what others, whom they may see, mark more strictly.

Judged by nothing but what the publisher may see itself: what is hidden from it changes no answer. Whoever held an id
before the others, or shows it no further than it already does, relays nothing: others cannot block an id by marking it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from exchange.sql import Message, array_of
from indicators import stored
from indicators.log import walking
from indicators.stix.drafts import Draft, Refusal
from partners.tlp import Tlp
from partners.viewer import Viewer


class Seen(NamedTuple):
    """The newest version of an id that another partner shows to the publisher.

    `first` is the earliest version of that holding, by key, that was ever told to whom the publisher is among.
    """

    stix_id: str
    tlp: int
    sha256: bytes
    first: int


#: What is seen of others, by id in lower case.
Others = Mapping[str, Sequence[Seen]]


def others_within(message: Message, by: Viewer, stix_ids: Iterable[str]) -> Callable[[], Others]:
    """What others show `by` under these ids; call what is returned once the message is sent.

    The same statement whatever others hold, so that it takes as long for what is hidden as for what is not there.
    """
    asked = walking.of(by) | {"ids": _spellings(stix_ids)}
    found = message.add(_OTHERS, asked)

    def read() -> Others:
        seen: dict[str, list[Seen]] = {}
        for stix_id, tlp, sha256, first in found.rows:
            seen.setdefault(stix_id.lower(), []).append(Seen(stix_id, tlp, bytes(sha256), first))
        return seen

    return read


def others(by: Viewer, stix_ids: Iterable[str]) -> Others:
    """The same at once. One query."""
    message = Message()
    found = others_within(message, by, stix_ids)
    message.send()
    return found()


def below_source(draft: Draft, sha256: bytes, tlp: Tlp, *, held: stored.Versions, others: Others) -> Refusal | None:
    """Why a draft may not be shown under this marking: somebody else marks it more strictly."""
    seen = others.get(draft.stix_id.lower(), ())
    if draft.modified is None:  # an id that follows from the value: who says the same has not relayed it by that
        seen = [one for one in seen if one.sha256 == sha256]
    awake = [version for version in held.values() if not version.withdrawn]
    first = min((version.object_id for version in held.values()), default=None)
    stricter = [one for one in seen if one.tlp > tlp and (first is None or one.first < first)]
    if not stricter or any(version.latest and version.tlp <= tlp for version in awake):
        return None
    strictest = Tlp(max(one.tlp for one in stricter))
    return Refusal(
        "tlp-below-source",
        "/object_marking_refs",
        f"Somebody whom you see marks it {strictest.label}: not more openly.",
    )


def _spellings(stix_ids: Iterable[str]) -> str:
    """As an array. A UUID may be written in capitals and is the same (RFC 9562 §4)."""
    found = set()
    for stix_id in stix_ids:
        kind, _, uuid = stix_id.rpartition("--")
        found |= {stix_id, f"{kind}--{uuid.lower()}", f"{kind}--{uuid.upper()}"}
    return array_of(sorted(found))


# A row for each newest version that others hold under the ids and the rule lets the viewer see; walks the unique index
# by id first, for few others hold what is pushed. Who came first is read from the log: a revision, or another audience,
# does not make a holding a later one.
_OTHERS = f"""
WITH {walking.OPEN}, found AS MATERIALIZED (
    SELECT h.id AS holding, h.stix_id, o.id, o.sha256, h.audience_id
    FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id
    WHERE h.stix_id = ANY(%(ids)s::text[]) AND h.publisher_id <> %(viewer)s
)
SELECT found.stix_id, a.tlp, found.sha256,
       least(found.id, (SELECT min(v.id) FROM indicators_stixobject v
                        JOIN indicators_change c ON c.version_id = v.id AND c.op = 'upsert'
                        JOIN mine ON mine.channel = c.channel WHERE v.holding_id = found.holding))
FROM found JOIN partners_audience a ON a.id = found.audience_id
WHERE {walking.SEES.format(audience="found.audience_id")}
"""
