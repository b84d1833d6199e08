"""Find each account its place as it comes: `joining`, step by step. The only writer of Core, Cluster and their tokens.

    what left or is no longer pure -> clusters to be built anew -> accounts without a place -> cores -> joins

What is done in one transaction is bounded: so many accounts, tokens, or one cluster. One worker is at one group at a
time; others do other groups. What is to be looked at are rows (Stir), deleted by the transaction that has looked; a
task that dies leaves them for the next.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import connection

from exchange import clock
from indicators.campaigns import joining
from indicators.campaigns.joining import Account, Role
from indicators.campaigns.tables import Cluster, Core, EvidenceToken, Stir

#: Accounts, and tokens, of one transaction.
ACCOUNTS = 500
TOKENS = 200
#: A cluster is built anew, and its campaigns looked at, after so long for each of its accounts: large ones seldom.
PAUSE = timedelta(milliseconds=1)
#: Key of the advisory locks under which a group is worked on: "camp".
_LOCK = 0x63616D70


def alone(group_id: UUID) -> bool:
    """Whether nobody else works on this group, until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, hashtext(%s))", [_LOCK, str(group_id)])
        (got,) = cursor.fetchone()
    return bool(got)


def step(group_id: UUID) -> bool:
    """Do one bounded piece of what there is to do; whether there was anything. In a transaction, alone."""
    return _look_at_left(group_id) or _look_at_tokens(group_id) or _build_one_anew(group_id) or _place_some(group_id)


def _taken(group_id: UUID, kind: Stir.Kind, limit: int) -> list[int]:
    """The next of the queue, taken from it."""
    with connection.cursor() as cursor:
        cursor.execute(_TAKE, {"group": group_id, "kind": kind, "limit": limit})
        return list(dict.fromkeys(key for (key,) in cursor.fetchall()))


_TAKE = """
DELETE FROM indicators_stir WHERE id IN (
    SELECT id FROM indicators_stir WHERE group_id = %(group)s AND kind = %(kind)s
    ORDER BY id LIMIT %(limit)s FOR UPDATE SKIP LOCKED
) RETURNING key
"""


def rows(sql: str, **values: Any) -> list[tuple[Any, ...]]:
    """What a statement returns, if anything."""
    with connection.cursor() as cursor:
        cursor.execute(sql, values)
        return cursor.fetchall() if cursor.description else []


def _look_at_left(group_id: UUID) -> bool:
    """Accounts that are gone, or carry something else: their clusters are to be built anew without them."""
    suspects = _taken(group_id, Stir.Kind.LEFT, ACCOUNTS * 10)
    if suspects:
        found = rows(_LEAVE, suspects=suspects)
        _make_dirty({cluster for (cluster,) in found}, ["evidence"])
        rows(_PLACE_WHO_STAYS, group=group_id, suspects=suspects)
    return bool(suspects)


_LEAVE = """
WITH left_ones AS (DELETE FROM indicators_placed WHERE suspect = ANY(%(suspects)s) RETURNING core)
SELECT DISTINCT c.cluster FROM left_ones JOIN indicators_core c ON c.id = left_ones.core
"""

_PLACE_WHO_STAYS = """
INSERT INTO indicators_stir (group_id, kind, key)
SELECT %(group)s, 'place', id FROM indicators_suspect WHERE id = ANY(%(suspects)s)
"""


def _make_dirty(clusters: Collection[int], causes: Iterable[str]) -> None:
    _caused(clusters, causes)
    Cluster.objects.filter(pk__in=clusters).update(dirty=True)


def _caused(clusters: Collection[int], causes: Iterable[str]) -> None:
    """Note which kinds of tokens changed clusters, for the history of their campaigns."""
    for cluster in Cluster.objects.filter(pk__in=clusters).order_by("pk"):
        cluster.causes = sorted({*cluster.causes, *causes})
        cluster.due = cluster.due or clock.now()
        cluster.save(update_fields=["causes", "due"])


def _look_at_tokens(group_id: UUID) -> bool:
    """Tokens that became pure join what carries them; what those joined that are no longer pure is built anew."""
    tokens = _taken(group_id, Stir.Kind.TOKEN, TOKENS)
    if not tokens:
        return False
    was = {token for (token,) in rows("SELECT token FROM indicators_puretoken WHERE token = ANY(%(t)s)", t=tokens)}
    for token in EvidenceToken.objects.filter(pk__in=tokens).order_by("pk"):
        now = joining.is_pure(token.subkind, holders=token.holders, suspects=token.suspects)
        if now == (token.pk in was):
            continue
        role = joining.role_of(token.subkind, wide=token.wide)
        if now:
            rows("INSERT INTO indicators_puretoken VALUES (%(t)s) ON CONFLICT DO NOTHING", t=token.pk)
            _became_pure(group_id, token, role)
        else:
            rows("DELETE FROM indicators_puretoken WHERE token = %(t)s", t=token.pk)
            rows("DELETE FROM indicators_coretoken WHERE token = %(t)s", t=token.pk)
            if role is not Role.VOTE:
                _make_dirty(_clusters_with(token.pk), [token.subkind])
    return True


