"""Find each account its place as it comes: `joining`, step by step. With the modules below, the only writer of places.

    what left or is no longer pure -> clusters to be built anew -> accounts without a place -> cores -> joins
    -> tokens that accounts let go

What is done in one transaction is bounded: so many accounts, tokens, or one cluster; of each a piece a round, so that
nothing of one kind, and nothing of one lab, is done to its end before all else. Accounts whose rare tokens may say
something else now are noted, to be asked again (`asking`).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from uuid import UUID

from indicators.campaigns import asking, purity
from indicators.campaigns.carrying import carried
from indicators.campaigns.clusters import clusters_with, count, grow, join, make_dirty
from indicators.campaigns.cores import come_to_cores, write_placed
from indicators.campaigns.purity import Role
from indicators.campaigns.queueing import rows, taken, waiting
from indicators.campaigns.rebuilding import build_one_anew
from indicators.campaigns.tables import EvidenceToken, Stir

#: Accounts, and tokens, of one transaction.
ACCOUNTS = 500
TOKENS = 200


def pieces(group_id: UUID) -> list[Callable[[UUID], bool]]:
    """One bounded piece of each kind of what waits, in order, each to be called in a transaction, alone.

    Called with the group, each says whether there was anything.
    """
    kinds = waiting(group_id)
    known: list[tuple[Stir.Kind | None, Callable[[UUID], bool]]] = [
        (Stir.Kind.LEFT, _look_at_left),
        (Stir.Kind.TOKEN, _look_at_tokens),
        (None, build_one_anew),
        (Stir.Kind.PLACE, _place_some),
        (Stir.Kind.LET_GO, _look_at_let_go),
    ]
    return [piece for kind, piece in known if kind is None or kind in kinds]


def _look_at_left(group_id: UUID) -> bool:
    """Accounts that are gone, or carry something else: their clusters are to be built anew without them."""
    suspects = taken(group_id, Stir.Kind.LEFT, ACCOUNTS * 10)
    if suspects:
        found = rows(_LEAVE, suspects=suspects)
        make_dirty({cluster for (cluster,) in found}, ["evidence"])
        rows(_PLACE_WHO_STAYS, suspects=suspects)
    return bool(suspects)


_LEAVE = """
WITH left_ones AS (DELETE FROM indicators_placed WHERE suspect = ANY(%(suspects)s) RETURNING core)
SELECT DISTINCT c.cluster FROM left_ones JOIN indicators_core c ON c.id = left_ones.core
"""

_PLACE_WHO_STAYS = """
INSERT INTO indicators_stir (group_id, kind, lab, key)
SELECT group_id, 'place', partner_id, id FROM indicators_suspect WHERE id = ANY(%(suspects)s)
"""


def _look_at_let_go(group_id: UUID) -> bool:
    """Tokens that accounts carry no more: what they said of who still carries them may be another thing."""
    tokens = taken(group_id, Stir.Kind.LET_GO, TOKENS)
    asking.ask_who_carries(tokens)
    return bool(tokens)


def _look_at_tokens(group_id: UUID) -> bool:
    """Tokens that became pure join what carries them; what those joined that are no longer pure is built anew."""
    tokens = taken(group_id, Stir.Kind.TOKEN, TOKENS)
    if not tokens:
        return False
    was = {token for (token,) in rows("SELECT token FROM indicators_puretoken WHERE token = ANY(%(t)s)", t=tokens)}
    changed, lost = [], []
    for token in EvidenceToken.objects.filter(pk__in=tokens).order_by("pk"):
        now = purity.is_pure(token.subkind, holders=token.holders, suspects=token.suspects)
        if now == (token.pk in was):
            continue
        role = purity.role_of(token.subkind, wide=token.wide)
        changed.append(token.pk)
        if now:
            rows(
                "INSERT INTO indicators_puretoken (token, votes) VALUES (%(t)s, false) ON CONFLICT DO NOTHING",
                t=token.pk,
            )
            _became_pure(token, role)
        else:
            lost.append(token.pk)
            rows("DELETE FROM indicators_coretoken WHERE token = %(t)s", t=token.pk)
            if role is not Role.VOTE:
                make_dirty(clusters_with(token.pk), [token.subkind])
    asking.ask_who_carries(changed)  # before it is forgotten which of them voted
    rows("DELETE FROM indicators_puretoken WHERE token = ANY(%(t)s)", t=lost)
    return True


def _became_pure(token: EvidenceToken, role: Role) -> None:
    if role is Role.CORE:
        rows(_PLACE_AGAIN, token=token.pk)
    if role is not Role.VOTE:
        for cluster in clusters_with(token.pk):
            join({cluster: {token.pk}})


_PLACE_AGAIN = """
INSERT INTO indicators_stir (group_id, kind, lab, key)
SELECT s.group_id, 'place', s.partner_id, s.id
FROM indicators_carried c JOIN indicators_suspect s ON s.id = c.suspect WHERE c.token = %(token)s
"""


def _place_some(group_id: UUID) -> bool:
    """Accounts without a place come to the cores of their lab, or make new ones; clusters join where they may."""
    suspects = taken(group_id, Stir.Kind.PLACE, ACCOUNTS, after=Stir.Kind.LEFT)
    if not suspects:
        return False
    some = carried(suspects)
    new = {name: one for name, one in some.items() if one.core is None}
    moved: dict[int, set[int]] = {}
    core_of = come_to_cores(some, moved)
    write_placed(group_id, {name: one.account for name, one in new.items()}, core_of)
    clusters = dict(rows("SELECT id, cluster FROM indicators_core WHERE id = ANY(%(c)s)", c=[*set(core_of.values())]))
    grown: dict[int, Counter[int]] = defaultdict(Counter)
    for name, one in new.items():
        grown[clusters[core_of[name]]].update(one.may_join)
    grow({clusters[core_of[name]]: 0 for name in some} | _sizes(new, core_of, clusters))
    newly = count(grown)
    if moved:
        now_in = dict(rows("SELECT id, cluster FROM indicators_core WHERE id = ANY(%(c)s)", c=[*moved]))
        for core, came in moved.items():
            newly[now_in[core]] |= came
    join(newly)
    rows(_AS_ITS_CORE, suspects=list(new))
    asking.ask_those_near(list(some))
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
