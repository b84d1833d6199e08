"""Whoever said very much of an object that changes waits for their own, and nobody else for them."""

from __future__ import annotations

from typing import Any

import pytest

from indicators.models import BoundDue, Holding
from indicators.opinions import bounding
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from partners.groups import registering
from partners.keys import auth
from partners.models import Group
from partners.tlp import Tlp
from tests import build
from tests.indicators.opinions.test_bounding import _followed, _sighting, world  # noqa: F401 - fixture


def _much_is_said(cast: Any, shown: Any) -> None:
    for who, count, groups in (("borealis", 5, ("ring", "cti")), ("cygnus", 1, ("cti",))):
        said = [_sighting(cast.viewer(who), shown["id"]) for _ in range(count)]
        assert build.publish(cast.viewer(who), *said, groups=groups, tlp=Tlp.GREEN).counts["accepted"] == count


def _strict(publisher: Any) -> int:
    said = Holding.unrestricted.filter(stix_type="sighting", publisher=publisher)
    return said.filter(audience__tlp=Tlp.AMBER_STRICT).count()


def test_a_step_takes_as_much_of_each_partner_s_and_no_more(world: Any) -> None:  # noqa: F811
    cast, shown = world
    _much_is_said(cast, shown)
    _followed()
    assert not BoundDue.unrestricted.exists()
    after = bounding.changes.head()
    readdressing.readdress(cast.viewer("aster"), shown["id"], Reach(tlp=Tlp.AMBER_STRICT))
    bounding.find(after=after)
    bounding.find(after=after)
    assert BoundDue.unrestricted.count() == 6, "noted once, however often it changes"
    steps = [(bounding.bring(each=2), _strict(cast.borealis), _strict(cast.cygnus)) for _ in range(3)]
    assert steps == [(True, 2, 1), (True, 4, 1), (False, 5, 1)]
    assert not BoundDue.unrestricted.exists()


def test_what_a_step_leaves_is_brought_in_the_next(world: Any, monkeypatch: Any) -> None:  # noqa: F811
    cast, shown = world
    _much_is_said(cast, shown)
    readdressing.readdress(cast.viewer("aster"), shown["id"], Reach(tlp=Tlp.AMBER_STRICT))
    monkeypatch.setattr(bounding.bring, "__kwdefaults__", {"each": 1})
    bounding.catch_up()
    assert (_strict(cast.borealis), _strict(cast.cygnus)) == (5, 1)


@pytest.mark.slow
def test_what_the_exchange_says_stays_where_it_told_it(world: Any) -> None:  # noqa: F811
    """It is no partner, and sees no objects of its own: whoever looks at what it said ends no follower."""
    cast, shown = world
    by = auth.viewer_of_exchange(registering.the_exchange(), Group.objects.get(slug="ring").pk)
    said = _sighting(by, shown["id"])
    assert build.publish(by, said, groups=("ring",), tlp=Tlp.GREEN).counts["accepted"] == 1
    readdressing.readdress(cast.viewer("aster"), shown["id"], Reach(tlp=Tlp.AMBER_STRICT))
    bounding.catch_up()
    assert Holding.unrestricted.get(stix_id=said["id"]).audience.tlp == Tlp.GREEN
    assert not BoundDue.unrestricted.exists()
