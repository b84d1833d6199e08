"""What clusters amount to: campaigns, with their grade and history. With `counting` the one writer of both tables.

A cluster that something happened to is looked at: which of its cores stay together whichever lab is not believed
(`joining`), which campaigns these are already, what became of the others. An id stays with the larger part.
"""

from __future__ import annotations

import secrets
import uuid
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from exchange import clock, hints
from exchange.celery import app
from exchange.stix import words
from indicators.campaigns import asking, joining, placing, queueing
from indicators.campaigns.counting import event, renew
from indicators.campaigns.electing import elect_some
from indicators.campaigns.joining import Grade
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign, CampaignEvent, Cluster, Core, Placed

#: Parts of a campaign that labs call two join on at most so many tokens.
_MOST_TO_JOIN = 24
#: A cause in the history: what most of the labs say.
BY_STATEMENT = "statements"
_MOST_NUMBER = 9_999
_Event = CampaignEvent.Kind


def look_at_one(group_id: UUID) -> bool:
    """Look at a cluster that is due, if one is; whether there was any. In a transaction, alone."""
    now = clock.now()
    for cluster in Cluster.objects.filter(group=group_id, due__lte=now, dirty=False).order_by("accounts", "due", "pk"):
        if cluster.looked_at is None or now - cluster.looked_at >= cluster.accounts * queueing.PAUSE:
            _look_at(cluster)
            return True
    return False


@dataclass(frozen=True, slots=True)
class _Found:
    """The campaigns of a cluster by what names them, by core, and how many accounts of each were in which before."""

    by_core: Mapping[int, tuple[int, Grade]]
    before: Mapping[int, Counter[UUID]]
    sizes: Mapping[int, int]


def _look_at(cluster: Cluster) -> None:
    cores = list(Core.objects.filter(cluster=cluster.pk).order_by("pk"))
    labs = {core.pk: core.partner_id for core in cores}
    sizes = {core.pk: core.accounts for core in cores}
    by_core: dict[int, tuple[int, Grade]] = {}
    if cluster.accounts >= joining.LEAST_ACCOUNTS and len(set(labs.values())) >= joining.LEAST_LABS:
        counts = _counts(cluster.pk, labs)
        by_core = joining.campaigns(joining.refine(labs, counts), labs, counts, sizes)
        by_core = _parted(by_core, _before(cluster.pk, by_core), labs=labs, counts=counts, sizes=sizes)
    found = _Found(by_core, _before(cluster.pk, by_core), sizes)
    known = {campaign for counted in found.before.values() for campaign in counted}
    there = Campaign.objects.filter(Q(cluster=cluster.pk) | Q(pk__in=known), state=Campaign.State.LIVE)
    live = {one.pk: one for one in there}
    names = _named(cluster, found, live)
    _write_places(cluster.pk, found, names)
    for named in set(names.values()):
        renew(named, causes=cluster.causes)
    if cluster.accounts:
        Cluster.objects.filter(pk=cluster.pk).update(due=None, causes=[], looked_at=clock.now())
    else:
        Cluster.objects.filter(pk=cluster.pk).delete()


def _parted(
    by_core: dict[int, tuple[int, Grade]],
    before: Mapping[int, Counter[UUID]],
    *,
    labs: Mapping[int, UUID],
    counts: Mapping[int, Counter[Any]],
    sizes: Mapping[int, int],
) -> dict[int, tuple[int, Grade]]:
    """The parts of a cluster, those parted that most of their labs call two: by as few more tokens as part them."""
    known = {campaign for counted in before.values() for campaign in counted}
    wanted = dict(Campaign.objects.filter(pk__in=known, parted__gt=0).values_list("pk", "parted"))
    if not wanted:
        return by_core
    found = dict(by_core)
    for its, counted in before.items():
        said = [(wanted[campaign], campaign) for campaign in counted if campaign in wanted]
        if not said:
            continue
        cores = {core: labs[core] for core, (part, _) in by_core.items() if part == its}
        from_on = max(joining.TOKENS_TO_JOIN + 1, *(strength for strength, _ in said))
        for least in range(from_on, _MOST_TO_JOIN + 1):
            parts = joining.part(cores, counts, sizes, least=least)
            if parts is not None:
                found |= {core: (part, by_core[core][1]) for core, part in parts.items()}
                Campaign.objects.filter(pk__in=[campaign for _, campaign in said]).update(parted=least)
                break
    return found


