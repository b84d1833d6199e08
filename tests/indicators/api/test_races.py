"""Retries that overtake each other: threads of their own, connections of their own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections

from tests import build
from tests.indicators.api.caller import Caller, read

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]


def at_once(count: int, ask):
    """All at the same time; each thread lets go of its connection."""

    def one(number: int):
        try:
            return ask(number)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


@pytest.fixture
def aster(transactional_db):
    return Caller(build.a_key(build.a_partner("Aster")))


def test_one_key_sent_by_many_at_once_publishes_once_and_answers_all_alike(aster):
    objects = [build.an_indicator() for _ in range(5)]
    answers = at_once(6, lambda number: aster.push(*objects, Idempotency_Key="one"))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" not in answer.headers for answer in answers) == 1
    assert len(read(aster.get("changes"))["changes"]) == 5


def test_equal_bytes_without_a_key_sent_by_many_at_once_are_accepted_once(aster):
    one = build.an_indicator()
    answers = at_once(6, lambda number: read(aster.push(one))["results"][0]["status"])
    assert sorted(answers) == ["accepted", *["unchanged"] * 5]


def test_a_feed_s_name_taken_by_many_at_once_is_given_once(aster):
    statuses = at_once(6, lambda number: aster.send("POST", "feeds", {"name": "cards"}).status_code)
    assert sorted(statuses) == [201, *[409] * 5]


def test_the_first_pushes_without_a_name_do_not_wait_for_each_other_for_ever(aster):
    answers = at_once(6, lambda number: aster.push(build.an_indicator(), query="?everyone=true&attribution=exchange"))
    assert [read(answer)["counts"]["accepted"] for answer in answers] == [1] * 6
