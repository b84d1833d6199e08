"""Cores: accounts of one lab that a pure payment, device, mailbox or phone token joins."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from typing import Any
from uuid import UUID

from exchange import clock
from indicators.campaigns import joining
from indicators.campaigns.carrying import Carrier
from indicators.campaigns.clusters import merge
from indicators.campaigns.joining import Account
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Cluster, Core


def come_to_cores(carriers: Mapping[int, Carrier], moved: dict[int, set[int]]) -> dict[int, int]:
    """By account, its core, made or merged. `moved`: by core, tokens that came to its cluster with others."""
    accounts = {name: one.account for name, one in carriers.items()}
    there = {one.core for one in carriers.values() if one.core is not None}
    pointers = _pointers(accounts)
    sets: joining.Sets[tuple[str, Any]] = joining.Sets()
    for name, one in carriers.items():
        at = ("account", name)
        if one.core is not None:
            sets.unite(("core", one.core), at)
        for token in one.account.core:
            sets.unite(("token", (token, one.account.lab)), at)
    for key, core in pointers.items():
        sets.unite(("core", core), ("token", key))
    known: dict[Any, set[int]] = defaultdict(set)
    for core in {*pointers.values(), *there}:
        known[sets.find(("core", core))].add(core)
    lab_of = {sets.find(("account", name)): account.lab for name, account in accounts.items()}
    core_of_set = {its: _one_core(known.get(its, set()), lab, moved) for its, lab in sorted(lab_of.items(), key=str)}
    found = {name: core_of_set[sets.find(("account", name))] for name in accounts}
    point({(token, account.lab): found[name] for name, account in accounts.items() for token in account.core})
    return found


def _pointers(accounts: Mapping[int, Account]) -> dict[tuple[int, UUID], int]:
    tokens = sorted({token for account in accounts.values() for token in account.core})
    labs = {account.lab for account in accounts.values()}
    sql = """
        SELECT token, partner_id, core FROM indicators_coretoken
        WHERE token = ANY(%(tokens)s) AND partner_id = ANY(%(labs)s)
    """
    return {(token, lab): core for token, lab, core in rows(sql, tokens=tokens, labs=list(labs))}


def point(core_of: Mapping[tuple[int, UUID], int]) -> None:
    """Write which core the accounts of a lab are in that carry a token."""
    rows(
        """
        INSERT INTO indicators_coretoken (token, partner_id, core)
        SELECT * FROM unnest(%(tokens)s::bigint[], %(labs)s::uuid[], %(cores)s::bigint[])
        ON CONFLICT (token, partner_id) DO UPDATE SET core = excluded.core
        WHERE indicators_coretoken.core <> excluded.core
        """,
        tokens=[token for token, _ in core_of],
        labs=[lab for _, lab in core_of],
        cores=list(core_of.values()),
    )


def _one_core(cores: Collection[int], lab: UUID, moved: dict[int, set[int]]) -> int:
    """The core that is left of several, the largest; or a new one in a cluster of its own."""
    if not cores:
        ((core,),) = rows(_NEW_CORE, lab=lab)
        return int(core)
    held = list(Core.objects.filter(pk__in=cores).order_by("-accounts", "pk"))
    kept, others = held[0], [core.pk for core in held[1:]]
    if others:
        rows("UPDATE indicators_placed SET core = %(kept)s WHERE core = ANY(%(others)s)", kept=kept.pk, others=others)
        rows(
            "UPDATE indicators_coretoken SET core = %(kept)s WHERE core = ANY(%(others)s)", kept=kept.pk, others=others
        )
        Core.objects.filter(pk=kept.pk).update(accounts=sum(core.accounts for core in held))
        Core.objects.filter(pk__in=others).delete()
        moved[kept.pk] = merge({core.cluster for core in held})[1]
    return kept.pk


_NEW_CORE = """
INSERT INTO indicators_core (partner_id, cluster, accounts) VALUES (%(lab)s, 0, 0) RETURNING id
"""


def write_placed(group_id: UUID, new: Mapping[int, Account], core_of: Mapping[int, int]) -> None:
    """Accounts in their cores; cores that are new get a cluster each."""
    rows(
        """
        INSERT INTO indicators_placed (suspect, group_id, partner_id, core, grade, elected, since)
        SELECT suspect, %(group)s, partner, core, '', false, %(now)s
        FROM unnest(%(suspects)s::bigint[], %(labs)s::uuid[], %(cores)s::bigint[]) AS m (suspect, partner, core)
        """,
        group=group_id,
        now=clock.now(),
        suspects=list(new),
        labs=[account.lab for account in new.values()],
        cores=[core_of[name] for name in new],
    )
    for core, count in sorted(Counter(core_of[name] for name in new).items()):
        rows("UPDATE indicators_core SET accounts = accounts + %(n)s WHERE id = %(c)s", n=count, c=core)
    for made in Core.objects.filter(pk__in=set(core_of.values()), cluster=0).order_by("pk"):
        made.cluster = Cluster.objects.create(group_id=group_id, due=clock.now()).pk
        made.save(update_fields=["cluster"])
