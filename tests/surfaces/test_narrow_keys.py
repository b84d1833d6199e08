"""A key for some groups, on every surface: what its partner sees by its other groups, it does not see."""

from __future__ import annotations

import uuid
from collections import defaultdict
from datetime import timedelta

import pytest
from django.test import Client

from indicators.reports import reporting
from indicators.stix import making
from indicators.telling import subscribing
from partners import keys
from partners.keys import auth
from partners.log import transparency
from partners.models import Group, Partner
from partners.scopes import KEY_SCOPES, Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.surfaces.matrix import rest, taxii
from tests.surfaces.matrix.scene import content

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def scene(cast):
    """Borealis is in two groups with Aster; something in each, and a match in the one that the key is not for."""
    build.a_ring(cast.aster, cast.borealis, slug="second")
    value = uuid.uuid4().hex * 2
    inside = making.account_pattern(name=f"inside-{uuid.uuid4().hex}")
    other = making.account_pattern(name=f"other-{uuid.uuid4().hex}", carrier={"token": making.token(value)})
    mine = making.account_pattern(name=f"mine-{uuid.uuid4().hex}", carrier={"token": making.token(value)})
    build.publish(cast.viewer("aster"), inside, groups=("ring",))
    build.publish(cast.viewer("aster"), other, groups=("second",))
    build.publish(cast.viewer("borealis"), mine, groups=("second",))
    narrow = keys.issue(cast.borealis, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1]
    return Caller(narrow), {"inside": inside, "other": other, "mine": mine}


def marks(stix: dict) -> list[str]:
    return [stix["id"], stix["name"]]


def test_no_route_that_a_key_opens_shows_what_is_in_another_group(cast, scene):
    from indicators.taxii import collections

    narrow, objects = scene
    wide = Caller(cast.keys["borealis"])
    asked = 0
    for name, row in (rest.ROWS | taxii.ROWS).items():
        if not row.path.startswith(("/api/", "/taxii2")) or row.method != "get" or row.who == "all":
            continue
        things = defaultdict(
            lambda: str(uuid.uuid4()),
            object=objects["other"]["id"],
            everything=collections.EVERYTHING,
            own=cast.borealis.collection_id,
        )
        path = row.path.format_map(things)
        shown = content(narrow.get(path))
        assert not [mark for mark in marks(objects["other"])["{object}" in row.path :] if mark in shown], name
        if row.shows and "{object}" not in row.path:
            assert objects["inside"]["id"] in shown, name
            assert objects["other"]["id"] in content(wide.get(path)), name
            asked += 1
    assert asked >= 4


def test_matches_and_searches_find_nothing_of_another_group(cast, scene):
    narrow, objects = scene
    wide = Caller(cast.keys["borealis"])
    assert len(read(wide.get("matches"))["matches"]) == 1
    assert read(narrow.get("matches"))["matches"] == []
    for question in marks(objects["other"]):
        assert read(narrow.get(f"objects?q={question}"))["objects"] == []
        assert len(read(wide.get(f"objects?q={question}"))["objects"]) == 1


def test_a_narrow_key_reads_no_report_for_it_may_tell_of_another_group(cast, scene):
    narrow, objects = scene
    build.publish(cast.viewer("aster"), root := a_report_on(objects["other"]), groups=("second",))
    preparer = auth.viewer_of_user(build.a_user(cast.aster, role=Role.PUBLISHER))
    package = reporting.prepare(preparer, recipient="borealis", root=root["id"])
    reporting.release(auth.viewer_of_user(build.a_user(cast.aster, role=Role.COUNSEL)), package.pk)
    transparency.seal(every=timedelta(0))
    wide = Caller(cast.keys["borealis"])
    for path in ("reports", f"reports/{package.pk}", f"reports/{package.pk}/package"):
        assert wide.get(path).status_code == 200
        assert code(narrow.get(path), 403) == "key-limited-to-groups"


def a_report_on(stix: dict) -> dict:
    made = {"type": "report", "spec_version": "2.1", "id": f"report--{uuid.uuid4()}", "name": "R"}
    at = "2026-11-01T00:00:00.000Z"
    return made | {"created": at, "modified": at, "published": at, "object_refs": [stix["id"]]}


