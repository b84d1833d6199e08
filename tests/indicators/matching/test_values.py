"""Values are stored once, whoever carries them and however many write them at once."""

from __future__ import annotations

import random
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections, transaction

from exchange.sql import Message
from indicators import matching
from indicators.models import Carries, Epoch, Holding, TokenValue
from indicators.stix import making
from indicators.stix.drafts import TokenValue as TokenSaid
from indicators.values import carrying
from tests import build
from tests.indicators.test_matching import classical, say
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_a_value_is_stored_once_whoever_carries_it_and_an_epoch_has_its_time(cast):
    token = making.token("12" * 32) | {"scheme": "oprf-ristretto255-sha512", "key_epoch": "2026q4"}
    for who in ("aster", "borealis"):
        say(cast, who, 2, token=token)
    value = TokenValue.objects.get(value="12" * 32)
    assert Carries.unrestricted.filter(token_value=value).count() == 4
    epoch = Epoch.objects.get(scheme="oprf-ristretto255-sha512", name="2026q4")
    assert (value.epoch_id, value.shared) == (epoch.pk, True)
    assert f"{epoch.begins:%Y-%m-%d} {epoch.ends:%Y-%m-%d}" == "2026-10-01 2027-01-01"


def test_a_value_longer_than_an_entry_of_an_index_is_matched(cast):
    pattern = f"[url:value = 'https://relay.example/{'x' * 2000}']"
    for who in ("aster", "borealis"):
        build.publish(cast.viewer(who), classical(pattern), everyone=True)
    (match,) = matching.newest(cast.viewer("cygnus"), limit=10).matches
    assert len(match.value) > 2_000


@pytest.mark.django_db(transaction=True)
@pytest.mark.slow
def test_pushes_of_the_same_new_values_neither_block_for_good_nor_lose_a_match():
    cast, rounds, size = build.the_cast(), 3, 30
    ready = threading.Barrier(3)

    def push(who: str, seed: int) -> None:
        try:
            chance = random.Random(seed)
            for number in range(rounds):
                tokens = [making.token(f"{number:02x}{place:02x}" * 16) for place in range(size)]
                chance.shuffle(tokens)
                ready.wait(DEADLINE_S)
                made = [making.account_pattern(carrier={"token": token}) for token in tokens]
                build.publish(cast.viewer(who), *made, everyone=True)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(push, who, place) for place, who in enumerate(("aster", "borealis", "cygnus"))]:
            done.result(DEADLINE_S)
    matches = matching.newest(cast.viewer("dorado"), limit=1_000).matches
    assert len(matches) == rounds * size
    assert {len(match.sides) for match in matches} == {3}


@pytest.mark.django_db(transaction=True)
def test_whoever_writes_the_same_new_values_waits_in_one_order():
    cast = build.the_cast()
    say(cast, "aster", 2)
    first, second = Holding.unrestricted.order_by("pk")
    ready = threading.Barrier(2)

    def write(holding: Holding, step: int) -> None:
        try:
            for number in range(10):
                said = [TokenSaid("device", "clear", "", f"{number}-{place}") for place in range(500)][::step]
                message = Message()
                carrying.write([carrying.Carrying(holding.pk, holding.audience_id, said, anew=True)], within=message)
                ready.wait(DEADLINE_S)
                with transaction.atomic():
                    message.send()
        finally:
            ready.abort()
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(write, first, 1), pool.submit(write, second, -1)]:
            done.result(DEADLINE_S)
    assert TokenValue.objects.filter(subkind="device").count() == 5_000
