"""Who is in several groups sees which of their campaigns their own accounts join: as it was told, and nobody else's."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from exchange import clock
from indicators.campaigns import announcing, overlapping, proposing, queueing, viewing
from indicators.campaigns.tables import Campaign, Suspect, ToldToken
from partners import keys
from partners.models import Group
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.indicators.campaigns.sending import Pooling, answer_of, send
from tests.indicators.campaigns.test_placing import campaign_of

pytestmark = pytest.mark.django_db
HOUR = 3600


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    """Aster and Borealis pool in a second group as well, under other pseudonyms; Cygnus is in the first alone."""
    made = Pooling(interval_s=HOUR)
    campaign_of(made, "x")
    a_group(made, "other")
    tell(made)
    return made


def a_group(pool, slug):
    two = {name: pool.partners[name] for name in ("aster", "borealis", "eridanus")}
    other = build.a_ring(*two.values(), slug=slug, policy=Group.Policy.CLOSED_FACTS)
    Group.objects.filter(pk=other.pk).update(evidence=True, interval_s=HOUR)
    for name in ("aster", "borealis"):
        more(pool, name, slug, count=12)
    return other


def more(pool, name, slug, *, count, suffix="", letter="x"):
    """Accounts of a lab in a group, with cards and devices; the lab answers for these."""
    lines = [
        pool.account(
            pool.token(f"{letter} card {number % 4}{suffix}", "pan_token"),
            pool.token(f"{letter} device {number % 3}"),
        )
        for number in range(count)
    ]
    tokens = {token["value"]: token for line in lines for token in line["tokens"]}.values()
    for path, sent in (("evidence?round=1", lines), ("prevalence", [answer_of(one, 8, 8) for one in tokens])):
        assert send(pool.labs[name], path, *sent, group=slug).status_code == 200
    return lines


def tell(pool):
    for group in Group.objects.filter(evidence=True):
        assert proposing.work(group.pk)
    announcing.catch_up()


def listed(pool):
    return {one["group"]: one for one in read(pool.aster.get("campaigns"))["campaigns"]}


def elsewhere(caller, one):
    return read(caller.get(f"campaigns/{one['id']}"))["elsewhere"]


def counts(pool):
    return [[each["own_tokens"] for each in elsewhere(pool.aster, one)] for one in listed(pool).values()]


def test_who_is_in_two_groups_finds_what_their_own_accounts_join(pool):
    first, second = listed(pool)["pool"], listed(pool)["other"]
    for here, there in ((first, second), (second, first)):
        expected = {"id": there["id"], "group": there["group"], "name": there["name"], "own_tokens": 7}
        assert elsewhere(pool.aster, here) == [expected]
    assert elsewhere(pool.cygnus, first) == [], "it is in one of the groups alone"
    assert elsewhere(pool.eridanus, first) == [], "it has no accounts there"
    aster, day, scopes = pool.partners["aster"], timedelta(days=1), frozenset({Scope.READ})
    narrow = Caller(keys.issue(aster, name="narrow", scopes=scopes, groups=[pool.group.pk], expires_in=day)[1])
    assert elsewhere(narrow, first) == []


def test_the_number_moves_when_both_groups_were_told(pool, monkeypatch):
    """Nothing that anybody sends meanwhile moves it, one's own included: a round of the one group tells half of it."""
    assert counts(pool) == [[7], [7]]
    for slug in ("pool", "other"):
        for name in ("aster", "borealis"):
            more(pool, name, slug, count=8, suffix=" new")
    tell(pool)
    assert counts(pool) == [[7], [7]]
    later = clock.now() + timedelta(seconds=HOUR + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    with pytest.MonkeyPatch.context() as alone:
        alone.setattr(announcing, "_AT_ONCE", 1)
        announcing.tell_due()
        assert counts(pool) == [[7], [7]]
    announcing.catch_up()
    assert counts(pool) == [[11], [11]]


def test_what_left_stays_until_it_is_told(pool, monkeypatch):
    """Aster takes back what carries one of the cards, in the one group."""
    accounts = read(pool.aster.get(f"campaigns/{listed(pool)['other']['id']}/accounts?limit=500"))["accounts"]
    card = pool.token("x card 0", "pan_token")["value"]
    left = [each["account"] for each in accounts if card in {token["value"] for token in each["tokens"]}]
    assert len(left) == 3
    send(pool.aster, "evidence?round=1", *({"account": each, "gone": True} for each in left), group="other")
    tell(pool)
    assert counts(pool) == [[7], [7]]
    later = clock.now() + timedelta(seconds=HOUR + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    announcing.catch_up()
    assert counts(pool) == [[6], [6]]


@pytest.mark.slow
def test_others_evidence_and_answers_change_nothing_meanwhile(pool):
    before = {slug: read(pool.aster.get(f"campaigns/{one['id']}"))["elsewhere"] for slug, one in listed(pool).items()}
    more(pool, "borealis", "other", count=40, suffix=" borealis alone")
    more(pool, "eridanus", "other", count=40, letter="x")
    said = [answer_of(pool.token("x card 0", "pan_token"), 1024, 1)]
    assert send(pool.eridanus, "prevalence", *said, group="other").status_code == 200
    tell(pool)
    after = {slug: read(pool.aster.get(f"campaigns/{one['id']}"))["elsewhere"] for slug, one in listed(pool).items()}
    assert after == before


def test_what_is_not_named_is_counted(pool, monkeypatch):
    for slug in ("third", "fourth"):
        a_group(pool, slug)
    tell(pool)
    first = listed(pool)["pool"]
    assert len(elsewhere(pool.aster, first)) == 3
    monkeypatch.setattr(overlapping, "MOST_NAMED", 1)
    whole = read(pool.aster.get(f"campaigns/{first['id']}"))
    assert (len(whole["elsewhere"]), whole["elsewhere_left_out"]) == (1, 2)
    client = Client()
    build.sign_in(client, build.a_user(pool.partners["aster"]))
    page = client.get(f"/campaigns/{first['id']}").content.decode()
    assert "2 more campaigns of our other groups hold" in page
    monkeypatch.setattr(overlapping, "MOST_NAMED", 2)
    page = client.get(f"/campaigns/{first['id']}").content.decode()
    assert "1 more campaign of our other groups holds" in page


def test_of_a_lab_with_many_tokens_the_same_ones_are_kept_in_each_group(pool, monkeypatch):
    monkeypatch.setattr(overlapping, "MOST_TOKENS", 3)
    a_group(pool, "third")
    tell(pool)
    third = listed(pool)["third"]
    kept = ToldToken.objects.filter(campaign=third["id"], partner=pool.partners["aster"])
    assert kept.count() == 3
    assert {each["own_tokens"] for each in elsewhere(pool.aster, third)} == {3}


def test_nothing_is_kept_of_what_has_ended(pool):
    ended = listed(pool)["other"]["id"]
    for name in ("aster", "borealis"):
        assert pool.labs[name].ask("POST", "groups/other/evidence/finish?round=2", b"").status_code == 200
    tell(pool)
    assert not ToldToken.objects.filter(campaign=ended).exists()
    assert elsewhere(pool.aster, listed(pool)["pool"]) == []


def test_it_is_found_in_three_queries(pool):
    viewer, one = pool.aster.viewer, Campaign.objects.get(group=pool.group)
    with CaptureQueriesContext(connection) as asked:
        viewing.elsewhere(viewer, one)
    assert len(asked) == 3


def seen(caller):
    """All that a lab reads of dates: its list, each campaign with its picture, and its inbox."""
    found = read(caller.get("campaigns"))["campaigns"]
    graphs = [read(caller.get(f"campaigns/{one['id']}/graph")) for one in found]
    wholes = [read(caller.get(f"campaigns/{one['id']}")) for one in found]
    return found, graphs, wholes, read(caller.get("inbox?limit=100"))["items"]


@pytest.mark.slow
def test_tokens_of_another_lab_move_no_date(pool, monkeypatch):
    """A device of one account of Borealis is new: nobody else sees it, and Aster reads what it read before."""
    first = Suspect.objects.order_by("since")[0].since
    later = clock.now() + timedelta(seconds=HOUR + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    before, kept = seen(pool.aster), ToldToken.objects.count()
    assert before[3]
    more(pool, "borealis", "other", count=1, suffix=" of borealis alone")
    Suspect.objects.update(since=first)
    tell(pool)
    assert ToldToken.objects.count() == kept + 1
    assert seen(pool.aster) == before
    more(pool, "borealis", "other", count=1, suffix=" and another")
    Suspect.objects.update(since=first)
    tell(pool)
    assert ToldToken.objects.count() == kept + 1
    assert Campaign.objects.get(group__slug="other").due == later + timedelta(seconds=HOUR)


def test_an_upgrade_tells_nobody_of_what_they_know(pool, monkeypatch):
    """Before its release no tokens were kept; the migration has all campaigns looked at again."""
    later = clock.now() + timedelta(seconds=HOUR + 1)
    monkeypatch.setattr(clock, "now", lambda: later)
    before = seen(pool.aster)
    ToldToken.objects.all().delete()
    Campaign.objects.update(due=later, carried_at=None)
    announcing.catch_up()
    assert ToldToken.objects.exists()
    assert seen(pool.aster) == before
