"""Several labs in one process: the sums are those of the exchange's rules, and what is found is found by all."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.lab import scoring, together
from exchange.lab.scoring import Carries, Constants, Group
from exchange.lab.together import Lab, Together
from exchange.tokens import prevalence
from tests.strategies import examples

_ANSWER = st.integers(0, 20).flatmap(lambda power: st.tuples(st.just(2**power), st.integers(-1, power))) | st.just(
    (0, -1)
)


@settings(max_examples=examples(300), deadline=None)
@given(
    st.integers(1, 5).flatmap(
        lambda labs: st.lists(st.lists(_ANSWER, min_size=labs, max_size=labs), min_size=1, max_size=5)
    )
)
def test_sums_over_arrays_are_those_of_the_shared_rules(rows):
    holders = np.array([[held for held, _ in row] for row in rows])
    suspects = np.array([[2**power if power >= 0 else 0 for _, power in row] for row in rows])
    found = together.sums_of(holders, suspects)
    for at, row in enumerate(rows):
        answers = [prevalence.Answer(held, 2**power if power >= 0 else 0) for held, power in row]
        expected = prevalence.sums(answers)
        assert bool(found.told[at]) is (expected is not None)
        assert tuple(int(one[at]) for one in found.numbers) == (expected or (0, 0, 0, 0))


@given(st.lists(st.integers(0, 2**40), min_size=1))
def test_buckets_over_arrays_are_those_of_the_shared_rules(counts):
    assert together.bucketed(np.array(counts)).tolist() == [prevalence.bucket(one) for one in counts]


def lab(holds, groups, flagged):
    pairs = [(account, token) for account, some in enumerate(holds) for token in sorted(some)]
    return Lab(
        Carries(
            account=np.array([a for a, _ in pairs], np.int32),
            token=np.array([t for _, t in pairs], np.int32),
            group=np.array(groups, np.int8),
            is_phrase=np.zeros(len(groups), np.bool_),
            is_domain=np.zeros(len(groups), np.bool_),
            flagged=np.isin(np.arange(len(holds)), list(flagged)),
        ),
        everywhere=np.arange(len(groups)),
    )


def campaign(flagged):
    """Ten accounts with one card, device, mail domain and network, among five hundred."""
    groups = [Group.PAY, Group.DEV, Group.MAIL, Group.NET]
    return lab([{0, 1, 2, 3}] * 10 + [set()] * 490, groups, flagged)


def test_a_lab_that_flagged_nothing_finds_what_two_others_flagged():
    labs = [campaign(range(4)), campaign(range(5)), campaign(())]
    rounds = Together(labs, 4).rounds()
    assert rounds[-1].settled
    assert [int(one.suspect.sum()) for one in labs] == [10, 10, 10]


def test_on_the_word_of_one_other_lab_nobody_becomes_a_suspect():
    labs = [campaign(range(8)), campaign(()), campaign(())]
    Together(labs, 4).rounds()
    assert [int(one.suspect.sum()) for one in labs] == [10, 0, 0]
    words = [scoring.on_one_labs_word(one.carries, one.told, one.suspect, Constants()).sum() for one in labs]
    assert words == [0, 10, 10]


def test_a_lab_alone_finds_what_it_would_without_the_others():
    labs = [campaign(range(4)), campaign(range(5)), campaign(())]
    group = Together(labs, 4)
    assert [int(group.alone(at).sum()) for at in range(3)] == [10, 10, 0]


def test_a_changed_sum_is_told_only_when_two_labs_changed():
    group = Together([campaign(range(4)), campaign(range(5)), campaign(range(3)), campaign(())], 4)
    group.round(1)
    first = group.labs[3].told.suspects.copy()
    group.labs[0].suspect = np.zeros(500, np.bool_)
    group.labs[1].suspect = group.labs[1].sources | True
    group.labs[1].suspect = np.isin(np.arange(500), range(5))
    group.labs[2].suspect = np.isin(np.arange(500), range(3))
    group._gather()
    assert group._tell(3, group.labs[3]).suspects.tolist() == first.tolist()
