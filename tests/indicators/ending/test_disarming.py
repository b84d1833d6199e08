"""A mass revocation takes effect at once, comes back by one call within the hour, and is final after it."""

from __future__ import annotations

import json
import threading
import uuid
from dataclasses import replace
from datetime import timedelta

import pytest
from django.core import mail
from django.db import connection
from django.test import Client

from exchange import clock
from exchange.errors import Conflict, ExchangeError, Forbidden, NotFound
from indicators import reading
from indicators.ending import deciding, leaving, withdrawing
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Disarmed, Ending, Holding
from indicators.reading.selecting import Selection
from partners import keys
from partners.caps import Caps
from partners.groups import membership, steering
from partners.keys import auth
from partners.models import AuditRecord, Partner
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.publishing.test_markings import a_definition
from tests.waiting import DEADLINE_S

pytestmark = pytest.mark.django_db

FEW = 3


@pytest.fixture
def cast():
    made = build.the_cast()
    cap(made, FEW)
    return made


def cap(cast, ends):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    steering.change(admin, replace(steering.settings_of(cast.aster), caps=Caps(ends=ends)))


def person(partner, role=Role.PUBLISHER):
    return auth.viewer_of_user(build.a_user(partner, role=role))


def published(cast, count=FEW + 1, **audience):
    made = [build.an_indicator() for _ in range(count)]
    answer = build.publish(cast.viewer("aster"), *made, **(audience or {"groups": ("ring",)}))
    assert answer.counts["accepted"] == count
    return made


def ids(made):
    return [one["id"] for one in made]


def end(cast, verb, named, *, key=""):
    return read(Caller(key or cast.keys["aster"]).send("POST", f"objects/{verb}", {"ids": named}))


def seen(viewer):
    return {one.stix_id: one for one in reading.page(viewer, Selection(), limit=99).statements}


def told(viewer, after=0):
    return changes.since(viewer, Filter(), after=after, limit=99)


def listed(cast, name="borealis"):
    content = b"".join(Caller(cast.keys[name]).get("blocklists/all?format=jsonl").streaming_content)
    return {stix_id for line in content.splitlines() for stix_id in json.loads(line)["ids"]}


def states(made):
    found = dict(Holding.unrestricted.filter(stix_id__in=ids(made)).values_list("stix_id", "state"))
    return {found[stix_id] for stix_id in ids(made)}


def later(monkeypatch, **by):
    moment = clock.now() + timedelta(**by)
    monkeypatch.setattr(clock, "now", lambda: moment)


@pytest.mark.parametrize("verb", ["revoke", "withdraw"])
def test_more_ends_than_the_cap_are_gone_at_once_and_come_back_by_one_call(cast, verb):
    made, borealis = published(cast), cast.viewer("borealis")
    before, place = seen(borealis), changes.head()
    assert set(ids(made)) <= listed(cast)
    answer = end(cast, verb, ids(made))
    assert answer["counts"]["accepted"] == FEW + 1
    assert {one["code"] for one in answer["results"]} == {"disarmed"}
    assert seen(borealis) == {} == seen(cast.viewer("aster"))
    assert listed(cast) == set() == listed(cast, "aster")
    gone = told(borealis, after=place)
    assert {(one.op, one.reason, one.stix_id) for one in gone.changes} == {("remove", "disarmed", x) for x in ids(made)}
    (waiting,) = read(Caller(cast.keys["aster"]).get("disarmed"))["disarmed"]
    assert (waiting["ended_by"], waiting["objects"], waiting["ids"]) == (verb, FEW + 1, sorted(ids(made)))
    assert read(Caller(cast.keys["borealis"]).get("disarmed"))["disarmed"] == []
    undone = read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {}))["undone"]
    assert undone == [{"id": waiting["id"], "brought_back": FEW + 1, "ended": 0}]
    after = seen(borealis)
    assert {stix_id: one.body for stix_id, one in after.items()} == {x: one.body for x, one in before.items()}
    assert set(ids(made)) <= listed(cast)
    back = told(borealis, after=gone.reached)
    assert {(one.op, one.reason, one.stix_id) for one in back.changes} == {
        ("upsert", "published", x) for x in ids(made)
    }
    assert {one.op for one in told(borealis, after=place).changes} == {"upsert"}, "who was away was told of no end"
    assert states(made) == {"live"}
    assert not Disarmed.unrestricted.exists()
    assert read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {}))["undone"] == []
    assert code(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": [waiting["id"]]}), 409) == (
        "already-decided"
    )


