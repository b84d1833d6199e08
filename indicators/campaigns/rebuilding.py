"""Build clusters that have lost something anew from their accounts: the largest part keeps the id."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from uuid import UUID

from exchange import clock
from indicators.campaigns import joining, queueing
from indicators.campaigns.carrying import Carrier, carried
from indicators.campaigns.clusters import count
from indicators.campaigns.cores import point
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Cluster


def build_one_anew(group_id: UUID) -> bool:
    """Build a cluster that has lost something anew from its accounts: the largest part keeps its id."""
    now = clock.now()
    for dirty in Cluster.objects.filter(group=group_id, dirty=True).order_by("accounts", "pk"):
        if dirty.built_at is None or now - dirty.built_at >= dirty.accounts * queueing.PAUSE:
            _build_anew(group_id, dirty)
            return True
    return False


def _build_anew(group_id: UUID, dirty: Cluster) -> None:
    sql = "SELECT p.suspect FROM indicators_placed p JOIN indicators_core c ON c.id = p.core WHERE c.cluster = %(c)s"
    carriers = carried([suspect for (suspect,) in rows(sql, c=dirty.pk)])
    accounts = {name: one.account for name, one in carriers.items()}
    core_of = joining.cores(accounts)
    counts = joining.counted(accounts, core_of)
    part_of = joining.close(counts)
    sizes = Counter(part_of[core] for core in core_of.values())
    rows(
        "DELETE FROM indicators_coretoken WHERE core IN (SELECT id FROM indicators_core WHERE cluster = %(c)s)",
        c=dirty.pk,
    )
    rows("DELETE FROM indicators_core WHERE cluster = %(c)s", c=dirty.pk)
    rows("DELETE FROM indicators_clustertoken WHERE cluster = %(c)s", c=dirty.pk)
    if not accounts:
        Cluster.objects.filter(pk=dirty.pk).update(accounts=0, dirty=False, due=clock.now())
        return
    largest = max(sorted(sizes), key=sizes.__getitem__)
    cluster_of = {
        part: dirty.pk if part == largest else Cluster.objects.create(group_id=group_id, causes=dirty.causes).pk
        for part in sorted(sizes)
    }
    for part, cluster in cluster_of.items():
        Cluster.objects.filter(pk=cluster).update(
            accounts=sizes[part], dirty=False, due=clock.now(), built_at=clock.now()
        )
    _rewrite(carriers, core_of, part_of, cluster_of)


def _rewrite(
    carriers: Mapping[int, Carrier],
    core_of: Mapping[int, int],
    part_of: Mapping[int, int],
    cluster_of: Mapping[int, int],
) -> None:
    """Cores, where their accounts are, and the counts of their clusters, as they were found."""
    sizes = Counter(core_of.values())
    names = sorted(sizes)
    made = rows(
        """
        INSERT INTO indicators_core (partner_id, cluster, accounts)
        SELECT partner, cluster, accounts
        FROM unnest(%(labs)s::uuid[], %(clusters)s::bigint[], %(counts)s::int[])
             WITH ORDINALITY AS m (partner, cluster, accounts, place) ORDER BY place
        RETURNING id
        """,
        labs=[carriers[name].account.lab for name in names],
        clusters=[cluster_of[part_of[name]] for name in names],
        counts=[sizes[name] for name in names],
    )
    row_of = dict(zip(names, sorted(row for (row,) in made), strict=True))
    rows(
        """
        UPDATE indicators_placed p SET core = m.core
        FROM unnest(%(suspects)s::bigint[], %(cores)s::bigint[]) AS m (suspect, core) WHERE p.suspect = m.suspect
        """,
        suspects=list(core_of),
        cores=[row_of[core] for core in core_of.values()],
    )
    point(
        {
            (token, one.account.lab): row_of[core_of[name]]
            for name, one in carriers.items()
            for token in one.account.core
        }
    )
    grown: dict[int, Counter[int]] = defaultdict(Counter)
    for name, one in carriers.items():
        grown[cluster_of[part_of[core_of[name]]]].update(one.may_join)
    count(grown)
