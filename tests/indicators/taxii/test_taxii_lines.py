"""One id, one line of versions: whose holding of an id a reader finds in collections, versions, manifests and bundles."""

from __future__ import annotations

import gzip
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

import orjson
import pytest
import stix2
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING as FEED
from indicators.log import changes
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading import lines
from indicators.sight import relining
from indicators.telling import subscribing
from partners.groups import membership
from partners.keys import auth
from partners.models import Group
from tests import build
from tests.drilling import LONG
from tests.indicators.taxii.cast import (
    EVERYTHING,
    ROOT,
    Caller,
    a_caller,
    a_domain,
    an_indicator,
    another_key,
    revised,
)
from tests.strategies import examples

if TYPE_CHECKING:
    from collections.abc import Iterable

    from indicators.models import Feed

pytestmark = pytest.mark.django_db

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
LAST = "X-TAXII-Date-Added-Last"
#: A creator that is no partner.
STRANGER = f"identity--{UUID(int=7, version=4)}"
FRAMEWORKS = Path(os.environ.get("SHARED_DATA", Path(__file__).parents[4] / "shared/data")) / "stix/frameworks"


def viewer(caller: Caller) -> Any:
    return auth.viewer_of_key(caller.key)


def green(**more: Any) -> dict[str, Any]:
    return an_indicator(object_marking_refs=[GREEN], **more)


def of_group(slug: str) -> str:
    return f"{ROOT}collections/{Group.objects.get(slug=slug).collection_id}/"


def of_publisher(reader: Caller, publisher: Caller) -> str:
    """The collection of a feed that lets through one publisher's."""
    made: Feed = subscribing.save_feed(
        viewer(reader), name=publisher.partner.name, filter_json={"publishers": [str(publisher.partner.pk)]}
    )
    return f"{ROOT}collections/{made.pk}/"


def add(caller: Caller, path: str, *objects: dict[str, Any]) -> None:
    answer = caller.post(f"{path}objects/", {"objects": objects})
    assert orjson.loads(answer.content)["failure_count"] == 0, answer.content


def listed(reader: Caller, path: str, **parameters: Any) -> list[dict[str, Any]]:
    pages = reader.pages(f"{path}objects/", {"limit": 1_000} | parameters)
    return [one for page in pages for one in orjson.loads(page.content).get("objects", [])]


def followed(objects: Iterable[dict[str, Any]]) -> stix2.MemoryStore:
    """What a reader's store makes of what it is given, whatever else is there that it could not read."""
    return stix2.MemoryStore(list(objects), allow_custom=True)


def told_everywhere(reader: Caller, stix_id: str, group: str = "ring") -> dict[str, Any]:
    """What the reader finds under one id, on each surface that shows one line of it."""
    told: dict[str, Any] = {}
    for name, path in (("everything", EVERYTHING), ("group", of_group(group))):
        for version in ("last", "first", "all"):
            told[f"{name} {version}"] = reader.objects(f"{path}objects/{stix_id}/", **{"match[version]": version})
            told[f"{name} {version} of all"] = [
                one for one in listed(reader, path, **{"match[version]": version}) if one["id"] == stix_id
            ]
        versions = reader.get(f"{path}objects/{stix_id}/versions/")
        told[f"{name} versions"] = orjson.loads(versions.content).get("versions")
        manifest = orjson.loads(reader.get(f"{path}manifest/", {"match[version]": "all"}).content).get("objects", [])
        told[f"{name} manifest"] = [one["version"] for one in manifest if one["id"] == stix_id]
        told[f"{name} store"] = json.loads(
            followed(listed(reader, path, **{"match[version]": "all"})).get(stix_id).serialize()
        )
    exported = another_key(reader.partner)
    body = b"".join(exported.get(f"/api/v1/bundle?id={stix_id}").streaming_content)
    told["bundle"] = orjson.loads(body)["objects"]
    return told


