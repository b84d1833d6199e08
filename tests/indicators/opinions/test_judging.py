"""Opinions from outside: who may give one, who hears it, what it does to lists and followers, and how that ends."""

from __future__ import annotations

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exchange import clock
from exchange.errors import Conflict
from indicators.ending import leaving, withdrawing
from indicators.feeds import blocklists, preview, proving
from indicators.feeds.filters import EVERYTHING, Filter, accepted
from indicators.log import changes
from indicators.models import Holding, Opinion
from indicators.opinions import giving, recording
from indicators.stix import making
from indicators.telling import subscribing
from partners import keys
from partners.groups import membership
from partners.keys import auth
from partners.scopes import Scope
from tests import build
from tests.build import bearer
from tests.indicators.api.caller import Caller, read
from tests.indicators.api.test_races import one_after_the_other

pytestmark = pytest.mark.django_db
_VALUE = "198.51.100.0/24"


@pytest.fixture
def world() -> Any:
    """Aster shows an indicator to everyone; Borealis, Cygnus and Eve may judge it."""
    cast = build.the_cast()
    eve = build.viewer_of(build.a_partner("Eve"))
    said = making.account_pattern("net", carrier={"value": _VALUE}, tlp_word="green")
    build.publish(cast.viewer("aster"), said, everyone=True)
    return cast, eve, said["id"]


def _listed(viewer: Any, wanted: Filter = EVERYTHING) -> bool:
    return _VALUE in blocklists.spool(viewer, wanted, form="txt").file.read().decode()


def _told(viewer: Any, after: int, wanted: Filter = EVERYTHING) -> list[tuple[str, str]]:
    found = changes.since(viewer, wanted, after=after, limit=100).changes
    return [(one.op, one.reason) for one in found if one.stix_type == "indicator"]


def test_a_dissent_disarms_for_who_hears_it_and_a_confirmation_brings_back(world: Any) -> None:
    cast, eve, stix_id = world
    head = changes.head()
    giving.give(cast.viewer("borealis"), stix_id, opinion="disagree", reason="false_positive")
    for viewer in (cast.viewer("aster"), cast.viewer("borealis"), cast.viewer("cygnus"), eve):
        assert not _listed(viewer)
        assert _told(viewer, head) == [("remove", "disputed")]
        (judged,) = giving.read(viewer, stix_id)
        assert judged.standing == "disputed"
        assert [(one.partner.slug, one.reason) for one in judged.opinions] == [("borealis", "false_positive")]
    head = changes.head()
    giving.give(eve, stix_id, opinion="agree", reason="confirmed_here")
    assert _listed(cast.viewer("cygnus"))
    assert _told(cast.viewer("cygnus"), head) == [("upsert", "judged")]
    assert not _listed(cast.viewer("borealis")), "who dissents is disarmed for itself always"
    assert _told(cast.viewer("borealis"), head) == [("remove", "disputed")]
    giving.give(cast.viewer("borealis"), stix_id, opinion="agree", reason="confirmed_here")
    assert _listed(cast.viewer("borealis"))
    assert giving.read(eve, stix_id)[0].standing == "supported"


def test_what_is_handed_over_stays_disputed_but_for_what_its_heir_said(world: Any) -> None:
    cast, eve, stix_id = world
    for who in ("borealis", "cygnus"):
        giving.give(cast.viewer(who), stix_id, opinion="disagree", reason="false_positive")
    assert giving.read(eve, stix_id)[0].standing == "refuted"
    head = changes.head()
    leaving.hand_over(cast.aster.pk, cast.cygnus.pk)
    recording.catch_up()
    for viewer in (cast.viewer("borealis"), cast.viewer("cygnus"), eve):
        assert not _listed(viewer)
        assert ("upsert", "revised") not in _told(viewer, head)
        (judged,) = giving.read(viewer, stix_id)
        assert (judged.publisher.slug, judged.standing) == ("cygnus", "disputed")
        assert [one.partner.slug for one in judged.opinions] == ["borealis"]


