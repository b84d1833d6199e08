"""What is told of how many accounts hold a token."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.tokens import prevalence
from exchange.tokens.prevalence import Answer, Sums

_ANSWERS = st.builds(prevalence.answer, st.integers(0, 10**6), st.just(0)) | st.integers(0, 10**6).flatmap(
    lambda held: st.builds(prevalence.answer, st.just(held), st.integers(0, held))
)


@pytest.mark.parametrize(("count", "told"), [(0, 0), (1, 1), (2, 2), (3, 2), (4, 4), (1023, 512), (1024, 1024)])
def test_a_count_is_the_power_of_two_at_or_below(count, told):
    assert prevalence.bucket(count) == told
    assert prevalence.is_bucket(told)


def test_what_is_no_power_of_two_is_no_bucket():
    assert [number for number in range(-3, 9) if prevalence.is_bucket(number)] == [0, 1, 2, 4, 8]


def test_more_suspects_than_holders_are_refused():
    with pytest.raises(ValueError, match="more suspects"):
        prevalence.answer(3, 4)


def test_of_fewer_than_two_other_labs_nothing_is_told():
    assert prevalence.sums([]) is None
    assert prevalence.sums([Answer(64, 32)]) is None
    assert prevalence.sums([Answer(64, 32), Answer(0, 0)]) is None


def test_the_second_sum_leaves_out_the_lab_with_most_suspects():
    assert prevalence.sums([Answer(64, 1), Answer(4, 4), Answer(2, 2)]) == Sums(64, 4, 64, 2)
    assert prevalence.sums([Answer(8, 8), Answer(512, 8)]) == Sums(512, 16, 8, 8)


@given(st.lists(_ANSWERS, max_size=6), st.randoms())
@pytest.mark.slow
def test_the_order_of_labs_changes_nothing_and_every_number_is_a_bucket(answers, random):
    told = prevalence.sums(answers)
    mixed = list(answers)
    random.shuffle(mixed)
    assert prevalence.sums(mixed) == told
    if told is not None:
        assert all(map(prevalence.is_bucket, told))
        assert told.holders >= told.holders_less
        assert told.suspects >= told.suspects_less


def test_a_change_is_told_when_two_labs_changed_and_the_interval_is_over():
    before, after = Sums(8, 4, 4, 2), Sums(16, 4, 4, 2)
    for told, now, changed, since in product((None, before), (None, before, after), range(4), (0.0, 3600.0)):
        expected = now is not None if told is None else now != told and changed >= 2 and since >= 3600.0
        assert prevalence.may_tell(told, now, changed_labs=changed, since_told_s=since, interval_s=3600.0) is expected