@pytest.mark.parametrize(
    "fake_by", [pytest.param("its own", marks=LONG), pytest.param("nobody's", marks=LONG), "a stranger's"]
)
@pytest.mark.parametrize("held_by", ["its own", pytest.param("a stranger's", marks=LONG)])
@pytest.mark.slow
def test_5_4_another_partner_neither_revokes_nor_replaces_what_a_partner_published(
    aster: Caller, borealis: Caller, held_by: str, fake_by: str
) -> None:
    """Whomever the two name as the creator; `foreign-creator` keeps each from naming the other."""
    eridanus = a_caller("Eridanus")
    build.a_ring(aster.partner, borealis.partner, eridanus.partner, slug="wide")
    held = green(created_by_ref=viewer(aster).identity_id if held_by == "its own" else STRANGER)
    add(aster, of_group("wide"), held, revised(held, 2))
    before = told_everywhere(eridanus, held["id"], "wide")
    assert before["everything store"]["modified"][8:10] == "02"
    fake = revised(held, 9, revoked=True, name="Nothing to see", created_by_ref=STRANGER)
    if fake_by == "its own":
        fake["created_by_ref"] = viewer(borealis).identity_id
    elif fake_by == "nobody's":
        del fake["created_by_ref"]
    add(borealis, of_group("wide"), fake)
    assert told_everywhere(eridanus, held["id"], "wide") == before
    assert told_everywhere(borealis, held["id"], "wide") == before
    said = reading.statements(viewer(eridanus), held["id"])
    assert {one.publisher_slug: one.revoked for one in said} == {"aster": False, "borealis": True}
    assert listed(eridanus, of_publisher(eridanus, borealis)) == [fake]
    assert listed(borealis, borealis.own) == [fake]


@pytest.mark.parametrize("named", [True, False])
def test_5_4_the_creators_line_stands_from_when_it_comes_into_sight(
    aster: Caller, borealis: Caller, cygnus: Caller, *, named: bool
) -> None:
    """Of an object that names no creator; or of what its creator held before the other, whatever that one says."""
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    held = green(created_by_ref=viewer(aster).identity_id)
    if named:
        build.publish(viewer(aster), held, tlp=build.Tlp.RED)
    relayed = held | {"name": "As Borealis relays it", "created_by_ref": viewer(borealis).identity_id}
    if not named:
        del relayed["created_by_ref"]
    add(borealis, of_group("wide"), relayed, revised(relayed, 5))
    answer = cygnus.get(f"{EVERYTHING}objects/")
    assert orjson.loads(answer.content)["objects"] == [revised(relayed, 5)]
    if named:
        wide = Reach(named=True, groups=(Group.objects.get(slug="wide").pk,), tlp=build.Tlp.GREEN)
        readdressing.readdress(viewer(aster), held["id"], wide)
    else:
        add(aster, of_group("wide"), held)
    assert cygnus.objects(f"{EVERYTHING}objects/", added_after=answer[LAST]) == [held]
    assert cygnus.objects(f"{EVERYTHING}objects/", **{"match[version]": "all"}) == [held]
    assert listed(cygnus, of_publisher(cygnus, borealis)) == [revised(relayed, 5)]


