"""Home: what asks for an act, by deadline, each with one act; figures that lead somewhere; a sum of three labs at least."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest

from exchange import clock
from indicators.campaigns.tables import Campaign
from indicators.feeds import deltas, proving
from indicators.models import InForce, Receipt
from indicators.opinions import giving
from indicators.portal import items
from indicators.stix import making
from partners.groups import membership, proposing
from partners.keys import auth
from partners.models import ApiKey, Group, Partner
from partners.scopes import Role, Scope
from tests import build
from tests.indicators.portal.test_pages import signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def lines(client, show=""):
    """What each line says and its act."""
    answer = text(client.get(f"/?show={show}"))
    found = re.findall(r'<li class="ask"[^>]*>(.*?)</li>', answer, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", one).split()) for one in found]


def has(found, *words):
    return any(all(word in line for word in words) for line in found)


@pytest.mark.slow
def test_a_false_positive_of_ours_stands_first_and_nobody_elses_does(cast):
    one = making.account_pattern()
    build.publish(cast.viewer("aster"), one)
    judge = build.viewer_of(cast.borealis, Scope.READ, Scope.REACT)
    giving.give(judge, one["id"], opinion="disagree", reason="false_positive")
    found = lines(signed_in(cast.aster))
    assert has(found[:1], "Borealis calls our", "a false positive", "Answer")
    assert not has(lines(signed_in(cast.borealis)), "calls our")
    assert not has(lines(signed_in(cast.cygnus)), "calls our")


def test_what_ends_this_week_leads_to_the_list_of_it(cast):
    build.publish(cast.viewer("aster"), making.account_pattern("net", carrier={"value": "198.51.100.0/24"}))
    client = signed_in(cast.aster)
    assert has(lines(client), "1 of ours ends this week", "See 1")
    address = re.search(r'data-open="(/indicators\?filter=[^"]+)"', text(client.get("/")))[1]
    assert "<b>1</b> match" in text(client.get(address))
    assert not has(lines(signed_in(cast.borealis)), "ends this week")


def test_keys_and_bases_that_end_and_invitations_ask_the_admin_alone(cast):
    ApiKey.objects.filter(partner=cast.aster).update(expires_at=clock.now() + timedelta(days=4))
    admin, analyst = signed_in(cast.aster), signed_in(cast.aster, role=Role.ANALYST)
    assert re.search(r'<time datetime="[^"]+" title="[0-9-]+ [0-9:]+ UTC">by [A-Z]', text(admin.get("/?show=systems")))
    assert has(lines(admin, "systems"), "API key", "ends", "Rotate")
    assert not has(lines(analyst, "systems"), "API key")
    other = signed_in(cast.cygnus)
    membership.invite(auth.viewer_of_user(build.a_user(cast.aster)), Group.objects.get(slug="ring"), cast.cygnus)
    assert has(lines(other, "sharing"), "Invitation", "Read terms")
    assert not has(lines(signed_in(cast.dorado), "sharing"), "Invitation")


def test_many_invitations_hide_no_removal_and_no_renewal(cast):
    founder, member = (auth.viewer_of_user(build.a_user(one)) for one in (cast.cygnus, cast.borealis))
    basis = proposing.Basis("An agreement.", "", clock.now().date())
    for _ in range(9):
        made = membership.create(founder, name="Noise", purpose="To be read.", basis=basis)
        membership.invite(founder, made, cast.aster)
    membership.renew(member, Group.objects.get(slug="ring"), basis)
    found = lines(signed_in(cast.aster), "sharing")
    assert has(found, "Renewal waits for us")
    assert sum("Noise" in line for line in found) == 8
    assert not has(lines(signed_in(cast.borealis), "sharing"), "Renewal waits"), "it has said its word"


def test_what_was_held_at_the_door_is_said_to_its_publisher(cast):
    build.publish(cast.viewer("aster"), making.account_pattern(labels=["TLP:RED"]))
    assert has(lines(signed_in(cast.aster)), "1 object was held at the door", "Mend 1")
    assert not has(lines(signed_in(cast.borealis)), "held at the door")


def test_without_a_script_the_figures_are_a_page_and_with_it_a_part(cast):
    client = signed_in(cast.aster)
    assert 'href="/pulse"' in text(client.get("/"))
    page, part = text(client.get("/pulse")), text(client.get("/pulse", headers={"HX-Request": "true"}))
    assert '<main id="main"' in page
    assert "Figures and arrivals" in page
    assert "<main" not in part
    assert 'class="figures' in page
    assert 'class="figures' in part


@pytest.mark.slow
def test_nothing_is_summed_of_less_than_three_labs(cast):
    build.publish(cast.viewer("aster"), making.account_pattern())
    build.publish(cast.viewer("borealis"), making.account_pattern())
    client = signed_in(cast.aster)
    assert "Shown once at least 3 labs took part" in text(client.get("/pulse"))
    build.publish(cast.viewer("cygnus"), making.account_pattern(tlp_word="green"), everyone=True)
    assert "Summed only where at least 3 labs took part" in text(client.get("/pulse"))


def test_each_figure_leads_to_what_it_counts(cast):
    build.publish(cast.viewer("aster"), making.account_pattern())
    client = signed_in(cast.aster)
    told = re.findall(r'<a class="figure" href="([^"]+)">.*?<b>([^<]+)</b>', text(client.get("/pulse")), re.DOTALL)
    assert len(told) == 4
    for address, count in told:
        assert f"<b>{count}</b> match" in text(client.get(address)), address


def test_each_number_of_the_side_bar_has_a_place_on_the_page(cast):
    client = signed_in(cast.aster, role=Role.ADMIN)
    told = re.findall(r'<span data-for="(pip-[^"]+)"', text(client.get("/side")))
    assert len(told) == 3
    assert set(told) <= set(re.findall(r'id="(pip-[^"]+)"', text(client.get("/"))))


def test_who_only_reads_is_shown_nothing_of_its_own(cast):
    client = signed_in(cast.dorado)
    for path, shown in (
        ("/pulse", "By two labs"),
        ("/indicators", "Ends this week"),
        ("/organisation/", "Receives up to"),
    ):
        page = text(client.get(path))
        assert shown in page
        assert "from%3Amine" not in page
        assert "How far you may share" not in page
    assert "from%3Amine" in text(signed_in(cast.aster).get("/indicators"))


def a_campaign(cast, name, *, labs, days=0):
    """As it was told to the group `ring` so many days ago, with accounts of these partners."""
    at = clock.now() - timedelta(days=days)
    told = {
        "name": name, "grade": "corroborated", "accounts": "10^2", "labs": ["lab-1"], "kinds": ["payment-fingerprint"],
        "first_seen": clock.rfc3339(at), "last_seen": clock.rfc3339(at), "indicators": [], "linked": [], "into": "",
        "ended": False,
    }  # fmt: skip
    return Campaign.objects.create(
        id=uuid.uuid4(), group=cast.ring, name=name, cluster=1, labs={str(lab.pk): 3 for lab in labs}, first_seen=at,
        last_seen=at, created_at=at, told=told, told_at=at,
    )  # fmt: skip


def test_an_old_campaign_with_ours_stands_there_and_new_ones_without_are_one_line(cast):
    a_campaign(cast, "old heron", labs=[cast.aster], days=60)
    for number in range(9):
        a_campaign(cast, f"new heron {number}", labs=[cast.borealis])
    found = lines(signed_in(cast.aster), "campaigns")
    assert has(found[:1], "old heron", "touches")
    assert has(found, "9 other campaigns of our groups", "See all")
    assert not has(found, "new heron")
    others = lines(signed_in(cast.borealis), "campaigns")
    assert sum("new heron" in line for line in others) == 8
    assert has(others, "More campaigns that touch us")
    assert not has(others, "old heron"), "it has no account there, and that it is there is no news"
    assert lines(signed_in(cast.cygnus), "campaigns") == []


def test_a_match_between_others_is_not_one_of_ours(cast):
    token = {"token": making.token("a" * 64)}
    for who in ("borealis", "cygnus"):
        build.publish(cast.viewer(who), making.account_pattern(carrier=token, tlp_word="green"), everyone=True)
    assert not has(lines(signed_in(cast.aster)), "matched")
    assert has(lines(signed_in(cast.borealis)), "1 value of ours matched", "See 1")
    address = "/matches?show=ours"
    assert "No match with ours yet" not in text(signed_in(cast.borealis).get(address))
    assert "None of ours among these" not in text(signed_in(cast.borealis).get(address))
    aster = text(signed_in(cast.aster).get(address))
    assert "No match with ours yet" in aster
    assert "aaaa…" not in aster


def test_an_agent_that_stays_behind_its_feed_asks_and_one_on_its_way_does_not(cast):
    aster = cast.viewer("aster")
    build.publish(aster, making.account_pattern())
    feed_set = proving.brought(aster, deltas.feed_of(aster, "all"), feed="all")
    about = {"feed_set": feed_set, "version": "1", "equal": True, "at": clock.now()}
    Receipt.unrestricted.create(**about, instance="edge-1", place=0)
    Receipt.unrestricted.create(**about, instance="edge-2", place=feed_set.place)
    assert not has(lines(signed_in(cast.aster), "systems"), "edge-1")
    InForce.unrestricted.update(told_at=clock.now() - timedelta(minutes=6))
    found = lines(signed_in(cast.aster), "systems")
    assert has(found, "edge-1", "lags behind its feed", "1 change of the feed")
    assert not has(found, "edge-2")
    assert not has(lines(signed_in(cast.borealis), "systems"), "edge-1")


def test_what_confirms_ours_is_one_quiet_line(cast):
    made = [making.account_pattern(tlp_word="green") for _ in range(2)]
    build.publish(cast.viewer("aster"), *made, everyone=True)
    for who in (cast.borealis, cast.cygnus):
        giving.give(
            build.viewer_of(who, Scope.READ, Scope.REACT), made[0]["id"], opinion="agree", reason="confirmed_here"
        )
    found = lines(signed_in(cast.aster))
    assert has(found, "2 opinions confirm ours", "by Cygnus, Borealis", "See 2")
    assert not has(lines(signed_in(cast.borealis)), "confirm ours")


def test_of_many_of_a_kind_the_first_stand_there_and_a_line_leads_to_the_rest(cast, monkeypatch):
    monkeypatch.setattr(items, "MOST", 2)
    made = [making.account_pattern() for _ in range(3)]
    build.publish(cast.viewer("aster"), *made)
    for one in made[:2]:
        giving.give(cast.viewer("borealis"), one["id"], opinion="disagree", reason="stale")
    client = signed_in(cast.aster)
    assert has(lines(client, "ours"), "calls our")
    assert not has(lines(client, "ours"), "More opinions")
    before = re.search(r'On ours <span class="count">([0-9]+)</span>', text(client.get("/")))[1]
    giving.give(cast.viewer("borealis"), made[2]["id"], opinion="disagree", reason="stale")
    found = lines(client, "ours")
    assert sum("calls our" in line for line in found) == 2
    assert has(found, "More opinions against ours", "See all")
    page = text(client.get("/"))
    assert f'On ours <span class="count">{before}+</span>' in page
    assert re.search(r'All <span class="count">[0-9]+\+</span>', page)
    assert re.search(r'data-for="pip-portal-judgement">2\+<', text(signed_in(cast.aster).get("/side")))


def test_the_most_urgent_comes_first():
    order = list(items.SECTIONS)
    assert order == ["tonight", "week", "know"]


def steps(client):
    """Each first step, and whether it is done."""
    found = re.findall(r'<li class="step( done)?">(.*?)</li>', text(client.get("/")), re.DOTALL)
    return {re.search(r'class="says"><p>(.*?)</p>', one)[1]: bool(done) for done, one in found}


def test_a_fresh_operator_is_told_to_invite_the_first_partner():
    operator = build.a_partner("operator", kind=Partner.Kind.OPERATOR)
    admin = signed_in(operator, role=Role.ADMIN)
    assert "<h2>Invite the first partner</h2>" in text(admin.get("/"))
    assert steps(admin) == {"Invite the first partner": False, "Add a second person": False, "Found a group": False}
    build.a_partner("aster")
    assert "<h2>Add a second person</h2>" in text(admin.get("/"))
    assert steps(admin)["Invite the first partner"]


def test_a_fresh_recipient_is_told_where_what_is_released_to_it_stands():
    agency = build.a_partner("agency", kind=Partner.Kind.RECIPIENT)
    assert steps(signed_in(agency, role=Role.ANALYST)) == {"Read what labs release to you": False}
    assert list(steps(signed_in(agency, role=Role.ADMIN))) == ["Add a second person", "Read what labs release to you"]


def test_a_fresh_partner_is_told_what_each_of_its_people_may_do_first(cast):
    told = steps(signed_in(cast.cygnus, role=Role.ADMIN))
    assert list(told) == [
        "Add a second person",
        "Be in a group",
        "Make a key for your systems",
        "Publish the first indicator",
    ]
    assert told["Be in a group"] is False
    assert list(steps(signed_in(cast.aster, role=Role.ANALYST))) == ["Be in a group"]
    assert steps(signed_in(cast.aster, role=Role.ANALYST))["Be in a group"]
