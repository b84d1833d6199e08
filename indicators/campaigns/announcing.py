"""Tell a group of its campaigns: as STIX of the exchange's own, published to the group like anything else.

So it is read, followed, and told of in all the ways there are, and ends like other objects. Only what shows is told: a
campaign whose facts are as they were told last is not published again.
"""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction
from django.db.models import QuerySet
from structlog import get_logger

from exchange import clock
from exchange.celery import app
from exchange.stix import words
from indicators import publishing
from indicators.campaigns import objects, overlapping, picturing, terms
from indicators.campaigns.counting import bucket, forget
from indicators.campaigns.objects import Facts
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign
from indicators.publishing.reach import Reach
from indicators.stix import parsing
from indicators.stix.drafts import TokenValue
from indicators.values.carrying import key_of
from partners.attribution import Attribution
from partners.groups.registering import the_exchange
from partners.keys import auth
from partners.models import Group
from partners.sharing import why_closed
from partners.tlp import Tlp

log = get_logger()

_AT_ONCE = 50
#: Where a group takes nothing new, or was left by all, it is asked again after this time.
_LATER = timedelta(minutes=5)
#: So many campaigns of the same labs may be told and dissolve within an interval; a further one waits it out.
MOST_DISSOLVED = 3
_MOST_LINKED = 20


def facts_of(one: Campaign) -> Facts:
    """What is told of a campaign now."""
    ended = one.state == Campaign.State.ENDED
    return Facts(
        name=one.name,
        grade=one.grade,
        accounts=bucket(one.accounts),
        labs=tuple(sorted(bucket(count) for count in one.labs.values())),
        kinds=objects.kinds_of(one.kinds),
        first_seen=objects.hour(one.first_seen),
        last_seen=objects.hour(one.last_seen),
        indicators=() if ended else tuple(_indicators(one)),
        linked=() if ended else tuple(f"campaign--{pk}" for pk in _beside(one).exclude(told={})[:_MOST_LINKED]),
        into=_heir(one),
        ended=ended,
        dismissed=one.dismissed,
    )


def _indicators(one: Campaign) -> list[str]:
    """Ids of live indicators for the group, marked AMBER at most, whose tokens hold the campaign together."""
    held = rows(_HOLDING, campaign=one.pk)
    keys = [
        key_of(TokenValue(subkind, scheme, epoch, bytes(value).hex(), psp_scope=psp_scope))
        for subkind, scheme, epoch, value, psp_scope in held
        if subkind in words.KIND_OF
    ]
    found = rows(_INDICATORS, keys=keys, group=[one.group_id], tlp=int(Tlp.AMBER), limit=objects.MOST_REFERENCES)
    return [stix_id for (stix_id,) in found]


# Tokens that at least two accounts of the campaign carry, by `carried_by_token`.
_HOLDING = """
SELECT t.subkind, t.scheme, t.epoch, t.value, t.psp_scope
FROM indicators_evidencetoken t JOIN (
    SELECT c.token FROM indicators_placed p JOIN indicators_carried c ON c.suspect = p.suspect
    JOIN indicators_puretoken u ON u.token = c.token
    WHERE p.campaign = %(campaign)s GROUP BY c.token HAVING count(*) >= 2
) few ON few.token = t.id
"""
# A row for each indicator that carries one of these values.
_INDICATORS = """
SELECT DISTINCT h.stix_id
FROM indicators_carries k JOIN indicators_holding h ON h.id = k.holding_id
JOIN partners_audience a ON a.id = h.audience_id
WHERE k.token_value_id = ANY(%(keys)s) AND h.state = 'live' AND h.stix_type = 'indicator'
  AND (a.everyone OR a.groups && %(group)s::uuid[]) AND a.tlp <= %(tlp)s AND a.use = 'objects'
ORDER BY h.stix_id LIMIT %(limit)s
"""


def _beside(one: Campaign) -> QuerySet[Campaign, UUID]:
    """The other campaigns of its cluster, told or not: what joins them is one lab's word."""
    others = Campaign.objects.filter(group=one.group_id, cluster=one.cluster, state=Campaign.State.LIVE)
    return others.exclude(pk=one.pk).order_by("pk").values_list("pk", flat=True)


def _heir(one: Campaign) -> str:
    """The campaign that it became a part of, unless nobody was told of that so far: an end is told once."""
    if one.into is None:
        return ""
    known = Campaign.objects.filter(group=one.group_id, pk=one.into).exclude(told={}).exists()
    return f"campaign--{one.into}" if known else ""