def test_the_delta_that_is_proved_drops_what_is_disputed(world: Any) -> None:
    cast, eve, stix_id = world

    def lines(cursor: str) -> list[dict[str, Any]]:
        asked = Client().get(f"/api/v1/feeds/all/delta?cursor={cursor}", headers=bearer(cast.keys["cygnus"]))
        return [json.loads(line) for line in asked.content.splitlines()]

    *rows, trailer = lines("")
    assert stix_id in {row["id"] for row in rows}
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    *rows, trailer = lines(_cursor(trailer))
    assert [(row["op"], row["reason"]) for row in rows if row["id"] == stix_id] == [("remove", "disputed")]
    giving.give(cast.viewer("borealis"), stix_id, opinion="agree", reason="confirmed_here")
    *rows, _ = lines(_cursor(trailer))
    assert [row["op"] for row in rows if row["id"] == stix_id] == ["upsert"]


def _cursor(trailer: dict[str, Any]) -> str:
    said = trailer.get("trailer", trailer)
    return str(said["next_cursor"])


def test_a_dissent_that_is_taken_back_comes_to_an_end(world: Any) -> None:
    cast, eve, stix_id = world
    giving.give(eve, stix_id, opinion="strongly-disagree", reason="victim")
    assert not _listed(cast.viewer("cygnus"))
    (given,) = giving.read(eve, stix_id)[0].opinions
    head = changes.head()
    withdrawing.withdraw(eve, [given.stix_id])
    recording.catch_up()
    assert _listed(cast.viewer("cygnus"))
    assert _told(cast.viewer("cygnus"), head) == [("upsert", "judged")]
    assert not Opinion.unrestricted.exists()


def test_who_does_not_hear_an_opinion_is_not_moved_by_it() -> None:
    cast = build.the_cast()
    said = making.account_pattern("net", carrier={"value": _VALUE}, tlp_word="amber")
    build.publish(cast.viewer("aster"), said, groups=("ring",), partners=("cygnus",))
    before, place = blocklists.spool(cast.viewer("cygnus"), EVERYTHING, form="txt").etag, changes.head()
    giving.give(cast.viewer("borealis"), said["id"], opinion="disagree", reason="false_positive")
    assert not _listed(cast.viewer("aster"))
    assert blocklists.spool(cast.viewer("cygnus"), EVERYTHING, form="txt").etag == before
    assert _told(cast.viewer("cygnus"), place) == []
    assert giving.read(cast.viewer("cygnus"), said["id"])[0].standing == "unreviewed"
    giving.give(cast.viewer("cygnus"), said["id"], opinion="disagree", reason="stale")
    assert giving.read(cast.viewer("aster"), said["id"])[0].standing == "refuted"
    assert giving.read(cast.viewer("cygnus"), said["id"])[0].standing == "disputed"


def test_who_comes_to_hear_an_opinion_is_told_of_what_it_disarms() -> None:
    cast = build.the_cast()
    said = making.account_pattern("net", carrier={"value": _VALUE}, tlp_word="green")
    build.publish(cast.viewer("aster"), said, groups=("ring",), partners=("cygnus",))
    giving.give(cast.viewer("borealis"), said["id"], opinion="disagree", reason="false_positive")
    place = changes.head()
    assert _listed(cast.viewer("cygnus"))
    aster, cygnus = (auth.viewer_of_user(build.a_user(partner)) for partner in (cast.aster, cast.cygnus))
    membership.agree(cygnus, membership.invite(aster, cast.ring, cast.cygnus).pk)
    recording.catch_up()
    assert not _listed(cast.viewer("cygnus"))
    assert ("remove", "disputed") in _told(cast.viewer("cygnus"), place)


def test_a_sighting_is_kept_in_buckets_and_goes_where_the_object_is(world: Any) -> None:
    cast, _, stix_id = world
    path, headers = f"/api/v1/objects/{stix_id}/sightings", bearer(cast.keys["borealis"])

    def send(document: Any, key: str = "borealis") -> tuple[int, Any]:
        answer = Client().post(
            path, json.dumps(document), content_type="application/json", headers=bearer(cast.keys[key])
        )
        return answer.status_code, json.loads(answer.content)

    assert send({"count": 350, "last_seen": "2026-11-24T11:20:00Z"}) == (201, {"status": "accepted"})
    (seen,) = json.loads(Client().get(path, headers=bearer(cast.keys["aster"])).content)["sightings"]
    assert (seen["partner"]["slug"], seen["count"]) == ("borealis", 100)
    assert seen["first_seen"] == seen["last_seen"] == "2026-11-24T11:00:00.000000Z"
    stored = Client().get(f"/api/v1/objects/{seen['id']}", headers=headers).content
    assert b'"count":350' not in stored.replace(b" ", b"")
    assert b"11:20" not in stored
    assert send({}, "aster")[1]["code"] == "own-object"
    assert send({"last_seen": "2999-01-01T00:00:00Z"})[1]["code"] == "bad-time"
    assert send({"last_seen": "yesterday"})[1]["code"] == "bad-time"