def _became_pure(group_id: UUID, token: EvidenceToken, role: Role) -> None:
    if role is Role.CORE:
        rows(_PLACE_AGAIN, group=group_id, token=token.pk)
    if role is not Role.VOTE:
        for cluster in _clusters_with(token.pk):
            join(group_id, {cluster: {token.pk}})


_PLACE_AGAIN = """
INSERT INTO indicators_stir (group_id, kind, key)
SELECT %(group)s, 'place', suspect FROM indicators_carried WHERE token = %(token)s
"""


def _clusters_with(token: int) -> list[int]:
    sql = "SELECT cluster FROM indicators_clustertoken WHERE token = %(t)s AND accounts >= 1 ORDER BY cluster"
    return [cluster for (cluster,) in rows(sql, t=token)]


def _place_some(group_id: UUID) -> bool:
    """Accounts without a place come to the cores of their lab, or make new ones; clusters join where they may."""
    suspects = _taken(group_id, Stir.Kind.PLACE, ACCOUNTS)
    if not suspects:
        return False
    carried = _carried(suspects)
    new = {name: account for name, (account, core) in carried.items() if core is None}
    moved: dict[int, set[int]] = {}
    core_of = _come_to_cores(
        {name: account for name, (account, _) in carried.items()},
        {name: core for name, (_, core) in carried.items()},
        moved,
    )
    _write_placed(group_id, new, core_of)
    clusters = dict(rows("SELECT id, cluster FROM indicators_core WHERE id = ANY(%(c)s)", c=[*set(core_of.values())]))
    grown: dict[int, Counter[int]] = defaultdict(Counter)
    for name, tokens in _joining_tokens(list(new)).items():
        grown[clusters[core_of[name]]].update(tokens)
    _grow({clusters[core_of[name]]: 0 for name in carried} | _sizes(new, core_of, clusters))
    newly = _count(grown)
    now_in = dict(rows("SELECT id, cluster FROM indicators_core WHERE id = ANY(%(c)s)", c=[*moved]))
    for core, came in moved.items():
        newly[now_in[core]] |= came
    join(group_id, newly)
    rows(_AS_ITS_CORE, suspects=list(new))
    return True


# Who comes to a core whose accounts are in a campaign is in it at once; whether that holds is looked at later.
_AS_ITS_CORE = """
UPDATE indicators_placed p SET campaign = o.campaign, grade = o.grade
FROM unnest(%(suspects)s::bigint[]) AS n (id) JOIN indicators_placed m ON m.suspect = n.id
CROSS JOIN LATERAL (
    SELECT campaign, grade FROM indicators_placed
    WHERE core = m.core AND campaign IS NOT NULL AND NOT elected LIMIT 1
) o
WHERE p.suspect = n.id AND p.campaign IS NULL
"""


def _sizes(new: Iterable[int], core_of: Mapping[int, int], clusters: Mapping[int, int]) -> Counter[int]:
    return Counter(clusters[core_of[name]] for name in new)


# A row for each account and token that it carries, pure or not; `core`: where the account is already.
_CARRIED = """
SELECT s.id, s.partner_id, p.core, t.id, t.subkind, t.wide, u.token IS NOT NULL
FROM indicators_suspect s
LEFT JOIN indicators_placed p ON p.suspect = s.id
LEFT JOIN indicators_carried c ON c.suspect = s.id
LEFT JOIN indicators_evidencetoken t ON t.id = c.token
LEFT JOIN indicators_puretoken u ON u.token = t.id
WHERE s.id = ANY(%(suspects)s)
"""


def _carried(suspects: Sequence[int]) -> dict[int, tuple[Account, int | None]]:
    """Accounts with their pure tokens, and the core that they are in already."""
    found: dict[int, tuple[UUID, int | None, dict[Role, list[Any]]]] = {}
    for suspect, partner, core, token, subkind, wide, pure in rows(_CARRIED, suspects=list(suspects)):
        held = found.setdefault(suspect, (partner, core, {role: [] for role in Role}))
        if pure:
            role = joining.role_of(subkind, wide=wide)
            if role is Role.NET:
                held[2][Role.JOIN].append(joining.Net(token))
            else:
                held[2][role].append(token)
    return {
        suspect: (Account(partner, *(tuple(roles[role]) for role in (Role.CORE, Role.JOIN, Role.VOTE))), core)
        for suspect, (partner, core, roles) in found.items()
    }


def _joining_tokens(suspects: Sequence[int]) -> dict[int, list[int]]:
    """By account, its tokens that may join, pure or not: their counts are kept for when they are."""
    found: dict[int, list[int]] = {suspect: [] for suspect in suspects}
    for suspect, _, _, token, subkind, wide, _ in rows(_CARRIED, suspects=list(suspects)):
        if token is not None and joining.role_of(subkind, wide=wide) is not Role.VOTE:
            found[suspect].append(token)
    return found


