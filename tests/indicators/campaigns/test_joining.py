"""Which accounts belong together: the pure rules."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indicators.campaigns import joining, purity
from indicators.campaigns.joining import Account, Grade, Net


def together(place_of):
    return {frozenset(name for name, its in place_of.items() if its == one) for one in place_of.values()}


tokens_of_all = st.integers(0, 9) | st.integers(0, 4).map(Net)
counts = st.dictionaries(
    st.integers(0, 12), st.dictionaries(tokens_of_all, st.integers(1, 3), max_size=12), max_size=12
)


def joins(tokens):
    networks = sum(isinstance(token, Net) for token in tokens)
    return len(tokens) - networks + min(networks, 1) >= 3


def by_hand(held):
    """The same as `close`, without a thought for speed."""
    clusters = [({node}, Counter(tokens)) for node, tokens in held.items()]
    while True:
        pair = next(
            (
                (one, other)
                for one in clusters
                for other in clusters
                if one is not other and joins([t for t in one[1] if min(one[1][t], other[1][t]) >= 2])
            ),
            None,
        )
        if pair is None:
            return {frozenset(nodes) for nodes, _ in clusters}
        one, other = pair
        clusters = [each for each in clusters if each is not one and each is not other]
        clusters.append((one[0] | other[0], one[1] + other[1]))


@given(counts)
def test_clusters_join_on_three_tokens_each_on_two_accounts_of_both_until_none_do(held):
    assert together(joining.close(held)) == by_hand(held)


@given(counts, st.randoms())
def test_the_order_in_which_clusters_come_changes_nothing(held, random):
    nodes = list(held)
    random.shuffle(nodes)
    names = dict(zip(held, nodes, strict=True))
    renamed = joining.close({names[node]: tokens for node, tokens in held.items()})
    assert together({node: renamed[names[node]] for node in held}) == together(joining.close(held))


@given(counts, st.integers(0, 12).flatmap(lambda n: st.lists(st.sampled_from("abc"), min_size=13, max_size=13)))
def test_a_class_is_within_its_cluster_and_no_lab_alone_joins_two_labs_that_it_is_not(held, labs):
    cluster = joining.close(held)
    for one in set(cluster.values()):
        cores = {core for core, its in cluster.items() if its == one}
        classes = joining.refine({core: labs[core] for core in cores}, {core: held[core] for core in cores})
        assert set(classes) == cores
        for left_out in "abc":
            rest = joining.close({core: held[core] for core in cores if labs[core] != left_out})
            for core in rest:
                for other in rest:
                    if classes[core] == classes[other]:
                        assert rest[core] == rest[other]


def operator(name, lab, count, cards=4, devices=4):
    """Accounts of an operator at a lab: pools of cards, devices and domains that it uses everywhere."""
    return {
        f"{name} {lab} {number}": Account(
            lab,
            core=(f"{name} card {number % cards}", f"{name} device {number // 2 % devices}"),
            join=(f"{name} domain {number % 3}",),
            vote=(f"{name} phrase {number % 5}", f"{name} phrase {number % 7}"),
        )
        for number in range(count)
    }


def test_two_operators_at_three_labs_are_two_corroborated_campaigns():
    accounts = {}
    for lab in "abc":
        accounts |= operator("x", lab, 24) | operator("y", lab, 24)
    found = joining.propose(accounts)
    assert {place.grade for place in found.values()} == {Grade.CORROBORATED}
    assert together({name: place.campaign for name, place in found.items()}) == {
        frozenset(name for name in accounts if name.startswith(each)) for each in "xy"
    }


def test_fifty_accounts_of_one_lab_join_two_campaigns_on_its_word_alone():
    accounts = {}
    for lab in "abc":
        accounts |= operator("x", lab, 24) | operator("y", lab, 24)
    honest = set(accounts)
    for number in range(50):
        accounts[f"glue {number}"] = Account(
            "d",
            core=tuple(f"{each} {kind} {number % 4}" for each in "xy" for kind in ("card", "device")),
            join=("x domain 1", "y domain 1"),
        )
    found = joining.propose(accounts)
    assert len({found[name].cluster for name in honest}) == 1
    assert together({name: found[name].campaign for name in honest}) == {
        frozenset(name for name in honest if name.startswith(each)) for each in "xy"
    }


@pytest.mark.parametrize("invented", [0, 50])
def test_a_lab_that_joins_its_own_accounts_of_two_campaigns_has_none_of_them_corroborated(invented):
    """Its real accounts of both become one core with what it invents: others do not say so, so in neither are they."""
    accounts = {}
    for lab in "abcd":
        accounts |= operator("x", lab, 24) | operator("y", lab, 24)
    for number in range(invented):
        core = (f"x card {number % 4}", f"y device {number % 4}")
        accounts[f"glue {number}"] = Account("d", core=core, join=("x domain 1", "y domain 1"))
    found = joining.propose(accounts)
    corroborated = {name: place.campaign for name, place in found.items() if place.grade is Grade.CORROBORATED}
    labs = "abc" if invented else "abcd"
    assert together(corroborated) == {
        frozenset(name for lab in labs for name in operator(each, lab, 24)) for each in "xy"
    }


@pytest.mark.parametrize(("networks", "domains", "joined"), [(9, 0, False), (9, 1, False), (0, 2, False), (1, 2, True)])
def test_of_the_tokens_that_join_at_most_one_is_a_network(networks, domains, joined):
    shared = [Net(f"net {each}") for each in range(networks)] + [f"domain {each}" for each in range(domains)]
    accounts = {}
    for lab in "ab":
        for each in "xy":
            for name, account in operator(each, lab, 24).items():
                accounts[name] = Account(lab, account.core, (*account.join, *shared))
    found = joining.propose(accounts)
    assert len({place.campaign for place in found.values()}) == (1 if joined else 2)


def test_a_shared_network_alone_joins_nothing():
    accounts = {}
    for lab in "ab":
        for each in "xy":
            for name, account in operator(each, lab, 24).items():
                accounts[name] = Account(lab, account.core, (*account.join, "net"))
    found = joining.propose(accounts)
    assert len({place.campaign for place in found.values()}) == 2


def test_what_only_two_labs_say_of_each_other_is_corroborated_and_one_labs_own_is_no_campaign():
    both = operator("x", "a", 24) | operator("x", "b", 24)
    found = joining.propose(both)
    assert {place.grade for place in found.values()} == {Grade.CORROBORATED}
    alone = joining.propose(operator("x", "a", 24))
    assert {place.campaign for place in alone.values()} == {None}


def test_an_account_without_a_card_is_elected_by_its_phrases():
    accounts = operator("x", "a", 24) | operator("x", "b", 24)
    accounts["lost"] = Account("a", vote=("x phrase 1", "x phrase 2", "x phrase 3"))
    accounts["alone"] = Account("a", vote=("x phrase 1",))
    found = joining.propose(accounts)
    assert found["lost"].campaign == found["x a 0"].campaign is not None
    assert found["alone"].campaign is None


def two_operators() -> dict:
    """Two campaigns whose accounts all say twenty phrases."""
    accounts = {}
    for name, lab in ((name, lab) for name in ("x", "y") for lab in ("a", "b", "c")):
        for number, account in operator(name, lab, 12).items():
            accounts[number] = replace(account, vote=(*account.vote, *COMMON))
    return accounts


COMMON = tuple(f"common {number}" for number in range(20))


def test_what_is_common_to_campaigns_abstains_where_what_may_join_says_which():
    accounts = two_operators()
    accounts["by domain"] = Account("b", join=("x domain 1",), vote=("x phrase 1", *COMMON))
    accounts["by phrases"] = Account("b", vote=("x phrase 1", "x phrase 2", *COMMON))
    accounts["between"] = Account("b", vote=COMMON)
    found = joining.propose(accounts)
    assert found["x a 0"].campaign != found["y a 0"].campaign
    assert found["by domain"].campaign == found["x a 0"].campaign
    assert found["by phrases"].campaign is None, "of what it says less than 60 % is one campaign's"
    assert found["between"].campaign is None


def test_purity_is_suspects_among_holders_over_the_labs_that_answered():
    assert purity.is_pure("device", holders=4, suspects=2)
    assert not purity.is_pure("device", holders=8, suspects=2)
    assert not purity.is_pure("device", holders=0, suspects=0)
    assert purity.is_pure("net", holders=8, suspects=8)
    assert not purity.is_pure("net", holders=8, suspects=4)


def test_nobody_alone_makes_a_token_impure_that_two_others_say_is_pure():
    honest = [(16, 16), (8, 4), (2, 2)]
    assert purity.counted_answers([]) == (0, 0)
    assert purity.counted_answers([(0, 0), (4, 1)]) == (4, 1)
    assert purity.counted_answers(honest) == (18, 18)
    assert purity.counted_answers([*honest, (2**40, 0)]) == (26, 22)
    assert purity.counted_answers([(16, 16), (2**40, 0)]) == (16 + 2**40, 16), "one lab's word against another's"
    assert purity.counted_answers([(16, 16), (2**40, 0), (2**40, 0)])[0] > 2**40
    assert purity.counted_answers([(2, 1), (2, 1), (1024, 64)]) == (4, 2)
    assert purity.counted_answers([(64, 0), (64, 0), (1024, 1024)]) == (1152, 1024)