def test_a_preview_counts_what_is_covered_and_disputed(world: Any) -> None:
    cast, eve, stix_id = world
    viewer = cast.viewer("cygnus")
    old = making.account_pattern(tlp_word="green", at=clock.now() - timedelta(days=8), valid_for=timedelta(days=20))
    build.publish(cast.viewer("aster"), old, build.an_indicator(tlp_word="green", confidence=10), everyone=True)
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    feed = subscribing.save_feed(viewer, name="unsure", filter_json={"confidence": {"<": 50}})
    found = preview.preview(viewer, accepted(viewer, "kind:account-pattern"))
    assert (found.holds, found.changed_7d, found.covered, found.disputed, found.cut) == (3, 2, 1, 1, False)
    assert (found.ended_disputed, found.later_disputed) == (0, 1 / 3)
    assert preview.preview(viewer, EVERYTHING, but=str(feed.pk)).covered == 0
    asked = Client().get(
        "/api/v1/feeds/preview?filter=kind:account-pattern+confidence:<50", headers=bearer(cast.keys["cygnus"])
    )
    assert json.loads(asked.content)["holds"] == 1


def test_an_opinion_is_revised_not_repeated(world: Any) -> None:
    cast, eve, stix_id = world
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    first = giving.read(eve, stix_id)[0].opinions[0].stix_id
    giving.give(eve, stix_id, opinion="neutral", reason="stale")
    (given,) = giving.read(cast.viewer("aster"), stix_id)[0].opinions
    assert (given.opinion, given.reason, given.stix_id) == ("neutral", "stale", first)
    assert Opinion.unrestricted.count() == 1


def test_a_filter_may_ask_for_what_is_disputed(world: Any) -> None:
    cast, eve, stix_id = world
    viewer = cast.viewer("cygnus")
    disputed = accepted(viewer, "standing:disputed,refuted")
    assert not _listed(viewer, disputed)
    head = changes.head()
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    assert _listed(viewer, disputed)
    assert _told(viewer, head, disputed) == [("upsert", "judged")]
    assert not _listed(viewer, accepted(viewer, "standing:supported,unreviewed"))


@pytest.fixture
def seconded(world: Any) -> Any:
    """Borealis says the value of Aster's, too; who is told of it, and Aster's object."""
    cast, eve, stix_id = world
    said = making.account_pattern("net", carrier={"value": _VALUE}, tlp_word="green")
    build.publish(cast.viewer("borealis"), said, everyone=True)
    return cast, eve, stix_id


def test_what_is_disputed_counts_for_no_publisher(seconded: Any) -> None:
    cast, eve, stix_id = seconded
    viewer = cast.viewer("cygnus")
    two, fewer, not_two = (
        accepted(viewer, text) for text in ("publishers:>=2", "publishers:<2", "-publishers:>=2 type:indicator")
    )
    assert (_listed(viewer, two), _listed(viewer, fewer), _listed(viewer, not_two)) == (True, False, False)
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    assert giving.read(viewer, stix_id)[0].standing == "disputed"
    assert (_listed(viewer, two), _listed(viewer, fewer), _listed(viewer, not_two)) == (False, True, True)
    giving.give(build.viewer_of(build.a_partner("Fay")), stix_id, opinion="disagree", reason="stale")
    assert giving.read(viewer, stix_id)[0].standing == "refuted"
    assert not _listed(viewer, two)
    again = making.account_pattern("net", carrier={"value": _VALUE}, tlp_word="green")
    build.publish(cast.viewer("aster"), again, everyone=True)
    assert _listed(viewer, two), "another object of theirs, said to the same, is not disputed"