@pytest.mark.parametrize("verb", ["revoke", "withdraw"])
def test_up_to_the_cap_ends_are_final_at_once(cast, verb):
    made = published(cast, FEW)
    answer = end(cast, verb, ids(made))
    assert [one.get("code") for one in answer["results"]] == [None] * FEW
    assert states(made) == {"revoked" if verb == "revoke" else "withdrawn"}
    assert deciding.waiting(cast.viewer("aster")) == []


def test_ends_are_counted_over_an_hour_over_all_keys_and_ways(cast, monkeypatch):
    made, admin = published(cast, 6), person(cast.aster)
    other = build.a_key(cast.aster)
    assert end(cast, "revoke", ids(made[:1]))["results"][0].get("code") is None
    withdrawing.withdraw(admin, [made[1]["id"]])
    pushed = made[2] | {"revoked": True, "modified": build.later()}
    assert "code" not in build.results(build.publish(cast.viewer("aster"), pushed))[0]
    assert end(cast, "withdraw", [made[3]["id"]], key=other)["results"][0]["code"] == "disarmed"
    assert withdrawing.withdraw(admin, [made[4]["id"]])
    assert len(deciding.waiting(admin)) == 2
    later(monkeypatch, minutes=61)
    assert not withdrawing.withdraw(admin, [made[5]["id"]])


def test_what_the_exchange_took_back_in_a_flood_is_not_counted_against_its_publisher(cast):
    made = published(cast, FEW + 2)
    end(cast, "revoke", ids(made[: FEW + 1]))
    Ending.unrestricted.update(verb=Ending.Verb.FLOOD)
    assert "code" not in end(cast, "revoke", ids(made[FEW + 1 :]))["results"][0]


def test_what_came_back_is_counted_no_more_and_one_call_undoes_all_acts(cast):
    made = published(cast, 8)
    for some in (made[:4], made[4:]):
        end(cast, "revoke", ids(some))
    undone = deciding.undo(cast.viewer("aster"))
    assert [one.brought_back for one in undone] == [4, 4]
    assert states(made) == {"live"}
    assert "code" not in end(cast, "revoke", ids(made[:1]))["results"][0]


def test_a_push_of_revoked_versions_and_a_deletion_over_taxii_are_disarmed_as_well(cast):
    made = published(cast, 8)
    pushed = [one | {"revoked": True, "modified": build.later()} for one in made[:4]]
    answer = build.publish(cast.viewer("aster"), *pushed, build.an_indicator())
    assert [one.get("code") for one in build.results(answer)] == ["disarmed"] * 4 + [None]
    assert answer.counts["accepted"] == 5, "all else of the batch goes on"
    for one in made[4:]:
        where = f"/taxii2/exchange/collections/{cast.aster.collection_id}/objects/{one['id']}/"
        deleted = Caller(cast.keys["aster"]).ask("DELETE", where, accept="application/taxii+json;version=2.1")
        assert deleted.status_code == 200
    assert states(made) == {"disarmed"}
    deciding.undo(cast.viewer("aster"))
    assert states(made) == {"live"}


