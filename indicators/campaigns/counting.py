"""What a campaign is counted to be, from where its accounts are; and what became of it, written down."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from exchange import clock
from indicators.campaigns.joining import Grade
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign, CampaignEvent


def event(campaign: UUID, kind: CampaignEvent.Kind, *, other: UUID | None = None, causes: Sequence[str] = ()) -> None:
    """Write down what became of a campaign."""
    CampaignEvent.objects.create(campaign=campaign, kind=kind, other=other, causes=list(causes))


def forget(one: Campaign) -> bool:
    """Delete a campaign that ended before it was told, with its history; not where that of another names it."""
    named = CampaignEvent.objects.filter(other=one.pk).exists() or Campaign.objects.filter(into=one.pk).exists()
    if not named:
        CampaignEvent.objects.filter(campaign=one.pk).delete()
        one.delete()
    return not named


def renew(campaign: UUID, *, causes: Sequence[str] = ()) -> None:
    """Count a campaign anew: its accounts by lab, what holds it together, since when; and have it told."""
    one = Campaign.objects.get(pk=campaign)
    before = one.accounts
    labs = {str(partner): count for partner, count in rows(_LABS, campaign=campaign)}
    ((corroborated, first, last, cluster),) = rows(_SPAN, campaign=campaign)
    one.labs, one.accounts = labs, sum(labs.values())
    one.grade = Grade.CORROBORATED if corroborated else Grade.WORD
    one.kinds = [kind for (kind,) in rows(_KINDS, campaign=campaign)]
    one.first_seen, one.last_seen, one.cluster = first or one.first_seen, last or one.last_seen, cluster or one.cluster
    one.changed_at = one.due = clock.now()
    one.save(update_fields=_COUNTED)  # what partners say of it is written meanwhile
    if before and len(str(one.accounts)) > len(str(before)):
        event(campaign, CampaignEvent.Kind.GREW, causes=causes)


_COUNTED = ("labs", "accounts", "grade", "kinds", "first_seen", "last_seen", "cluster", "changed_at", "due")
_LABS = (
    "SELECT partner_id, count(*) FROM indicators_placed WHERE campaign = %(campaign)s GROUP BY partner_id ORDER BY 1"
)
_SPAN = """
SELECT bool_or(p.grade = 'corroborated' AND NOT p.elected), min(s.since), max(s.since), min(k.cluster)
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect LEFT JOIN indicators_core k ON k.id = p.core
    AND NOT p.elected
WHERE p.campaign = %(campaign)s
"""
# Kinds of the pure tokens that at least two of its accounts carry.
_KINDS = """
SELECT DISTINCT t.subkind FROM indicators_evidencetoken t
WHERE t.id IN (
    SELECT c.token FROM indicators_placed p JOIN indicators_carried c ON c.suspect = p.suspect
    JOIN indicators_puretoken u ON u.token = c.token
    WHERE p.campaign = %(campaign)s GROUP BY c.token HAVING count(*) >= 2
) ORDER BY 1
"""


def bucket(count: int) -> str:
    """A count as it is told: `0`, or the power of ten at or below."""
    return f"10^{min(len(str(count)) - 1, 7)}" if count else "0"
