"""Counts for people: of how many holdings, and that what was not looked at is said to be there."""

from __future__ import annotations

import pytest

from indicators.feeds import spelling
from indicators.feeds.filters import Filter
from indicators.reading import listing
from indicators.reading.selecting import Selection
from indicators.stix import making
from tests import build

pytestmark = pytest.mark.django_db


def test_who_else_says_a_value_is_asked_of_fewer(monkeypatch):
    cast = build.the_cast()
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(3)))
    viewer = cast.viewer("aster")
    plain, closely = (Filter(spelling.read_text(text)) for text in ("kind:account-pattern", "publishers:>=1"))
    all_of, at_least = listing.Tally(3, cut=False), listing.Tally(3, cut=True)
    assert listing.tallied(viewer, [closely, plain]) == [all_of, all_of]
    monkeypatch.setattr(listing, "LOOKED_AT_CLOSELY", 2)
    assert listing.tallied(viewer, [plain, closely, plain]) == [all_of, at_least, all_of]
    assert listing.tallied(viewer, []) == []
    assert not listing.counted(viewer, Selection(filter=plain)).cut
    assert listing.counted(viewer, Selection(filter=closely)).cut
    assert listing.ordered(viewer, Selection(filter=closely), by="left", down=False, offset=0, limit=9).cut