def tell(one: Campaign) -> None:
    """Publish a campaign if anything that shows has changed. In a transaction that holds its row."""
    group = Group.objects.get(pk=one.group_id)
    now = clock.now()
    if group.closed_at is not None:
        _told(one, one.told)
        return
    if why_closed(group, on=now.date()) is not None:
        Campaign.objects.filter(pk=one.pk).update(due=now + _LATER)
        return
    ends = one.state == Campaign.State.ENDED
    interval = terms.interval_of(group)
    if one.told_at is not None and not ends and now < one.told_at + interval:
        Campaign.objects.filter(pk=one.pk).update(due=one.told_at + interval)
        return
    if ends and not one.told:
        if not forget(one):
            _told(one, {})
        return
    if not one.told and (later := _waits_until(one, now, interval)) is not None:
        Campaign.objects.filter(pk=one.pk).update(due=later)
        return
    facts = facts_of(one)
    shown = one.picture if ends else picturing.picture(one, linked=facts.linked)
    if facts.to_json() != one.told:
        documents = _changed(one, facts, now)
        _publish(documents, group)
        log.info("campaign.told", objects=len(documents))
    _told(one, facts.to_json(), shown)
    _keep_tokens(one, now, interval=interval)
    if not ends and _beside(one).filter(told={}).exists():  # named once others may know of it
        Campaign.objects.filter(pk=one.pk).update(due=now + interval)


def _waits_until(one: Campaign, now: datetime, interval: timedelta) -> datetime | None:
    """When a new campaign may be told, if campaigns of its labs, and of no others, have come and gone too often.

    Their labs are those of the first telling: so nobody makes them others by what is added before the end. So a lab
    that adds its own to another's few and takes them back fills nobody's list, and what others have waits for nothing.
    """
    since = now - interval
    dissolved = Campaign.objects.filter(group=one.group_id, state=Campaign.State.ENDED, changed_at__gt=since)
    found = dissolved.filter(ended_at__gt=since, into=None).exclude(told={}).order_by("-ended_at")
    of_these = [at for at, labs in found.values_list("ended_at", "told_labs") if labs == sorted(one.labs) and at]
    return of_these[MOST_DISSOLVED - 1] + interval if len(of_these) >= MOST_DISSOLVED else None


def _told(one: Campaign, facts: dict[str, Any], shown: dict[str, Any] | None = None) -> None:
    """Keep what was told and is shown from now on; the interval begins anew where anything of it is new."""
    kept = one.picture if shown is None else shown
    if facts == one.told and picturing.same(kept, one.picture):
        Campaign.objects.filter(pk=one.pk).update(due=None)
    else:
        first = {} if one.told else {"told_labs": sorted(one.labs)}
        Campaign.objects.filter(pk=one.pk).update(told=facts, told_at=clock.now(), picture=kept, due=None, **first)


def _keep_tokens(one: Campaign, now: datetime, *, interval: timedelta) -> None:
    """Keep what each lab's accounts carry, an interval after what was kept before.

    It has a rhythm of its own: tokens of labs that a reader does not see move no date that the reader sees.
    """
    if one.carried_at is not None and one.state != Campaign.State.ENDED and now < one.carried_at + interval:
        Campaign.objects.filter(pk=one.pk).update(due=one.carried_at + interval)
    elif overlapping.keep(one):
        Campaign.objects.filter(pk=one.pk).update(carried_at=now)


def _changed(one: Campaign, facts: Facts, now: datetime) -> list[dict[str, Any]]:
    """The objects that say something else than before, and the ends of those that are no longer part of it."""
    new = {document["id"]: document for document in objects.made(one.pk, facts, created=one.created_at, modified=now)}
    if not one.told:
        return list(new.values())
    told = {**one.told, **{name: tuple(value) for name, value in one.told.items() if isinstance(value, list)}}
    old = {
        document["id"]: document
        for document in objects.made(one.pk, Facts(**told), created=one.created_at, modified=now)
    }
    changed = [document for stix_id, document in new.items() if document != old.get(stix_id)]
    return changed + [document | {"revoked": True} for stix_id, document in old.items() if stix_id not in new]


def _publish(documents: list[dict[str, Any]], group: Group) -> None:
    by = auth.viewer_of_exchange(the_exchange(), group.pk)
    body = orjson.dumps({"type": "bundle", "id": f"bundle--{group.pk}", "objects": documents})
    reach = Reach(named=True, tlp=Tlp.AMBER, groups=(group.pk,), attribution=Attribution.NAMED)
    request = publishing.Request(hashlib.sha256(body).digest())
    done = publishing.publish(parsing.read_batch(body), by=by, reach=reach, request=request, confirmed=True)
    if done.counts.get("refused") or done.counts.get("quarantined"):
        log.error("campaign.not_taken", refusals=dict(done.refusals))


def tell_due() -> int:
    """Tell what is due, a campaign a transaction; how many were looked at."""
    count = 0
    due = Campaign.objects.filter(due__lte=clock.now()).order_by("due", "pk")
    for pk in due.values_list("pk", flat=True)[:_AT_ONCE]:
        with transaction.atomic():
            free = Campaign.objects.select_for_update(skip_locked=True, no_key=True)
            one = free.filter(pk=pk, due__isnull=False).first()
            if one is not None:
                tell(one)
                count += 1
    return count


@app.task(name="indicators.campaigns.announcing.catch_up")
def catch_up() -> None:
    """Tell all that is due."""
    while tell_due() >= _AT_ONCE:
        pass
