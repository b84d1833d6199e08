"""What a page costs: about the rows that it returns, wherever it lies, however many objects, partners and groups there are.

Rows are made as publishing makes them (`bench.filling`), in the test's own transaction, so that no statistics exist:
the plans must be right without ANALYZE, and with it. EXCHANGE_SCALE sets another number; a million objects take a minute.
"""

from __future__ import annotations

import os
import random
import re
from contextlib import contextmanager
from datetime import timedelta

import pytest
from django.db import connection

from bench import filling
from indicators import reading
from indicators.feeds import spelling
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Change, StixObject
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners import sharing
from partners.models import Group
from partners.scopes import Scope
from tests import build, stores

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
OBJECTS = int(os.environ.get("EXCHANGE_SCALE", "60000"))
PARTNERS, GROUPS, PAGE = 50, 200, 1_000
BIG = {
    *("indicators_holding", "indicators_stixobject", "indicators_carries", "indicators_tokenvalue"),
    "indicators_change",
}


@pytest.fixture
def crowd():
    """Viewers of 50 partners in 200 groups, and what they published: to groups, to everyone, to single partners."""
    stores.forget_statistics()
    chance = random.Random(7)
    partners = [build.a_partner(f"Partner{number}") for number in range(PARTNERS)]
    groups = [
        build.a_ring(*chance.sample(partners, chance.randint(3, 9)), slug=f"group-{number}") for number in range(GROUPS)
    ]
    viewers = [build.viewer_of(partner, Scope.READ, Scope.PUBLISH) for partner in partners]
    templates = []
    for number, group in enumerate(groups):
        member = chance.choice([v for v in viewers if group.pk in v.group_ids])
        made = build.an_indicator()
        how = {"groups": (group.slug,)} if number % 5 else {"everyone": True, "tlp": build.Tlp.GREEN}
        build.publish(member, made, **how)
        templates.append(made["id"])
    filling.fill(connection.connection, templates, OBJECTS - len(templates))
    return viewers


@contextmanager
def watched():
    """The hand-written queries of the block, each run again under EXPLAIN ANALYZE."""
    seen: list[tuple[str, object, dict[str, str]]] = []

    def note(execute, sql, parameters, many, context):
        if isinstance(parameters, dict):  # written by hand
            seen.append((sql, parameters, context.get("settings", {})))
        return execute(sql, parameters, many, context)

    plans: list[dict] = []
    with connection.execute_wrapper(note):
        yield plans
    explain = "EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON)"
    with connection.cursor() as cursor:
        for sql, parameters, settings in seen:
            names = list(dict.fromkeys(re.findall(r"%\((\w+)\)s", sql)))
            numbered = sql % {name: f"${place}" for place, name in enumerate(names, start=1)}
            for name, value in settings.items():
                cursor.execute(f"SET {name} = {value}")
            cursor.execute(f"PREPARE seen AS {numbered}")  # planned for all values, as it was
            cursor.execute(
                f"{explain} EXECUTE seen ({', '.join(['%s'] * len(names))})", [parameters[name] for name in names]
            )
            plans.append(cursor.fetchone()[0][0]["Plan"])
            cursor.execute("DEALLOCATE seen")
            for name in settings:
                cursor.execute(f"RESET {name}")


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def read_by(plans) -> int:
    """Rows of the big tables that were looked at, whether or not they were of use. Fails for a scan of a whole table."""
    read = 0
    for node in (node for plan in plans for node in nodes(plan) if node.get("Relation Name") in BIG):
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan"}, node
        useless = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        read += (node["Actual Rows"] + useless) * node["Actual Loops"]
    return round(read)


def test_pages_and_look_ups_read_what_they_return_and_filters_no_more(crowd):
    _read_what_they_return(crowd[3])  # without statistics
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    _read_what_they_return(crowd[3])
    _few_objects_among_many_read_few_rows(crowd[3])


def _read_what_they_return(reader) -> None:
    end = changes.head()
    middle, late = (Change.unrestricted.filter(seq=seq).first().date_added for seq in (end // 2, end - 20))
    seen = reading.page(reader, Selection(once=True), limit=PAGE)
    assert len(seen.statements) == PAGE
    # Of each channel the first row is looked at, and of those that a stretch ends in, rows beyond it.
    ahead = 3 * sharing.mine(reader).count() + SLACK
    assert StixObject.unrestricted.count() == OBJECTS

    for name, after, added_after in (
        ("first page", 0, None),
        ("page in the middle", end // 2, None),
        ("page after a date", 0, middle),
        ("what is new by cursor", end - 20, None),
        ("what is new by date", 0, late),
        ("nothing new by cursor", end, None),
        ("nothing new by date", 0, late + timedelta(hours=1)),
    ):
        with watched() as plans:
            page = reading.page(
                reader,
                Selection(once=True, added_after=added_after),
                after=after,
                limit=PAGE,
                max_bytes=8 * 1024 * 1024,
            )
        assert read_by(plans) <= 6 * (len(page.statements) + 1) + ahead, name
        assert len(plans) <= 3, name

    for name, after in (
        ("delta, first", 0),
        ("delta, middle", end // 2),
        ("delta, new", end - 20),
        ("delta, idle", end),
    ):
        with watched() as plans:
            span = changes.since(reader, Filter(), after=after, limit=PAGE, fresh_until=end, max_bytes=8 * 1024 * 1024)
        assert read_by(plans) <= 6 * (len(span.changes) + 1) + ahead, name
        assert len(plans) <= 3, name

    ids = [statement.stix_id for statement in seen.statements[:200]]
    with watched() as plans:
        assert len(reading.looked_up(reader, ids, max_bytes=8 * 1024 * 1024)) == 200
    assert read_by(plans) <= 6 * 200 + SLACK
    with watched() as plans:
        assert len(reading.statements(reader, ids[0])) == 1
    assert read_by(plans) <= 6 + SLACK


#: Besides: the end of the log, and where a date lies in it.
SLACK = 4


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
