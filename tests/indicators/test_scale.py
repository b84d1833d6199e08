"""What pages and deltas read is about what they return; `tests/drills/test_scale.py` asks a large store, and look-ups."""

from __future__ import annotations

import pytest
from django.db import connection

from indicators.models import StixObject
from tests.indicators import scale

pytestmark = pytest.mark.django_db
OBJECTS, PAGE = 6_000, 200


@pytest.mark.core
def test_pages_and_deltas_read_what_they_return():
    reader = scale.a_crowd(partners=10, groups=20, objects=OBJECTS)[3]
    scale.a_set_is_looked_up_by_keys_from_its_first_row_on(reader)
    scale.values_are_found_by_their_keys(reader)  # without statistics
    scale.a_word_reads_about_what_is_shown(reader)
    scale.writing_reads_no_table_whole(reader)
    scale.a_word_reads_about_what_is_shown(reader)  # planned as for a million
    scale.what_is_pointed_to_is_not_read_where_it_is_held(reader)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    scale.read_what_they_return(reader, objects=StixObject.unrestricted.count(), page_of=PAGE, of_each=10)
    scale.what_is_ones_own_is_read_by_its_audiences(reader)
    scale.a_feed_reads_what_is_new(reader)
    scale.values_are_found_by_their_keys(reader)
    scale.a_word_reads_about_what_is_shown(reader)
    scale.writing_reads_no_table_whole(reader)
    scale.a_filter_is_found_by_the_index_and_read_on_where_the_next_are_near(reader, page_of=PAGE)
