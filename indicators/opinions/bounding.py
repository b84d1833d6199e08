"""Follow the log for what opinions and sightings are about: who sees what is said of an object sees the object.

`publishing.bounding` sees to it as something is said. Where the object is shown to fewer later (it is narrowed, marked
more strictly, revised for fewer, taken back, or somebody leaves the group that showed it to them), what others say of
it is narrowed after it: told as `remove`, `narrowed`, like any narrowing, and written to its giver's audit log. Not in
the publisher's transaction, for that would wait for the locks of all who said something; a reader who is told a moment
later learns nothing that they did not hold. Nor where something is read: each page, poll and stream would ask for the
objects of what it holds, and who held an opinion would never be told to drop it.

It goes as far as its giver may know: else where their own opinion is would tell them who reads the object. So what is
said of an object that goes on without its giver stays where it is; and no publisher silences a dissent by leaving out
who gave it. What is disarmed may come back, disputed as it was: what was said of it stays, too. Where the object is
shown to more again, so is what was narrowed, never further than it was sent (`asked`). Only this
module writes Bounded and BoundDue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from django.db import connection, transaction

from exchange import hints
from exchange.celery import app
from exchange.errors import Refused
from indicators.log import changes, following
from indicators.models import Bounded, Holding, Reference
from indicators.publishing import accounting, bounding, moving, storing
from indicators.telling import notifying
from partners import sharing
from partners.attribution import Attribution
from partners.audiences import AudienceSpec, Shown, bounded
from partners.keys import auth
from partners.log import audit
from partners.models import Audience, Membership, Partner
from partners.tlp import Tlp
from partners.viewer import Viewer

_PAGE = 500
#: Places that a step looks at, in times of what it takes at most.
_STRETCH = 8
#: How much of one partner's is looked at in a transaction.
_EACH = 200


@dataclass(frozen=True, slots=True)
class Spoken:
    """An opinion or sighting that is shown, the ids that it is about, and what is kept of where it was sent."""

    holding: Holding
    targets: Sequence[str]
    kept: Bounded | None

    @property
    def asked(self) -> Audience:
        """Where its giver sent it: where it is, unless it was put there by this module."""
        if self.kept is None or self.kept.given_id != self.holding.audience_id:
            return self.holding.audience
        return self.kept.asked

    @property
    def others(self) -> frozenset[int]:
        """The holdings of others that its giver saw under its ids when they were looked at last."""
        return frozenset() if self.kept is None else frozenset(self.kept.about)


@dataclass(frozen=True, slots=True)
class Decided:
    """Where it is to go, None where it stays; and the holdings that its giver sees, or that were taken back."""

    spec: AudienceSpec | None
    about: frozenset[int]


def decide(
    spoken: Spoken, about: bounding.About, held: Mapping[str, Mapping[int, str]], *, publishers: Iterable[UUID] = ()
) -> Decided:
    """Where an opinion or sighting goes. Pure.

    `about` is what its giver sees, `held` which holdings of others the giver saw before, by id, each with its state.
    `publishers`: those that its audience reached.
    """
    objects: list[list[Shown]] = []
    bound: set[int] = set()
    stays = False
    for target in spoken.targets:
        seen = about.get(target, ())
        others = {one.holding_id for one in seen if one.others}
        before = held.get(target, {})
        if others or (before and set(before.values()) == {Holding.State.WITHDRAWN}):
            objects.append([one.shown for one in seen])
            bound |= others or set(before)
        elif before:
            stays = True
            bound |= {pk for pk, state in before.items() if state == Holding.State.DISARMED}
    if stays or not objects:
        return Decided(None, frozenset(bound))
    return Decided(_within(_spec(spoken.asked), objects, set(publishers)), frozenset(bound))


def _within(asked: AudienceSpec, objects: Sequence[Sequence[Shown]], publishers: set[UUID]) -> AudienceSpec:
    """The part of it that sees the objects; what has a pseudonym, of one group, stays in that or goes nowhere."""
    pseudonym = asked.attribution == Attribution.PSEUDONYM
    goes = bounded(asked, objects, publishers=() if pseudonym else publishers)
    if pseudonym and goes.groups != asked.groups:
        return replace(goes, groups=(), partners=())
    return goes


def _spec(audience: Audience) -> AudienceSpec:
    return AudienceSpec(
        Tlp(audience.tlp),
        everyone=audience.everyone,
        groups=tuple(sorted(audience.groups)),
        partners=tuple(sorted(audience.partners)),
        attribution=Attribution(audience.attribution),
    )


def find(*, after: int, limit: int = _PAGE) -> int:
    """Note what is said of the holdings in the next `limit` changes after `after`; returns the place reached."""
    end = min(changes.head(), after + _STRETCH * limit)
    with connection.cursor() as cursor:
        cursor.execute(_NOTE, {"after": after, "end": end, "limit": limit})
        count, last = cursor.fetchone()
    return int(last) if count == limit else end


def bring(*, each: int = _EACH) -> bool:
    """Bring `each` of what is noted of each partner's where it may be; whether more is noted.

    So whoever said very much of an object that changes waits for their own, and nobody else for them.
    """
    by_giver = _take(each)
    members = Partner.objects.filter(pk__in=by_giver).order_by("pk").values_list("pk", flat=True)
    givers = {pk: auth.viewer_whatever_state(pk) for pk in members}  # what the exchange says goes to whom it told
    # Locks are taken for what goes elsewhere alone, in the order of partners, then of holdings, the log's last.
    owed = {pk: ids for pk, giver in givers.items() if (ids := sorted(_misplaced(giver, by_giver[pk])))}
    for partner_id in owed:
        storing.lock_publisher(partner_id)
    ids = [one for several in owed.values() for one in several]
    list(Holding.unrestricted.select_for_update(no_key=True).filter(pk__in=ids).order_by("pk"))
    told = [change for pk, ids in owed.items() for change in _bring(givers[pk], ids)]
    if told:
        changes.append(told)
        transaction.on_commit(notifying.hint, robust=True)
    return any(len(ids) == each for ids in by_giver.values())


def _take(each: int) -> dict[UUID, list[int]]:
    """So many of what is noted of each partner's, by partner in order: noted no more once this is committed."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"each": each})
        rows: list[tuple[UUID, int]] = sorted(cursor.fetchall())
    by_giver: dict[UUID, list[int]] = {}
    for giver_id, holding_id in rows:
        by_giver.setdefault(giver_id, []).append(holding_id)
    return by_giver