def test_a_cursor_of_a_wide_key_shows_a_narrow_one_no_more_than_it_may_see(cast, scene):
    narrow, objects = scene
    wide = Caller(cast.keys["borealis"])
    for path, shown in (("objects?limit=1", "next"), ("changes?limit=1", "cursor")):
        cursor = read(wide.get(path))[shown]
        seen = ""
        while cursor:
            answer = narrow.get(f"{path.partition('?')[0]}?limit=1&cursor={cursor}")
            seen += content(answer)
            page = read(answer)
            cursor = page[shown] if page.get("more", True) else None
        assert objects["other"]["id"] not in seen


def test_a_narrow_key_publishes_into_its_groups_only(cast, scene):
    narrow, _ = scene
    assert code(narrow.push(making.account_pattern(), query="?groups=second"), 422) == "unknown-group"
    default = making.account_pattern(tlp_word="amber")
    assert read(narrow.push(default))["counts"]["accepted"] == 1
    viewer = cast.viewer("aster")
    assert read(Caller(cast.keys["aster"]).get(f"objects/{default['id']}")), "the default is its own group"
    assert viewer.partner_id == cast.aster.pk


@pytest.mark.parametrize("change", [{"revoked": True}, {"name": "altered"}])
def test_a_narrow_key_alters_nothing_that_its_partner_shares_with_another_group(cast, scene, change):
    narrow, objects = scene
    later = objects["mine"] | {"modified": build.later()} | change
    answer = read(narrow.push(later))
    assert (answer["counts"]["refused"], answer["results"][0]["code"]) == (1, "key-limited-to-groups")
    assert read(Caller(cast.keys["borealis"]).push(later))["counts"]["accepted"] == 1


def test_a_narrow_key_moves_nothing_in_another_group_by_the_definition_of_a_marking(cast, scene):
    narrow, _ = scene
    wide, aster = Caller(cast.keys["borealis"]), Caller(cast.keys["aster"])
    held, waited = (a_definition("amber", "ring") for _ in range(2))
    notes = {group: making.account_pattern(object_marking_refs=[held["id"]]) for group in ("ring", "second")}
    waits = making.account_pattern(object_marking_refs=[waited["id"]])
    assert read(wide.push(held, query="?groups=ring"))["counts"]["accepted"] == 1
    for group, note in notes.items():
        assert read(wide.push(note, query=f"?groups={group}"))["counts"]["accepted"] == 1
    assert read(wide.push(waits, query="?groups=second"))["counts"]["accepted"] == 1

    stricter = held | {"definition": {"tlp": "red"}}
    for definition in (stricter, waited):
        answer = read(narrow.push(definition, query="?groups=ring"))
        assert [result.get("code") for result in answer["results"]] == ["key-limited-to-groups"]
    seen = {group: aster.get(f"objects/{note['id']}").status_code for group, note in notes.items()}
    assert (seen, aster.get(f"objects/{waits['id']}").status_code) == ({"ring": 200, "second": 200}, 404)

    only = a_definition("amber", "ring")
    inside = making.account_pattern(object_marking_refs=[only["id"]])
    for pushed in (only, inside, only | {"definition": {"tlp": "red"}}):
        assert read(narrow.push(pushed, query="?groups=ring"))["counts"]["accepted"] == 1, "all of it is in its group"
    assert aster.get(f"objects/{inside['id']}").status_code == 404

    for definition in (stricter, waited):
        assert read(wide.push(definition, query="?groups=ring"))["counts"]["accepted"] == 1
    seen = {group: aster.get(f"objects/{note['id']}").status_code for group, note in notes.items()}
    assert (seen, aster.get(f"objects/{waits['id']}").status_code) == ({"ring": 404, "second": 404}, 200)


def a_definition(word: str, name: str) -> dict:
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": f"marking-definition--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "name": name,
        "definition_type": "tlp",
        "definition": {"tlp": word},
    }


def test_a_narrow_key_has_no_webhooks_for_they_tell_of_all_groups(cast, scene, monkeypatch):
    narrow, _ = scene
    made, _ = subscribing.subscribe(
        build.viewer_of(cast.borealis, Scope.READ, Scope.SUBSCRIBE), url="https://receiver.example/", feed_id=None
    )
    assert code(narrow.send("POST", "subscriptions", {"url": "https://receiver.example/"}), 403) == (
        "key-limited-to-groups"
    )
    for path in (f"subscriptions/{made.pk}", f"subscriptions/{made.pk}/deliveries"):
        assert code(narrow.get(path), 403) == "key-limited-to-groups"


