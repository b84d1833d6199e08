"""The one way out for objects: pages, look-ups, search and counts, each starting at the visibility rule.

What is served are the publisher's bytes as they came (`body`); nothing is rebuilt. Places in the log are given to
callers as integers and leave the house only inside sealed cursors.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from django.db import connection

from exchange.errors import NotFound, TooLarge
from indicators.door.entries import MEASURED
from indicators.log import walking
from indicators.models import StixObject
from indicators.reading import selecting
from indicators.reading.selecting import Selection, Stretch, Versions
from indicators.stix import identifiers
from indicators.stix.facets import BENIGN_HITS
from partners.log import reads
from partners.models import Audience
from partners.sharing import audience_ids
from partners.sources import Source, hides, sources
from partners.viewer import Viewer

_MOST_LOOKED_UP = 5_000


class Statement(NamedTuple):
    """One version of one object, as one publisher says it."""

    seq: int
    date_added: datetime
    object_id: int
    stix_id: str
    stix_type: str
    version: str | None
    modified: datetime | None
    revoked: bool
    latest: bool
    title: str
    kind: str | None
    subkind: str | None
    severity: str | None
    confidence: int | None
    valid_from: datetime | None
    valid_until: datetime | None
    publisher_id: UUID
    publisher_name: str
    publisher_slug: str
    publisher_suspended: bool
    tlp: int
    spec_version: str
    audience_id: int
    attribution: int
    marks: list[str] | None
    claimed: str | None  # its creator, where that is not its publisher as registered here
    benign_hits: str | None  # measured by the exchange (`words.BENIGN_HITS`): no bytes say it
    body: str


class BriefStatement(NamedTuple):
    """Of a statement what a look-up answers: the bytes, and whose they are."""

    seq: int
    date_added: datetime
    stix_id: str
    publisher_id: UUID
    publisher_name: str
    publisher_slug: str
    publisher_suspended: bool
    tlp: int
    audience_id: int
    attribution: int
    marks: list[str] | None
    claimed: str | None
    benign_hits: str | None
    body: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some statements in log order, the place to go on from, and whether there is more."""

    statements: list[Statement]
    reached: int
    more: bool


@dataclass(frozen=True, slots=True)
class Bodies:
    """The bytes of some statements in log order, with the first and last of their places and dates."""

    bodies: list[str]
    places: tuple[int, int] | None
    dates: tuple[datetime, datetime] | None
    reached: int
    more: bool


def page(
    viewer: Viewer,
    wanted: Selection,
    *,
    after: int = 0,
    limit: int,
    max_bytes: int | None = None,
    with_bodies: bool = True,
) -> Page:
    """Oldest first, from place `after` on: at most `limit` statements. Two queries.

    `max_bytes` bounds the sum of the bodies: the page ends with the object that reaches it. Without bodies, each
    `body` is empty and none is read.
    """
    return _page(viewer, wanted, Stretch(limit, after, max_bytes=max_bytes), with_bodies=with_bodies)


def bodies(viewer: Viewer, wanted: Selection, *, after: int = 0, limit: int, max_bytes: int) -> Bodies:
    """The same page where only the publishers' bytes are wanted: nothing else is read, and nothing is built."""
    where = Stretch(limit, after, max_bytes=max_bytes)
    walked = selecting.found(viewer, wanted, where, columns=_BARE_COLUMNS, joins="")
    if not walked.page:
        return Bodies([], None, None, reached=after, more=False)
    first, last = walked.page[0], walked.page[-1]
    dates = datetime.fromisoformat(first[1]), datetime.fromisoformat(last[1])
    return Bodies([row[2] for row in walked.page], (first[0], last[0]), dates, reached=last[0], more=walked.more)


def newest(
    viewer: Viewer, wanted: Selection, *, before: int | None = None, limit: int, max_bytes: int | None = None
) -> Page:
    """Newest first, from before place `before`: a page of at most `limit`, within `max_bytes` too. Two queries."""
    return _page(viewer, wanted, Stretch(limit, before, backwards=True, max_bytes=max_bytes))


def statements(viewer: Viewer, stix_id: str, *, versions: Versions = "last") -> list[Statement]:
    """What the viewer may see under one id: a statement per publisher (and version). Raises NotFound if nothing."""
    found = page(viewer, Selection(stix_ids=(stix_id,), versions=versions), limit=1_000).statements
    if not found:
        raise NotFound
    return found