def _misplaced(giver: Viewer, ids: Sequence[int]) -> set[int]:
    """Which of these go elsewhere; of the others, where they were sent is noted."""
    found: set[int] = set()
    for spoken, decided in _decided(giver, ids):
        if decided.spec is not None and decided.spec != _spec(spoken.holding.audience):
            found.add(spoken.holding.pk)
        else:
            _keep(spoken, decided, given=spoken.holding.audience_id)
    return found


def _bring(giver: Viewer, ids: Sequence[int]) -> list[changes.NewChange]:
    """Bring what is said by one partner where it may be; returns what is to be told. Behind the publisher's lock."""
    moves: list[moving.Moving] = []
    for spoken, decided in _decided(giver, ids):
        versions = storing.versions(giver.partner_id, [spoken.holding.stix_id]).get(spoken.holding.stix_id, {})
        held = next((one for one in versions.values() if one.latest), None)
        if held is None or decided.spec is None or not _allowed(giver, spoken, decided.spec):
            continue
        audience_id = sharing.intern_audience(giver, decided.spec)
        _keep(spoken, decided, given=audience_id)
        moves.append(moving.Moving(spoken.holding.stix_id, held, audience_id, decided.spec.tlp))
    moves = [move for move in moves if not move.stays]
    if not moves:
        return []
    moving.rewrite(moves)
    names = [move.stix_id for move in moves]
    details = {"ids": names, "bounded": True, **accounting.shared([], moves)}
    audit.record(audit.Verb.OBJECTS_READDRESSED, by=giver, target=f"objects:{len(moves)}", **details)
    return moving.told(moves)


def _allowed(giver: Viewer, spoken: Spoken, spec: AudienceSpec) -> bool:
    """Whether it goes to nobody new to whom its giver could not send it now."""
    if spec.within(_spec(spoken.holding.audience)):
        return True
    try:
        sharing.check(giver, spec)
    except Refused:
        return False
    return True


def _keep(spoken: Spoken, decided: Decided, *, given: int) -> None:
    kept, asked, about = spoken.kept, spoken.asked.pk, sorted(decided.about)
    if (kept is None and not about) or (
        kept is not None and (kept.asked_id, kept.given_id, kept.about) == (asked, given, about)
    ):
        return
    Bounded.unrestricted.update_or_create(
        said_by=spoken.holding, defaults={"asked_id": asked, "given_id": given, "about": about}
    )