def test_a_second_person_makes_it_final_and_readers_find_the_versions_as_they_were_sent(cast):
    made, sender = published(cast), person(cast.aster)
    pushed = [json.dumps(one | {"revoked": True, "modified": build.later()}, indent=1).encode() for one in made]
    build.publish(sender, *pushed)
    (ending,) = deciding.waiting(sender)
    with pytest.raises(Forbidden, match="Another person"):
        deciding.confirm(sender, ending.pk)
    with pytest.raises(Forbidden, match="not a key"):
        deciding.confirm(cast.viewer("aster"), ending.pk)
    with pytest.raises(NotFound):
        deciding.confirm(person(cast.borealis), ending.pk)
    place, second = changes.head(), person(cast.aster)
    deciding.confirm(second, ending.pk)
    found = seen(cast.viewer("borealis"))
    assert {one.body.encode() for one in found.values()} == set(pushed)
    assert states(made) == {"revoked"}
    assert {(one.op, one.reason) for one in told(cast.viewer("borealis"), after=place).changes} == {
        ("remove", "revoked")
    }
    collection = f"/taxii2/exchange/collections/{cast.ring.collection_id}/objects/"
    envelope = read(Caller(cast.keys["borealis"]).get(collection, accept="application/taxii+json;version=2.1"))
    assert {one["id"] for one in envelope["objects"] if one.get("revoked")} == set(ids(made))
    with pytest.raises(Conflict):
        deciding.undo(second, [ending.pk])
    with pytest.raises(Conflict):
        deciding.confirm(second, ending.pk)
    (record,) = AuditRecord.objects.filter(verb="ending.final")
    assert (record.actor, record.details["sent_by"]) == (second.actor, sender.actor)


def test_whoever_made_the_key_that_ended_them_is_no_second_person(cast):
    admin = build.a_user(cast.aster)
    _, key = keys.issue(cast.aster, name="theirs", scopes=build.LAB_SCOPES, expires_in=timedelta(days=1),
                        by=auth.viewer_of_user(admin))  # fmt: skip
    end(cast, "withdraw", ids(published(cast)), key=key)
    (ending,) = deciding.waiting(cast.viewer("aster"))
    with pytest.raises(Forbidden):
        deciding.confirm(auth.viewer_of_user(admin), ending.pk)
    deciding.confirm(person(cast.aster), ending.pk)


@pytest.mark.parametrize(("verb", "state"), [("revoke", "revoked"), ("withdraw", "withdrawn")])
def test_what_nobody_decides_is_final_after_the_hour(cast, monkeypatch, verb, state):
    made = published(cast)
    end(cast, verb, ids(made))
    aster = person(cast.aster)
    later(monkeypatch, minutes=59)
    assert deciding.finish_due() == 0
    later(monkeypatch, minutes=2)
    assert deciding.waiting(aster) == []
    with pytest.raises(Conflict):
        deciding.undo(aster, [Ending.unrestricted.get(state="disarmed").pk])
    assert deciding.undo(aster) == []
    assert deciding.finish_due() == 1
    assert deciding.finish_due() == 0
    assert states(made) == {state}
    assert AuditRecord.objects.get(verb="ending.final").actor == "system"
    found = seen(person(cast.borealis))
    assert {one.revoked for one in found.values()} == ({True} if verb == "revoke" else set())
    woken = build.publish(aster, *made, wake=True)
    assert woken.counts["accepted"] == (0 if verb == "revoke" else FEW + 1)


def test_a_partner_that_takes_no_part_ends_what_it_revoked_all_the_same(cast, monkeypatch):
    made = published(cast)
    end(cast, "revoke", ids(made))
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    later(monkeypatch, minutes=61)
    assert deciding.finish_due() == 1
    assert states(made) == {"revoked"}


def test_to_revoke_again_changes_nothing_and_to_wake_takes_one_out(cast):
    made = published(cast)
    end(cast, "revoke", ids(made))
    again = end(cast, "revoke", ids(made))
    assert again["counts"]["unchanged"] == FEW + 1
    assert {one["code"] for one in again["results"]} == {"disarmed"}
    sent = made[0] | {"revoked": True, "modified": build.later()}
    assert build.results(build.publish(cast.viewer("aster"), sent))[0]["status"] == "unchanged"
    assert build.results(build.publish(cast.viewer("aster"), made[1]))[0]["status"] == "withdrawn"
    assert end(cast, "withdraw", ids(made[:1]))["counts"]["unchanged"] == 1
    assert build.publish(cast.viewer("aster"), made[1], wake=True, groups=("ring",)).counts["accepted"] == 1
    revised = made[2] | {"modified": build.later(), "confidence": 7}
    assert build.publish(cast.viewer("aster"), revised, wake=True, groups=("ring",)).counts["accepted"] == 1
    (undone,) = deciding.undo(cast.viewer("aster"))
    assert undone.brought_back == FEW - 1
    found = seen(cast.viewer("borealis"))
    assert set(found) == set(ids(made))
    assert found[made[2]["id"]].confidence == 7


