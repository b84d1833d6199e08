"""Detectors: an indicator names one that its publisher has registered; what it is called, nobody else reads."""

from __future__ import annotations

import json

import pytest
from django.test import Client

from indicators import detectors
from indicators.models import Detector
from indicators.stix import making
from partners.models import AuditRecord
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db
NAME = "sign-up graph of the quiet kind"


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def aster(cast):
    return Caller(cast.keys["aster"])


def register(asks, **wish):
    return read(asks.send("POST", "detectors", {"name": NAME} | wish), 201)


def naming(detector, **more):
    return making.account_pattern(extension={"detector": {"name": detector, "version": "3.2.0"}}, **more)


def pushed(cast, made, name="aster"):
    (result,) = build.results(build.publish(cast.viewer(name), made, groups=("ring",)))
    return result.get("code", result["status"]), result.get("field")


def test_an_indicator_names_a_detector_that_its_publisher_has_registered_and_no_other(cast, aster):
    at = "/extensions/extension-definition--433655db-7720-5ad0-91a4-c4555836d02f/detector/name"
    assert pushed(cast, naming("d-0123abcd")) == ("unregistered-detector", at)
    made = register(aster)
    assert pushed(cast, naming(made["id"])) == ("accepted", None)
    assert pushed(cast, naming(made["id"]), "borealis") == ("unregistered-detector", at), "not of another partner"
    assert pushed(cast, naming("d-0123abcd")) == ("unregistered-detector", at)


def test_it_is_asked_for_the_whole_batch_at_once_and_only_where_one_is_named(cast, aster, django_assert_num_queries):
    ids = [register(aster)["id"] for _ in range(3)]
    batch = [naming(one) for one in ids] + [naming("d-0123abcd")]
    answer = build.publish(cast.viewer("aster"), *batch, groups=("ring",))
    assert [one.get("code") for one in build.results(answer)] == [None, None, None, "unregistered-detector"]
    with django_assert_num_queries(0):
        assert detectors.registered(cast.aster.pk, set()) == frozenset()
        assert detectors.registered(cast.aster.pk, {ids[0]}) >= {ids[0]}, "known from the push before"


def test_an_id_that_objects_name_already_is_registered_once_and_by_every_partner_for_itself(cast, aster):
    assert register(aster, id="d-1f2e3d4c")["id"] == "d-1f2e3d4c"
    assert code(aster.send("POST", "detectors", {"name": "x", "id": "d-1f2e3d4c"}), 409) == "registered-already"
    assert register(Caller(cast.keys["borealis"]), id="d-1f2e3d4c")["id"] == "d-1f2e3d4c"


def test_a_retired_one_is_refused_and_what_names_it_stays_and_ends(cast, aster):
    made = register(aster)
    kept = naming(made["id"])
    pushed(cast, kept)
    assert aster.ask("DELETE", f"detectors/{made['id']}").status_code == 204
    assert aster.ask("DELETE", f"detectors/{made['id']}").status_code == 204, "again changes nothing"
    assert pushed(cast, naming(made["id"]))[0] == "unregistered-detector"
    assert pushed(cast, kept | {"modified": build.later(), "confidence": 7})[0] == "unregistered-detector"
    assert read(Caller(cast.keys["borealis"]).get(f"objects/{kept['id']}"))
    assert pushed(cast, kept | {"modified": build.later(), "revoked": True})[0] == "accepted"
    (said,) = read(aster.get("detectors"))["detectors"]
    assert said["retired_at"]
    assert AuditRecord.objects.filter(verb="detector.retired").count() == 1


def test_version_1_may_call_it_otherwise_where_cti_is_open(cast):
    from tests.indicators.stix import version1

    old = version1.account_pattern("email", extension={"detector": {"name": "graph", "version": "1.0.0"}})
    assert pushed(cast, old)[0] == "accepted"
    old = version1.account_pattern("email", extension={"detector": {"name": "d-0123abcd", "version": "1.0.0"}})
    assert pushed(cast, old)[0] == "unregistered-detector"


