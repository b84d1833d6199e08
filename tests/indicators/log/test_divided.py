"""Nothing forbids that the log is divided by place: PostgreSQL's own partitions, under the same verbs (ADR 0048)."""

from __future__ import annotations

import pytest
from django.db import DatabaseError, connection, transaction

from exchange import guards
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from tests import build

pytestmark = pytest.mark.django_db

# As a migration would: what is there becomes the first part, as it lies, and the next part takes what comes. `LIKE` takes
# over no trigger, so each is made on the new table as it stands on the old one; of the parts, too, none is rewritten.
_DIVIDE = """
ALTER TABLE indicators_change RENAME TO change_to_%(end)s;
CREATE TABLE indicators_change (LIKE change_to_%(end)s INCLUDING ALL) PARTITION BY RANGE (seq);
ALTER INDEX change_by_trait RENAME TO change_to_%(end)s_by_trait;
ALTER TABLE indicators_change ATTACH PARTITION change_to_%(end)s FOR VALUES FROM (0) TO (%(end)s);
CREATE TABLE change_from_%(end)s PARTITION OF indicators_change FOR VALUES FROM (%(end)s) TO (MAXVALUE);
ALTER INDEX change_from_%(end)s_traits_idx RENAME TO change_by_trait;
DO $$
DECLARE made text;
BEGIN
    FOR made IN
        SELECT replace(pg_get_triggerdef(t.oid), 'change_to_%(end)s', named)
        FROM pg_trigger t CROSS JOIN unnest(ARRAY['indicators_change', 'change_from_%(end)s']) named
        WHERE t.tgrelid = 'change_to_%(end)s'::regclass AND NOT t.tgisinternal
          AND (named = 'indicators_change' OR starts_with(t.tgname, 'log_is_'))
    LOOP
        EXECUTE made;
    END LOOP;
END $$;
"""


def followed(viewer, *, after=0):
    span = changes.since(viewer, EVERYTHING, after=after, limit=100)
    assert not span.more
    return [(change.op, change.stix_id) for change in span.changes], span.reached


def execute(sql):
    with connection.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchall() if cursor.description else []


def test_the_log_is_divided_by_place_written_and_read_and_an_old_part_taken_away():
    cast = build.the_cast()
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    old = [build.an_indicator() for _ in range(3)]
    build.publish(aster, *old, groups=("ring",))
    told, place = followed(borealis)
    assert told == [("upsert", one["id"]) for one in old]

    end = changes.head() + 1
    execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    execute(_DIVIDE % {"end": end})
    assert guards.missing() == [], "the rules that PostgreSQL keeps are kept of the new table, too"
    assert followed(borealis) == (told, place), "the same to a beginner"
    new = [build.an_indicator() for _ in range(12)]  # more than go at once
    build.publish(aster, *new, groups=("ring",))
    assert execute(f"SELECT count(*) > 0 FROM change_from_{end}") == [(True,)]
    later, _ = followed(borealis, after=place)
    assert later == [("upsert", one["id"]) for one in new], "a cursor of before leads on into the next part"
    assert followed(borealis)[0] == told + later

    for name in ("indicators_change", f"change_from_{end}", f"change_to_{end}"):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            execute(f"UPDATE {name} SET reason = ''")

    # Who follows looks at the parts that it needs alone.
    plan = "\n".join(
        row[0] for row in execute(f"EXPLAIN SELECT * FROM indicators_change WHERE channel = 1 AND seq > {end}")
    )
    assert f"change_from_{end}" in plan
    assert f"change_to_{end}" not in plan

    pending = execute("SELECT indrelid::regclass::text FROM pg_index WHERE indexrelid = 'change_by_trait'::regclass")
    assert pending == [(f"change_from_{end}",)], "whoever writes empties the list of the part that they write to"
    execute(f"ALTER TABLE indicators_change DETACH PARTITION change_to_{end}")
    assert followed(borealis, after=place)[0] == later, "whoever stood after it notices nothing"
    assert execute(f"SELECT count(DISTINCT seq) FROM change_to_{end}") == [(3,)], "and the archive has it"
    execute("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    execute(f"DROP TABLE change_to_{end}")
    last = build.an_indicator()
    build.publish(aster, last, groups=("ring",))
    assert followed(borealis, after=place)[0] == [*later, ("upsert", last["id"])], "and once it is gone"
