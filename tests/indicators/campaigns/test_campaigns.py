"""Campaigns over REST: who sees them, one's own accounts in them, history, picture, and what partners say."""

import json
from datetime import timedelta

import pytest
from typer.testing import CliRunner

from exchange import clock
from exchange.client.cli import app
from exchange.stix import words
from indicators.campaigns import announcing, picturing, proposing, queueing
from indicators.campaigns.tables import Campaign, CampaignStatement
from partners import keys
from partners.models import Group
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.campaigns.sending import Pooling, send
from tests.indicators.campaigns.test_announcing import of_exchange
from tests.indicators.campaigns.test_placing import answers, campaign_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    made = Pooling(interval_s=0)
    made.lines = campaign_of(made, "x")
    tell(made)
    return made


def tell(pool):
    assert proposing.work(pool.group.pk)
    announcing.catch_up()


def only(lab):
    (one,) = read(lab.get("campaigns"))["campaigns"]
    return one


@pytest.mark.slow
def test_members_of_the_group_see_the_same_campaign_and_others_none(pool):
    one = only(pool.aster)
    assert (one["grade"], one["accounts"], one["labs"]) == ("corroborated", "10^1", ["10^1"] * 3)
    assert one.pop("yours") == {"accounts": 12, "on_one_labs_word": 0, "did": {"suspended": 12}}
    shown = {lab: only(caller) for lab, caller in pool.labs.items()}
    counts = {lab: document.pop("yours")["accounts"] for lab, document in shown.items()}
    assert counts == {"aster": 12, "borealis": 12, "cygnus": 12, "eridanus": 0}
    assert shown == dict.fromkeys(pool.labs, one)
    outside = Caller(build.a_key(build.a_partner("Gemini"), Scope.READ, Scope.EVIDENCE, Scope.REACT))
    assert read(outside.get("campaigns"))["campaigns"] == []
    for path in ("", "/accounts", "/history", "/graph"):
        gone = outside.get(f"campaigns/00000000-0000-4000-8000-000000000000{path}")
        hidden = outside.get(f"campaigns/{one['id']}{path}")
        assert (code(hidden, 404), code(gone, 404)) == ("not-found", "not-found")
    said = {"says": "dismiss", "reason": "not_a_campaign"}
    assert code(outside.send("PUT", f"campaigns/{one['id']}/statement", said), 404) == "not-found"


@pytest.mark.slow
def test_a_key_without_this_group_sees_none(pool):
    other = build.a_ring(pool.partners["aster"], slug="other")
    key = keys.issue(
        pool.partners["aster"],
        name="narrow",
        scopes=frozenset({Scope.READ}),
        groups=[other.pk],
        expires_in=timedelta(days=1),
    )[1]
    assert read(Caller(key).get("campaigns"))["campaigns"] == []


def test_pages_hold_each_campaign_once(pool):
    campaign_of(pool, "y")
    campaign_of(pool, "z")
    tell(pool)
    seen, cursor = [], ""
    while cursor is not None:
        document = read(pool.aster.get(f"campaigns?limit=1&cursor={cursor}"))
        seen += [one["id"] for one in document["campaigns"]]
        cursor = document["next"]
    assert len(seen) == len(set(seen)) == 3


@pytest.mark.slow
def test_a_lab_sees_its_own_accounts_and_no_others(pool):
    one = only(pool.aster)
    seen, cursor = [], ""
    while cursor is not None:
        document = read(pool.aster.get(f"campaigns/{one['id']}/accounts?limit=5&cursor={cursor}"))
        seen += document["accounts"]
        cursor = document["next"]
    assert {each["account"] for each in seen} == {line["account"] for line in pool.lines["aster"]}
    assert {each["grade"] for each in seen} == {"corroborated"}
    assert all(each["tokens"] for each in seen)
    assert read(pool.eridanus.get(f"campaigns/{one['id']}/accounts"))["accounts"] == []
    reader = Caller(build.a_key(pool.partners["aster"], Scope.READ))
    assert code(reader.get(f"campaigns/{one['id']}/accounts"), 403) == "missing-scope"