def test_what_was_woken_is_not_ended_by_the_hour(cast, monkeypatch):
    made, aster = published(cast), person(cast.aster)
    end(cast, "revoke", ids(made))
    build.publish(aster, made[1], wake=True, groups=("ring",))
    later(monkeypatch, minutes=61)
    deciding.finish_due()
    assert {stix_id for stix_id, one in seen(person(cast.borealis)).items() if not one.revoked} == {made[1]["id"]}


def test_what_may_not_go_back_where_it_was_stays_ended(cast):
    made = published(cast, 2)
    alone = published(cast, 2, partners=("cygnus",))
    aster = person(cast.aster, Role.ADMIN)
    end(cast, "revoke", ids(made + alone))
    membership.leave(aster, cast.ring)
    (undone,) = deciding.undo(auth.viewer_of_key(build.a_key(cast.aster)))
    assert (undone.objects_ended, undone.brought_back) == (4, 2)
    assert states(made) == {"revoked"}
    assert states(alone) == {"live"}


def test_what_is_marked_more_strictly_meanwhile_comes_back_under_that(cast):
    marking_id, aster = f"marking-definition--{uuid.uuid4()}", cast.viewer("aster")
    made = [build.an_indicator(object_marking_refs=[marking_id]) for _ in range(FEW + 1)]
    green, red = a_definition("green", marking_id=marking_id), a_definition("red", day=2, marking_id=marking_id)
    build.publish(aster, green, *made, groups=("ring",))
    assert set(ids(made)) <= set(seen(cast.viewer("borealis")))
    end(cast, "withdraw", ids(made))
    assert build.publish(aster, red, groups=("ring",)).counts["accepted"] == 1
    deciding.undo(aster)
    assert not set(ids(made)) & set(seen(cast.viewer("borealis")))
    assert set(ids(made)) <= set(seen(aster))


def test_a_key_for_some_groups_is_told_and_brings_back_nothing(cast):
    _, key = keys.issue(cast.aster, name="ring", scopes=build.LAB_SCOPES, expires_in=timedelta(days=1),
                        groups=[cast.ring.pk])  # fmt: skip
    end(cast, "withdraw", ids(published(cast)), key=key)
    assert code(Caller(key).get("disarmed"), 403) == "key-limited-to-groups"
    assert code(Caller(key).send("POST", "disarmed/undo", {}), 403) == "key-limited-to-groups"


