"""The flood breaker: three partners that jump disarm, one or two never do, whatever they say; back by the publisher alone."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
import structlog
from django.core import mail
from django.db import connection
from hypothesis import given
from hypothesis import strategies as st

from exchange import clock
from exchange.lists import pages
from indicators.ending import deciding, leaving
from indicators.feeds import snapshots
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import Ending, FeedSet, Flood, Holding, Tally
from indicators.opinions import flooding, sighting, tallying
from indicators.opinions.flooding import FEWEST, JUMP, QUIET, Subscriber
from partners.keys import auth
from partners.mailing import send_next
from partners.models import Partner
from tests import build
from tests.indicators.api.caller import Caller, at, code, read
from tests.indicators.log.test_joining import leave

pytestmark = pytest.mark.django_db

COUNTS = st.integers(0, 10**7)
SUBSCRIBERS = st.builds(Subscriber, COUNTS, st.lists(COUNTS, max_size=30).map(tuple))


@given(st.lists(SUBSCRIBERS, max_size=FEWEST - 1), st.lists(SUBSCRIBERS.filter(lambda one: not flooding.jumps(one))))
def test_one_or_two_disarm_nothing_whatever_they_say_and_whoever_else_is_there(few, calm):
    assert not flooding.floods([*few, *calm])


@given(st.lists(SUBSCRIBERS, max_size=9))
def test_it_depends_on_the_number_of_those_that_jump_and_on_nothing_else(subscribers):
    jumping = [one for one in subscribers if flooding.jumps(one)]
    assert flooding.floods(subscribers) == (len(jumping) >= FEWEST) == flooding.floods(subscribers[::-1])


@given(st.integers(0, 10**6), st.integers(1, 200))
def test_who_meets_as_much_as_ever_does_not_jump(count, hours):
    assert not flooding.jumps(Subscriber(count, (count,) * hours))


@given(SUBSCRIBERS, COUNTS)
def test_more_before_never_makes_a_jump_and_more_now_never_takes_one_away(one, more):
    if flooding.jumps(one):
        assert flooding.jumps(Subscriber(one.now + more, one.before))
    else:
        assert not flooding.jumps(Subscriber(one.now, tuple(count + more for count in one.before)))
        assert not flooding.jumps(one, accepted=more)


def test_the_plain_numbers():
    assert flooding.baseline(()) == QUIET
    assert flooding.baseline((100, 1, 1_000)) == 100
    assert flooding.baseline((1, 1, 1)) == QUIET
    assert flooding.jumps(Subscriber(QUIET * JUMP))
    assert not flooding.jumps(Subscriber(QUIET * JUMP - 1))
    assert not flooding.jumps(Subscriber(9_999, (100, 100)))
    assert not flooding.jumps(Subscriber(10_000, (100, 100)), accepted=10_000)


@given(st.dictionaries(st.integers(0, 200), COUNTS))
def test_hours_are_now_or_before_and_none_is_lost(hours):
    now = clock.now()
    found = flooding.subscriber_of({now - timedelta(hours=ago): count for ago, count in hours.items()}, now=now)
    assert found.now == max((count for ago, count in hours.items() if ago <= 1), default=0)
    assert sorted(found.before) == sorted(count for ago, count in hours.items() if ago > 1)


@pytest.fixture
def cast():
    made = build.the_cast()
    eridanus = build.a_partner("Eridanus")
    made.keys["eridanus"] = build.a_key(eridanus)
    build.a_ring(made.aster, made.borealis, made.cygnus, eridanus, slug="wide")
    return made


@pytest.fixture
def theirs(cast):
    made = build.an_indicator()
    build.publish(cast.viewer("aster"), made, groups=("wide",))
    return made["id"]


def ack(cast, who, stix_id, *, blocked, instance="a", ago=0, status=200):
    caller = Caller(cast.keys[who])
    cursor = pages.read([caller.get("feeds/all/delta").content]).trailer.next_cursor
    hour = clock.rfc3339(tallying.hour_of(clock.now()) - timedelta(hours=ago))
    said = {"id": stix_id, "hour": hour, "matched": blocked, "blocked": blocked}
    sent = {"instance": instance, "cursor": cursor, "met": [said]}
    return read(caller.send("POST", "feeds/all/acks", sent), status)


def state(stix_id):
    return Holding.unrestricted.get(stix_id=stix_id).state


def test_three_partners_that_jump_disarm_and_its_publisher_is_told_and_brings_it_back(cast, theirs):
    admin = build.a_user(cast.aster)
    for who in ("borealis", "cygnus"):
        ack(cast, who, theirs, blocked=5_000)
    flooding.catch_up()
    assert state(theirs) == "live", "two do not suffice"
    ack(cast, "eridanus", theirs, blocked=1_234)
    place = changes.head()
    flooding.catch_up()
    assert state(theirs) == "disarmed"
    told = changes.since(cast.viewer("borealis"), Filter(), after=place, limit=9).changes
    assert [(one.op, one.reason, one.stix_id) for one in told] == [("remove", "flood", theirs)]
    while send_next():
        pass
    (message,) = mail.outbox
    assert message.to == [admin.email]
    assert "Three or more subscribers" in message.body
    assert not any(char in message.body for char in ("5,000", "1,000", "borealis", "Borealis"))
    (waiting,) = read(Caller(cast.keys["aster"]).get("disarmed"))["disarmed"]
    assert (waiting["ended_by"], waiting["until"], waiting["ids"]) == ("flood", None, [theirs])
    deciding.catch_up()
    assert state(theirs) == "disarmed"
    read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": [waiting["id"]]}))
    flooding.catch_up()
    assert state(theirs) == "live", "its publisher let this level stand"
    assert Flood.unrestricted.get().level == 1_000
    for who in ("borealis", "cygnus", "eridanus"):
        ack(cast, who, theirs, blocked=10**6)
    flooding.catch_up()
    assert state(theirs) == "disarmed", "but not a hundred times more"


def test_what_floods_is_in_no_old_file(cast, theirs, settings, tmp_path):
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    reader, path = Caller(cast.keys["borealis"]), "feeds/all/snapshot"
    assert reader.get(path).status_code == 202
    snapshots.make(FeedSet.objects.of(cast.viewer("borealis")).get().pk)
    assert reader.get(path).status_code == 200
    for who in ("borealis", "cygnus", "eridanus"):
        ack(cast, who, theirs, blocked=5_000)
    flooding.catch_up()
    assert reader.get(path).status_code == 202


def test_what_is_handed_over_keeps_what_was_met_of_it_and_the_level_that_its_publisher_let_stand(cast):
    made = build.an_indicator(tlp_word="green")
    build.publish(cast.viewer("aster"), made, everyone=True)
    subscribers = ("borealis", "cygnus", "eridanus")
    for who in subscribers:
        ack(cast, who, made["id"], blocked=5_000)
    flooding.catch_up()
    (waiting,) = read(Caller(cast.keys["aster"]).get("disarmed"))["disarmed"]
    read(Caller(cast.keys["aster"]).send("POST", "disarmed/undo", {"ids": [waiting["id"]]}))
    leaving.hand_over(cast.aster.pk, cast.dorado.pk)
    flooding.catch_up()
    handed = Holding.unrestricted.get(stix_id=made["id"], publisher=cast.dorado)
    assert (handed.state, Flood.unrestricted.get().holding_id) == ("live", handed.pk)
    assert Tally.unrestricted.filter(holding=handed).count() == len(subscribers)
    for who in subscribers:
        ack(cast, who, made["id"], blocked=10**6)
    flooding.catch_up()
    handed.refresh_from_db()
    assert handed.state == "disarmed", "a hundred times more floods here, too"


def test_it_stays_disarmed_until_its_publisher_says_so_and_can_be_made_final(cast, theirs, monkeypatch):
    for who in ("borealis", "cygnus", "eridanus"):
        ack(cast, who, theirs, blocked=10**5)
    flooding.catch_up()
    moment = clock.now() + timedelta(days=9)
    monkeypatch.setattr(clock, "now", lambda: moment)
    deciding.catch_up()
    assert state(theirs) == "disarmed"
    person = auth.viewer_of_user(build.a_user(cast.aster))
    (ending,) = deciding.waiting(person)
    assert ending.verb == Ending.Verb.FLOOD
    deciding.confirm(person, ending.pk)
    assert state(theirs) == "revoked"


@pytest.mark.parametrize("who", [("borealis",), ("borealis", "cygnus"), ("borealis", "borealis", "borealis")])
def test_no_member_nor_two_nor_three_agents_of_one_disarm_a_rivals(cast, theirs, who):
    for number, one in enumerate(who):
        for instance in range(4):
            ack(cast, one, theirs, blocked=10**7, instance=f"{number} {instance}")
        sighting.report(cast.viewer(one), theirs, count=10**7, first_seen=clock.now(), last_seen=clock.now())
    # What the publisher says of its own counts for nobody, nor what is said by who does not see it.
    ack(cast, "aster", theirs, blocked=10**7)
    ack(cast, "dorado", theirs, blocked=10**7)
    flooding.catch_up()
    assert state(theirs) == "live"
    assert not Flood.unrestricted.exists()
    outside = [cast.aster.pk, cast.dorado.pk]
    assert not Tally.unrestricted.filter(partner__in=outside).exists(), "nothing of it is kept"


@pytest.mark.parametrize("how", ["left", "suspended"])
def test_who_does_not_see_it_any_more_or_takes_no_part_counts_no_more(cast, theirs, how):
    for who in ("borealis", "cygnus", "eridanus"):
        ack(cast, who, theirs, blocked=5_000)
    eridanus = Partner.objects.filter(slug="eridanus")
    if how == "left":
        leave([eridanus.get()], "wide")
    else:
        eridanus.update(state=Partner.State.SUSPENDED)
    flooding.catch_up()
    assert state(theirs) == "live"


def test_sightings_count_too_and_with_them_what_agents_met(cast, theirs):
    for who in ("borealis", "cygnus"):
        sighting.report(cast.viewer(who), theirs, count=40_000, first_seen=clock.now(), last_seen=clock.now())
    ack(cast, "eridanus", theirs, blocked=10_000)
    flooding.catch_up()
    assert state(theirs) == "disarmed"


def test_what_is_met_as_ever_by_many_keeps_the_breaker_from_nothing(cast, theirs, monkeypatch):
    monkeypatch.setattr(flooding, "_PAGE", 1)
    new = build.an_indicator()
    build.publish(cast.viewer("aster"), new, groups=("wide",))
    for who in ("borealis", "cygnus", "eridanus"):
        for ago in range(4):
            ack(cast, who, theirs, blocked=10_000, ago=ago)
        ack(cast, who, new["id"], blocked=10_000)
    assert flooding.break_floods() == 1
    assert (state(theirs), state(new["id"])) == ("live", "disarmed")


def test_what_is_met_as_ever_stays(cast, theirs):
    for who in ("borealis", "cygnus", "eridanus"):
        for ago in range(2, 20):
            Tally.unrestricted.create(
                holding=Holding.unrestricted.get(stix_id=theirs), partner_id=cast.viewer(who).partner_id, said_by="a",
                hour=tallying.hour_of(clock.now()) - timedelta(hours=ago), matched=1_000, blocked=1_000,
            )  # fmt: skip
        ack(cast, who, theirs, blocked=50_000)
    flooding.catch_up()
    assert state(theirs) == "live"


@pytest.mark.parametrize(
    ("said", "why", "field"),
    [
        ({"id": "x"}, "bad-id", "/met/0/id"),
        ({"hour": "2020-01-01T00:00:00Z"}, "bad-time", "/met/0/hour"),
        ({"hour": "2999-01-01T00:00:00Z"}, "bad-time", "/met/0/hour"),
        ({"hour": "soon"}, "bad-time", "/met/0/hour"),
        ({"hour": "0001-01-01T00:00:00+23:59"}, "bad-time", "/met/0/hour"),
        ({"hour": "9999-12-31T23:00:00-05:00"}, "bad-time", "/met/0/hour"),
        ({"matched": -1}, "bad-count", "/met/0/matched"),
        ({"value": "x"}, "bad-receipt", "/met/0"),
    ],
)
def test_what_is_not_said_as_it_should_be_names_its_field(cast, theirs, said, why, field):
    hour = clock.rfc3339(tallying.hour_of(clock.now()))
    caller = Caller(cast.keys["borealis"])
    sent = {"instance": "a", "cursor": "x", "met": [{"id": theirs, "hour": hour, "matched": 1, "blocked": 0} | said]}
    answer = caller.send("POST", "feeds/all/acks", sent)
    assert (code(answer, 422), at(answer)) == (why, field)


def test_counts_are_kept_as_powers_of_ten_the_largest_of_an_hour_and_of_a_share(cast, theirs, monkeypatch):
    ack(cast, "borealis", theirs, blocked=9_999)
    ack(cast, "borealis", theirs, blocked=12)
    row = Tally.unrestricted.get()
    assert (row.matched, row.blocked) == (1_000, 1_000)
    monkeypatch.setattr(tallying, "MOST_AN_HOUR", 1)
    other = build.an_indicator()
    build.publish(cast.viewer("aster"), other, groups=("wide",))
    ack(cast, "borealis", other["id"], blocked=5)
    assert Tally.unrestricted.count() == 1
    moment = clock.now() + timedelta(days=91)
    monkeypatch.setattr(clock, "now", lambda: moment)
    tallying.forget()
    assert not Tally.unrestricted.exists()


@pytest.fixture
def flooded(cast, theirs):
    """Three sightings that come after another partner's, which each test says, would disarm this."""

    def meet():
        for who in ("borealis", "cygnus", "eridanus"):
            sighting.report(cast.viewer(who), theirs, count=40_000, first_seen=clock.now(), last_seen=clock.now())
        flooding.catch_up()
        return state(theirs)

    return meet