def _decided(giver: Viewer, ids: Sequence[int]) -> list[tuple[Spoken, Decided]]:
    """Of what one partner says, where each goes."""
    spoken = _spoken(ids)
    about = bounding.about(giver, {target for one in spoken for target in one.targets})
    before = Holding.unrestricted.filter(pk__in={pk for one in spoken for pk in one.others})
    held: dict[str, dict[int, str]] = {}
    for holding in before:
        held.setdefault(holding.stix_id, {})[holding.pk] = holding.state
    found = []
    for one in spoken:
        mine = {
            stix_id: {pk: state for pk, state in rows.items() if pk in one.others} for stix_id, rows in held.items()
        }
        found.append((one, decide(one, about, mine, publishers=_publishers(one.asked, about))))
    return found


def _spoken(ids: Sequence[int]) -> list[Spoken]:
    """Of these holdings, by key, those of which something is shown."""
    held = Holding.unrestricted.filter(pk__in=ids, newest__isnull=False).select_related("audience").order_by("pk")
    shown = [one for one in held if one.audience.use == Audience.Use.OBJECTS]
    kept = Bounded.unrestricted.select_related("asked").in_bulk([one.pk for one in shown])
    targets: dict[int, set[str]] = {}
    for ref in Reference.unrestricted.filter(version__in=[one.newest_id for one in shown]):
        if bounding.is_about(ref.path):
            targets.setdefault(ref.version_id, set()).add(ref.target_id)
    return [Spoken(one, sorted(targets.get(one.newest_id or 0, ())), kept.get(one.pk)) for one in shown]


def _publishers(asked: Audience, about: bounding.About) -> set[UUID]:
    """Of those that publish what something is about, and say so, those that an audience reached."""
    named = {one.shown.publisher for several in about.values() for one in several if one.others}
    known = {one for one in named if one is not None}
    if asked.everyone or not known:
        return known
    members = Membership.objects.filter(group__in=asked.groups, partner__in=known, until=None)
    return set(members.values_list("partner_id", flat=True))


# Notes what is said of the holdings in a page of changes, or is among them itself. One row: how many rows of changes
# there were, and the place of the last. A change has a row in each channel where it is told. What was judged is shown
# to whom it was before.
_NOTE = f"""
WITH page AS MATERIALIZED (
    SELECT c.seq, c.holding_id, c.reason FROM partners_channel k CROSS JOIN LATERAL (
        SELECT c.seq, c.holding_id, c.reason FROM indicators_change c
        WHERE c.channel = k.id AND c.seq > %(after)s AND c.seq <= %(end)s ORDER BY c.seq LIMIT %(limit)s) c
    ORDER BY c.seq LIMIT %(limit)s
), changed AS MATERIALIZED (
    SELECT h.id, h.stix_id, h.stix_type, h.publisher_id FROM indicators_holding h
    WHERE h.id IN (SELECT holding_id FROM page WHERE reason <> 'judged')
), noted AS (
    INSERT INTO indicators_bounddue (said_by_id, giver_id)
    SELECT h.id, h.publisher_id FROM changed h WHERE h.stix_type IN {bounding.TYPES}
    UNION
    SELECT s.id, s.publisher_id FROM changed h
    JOIN indicators_reference r
      ON r.target_id = h.stix_id AND (r.path = '/sighting_of_ref' OR r.path LIKE '/object_refs/%%')
    JOIN indicators_stixobject v ON v.id = r.version_id
    JOIN indicators_holding s ON s.id = v.holding_id AND s.newest_id = v.id AND s.stix_type IN {bounding.TYPES}
    ORDER BY 1
    ON CONFLICT DO NOTHING
)
SELECT (SELECT count(*) FROM page), (SELECT max(seq) FROM page)"""
_TAKE = """
DELETE FROM indicators_bounddue WHERE said_by_id IN (
    SELECT d.said_by_id FROM partners_partner p CROSS JOIN LATERAL (
        SELECT said_by_id FROM indicators_bounddue WHERE giver_id = p.id ORDER BY said_by_id LIMIT %(each)s) d)
RETURNING giver_id, said_by_id"""


@app.task(name="indicators.opinions.bounding.catch_up")
def catch_up() -> None:
    """Bring all that is said where it may be."""
    if following.follow("bounds", lambda after: find(after=after), rest=bring):
        hints.SENDER.send_soon(catch_up)
