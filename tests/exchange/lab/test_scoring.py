"""The score of an account: each clause of the rule, and the whole against a slow oracle."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.lab import scoring
from exchange.lab.scoring import Carries, Constants, Group, Told
from tests.exchange.lab import oracle
from tests.strategies import examples

C = Constants()
NAMES = ("PAY", "DEV", "MAIL", "NET", "PROMPT")


def carries_of(holds, kinds, flagged, domains=()):
    """`holds`: a list of sets of token numbers; `kinds`: a list of (group name, is a phrase)."""
    pairs = [(account, token) for account, some in enumerate(holds) for token in sorted(some)]
    return Carries(
        account=np.array([a for a, _ in pairs], np.int32),
        token=np.array([t for _, t in pairs], np.int32),
        group=np.array([Group[name] for name, _ in kinds], np.int8),
        is_phrase=np.array([phrase for _, phrase in kinds], np.bool_),
        is_domain=np.isin(np.arange(len(kinds)), list(domains)),
        flagged=np.isin(np.arange(len(holds)), list(flagged)),
    )


def told_of(count, sums=None, asked=None, one_word=()):
    sums = sums or {}
    table = np.array([sums.get(token, (0, 0, 0, 0)) for token in range(count)], dtype=float).reshape(count, 4)
    known = np.ones(count, np.bool_) if asked is None else np.isin(np.arange(count), list(asked))
    return Told(known, *(table[:, at].copy() for at in range(4)), one_word=np.isin(np.arange(count), list(one_word)))


def scored(holds, kinds, flagged=(), suspects=None, sums=None, asked=None, domains=()):
    carries = carries_of(holds, kinds, flagged, domains)
    mask = None if suspects is None else np.isin(np.arange(len(holds)), list(suspects))
    own = scoring.own_counts(carries, mask, C)
    return scoring.score(carries, own, told_of(len(kinds), sums, asked), C)


_KIND = st.tuples(st.sampled_from(NAMES[:4]), st.just(False)) | st.tuples(st.just("PROMPT"), st.booleans())
_BUCKET = st.sampled_from([0, 1, 2, 4, 8, 16, 64, 1024])
_LAB = st.integers(1, 12).flatmap(
    lambda tokens: st.tuples(
        st.lists(st.sets(st.integers(0, tokens - 1)), min_size=1, max_size=14),
        st.lists(_KIND, min_size=tokens, max_size=tokens),
        st.sets(st.integers(0, 13)),
        st.none() | st.sets(st.integers(0, 13)),
        st.dictionaries(st.integers(0, tokens - 1), st.tuples(_BUCKET, _BUCKET, _BUCKET, _BUCKET)),
        st.sets(st.integers(0, tokens - 1)),
    )
)


@settings(max_examples=examples(400), deadline=None)
@given(_LAB)
def test_the_score_is_that_of_the_rule_read_aloud(lab):
    holds, kinds, flagged, suspects, sums, asked = lab
    flagged = {one for one in flagged if one < len(holds)}
    suspects = suspects if suspects is None else {one for one in suspects if one < len(holds)}
    if suspects is not None and len(suspects) >= len(holds):
        suspects = set(list(suspects)[1:])
    sums = {token: (max(a, b), b, max(c, d), d) for token, (a, b, c, d) in sums.items()}
    expected_n = len(holds) - max(1.0, len(flagged) * 0.94)
    if suspects is None and expected_n <= 0.5:
        return
    if suspects is not None and len(holds) - max(1.0, len(suspects) + 0.3 * len(flagged - suspects)) < 1.0:
        return
    if suspects is None and expected_n < 1.0:
        return
    found = scored(holds, kinds, flagged, suspects, sums, asked)
    expected = oracle.verdicts(dict(enumerate(holds)), dict(enumerate(kinds)), flagged, suspects, sums, asked)
    for account, (total, without, suspect) in expected.items():
        assert found.total[account] == pytest.approx(total, abs=1e-9)
        assert found.without_largest[account] == pytest.approx(without, abs=1e-9)
        near = min(abs(total - 5), abs(without - 3), *(abs(one - 2.5) for one in found.groups[account]))
        assert near < 1e-9 or bool(found.suspect[account]) == suspect


def weight(s, h, *, accounts=10_000, suspects=100.0):
    return float(
        scoring.weights(np.array([float(s)]), np.array([float(h)]), accounts=accounts, suspects=suspects, c=C)[0]
    )


def test_purity_is_the_share_of_suspects_among_holders():
    p = (10 + 0.04) / (12 + 2)
    assert weight(10, 12, suspects=5_000.0) == pytest.approx(math.log(p / (1 - p)) - math.log(0.02 / 0.98))


def test_a_token_that_only_suspects_hold_weighs_no_more_than_995_in_a_thousand_says():
    assert weight(10**6, 10**6, suspects=1e6, accounts=10**6) == pytest.approx(
        math.log(0.995 / 0.005) - math.log(0.02 / 0.98)
    )


def test_lift_counts_where_the_lab_has_few_suspects():
    lift = math.log(3.5 / 2) - math.log((97 + 1) / 9_999)
    assert weight(3, 100, suspects=1.0) == pytest.approx(lift)
    assert lift > math.log(((3.04) / 102) / (1 - 3.04 / 102)) - math.log(0.02 / 0.98)


def test_holders_are_never_fewer_than_suspects():
    assert weight(8, 2) == weight(8, 8)


def test_fewer_than_two_flags_weigh_at_most_one():
    assert weight(1.87, 1.87) == 1.0
    assert weight(1.88, 1.88) > 1.0
    assert weight(0, 500) < 1.0


def test_the_account_itself_is_left_out():
    alone = scored([{0}, set(), set()], [("PAY", False)], flagged={0})
    assert alone.groups[0, Group.PAY] <= 1.0


def test_whom_the_lab_takes_for_a_suspect_scores_as_if_it_were_none():
    holds, kinds = [{0}] * 3 + [set()] * 97, [("DEV", False)]
    one, none = (scored(holds, kinds, suspects=some) for some in ({0, 1, 2}, {1, 2}))
    assert one.groups[0, Group.DEV] == none.groups[0, Group.DEV] < 5.0, "or it is one in every other round"


def test_others_sums_are_read_as_one_and_four_tenths():
    found = scored([{0}] + [set()] * 99, [("PAY", False)], sums={0: (8, 8, 4, 4)})
    assert found.groups[0, Group.PAY] == pytest.approx(min(5.0, weight(8 * 1.41, 8 * 1.41, accounts=100, suspects=1.0)))


def test_what_nobody_sends_in_this_round_is_as_if_absent():
    sums = {0: (16, 16, 8, 8)}
    assert scored([{0}] * 9, [("DEV", False)], sums=sums, asked=()).groups.sum() == 0
    assert scored([{0}] * 9, [("DEV", False)], sums=sums).groups.sum() > 0


@pytest.mark.parametrize(("suspects", "trusts_itself"), [({0, 1}, True), (set(range(6)), False)])
def test_a_lab_of_few_suspects_believes_its_own_counts_while_others_have_not_looked(suspects, trusts_itself):
    holds = [{0}] * 8 + [set()] * 9_992
    elsewhere = {0: (4_096, 0, 2_048, 0)}
    alone = scored(holds, [("PAY", False)], suspects=suspects).groups[7, Group.PAY]
    together = scored(holds, [("PAY", False)], suspects=suspects, sums=elsewhere).groups[7, Group.PAY]
    assert bool(together == alone) is trusts_itself
    assert together <= alone


@pytest.mark.parametrize(("suspects", "counts"), [({0, 1}, True), ({0}, False), (set(range(6)), False)])
def test_others_holders_make_nothing_popular_that_two_suspects_of_a_lab_of_few_hold(suspects, counts):
    """Whom others have not looked at yet may be of the same operator: 300 accounts at each of five labs share a phrase."""
    holds = [{0}] * 8 + [set()] * 9_992
    found = scored(holds, [("DEV", False)], suspects=suspects, sums={0: (4_096, 0, 2_048, 0)})
    assert bool(found.groups[7, Group.DEV] > 2.5) is counts
    many = [{0}] * 300 + [set()] * 9_700
    assert scored(many, [("DEV", False)], suspects=suspects).groups[7, Group.DEV] == 0.0, "own accounts make it popular"


def test_own_counts_alone_do_not_suffice_where_fewer_than_two_suspects_hold_a_token():
    holds = [{0}] * 8 + [set()] * 9_992
    assert scored(holds, [("PAY", False)], suspects={0}).groups[7, Group.PAY] == 1.0
    found = scored(holds, [("PAY", False)], suspects={0}, sums={0: (4_096, 0, 2_048, 0)})
    assert found.groups[7, Group.PAY] < 0.5


@pytest.mark.parametrize(("name", "most"), [("PAY", 5.0), ("DEV", 5.0), ("MAIL", 5.0), ("NET", 4.5), ("PROMPT", 5.0)])
def test_a_group_adds_at_most_five_and_networks_less(name, most):
    found = scored([{0}] * 30 + [set()] * 9_000, [(name, False)], flagged=set(range(29)))
    assert found.groups[29, Group[name]] == most


def test_a_group_takes_at_most_one_away():
    found = scored([{0}] * 40 + [set()] * 9_000, [("DEV", False)], flagged=set(range(40, 5_000)))
    assert found.groups[0, Group.DEV] == -1.0


@pytest.mark.parametrize(("phrases", "counts"), [(3, False), (4, True), (7, True)])
def test_of_phrases_the_fourth_best_counts(phrases, counts):
    holds = [set(range(phrases))] * 20 + [set()] * 5_000
    found = scored(holds, [("PROMPT", True)] * phrases, flagged=set(range(19)))
    assert bool(found.groups[19, Group.PROMPT] > 0) is counts


def test_the_fourth_best_phrase_may_be_worse_than_a_prompt():
    holds = [{0, 1, 2, 3, 4}] * 10 + [{0, 1, 2, 3}] * 40 + [set()] * 5_000
    kinds = [("PROMPT", True)] * 4 + [("PROMPT", False)]
    found = scored(holds, kinds, flagged=set(range(9)))
    assert found.groups[9, Group.PROMPT] > found.groups[20, Group.PROMPT] > 0


def test_a_suspect_needs_two_groups_or_one_and_the_flag():
    pay, dev = ("PAY", False), ("DEV", False)
    rest = [set()] * 5_000
    one = scored([{0}] * 30 + rest, [pay, dev], flagged=set(range(29)))
    assert not one.suspect[29]
    assert one.suspect[0]
    two = scored([{0, 1}] * 30 + rest, [pay, dev], flagged=set(range(29)))
    assert two.suspect[29]


def test_prompts_alone_make_no_suspect_of_a_flagged_account():
    prompt, card = ("PROMPT", False), ("PAY", False)
    rest = [set()] * 5_000
    alone = scored([{0}] * 30 + rest, [prompt, card], flagged=set(range(30)))
    assert alone.total[0] >= 5
    assert not alone.suspect[:30].any()
    beside = scored([{0, 1}] * 3 + [{0}] * 27 + rest, [prompt, card], flagged=set(range(30)))
    assert beside.groups[0, Group.PAY] > 0
    assert beside.suspect[:30].tolist() == [True] * 3 + [False] * 27


def test_a_mail_domain_and_a_network_alone_make_no_suspect():
    kinds = [("MAIL", False), ("NET", False), ("PROMPT", False)]
    sums = dict.fromkeys(range(3), (16, 16, 8, 8))
    rest = [set()] * 999
    rented = scored([{0, 1}, *rest], kinds, sums=sums, domains=(0,))
    assert rented.total[0] >= 5
    assert not rented.suspect[0]
    assert scored([{0, 1, 2}, *rest], kinds, sums=sums, domains=(0,)).suspect[0]


def test_no_answers_make_a_lab_find_less_than_it_finds_alone():
    holds = [{0, 1}] * 30 + [set()] * 5_000
    kinds, flagged = [("PAY", False), ("DEV", False)], set(range(20))
    drowned = scored(holds, kinds, flagged, sums=dict.fromkeys((0, 1), (2**40, 0, 2**40, 0)))
    alone = scored(holds, kinds, flagged)
    assert drowned.suspect.tolist() == alone.suspect.tolist() == [True] * 30 + [False] * 5_000
    assert drowned.alone[:30].all()
    assert drowned.total.tolist() == alone.total.tolist()
    assert not alone.alone.any()
    other = scored(holds, kinds, flagged=(), sums=dict.fromkeys((0, 1), (2**40, 0, 2**40, 0)))
    assert not other.suspect.any()


def test_no_one_other_lab_alone_makes_a_suspect():
    holds, kinds = [{0, 1}] + [set()] * 999, [("PAY", False), ("DEV", False)]
    word = scored(holds, kinds, sums=dict.fromkeys((0, 1), (16, 16, 1, 0)))
    agreed = scored(holds, kinds, sums=dict.fromkeys((0, 1), (16, 16, 8, 8)))
    assert word.total[0] == agreed.total[0] >= 5
    assert not word.suspect[0]
    assert agreed.suspect[0]


@pytest.mark.parametrize(("name", "holders", "counts"), [("DEV", 50, True), ("DEV", 51, False), ("PAY", 51, True)])
def test_what_more_than_two_in_a_hundred_hold_never_counts_payment_apart(name, holders, counts):
    found = scored([{0}] * holders + [set()] * (2_000 - holders), [(name, False)], flagged=set(range(40)))
    assert bool(found.groups[45, Group[name]] > 0) is counts


def test_others_holders_make_a_token_too_popular():
    found = scored([{0}] * 30 + [set()] * 2_000, [("DEV", False)], flagged=set(range(29)), sums={0: (32, 32, 16, 16)})
    assert found.groups[29, Group.DEV] == 0


def test_flags_count_94_in_the_first_round_and_30_later_unless_suspects():
    carries = carries_of([{0}, {0}, {0}], [("PAY", False)], flagged={0, 1})
    first = scoring.own_counts(carries, None, C)
    assert first.suspects[0] == pytest.approx(1.88)
    later = scoring.own_counts(carries, np.array([True, False, True]), C)
    assert later.suspects[0] == pytest.approx(2.3)
    assert later.total == pytest.approx(2.3)
    assert scoring.own_counts(carries, np.zeros(3, np.bool_), C).total == 1.0


@pytest.mark.parametrize(
    ("holders", "flagged", "domain", "sent"),
    [
        (2, 2, False, True),
        (1, 1, False, False),
        (2, 2, True, False),
        (3, 3, True, True),
        (18, 2, False, True),
        (30, 2, False, False),
    ],
)
def test_evidence_is_what_two_suspects_hold_and_few_others(holders, flagged, domain, sent):
    holds = [{0}] * holders + [set()] * 100
    carries = carries_of(holds, [("MAIL", False)], set(range(flagged)), domains=[0] if domain else [])
    own = scoring.own_counts(carries, None, C)
    assert bool(scoring.sendable(carries, own, C)[0]) is sent


def test_twenty_times_the_average_is_pure_enough_too():
    carries = carries_of([{0}] * 30 + [set()] * 3_000, [("NET", False)], {0, 1})
    assert scoring.sendable(carries, scoring.own_counts(carries, None, C), C)[0]


def test_three_tokens_of_one_other_lab_are_its_word_and_no_verdict():
    carries = carries_of([{0, 1, 2}, {0, 1}], [("NET", False)] * 3, ())
    told = told_of(3, one_word={0, 1, 2})
    assert scoring.on_one_labs_word(carries, told, np.zeros(2, np.bool_), C).tolist() == [True, False]
    assert not scoring.on_one_labs_word(carries, told, np.ones(2, np.bool_), C).any()


def test_whose_verdict_changes_in_every_round_is_no_suspect_for_a_while_and_then_tried_again():
    kept, turns, seen = np.zeros(3, np.bool_), np.zeros(3, np.int32), []
    for number in range(12):  # the first takes turns, the second wants to be what it is not, the third is found at last
        wanted = np.array([number % 2 == 0, not kept[1], number >= 5])
        kept, turns = scoring.steady(kept, wanted, turns, C)
        seen.append("".join("x" if one else "." for one in kept))
    first, second, third = ("".join(column) for column in zip(*seen, strict=True))
    assert first == "x.x........."
    assert second == "x.x....x.x.."
    assert third == ".....xxxxxxx"


def test_rounds_end_when_less_than_one_suspect_in_a_thousand_changes():
    before = np.zeros(5_000, np.bool_)
    before[:2_000] = True
    one, three = before.copy(), before.copy()
    one[0], three[:3] = False, False
    assert scoring.has_settled(before, before, C)
    assert scoring.has_settled(before, one, C)
    assert not scoring.has_settled(before, three, C)
    assert not scoring.has_settled(np.zeros(5, np.bool_), np.ones(5, np.bool_), C)