def join_said(group_id: UUID) -> bool:
    """Join two campaigns of which most labs say that they are one, or part such again; whether there were any.

    In a transaction, alone.
    """
    one = Campaign.objects.filter(group=group_id, state=Campaign.State.LIVE, one_with__isnull=False).first()
    if one is None or one.one_with is None:
        return False
    other = Campaign.objects.filter(pk=one.one_with, group=group_id, state=Campaign.State.LIVE).first()
    Campaign.objects.filter(pk=one.pk).update(one_with=None)
    if other is None:
        return True
    if other.pk == one.pk:
        _unspan(one)
        return True
    left, kept = sorted((one, other), key=lambda each: (each.accounts, str(each.pk)))
    moment = clock.now()
    asking.ask_those_near(
        list(Placed.objects.filter(campaign=left.pk, elected=False).values_list("suspect", flat=True))
    )
    Placed.objects.filter(campaign=left.pk).update(campaign=kept.pk, since=moment)
    Campaign.objects.filter(pk=kept.pk).update(spans=True, parted=0)
    Campaign.objects.filter(pk=left.pk).update(
        state=Campaign.State.ENDED, ended_at=moment, into=kept.pk, changed_at=moment, due=moment, one_with=None
    )
    event(left.pk, _Event.ENDED, other=kept.pk, causes=[BY_STATEMENT])
    event(kept.pk, _Event.JOINED, other=left.pk, causes=[BY_STATEMENT])
    renew(kept.pk)
    return True


def _unspan(one: Campaign) -> None:
    """What was joined because labs said so is looked at anew: all but the largest cluster of it has no campaign now."""
    held = rows(_BY_CLUSTER, campaign=one.pk)
    Campaign.objects.filter(pk=one.pk).update(spans=False, cluster=held[0][0] if held else one.cluster)
    look_again(one.pk)
    let_go = rows(_LET_GO, campaign=one.pk, clusters=[cluster for cluster, _ in held[1:]])
    asking.ask_those_near([suspect for (suspect,) in let_go])
    renew(one.pk, causes=[BY_STATEMENT])


_BY_CLUSTER = """
SELECT k.cluster, count(*) FROM indicators_placed p JOIN indicators_core k ON k.id = p.core
WHERE p.campaign = %(campaign)s AND NOT p.elected GROUP BY k.cluster ORDER BY 2 DESC, 1
"""
_LET_GO = """
UPDATE indicators_placed p SET campaign = NULL, grade = '' FROM indicators_core k
WHERE k.id = p.core AND p.campaign = %(campaign)s AND NOT p.elected AND k.cluster = ANY(%(clusters)s)
RETURNING p.suspect
"""


def look_again(campaign: UUID) -> None:
    """Have the clusters of a campaign looked at; in the transaction that has a reason. Hint after its commit."""
    rows(
        """
        UPDATE indicators_cluster SET due = coalesce(due, %(now)s) WHERE id IN (
            SELECT k.cluster FROM indicators_placed p JOIN indicators_core k ON k.id = p.core
            WHERE p.campaign = %(campaign)s AND NOT p.elected
        )
        """,
        now=clock.now(),
        campaign=campaign,
    )


def _counts(cluster: int, cores: Iterable[int]) -> dict[int, Counter[Any]]:
    """By core, on how many of its accounts each pure token is that may join."""
    found: dict[int, Counter[Any]] = {core: Counter() for core in cores}
    for core, token, is_network, count in rows(_COUNTS, cluster=cluster):
        found[core][joining.Net(token) if is_network else token] = count
    return found


_COUNTS = """
SELECT p.core, c.token, t.subkind = 'net', count(*)
FROM indicators_core k JOIN indicators_placed p ON p.core = k.id
JOIN indicators_carried c ON c.suspect = p.suspect
JOIN indicators_puretoken u ON u.token = c.token
JOIN indicators_clustertoken m ON m.cluster = k.cluster AND m.token = c.token
JOIN indicators_evidencetoken t ON t.id = c.token
WHERE k.cluster = %(cluster)s GROUP BY p.core, c.token, t.subkind
"""


def _before(cluster: int, by_core: Mapping[int, tuple[int, Grade]]) -> dict[int, Counter[UUID]]:
    found: dict[int, Counter[UUID]] = defaultdict(Counter)
    for core, campaign, count in rows(_BEFORE, cluster=cluster):
        if core in by_core:
            found[by_core[core][0]][campaign] += count
    return found


_BEFORE = """
SELECT p.core, p.campaign, count(*) FROM indicators_core k JOIN indicators_placed p ON p.core = k.id
WHERE k.cluster = %(cluster)s AND p.campaign IS NOT NULL AND NOT p.elected GROUP BY p.core, p.campaign
"""


def _named(cluster: Cluster, found: _Found, live: Mapping[UUID, Campaign]) -> dict[int, UUID]:
    """The campaign of each part: the one that most of it was in, where that has most of its own there; else a new one.

    Campaigns that are left over are now a part of the one that has most of them, or have ended.
    """
    moment = clock.now()
    sizes: Counter[int] = Counter()
    for core, (part, _) in found.by_core.items():
        sizes[part] += found.sizes[core]
    pairs = sorted(
        (
            (-count, live[campaign].created_at, str(campaign), part)
            for part, counted in found.before.items()
            for campaign, count in counted.items()
            if campaign in live
            and (live[campaign].cluster == cluster.pk or live[campaign].spans or 2 * count > live[campaign].accounts)
        ),
    )
    names: dict[int, UUID] = {}
    for _, _, campaign, part in pairs:
        if part not in names and (live[UUID(campaign)].spans or UUID(campaign) not in names.values()):
            names[part] = UUID(campaign)
    for part in sorted(sizes):
        if part not in names:
            names[part] = _create(cluster, found.before.get(part), live, moment)
    for left, one in live.items():
        if left not in names.values() and one.cluster == cluster.pk and not (one.spans and _is_elsewhere(one, cluster)):
            heirs = [(counted[left], names[part]) for part, counted in found.before.items() if counted[left]]
            _end(one, into=max(heirs, key=lambda heir: (heir[0], str(heir[1])))[1] if heirs else None, cluster=cluster)
    return names


