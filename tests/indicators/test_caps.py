"""Caps of a day: what a partner sends out beyond them waits for a second person."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from exchange import clock
from exchange.errors import ExchangeError
from indicators.door.breadth import broad
from indicators.ending import retiring
from indicators.models import Outflow
from indicators.publishing import awaiting, confirming
from indicators.stix import making, parsing
from partners import caps
from partners.caps import Caps
from partners.groups import steering
from partners.keys import auth
from partners.models import AuditRecord
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def admin(partner):
    return auth.viewer_of_user(build.a_user(partner))


def cap(cast, **numbers):
    steering.change(admin(cast.aster), replace(steering.settings_of(cast.aster), caps=Caps(**numbers)))


def push(cast, count=1, *, made=build.an_indicator, by=None, **audience):
    answer = build.publish(by or cast.viewer("aster"), *(made() for _ in range(count)), **audience)
    return answer.counts["accepted"], answer.counts["waiting"]


def a_net(value="198.51.100.0/24"):
    return making.account_pattern("net", carrier={"value": value})


def test_more_objects_within_a_day_than_its_cap_wait_whoever_of_the_partner_sends_them(cast, monkeypatch):
    cap(cast, objects=3)
    began = clock.now().replace(minute=59)
    monkeypatch.setattr(clock, "now", lambda: began)
    person = admin(cast.aster)
    assert [push(cast, 2), push(cast), push(cast)] == [(2, 0), (1, 0), (0, 1)]
    other = auth.viewer_of_key(build.a_key(cast.aster))
    assert build.publish(other, build.an_indicator()).counts["waiting"] == 1
    monkeypatch.setattr(clock, "now", lambda: began + timedelta(hours=23))
    assert push(cast, by=person) == (0, 1), "the day goes with the hours, not with midnight"
    monkeypatch.setattr(clock, "now", lambda: began + timedelta(hours=24))
    assert push(cast, 3, by=person) == (3, 0)


def test_what_a_second_person_confirms_is_not_counted(cast):
    cap(cast, objects=2)
    assert push(cast, 3) == (0, 3)
    (held,) = awaiting.waiting(cast.viewer("aster"))
    assert held.why == "More than 2 objects within a day."
    assert confirming.confirm(admin(cast.aster), held.pk).counts["accepted"] == 3
    assert push(cast, 2) == (2, 0)


def test_recipients_are_counted_by_the_rule_for_each_object(cast):
    cap(cast, recipients=5)
    assert push(cast, 3, groups=("ring",)) == (3, 0), "Borealis alone, three times"
    assert push(cast, 1, made=lambda: build.an_indicator(tlp_word="green"), everyone=True) == (0, 1)
    assert push(cast, 2, partners=("cygnus",)) == (2, 0)
    assert push(cast, 1, partners=("cygnus",)) == (0, 1)


def test_a_cap_that_is_used_up_holds_up_nothing_that_it_does_not_count(cast):
    cap(cast, broad=2)
    assert push(cast, 2, made=a_net) == (2, 0)
    cap(cast, broad=1)
    assert push(cast, 1) == (1, 0), "no broad value"
    assert push(cast, 1, made=a_net) == (0, 1)


@pytest.mark.parametrize(
    ("made", "count"),
    [
        (lambda: a_net("198.51.100.7/32"), 0),
        (lambda: a_net("198.51.100.0/31"), 1),
        (lambda: a_net("2001:db8:1:2::/64"), 0),
        (lambda: a_net("2001:db8:1::/63"), 1),
        (lambda: a_net("as64496"), 1),
        (lambda: making.account_pattern("cluster_rule"), 1),
        (lambda: making.payment_fingerprint("billing_rule"), 1),
        (lambda: making.payment_fingerprint("bin_range"), 1),
        (lambda: making.prompt_signature("regex"), 1),
        (lambda: making.prompt_signature("nova_rule"), 1),
        (lambda: making.prompt_signature("feature_rule"), 1),
        (lambda: making.prompt_signature("skeleton"), 0),
        (lambda: making.account_pattern("email"), 0),
        (lambda: making.account_pattern("gateway_host"), 0),
        (lambda: making.account_pattern("email_domain"), 1),
        (lambda: classical("[ipv4-addr:value = '198.51.100.0/24' OR ipv4-addr:value = '198.51.100.7']"), 1),
        (lambda: classical("[autonomous-system:number = 64496]"), 1),
        (lambda: classical("[ipv6-addr:value = '2001:db8::1']"), 0),
        (lambda: classical("[domain-name:value = 'as.example']"), 0),
    ],
)
def test_broad_values_are_those_that_stand_for_many_accounts(made, count):
    (draft,) = parsing.read_batch(json.dumps({"objects": [made()]}).encode())
    assert broad(draft) == count


def classical(pattern):
    made = {name: value for name, value in build.an_indicator().items() if name not in ("extensions", "labels", "name")}
    return made | {"pattern": pattern, "pattern_type": "stix"}


def test_broad_values_beyond_their_cap_wait_and_narrow_ones_go_on(cast):
    cap(cast, broad=1)
    rule = lambda: making.account_pattern("cluster_rule")  # noqa: E731
    assert [push(cast, made=rule), push(cast, made=rule), push(cast, 5)] == [(1, 0), (0, 1), (5, 0)]


def test_what_ends_is_never_held_up_by_a_cap(cast):
    cap(cast, objects=1)
    aster, mine = cast.viewer("aster"), build.an_indicator()
    assert build.publish(aster, mine).counts["accepted"] == 1
    ended = build.publish(aster, mine | {"revoked": True, "modified": build.later()}, build.an_indicator())
    assert [one["status"] for one in build.results(ended)] == ["accepted", "waiting"]


def test_of_partner_and_operator_the_strictest_cap_holds_and_both_are_shown(cast):
    operator = admin(cast.operator)
    steering.set_operator_caps(cast.aster, Caps(objects=2, broad=7), by=operator)
    cap(cast, objects=5, recipients=9)
    assert cast.viewer("aster").caps == Caps(objects=2, recipients=9, broad=7)
    assert push(cast, 3) == (0, 3)
    said = json.loads(Caller(cast.keys["aster"]).get("partner").content)
    assert said["caps"] == {"objects": 5, "recipients": 9, "broad": None, "ends": None}
    assert said["operator_caps"] == {"objects": 2, "recipients": None, "broad": 7, "ends": None}
    assert said["caps_in_force"] == {"objects": 2, "recipients": 9, "broad": 7, "ends": caps.ENDS}
    records = AuditRecord.objects.filter(verb="caps.changed").order_by("pk")
    assert {record.partner for record in records} == {cast.aster, cast.operator}
    with pytest.raises(ExchangeError):
        steering.set_operator_caps(cast.aster, Caps(), by=admin(cast.aster))


def test_a_key_tightens_caps_and_a_person_loosens_them(cast):
    key = Caller(build.a_key(cast.aster, *Scope))
    assert key.send("PATCH", "partner", {"caps": {"objects": 100, "ends": 50}}).status_code == 200
    for loose in ({"ends": 50}, {"objects": 101, "ends": 50}, {"objects": 100}, {"objects": 100, "ends": 51}):
        answer = key.send("PATCH", "partner", {"caps": loose})
        assert (answer.status_code, json.loads(answer.content)["code"]) == (403, "needs-a-person")
    tighter = key.send("PATCH", "partner", {"caps": {"objects": 99, "ends": 50, "broad": 1}})
    assert json.loads(tighter.content)["caps_in_force"]["objects"] == 99
    assert json.loads(key.send("PATCH", "partner", {"default_tlp": "amber"}).content)["caps"]["broad"] == 1
    (record,) = AuditRecord.objects.filter(verb="settings.changed", details__changed__has_key="cap_broad")
    assert record.details["changed"]["cap_objects"] == [100, 99]


@pytest.mark.parametrize(
    ("wrong", "code", "at"),
    [
        ({"objects": 0}, "bad-number", "/caps/objects"),
        ({"objects": -1}, "bad-number", "/caps/objects"),
        ({"ends": 10**9}, "bad-number", "/caps/ends"),
        ({"broad": True}, "wrong-type", "/caps/broad"),
        ({"broad": "7"}, "wrong-type", "/caps/broad"),
        ({"recipients": 1.5}, "wrong-type", "/caps/recipients"),
        ({"nets": 1}, "unknown-property", "/caps/nets"),
    ],
)
def test_a_wrong_cap_is_refused_by_its_field(cast, wrong, code, at):
    answer = Caller(build.a_key(cast.aster, *Scope)).send("PATCH", "partner", {"caps": wrong})
    said = json.loads(answer.content)
    assert (answer.status_code, said["code"], said["errors"][0]["field"]) == (422, code, at)


def test_a_partner_without_a_cap_of_a_day_is_not_counted_and_asked_nothing(cast):
    push(cast)
    assert not Outflow.unrestricted.exists()
    cap(cast, objects=1)
    push(cast)
    Outflow.unrestricted.update(hour=clock.now() - timedelta(days=3))
    retiring.forget_outflows()
    assert not Outflow.unrestricted.exists()


def browser(partner):
    from django.test import Client

    client = Client()
    build.sign_in(client, build.a_user(partner))
    return client


def test_an_admin_sets_caps_in_the_portal_and_reads_what_is_in_force(cast):
    client = browser(cast.aster)
    form = {f"{name}_{what}": word for name in ("ceiling", "alone", "admin", "publisher")
            for what, word in (("tlp", "clear"), ("width", "everyone"))}  # fmt: skip
    sent = form | {"default_tlp": "amber", "cap_objects": "40000", "cap_broad": "12", "cap_ends": ""}
    assert client.post("/organisation/settings", sent).status_code == 302
    assert cast.viewer("aster").caps == Caps(objects=40_000, broad=12)
    page = client.get("/organisation/").content.decode()
    assert "at most 40,000 objects within a day" in page
    assert "at most 12 broad values within a day" in page
    assert "at most 500 objects; more are disarmed" in page
    assert "at most 12 broad values within a day" in client.get("/organisation/waiting/").content.decode()
    assert client.post("/organisation/settings", sent | {"cap_broad": "many"}).status_code == 422


def test_the_operator_sets_caps_of_a_partner_in_the_portal_and_nobody_else_does(cast):
    sent = {"do": "caps", "cap_objects": "", "cap_recipients": "", "cap_broad": "9", "cap_ends": "100"}
    assert browser(cast.aster).post("/operator/partners/aster/act", sent).status_code == 404
    operator = browser(cast.operator)
    assert operator.post("/operator/partners/aster/act", sent).status_code == 302
    assert cast.viewer("aster").caps == Caps(broad=9, ends=100)
    assert "9 broad values a day; 100 ended within an hour" in operator.get("/operator/partners").content.decode()
    assert (
        "9 broad values a day; 100 ended within an hour" in browser(cast.aster).get("/organisation/").content.decode()
    )