def said(viewer: Viewer, stix_id: str, *, versions: Versions = "last") -> list[BriefStatement]:
    """The same, for who wants no more than the bytes and whose they are."""
    wanted = Selection(stix_ids=(stix_id,), versions=versions)
    found, _ = _found(viewer, wanted, Stretch(1_000), BriefStatement)
    if not found:
        raise NotFound
    return found


def looked_up(viewer: Viewer, stix_ids: Sequence[str], *, max_bytes: int) -> dict[str, list[BriefStatement]]:
    """What the viewer may see under each of these ids; an id under which there is nothing is left out. Two queries.

    Raises TooLarge where the answer would be: then fewer are to be asked at a time.
    """
    where = Stretch(_MOST_LOOKED_UP, max_bytes=max_bytes)
    found, more = _found(viewer, Selection(stix_ids=tuple(stix_ids)), where, BriefStatement)
    if more:
        raise TooLarge("Ask for fewer ids at a time.", code="answer-too-large")
    by_id: dict[str, list[BriefStatement]] = {}
    for one in found:
        by_id.setdefault(one.stix_id, []).append(one)
    return by_id


def note(viewer: Viewer, handed_out: Sequence[Statement | BriefStatement], *, surface: str, feed: str = "") -> None:
    """Tally that these were handed to the viewer; nothing for none. One statement."""
    if handed_out:
        seqs = [one.seq for one in handed_out]
        reads.tally(viewer, surface=surface, objects=len(seqs), feed=feed, places=(min(seqs), max(seqs)))


def holds(viewer: Viewer, stix_id: str, *, own: bool = False) -> bool:
    """Whether the viewer may see any version under an id. One query."""
    found = StixObject.objects.visible_to(viewer).filter(holding__stix_id=stix_id.lower())
    return (found.filter(holding__publisher=viewer.partner_id) if own else found).exists()


def entered(viewer: Viewer, stix_ids: Sequence[str]) -> dict[str, datetime]:
    """When what the viewer itself published without any version came in, by id. Two queries."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.stix_id, c.date_added"
            " FROM indicators_holding h JOIN indicators_stixobject o ON o.holding_id = h.id"
            f" JOIN indicators_change c ON c.version_id = o.id AND {walking.ENTERED}"
            " JOIN partners_channel k ON k.id = c.channel AND k.reach = 'own' AND k.partner_id = %(viewer)s"
            " WHERE h.stix_id = ANY(%(ids)s) AND o.modified IS NULL AND h.publisher_id = %(viewer)s"
            " AND h.newest_id IS NOT NULL ORDER BY c.seq",
            {"ids": identifiers.canonical(stix_ids), "viewer": viewer.partner_id},
        )
        return dict(cursor.fetchall())


def visible(viewer: Viewer, stix_ids: Collection[str]) -> set[str]:
    """Those among these ids of which the viewer may see anything; all others look alike. Two queries."""
    if not stix_ids:
        return set()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT DISTINCT stix_id FROM indicators_holding WHERE stix_id = ANY(%s) AND audience_id = ANY(%s)",
            [identifiers.canonical(stix_ids), audience_ids(viewer)],
        )
        return {row[0] for row in cursor.fetchall()}


def audience_of(viewer: Viewer, object_id: int) -> Audience:
    """The exact audience of an object of the viewer's own. Raises NotFound for anybody else's."""
    held = (
        StixObject.objects.visible_to(viewer)
        .filter(pk=object_id, holding__publisher=viewer.partner_id)
        .select_related("holding__audience")
        .first()
    )
    if held is None:
        raise NotFound
    return held.audience


def counts_by_kind(viewer: Viewer) -> dict[str, int]:
    """How many newest versions of each kind (of indicator) or type the viewer may see."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(kind, stix_type), count(*) FROM indicators_holding"
            " WHERE audience_id = ANY(%s) AND newest_id IS NOT NULL AND state <> 'revoked'"
            " GROUP BY 1 ORDER BY 2 DESC, 1",
            [audience_ids(viewer)],
        )
        return dict(cursor.fetchall())


