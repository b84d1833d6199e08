"""What was pruned is noted in the sight of those alone who were told of it, and goes with nobody who leaves."""

import pytest

from exchange import clock
from exchange.errors import Gone
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes, pruning
from indicators.sight import resighting
from partners.models import Sight
from tests import build
from tests.indicators.log.test_joining import joins, leaves

pytestmark = pytest.mark.django_db


def published(cast):
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring",))
    return made["id"]


def read(cast, name, *, after):
    return changes.since(cast.viewer(name), EVERYTHING, after=after, limit=9).changes


def test_who_joined_after_a_removal_does_not_start_over_when_it_is_pruned(settings):
    settings.CHANGE_DAYS, cast = 0, build.the_cast()
    withdrawing.withdraw(cast.viewer("aster"), [published(cast)])
    joins(cast.cygnus, cast.ring)
    assert pruning.prune() == 2, "its publisher is told in a channel of its own"
    assert read(cast, "cygnus", after=0) == []


def test_who_left_before_a_removal_does_not_start_over_when_it_is_pruned(settings):
    settings.CHANGE_DAYS, cast = 0, build.the_cast()
    place = changes.own_end(cast.viewer("borealis"))
    leaves(cast.borealis, "ring")
    withdrawing.withdraw(cast.viewer("aster"), [published(cast)])
    assert pruning.prune(limit=2) == 2, "and the sight that was closed is still there"
    assert Sight.objects.filter(partner=cast.borealis).exclude(until=None).exists()
    assert read(cast, "borealis", after=place) == []


def test_a_sight_that_was_closed_goes_though_others_are_told_of_removals_since(monkeypatch):
    cast = build.the_cast()
    stays = published(cast)
    leaves(cast.borealis, "ring")
    resighting.tell_all()
    closed = clock.now()
    withdrawing.withdraw(cast.viewer("aster"), [stays])
    monkeypatch.setattr("indicators.log.pruning.timedelta", lambda days: clock.now() - closed)
    pruning.prune()
    assert not Sight.objects.filter(partner=cast.borealis).exclude(until=None).exists()


def test_what_a_sight_lost_before_it_was_closed_is_not_forgotten_with_it(settings, monkeypatch):
    settings.CHANGE_DAYS, cast = 0, build.the_cast()
    lost, _ = published(cast), published(cast)
    place = changes.own_end(cast.viewer("borealis"))
    withdrawing.withdraw(cast.viewer("aster"), [lost])
    assert pruning.prune() == 2
    closed = clock.now()  # the place up to which they saw it; that they left is told behind it
    leaves(cast.borealis, "ring")
    monkeypatch.setattr("indicators.log.pruning.timedelta", lambda days: clock.now() - closed)
    pruning.prune()
    assert not Sight.objects.filter(partner=cast.borealis).exclude(until=None).exists()
    with pytest.raises(Gone):
        read(cast, "borealis", after=place)