def test_history_and_picture_hold_buckets_and_hours_and_no_names(pool):
    one = only(pool.aster)
    (event,) = read(pool.aster.get(f"campaigns/{one['id']}/history"))["events"]
    assert (event["kind"], event["at"][13:]) == ("created", ":00:00Z")
    picture = read(pool.aster.get(f"campaigns/{one['id']}/graph"))
    lanes = [node for node in picture["nodes"] if node["type"] == "lab"]
    assert [lane["accounts"] for lane in lanes] == ["10^1"] * 3
    assert [lane["did"] for lane in lanes] == [{"suspended": "10^1"}] * 3
    assert {edge.get("accounts") for edge in picture["edges"]} == {"10^0", "10^1", None}
    text = pool.aster.get(f"campaigns/{one['id']}/graph").content.decode().lower()
    assert not [name for name in pool.labs if name in text]


def graph(lab, one):
    return read(lab.get(f"campaigns/{one['id']}/graph"))


def of_type(picture, sort):
    return [node for node in picture["nodes"] if node["type"] == sort]


def test_the_picture_shows_ones_own_lane_accounts_and_tokens_and_of_others_the_same_to_all(pool):
    one = only(pool.aster)
    mine, theirs, outside = (graph(lab, one) for lab in (pool.aster, pool.borealis, pool.eridanus))
    (lane,) = [node for node in of_type(mine, "lab") if node["own"]]
    assert (lane["own_accounts"], lane["own_did"]) == (12, {"suspended": 12})
    assert {node["account"] for node in of_type(mine, "account")} == {line["account"] for line in pool.lines["aster"]}
    assert not {node["id"] for node in of_type(mine, "account")} & {node["id"] for node in of_type(theirs, "account")}
    assert [node["id"] for node in of_type(mine, "token")] == [node["id"] for node in of_type(theirs, "token")]
    tokens = {node["token"]["value"] for node in of_type(mine, "token")}
    assert tokens == {token["value"] for line in pool.lines["aster"] for token in line["tokens"]}
    assert {node["labs"] for node in of_type(mine, "token")} == {3}
    # Who has no account in it sees neither what a token is nor a lane of its own, and all else the same.
    assert not [node for node in outside["nodes"] if node["own"] or "token" in node or node["type"] == "account"]
    for part in ("reasons", "timeline", "as_of"):
        assert mine[part] == theirs[part] == outside[part]
    shown = [{name: node[name] for name in ("id", "accounts")} for node in of_type(mine, "lab")]
    assert shown == [{name: node[name] for name in ("id", "accounts")} for node in of_type(outside, "lab")]


def test_reasons_are_sentences_and_each_edge_ends_in_a_node(pool):
    one = only(pool.aster)
    whole = read(pool.aster.get(f"campaigns/{one['id']}"))
    said = {reason["subkind"]: reason for reason in whole["reasons"]}
    assert said["pan_token"]["sentence"] == (
        "A few card numbers pay for accounts at three labs: the most shared is on a few accounts,"
        " and nearly all who hold them are suspects."
    )
    assert (said["email_domain"]["accounts"], said["email_domain"]["labs"]) == ("10^1", 3)
    picture = graph(pool.aster, one)
    assert picture["reasons"] == whole["reasons"]
    nodes = {node["id"] for node in picture["nodes"]}
    assert {edge[end] for edge in picture["edges"] for end in ("from", "to")} <= nodes
    timeline = picture["timeline"]
    assert (timeline["grain"], len(timeline["steps"]), timeline["growth"]) == ("hour", 1, ["10^1"])
    assert [lane["seen"] for lane in timeline["lanes"]] == [["10^1"]] * 3