def test_only_who_publishes_looks_and_undoes(cast):
    end(cast, "withdraw", ids(published(cast)))
    reader = Caller(build.a_key(cast.aster, Scope.READ))
    assert code(reader.get("disarmed"), 403) == "missing-scope"
    assert code(reader.send("POST", "disarmed/undo", {}), 403) == "missing-scope"
    (ending,) = deciding.waiting(cast.viewer("aster"))
    assert Caller(cast.keys["borealis"]).send("POST", "disarmed/undo", {"ids": [str(ending.pk)]}).status_code == 404
    for wrong in (["x"], [7], [None]):
        assert code(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": wrong}), 422) == "bad-id"


def test_a_partner_that_leaves_withdraws_for_good_and_what_was_disarmed_stays_ended(cast, monkeypatch):
    made, more = published(cast), published(cast)
    end(cast, "withdraw", ids(made))
    leaving.withdraw_everything(cast.aster.pk)
    assert states(more) == {"withdrawn"}
    later(monkeypatch, minutes=61)
    deciding.finish_due()
    assert states(made) == {"withdrawn"}


def test_a_retry_is_given_the_first_answer(cast):
    made, asks = published(cast), Caller(cast.keys["aster"])
    body = json.dumps({"ids": ids(made)}).encode()
    first, second = (
        read(asks.ask("POST", "objects/revoke", body, media="application/json", Idempotency_Key="k")) for _ in range(2)
    )
    assert first["results"] == second["results"]
    assert len(deciding.waiting(cast.viewer("aster"))) == 1


def test_what_ends_no_living_object_is_not_counted(cast):
    made = published(cast, FEW)
    end(cast, "revoke", ids(made))
    end(cast, "withdraw", ids(made))
    for _ in range(2):
        assert end(cast, "revoke", ids(made))["counts"]["accepted"] == 0
    assert Ending.unrestricted.filter(partner=cast.aster).count() == 1


def test_people_who_publish_are_mailed_once_and_nobody_else(cast, django_capture_on_commit_callbacks):
    admin, publisher = build.a_user(cast.aster), build.a_user(cast.aster, role=Role.PUBLISHER)
    analyst, theirs = build.a_user(cast.aster, role=Role.ANALYST), build.a_user(cast.borealis)
    mail.outbox.clear()
    made = published(cast, 8)
    with django_capture_on_commit_callbacks(execute=True):
        for some in (made[:4], made[4:]):
            end(cast, "revoke", ids(some))
    told_ = [to for message in mail.outbox for to in message.to]
    assert {admin.email, publisher.email} <= set(told_)
    assert not {analyst.email, theirs.email} & set(told_)
    assert len(told_) == len(set(told_))
    (message,) = [one for one in mail.outbox if one.to == [publisher.email]]
    assert "4 objects were revoked at once" in message.subject
    assert "/organisation/waiting/" in message.body


def test_the_log_tells_who_disarmed_and_who_undid(cast):
    made = published(cast)
    end(cast, "revoke", ids(made))
    deciding.undo(cast.viewer("aster"))
    disarmed, undone = AuditRecord.objects.filter(verb__in=["objects.disarmed", "ending.undone"]).order_by("pk")
    assert disarmed.partner == undone.partner == cast.aster
    assert disarmed.details == {"ended_by": "revoke", "ids": sorted(ids(made))}
    assert undone.details["brought_back"] == FEW + 1


def test_the_portal_shows_it_and_brings_it_back_or_makes_it_final(cast):
    sender, second = Client(), Client()
    user = build.a_user(cast.aster, role=Role.PUBLISHER)
    build.sign_in(sender, user)
    build.sign_in(second, build.a_user(cast.aster, role=Role.PUBLISHER))
    made = published(cast, 8)
    for some in (made[:4], made[4:]):
        build.publish(auth.viewer_of_user(user), *(one | {"revoked": True, "modified": build.later()} for one in some))
    page = sender.get("/organisation/waiting/").content.decode()
    assert page.count("Bring them back") == 2
    assert made[0]["id"] in page
    assert "Make it final" not in page
    assert "4 objects of ours ended at once" in sender.get("/").content.decode()
    assert second.get("/organisation/waiting/").content.decode().count("Make it final</button>") == 2
    first, last = deciding.waiting(cast.viewer("aster"))
    assert sender.post(f"/organisation/disarmed/{first.pk}/act", {"do": "confirm"}).status_code == 302
    assert states(made) == {"disarmed"}, "not by who sent it"
    second.post(f"/organisation/disarmed/{first.pk}/act", {"do": "confirm"})
    assert states(made[:4]) == {"revoked"}
    answer = second.post(f"/organisation/disarmed/{first.pk}/act", {"do": "undo"}, follow=True)
    assert "This is decided already." in answer.content.decode()
    sender.post(f"/organisation/disarmed/{last.pk}/act", {"do": "undo"})
    assert states(made[4:]) == {"live"}
    end(cast, "withdraw", ids(made[4:]))
    assert "came back" in sender.post("/organisation/disarmed/undo", follow=True).content.decode()
    assert states(made[4:]) == {"live"}
    assert sender.post(f"/organisation/disarmed/{last.pk}/act", {"do": "burn"}).status_code == 422


def test_what_was_counted_is_forgotten_after_two_days_and_never_what_waits(cast, monkeypatch):
    end(cast, "revoke", ids(published(cast, 1)))
    end(cast, "revoke", ids(published(cast)))
    later(monkeypatch, days=3)
    deciding.forget()
    assert [one.state for one in Ending.unrestricted.all()] == ["disarmed"]


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("verb", ["revoke", "withdraw"])
@pytest.mark.parametrize("pair", [("undo", "confirm"), ("undo", "undo"), ("confirm", "confirm"), ("undo", "hour")])
def test_of_two_who_decide_at_once_one_decides(verb, pair):
    cast = build.the_cast()
    cap(cast, FEW)
    made, people = published(cast), [person(cast.aster), person(cast.aster)]
    end(cast, verb, ids(made))
    (ending,) = deciding.waiting(people[0])
    ready, outcomes = threading.Barrier(2, timeout=DEADLINE_S), []

    def decide(how, who):
        try:
            ready.wait()
            if how == "undo":
                deciding.undo(who, [ending.pk])
            elif how == "confirm":
                deciding.confirm(who, ending.pk)
            else:
                finish_as_if_due(ending)
            outcomes.append(how)
        except ExchangeError as refused:
            outcomes.append(refused.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=decide, args=args) for args in zip(pair, people, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=DEADLINE_S)
    assert len(outcomes) == 2
    decided = Ending.unrestricted.get(pk=ending.pk)
    live = states(made) == {"live"}
    assert (decided.state == Ending.State.UNDONE) == live
    assert live or states(made) == {"revoked" if verb == "revoke" else "withdrawn"}
    assert AuditRecord.objects.filter(verb__in=["ending.undone", "ending.final"]).count() == 1
    assert bool(listed(cast)) == live
    if "hour" not in pair:
        assert sorted(set(outcomes) - {"already-decided"}) in ([pair[0]], [pair[1]])
        assert "already-decided" in outcomes


def finish_as_if_due(ending):
    """What the clock does once the hour is over, a moment early."""
    from django.db import transaction

    with transaction.atomic():
        deciding._hold_still(ending.partner_id)
        row = Ending.unrestricted.select_for_update().get(pk=ending.pk)
        if row.state == Ending.State.DISARMED:
            deciding._finish(None, row, list(deciding._rows(row)))
            deciding._decide(row, Ending.State.FINAL, by=None)


def test_after_the_hour_nothing_comes_back_though_nobody_has_looked_yet(cast, monkeypatch):
    made = published(cast)
    end(cast, "withdraw", ids(made))
    (ending,) = deciding.waiting(cast.viewer("aster"))
    later(monkeypatch, minutes=61)
    asks = Caller(cast.keys["aster"])
    assert code(asks.send("POST", "disarmed/undo", {"ids": [str(ending.pk)]}), 409) == "already-decided"
    assert read(asks.send("POST", "disarmed/undo", {}))["undone"] == []
    assert states(made) == {"disarmed"}


def test_the_moment_at_which_the_hour_ends_is_too_late(cast, monkeypatch):
    made = published(cast)
    end(cast, "withdraw", ids(made))
    (ending,) = deciding.waiting(cast.viewer("aster"))
    monkeypatch.setattr(clock, "now", lambda: ending.until)
    undone = Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": [str(ending.pk)]})
    assert code(undone, 409) == "already-decided"
    assert deciding.finish_due() == 1


def test_one_that_is_not_there_undoes_none_of_the_others(cast):
    made = published(cast)
    end(cast, "withdraw", ids(made))
    (ending,) = deciding.waiting(cast.viewer("aster"))
    answer = Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": [str(ending.pk), str(uuid.uuid4())]})
    assert code(answer, 404) == "not-found"
    assert states(made) == {"disarmed"}
