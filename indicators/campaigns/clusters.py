"""Count the tokens of clusters, and join clusters by the rule of three. With `cores` and `rebuilding` the writer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from exchange import clock
from indicators.campaigns import joining
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Cluster


def make_dirty(clusters: Collection[int], causes: Iterable[str]) -> None:
    """Have clusters built anew, that have lost what these kinds of tokens joined."""
    caused(clusters, causes)
    Cluster.objects.filter(pk__in=clusters).update(dirty=True)


def caused(clusters: Collection[int], causes: Iterable[str]) -> None:
    """Note which kinds of tokens changed clusters, for the history of their campaigns."""
    for cluster in Cluster.objects.filter(pk__in=clusters).order_by("pk"):
        cluster.causes = sorted({*cluster.causes, *causes})
        cluster.due = cluster.due or clock.now()
        cluster.save(update_fields=["causes", "due"])


def clusters_with(token: int) -> list[int]:
    """Those of which an account carries a token."""
    sql = "SELECT cluster FROM indicators_clustertoken WHERE token = %(t)s AND accounts >= 1 ORDER BY cluster"
    return [cluster for (cluster,) in rows(sql, t=token)]


def grow(by: Mapping[int, int]) -> None:
    """Clusters that so many accounts came to; each is to be looked at."""
    rows(
        """
        UPDATE indicators_cluster c SET accounts = c.accounts + m.more, due = coalesce(c.due, %(now)s)
        FROM unnest(%(clusters)s::bigint[], %(more)s::int[]) AS m (id, more) WHERE c.id = m.id
        """,
        now=clock.now(),
        clusters=list(by),
        more=list(by.values()),
    )


def count(grown: Mapping[int, Mapping[int, int]]) -> dict[int, set[int]]:
    """Count tokens of clusters; by cluster, those that are on enough accounts only now."""
    triples = [(cluster, token, count) for cluster, tokens in grown.items() for token, count in tokens.items()]
    found = rows(
        _COUNT,
        clusters=[cluster for cluster, _, _ in triples],
        tokens=[token for _, token, _ in triples],
        counts=[count for _, _, count in triples],
    )
    now: dict[int, set[int]] = defaultdict(set)
    for cluster, token, accounts in found:
        if joining.ACCOUNTS_TO_JOIN <= accounts < joining.ACCOUNTS_TO_JOIN + grown[cluster][token]:
            now[cluster].add(token)
    return now


_COUNT = """
INSERT INTO indicators_clustertoken (cluster, token, accounts)
SELECT * FROM unnest(%(clusters)s::bigint[], %(tokens)s::bigint[], %(counts)s::int[])
ON CONFLICT (cluster, token) DO UPDATE SET accounts = indicators_clustertoken.accounts + excluded.accounts
RETURNING cluster, token, accounts
"""


def join(newly: Mapping[int, Collection[int]]) -> None:
    """Join clusters by the rule of three, given tokens that count for them only now, until none join any more."""
    waiting = {cluster: set(tokens) for cluster, tokens in newly.items() if tokens}
    while waiting:
        cluster, tokens = waiting.popitem()
        others = rows(
            _NEAR,
            cluster=cluster,
            tokens=list(tokens),
            least=joining.TOKENS_TO_JOIN,
            networks=joining.NETWORKS_TO_JOIN,
        )
        if not others:
            continue
        caused([cluster], {subkind for _, subkinds in others for subkind in subkinds})
        merged = {cluster, *(other for other, _ in others)}
        kept, moved = merge(merged)
        again = set().union(moved, *(waiting.pop(one, set()) for one in merged))
        if again:
            waiting[kept] = again


# A row for each cluster that shares enough pure tokens with this one, one of `tokens` among them: it, and their
# subkinds. Walks `cluster_by_token` for the candidates, and the candidates' counts by their key.
_NEAR = """
WITH near AS MATERIALIZED (
    SELECT DISTINCT b.cluster FROM indicators_clustertoken b JOIN indicators_puretoken u ON u.token = b.token
    WHERE b.token = ANY(%(tokens)s) AND b.accounts >= 2 AND b.cluster <> %(cluster)s
)
SELECT near.cluster, array_agg(DISTINCT t.subkind)
FROM near JOIN indicators_clustertoken b ON b.cluster = near.cluster AND b.accounts >= 2
JOIN indicators_clustertoken a ON a.cluster = %(cluster)s AND a.token = b.token AND a.accounts >= 2
JOIN indicators_puretoken u ON u.token = a.token
JOIN indicators_evidencetoken t ON t.id = a.token
GROUP BY near.cluster
HAVING count(*) FILTER (WHERE t.subkind <> 'net') + least(count(*) FILTER (WHERE t.subkind = 'net'), %(networks)s)
    >= %(least)s
"""


def merge(clusters: Collection[int]) -> tuple[int, set[int]]:
    """Make one of several, the largest; it, and the tokens that came to it."""
    held = list(Cluster.objects.filter(pk__in=clusters).order_by("-accounts", "pk"))
    if not held:  # cores that have none yet
        return 0, set()
    kept, others = held[0], [cluster.pk for cluster in held[1:]]
    if not others:
        return kept.pk, set()
    moved = rows(_MOVE_COUNTS, kept=kept.pk, others=others)
    rows("DELETE FROM indicators_clustertoken WHERE cluster = ANY(%(others)s)", others=others)
    rows("UPDATE indicators_core SET cluster = %(kept)s WHERE cluster = ANY(%(others)s)", kept=kept.pk, others=others)
    rows(
        "UPDATE indicators_campaign SET cluster = %(kept)s WHERE cluster = ANY(%(others)s)", kept=kept.pk, others=others
    )
    kept.accounts = sum(cluster.accounts for cluster in held)
    kept.dirty = any(cluster.dirty for cluster in held)
    kept.causes = sorted({cause for cluster in held for cause in cluster.causes})
    kept.due = kept.due or clock.now()
    kept.save()
    Cluster.objects.filter(pk__in=others).delete()
    return kept.pk, {token for (token,) in moved}


_MOVE_COUNTS = """
INSERT INTO indicators_clustertoken (cluster, token, accounts)
SELECT %(kept)s, token, sum(accounts) FROM indicators_clustertoken WHERE cluster = ANY(%(others)s) GROUP BY token
ON CONFLICT (cluster, token) DO UPDATE SET accounts = indicators_clustertoken.accounts + excluded.accounts
RETURNING token
"""
