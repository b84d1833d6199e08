"""Take in what a lab says of its own suspects. The only writer of Suspect and Carried.

    lines -> what is new, changed, gone -> tokens interned -> rows -> what is asked about now (last, under the lock)

A call is done whole or not at all, and does the same the second time. Of a lab's evidence nothing is ever served but
sums over several labs (`prevalence`) and the campaigns that it amounts to.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection, transaction

from exchange import clock
from exchange.errors import Conflict, Refused
from exchange.tokens import epochs
from indicators.campaigns import prevalence, proposing, queueing, terms
from indicators.campaigns.lines import Account, Terms, TokenKey, accounts
from indicators.campaigns.tables import Stir, Submission, Suspect
from indicators.campaigns.terms import Contributor
from partners.log import audit
from partners.models import GroupKey
from partners.tokens import groupkeys
from partners.viewer import Viewer

_DELETED_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Taken:
    """What a call did."""

    round: int
    accounts: int
    changed: int


@dataclass(frozen=True, slots=True)
class State:
    """How far a lab is with a group."""

    submission: Submission
    accounts: int
    tokens: int


def take(viewer: Viewer, slug: str, *, number: int, body: bytes) -> Taken:
    """Take lines of round `number`. Raises Forbidden, NotFound, Conflict, Malformed, Refused, TooMany."""
    contributor = terms.contributor(viewer, slug)
    terms.require_open(contributor)
    sent = accounts(body, _terms(contributor))
    with transaction.atomic():
        made = terms.submission(contributor, locked=True)
        if number < made.round:
            raise Conflict("A later round has begun.", code="stale-round", at="/round")
        terms.spend(made, lines=len(sent))
        changed = _take(contributor, made, sent, number)
        made.round, made.sent_at = number, clock.now()
        made.save()
        _record(viewer, contributor, audit.Verb.EVIDENCE_SENT, number, accounts=len(sent), changed=changed)
        transaction.on_commit(proposing.hint, robust=True)
    return Taken(number, len(sent), changed)


def finish(viewer: Viewer, slug: str, *, number: int) -> State:
    """End a round: what the lab said before and did not repeat in it is gone. Raises as `take`."""
    contributor = terms.contributor(viewer, slug)
    with transaction.atomic():
        made = terms.submission(contributor, locked=True)
        if number < made.round:
            raise Conflict("A later round has begun.", code="stale-round", at="/round")
        old = list(_of(contributor).filter(round__lt=number).values_list("pk", flat=True))
        forget(contributor.group.pk, contributor.partner_id, old)
        made.round = made.finished = number
        made.save()
        _record(viewer, contributor, audit.Verb.EVIDENCE_FINISHED, number, gone=len(old))
    return _state(contributor, made)


def state(viewer: Viewer, slug: str) -> tuple[Contributor, State]:
    """How far the viewer's lab is with a group. Raises Forbidden, NotFound, Conflict."""
    contributor = terms.contributor(viewer, slug)
    with transaction.atomic():
        made = terms.submission(contributor)
    return contributor, _state(contributor, made)


def forget(group_id: UUID, partner_id: UUID, suspects: Sequence[int]) -> None:
    """Delete accounts of one lab's evidence for a group, and what they carry; within a transaction."""
    for start in range(0, len(suspects), _DELETED_AT_ONCE):
        some = suspects[start : start + _DELETED_AT_ONCE]
        before = _counted(some)
        with connection.cursor() as cursor:
            cursor.execute("DELETE FROM indicators_carried WHERE suspect = ANY(%s)", [list(some)])
            cursor.execute("DELETE FROM indicators_suspect WHERE id = ANY(%s)", [list(some)])
        queueing.stir(group_id, Stir.Kind.LEFT, some, lab=partner_id)
        queueing.stir(group_id, Stir.Kind.LET_GO, before, lab=partner_id)
        prevalence.carry(group_id, partner_id, {token: -count for token, count in before.items()})