def test_the_picture_is_bounded_and_says_what_it_leaves_out(pool):
    for name, lab in pool.labs.items():
        lines = [
            pool.account(
                pool.token(f"big card {number % 9}", "pan_token"),
                pool.token("big device"),
                pool.token("big domain", "email_domain"),
                *(pool.token(f"big phrase {(number + more) % 70}", "phrase") for more in range(20)),
                pool.token(f"{name} net {number // 2}", "net"),
            )
            for number in range(140)
        ]
        assert send(lab, "evidence?round=1", *lines).status_code == 200
        pool.lines[name] = lines
    answers(pool, pool.lines)
    tell(pool)
    (big,) = [one for one in read(pool.aster.get("campaigns"))["campaigns"] if one["accounts"] == "10^2"]
    assert big["yours"] == {"accounts": 140, "on_one_labs_word": 0, "did": {"suspended": 140}}
    picture = graph(pool.aster, big)
    own = of_type(picture, "account")
    dots = sum(lane["marks"] for lane in of_type(picture, "lab") if not lane["own"])
    assert 100 < len(picture["nodes"]) + dots <= picturing.MOST_MARKS
    assert picture["left_out"]["own_accounts"] == 140 - len(own)
    assert len([node for node in of_type(picture, "token") if node["subkind"] == "phrase"]) == 12
    (more,) = [node for node in of_type(picture, "tokens") if node["subkind"] == "phrase"]
    assert (more["id"], more["tokens"], more["grade"]) == ("phrase-more", "10^1", "corroborated")
    (alone,) = [node for node in of_type(picture, "tokens") if node["subkind"] == "net"]
    assert (alone["id"], alone["grade"]) == ("net-of-one-lab", "on_one_labs_word")


def test_the_picture_moves_at_most_once_an_interval(pool):
    Group.objects.filter(pk=pool.group.pk).update(interval_s=3600)
    one = only(pool.aster)
    before = graph(pool.cygnus, one)
    gone = [{"account": line["account"], "gone": True} for line in pool.lines["aster"][:6]]
    send(pool.aster, "evidence?round=1", *gone)
    tell(pool)
    assert graph(pool.cygnus, one) == before
    Campaign.objects.update(told_at=clock.now() - timedelta(hours=2), due=clock.now())
    announcing.catch_up()
    assert graph(pool.cygnus, one) != before


def say(lab, one, says, reason, **more):
    return lab.send("PUT", f"campaigns/{one['id']}/statement", {"says": says, "reason": reason, **more})


def test_each_partner_has_one_word_beside_the_others_and_moves_nothing_alone(pool):
    one = only(pool.aster)
    say(pool.aster, one, "confirm", "confirmed_here")
    said = read(say(pool.borealis, one, "dismiss", "benign_shared"))["statements"]
    assert [(each["partner"]["slug"], each["says"], each["changed_since"]) for each in said] == [
        ("aster", "confirm", False),
        ("borealis", "dismiss", False),
    ]
    assert only(pool.cygnus)["state"] == "live"
    assert read(say(pool.borealis, one, "two", "two_campaigns"))["statements"][1]["says"] == "two"
    assert CampaignStatement.objects.count() == 2
    assert pool.aster.ask("DELETE", f"campaigns/{one['id']}/statement").status_code == 204
    assert code(pool.aster.ask("DELETE", f"campaigns/{one['id']}/statement"), 404) == "not-found"


def test_most_of_the_labs_in_it_dismiss_it_and_take_it_up_again(pool):
    one = only(pool.aster)
    say(pool.eridanus, one, "dismiss", "not_a_campaign")  # is in the group, not in the campaign
    say(pool.aster, one, "dismiss", "not_a_campaign")
    assert only(pool.cygnus)["state"] == "live"
    say(pool.borealis, one, "dismiss", "not_a_campaign")
    tell(pool)
    assert read(pool.cygnus.get("campaigns"))["campaigns"] == []
    assert read(pool.cygnus.get("campaigns?ended=true"))["campaigns"][0]["state"] == "dismissed"
    assert of_exchange(pool.cygnus)[one["stix_id"]]["confidence"] == 0
    say(pool.borealis, one, "confirm", "confirmed_here")
    tell(pool)
    assert only(pool.cygnus)["state"] == "live"
    assert "confidence" not in of_exchange(pool.cygnus)[one["stix_id"]]
    kinds = [event["kind"] for event in read(pool.aster.get(f"campaigns/{one['id']}/history"))["events"]]
    assert kinds == ["created", "dismissed", "taken-up"]


