"""A recall is frozen before it is carried out, is gone everywhere at once, and comes back for an hour; with receipts."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import given
from hypothesis import strategies as st

from exchange import bodies, clock
from exchange.errors import Forbidden
from indicators import detectors, reading
from indicators.ending import deciding, recalling, released
from indicators.ending.released import Instance
from indicators.feeds import receipts
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Holding, InForce, Recall, Receipt, Release, StixObject
from indicators.reading.selecting import Selection
from partners import keys
from partners.caps import Caps
from partners.groups import steering
from partners.keys import auth
from partners.models import AuditRecord
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.indicators.api.test_delta import Subscriber

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def person(partner, role=Role.PUBLISHER):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def published(cast, count=3, **more):
    made = [build.an_indicator(**more) for _ in range(count)]
    answer = build.publish(cast.viewer("aster"), *made, groups=("ring",))
    assert answer.counts["accepted"] == count, answer.results
    return [one["id"] for one in made]


def prepared(cast, status=201, **wanted):
    return read(Caller(cast.keys["aster"]).send("POST", "recalls", wanted), status)


def act(cast, recall, verb, status=200):
    return read(Caller(cast.keys["aster"]).send("POST", f"recalls/{recall['id']}/{verb}", {}), status)


def told(viewer, after):
    return [(one.op, one.reason, one.stix_id) for one in changes.since(viewer, Filter(), after=after, limit=99).changes]


def later(monkeypatch, **by):
    moment = clock.now() + timedelta(**by)
    monkeypatch.setattr(clock, "now", lambda: moment)


def test_it_is_frozen_first_and_what_came_since_stays(cast):
    ids, agent = published(cast), Subscriber(Caller(cast.keys["borealis"]))
    agent.catch_up()
    recall = prepared(cast, since=clock.rfc3339(clock.now() - timedelta(minutes=5)))
    assert (recall["state"], recall["objects"], recall["ids"]) == ("prepared", 3, sorted(ids))
    assert agent.catch_up() == [], "nobody is told of what is only prepared"
    since, place = published(cast, 1), changes.head()
    done = act(cast, recall, "carry-out")
    assert (done["state"], done["recalled"], done["needs_second_person"]) == ("disarmed", 3, False)
    assert told(cast.viewer("borealis"), place) == [("remove", "recalled", stix_id) for stix_id in ids]
    assert {(row["op"], row["reason"]) for row in agent.catch_up()} == {("upsert", "published"), ("remove", "recalled")}
    assert agent.ids() == set(since)
    assert code(Caller(cast.keys["aster"]).send("POST", f"recalls/{recall['id']}/carry-out", {}), 409) == (
        "already-decided"
    )
    undone = act(cast, recall, "undo")
    assert (undone["state"], undone["brought_back"]) == ("undone", 3)
    agent.catch_up()
    assert agent.ids() == {*ids, *since}


def test_of_what_is_only_prepared_the_newest_are_kept_and_a_list_tells_of_each_in_short(cast, monkeypatch):
    monkeypatch.setattr(recalling, "MOST_PREPARED", 2)
    *ids, gone = published(cast, 102)
    done = prepared(cast, ids=[gone])
    act(cast, done, "carry-out")
    first, *kept = [prepared(cast, ids=ids[1:]), prepared(cast, ids=ids), prepared(cast, ids=ids[1:])]
    aster = Caller(cast.keys["aster"])
    assert code(aster.get(f"recalls/{first['id']}"), 404) == "not-found"
    with CaptureQueriesContext(connection) as asked:
        listed = read(aster.get("recalls"))["recalls"]
    assert [one["id"] for one in listed] == [kept[1]["id"], kept[0]["id"], done["id"]], "what was carried out stays"
    assert [(one["objects"], one["asked"]["ids"]) for one in listed] == [
        (100, ids[1:]), (101, ids[:100]), (1, [gone])
    ]  # fmt: skip
    assert not [one for one in asked if '"indicators_recall"."holdings",' in one["sql"]], "their keys stay there"
    assert read(aster.get(f"recalls/{kept[0]['id']}"))["asked"]["ids"] == ids


def test_the_ends_of_a_recall_are_published_in_portions_of_no_more_bytes_than_a_push(cast, monkeypatch):
    ids = published(cast, 3, name="n" * 200)
    sizes, publish = [], deciding._revoke
    monkeypatch.setattr(
        deciding, "_revoke", lambda by, ending, rows: sizes.append(len(rows)) or publish(by, ending, rows)
    )
    recall = prepared(cast, ids=ids)
    act(cast, recall, "carry-out")
    size = max(len(one) for one in StixObject.unrestricted.filter(body__isnull=False).values_list("body", flat=True))
    monkeypatch.setattr(bodies, "MAX_BATCH_BYTES", 2 * size + 1)
    assert act(cast, recall, "finish")["state"] == "final"
    assert sizes == [2, 1]
    assert set(Holding.unrestricted.values_list("state", flat=True)) == {"revoked"}


def test_by_id_detector_version_time_and_campaign(cast):
    aster = cast.viewer("aster")
    detector = detectors.register(aster, name="Bursts").code

    def of(version):
        return published(cast, 2, extension={"detector": {"name": detector, "version": version}})

    first, second, plain = of("1.0.0"), of("2.0.0"), published(cast, 1)
    campaign = {
        "type": "campaign", "spec_version": "2.1", "id": "campaign--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a11",
        "created": "2026-11-01T00:00:00Z", "modified": "2026-11-01T00:00:00Z", "name": "Hydra",
    }  # fmt: skip
    link = {
        "type": "relationship", "spec_version": "2.1", "id": "relationship--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a12",
        "created": "2026-11-01T00:00:00Z", "modified": "2026-11-01T00:00:00Z", "relationship_type": "indicates",
        "source_ref": first[0], "target_ref": campaign["id"],
    }  # fmt: skip
    build.publish(cast.viewer("borealis"), campaign, link, groups=("ring",))
    assert prepared(cast, detector=detector)["ids"] == sorted(first + second)
    assert prepared(cast, detector=detector, version="2.0.0")["ids"] == sorted(second)
    assert prepared(cast, ids=[*first, *plain])["ids"] == sorted(first + plain)
    assert prepared(cast, ids=[*first, *plain], detector=detector)["ids"] == sorted(first)
    assert prepared(cast, campaign=campaign["id"])["ids"] == [first[0]]
    assert prepared(cast, until=clock.rfc3339(clock.now() - timedelta(hours=1)))["objects"] == 0
    assert prepared(cast, detector="d-00000000")["objects"] == 0


@pytest.mark.parametrize(
    ("wanted", "why", "field"),
    [
        ({}, "nothing-named", ""),
        ({"ids": [], "detector": "d-00000000"}, "bad-ids", "/ids"),
        ({"ids": None}, "nothing-named", ""),
        (
            {"version": "1.0.0", "ids": ["indicator--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a11"]},
            "nothing-named",
            "/detector",
        ),
        ({"ids": ["indicator--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a11"]}, "not-held", "/ids/0"),
        ({"since": "2026-11-28"}, "bad-time", "/since"),
        ({"since": "2026-11-28T10:00:00Z", "until": "2026-11-28T10:00:00Z"}, "bad-time", "/until"),
    ],
)
def test_what_cannot_be_recalled_is_said_with_its_field(cast, wanted, why, field):
    answer = Caller(cast.keys["aster"]).send("POST", "recalls", wanted)
    assert (code(answer, 422), at(answer)) == (why, field)


def test_what_others_published_is_nobodys_to_recall(cast):
    (theirs,) = published(cast, 1)
    answer = Caller(cast.keys["borealis"]).send("POST", "recalls", {"ids": [theirs]})
    assert code(answer, 422) == "not-held"
    mine = prepared(cast, ids=[theirs])
    for path in ("", "/carry-out", "/undo", "/finish"):
        method = "POST" if path else "GET"
        assert Caller(cast.keys["borealis"]).send(method, f"recalls/{mine['id']}{path}", {}).status_code == 404


def test_up_to_the_cap_one_makes_it_final_and_above_it_a_second_person(cast):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    steering.change(admin, replace(steering.settings_of(cast.aster), caps=Caps(ends=2)))
    few, many = published(cast, 2), published(cast, 3)
    recall = prepared(cast, ids=few)
    act(cast, recall, "carry-out")
    assert act(cast, recall, "finish")["state"] == "final"
    assert set(Holding.unrestricted.filter(stix_id__in=few).values_list("state", flat=True)) == {"revoked"}
    recall = prepared(cast, ids=many)
    assert act(cast, recall, "carry-out")["needs_second_person"]
    assert code(Caller(cast.keys["aster"]).send("POST", f"recalls/{recall['id']}/finish", {}), 403) == "needs-a-person"
    assert recalling.finish(person(cast.aster), recall["id"]).ending.state == "final"
    found = reading.page(cast.viewer("borealis"), Selection(), limit=99).statements
    assert {one.stix_id for one in found if one.revoked} == {*few, *many}
    assert code(Caller(cast.keys["aster"]).send("POST", f"recalls/{recall['id']}/undo", {}), 409) == "already-decided"


def test_what_nobody_decides_is_final_after_the_hour_and_what_is_old_is_not_carried_out(cast, monkeypatch):
    ids = published(cast)
    recall, old = prepared(cast, ids=ids), prepared(cast, ids=ids)
    act(cast, recall, "carry-out")
    later(monkeypatch, minutes=61)
    assert deciding.finish_due() == 1
    assert set(Holding.unrestricted.values_list("state", flat=True)) == {"revoked"}
    viewer = person(cast.aster)
    assert recalling.find(viewer, recall["id"]).ending.state == "final"
    with pytest.raises(Exception, match="too long ago"):
        recalling.carry_out(viewer, old["id"])
    later(monkeypatch, hours=3)
    recalling.forget()
    deciding.forget()
    assert [one.pk for one in Recall.unrestricted.all()] == [recalling.find(viewer, recall["id"]).pk]
    later(monkeypatch, days=91)
    recalling.forget()
    assert not Recall.unrestricted.exists()


def test_very_many_are_named_in_the_log_by_a_digest(cast, monkeypatch):
    monkeypatch.setattr("indicators.ending.disarming._MOST_IN_THE_LOG", 2)
    recall = prepared(cast, ids=published(cast))
    act(cast, recall, "carry-out")
    details = AuditRecord.objects.get(verb="objects.disarmed").details
    assert (details["objects"], len(details["ids_sha256"]), "ids" in details) == (3, 64, False)


def acked(caller, cursor, instance, status=200, **more):
    sent = {"instance": instance, "version": "1", "cursor": cursor, **more}
    return read(caller.send("POST", "feeds/all/acks", sent), status)


@pytest.mark.slow
def test_receipts_say_which_share_holds_it_and_how_fast_it_went_and_never_who(cast, monkeypatch):
    cygnus = build.a_ring(cast.aster, cast.cygnus, slug="circle")
    made = [build.an_indicator() for _ in range(2)]
    build.publish(cast.viewer("aster"), *made, groups=("ring", "circle"))
    agents = {name: Subscriber(Caller(cast.keys[name])) for name in ("borealis", "cygnus")}
    for name, agent in agents.items():
        agent.catch_up()
        acked(agent.caller, agent.cursor, f"{name}-1")
    acked(agents["cygnus"].caller, agents["cygnus"].cursor, "cygnus-2")
    recall = prepared(cast, ids=[one["id"] for one in made])
    path = f"recalls/{recall['id']}"
    assert read(Caller(cast.keys["aster"]).get(path))["receipts"] is None
    begin = clock.now()
    monkeypatch.setattr(clock, "now", lambda: begin)
    act(cast, recall, "carry-out")
    aster = Caller(cast.keys["aster"])
    assert read(aster.get(path))["receipts"]["holding"] == 1.0
    monkeypatch.setattr(clock, "now", lambda: begin + timedelta(seconds=2))
    agents["borealis"].catch_up()
    assert read(aster.get(path))["receipts"]["holding"] == 1.0, "what is told is not applied yet"
    acked(agents["borealis"].caller, agents["borealis"].cursor, "borealis-1")
    found = read(aster.get(path))["receipts"]
    assert (found["holding"], round(found["slowest_s"])) == (0.5, 2)
    agents["cygnus"].catch_up()
    monkeypatch.setattr(clock, "now", lambda: begin + timedelta(seconds=10))
    for instance in ("cygnus-1", "cygnus-2"):
        acked(agents["cygnus"].caller, agents["cygnus"].cursor, instance)
    acked(agents["borealis"].caller, agents["borealis"].cursor, "borealis-1")
    found = read(aster.get(path))["receipts"]
    assert (found["holding"], round(found["median_s"]), round(found["slowest_s"])) == (0.0, 6, 10), (
        "each partner weighs alike"
    )
    assert Release.unrestricted.count() == 3
    acked(agents["borealis"].caller, agents["borealis"].cursor, "borealis-new")
    assert read(aster.get(path))["receipts"] == found, "what began after it never held it"
    act(cast, recall, "undo")
    assert read(aster.get(path))["receipts"] is None
    assert not re.search(b"borealis|cygnus", aster.get(path).content.lower())
    monkeypatch.setattr(clock, "now", lambda: begin + timedelta(days=91))
    receipts.forget()
    assert not Release.unrestricted.exists()
    assert cygnus


@pytest.mark.slow
def test_a_receipt_with_a_false_hash_or_of_before_says_of_nothing_that_it_is_gone(cast):
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("ring", "circle"))
    agents = [Subscriber(Caller(cast.keys[name])) for name in ("borealis", "cygnus")]
    before = []
    for agent in agents:
        agent.catch_up()
        before.append(agent.cursor)
        acked(agent.caller, agent.cursor, "one")
    recall = prepared(cast, ids=[made["id"]])
    act(cast, recall, "carry-out")

    def holding():
        return read(Caller(cast.keys["aster"]).get(f"recalls/{recall['id']}"))["receipts"]["holding"]

    for agent in agents:
        agent.catch_up()
        false = acked(agent.caller, agent.cursor, "one", set_count=0, set_hash="ab" * 32)
        assert false["equal"] is False
    assert holding() == 1.0
    assert not Release.unrestricted.exists()
    count, total = 0, "0" * 64
    for agent in agents:
        assert acked(agent.caller, agent.cursor, "one", set_count=count, set_hash=total)["equal"]
    assert holding() == 0.0
    acked(agents[0].caller, before[0], "one")
    assert holding() == 0.5, "whoever goes back to a place of before holds it again"
    acked(agents[0].caller, agents[0].cursor, "one")
    assert holding() == 0.0
    # The cursor of another says nothing.
    assert (
        agents[0].caller.send("POST", "feeds/all/acks", {"instance": "x", "cursor": agents[1].cursor}).status_code
        >= 400
    )


def test_one_partners_agents_alone_are_told_of_to_nobody(cast):
    agent = Subscriber(Caller(cast.keys["borealis"]))
    ids = published(cast)
    agent.catch_up()
    for number in range(3):
        acked(agent.caller, agent.cursor, f"instance {number}")
    recall = prepared(cast, ids=ids)
    act(cast, recall, "carry-out")
    assert Receipt.unrestricted.count() == 3
    assert InForce.unrestricted.exists()
    assert read(Caller(cast.keys["aster"]).get(f"recalls/{recall['id']}"))["receipts"] is None


SINCE = clock.now()
INSTANCES = st.lists(
    st.builds(
        Instance,
        st.sampled_from("abc"),
        st.none() | st.floats(0, 9e5).map(lambda seconds: SINCE + timedelta(seconds=seconds)),
    )
)


@given(INSTANCES)
def test_nothing_is_told_of_fewer_than_two_partners_and_zero_only_where_none_holds(instances):
    found = released.told(instances, at=SINCE)
    if len({one.partner for one in instances}) < 2:
        assert found is None
        return
    own = [[one.released_at is None for one in instances if one.partner == partner] for partner in "abc"]
    shares = [sum(held) / len(held) for held in own if held]
    assert (found.holding == 0) == (not any(shares))
    assert -1e-9 < found.holding - sum(shares) / len(shares) < 0.1 + 1e-9
    assert found == released.told(instances[::-1], at=SINCE), "no order, and no name"
    if found.median_s is not None:
        assert found.median_s <= found.slowest_s


@pytest.mark.parametrize("many", [2, 99])
@pytest.mark.parametrize("moment", [SINCE + timedelta(seconds=7), None])
def test_how_many_instances_a_partner_has_moves_nothing(many, moment):
    """Nor how many it says it has: nobody is told apart by it, and nobody outweighs the others."""
    later = SINCE + timedelta(seconds=90)
    for others in ([Instance("b", later)], [Instance("b", None)], [Instance("b", later), Instance("c", None)]):
        alone, farm = [Instance("a", moment)], [Instance("a", moment)] * many
        found = released.told(alone + others, at=SINCE)
        assert found is not None
        assert found == released.told(farm + others, at=SINCE)


def test_who_may_not_publish_recalls_nothing(cast):
    reader = build.a_key(cast.aster, Scope.READ)
    assert code(Caller(reader).send("POST", "recalls", {"ids": ["x"]}), 403) == "missing-scope"


def test_what_others_published_meanwhile_and_what_has_ended_is_not_found(cast):
    """By whatever it is looked for: only what its own partner holds, and what lives."""
    code_of = detectors.register(cast.viewer("aster"), name="Bursts").code
    said = {"extension": {"detector": {"name": code_of, "version": "1.0.0"}}}
    ids, ended, theirs = published(cast, 2, **said), build.an_indicator(**said), build.an_indicator()
    for version in (ended, ended | {"revoked": True, "modified": build.later()}):
        build.publish(cast.viewer("aster"), version, groups=("ring",))
    build.publish(cast.viewer("borealis"), theirs, groups=("ring",))
    since = clock.rfc3339(clock.now() - timedelta(minutes=5))
    for wanted in ({"since": since}, {"detector": code_of}, {"detector": code_of, "version": "1.0.0"}):
        assert prepared(cast, **wanted)["ids"] == sorted(ids), wanted
    assert prepared(cast, ids=[ended["id"]])["objects"] == 0, "it is held, and has ended"


def test_time_is_from_the_first_moment_on_and_before_the_last(cast):
    (stix_id,) = published(cast, 1)
    at_ = StixObject.unrestricted.get(holding__stix_id=stix_id).stored_at
    step, by = timedelta(microseconds=1), cast.viewer("aster")
    found = [
        len(recalling.prepare(by, recalling.Wanted(since=since, until=until)).holdings)
        for since, until in ((at_, None), (at_ + step, None), (None, at_), (None, at_ + step))
    ]
    assert found == [1, 0, 0, 1]


def test_a_link_that_was_revoked_joins_nothing_with_a_campaign(cast):
    (first,) = published(cast, 1)
    campaign = "campaign--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a11"
    link = {
        "type": "relationship", "spec_version": "2.1", "id": "relationship--6d1d86b6-9c4e-4d0c-8f0c-0f2a6f8f5a12",
        "created": "2026-11-01T00:00:00Z", "modified": "2026-11-01T00:00:00Z", "relationship_type": "indicates",
        "source_ref": first, "target_ref": campaign,
    }  # fmt: skip
    borealis = cast.viewer("borealis")
    build.publish(borealis, link, groups=("ring",))
    assert prepared(cast, campaign=campaign)["ids"] == [first]
    build.publish(borealis, link | {"revoked": True, "modified": build.later()}, groups=("ring",))
    assert prepared(cast, campaign=campaign)["objects"] == 0


def test_what_was_just_prepared_and_what_still_can_come_back_is_not_forgotten(cast):
    fresh, disarmed = prepared(cast, ids=published(cast)), prepared(cast, ids=published(cast))
    act(cast, disarmed, "carry-out")
    Recall.unrestricted.filter(pk=disarmed["id"]).update(at=clock.now() - timedelta(days=365))
    recalling.forget()
    assert {str(one.pk) for one in Recall.unrestricted.all()} == {fresh["id"], disarmed["id"]}


def test_what_was_prepared_is_in_the_log_by_what_it_was_looked_for(cast):
    recall = prepared(cast, ids=published(cast))
    record = AuditRecord.objects.get(verb="recall.prepared", target=f"recall:{recall['id']}")
    assert (record.details["objects"], record.details["by_what"]) == (3, ["ids"])


@pytest.mark.parametrize("verb", ["carry-out", "undo", "finish"])
def test_who_may_not_publish_everywhere_carries_out_and_brings_back_nothing(cast, verb):
    """Of its own partner: by REST, and by the verb itself, which every surface calls."""
    ids = published(cast)
    recall = prepared(cast, ids=ids)
    if verb != "carry-out":
        act(cast, recall, "carry-out")
    _, narrow = keys.issue(
        cast.aster, name="n", scopes=build.LAB_SCOPES, expires_in=timedelta(1), groups=[cast.ring.pk]
    )
    reads = build.a_key(cast.aster, Scope.READ)
    verbs = {"carry-out": recalling.carry_out, "undo": recalling.undo, "finish": recalling.finish}
    for key, why in ((narrow, "key-limited-to-groups"), (reads, "missing-scope")):
        assert code(Caller(key).send("POST", f"recalls/{recall['id']}/{verb}", {}), 403) == why
        with pytest.raises(Forbidden) as refused:
            verbs[verb](auth.viewer_of_key(key), recall["id"])
        assert refused.value.code == why
    state = set(Holding.unrestricted.filter(stix_id__in=ids).values_list("state", flat=True))
    assert state == {"live" if verb == "carry-out" else "disarmed"}


def test_who_may_not_publish_everywhere_prepares_and_lists_none(cast):
    """What is found speaks of all groups."""
    ids = published(cast)
    _, narrow = keys.issue(
        cast.aster, name="n", scopes=build.LAB_SCOPES, expires_in=timedelta(1), groups=[cast.ring.pk]
    )
    for key, why in ((narrow, "key-limited-to-groups"), (build.a_key(cast.aster, Scope.READ), "missing-scope")):
        assert code(Caller(key).send("POST", "recalls", {"ids": ids}), 403) == why
        for ask in (lambda viewer: recalling.prepare(viewer, recalling.Wanted(ids=tuple(ids))), recalling.listed):
            with pytest.raises(Forbidden) as refused:
                ask(auth.viewer_of_key(key))
            assert refused.value.code == why
    assert not Recall.unrestricted.exists()