def _is_elsewhere(one: Campaign, cluster: Cluster) -> bool:
    """Whether accounts of other clusters are in it."""
    sql = """
        SELECT 1 FROM indicators_placed p JOIN indicators_core k ON k.id = p.core
        WHERE p.campaign = %(campaign)s AND NOT p.elected AND k.cluster <> %(cluster)s LIMIT 1
    """
    return bool(rows(sql, campaign=one.pk, cluster=cluster.pk))


def _create(
    cluster: Cluster, before: Mapping[UUID, int] | None, live: Mapping[UUID, Campaign], moment: datetime
) -> UUID:
    made = Campaign.objects.create(
        pk=uuid.uuid4(),
        group_id=cluster.group_id,
        name=_name(cluster.group_id),
        cluster=cluster.pk,
        grade=Grade.WORD,
        first_seen=moment,
        last_seen=moment,
    )
    source = max(((count, str(one)) for one, count in (before or {}).items() if one in live), default=None)
    origin = UUID(source[1]) if source else None
    causes = cluster.causes
    if origin is not None:  # what keeps the two apart keeps them apart from both sides
        parted = Campaign.objects.filter(pk=origin).values_list("parted", flat=True)[0]
        Campaign.objects.filter(pk=made.pk).update(parted=parted)
        causes = [BY_STATEMENT] if parted else causes
    event(made.pk, _Event.CREATED, other=origin, causes=causes)
    if origin is not None:
        event(origin, _Event.SPLIT, other=made.pk, causes=causes)
    return made.pk


def _end(one: Campaign, *, into: UUID | None, cluster: Cluster) -> None:
    moment = clock.now()
    Campaign.objects.filter(pk=one.pk).update(
        state=Campaign.State.ENDED, ended_at=moment, into=into, changed_at=moment, due=moment
    )
    event(one.pk, _Event.ENDED, other=into, causes=cluster.causes)
    if into is not None:
        event(into, _Event.JOINED, other=one.pk, causes=cluster.causes)
    Placed.objects.filter(campaign=one.pk, elected=True).update(campaign=None, grade="", elected=False, looked_at=None)


def _name(group_id: UUID) -> str:
    """Two words and a number of the published list, drawn, that no campaign of the group has."""
    while True:
        adjective, noun = secrets.choice(words.CAMPAIGN_ADJECTIVES), secrets.choice(words.CAMPAIGN_NOUNS)
        name = f"{adjective} {noun} {secrets.randbelow(_MOST_NUMBER) + 1}"
        if not Campaign.objects.filter(group=group_id, name=name).exists():
            return name


def _write_places(cluster: int, found: _Found, names: Mapping[int, UUID]) -> None:
    cores = list(found.sizes)
    placed = [found.by_core.get(core) for core in cores]
    moved = rows(
        _PLACE,
        now=clock.now(),
        cores=cores,
        campaigns=[names[one[0]] if one else None for one in placed],
        grades=[str(one[1]) if one else "" for one in placed],
    )
    asking.ask_those_near([suspect for (suspect,) in moved])


# Accounts of cores that are in no campaign keep the one that their rare tokens elected.
_PLACE = """
UPDATE indicators_placed p
SET campaign = m.campaign, grade = m.grade, elected = false,
    since = CASE WHEN p.campaign IS DISTINCT FROM m.campaign THEN %(now)s ELSE p.since END
FROM unnest(%(cores)s::bigint[], %(campaigns)s::uuid[], %(grades)s::text[]) AS m (core, campaign, grade)
WHERE p.core = m.core AND (p.campaign, p.grade, p.elected) IS DISTINCT FROM (m.campaign, m.grade, false)
  AND NOT (m.campaign IS NULL AND p.elected)
RETURNING p.suspect
"""


def work(group_id: UUID) -> bool:
    """Do all that there is to do for a group, a piece of each kind in turn; False where somebody else is at it.

    Each piece is a transaction. So what one lab sends, however much, does not hold up what becomes of the others'. Who
    finds somebody else at it goes: so the other looks once more at the queue after its last transaction, for what
    came while that looked.
    """
    while True:
        did = False
        for piece in (*placing.pieces(group_id), join_said, look_at_one, elect_some):
            with transaction.atomic():
                if not queueing.alone(group_id):
                    return False
                did = piece(group_id) or did
        if not did and not queueing.is_busy(group_id):
            return True


def hint() -> None:
    """Ask a worker to look; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.campaigns.proposing.catch_up")
def catch_up() -> None:
    """Place what came, and look at what it amounts to, in every group that nobody else is at."""
    for group_id in queueing.groups():
        work(group_id)