def _come_to_cores(
    accounts: Mapping[int, Account], there: Mapping[int, int | None], moved: dict[int, set[int]]
) -> dict[int, int]:
    """By account, its core, made or merged. `moved`: by core, tokens that came to its cluster with others."""
    pointers = _pointers(accounts)
    sets: joining.Sets[tuple[str, Any]] = joining.Sets()
    for name, account in accounts.items():
        at = ("account", name)
        if there[name] is not None:
            sets.unite(("core", there[name]), at)
        for token in account.core:
            sets.unite(("token", (token, account.lab)), at)
    for key, core in pointers.items():
        sets.unite(("core", core), ("token", key))
    known: dict[Any, set[int]] = defaultdict(set)
    for core in {*pointers.values(), *(core for core in there.values() if core is not None)}:
        known[sets.find(("core", core))].add(core)
    lab_of = {sets.find(("account", name)): account.lab for name, account in accounts.items()}
    core_of_set = {its: _one_core(known.get(its, set()), lab, moved) for its, lab in sorted(lab_of.items(), key=str)}
    found = {name: core_of_set[sets.find(("account", name))] for name in accounts}
    _point({(token, account.lab): found[name] for name, account in accounts.items() for token in account.core})
    return found


def _pointers(accounts: Mapping[int, Account]) -> dict[tuple[int, UUID], int]:
    tokens = sorted({token for account in accounts.values() for token in account.core})
    labs = {account.lab for account in accounts.values()}
    sql = """
        SELECT token, partner_id, core FROM indicators_coretoken
        WHERE token = ANY(%(tokens)s) AND partner_id = ANY(%(labs)s)
    """
    return {(token, lab): core for token, lab, core in rows(sql, tokens=tokens, labs=list(labs))}


def _point(core_of: Mapping[tuple[int, UUID], int]) -> None:
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
        moved[kept.pk] = _merge({core.cluster for core in held})[1]
    return kept.pk


_NEW_CORE = """
INSERT INTO indicators_core (partner_id, cluster, accounts) VALUES (%(lab)s, 0, 0) RETURNING id
"""


def _write_placed(group_id: UUID, new: Mapping[int, Account], core_of: Mapping[int, int]) -> None:
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


def _grow(by: Mapping[int, int]) -> None:
    rows(
        """
        UPDATE indicators_cluster c SET accounts = c.accounts + m.more, due = coalesce(c.due, %(now)s)
        FROM unnest(%(clusters)s::bigint[], %(more)s::int[]) AS m (id, more) WHERE c.id = m.id
        """,
        now=clock.now(),
        clusters=list(by),
        more=list(by.values()),
    )


def _count(grown: Mapping[int, Mapping[int, int]]) -> dict[int, set[int]]:
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


def join(group_id: UUID, newly: Mapping[int, Collection[int]]) -> None:
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
        _caused([cluster], {subkind for _, subkinds in others for subkind in subkinds})
        merged = {cluster, *(other for other, _ in others)}
        kept, moved = _merge(merged)
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


def _merge(clusters: Collection[int]) -> tuple[int, set[int]]:
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


def _build_one_anew(group_id: UUID) -> bool:
    """Build a cluster that has lost something anew from its accounts: the largest part keeps its id."""
    now = clock.now()
    for dirty in Cluster.objects.filter(group=group_id, dirty=True).order_by("accounts", "pk"):
        if dirty.built_at is None or now - dirty.built_at >= dirty.accounts * PAUSE:
            _build_anew(group_id, dirty)
            return True
    return False


def _build_anew(group_id: UUID, dirty: Cluster) -> None:
    sql = "SELECT p.suspect FROM indicators_placed p JOIN indicators_core c ON c.id = p.core WHERE c.cluster = %(c)s"
    accounts = {name: account for name, (account, _) in _carried([s for (s,) in rows(sql, c=dirty.pk)]).items()}
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
    _rewrite(accounts, core_of, part_of, cluster_of)


def _rewrite(
    accounts: Mapping[int, Account],
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
        labs=[accounts[name].lab for name in names],
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
    _point(
        {(token, account.lab): row_of[core_of[name]] for name, account in accounts.items() for token in account.core}
    )
    grown: dict[int, Counter[int]] = defaultdict(Counter)
    for name, tokens in _joining_tokens(list(accounts)).items():
        grown[cluster_of[part_of[core_of[name]]]].update(tokens)
    _count(grown)


def groups() -> list[UUID]:
    """Those that there is something to do for."""
    found = rows(
        """
        SELECT group_id FROM (
            SELECT DISTINCT group_id FROM indicators_stir
            UNION SELECT DISTINCT group_id FROM indicators_cluster WHERE dirty OR due IS NOT NULL
        ) busy ORDER BY group_id
        """
    )
    return [group for (group,) in found]


def stir(group_id: UUID, kind: Stir.Kind, keys: Iterable[int]) -> None:
    """Have something looked at, in the transaction in which it happened."""
    held = list(keys)
    if held:
        rows(
            "INSERT INTO indicators_stir (group_id, kind, key) SELECT %(g)s, %(k)s, unnest(%(keys)s::bigint[])",
            g=group_id,
            k=kind,
            keys=held,
        )


__all__ = ["alone", "groups", "join", "rows", "step", "stir"]