def a_sighting(theirs, **said):
    made = {"type": "sighting", "spec_version": "2.1", "id": f"sighting--{uuid.uuid4()}", "sighting_of_ref": theirs}
    return made | {"created": build.later(), "modified": build.later()} | said


@pytest.mark.parametrize("seen", ["0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-05:00"])
def test_a_sighting_of_no_moment_in_utc_keeps_no_other_from_being_counted(cast, theirs, flooded, seen):
    pushed = read(Caller(cast.keys["borealis"]).push(a_sighting(theirs, last_seen=seen), query="?partners=borealis"))
    assert pushed["counts"]["accepted"] == 1, "the door marks it alone"
    assert flooded() == "disarmed"


def test_what_breaks_the_counting_of_one_sighting_is_logged_and_passed(cast, theirs, flooded):
    """Whatever it is: here the database refuses its rows, as for what nobody thought of."""
    read(Caller(cast.keys["borealis"]).push(a_sighting(theirs, last_seen=clock.rfc3339(clock.now()), count=3)))
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE indicators_tally ADD CONSTRAINT not_three CHECK (matched <> 1)")
    with structlog.testing.capture_logs() as logs:
        assert flooded() == "disarmed"
    assert [one["sighting"] for one in logs if one["event"] == "sighting.not-counted"] == [
        Holding.unrestricted.get(stix_type="sighting", publisher=cast.borealis, newest__body__contains='"count":3').pk
    ]


def test_a_sighting_that_ends_counts_no_more(cast, theirs):
    borealis = cast.viewer("borealis")
    sighting.report(borealis, theirs, count=40, first_seen=clock.now(), last_seen=clock.now())
    flooding.catch_up()
    assert Tally.unrestricted.get().matched == 10
    stix_id = Holding.unrestricted.get(stix_type="sighting").stix_id
    read(Caller(cast.keys["borealis"]).send("POST", "objects/revoke", {"ids": [stix_id]}))
    flooding.catch_up()
    assert not Tally.unrestricted.exists()
