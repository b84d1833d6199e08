"""The log divided by place: PostgreSQL's own partitions, under the same verbs (ADR 0048)."""

from __future__ import annotations

import io
import re

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction

from exchange import ailing, guards, pooling
from exchange.errors import Gone
from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes, dividing, traits
from indicators.reading import selecting
from tests import build

pytestmark = pytest.mark.django_db


def followed(viewer, *, after=0):
    """What follows a place; all that is to be had, for who begins."""
    fresh = 0 if after else changes.head()
    span = changes.since(viewer, EVERYTHING, after=after, fresh_until=fresh, limit=100)
    assert not span.more
    return [(change.op, change.stix_id, change.seq, change.date_added) for change in span.changes], span.reached


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def types(*line, **options):
    """The command, as an operator; returns what it says."""
    execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")  # of what this test's transaction wrote
    said = io.StringIO()
    call_command("log_parts", *line, stdout=said, **options)
    return said.getvalue()


def published(cast, count, **options):
    made = [build.an_indicator(**options) for _ in range(count)]
    build.publish(cast.viewer("aster"), *made, groups=("ring",))
    return [one["id"] for one in made]


def listed(viewer):
    """Ids, places and dates of a list, and of each object with all its versions."""
    pages = [reading.page(viewer, selecting.Selection(versions=versions), limit=100) for versions in ("last", "all")]
    return [[(one.stix_id, one.seq, one.date_added) for one in page.statements] for page in pages]


def shape():
    """What the log has besides rows: columns, indexes, constraints, triggers."""
    indexes = (
        "SELECT indexname, replace(indexdef, 'ON ONLY', 'ON') FROM pg_indexes WHERE tablename = 'indicators_change'"
    )
    return [
        execute(
            "SELECT attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(d.adbin, d.adrelid)"
            " FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
            " WHERE attrelid = 'indicators_change'::regclass AND attnum > 0 AND NOT attisdropped ORDER BY 1"
        ),
        execute(f"{indexes} ORDER BY 1"),
        execute(
            "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
            " WHERE conrelid = 'indicators_change'::regclass AND contype <> 'n' ORDER BY 1"
        ),
        sorted(dividing.triggers("indicators_change")),
        execute("SELECT relacl::text FROM pg_class WHERE oid = 'indicators_change'::regclass"),
    ]


def test_the_log_is_divided_by_a_command_and_written_and_read_as_before():
    cast = build.the_cast()
    borealis = cast.viewer("borealis")
    execute("GRANT SELECT ON indicators_change TO pg_monitor")
    was = shape()
    old = published(cast, 3)
    told, place = followed(borealis)
    assert [stix_id for _, stix_id, *_ in told] == old

    assert "would be read once" in types("divide", dry_run=True)
    assert not dividing.is_divided()
    ends = []
    for _ in range(2):
        ends.append(changes.head() + 1)
        types("divide", place=ends[-1])
        assert shape() == was, "all that the table had"
        assert guards.missing() == []
        assert guards.half_cut() == []
        assert followed(borealis) == (told, place), "the same to a beginner"
        new = published(cast, 12)  # more than go at once
        later, _ = followed(borealis, after=place)
        assert [stix_id for _, stix_id, *_ in later] == new, "a cursor of before leads on into the next part"
        told, place = followed(borealis)
    assert [(part.first, part.end) for part in dividing.parts()] == [(0, ends[0]), (ends[0], ends[1]), (ends[1], None)]
    assert dividing.place_ahead() >= changes.head() + 1_000_000
    with pytest.raises(CommandError, match="ahead of what is written"):
        types("divide", place=changes.head())

    for name in ("indicators_change", *(part.name for part in dividing.parts())):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(f"UPDATE {name} SET reason = ''")
    execute("DROP TRIGGER log_is_append_only ON change_newest")
    assert guards.missing() == ["log_is_append_only on change_newest"]

    # Who follows looks at the parts that it needs alone, and what was written is in the index of each.
    plan = "\n".join(
        row[0] for row in execute(f"EXPLAIN SELECT * FROM indicators_change WHERE channel = 1 AND seq > {ends[1]}")
    )
    assert re.findall(r"on (change_\w+)", plan) == ["change_newest"]
    assert len(execute(traits.INDEX)) == 3


def test_a_cut_gives_way_to_who_uses_the_log_and_comes_back(monkeypatch):
    monkeypatch.setattr(dividing, "LOCK_MS", 20)
    monkeypatch.setattr(dividing, "_PAUSE_S", 0)
    with psycopg.connect(pooling.direct()) as other:
        other.execute("SELECT FROM indicators_change LIMIT 1")
        said = []

        def say(line):
            said.append(line)
            if "in use" in line:
                other.rollback()

        dividing.cut(changes.head() + 1, say=say)
    assert sum("in use" in line for line in said) == 1
    assert dividing.is_divided()


def test_what_a_broken_cut_leaves_is_told_and_goes_with_the_next():
    cast = build.the_cast()
    published(cast, 1)
    execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    dividing._bound("indicators_change", changes.head() + 2)
    (looked,) = [found for found in ailing.looked() if found.what == "parts of the log"]
    assert (looked.well, looked.says) == (False, "a cut of indicators_change was broken off")
    types("divide", place=changes.head() + 2)
    published(cast, 3)
    assert guards.half_cut() == []


@pytest.mark.slow
def test_an_old_part_goes_to_an_archive_and_lists_and_followers_notice_nothing(settings):
    cast = build.the_cast()
    borealis = cast.viewer("borealis")
    stays, gone = published(cast, 3), published(cast, 2)
    _, place = followed(borealis)
    withdrawing.withdraw(cast.viewer("aster"), gone)
    end = changes.head() + 1
    types("divide", place=end)
    later = published(cast, 2)
    name, archive = f"change_before_{end}", f"change_archived_{end}"

    with pytest.raises(CommandError, match="Readers may still need it"):
        types("archive", name)
    settings.CHANGE_DAYS = 0
    with pytest.raises(CommandError, match="It is the newest part"):
        types("archive", "change_newest")
    with pytest.raises(CommandError, match="no such part"):
        types("archive", "partners_partner")
    told, lists = followed(borealis), listed(borealis)
    every_row = execute(f"SELECT count(*) FROM {name} WHERE op = 'upsert'")
    assert "6 stay in the log" in types(
        "archive", name, dry_run=True
    )  # in the group's channel, and the publisher's own
    assert "6 stay in the log" in types("archive", name)

    assert followed(borealis) == told, "the same ids at the same places under the same dates"
    assert listed(borealis) == lists
    with pytest.raises(Gone):
        followed(borealis, after=place)  # who held what ended since, and did not read so far
    assert [stix_id for _, stix_id, *_ in told[0]] == stays + later
    assert execute(f"SELECT count(*) FROM {archive}") == every_row, "and the archive has what was not pruned"
    assert guards.missing() == []
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        execute(f"UPDATE {name} SET reason = ''")
    assert f"{archive}: an archive" in types()
    with pytest.raises(CommandError, match="no such part"):
        types("drop", name)
    types("drop", archive)
    assert followed(borealis) == told
    last = published(cast, 1)
    assert [stix_id for _, stix_id, *_ in followed(borealis, after=told[1])[0]] == last