def test_what_only_the_reader_dissents_from_counts_for_others(seconded: Any) -> None:
    cast, eve, stix_id = seconded
    giving.give(cast.viewer("cygnus"), stix_id, opinion="disagree", reason="false_positive")
    giving.give(eve, stix_id, opinion="agree", reason="confirmed_here")
    for who, listed in ((cast.viewer("cygnus"), False), (cast.viewer("dorado"), True)):
        assert _listed(who, accepted(who, "publishers:>=2")) == listed


@pytest.mark.slow
def test_an_opinion_that_the_reader_does_not_hear_takes_nobody_from_the_count() -> None:
    cast = build.the_cast()
    first, second = (
        making.account_pattern("net", carrier={"value": _VALUE}, tlp_word=word) for word in ("amber", "green")
    )
    build.publish(cast.viewer("aster"), first, groups=("ring",), partners=("cygnus",))
    build.publish(build.viewer_of(build.a_partner("Fay")), second, everyone=True)
    wanted = {who: accepted(cast.viewer(who), "publishers:>=2") for who in ("aster", "cygnus")}
    before = blocklists.spool(cast.viewer("cygnus"), wanted["cygnus"], form="txt").etag
    giving.give(cast.viewer("borealis"), first["id"], opinion="disagree", reason="false_positive")
    assert not _listed(cast.viewer("aster"), wanted["aster"])
    assert _listed(cast.viewer("cygnus"), wanted["cygnus"])
    assert blocklists.spool(cast.viewer("cygnus"), wanted["cygnus"], form="txt").etag == before


def test_the_set_of_a_feed_follows_a_dispute_of_what_others_say(seconded: Any, monkeypatch: Any) -> None:
    """The log tells of the disputed object alone; that the other one leaves the feed, the set asks for itself."""
    cast, eve, stix_id = seconded
    monkeypatch.setattr(proving, "_MOVES", timedelta(0))
    monkeypatch.setattr(proving, "_SHARE", float("inf"))
    monkeypatch.setattr(proving, "_TOGETHER", float("inf"))
    caller = Caller(build.a_key(cast.cygnus, *Scope))
    feed = read(caller.send("POST", "feeds", {"name": "two", "text": "publishers:>=2"}), 201)["id"]

    def lines(cursor: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in caller.get(f"feeds/{feed}/delta?cursor={cursor}").content.splitlines()]

    *rows, trailer = lines("")
    held = {row["id"] for row in rows if row.get("op") == "upsert"}
    assert len(held) == 2
    giving.give(eve, stix_id, opinion="disagree", reason="false_positive")
    *rows, trailer = lines(_cursor(trailer))
    assert {row["id"]: row["op"] for row in rows if "id" in row} == dict.fromkeys(held, "remove")
    giving.give(build.viewer_of(build.a_partner("Fay")), stix_id, opinion="agree", reason="confirmed_here")
    *rows, _ = lines(_cursor(trailer))
    assert {row["id"]: row["op"] for row in rows if "id" in row} == dict.fromkeys(held, "upsert")


def test_what_was_revised_out_of_a_filter_is_removed_from_it(world: Any) -> None:
    cast, _, _ = world
    viewer, sure = cast.viewer("cygnus"), accepted(cast.viewer("cygnus"), "confidence:>=50")
    said = build.an_indicator(tlp_word="green")
    never = build.an_indicator(tlp_word="green", confidence=10)
    build.publish(cast.viewer("aster"), said, never, everyone=True)
    head = changes.head()
    build.publish(cast.viewer("aster"), said | {"modified": build.later(), "confidence": 10}, everyone=True)
    assert _told(viewer, head, sure) == [("remove", "filtered")]
    assert _told(viewer, head) == [("upsert", "revised")]


def test_lone_dissent_has_a_cap_a_day_and_a_second_person_lifts_it(world: Any, monkeypatch: Any) -> None:
    cast, _, _ = world
    monkeypatch.setattr(recording, "MOST_ALONE", 2)
    said = [build.an_indicator(tlp_word="green") for _ in range(3)]
    build.publish(cast.viewer("aster"), *said, everyone=True)
    borealis, cygnus = cast.viewer("borealis"), cast.viewer("cygnus")
    for one in said:
        giving.give(borealis, one["id"], opinion="disagree", reason="false_positive")
    stands = [giving.read(cygnus, one["id"])[0] for one in said]
    assert [one.standing for one in stands] == ["disputed", "disputed", "unreviewed"]
    assert not giving.read(borealis, said[2]["id"])[0].opinions[0].counts_alone
    assert stands[2].opinions[0].counts_alone, "that it waits is its own partner's to know"
    client, path = Client(), f"/indicators/{said[2]['id']}/judge"
    build.sign_in(client, build.a_user(cast.borealis))
    head = changes.head()
    assert client.post(path, {"do": "confirm"}).status_code == 302
    assert giving.read(cygnus, said[2]["id"])[0].standing == "disputed"
    assert _told(cygnus, head) == [("remove", "disputed")]
    giving.give(cygnus, said[2]["id"], opinion="disagree", reason="false_positive")
    assert giving.read(cast.viewer("aster"), said[2]["id"])[0].standing == "refuted"


