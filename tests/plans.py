"""What the hand-written queries of a block read, by their plans."""

from __future__ import annotations

import re
from contextlib import contextmanager

from django.db import connection

from exchange import sql as house

#: Tables that grow with what is published.
BIG = {
    *("indicators_holding", "indicators_stixobject", "indicators_carries", "indicators_tokenvalue"),
    *("indicators_change", "indicators_inforce"),
}


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


@contextmanager
def planned():
    """The plans for all values of what is prepared in the block, also of what writes: nothing is run again."""
    seen: dict[str, dict[str, str]] = {}

    def note(execute, sql, parameters, many, context):
        if "settings" in context:  # by `exchange.sql`
            seen[sql] = context["settings"]
        return execute(sql, parameters, many, context)

    plans: list[dict] = []
    with connection.execute_wrapper(note):
        yield plans
    with connection.cursor() as cursor:
        for sql, settings in seen.items():
            if sql.split(maxsplit=1)[0] not in {"SELECT", "WITH", "INSERT", "UPDATE", "DELETE"}:
                continue
            for name, value in settings.items():
                cursor.execute(f"SET LOCAL {name} = {value}")
            cursor.execute(b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + house._numbered(sql)[0])
            plans.append(cursor.fetchone()[0][0]["Plan"])
            for name in settings:
                cursor.execute(f"RESET {name}")


def whole(plans) -> list[str]:
    """What reads a big table from its beginning to its end."""
    return [
        f"{node['Node Type']} of {node['Relation Name']} {node['Alias']}: {node.get('Filter')}"
        for plan in plans
        for node in nodes(plan)
        if node.get("Relation Name") in BIG
        and node["Node Type"] in {"Seq Scan", "Index Scan", "Index Only Scan"}
        and "Index Cond" not in node
    ]


def nodes(plan):
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def of_table(name: str, plans) -> list[dict]:
    """The nodes that look at a table."""
    return [node for plan in plans for node in nodes(plan) if node.get("Relation Name") == name]


def read_by(plans) -> int:
    """Rows of the big tables that were looked at, whether or not they were of use. Fails for a scan of a whole table."""
    read = 0
    for node in (node for plan in plans for node in nodes(plan) if node.get("Relation Name") in BIG):
        assert node["Node Type"] in {"Index Scan", "Index Only Scan", "Bitmap Heap Scan", "Tid Scan"}, node
        useless = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
        read += (node["Actual Rows"] + useless) * node["Actual Loops"]
    return round(read)


def compared_in(name: str, plans) -> int:
    """Pairs of rows that were compared in vain by joins within a part of a statement, for want of a key."""
    parts = [node for plan in plans for node in nodes(plan) if node.get("Subplan Name") == name]
    assert parts
    return round(
        sum(node.get("Rows Removed by Join Filter", 0) * node["Actual Loops"] for part in parts for node in nodes(part))
    )
