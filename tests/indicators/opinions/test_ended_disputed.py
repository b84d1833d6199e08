"""How much of what a filter let through was disputed later: what ended so counts, too."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from exchange import clock
from indicators.feeds import preview
from indicators.feeds.filters import accepted
from indicators.models import Opinion
from indicators.opinions import giving
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from tests import build

pytestmark = pytest.mark.django_db


def _found(viewer: Any, text: str) -> tuple[int, int, int]:
    looked = preview.preview(viewer, accepted(viewer, text))
    return looked.holds, looked.disputed, looked.ended_disputed


def test_a_preview_counts_what_was_disputed_and_ended_since_for_those_who_saw_it() -> None:
    cast = build.the_cast()
    aster, cygnus = cast.viewer("aster"), cast.viewer("cygnus")
    eve = build.viewer_of(build.a_partner("Eve"))
    wrong, stale, lives = (build.an_indicator(tlp_word="green") for _ in range(3))
    build.publish(aster, wrong, stale, lives, everyone=True)
    giving.give(eve, wrong["id"], opinion="disagree", reason="false_positive")
    assert _found(cygnus, "type:indicator") == (3, 1, 0)
    for one in (wrong, stale):
        build.publish(aster, one | {"revoked": True, "modified": build.later()}, everyone=True)
    assert _found(cygnus, "type:indicator") == (1, 0, 1), "what ended undisputed is not counted"
    assert _found(cygnus, "type:malware") == (0, 0, 0)
    looked = preview.preview(cygnus, accepted(cygnus, "type:indicator"))
    assert looked.later_disputed == 1 / 2
    reach = Reach.in_words(aster, named=True, groups=("ring",))
    readdressing.readdress(aster, wrong["id"], reach)
    assert _found(cygnus, "type:indicator") == (1, 0, 0), "whoever is not shown it has no figure of it"


def test_what_was_disputed_long_ago_counts_no_more() -> None:
    cast = build.the_cast()
    wrong = build.an_indicator(tlp_word="green")
    build.publish(cast.viewer("aster"), wrong, everyone=True)
    giving.give(build.viewer_of(build.a_partner("Eve")), wrong["id"], opinion="disagree", reason="false_positive")
    build.publish(cast.viewer("aster"), wrong | {"revoked": True, "modified": build.later()}, everyone=True)
    assert _found(cast.viewer("cygnus"), "")[2] == 1
    Opinion.unrestricted.update(at=clock.now() - timedelta(days=91))
    assert _found(cast.viewer("cygnus"), "")[2] == 0