def test_what_several_labs_say_alike_under_one_id_is_judged_at_once_and_nothing_else_under_it(world: Any) -> None:
    """`publish --csv` makes ids of values: two labs that say one value say it under one id."""
    cast, eve, _ = world
    borealis, cygnus = cast.viewer("borealis"), cast.viewer("cygnus")
    said = making.account_pattern(carrier={"token": making.token("ab" * 32)}, tlp_word="green")
    squatting = said | making.account_pattern(carrier={"token": making.token("cd" * 32)}, tlp_word="green")
    for who, what in (("aster", said), ("cygnus", said), ("dorado", squatting | {"id": said["id"]})):
        viewer = cast.viewer(who) if who != "dorado" else build.viewer_of(build.a_partner("Zephyr"))
        build.publish(viewer, what | {"created_by_ref": viewer.identity_id}, everyone=True)

    def stands(viewer: Any) -> dict[str, str]:
        return {one.publisher.slug: str(one.standing) for one in giving.read(viewer, said["id"])}

    giving.give(borealis, said["id"], opinion="disagree", reason="false_positive")
    assert stands(eve) == {"aster": "disputed", "cygnus": "disputed", "zephyr": "unreviewed"}
    giving.give(eve, said["id"], opinion="disagree", reason="false_positive")
    assert stands(cygnus) == {"aster": "refuted", "cygnus": "refuted", "zephyr": "unreviewed"}
    giving.give(borealis, said["id"], opinion="neutral", reason="stale")
    assert stands(eve) == {"aster": "disputed", "cygnus": "disputed", "zephyr": "unreviewed"}
    opinions = Opinion.unrestricted.filter(partner=borealis.partner_id)
    assert len(set(opinions.values_list("said_by", flat=True))) == 1, "revised, not repeated"
    giving.take_back(eve, said["id"])
    assert set(stands(cygnus).values()) == {"unreviewed"}
    # Who publishes it judges the others' all the same.
    giving.give(cygnus, said["id"], opinion="disagree", reason="victim")
    assert stands(eve)["aster"] == "disputed"
    assert stands(eve)["cygnus"] == "unreviewed"


@pytest.mark.parametrize("pushed", [False, True])
def test_whoever_made_the_key_that_dissents_is_no_second_person(world: Any, monkeypatch: Any, pushed: bool) -> None:
    cast, _, stix_id = world
    monkeypatch.setattr(recording, "MOST_ALONE", 0)
    admin, other = build.a_user(cast.borealis), build.a_user(cast.borealis)
    _, key = keys.issue(
        cast.borealis,
        name="theirs",
        scopes=build.LAB_SCOPES,
        expires_in=timedelta(days=1),
        by=auth.viewer_of_user(admin),
    )
    if pushed:
        judged = Holding.unrestricted.get(stix_id=stix_id)
        said = giving._document(cast.viewer("borealis"), judged, None, opinion="disagree", reason="stale")
        assert Caller(key).push(said, query="?everyone=true").status_code == 200
        recording.catch_up()
    else:
        sent = {"opinion": "disagree", "reason": "stale"}
        assert Caller(key).send("POST", f"objects/{stix_id}/opinions", sent).status_code == 200
    assert not Opinion.unrestricted.get().alone
    for nobody in (auth.viewer_of_user(admin), cast.viewer("borealis")):
        with pytest.raises(Conflict):
            giving.confirm(nobody, stix_id)
    giving.confirm(auth.viewer_of_user(other), stix_id)
    assert Opinion.unrestricted.get().alone


