"""The numbers of the start page: each counted through the rule, for whoever looks."""

from __future__ import annotations

import pytest
import time_machine

from exchange import clock
from indicators.reading import overview
from indicators.stix import making
from tests import build

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def came(viewer) -> int:
    return sum(count for kinds in overview.arrivals(viewer).hours.values() for count in kinds.values())


def test_what_came_is_counted_for_each_viewer_through_the_rule(cast):
    build.publish(cast.viewer("aster"), build.an_indicator(), build.an_indicator(), groups=("ring",))
    build.publish(cast.viewer("aster"), making.account_pattern(tlp_word="green"), everyone=True)
    build.publish(cast.viewer("cygnus"), build.an_indicator(), partners=("dorado",))
    names = ("aster", "borealis", "cygnus", "dorado", "operator")
    assert [came(cast.viewer(name)) for name in names] == [3, 3, 2, 2, 1]
    assert [overview.arrivals(cast.viewer(name)).publishers for name in names] == [1, 1, 2, 2, 1]


def test_the_word_of_the_start_page_changes_for_who_sees_something_new_and_for_nobody_else(cast):
    names = ("aster", "borealis", "cygnus", "dorado")
    with time_machine.travel(clock.now().replace(minute=30), tick=False):  # each hour it is another word
        before = {name: overview.place(cast.viewer(name)) for name in names}
        build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
        changed = {name for name in names if overview.place(cast.viewer(name)) != before[name]}
    assert changed == {"aster", "borealis"}


def test_what_was_narrowed_since_it_came_is_counted_for_nobody_who_lost_sight_of_it(cast):
    aster, one = cast.viewer("aster"), build.an_indicator()
    build.publish(aster, one, groups=("ring",))
    assert [came(cast.viewer(name)) for name in ("aster", "borealis", "dorado")] == [1, 1, 0]
    build.publish(aster, one, partners=("dorado",))
    assert [came(cast.viewer(name)) for name in ("aster", "borealis", "dorado")] == [1, 0, 0], (
        "and what came into sight did not come in"
    )
