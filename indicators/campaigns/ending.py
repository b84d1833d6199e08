"""The end of evidence: its time is over, its lab left the group or was suspended, or the terms allow it no more.

Found by a sweep within seconds, so that nothing that happens to a partner waits for it. Sums that others were told
change when they may (`prevalence`).
"""

from __future__ import annotations

from collections import defaultdict
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from exchange import clock
from exchange.celery import app
from indicators.campaigns import evidence, sums, terms
from indicators.campaigns.tables import EvidenceToken, Prevalence, Submission, Suspect, ToldSum
from partners.log import audit
from partners.models import Membership, Partner

_AT_ONCE = 5_000
#: So long a token that nobody asks about any more is known to have ended.
_KEPT = timedelta(days=90)


def over(*, limit: int = _AT_ONCE) -> int:
    """Let go of accounts whose time is over, at most `limit`; how many."""
    due = Suspect.objects.filter(until__lte=clock.now()).order_by("until", "pk")[:limit]
    found: dict[tuple[UUID, UUID], list[int]] = defaultdict(list)
    for pk, group, partner in due.values_list("pk", "group", "partner"):
        found[group, partner].append(pk)
    for (group, partner), suspects in found.items():
        with transaction.atomic():
            if Submission.objects.select_for_update().filter(group=group, partner=partner).first() is not None:
                evidence.forget(group, partner, suspects)
    return sum(len(suspects) for suspects in found.values())


def gone() -> list[Submission]:
    """The submissions of labs that take part no more, or whose group's terms allow no evidence any more."""
    present = Membership.objects.filter(group=OuterRef("group"), partner=OuterRef("partner"), until=None)
    active = Q(partner__state=Partner.State.ACTIVE, group__evidence=True, group__closed_at=None)
    return list(Submission.objects.exclude(active & Q(Exists(present))).select_related("group").order_by("pk"))


@transaction.atomic
def end(submission: Submission) -> None:
    """Delete all that a lab told a group, and all that it was told."""
    group, partner_id = submission.group, submission.partner_id
    if Submission.objects.select_for_update().filter(pk=submission.pk).first() is None:
        return
    terms.lock(group.pk)
    suspects = list(Suspect.objects.filter(group=group, partner=partner_id).values_list("pk", flat=True))
    evidence.forget(group.pk, partner_id, suspects)
    with connection.cursor() as cursor:
        cursor.execute(_LOOK_AGAIN, {"now": clock.now(), "group": group.pk, "partner": partner_id})
    Prevalence.objects.filter(group=group, partner=partner_id).delete()
    ToldSum.objects.filter(group=group, partner=partner_id).delete()
    submission.delete()
    about = partner_id
    count = evidence.bucket(len(suspects))
    audit.record(audit.Verb.EVIDENCE_ENDED, by=None, target=f"group:{group.slug}", about=about, accounts=count)


# The tokens that the lab had answered for are settled anew by the next `tell_due`.
_LOOK_AGAIN = """
UPDATE indicators_evidencetoken t SET due = %(now)s
FROM indicators_prevalence p WHERE p.group_id = %(group)s AND p.partner_id = %(partner)s AND t.id = p.token
"""


@transaction.atomic
def forget_tokens(*, limit: int = _AT_ONCE) -> int:
    """Delete tokens that nobody has asked about for long, with what was said of them; how many."""
    old = EvidenceToken.objects.filter(ended_at__lte=clock.now() - _KEPT, asked=False).order_by("ended_at", "pk")
    tokens = list(old.values_list("pk", flat=True)[:limit])
    Prevalence.objects.filter(token__in=tokens).delete()
    ToldSum.objects.filter(token__in=tokens).delete()
    EvidenceToken.objects.filter(pk__in=tokens).delete()
    return len(tokens)


@app.task(name="indicators.campaigns.ending.sweep")
def sweep() -> None:
    """Let go of all that has ended, and tell what may be told now."""
    for submission in gone():
        end(submission)
    while over():
        pass
    while forget_tokens():
        pass
    sums.tell_due()
