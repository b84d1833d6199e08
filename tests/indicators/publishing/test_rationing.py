"""Each member's share of the log: its rows are counted, and bounded in a batch and in an hour."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db.models import F

from exchange import clock
from indicators.models import Change, Holding, LogShare
from indicators.publishing import rationing
from partners.defaults import DefaultAudience
from partners.groups import steering
from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


def rows_of(partner) -> int:
    return sum(LogShare.objects.filter(partner=partner).values_list("rows", flat=True))


def test_rows_are_counted_not_objects(cast, aster):
    aster.push(build.an_indicator(), build.an_indicator(), query="?groups=ring")
    assert rows_of(cast.aster) == Change.unrestricted.count() == 2 * 2
    named = build.an_indicator()
    aster.push(named, query="?partners=borealis,cygnus&tlp=amber")
    assert rows_of(cast.aster) == Change.unrestricted.count() == 2 * 2 + 3
    assert aster.send("PUT", f"objects/{named['id']}/audience", {"partners": ["borealis"]}).status_code < 300
    narrowed = rows_of(cast.aster)
    assert narrowed >= Change.unrestricted.count() > 2 * 2 + 3
    assert aster.send("POST", f"objects/{named['id']}/withdraw", None).status_code < 300
    assert rows_of(cast.aster) == narrowed + 2
    assert rows_of(cast.borealis) == 0


def test_a_batch_to_so_many_that_it_makes_too_many_rows_is_refused_whole(cast, aster, settings):
    settings.LOG_ROWS_PER_BATCH = 8
    three = [build.an_indicator() for _ in range(3)]
    answer = aster.push(*three, query="?partners=borealis,cygnus&tlp=amber")
    assert (code(answer, 422), at(answer)) == ("too-many-rows", "/objects")
    assert not Holding.unrestricted.exists()
    read(aster.push(*three[:2], query="?partners=borealis,cygnus&tlp=amber"))


def test_who_used_up_the_hour_waits_for_the_next_and_may_still_take_back(cast, aster, settings):
    settings.LOG_ROWS_PER_HOUR = 4
    first = build.an_indicator()
    body = [first, build.an_indicator()]
    once = {"Idempotency_Key": str(uuid.uuid4())}
    pushed = read(aster.push(*body, query="?groups=ring", **once))
    answer = aster.push(build.an_indicator(), query="?groups=ring")
    assert code(answer, 429) == "log-share"
    assert 0 < int(answer.headers["Retry-After"]) <= 3_601
    assert read(aster.push(*body, query="?groups=ring", **once)) == pushed  # a retry makes no rows
    assert aster.send("POST", f"objects/{first['id']}/withdraw", None).status_code < 300
    assert Caller(cast.keys["borealis"]).push(build.an_indicator(), query="?groups=ring").status_code == 200
    LogShare.objects.update(hour=F("hour") - timedelta(hours=1))
    read(aster.push(build.an_indicator(), query="?groups=ring"))


def test_the_partners_of_a_default_audience_count_as_named_ones_do(cast, aster, settings):
    settings.LOG_ROWS_PER_BATCH = 8
    three_partners = DefaultAudience(
        partners=tuple(sorted(one.pk for one in (cast.borealis, cast.cygnus, cast.dorado)))
    )
    steering.set_default_audience(cast.aster, three_partners, by=None)
    three = [build.an_indicator() for _ in range(3)]
    assert code(aster.push(*three), 422) == "too-many-rows"
    read(aster.push(*three[:2]))


def test_hours_are_forgotten_once_they_are_older_than_yesterday(cast, aster):
    read(aster.push(build.an_indicator(), query="?groups=ring"))
    for hours, kept in ((24, 1), (47, 1), (49, 0)):
        LogShare.objects.update(hour=clock.now() - timedelta(hours=hours))
        rationing.forget_old()
        assert LogShare.objects.count() == kept