def _terms(contributor: Contributor) -> Terms:
    now = clock.now()
    of_group = GroupKey.objects.filter(group=contributor.group).defer("sealed")
    return Terms(
        contributor.group.slug,
        {_epoch(contributor, key) for key in of_group if groupkeys.publish_until(key) > now},
        now,
    )


def _epoch(contributor: Contributor, key: GroupKey) -> str:
    return epochs.of_group(contributor.group.slug, key.quarter, key.number)


def _take(contributor: Contributor, made: Submission, sent: Sequence[Account], number: int) -> int:
    """Write what differs from what the lab said before; how many accounts do."""
    held = {one.account: one for one in _of(contributor).filter(account__in=[each.account for each in sent])}
    unknown = next((place for place, each in enumerate(sent) if each.same and each.account not in held), None)
    if unknown is not None:
        raise Refused(
            "The account is not held here: send it whole.", code="unknown-account", at=f"/lines/{unknown}/account"
        )
    gone = [held[each.account].pk for each in sent if each.gone and each.account in held]
    whole = [each for each in sent if each.tokens]
    digests = {each.account: _digest(each) for each in whole}
    differs = [
        each for each in whole if each.account not in held or bytes(held[each.account].digest) != digests[each.account]
    ]
    before = [held[each.account].pk for each in differs if each.account in held]
    terms.require_room_for_accounts(made, more=len(differs) - len(before), fewer=len(gone))
    # Before anything is told, which takes the group's lock: two labs could else wait for each other.
    tokens = prevalence.intern(contributor.group.pk, _wide(differs))
    stays = [held[each.account].pk for each in sent if each.account in held and not each.gone]
    if stays:
        Suspect.objects.filter(pk__in=stays).update(round=number)
    forget(contributor.group.pk, contributor.partner_id, gone)
    _prolong(contributor, [each for each in whole if each.account in held])
    if differs:
        rows = _upsert(contributor, differs, digests, number)
        pairs = [(rows[each.account], tokens[key]) for each in differs for key in each.tokens]
        lab = contributor.partner_id
        queueing.stir(contributor.group.pk, Stir.Kind.LEFT, before, lab=lab)
        queueing.stir(contributor.group.pk, Stir.Kind.PLACE, rows.values(), lab=lab)
        terms.require_room_for_tokens(made, more=_carry(contributor, pairs, before=before))
    return len(gone) + len(differs)


def _carry(contributor: Contributor, pairs: Sequence[tuple[int, int]], *, before: Sequence[int]) -> int:
    """Write which accounts carry which tokens, in the place of what those that were there `before` carried.

    Returns how many tokens the lab's evidence carries only now.
    """
    carried = _counted(before)
    queueing.stir(contributor.group.pk, Stir.Kind.LET_GO, _let_go(before, pairs), lab=contributor.partner_id)
    deltas = Counter({token: -count for token, count in carried.items()})
    deltas.update(token for _, token in pairs)
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM indicators_carried WHERE suspect = ANY(%s)", [list(before)])
        cursor.execute(
            "INSERT INTO indicators_carried (suspect, token) SELECT * FROM unnest(%s::bigint[], %s::bigint[])",
            [[suspect for suspect, _ in pairs], [token for _, token in pairs]],
        )
    return prevalence.carry(contributor.group.pk, contributor.partner_id, deltas)


def _upsert(
    contributor: Contributor, differs: Sequence[Account], digests: Mapping[UUID, bytes], number: int
) -> dict[UUID, int]:
    """The rows of accounts, by account."""
    with connection.cursor() as cursor:
        cursor.execute(
            _UPSERT,
            {
                "group": contributor.group.pk,
                "partner": contributor.partner_id,
                "round": number,
                "now": clock.now(),
                "accounts": [each.account for each in differs],
                "bases": [each.basis for each in differs],
                "actions": [each.publisher_action for each in differs],
                "untils": [each.until for each in differs],
                "digests": [digests[each.account] for each in differs],
            },
        )
        return {account: pk for pk, account in cursor.fetchall()}


