"""Pages and manifests for readers of many groups, beside a neighbour who shares with many sets of partners.

What they read is about what they return: it grows neither with the reader's groups nor with the audiences of others.
"""

from __future__ import annotations

import random

import pytest
from django.db import connection

from bench import filling
from indicators.taxii import collections, pages
from indicators.taxii.filters import Query
from partners.models import Audience
from partners.scopes import Scope
from partners.sharing import mine
from tests import build, stores
from tests.indicators.scale import SLACK
from tests.plans import read_by, watched

pytestmark = pytest.mark.django_db
GROUPS, OBJECTS, PAGE, SETS = 40, 3_000, 200, 60


def turned(viewer, turn, **asked):
    """The page, how many statements made it, and how many rows of the big tables these looked at."""
    everything = collections.find(viewer, "everything")
    with watched() as plans:
        page = turn(viewer, everything, Query(limit=PAGE, **asked))
    return page, len(plans), read_by(plans)


@pytest.mark.parametrize(
    "analysed", [pytest.param(False, id="without statistics"), pytest.param(True, id="with statistics")]
)
def test_a_page_and_a_manifest_read_what_they_return_whatever_groups_and_audiences_there_are(analysed):
    stores.forget_statistics()
    publisher, hider = build.a_partner("Publisher"), build.a_partner("Hider")
    readers = {count: build.a_partner(f"Reader{count}") for count in (5, 20, 40)}
    templates = []
    for number in range(GROUPS):
        inside = [partner for count, partner in readers.items() if number < count]
        group = build.a_ring(publisher, *inside, slug=f"group-{number}")
        templates.append(build.an_indicator())
        build.publish(build.viewer_of(publisher, Scope.PUBLISH), templates[-1], groups=(group.slug,))
    filling.fill(connection.connection, [one["id"] for one in templates], OBJECTS)
    viewers = {count: build.viewer_of(partner, Scope.READ) for count, partner in readers.items()}
    _analyse(analysed)
    before = _costs(viewers)
    _hide(hider, list(readers.values()))
    _analyse(analysed)
    after = _costs(viewers)
    assert Audience.objects.filter(publisher=hider).count() > SETS * 0.9, "the sets are not different ones"
    for (count, name), (statements, rows) in after.items():
        returned = 0 if name == "nothing new" else PAGE
        # Six for each that is returned, and as many in a stretch that is wider than it had to be. Of each channel the
        # first row is looked at, and of those that a stretch ends in, rows beyond it.
        assert rows <= 12 * (returned + 1) + 3 * mine(viewers[count]).count() + SLACK, (count, name)
        assert statements <= (1 if name == "nothing new" else 3), (count, name)
        # What was shared with the reader itself may be looked at, too.
        assert statements == before[count, name][0], (count, name)
        assert rows <= before[count, name][1] + SETS // len(viewers) + SLACK, (count, name)


def _costs(viewers) -> dict[tuple[int, str], tuple[int, int]]:
    """By how many groups a reader is in and what they ask: statements, and rows that were looked at."""
    found = {}
    for count, viewer in viewers.items():
        for name, turn in (("page", pages.turn), ("manifest", pages.turn_manifest)):
            turned(viewer, turn)  # how far apart this reader's rows lie is known from the page before
            page, *cost = turned(viewer, turn)
            assert len(page.items) == PAGE
            found[count, name] = tuple(cost)
        late = page.last
        while (page := turned(viewer, pages.turn, added_after=late)[0]).items:
            late = page.last
        page, *cost = turned(viewer, pages.turn, added_after=late)
        found[count, "nothing new"] = tuple(cost)
    return found


def _hide(hider, readers) -> None:
    """The neighbour shares objects with sets of partners of its own choice, of which each has one of the readers."""
    chance, others = random.Random(3), [build.a_partner(f"Other{number}") for number in range(12)]
    for number in range(SETS):
        named = [readers[number % len(readers)], *chance.sample(others, 3)]
        slugs = tuple(partner.slug for partner in named)
        build.publish(build.viewer_of(hider, Scope.PUBLISH), build.an_indicator(), partners=slugs)


def _analyse(wanted) -> None:
    if wanted:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