def test_name_version_and_digest_are_changed_one_by_one(cast, aster):
    made = register(aster, version="1.0.0", sha256="ab" * 32)
    changed = read(aster.send("PATCH", f"detectors/{made['id']}", {"name": "  other   name "}))
    assert (changed["name"], changed["version"], changed["sha256"]) == ("other name", "1.0.0", "ab" * 32)
    assert read(aster.send("PATCH", f"detectors/{made['id']}", {"version": "2.0.0"}))["name"] == "other name"
    assert aster.send("PATCH", "detectors/d-00000000", {"name": "x"}).status_code == 404
    assert Caller(cast.keys["borealis"]).send("PATCH", f"detectors/{made['id']}", {"name": "x"}).status_code == 404


@pytest.mark.parametrize(
    ("wish", "wrong", "at"),
    [
        ({"name": ""}, "bad-name", "/name"),
        ({"name": "x" * 81}, "bad-name", "/name"),
        ({"name": "x\u202ey"}, "bad-name", "/name"),
        ({"name": "x", "version": "v3"}, "bad-version", "/version"),
        ({"name": "x", "sha256": "AB" * 32}, "bad-digest", "/sha256"),
        ({"name": "x", "id": "d-XYZ"}, "bad-id", "/id"),
        ({"name": "x", "id": "d-0123abcd\n"}, "bad-id", "/id"),
        ({"name": 7}, "wrong-type", "/name"),
        ({"nom": "x"}, "unknown-property", "/nom"),
    ],
)
def test_what_is_wrong_is_refused_by_its_field(aster, wish, wrong, at):
    answer = aster.send("POST", "detectors", wish)
    assert code(answer, 422) == wrong
    assert json.loads(answer.content)["errors"][0]["field"] == at
    assert not Detector.unrestricted.exists()


def test_nobody_else_reads_what_it_is_called_nor_finds_anything_by_its_id(cast, aster):
    made = register(aster)
    kept = naming(made["id"])
    pushed(cast, kept)
    borealis = Caller(cast.keys["borealis"])
    assert read(borealis.get("detectors"))["detectors"] == []
    for path in (f"objects/{kept['id']}", "objects", "changes", "log/records"):
        assert NAME not in borealis.get(path).content.decode()
    assert [one["object"]["id"] for one in read(aster.get(f"objects?detector={made['id']}"))["objects"]] == [kept["id"]]
    assert read(aster.get("objects?detector=d-00000000"))["objects"] == []
    assert read(borealis.get(f"objects?detector={made['id']}"))["objects"] == []
    assert code(aster.get("objects?detector=graph"), 422) == "bad-filter"
    assert NAME not in json.dumps(list(AuditRecord.objects.values_list("details", "target")))


def test_who_reads_may_look_and_who_publishes_may_change(cast):
    reader = Caller(build.a_key(cast.aster, Scope.READ))
    assert read(reader.get("detectors"))["detectors"] == []
    assert code(reader.send("POST", "detectors", {"name": "x"}), 403) == "missing-scope"


def test_the_page_registers_renames_and_retires(cast):
    client, analyst, other = Client(), Client(), Client()
    build.sign_in(client, build.a_user(cast.aster, role=Role.PUBLISHER))
    build.sign_in(analyst, build.a_user(cast.aster, role=Role.ANALYST))
    build.sign_in(other, build.a_user(cast.borealis))
    where = "/organisation/detectors/"
    assert client.post(where, {"name": NAME, "version": "1.2.3"}).status_code == 302
    (made,) = Detector.unrestricted.all()
    assert NAME in analyst.get(where).content.decode()
    assert NAME not in other.get(where).content.decode()
    assert "Register</h2>" not in analyst.get(where).content.decode()
    assert analyst.post(where, {"name": "x"}).status_code == 403
    assert "A semantic version" in client.post(where, {"name": "x", "version": "one"}).content.decode()
    kept = naming(made.code)
    pushed(cast, kept)
    assert f"you call it {NAME}" in client.get(f"/indicators/{kept['id']}").content.decode()
    assert NAME not in other.get(f"/indicators/{kept['id']}").content.decode()
    assert kept["id"] in client.get(f"/indicators?filter=detector:{made.code}").content.decode()
    client.post(f"{where}{made.code}/act", {"do": "rename", "name": "new name"})
    client.post(f"{where}{made.code}/act", {"do": "retire"})
    made.refresh_from_db()
    assert (made.name, made.retired_at is not None) == ("new name", True)
    assert other.post(f"{where}{made.code}/act", {"do": "retire"}).status_code == 404