# A row for each account that is new or differs: its key, and the account.
_UPSERT = """
INSERT INTO indicators_suspect
    (group_id, partner_id, account, basis, publisher_action, until, round, digest, since)
SELECT %(group)s, %(partner)s, account, basis, action, until, %(round)s, digest, %(now)s
FROM unnest(%(accounts)s::uuid[], %(bases)s::text[], %(actions)s::text[], %(untils)s::timestamptz[],
            %(digests)s::bytea[]) AS sent (account, basis, action, until, digest)
ON CONFLICT (group_id, partner_id, account) DO UPDATE
    SET basis = excluded.basis, publisher_action = excluded.publisher_action, until = excluded.until,
        round = excluded.round, digest = excluded.digest
RETURNING id, account
"""


def _prolong(contributor: Contributor, again: Sequence[Account]) -> None:
    """Take the new end of accounts that are said again."""
    if again:
        with connection.cursor() as cursor:
            cursor.execute(
                _PROLONG,
                {
                    "group": contributor.group.pk,
                    "partner": contributor.partner_id,
                    "accounts": [each.account for each in again],
                    "untils": [each.until for each in again],
                },
            )


_PROLONG = """
UPDATE indicators_suspect s SET until = sent.until
FROM unnest(%(accounts)s::uuid[], %(untils)s::timestamptz[]) AS sent (account, until)
WHERE s.group_id = %(group)s AND s.partner_id = %(partner)s AND s.account = sent.account AND s.until <> sent.until
"""


def _counted(suspects: Sequence[int]) -> dict[int, int]:
    """By token, how many of these accounts carry it."""
    if not suspects:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT token, count(*) FROM indicators_carried WHERE suspect = ANY(%s) GROUP BY token", [list(suspects)]
        )
        return dict(cursor.fetchall())


def _let_go(before: Sequence[int], pairs: Sequence[tuple[int, int]]) -> list[int]:
    """Tokens that one of the accounts `before` carries, and in `pairs` no more."""
    sent = {"before": list(before), "suspects": [one for one, _ in pairs], "tokens": [token for _, token in pairs]}
    return [token for (token,) in queueing.rows(_LET_GO, **sent)] if before else []


_LET_GO = """
SELECT DISTINCT token FROM (
    SELECT suspect, token FROM indicators_carried WHERE suspect = ANY(%(before)s)
    EXCEPT SELECT * FROM unnest(%(suspects)s::bigint[], %(tokens)s::bigint[])
) gone
"""


def _digest(each: Account) -> bytes:
    """Of all that is said but its end; the order of tokens says which is the purest, and is no difference."""
    whole = hashlib.sha256(f"{each.basis}\0{each.publisher_action}".encode())
    for key in sorted(each.tokens, key=lambda one: (one.value, one.subkind, one.epoch, one.scheme, one.psp_scope)):
        whole.update(key.value + f"\0{key.subkind}\0{key.epoch}\0{key.psp_scope}\0{key in each.wide}".encode())
    return whole.digest()[:16]


def _wide(differs: Iterable[Account]) -> dict[TokenKey, bool]:
    return {key: key in each.wide for each in differs for key in each.tokens}


def _of(contributor: Contributor) -> Any:
    return Suspect.objects.filter(group=contributor.group, partner=contributor.partner_id)


def _state(contributor: Contributor, made: Submission) -> State:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM indicators_prevalence WHERE group_id = %s AND partner_id = %s AND carried > 0",
            [contributor.group.pk, contributor.partner_id],
        )
        (tokens,) = cursor.fetchone()
    return State(made, _of(contributor).count(), tokens)


def _record(viewer: Viewer, contributor: Contributor, verb: audit.Verb, number: int, **counts: Any) -> None:
    """In the log stand counts in buckets, and nothing of what was sent."""
    said: dict[str, Any] = {name: bucket(count) for name, count in counts.items()}
    audit.record(verb, by=viewer, target=f"group:{contributor.group.slug}", round=number, **said)


def bucket(count: int) -> str:
    """A count as the log says it: `0`, or the power of ten at or below, `10^2`."""
    return f"10^{len(str(count)) - 1}" if count else "0"
