"""What the door finds of what is planted, and what real objects it lets through: the bounds that the documentation tells."""

from collections import Counter

import pytest

from bench import door
from indicators.door import gates
from tests.indicators.stix import shared

EACH = 3


@pytest.fixture(scope="module")
def measured():
    return door.measure(each=EACH)


def share(measured, policy, chosen):
    counts, found, missed = measured
    total = sum(sum(counts[one].values()) for one in counts if chosen(one))
    assert total
    return sum(sum(found[policy, one].values()) for one in counts if chosen(one)) / total, missed


def test_closed_facts_let_nothing_through(measured):
    assert share(measured, "closed", lambda category: True)[0] >= 0.99


@pytest.mark.slow
def test_payment_data_and_secrets_are_found_in_every_form_and_place(measured):
    found, missed = share(measured, "open", lambda category: category.startswith(door.PAYMENT_AND_SECRETS))
    assert found >= 0.98, missed


def test_personal_and_competitive_texts_are_found(measured):
    found, missed = share(measured, "open", lambda category: not category.startswith(door.PAYMENT_AND_SECRETS))
    assert found >= 0.98, missed


@shared.needed
def test_at_most_one_real_object_in_a_thousand_is_refused():
    seen = Counter(gates.unspeakable(draft, door.OPEN) is None for _, draft in door.real())
    assert seen.total() > 10_000
    assert seen[False] <= seen.total() / 1_000
