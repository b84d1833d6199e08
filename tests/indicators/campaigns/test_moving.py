"""What most of the labs in a campaign say moves the exchange's proposal: two become one, one becomes two, and back."""

from datetime import timedelta

import pytest
import stix2

from exchange.stix import closed
from indicators.campaigns import announcing, counting, proposing, queueing, statements
from indicators.campaigns.tables import Campaign, CampaignEvent
from indicators.door.closed import faults
from tests.indicators.api.caller import code, read
from tests.indicators.campaigns.sending import Pooling, send
from tests.indicators.campaigns.test_placing import answers, campaign_of

pytestmark = pytest.mark.django_db

NAMES = ("aster", "borealis", "cygnus")


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))
    monkeypatch.setattr(proposing, "hint", lambda: None)


@pytest.fixture
def pool():
    return Pooling(interval_s=0)


def tell(pool):
    assert proposing.work(pool.group.pk)
    announcing.catch_up()


def live(pool):
    """Accounts of the campaigns that there are, by id."""
    tell(pool)
    return {str(one.pk): one.accounts for one in Campaign.objects.filter(state="live")}


def say(pool, name, one, says, reason, **more):
    path = f"campaigns/{one}/statement"
    assert pool.labs[name].send("PUT", path, {"says": says, "reason": reason, **more}).status_code == 200


def unsay(pool, name, one):
    assert pool.labs[name].send("DELETE", f"campaigns/{one}/statement", None).status_code == 204


def bridged(pool):
    """Two operators' accounts that three domains, rented by both, make one campaign: 10 and 12 at each of three labs."""
    lines = {
        name: [
            pool.account(
                pool.token(f"{letter} card {number % 4}", "pan_token"),
                pool.token(f"{letter} device {number % 3}"),
                *(pool.token(f"bridge {each}", "email_domain") for each in range(3) if number < 2),
            )
            for letter, count in (("x", 12), ("y", 10))
            for number in range(count)
        ]
        for name in NAMES
    }
    for name, held in lines.items():
        assert send(pool.labs[name], "evidence?round=1", *held).status_code == 200
    answers(pool, lines)
    return lines


def test_most_of_the_labs_in_it_part_a_campaign_and_join_it_again(pool):
    bridged(pool)
    (one,) = live(pool)
    say(pool, "aster", one, "two", "two_campaigns")
    assert live(pool) == {one: 66}
    say(pool, "borealis", one, "two", "two_campaigns")
    parted = live(pool)
    assert (parted[one], sorted(parted.values())) == (36, [30, 36])
    (other,) = parted.keys() - {one}
    (split,) = CampaignEvent.objects.filter(campaign=one, kind="split")
    assert (str(split.other), split.causes) == (other, ["statements"])
    # What others say of the new one, and new evidence, leave them two.
    say(pool, "cygnus", other, "confirm", "confirmed_here")
    more = {"aster": [pool.account(pool.token("y card 1", "pan_token"), pool.token("y device 1"))]}
    send(pool.aster, "evidence?round=1", *more["aster"])
    assert live(pool) == {one: 36, other: 31}
    unsay(pool, "borealis", one)
    assert live(pool) == {one: 67}
    # Who confirmed the part that is gone reads that it has changed.
    (said,) = read(pool.cygnus.get(f"campaigns/{other}"))["statements"]
    assert said["changed_since"]


def test_a_campaign_that_no_number_of_tokens_parts_stays_one(pool):
    campaign_of(pool, "x")
    (one,) = live(pool)
    for name in NAMES:
        say(pool, name, one, "two", "two_campaigns")
    assert live(pool) == {one: 36}


def test_most_of_the_labs_in_either_join_two_campaigns_and_part_them_again(pool):
    campaign_of(pool, "x")
    campaign_of(pool, "y", count=11)
    one, other = sorted(live(pool), key=live(pool).get, reverse=True)
    say(pool, "aster", one, "one", "same_campaign", other=other)
    say(pool, "eridanus", one, "one", "same_campaign", other=other)  # is in neither: shown, and not counted
    assert live(pool) == {one: 36, other: 33}
    say(pool, "borealis", other, "one", "same_campaign", other=one)
    assert live(pool) == {one: 69}
    ended = read(pool.aster.get(f"campaigns/{other}"))
    assert (ended["state"], ended["into"]) == ("ended", f"campaign--{one}")
    assert code(
        pool.aster.send("PUT", f"campaigns/{other}/statement", {"says": "confirm", "reason": "confirmed_here"}), 409
    )
    # New evidence of what was the other comes to the one.
    send(pool.aster, "evidence?round=1", pool.account(pool.token("y card 1", "pan_token"), pool.token("y device 1")))
    assert live(pool) == {one: 70}
    for name in ("aster", "borealis"):
        say(pool, name, one, "two", "two_campaigns")
    assert sorted(live(pool).values()) == [34, 36]


def test_what_partners_say_is_read_as_stix_opinions_of_the_vocabulary(pool):
    campaign_of(pool, "x")
    campaign_of(pool, "y", count=11)
    one, other = sorted(live(pool), key=live(pool).get, reverse=True)
    assert "objects" not in read(pool.cygnus.get(f"campaigns/{one}/opinions"))
    say(pool, "aster", one, "one", "same_campaign", other=other)
    say(pool, "borealis", one, "dismiss", "false_positive")
    bundle = read(pool.cygnus.get(f"campaigns/{one}/opinions"))
    stix2.parse(bundle)
    said = {each["created_by_ref"]: each for each in bundle["objects"]}
    mine, theirs = (said[pool.partners[name].identity_id] for name in ("aster", "borealis"))
    assert (mine["opinion"], mine["object_refs"]) == ("agree", [f"campaign--{one}", f"campaign--{other}"])
    assert theirs["opinion"] == "disagree"
    for each in said.values():
        assert faults.compiled(closed.schema_of("opinion")).is_valid(each), each
    (extension,) = theirs["extensions"].values()
    assert extension["reason"] == "false_positive"


@pytest.mark.slow
def test_counting_anew_keeps_what_partners_said_meanwhile(pool, monkeypatch):
    campaign_of(pool, "x")
    (one,) = live(pool)
    read_once = counting.rows

    def rows(sql, **values):
        if sql is counting._SPAN:  # between reading the campaign and writing it
            for name in NAMES:
                say(pool, name, one, "dismiss", "not_a_campaign")
        return read_once(sql, **values)

    monkeypatch.setattr(counting, "rows", rows)
    counting.renew(Campaign.objects.get().pk)
    assert Campaign.objects.get().dismissed
    assert statements.REASONS
