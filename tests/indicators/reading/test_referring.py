"""What points where is written at publication, read through the rule, and costs what is returned."""

from __future__ import annotations

import json
import uuid

import pytest
from django.db import connection

from indicators.models import Progress, Reference, StixObject
from indicators.publishing import rereading, storing
from indicators.reading import gathering, referring
from indicators.stix import references
from partners.sharing import audience_ids
from tests import build
from tests.drilling import LONG
from tests.indicators import byhand
from tests.indicators.reports.test_reporting import link, sdo

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def stored():
    listed = Reference.unrestricted.order_by("version_id", "place")
    return list(listed.values_list("version__holding__stix_id", "path", "target_id"))


def expected(*objects):
    """In the order of the objects."""
    return [(stix["id"], *ref) for stix in objects for ref in references.refs(stix)]


@pytest.mark.parametrize("most", [0, 2, 20_000])
def test_what_a_version_points_to_is_written_with_it_however_many_they_are(cast, monkeypatch, most):
    monkeypatch.setattr(storing, "_MOST_ALONG", most)
    campaign = sdo("campaign", "One")
    odd = sdo("x-odd", "Two", extensions={'a"b\\c,{}': {"x_ref": campaign["id"]}}, x_refs=[campaign["id"]])
    objects = [campaign, odd, *(link(odd, campaign) for _ in range(8))]
    build.publish(cast.viewer("aster"), *objects, everyone=True)
    assert stored() == expected(*objects)


def test_a_push_writes_references_without_a_query_of_their_own(cast, django_assert_max_num_queries):
    aster = cast.viewer("aster")
    plain, named = (
        sdo("campaign", "One"),
        sdo("report", "Two", object_refs=[f"tool--{uuid.uuid4()}" for _ in range(50)]),
    )
    del plain["object_marking_refs"]
    counts = []
    for stix in (plain, named):
        with django_assert_max_num_queries(99) as told:
            build.publish(aster, stix, groups=("ring",))
        counts.append(len(told))
    assert counts[0] == counts[1]


def test_only_what_the_viewer_may_see_points_anywhere(cast):
    aster, cygnus = cast.viewer("aster"), cast.viewer("cygnus")
    campaign = sdo("campaign", "One")
    hidden, shown = link(sdo("tool", "a"), campaign), link(sdo("tool", "b"), campaign)
    build.publish(aster, hidden, groups=("ring",))
    build.publish(aster, campaign, shown, everyone=True)
    assert referring.links(cygnus, [campaign["id"]], at_most=9) == [shown["id"]]
    assert set(referring.links(aster, [campaign["id"]], at_most=9)) == {shown["id"], hidden["id"]}
    keys = list(StixObject.unrestricted.values_list("pk", flat=True))
    assert hidden["source_ref"] not in referring.targets(cygnus, keys)
    assert len(referring.of(cygnus, keys)) == 2


def test_a_package_follows_what_extensions_and_nested_properties_point_to(cast):
    aster = cast.viewer("aster")
    tool, sample = sdo("tool", "Deep"), sdo("malware", "Deeper", is_family=False)
    campaign = sdo(
        "campaign", "One", extensions={"x": {"extension_type": "property-extension", "uses_ref": tool["id"]}}
    )
    tool["x_seen"] = [{"with_refs": [sample["id"]]}]
    build.publish(aster, campaign, tool, sample, everyone=True)
    found = gathering.gather(aster, cast.dorado, campaign["id"])
    assert {one.title for one in found.held} == {"One", "Deep", "Deeper"}
    assert all(json.loads(one.body)["name"] == one.title for one in found.held)


@pytest.mark.parametrize("many", [1_000, pytest.param(10_000, marks=LONG)])
def test_a_place_to_which_thousands_of_relationships_lead_is_walked_by_its_index(cast, many):
    aster = cast.viewer("aster")
    hub, author = sdo("campaign", "Hub"), aster.identity_id
    build.publish(aster, hub, everyone=True)
    for _ in range(many // 500):
        links = [link(sdo("tool", "x"), hub) | {"created_by_ref": author} for _ in range(500)]
        build.publish(aster, *links, everyone=True)
    found = gathering.gather(aster, cast.dorado, hub["id"])
    assert (len(found.held), found.cut) == (gathering.MAX_OBJECTS, True)
    assert (len(referring.links(aster, [hub["id"]], at_most=99_999)), rows_walked(aster, hub["id"])) == (many, many)
    assert (referring.links(aster, [author], at_most=9), rows_walked(aster, author)) == ([], 0)
    run("ANALYZE")
    assert (rows_walked(aster, hub["id"]), rows_walked(aster, author)) == (many, 0)


def run(sql, parameters=None):
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        return cursor.fetchall() if cursor.description else []


def rows_walked(viewer, target):
    """The most rows that any step of the look for links of one id handled."""
    ((plan,),) = run(
        f"EXPLAIN (ANALYZE, FORMAT JSON) {referring._LINKS}",
        {
            "targets": [target],
            "ends": list(referring.ENDS),
            "types": list(referring.LINKING_TYPES),
            "audiences": audience_ids(viewer),
            "most": 99_999,
        },
    )
    return rows_in((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def rows_in(plan):
    """The most rows that any step of a plan handled."""
    own = int(plan["Actual Rows"] * plan["Actual Loops"]) + int(plan.get("Rows Removed by Filter", 0))
    return max([own, *(rows_in(inner) for inner in plan.get("Plans", ()))])


def test_an_upgrade_fills_what_was_stored_before_references_were_written(cast):
    aster = cast.viewer("aster")
    campaign = sdo("campaign", "One")
    objects = [campaign, link(sdo("tool", "x"), campaign)]
    build.publish(aster, *objects, everyone=True)
    byhand.rewrite(json.dumps(campaign | {"confidence": "no" * 9, "created": "x"}), holding__stix_id=campaign["id"])
    Reference.unrestricted.all().delete()
    Progress.objects.filter(name__startswith="rereading").delete()
    rereading.reread()
    assert stored() == expected(*objects)
    rereading.reread(anyway=True)
    assert stored() == expected(*objects)