@pytest.mark.django_db(transaction=True)
def test_dissents_that_are_given_at_the_same_time_share_the_day_s_cap(world: Any, monkeypatch: Any) -> None:
    """Of two audiences: those of one wait for each other anyway."""
    cast, _, _ = world
    monkeypatch.setattr(recording, "MOST_ALONE", 1)
    borealis = cast.viewer("borealis")
    given = []
    for audience in ({"everyone": True}, {"groups": ("ring",)}):
        made = build.an_indicator(tlp_word="green")
        build.publish(cast.viewer("aster"), made, **audience)
        holding = Holding.unrestricted.get(stix_id=made["id"])
        document = giving._document(borealis, holding, None, opinion="disagree", reason="stale")
        build.publish(borealis, document, **audience)
        given.append(Holding.unrestricted.get(stix_id=document["id"]).pk)
    Opinion.unrestricted.all().delete()  # a worker may have recorded them, one after the other
    ends = one_after_the_other(*(lambda pk=pk: recording.recorded(pk, actor="") for pk in given))
    assert [end.result() for end in ends] == [None, None]
    assert sorted(Opinion.unrestricted.values_list("alone", flat=True)) == [False, True]


def test_the_right_to_react_is_what_it_takes(world: Any) -> None:
    cast, _, stix_id = world
    path, body = f"/api/v1/objects/{stix_id}/opinions", {"opinion": "disagree", "reason": "false_positive"}

    def send(key: str, where: str = path, what: Any = body) -> tuple[int, Any]:
        answer = Client().post(where, json.dumps(what), content_type="application/json", headers=bearer(key))
        return answer.status_code, json.loads(answer.content)

    status, told = send(build.a_key(cast.borealis, Scope.READ, Scope.REACT))
    assert (status, told["status"], told["judged"][0]["standing"]) == (200, "accepted", "disputed")
    assert send(build.a_key(cast.borealis, Scope.READ, Scope.PUBLISH))[0] == 403
    assert send(cast.keys["dorado"])[0] == 403
    assert send(cast.keys["aster"])[1]["code"] == "own-object"
    absent = "indicator--00000000-0000-4000-8000-000000000000"
    assert send(cast.keys["borealis"], path.replace(stix_id, absent))[0] == 404
    assert send(cast.keys["borealis"], what={"opinion": "bad", "reason": "stale"})[1]["code"] == "bad-opinion"
    assert send(cast.keys["borealis"], what={"opinion": "agree", "reason": "because"})[1]["code"] == "bad-reason"


def test_an_opinion_that_was_pushed_counts_like_one_that_was_given(world: Any) -> None:
    cast, eve, stix_id = world
    giving.give(eve, stix_id, opinion="disagree", reason="stale")
    given = giving.read(eve, stix_id)[0].opinions[0].stix_id
    pushed = json.loads(Client().get(f"/api/v1/objects/{given}", headers=bearer(cast.keys["cygnus"])).content)
    again = pushed["statements"][0]["object"] | {
        "id": given.replace(given[-4:], "abcd"),
        "created_by_ref": cast.viewer("cygnus").identity_id,
    }
    build.publish(cast.viewer("cygnus"), again, everyone=True)
    recording.catch_up()
    assert giving.read(cast.viewer("aster"), stix_id)[0].standing == "refuted"


def test_of_two_opinions_of_a_partner_the_newer_word_stands_though_the_older_is_recorded_anew(world: Any) -> None:
    cast, _, stix_id = world
    borealis = cast.viewer("borealis")
    older, newer = (_an_opinion(borealis, [stix_id]) | {"opinion": word} for word in ("disagree", "agree"))
    for said in (older, newer):
        build.publish(borealis, said, everyone=True)
        recording.catch_up()
    narrowed = Caller(cast.keys["borealis"]).send("PUT", f"objects/{older['id']}/audience", {"groups": ["ring"]})
    assert narrowed.status_code == 204
    recording.catch_up()
    (judged,) = giving.read(cast.viewer("aster"), stix_id)
    assert [one.opinion for one in judged.opinions] == ["agree"]


def test_an_opinion_that_was_revised_to_say_nothing_is_read_by_nobody(world: Any) -> None:
    """Until it is recorded, what is kept is still of its version before."""
    cast, _, stix_id = world
    borealis = cast.viewer("borealis")
    said = _an_opinion(borealis, [stix_id])
    build.publish(borealis, said, everyone=True)
    recording.catch_up()
    silent = {name: value for name, value in said.items() if name != "opinion"} | {"modified": build.later()}
    assert build.publish(borealis, silent, everyone=True).counts["accepted"] == 1
    (judged,) = read(Caller(cast.keys["aster"]).get(f"objects/{stix_id}/opinions"))["judged"]
    assert judged["opinions"] == []