def test_5_4_who_held_an_id_before_anybody_saw_it_takes_no_line_by_showing_it(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    """Ids of observables can be reckoned: whoever holds all of them in secret is still not the first that is seen."""
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    squatted = a_domain("relay.example")
    build.publish(viewer(borealis), squatted | {"x_note": "mine"}, tlp=build.Tlp.RED)
    build.publish(viewer(aster), squatted, groups=("wide",))
    assert listed(cygnus, EVERYTHING) == [squatted]
    wide = Group.objects.get(slug="wide")
    readdressing.readdress(viewer(borealis), squatted["id"], Reach(named=True, groups=(wide.pk,), tlp=build.Tlp.GREEN))
    assert listed(cygnus, EVERYTHING) == [squatted]
    assert listed(cygnus, of_publisher(cygnus, borealis)) == [squatted | {"x_note": "mine"}]


def test_5_4_in_a_group_the_line_is_chosen_among_what_is_addressed_to_it(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    """Nobody's push takes the place of what another partner shares with a group, by being elsewhere first."""
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    held = green()
    build.publish(viewer(aster), held, everyone=True)
    add(borealis, of_group("wide"), revised(held, 2))
    assert listed(cygnus, EVERYTHING) == [held]
    assert listed(cygnus, of_group("wide")) == [revised(held, 2)]


def test_5_4_two_relays_of_a_framework_stay_reachable_each_whole(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    editions = [FRAMEWORKS / f"ics-attack-{edition}.json.gz" for edition in ("17.1", "18.1")]
    if not all(path.exists() for path in editions):
        pytest.skip("shared/data/stix/frameworks is not here")
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    whole = []
    for caller, path in zip((aster, borealis), editions, strict=True):
        objects = {one["id"]: one for one in orjson.loads(gzip.decompress(path.read_bytes()))["objects"]}
        results = build.results(build.publish(viewer(caller), *objects.values(), groups=("wide",)))
        entered = [one["id"] for one in results if one["status"] == "accepted"]
        assert len(entered) > 1_500
        whole.append({stix_id: objects[stix_id] for stix_id in entered})
    older, newer = whole
    assert {one["id"]: one for one in listed(cygnus, EVERYTHING)} == newer | older
    assert {one["id"]: one for one in listed(cygnus, of_publisher(cygnus, aster))} == older
    assert {one["id"]: one for one in listed(cygnus, of_publisher(cygnus, borealis))} == newer
    revised_ones = [stix_id for stix_id in older.keys() & newer.keys() if older[stix_id] != newer[stix_id]]
    assert len(revised_ones) > 100


# Every order


@dataclass
class Held:
    """What one publisher holds of the id, as the reader comes to see it; places are those of the pushes."""

    creator: str | None
    begun: int
    first: int | None = None
    visible: bool = False
    revoked: bool = False


def the_line(held: dict[str, Held], identities: dict[str, str]) -> str | None:
    """The rule once more, in plain Python: whose holding the reader is shown."""
    seen = {name: one for name, one in held.items() if one.visible}
    if not seen:
        return None
    first = min(seen, key=lambda name: seen[name].first)
    creators = [
        name
        for name, one in seen.items()
        if one.creator == identities[name]
        and (one.begun <= seen[first].begun or seen[first].creator in {None, one.creator})
    ]
    return min(creators, key=lambda name: seen[name].begun) if creators else first


_PUSHES = st.lists(
    st.tuples(
        st.sampled_from(["aster", "borealis", "eridanus"]),
        st.sampled_from(["wide", "alone"]),
        st.sampled_from([False, False, False, True]),
    ),
    min_size=3,
    max_size=8,
)
_CREATORS = st.fixed_dictionaries(
    dict.fromkeys(["aster", "borealis", "eridanus"], st.sampled_from(["its own", "nobody", "a stranger"]))
)


@given(pushes=_PUSHES, creators=_CREATORS)
@example(
    pushes=[("aster", "alone", False), ("borealis", "wide", False), ("aster", "wide", False)],
    creators=dict.fromkeys(["aster", "borealis", "eridanus"], "nobody"),
)
@settings(max_examples=examples(40), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_line_depends_on_nothing_but_what_its_reader_saw_first(
    lines_cast: dict[str, Any], pushes: list[tuple[str, str, bool]], creators: dict[str, str]
) -> None:
    labs, reader, feeds = lines_cast["labs"], lines_cast["reader"], lines_cast["feeds"]
    identities = {name: viewer(lab).identity_id for name, lab in labs.items()}
    one, held = an_indicator(), {}
    for place, (name, where, revoked) in enumerate(pushes):
        creator = {"its own": identities[name], "nobody": None, "a stranger": STRANGER}[creators[name]]
        stix = revised(one, place + 1, revoked=revoked, x_by=name)
        stix |= {"created_by_ref": creator} if creator else {}
        reach = {"tlp": build.Tlp.RED} if where == "alone" else {"groups": (where,)}
        (result,) = build.results(build.publish(viewer(labs[name]), stix, **reach))
        if result["status"] != "accepted":
            assert held[name].revoked, result  # what was revoked stays so
            continue
        mine = held.setdefault(name, Held(creator, place))
        mine.visible, mine.revoked = where == "wide", revoked
        if mine.visible and mine.first is None:
            mine.first = place
    chosen = the_line(held, identities)
    for version in ("last", "all"):
        asked = {"match[version]": version, "match[id]": one["id"]}
        expected = [] if chosen is None else listed(reader, feeds[chosen], **asked)
        assert (chosen is None) == (not expected)
        assert listed(reader, EVERYTHING, **asked) == expected
    keys = lines.chosen(viewer(reader), [one["id"]])
    assert set(keys) == (set() if chosen is None else {one["id"]})


@pytest.fixture
def lines_cast(aster: Caller, borealis: Caller, cygnus: Caller) -> dict[str, Any]:
    eridanus = a_caller("Eridanus")
    labs = {"aster": aster, "borealis": borealis, "eridanus": eridanus}
    build.a_ring(*(lab.partner for lab in labs.values()), cygnus.partner, slug="wide")
    return {"labs": labs, "reader": cygnus, "feeds": {name: of_publisher(cygnus, lab) for name, lab in labs.items()}}


# Where a line ends


def withdraw(aster: Caller, cygnus: Caller, stix_id: str) -> None:
    withdrawing.withdraw(viewer(aster), [stix_id])


def narrow(aster: Caller, cygnus: Caller, stix_id: str) -> None:
    readdressing.readdress(viewer(aster), stix_id, Reach(named=True, tlp=build.Tlp.RED))


def end_without_a_version(aster: Caller, cygnus: Caller, stix_id: str) -> None:
    answer = build.publish(viewer(aster), {"id": stix_id, "type": "indicator", "revoked": True})
    assert build.results(answer)[0]["code"] == "content-dropped"


def leave(aster: Caller, cygnus: Caller, stix_id: str) -> None:
    membership.leave(auth.viewer_of_user(build.a_user(cygnus.partner)), Group.objects.get(slug="wide"))


@pytest.mark.parametrize("act", [withdraw, narrow, end_without_a_version, leave])
def test_5_4_where_a_line_ends_the_next_is_added_anew_for_who_read_it_and_for_nobody_else(
    aster: Caller, borealis: Caller, cygnus: Caller, dorado: Caller, act: Any
) -> None:
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    build.a_ring(borealis.partner, cygnus.partner, dorado.partner, slug="other")
    held = green(created_by_ref=viewer(aster).identity_id)
    relayed = [{**revised(held, day, name="Relayed"), "created_by_ref": STRANGER} for day in (4, 5)]
    build.publish(viewer(aster), held, groups=("wide",))
    build.publish(viewer(borealis), *relayed, groups=("wide", "other"))
    last = green()
    build.publish(viewer(borealis), last, groups=("wide",))
    hidden = told_so_far(dorado)
    everything, group = cygnus.get(f"{EVERYTHING}objects/"), cygnus.get(f"{of_group('wide')}objects/")
    for answer in (everything, group):
        assert orjson.loads(answer.content)["objects"] == [held, last]
    delta = changes.since(viewer(cygnus), FEED, after=0, limit=99).reached
    act(aster, cygnus, held["id"])
    relining.catch_up()
    lines_of = {"match[version]": "all", "added_after": everything[LAST]}
    assert cygnus.objects(f"{EVERYTHING}objects/", **lines_of) == relayed
    assert cygnus.objects(f"{EVERYTHING}objects/", added_after=everything[LAST]) == relayed[1:]
    if act is not leave:
        assert cygnus.objects(f"{of_group('wide')}objects/", added_after=group[LAST]) == relayed[1:]
    told = [(one.op, one.stix_id) for one in changes.since(viewer(cygnus), FEED, after=delta, limit=99).changes]
    assert ("upsert", held["id"]) in told
    assert told_so_far(dorado) == hidden
    assert dorado.objects(f"{EVERYTHING}objects/") == relayed[1:]
    relining.catch_up()
    assert cygnus.objects(f"{EVERYTHING}objects/", added_after=cygnus.get(f"{EVERYTHING}objects/")[LAST]) == []


def told_so_far(reader: Caller) -> tuple[Any, ...]:
    """All by which a reader could notice that something happened."""
    seen = changes.since(viewer(reader), FEED, after=0, limit=99)
    page = reader.get(f"{EVERYTHING}objects/")
    return seen.reached, [(one.seq, one.op) for one in seen.changes], page.content, page[LAST]


def test_5_4_what_was_not_the_line_ends_without_a_word(aster: Caller, borealis: Caller, cygnus: Caller) -> None:
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    held = green()
    build.publish(viewer(aster), held, groups=("wide",))
    build.publish(viewer(borealis), revised(held, 5), groups=("wide",))
    before = cygnus.get(f"{EVERYTHING}objects/")
    withdrawing.withdraw(viewer(borealis), [held["id"]])
    relining.catch_up()
    after = cygnus.get(f"{EVERYTHING}objects/")
    assert (before.content, before[LAST]) == (after.content, after[LAST])


@pytest.mark.slow
def test_hidden_publishers_of_an_id_change_nothing_for_who_cannot_see_them(
    aster: Caller, borealis: Caller, cygnus: Caller, dorado: Caller
) -> None:
    build.a_ring(aster.partner, dorado.partner, slug="wide")
    held = green()
    build.publish(viewer(borealis), revised(held, 1), tlp=build.Tlp.RED)
    build.publish(viewer(aster), held, revised(held, 2), groups=("wide",))
    before = told_everywhere(dorado, held["id"], "wide"), told_so_far(dorado)
    theirs = revised(held, 9, revoked=True, created_by_ref=viewer(cygnus).identity_id)
    build.publish(viewer(cygnus), {**theirs, "revoked": False}, tlp=build.Tlp.RED)
    assert (told_everywhere(dorado, held["id"], "wide"), told_so_far(dorado)) == before
    build.publish(viewer(cygnus), revised(theirs, 10), tlp=build.Tlp.RED)
    withdrawing.withdraw(viewer(borealis), [held["id"]])
    relining.catch_up()
    assert (told_everywhere(dorado, held["id"], "wide"), told_so_far(dorado)) == before
    (result,) = build.results(build.publish(viewer(aster), revised(held, 3), groups=("wide",)))
    assert result["status"] == "accepted"
    assert [one["modified"][8:10] for one in listed(dorado, EVERYTHING, **{"match[version]": "all"})] == [
        "01",
        "02",
        "03",
    ]


def test_who_saw_a_line_first_by_a_group_that_they_left_keeps_it_where_they_see_it_still(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    """Else the line would change without a word: nothing left their sight."""
    build.a_ring(aster.partner, borealis.partner, cygnus.partner, slug="wide")
    held = green()
    build.publish(viewer(aster), held, groups=("wide",))
    build.publish(viewer(borealis), revised(held, 5), everyone=True)
    build.publish(viewer(aster), revised(held, 2), everyone=True)
    assert listed(cygnus, EVERYTHING) == [revised(held, 2)]
    leave(aster, cygnus, held["id"])
    relining.catch_up()
    assert listed(cygnus, EVERYTHING) == [revised(held, 2)]
