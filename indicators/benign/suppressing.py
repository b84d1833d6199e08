"""Judge stored values again when members name hosts as their own or prove them, or the lists of what is benign change.

Existing entries end, or return: for everybody by what is proven, for a member alone by what it names.

The rows of ServiceHost are the queue. Each is applied at once, and once more when every push that was judged by older
knowledge has ended; a lost hint costs time and nothing else. Two rows of Progress say by which lists all was judged
(the digest of the snapshot), and when it is to be judged by them once more.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta
from uuid import UUID

from django.db import connection, transaction
from django.db.models import F, Q

from exchange import clock, hints
from exchange.celery import app
from indicators import living
from indicators.benign import service_hosts
from indicators.door import benign, entries, snapshot
from indicators.door.benign import Known
from indicators.log import changes
from indicators.models import Progress, ServiceHost, Unlisted
from indicators.sight import resighting
from indicators.stix.drafts import MATCH_ONLY, TokenValue
from indicators.telling import notifying
from indicators.values import carrying
from partners.models import Channel

_PAGE = 5_000
#: Longer than any push takes, and than any process remembers which hosts are known.
_SETTLED = timedelta(minutes=5)


def apply_pending() -> int:
    """Judge again by what is known now, if anything changed; returns how many values were judged otherwise."""
    moment = clock.now()
    early = Q(applied_at=None) | Q(applied_at__lt=F("changed_at"))
    late = Q(applied_at__lt=F("changed_at") + _SETTLED, changed_at__lte=moment - _SETTLED)
    pending = list(ServiceHost.objects.filter(early | late))
    known = service_hosts.read()
    by_lists = _due_by_lists(known, int(moment.timestamp()))
    if not pending and not by_lists:
        return 0
    proven = any(host.proven_at is not None for host in pending)
    changed = judge_again(known) if proven or by_lists else 0
    for partner_id in sorted({host.partner_id for host in pending}):
        changed += leave_out_own(partner_id)
    for name, seq in by_lists.items():
        Progress.objects.update_or_create(name=name, defaults={"seq": seq})
    for host in pending:
        ServiceHost.objects.filter(pk=host.pk, changed_at=host.changed_at).update(applied_at=moment)
    return changed


def _due_by_lists(known: Known, moment_s: int) -> dict[str, int]:
    """What Progress is to say once all was judged by the lists; nothing where there is nothing to judge by them.

    Other lists than before: now, and again once no process goes by the old ones.
    """
    held = dict(Progress.objects.filter(name__in=[_BY, _AGAIN]).values_list("name", "seq"))
    digest = snapshot.digest(known.lists)
    if held.get(_BY) != digest:
        return {_BY: digest, _AGAIN: moment_s + int(_SETTLED.total_seconds())}
    return {_AGAIN: 0} if 0 < held.get(_AGAIN, 0) <= moment_s else {}


#: Names of Progress.
_BY, _AGAIN = "benign lists", "benign lists, again"


def judge_again(known: Known) -> int:
    """Judge every stored value in clear; returns how many changed. Each page is a transaction of its own.

    Objects whose entries changed enter the log again, so that whoever keeps a list is told.
    """
    after, changed = (0, 0), 0
    while True:
        with transaction.atomic():
            rows = _page(after)
            if not rows:
                break
            after = rows[-1][:2]
            new = [
                (holding_id, place, why)
                for holding_id, place, domain, value, held, _ in rows
                if (why := entries.why_not(TokenValue(domain, "clear", "", value), known)) != held
            ]
            if new:
                _write(new)
                changed += len(new)
    if changed:
        notifying.hint()
    return changed


def leave_out_own(partner_id: UUID) -> int:
    """Leave out of a partner's own lists what it names as its own and has not proven; returns how many values changed.

    It alone is told: what it sees of them enters again for it.
    """
    own = service_hosts.unproven_of(partner_id).get(partner_id)
    found = set() if own is None else _named_by(own)
    with transaction.atomic():
        held = set(Unlisted.objects.filter(partner=partner_id).values_list("token_value_id", flat=True))
        gone, new = held - found, found - held
        if not gone | new:
            return 0
        Unlisted.objects.filter(partner=partner_id, token_value__in=gone).delete()
        with connection.cursor() as cursor:
            cursor.execute(carrying.UNLIST, {"partners": [partner_id] * len(new), "values": sorted(new)})
            cursor.execute(_CARRYING, [sorted(gone | new)])
            holdings = {holding_id for (holding_id,) in cursor.fetchall()}
        told_in = Channel.objects.get(reach=Channel.Reach.TOLD, partner=partner_id, group=None)
        resighting.owe(partner_id, told_in.pk, holdings)
        transaction.on_commit(resighting.hint, robust=True)
    return len(gone | new)


def _named_by(own: Known) -> set[UUID]:
    """The values in clear, of all that are stored, that these hosts and ranges hold."""
    found, after = set(), (0, 0)
    while rows := _page(after):
        after = rows[-1][:2]
        found |= {key for *_, domain, value, _, key in rows if benign.names(own, domain, value)}
    return found


def _page(after: tuple[int, int]) -> list[tuple[int, int, str, str, str, UUID]]:
    """Holding, place in it, as what it is said, value, what keeps it out, its key. Of a kind that can change."""
    with connection.cursor() as cursor:
        cursor.execute(_VALUES, [*after, [entries.BENIGN_TYPE, MATCH_ONLY], _PAGE])
        rows: list[tuple[int, int, str, str, str, UUID]] = cursor.fetchall()
    return rows


def _write(new: list[tuple[int, int, str]]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED, [list(column) for column in zip(*new, strict=True)])
    enter_again({holding_id for holding_id, _, _ in new})


def enter_again(holding_ids: Collection[int]) -> None:
    """Have holdings whose entries changed enter the log again, as far as somebody may hold them now.

    To be called as `changes.append` is: last in the transaction.
    """
    changes.append_found(_CONCERNED, {"holdings": sorted(holding_ids)})


_VALUES = """
SELECT k.holding_id, k.place, k.subkind, v.value, k.suppressed_by, v.id
FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
WHERE (k.holding_id, k.place) > (%s, %s) AND v.scheme = 'clear' AND k.suppressed_by <> ALL(%s)
ORDER BY k.holding_id, k.place LIMIT %s
"""
_CARRYING = """
SELECT DISTINCT holding_id FROM indicators_carries WHERE token_value_id = ANY(%s) AND audience_id IS NOT NULL
"""
_JUDGED = """
UPDATE indicators_carries k SET suppressed_by = new.why
FROM unnest(%s::bigint[], %s::smallint[], %s::text[]) new (holding, place, why)
WHERE k.holding_id = new.holding AND k.place = new.place
"""
# An upsert for the newest version of each of the holdings that somebody may hold now.
_CONCERNED = f"""
SELECT h.id AS holding, o.id AS version, a.channels, a.tlp, 'upsert' AS op, 'revised' AS reason, true AS again,
       row_number() OVER (ORDER BY o.id) AS place
FROM indicators_holding h
JOIN indicators_stixobject o ON o.id = h.newest_id
JOIN partners_audience a ON a.id = h.audience_id
WHERE h.id = ANY(%(holdings)s) AND {living.LIVES}
"""


def hint() -> None:
    """Ask a worker to look; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


@app.task(name="indicators.benign.suppressing.catch_up")
def catch_up() -> None:
    """Apply what members made known since, and other lists."""
    apply_pending()