def test_many_opinions_are_recorded_before_the_log_is_locked_so_that_no_two_wait_for_each_other(world: Any) -> None:
    """Who gives an opinion locks it, then the log; the follower once took the log between two opinions."""
    cast, _, _ = world
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    place = changes.head()
    for _ in range(2):
        made = build.an_indicator()
        build.publish(aster, made, groups=("ring",))
        opinion = giving._document(
            borealis, Holding.unrestricted.get(stix_id=made["id"]), None, opinion="disagree", reason="stale"
        )
        assert build.publish(borealis, opinion, groups=("ring",)).counts["accepted"] == 1
    with CaptureQueriesContext(connection) as queries:
        recording.find(after=place)
    said = [query["sql"] for query in queries]
    of_a_pair = "dissents "  # of one partner's dissents against one publisher: taken before the log's
    locks = [number for number, sql in enumerate(said) if "pg_advisory_xact_lock" in sql and of_a_pair not in sql]
    rows = [number for number, sql in enumerate(said) if '"indicators_opinion"' in sql]
    assert max(rows) < min(locks)


def test_the_shares_of_dissents_are_taken_at_once_and_in_one_order(world: Any) -> None:
    """Two workers that take them in two orders would wait for each other."""
    cast, _, _ = world
    borealis = cast.viewer("borealis")
    said = {}
    for who in ("aster", "cygnus", "dorado", "aster", "cygnus"):
        viewer = cast.viewer(who) if who != "dorado" else build.viewer_of(build.a_partner("Zephyr"))
        made = build.an_indicator(tlp_word="green")
        build.publish(viewer, made, everyone=True)
        said[made["id"]] = str(viewer.partner_id)
    ids = sorted(said, key=lambda one: said[one], reverse=True)
    opinions = [_an_opinion(borealis, ids[:3]), *(_an_opinion(borealis, [one]) for one in ids)]
    after = changes.head()
    build.publish(borealis, *opinions, everyone=True)
    with CaptureQueriesContext(connection) as asked:
        recording.find(after=after)
    taken = [n for n, one in enumerate(asked) if "hashtextextended(word" in one["sql"]]
    kept = [n for n, one in enumerate(asked) if 'INSERT INTO "indicators_opinion"' in one["sql"]]
    assert len(kept) == len(ids)
    assert len(taken) == 1
    assert taken[0] < kept[0]
    words = re.findall(r"dissents [0-9a-f-]{36} ([0-9a-f-]{36})", asked[taken[0]]["sql"])
    assert words == sorted(set(said.values()))


def _an_opinion(viewer: Any, ids: list[str]) -> dict[str, Any]:
    made = clock.rfc3339(clock.now())
    return {
        "type": "opinion",
        "spec_version": "2.1",
        "id": f"opinion--{uuid.uuid4()}",
        "created_by_ref": viewer.identity_id,
        "created": made,
        "modified": made,
        "opinion": "disagree",
        "object_refs": ids,
    }


def test_who_pushes_an_opinion_once_more_is_not_taken_for_who_sent_it(world: Any, monkeypatch: Any) -> None:
    cast, _, stix_id = world
    monkeypatch.setattr(recording, "MOST_ALONE", 0)
    admin, other = (auth.viewer_of_user(build.a_user(cast.borealis)) for _ in range(2))
    opinion, after = _an_opinion(admin, [stix_id]), changes.head()
    build.publish(admin, opinion, everyone=True)
    build.publish(other, opinion, build.an_indicator(), everyone=True)
    recording.find(after=after)
    with pytest.raises(Conflict):
        giving.confirm(admin, stix_id)
    with CaptureQueriesContext(connection) as asked:
        giving.confirm(other, stix_id)
    statements = [one["sql"] for one in asked]
    locks = [n for n, one in enumerate(statements) if "FOR NO KEY UPDATE" in one]
    assert max(n for n, one in enumerate(statements) if "LIKE" in one) < locks[0], "nobody waits for the look"