def test_a_narrow_key_changes_no_feed_for_they_select_for_all_groups(cast, scene):
    narrow, _ = scene
    wide = Caller(cast.keys["borealis"])
    feed = read(wide.send("POST", "feeds", {"name": "sure", "text": "confidence:>=70"}), 201)
    path = f"feeds/{feed['id']}"
    for changed in ({"filter": {}}, {"text": "confidence:>=99"}, {"name": "new", "filter": {"kind": ["regex"]}}):
        assert code(narrow.send("PATCH", path, changed), 403) == "key-limited-to-groups"
    assert code(narrow.ask("DELETE", path), 403) == "key-limited-to-groups"
    assert read(wide.get(path)) == feed
    assert read(narrow.send("PATCH", path, {"name": "new"}))["name"] == "new"
    assert wide.ask("DELETE", path).status_code == 204


@pytest.mark.parametrize("feed", ["all", "saved"])
def test_a_narrow_key_ends_no_address_that_reads_other_groups(cast, scene, feed):
    narrow, _ = scene
    wide = Caller(cast.keys["borealis"])
    if feed == "saved":
        feed = read(wide.send("POST", "feeds", {"name": "sure", "text": "confidence:>=70"}), 201)["id"]
    path = f"feeds/{feed}/addresses"
    other = Group.objects.get(slug="second")
    second = keys.issue(cast.borealis, name="2", scopes=sorted(KEY_SCOPES), groups=[other.pk])[1]
    others = [read(one.send("POST", path, {"name": "edge"}), 201) for one in (wide, Caller(second))]
    for one in others:
        assert code(narrow.ask("DELETE", f"{path}/{one['id']}"), 403) == "key-limited-to-groups"
        assert Client().get(f"/api/v1/lists/{one['token']}").status_code == 200
    mine = read(narrow.send("POST", path, {"name": "own"}), 201)
    assert narrow.ask("DELETE", f"{path}/{mine['id']}").status_code == 204


def test_a_narrow_key_makes_narrow_keys_only(cast, scene):
    narrow, _ = scene
    for groups in ([], ["ring"]):
        made = read(narrow.send("POST", "keys", {"name": f"k{len(groups)}", "scopes": ["read"], "groups": groups}), 201)
        assert made["groups"] == ["ring"]
    assert code(narrow.send("POST", "keys", {"name": "k", "scopes": ["read"], "groups": ["second"]}), 422) == (
        "unknown-group"
    )


# A certificate that a proxy vouches for


@pytest.fixture
def bound(cast, settings):
    settings.MTLS_PROXIES = ["10.0.0.0/8"]
    settings.MTLS_SUBJECT_HEADER = "X-Client-Subject"
    return keys.issue(cast.aster, name="bound", scopes=[Scope.READ], certificate_subject="CN=pusher,O=Aster")[1]


@pytest.mark.parametrize("path", ["/api/v1/me", "/taxii2/", "/api/v1/changes", "/api/v1/events"])
@pytest.mark.parametrize(
    ("address", "subject", "status"),
    [
        ("10.0.0.1", "CN=pusher,O=Aster", 200),
        ("10.0.0.1", "CN=pusher,O=Borealis", 401),
        ("10.0.0.1", "", 401),
        ("192.0.2.1", "CN=pusher,O=Aster", 401),
    ],
)
def test_a_bound_key_needs_its_certificate_and_our_proxys_word_for_it(bound, path, address, subject, status):
    headers = build.bearer(bound) | ({"X-Client-Subject": subject} if subject else {})
    answer = Client().get(path, headers=headers, REMOTE_ADDR=address)
    assert answer.status_code == status
    answer.close()


def test_a_key_of_a_suspended_partner_makes_no_key(cast):
    admin = Caller(build.a_key(cast.aster, *KEY_SCOPES))
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    assert code(admin.send("POST", "keys", {"name": "k", "scopes": ["read"]}), 401) == "invalid-key"