def object_count_by_kind() -> dict[str, int]:
    """For the operator's metrics only: newest versions of each kind, over all publishers, without content."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(kind, 'other'), count(*) FROM indicators_holding WHERE newest_id IS NOT NULL"
            " GROUP BY 1 ORDER BY 1"
        )
        return dict(cursor.fetchall())


def merged[Spoken: (Statement, BriefStatement)](found: Sequence[Spoken]) -> list[tuple[Spoken, list[Spoken]]]:
    """Statements with equal bytes as one, with all who say it; those that differ stay apart."""
    by_bytes: dict[tuple[str, str], list[Spoken]] = {}
    for one in found:
        by_bytes.setdefault((one.stix_id, one.body), []).append(one)
    return [(same[0], same) for same in by_bytes.values()]


def own_object(viewer: Viewer, stix_id: str) -> Statement:
    """The newest version of what the viewer itself published under an id. Raises NotFound."""
    wanted = Selection(stix_ids=(stix_id,), own=True)
    found = page(viewer, wanted, limit=1).statements
    if not found:
        raise NotFound
    return found[0]


def _page(viewer: Viewer, wanted: Selection, where: Stretch, *, with_bodies: bool = True) -> Page:
    found, more = _found(viewer, wanted, where, Statement, with_bodies=with_bodies)
    return Page(found, reached=found[-1].seq if found else where.after or 0, more=more)


def _found[Spoken: (Statement, BriefStatement)](
    viewer: Viewer, wanted: Selection, where: Stretch, form: type[Spoken], *, with_bodies: bool = True
) -> tuple[list[Spoken], bool]:
    """What is said, in this form, and whether there is more of it."""
    expressions = _EXPRESSIONS if with_bodies else _EXPRESSIONS | {"body": "''"}
    columns = [f"{expressions[name]} AS {name}" for name in form._fields]
    walked = selecting.found(viewer, wanted, where, columns=columns, joins=_JOINS)
    return _sourced(viewer, [form._make(row) for row in walked.page]), walked.more


def _sourced[Spoken: (Statement, BriefStatement)](viewer: Viewer, found: list[Spoken]) -> list[Spoken]:
    """The same, each with the source that the viewer is told."""
    veiled = [one for one in found if hides(viewer, publisher_id=one.publisher_id, attribution=one.attribution)]
    if not veiled:
        return found
    shown = sources(viewer, {(one.publisher_id, one.audience_id) for one in veiled})
    return [_by(one, shown.get((one.publisher_id, one.audience_id))) for one in found]


def _by[Spoken: (Statement, BriefStatement)](one: Spoken, source: Source | None) -> Spoken:
    if source is None:
        return one
    return one._replace(
        publisher_id=source.id,
        publisher_name=source.name,
        publisher_slug=source.slug,
        publisher_suspended=False,  # who is suspended would tell who is behind a pseudonym
    )


# By field, on the change `c`, the version `o`, its holding `h`, its publisher `p` and its audience `a`.
_OF_HOLDING = ("audience_id", "publisher_id", "stix_id", "stix_type")
_EXPRESSIONS = {name: f"h.{name}" if name in _OF_HOLDING else f"o.{name}" for name in Statement._fields} | {
    "latest": "o.id = h.newest_id",
    "seq": "c.seq",
    "date_added": "c.date_added",
    "object_id": "o.id",
    "publisher_name": "p.name",
    "publisher_slug": "p.slug",
    "publisher_suspended": "p.state = 'suspended'",
    "tlp": "a.tlp",
    "attribution": "a.attribution",
    "benign_hits": f"""CASE WHEN o.subkind IN ({", ".join(f"'{subkind}'" for subkind in sorted(MEASURED))}) THEN
        (SELECT split_part(said, '=', 2) FROM unnest(o.facets) said WHERE starts_with(said, '{BENIGN_HITS}=')) END""",
    "claimed": "CASE WHEN lower(o.created_by_ref) <> p.identity_id THEN o.created_by_ref END",
}
_JOINS = """
CROSS JOIN LATERAL (SELECT p.* FROM partners_partner p WHERE p.id = h.publisher_id LIMIT 1) p
CROSS JOIN LATERAL (SELECT a.* FROM partners_audience a WHERE a.id = h.audience_id LIMIT 1) a
"""
# As text, because only two dates of a page are of use.
_BARE_COLUMNS = ("c.seq AS seq", "c.date_added::text AS date_added", "o.body AS body")
