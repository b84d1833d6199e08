"""The index of traits is asked for each channel and block that has rows, and for nothing else."""

from __future__ import annotations

import pytest
from django.db import connection

from indicators.log import traits, walking
from indicators.opinions import giving
from indicators.stix import vocabulary
from tests import build

pytestmark = pytest.mark.django_db


def looks(viewer, *needs, first="0", last="100"):
    """How many looks a stretch takes, and how many numbers each compares a row with."""
    sieve = traits.Sieve([frozenset(need) for need in needs])
    numbers = [f"cardinality(need{place})" for place in range(len(needs))]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH {walking.OPEN} {sieve.numbers(first, last)} SELECT {', '.join(numbers)} FROM sought",
            walking.of(viewer) | sieve.parameters,
        )
        return cursor.fetchall()


def test_groups_in_which_nothing_was_told_cost_no_look_and_each_look_compares_with_its_own_words_alone():
    cast = build.the_cast()
    aster, borealis = (cast.viewer(name) for name in ("aster", "borealis"))
    for number in range(9):
        build.a_ring(
            *[build.Partner.objects.get(pk=viewer.partner_id) for viewer in (aster, borealis)], slug=f"g{number}"
        )
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)], groups=("g3",))
    reader = cast.viewer("borealis")
    assert looks(reader, ["kind=a"], ["tlp=1", "tlp=2"]) == [(1, 2)]


def test_blocks_in_which_nothing_was_told_cost_no_look():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), build.an_indicator())
    whole = str((5 << traits.BLOCK_BITS) - 1)
    assert looks(cast.viewer("borealis"), ["kind=a"], last=whole) == [(1,)]


def pending():
    """Pages of rows that each look would read one by one, for the index has not taken them in."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT gin_clean_pending_list('change_by_trait')")
        return cursor.fetchone()[0]


def test_whoever_writes_rows_has_the_index_take_them_in_at_once():
    cast = build.the_cast()
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring",))
    assert pending() == 0, "one"
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(20)], groups=("ring",))
    assert pending() == 0, "some"
    same = build.an_indicator(carrier={"tokens": made["extensions"][vocabulary.EXTENSION_ID]["tokens"]})
    build.publish(cast.viewer("borealis"), same, groups=("ring",))
    assert pending() == 0, "the match marks the older object"
    build.publish(cast.viewer("aster"), made, everyone=True)
    assert pending() == 0, "moved"
    giving.give(cast.viewer("borealis"), made["id"], opinion="agree", reason="confirmed_here")
    assert pending() == 0, "judged"