def test_who_confirmed_is_shown_that_it_changed_since(pool):
    one = only(pool.aster)
    say(pool.aster, one, "confirm", "confirmed_here")
    campaign_of(pool, "x", count=40)
    tell(pool)
    (said,) = read(pool.aster.get(f"campaigns/{one['id']}"))["statements"]
    assert said["changed_since"]


@pytest.mark.parametrize(
    ("sent", "where"),
    [
        ({"says": "maybe", "reason": "stale"}, "/says"),
        ({"says": "confirm", "reason": "stale"}, "/reason"),
        ({"says": "one", "reason": "same_campaign"}, "/other"),
        ({"says": "two", "reason": "two_campaigns", "other": "00000000-0000-4000-8000-000000000000"}, "/other"),
        ({"says": "one", "reason": "same_campaign", "other": "x"}, "/other"),
    ],
)
def test_what_cannot_be_said_is_refused(pool, sent, where):
    answer = pool.aster.send("PUT", f"campaigns/{only(pool.aster)['id']}/statement", sent)
    assert read(answer, 422)["errors"][0]["field"] == where


@pytest.mark.slow
def test_an_alias_is_seen_by_its_partner_alone(pool):
    one = only(pool.aster)
    assert read(pool.aster.send("PATCH", f"campaigns/{one['id']}", {"alias": "The card shop"}))["alias"]
    assert only(pool.aster)["alias"] == "The card shop"
    assert only(pool.borealis)["alias"] is None
    read(pool.aster.send("PATCH", f"campaigns/{one['id']}", {"alias": ""}))
    assert only(pool.aster)["alias"] is None


def test_reading_campaigns_takes_as_many_queries_however_many_there_are(pool, django_assert_num_queries):
    from indicators.campaigns import viewing

    viewer = pool.aster.viewer

    def queries():
        with django_assert_num_queries(4):
            return viewing.documents(viewer, viewing.page(viewer, after=None, limit=100, ended=False))

    assert len(queries()) == 1
    campaign_of(pool, "y")
    tell(pool)
    assert len(queries()) == 2


def test_every_reason_is_a_word_of_the_vocabulary():
    from indicators.campaigns.statements import REASONS

    assert {reason for reasons in REASONS.values() for reason in reasons} <= {
        *words.REASONS,
        *words.REASONS_OF_CAMPAIGNS,
    }
    assert Campaign.State.LIVE == "live"


@pytest.mark.django_db(transaction=True)
def test_the_command_line_lists_them_shows_one_and_says_ones_word(pool, live_server):
    key = build.a_key(pool.partners["aster"], Scope.READ, Scope.REACT)
    environment = {"EXCHANGE_URL": live_server.url, "EXCHANGE_API_KEY": key}

    def typed(*words_of_it):
        result = CliRunner().invoke(app, list(words_of_it), env=environment)
        assert result.exit_code == 0, f"{result.output}\n{result.exception!r}"
        return result.stdout

    one = only(pool.aster)
    listed = typed("campaigns")
    assert one["id"] in listed
    assert "about 10" in listed
    shown = typed("campaign", one["name"])
    assert "created" in shown
    assert "Yours       12: 12 suspended" in shown
    assert "A few card numbers pay for accounts at three labs" in shown
    assert "corroborated" in shown
    assert "confirm, confirmed_here" in typed("campaign", one["id"], "--say", "confirm", "--reason", "confirmed_here")
    assert "confirm" not in typed("campaign", one["id"], "--unsay")
    assert "our fox" in typed("campaign", one["id"], "--alias", "our fox")
    assert json.loads(typed("campaigns", "--json"))[0]["alias"] == "our fox"
    assert json.loads(typed("campaign", "our fox", "--json"))["id"] == one["id"]
    missing = CliRunner().invoke(app, ["campaign", "no such one"], env=environment)
    assert "no campaign of this name" in str(missing.exception)
