"""Pages, look-ups and filters of a store as it grows: what they read is about what they return (`tests/indicators/scale.py`).

EXCHANGE_SCALE sets another number of objects; a million take a minute.
"""

from __future__ import annotations

import os

import pytest
from django.db import connection

from indicators import reading
from indicators.feeds import spelling
from indicators.feeds.filters import Filter
from indicators.models import StixObject
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners import sharing
from partners.models import Group
from tests import build, stores
from tests.indicators import scale
from tests.plans import read_by, watched

pytestmark = [pytest.mark.django_db, pytest.mark.long]
OBJECTS = int(os.environ.get("EXCHANGE_SCALE", "60000"))
PARTNERS, GROUPS, PAGE = 50, 200, 1_000


@pytest.fixture(autouse=True, scope="module")
def as_before(django_db_setup, django_db_blocker):
    """Rows that were taken back are still in their files, and ANALYZE's counts stay: later tests would read and plan by them."""
    yield
    with django_db_blocker.unblock():
        with connection.cursor() as cursor:
            cursor.execute("VACUUM")
        stores.forget_statistics()


def test_pages_and_look_ups_read_what_they_return_and_filters_no_more():
    reader = scale.a_crowd(partners=PARTNERS, groups=GROUPS, objects=OBJECTS)[3]
    _read_what_they_return(reader)  # without statistics
    scale.a_set_is_looked_up_by_keys_from_its_first_row_on(reader)
    scale.values_are_found_by_their_keys(reader)
    scale.a_feed_reads_what_is_new(reader)
    scale.writing_reads_no_table_whole(reader)
    scale.what_is_pointed_to_is_not_read_where_it_is_held(reader)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _read_what_they_return(reader)
    scale.values_are_found_by_their_keys(reader)
    scale.writing_reads_no_table_whole(reader)
    _few_objects_among_many_read_few_rows(reader)


RARE = (
    "kind:prompt-signature",
    "subkind:par severity:critical",
    "kind:payment-fingerprint tlp:amber matched:true",
    "severity:low,medium",
    "confidence:<40",
    "control:compromised_victim elicitation:vision",
    "technique:AML.T0054",
    "publishers:>=2",
    "standing:disputed",
    "until:<1d",
    "age:>52w",
    "-kind:account-pattern",
    "entries:false",
    "from:mine kind:prompt-signature",
    "type:campaign or detector:d-0123abcd",
    "words:indicator--00000000-0000-4000-8000-000000000000",
    "campaign:campaign--00000000-0000-4000-8000-000000000000",
)


def _read_what_they_return(reader) -> None:
    scale.read_what_they_return(reader, objects=StixObject.unrestricted.count(), page_of=PAGE)
    scale.look_ups_read_what_they_return(reader)


def _few_objects_among_many_read_few_rows(reader) -> None:
    """As production plans it, with statistics: no table is read whole, and no log walked to its end."""
    group = next(slug for slug in (f"group-{number}" for number in range(1, GROUPS)) if _is_in(reader, slug))
    rare = [
        making.payment_fingerprint(
            "par", extension={"severity": "critical", "techniques": ["AML.T0054"]}, tlp_word="amber", confidence=30
        ),
        making.prompt_signature(
            extension={"elicitation": "vision", "severity": "low", "control": "compromised_victim"}
        ),
    ]
    for one in rare:
        build.publish(reader, one, groups=(group,))
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    for text in RARE:
        with watched() as plans:
            page = reading.newest(reader, Selection(filter=Filter(spelling.read_text(text))), limit=100)
        assert len(page.statements) < 10, text
        assert read_by(plans) <= WALKED + 10 * sharing.mine(reader).count() + 200, text
        # A list of what is not in the index yet would be read once more for each channel and word.
        assert sum(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] for plan in plans) < 100_000, text


#: How many places are walked before the index of traits is asked.
WALKED = 7_000


def _is_in(reader, slug):
    return Group.objects.filter(slug=slug, pk__in=reader.group_ids).exists()
