"""What another server has comes in through the door, to the audience that the connection names and no further."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest

from exchange import outbound
from exchange.errors import Conflict, Refused
from indicators import reading
from indicators.connections import checking, keeping, remote, running, taxii, turns
from indicators.ending import withdrawing
from indicators.models import Connection, Holding, Passed
from indicators.publishing import awaiting, confirming
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners.keys import auth
from partners.models import Group, Partner
from partners.sharing import groups_named
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db


def a_net(host=7, *, tlp="green", **more):
    """A fact that travels in clear."""
    return making.account_pattern("net", carrier={"value": f"198.51.100.{host}/32"}, tlp_word=tlp, **more)


def newer(stix, **more):
    return stix | {"modified": build.later()} | more


def own(viewer, **more):
    """What a partner published and still has, by id."""
    found = reading.page(viewer, Selection(own=True, living=True, **more), limit=100).statements
    return {one.stix_id: one for one in found}


def test_what_is_there_comes_in_byte_for_byte_to_the_audience_that_is_named(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    ended = run(pulls())
    got = own(cast.viewer("cygnus"))[stix["id"]]
    assert json.loads(got.body) == stix
    assert got.tlp == Tlp.GREEN
    seen_by = {name for name in ("aster", "borealis", "cygnus") if _sees(cast.viewer(name), stix["id"], "cygnus")}
    assert seen_by == {"cygnus"}
    assert ended.counts["accepted"] == 1
    assert "1 came in" in ended.outcome
    assert not ended.failures


def _sees(viewer, stix_id, publisher):
    found = reading.page(viewer, Selection(stix_ids=(stix_id,)), limit=10).statements
    return any(one.publisher_slug == publisher for one in found)


def test_without_names_it_is_the_partners_alone(cast, pulls, run):
    stix = a_net(tlp="clear")
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    run(pulls(reach=Reach()))
    assert stix["id"] in own(cast.viewer("cygnus"))
    assert not any(_sees(cast.viewer(name), stix["id"], "cygnus") for name in ("aster", "borealis", "dorado"))


@pytest.mark.parametrize(
    ("tlp", "strictest", "passes"),
    [
        ("clear", Tlp.GREEN, True),
        ("green", Tlp.GREEN, True),
        ("amber", Tlp.GREEN, False),
        ("amber", Tlp.AMBER, True),
        ("amber+strict", Tlp.AMBER, False),
        ("green", Tlp.CLEAR, False),
    ],
)
def test_what_is_marked_more_strictly_than_the_connection_lets_through_stays_out(
    cast, pulls, run, tlp, strictest, passes
):
    stix = a_net(tlp=tlp)
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    ended = run(pulls(strictest=strictest))
    assert (stix["id"] in own(cast.viewer("cygnus"))) == passes
    if not passes:
        assert "1 over-marking" in ended.outcome


def test_red_passes_no_connection(pulls):
    with pytest.raises(Refused) as refused:
        pulls(strictest=Tlp.RED)
    assert refused.value.code == "red-passes-no-connection"


def test_tokens_of_another_exchanges_keys_stay_out(cast, pulls, run):
    build.publish(cast.viewer("aster"), build.an_indicator(tlp_word="green"), groups=("ring",))
    ended = run(pulls())
    assert own(cast.viewer("cygnus")) == {}
    assert "1 tokens-of-others" in ended.outcome


def test_what_the_partner_holds_otherwise_is_neither_changed_nor_revoked_from_there(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    build.publish(cast.viewer("aster"), newer(stix, revoked=True), groups=("ring",))
    ended = run(pulls())
    got = own(cast.viewer("cygnus"))[stix["id"]]
    assert not got.revoked
    assert "1 held-otherwise" in ended.outcome


def test_what_is_here_from_somebody_else_does_not_come_back_as_ones_own(cast, pulls, run):
    """From Aster to the other server and back: a second voice for its word, and readers whom it did not choose."""
    stix, more = a_net(), a_net(8)
    build.publish(cast.viewer("aster"), stix, groups=("ring",), partners=("cygnus",))
    build.publish(cast.viewer("aster"), more, groups=("ring",))
    pull = pulls()
    ended = run(pull)
    assert own(cast.viewer("cygnus")).keys() == {more["id"]}
    assert "1 here-already" in ended.outcome
    build.publish(cast.viewer("aster"), newer(stix, name="told anew"), groups=("ring",), partners=("cygnus",))
    build.publish(cast.viewer("aster"), newer(more, name="told anew"), groups=("ring",), partners=("cygnus",))
    run(pull)
    got = own(cast.viewer("cygnus"))
    assert got.keys() == {more["id"]}
    assert json.loads(got[more["id"]].body)["name"] == "told anew", "what came in before goes on"


def test_other_bytes_under_an_id_that_one_partner_shows_hide_nothing_from_the_readers(cast, pulls, run):
    """Borealis would else keep from the readers of Cygnus what is true, by showing Cygnus something else."""
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    build.publish(cast.viewer("borealis"), newer(stix, name="something else"), partners=("cygnus",))
    run(pulls())
    got = own(cast.viewer("cygnus"))
    assert json.loads(got[stix["id"]].body)["name"] == stix["name"]


def test_a_revision_and_a_revocation_follow(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    revised = newer(stix, confidence=90)
    build.publish(cast.viewer("aster"), revised, groups=("ring",))
    one = run(one)
    assert own(cast.viewer("cygnus"))[stix["id"]].confidence == 90
    withdrawn = revised | {"modified": _after(revised["modified"]), "revoked": True}
    build.publish(cast.viewer("aster"), withdrawn, groups=("ring",))
    run(one)
    assert stix["id"] not in own(cast.viewer("cygnus"))


def _after(stamp):
    return stamp.replace(".000Z", ".001Z")


def test_what_becomes_too_strict_there_is_taken_back(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    amber = newer(stix, object_marking_refs=a_net(tlp="amber")["object_marking_refs"])
    build.publish(cast.viewer("aster"), amber, groups=("ring",))
    one = run(one)
    assert stix["id"] not in own(cast.viewer("cygnus"))
    assert one.counts["taken-back"] == 1


def test_what_leaves_the_collection_is_taken_back_and_comes_back_with_it(cast, pulls, run):
    kept, gone = a_net(1), a_net(2)
    build.publish(cast.viewer("aster"), kept, gone, groups=("ring",))
    one = run(pulls())
    assert own(cast.viewer("cygnus")).keys() == {kept["id"], gone["id"]}
    withdrawing.withdraw(cast.viewer("aster"), [gone["id"]])
    _check_again(one)
    run(one)
    assert own(cast.viewer("cygnus")).keys() == {kept["id"]}
    build.publish(cast.viewer("aster"), gone, groups=("ring",), wake=True)
    run(one)
    assert own(cast.viewer("cygnus")).keys() == {kept["id"], gone["id"]}


def _check_again(one):
    """As if the last look at the manifest were long ago."""
    row = Connection.unrestricted.get(pk=one.pk)
    Connection.unrestricted.filter(pk=one.pk).update(place=row.place | {"checked_at": "2026-01-01T00:00:00Z"})


def test_what_has_ended_here_is_looked_for_no_more(cast, pulls, run):
    net = a_net()
    build.publish(cast.viewer("aster"), net, groups=("ring",))
    one = run(pulls())
    turn = turns.Turn(Connection.unrestricted.get(pk=one.pk), until=0.0, pages=1)
    assert [passed.stix_id for passed in checking.living(turn)] == [net["id"]]
    Holding.unrestricted.filter(publisher=one.partner_id, stix_id=net["id"]).update(state=Holding.State.EXPIRED)
    assert not checking.living(turn).exists()


def test_what_the_partner_itself_withdrew_stays_withdrawn(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"]])
    Connection.unrestricted.filter(pk=one.pk).update(place={})
    run(one)
    assert own(cast.viewer("cygnus")) == {}


def test_pages_are_read_on_from_where_the_last_run_ended(cast, pulls, run, monkeypatch):
    monkeypatch.setattr(running, "RUN_PAGES", 1)
    monkeypatch.setattr(taxii.Server.page, "__kwdefaults__", {"limit": 2})
    objects = [a_net(host) for host in range(1, 6)]
    build.publish(cast.viewer("aster"), *objects, groups=("ring",))
    one = pulls()
    seen = []
    for _ in range(12):
        one = run(one)
        seen.append(len(own(cast.viewer("cygnus"))))
    assert seen[-1] == 5
    assert seen == sorted(seen)
    assert seen[0] < 5


def test_nothing_is_asked_for_twice_once_it_has_settled(cast, pulls, run, peer):
    build.publish(cast.viewer("aster"), a_net(), groups=("ring",))
    one = run(run(pulls()))
    peer.asked.clear()
    one = run(one)
    assert one.outcome == "Nothing new."


def test_a_server_that_turns_in_circles_ends_the_run(pulls, run, peer):
    same = b'{"more":true,"next":"x","objects":[]}'
    peer.answers["/objects/"] = outbound.Reply(200, None, same)
    one = run(pulls())
    assert one.failures == 1
    assert "again and again" in one.outcome


@pytest.mark.parametrize(
    ("answer", "words", "told"),
    [
        (outbound.Reply(401, None, b""), "refuses the credential", True),
        (outbound.Reply(404, None, b""), "no such address", True),
        (outbound.Reply(503, 3_600, b""), "answered 503", False),
        (outbound.Reply(200, None, b"<html>secret words</html>"), "not JSON", False),
        (outbound.Reply(200, None, b'{"objects":7}'), "no TAXII envelope", False),
        (outbound.Failed("No answer within 30 seconds."), "No answer", False),
        (outbound.Blocked(), "public host", False),
    ],
)
def test_a_failure_is_said_in_our_own_words_and_tried_again_later(pulls, run, peer, answer, words, told):
    peer.answers["/objects/"] = answer
    one = run(pulls())
    assert words in one.outcome
    assert "secret" not in one.outcome
    assert one.failures == 1
    assert (one.failing_since is not None) == told
    assert one.due_at > one.last_at
    if isinstance(answer, outbound.Reply) and answer.retry_after_s:
        assert (one.due_at - one.last_at).total_seconds() == 3_600
    peer.answers.clear()
    one = run(one)
    assert (one.failures, one.failing_since) == (0, None)


def test_a_page_that_is_too_long_is_asked_for_by_smaller_ones(cast, pulls, run, peer, monkeypatch):
    objects = [a_net(host) for host in range(1, 9)]
    build.publish(cast.viewer("aster"), *objects, groups=("ring",))
    monkeypatch.setattr(remote, "MAX_BYTES", 6_000)
    one = pulls()
    Connection.unrestricted.filter(pk=one.pk).update(place={"checked_at": "2099-01-01T00:00:00Z"})
    one = run(one)
    assert len(own(cast.viewer("cygnus"))) == 8, one.outcome


def test_a_group_that_takes_nothing_new_stops_the_run_and_loses_nothing(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = pulls()
    admin = auth.viewer_of_user(build.a_user(cast.cygnus))
    group = groups_named(admin, ["own"])[0]
    Group.objects.filter(pk=group).update(suspended_at="2026-01-01T00:00:00Z")
    one = run(one)
    assert "suspended" in one.outcome
    Group.objects.filter(pk=group).update(suspended_at=None)
    run(one)
    assert stix["id"] in own(cast.viewer("cygnus"))


def test_what_beyond_its_limits_comes_in_waits_for_a_second_person(cast, pulls, run):
    build.publish(cast.viewer("aster"), a_net(), groups=("ring",))
    one = pulls()
    Partner.objects.filter(pk=cast.cygnus.pk).update(alone_objects=0)
    one = run(one)
    assert own(cast.viewer("cygnus")) == {}
    assert one.counts["waiting"] == 1
    assert "1 wait for a second person" in one.outcome


def test_a_suspended_partners_connections_do_not_run(cast, pulls):
    pulls()
    Partner.objects.filter(pk=cast.cygnus.pk).update(state=Partner.State.SUSPENDED)
    assert not running.run_next()


def test_a_run_whose_connection_was_changed_meanwhile_writes_nothing(cast, cygnus, pulls, peer, monkeypatch):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = pulls()
    real = taxii.Server.page

    def slow(self, **more):
        page = real(self, **more)
        keeping.change(cygnus, one.pk, {"strictest": Tlp.CLEAR})
        return page

    monkeypatch.setattr(taxii.Server, "page", slow)
    assert running.run_next()
    assert own(cast.viewer("cygnus")) == {}
    assert Connection.unrestricted.get(pk=one.pk).last_at is None


def test_what_came_by_an_ended_connection_is_taken_over_by_a_new_one_to_the_same_address(cast, cygnus, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    keeping.end(cygnus, one.pk)
    again = run(pulls())
    assert again.counts["unchanged"] == 1
    build.publish(cast.viewer("aster"), newer(stix, confidence=91), groups=("ring",))
    run(again)
    assert own(cast.viewer("cygnus"))[stix["id"]].confidence == 91


def test_runs_are_claimed_one_a_partner_and_a_dead_workers_again_later(pulls):
    first = pulls()
    second = pulls(name="again")
    claimed = running.claim()
    assert claimed.pk in {first.pk, second.pk}
    assert running.claim() is None
    Connection.unrestricted.filter(pk=claimed.pk).update(claimed_until="2020-01-01T00:00:00Z")
    assert running.claim() is not None


def test_names_are_taken_once(pulls):
    pulls()
    with pytest.raises(Conflict):
        pulls()
    assert Passed.unrestricted.count() == 0


TAXII = {"content-type": "application/taxii+json;version=2.1"}


def test_what_the_partner_itself_withdrew_stays_so_when_it_leaves_there_and_is_back(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, a_net(2), groups=("ring",))
    one = run(pulls())
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"]])
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    _check_again(one)
    one = run(one)
    build.publish(cast.viewer("aster"), stix, groups=("ring",), wake=True)
    _check_again(one)
    run(one)
    assert stix["id"] not in own(cast.viewer("cygnus"))


@pytest.mark.parametrize(
    "answer",
    [
        outbound.Reply(200, None, b"", TAXII),
        outbound.Reply(200, None, b"{}"),
        outbound.Reply(200, None, b'{"objects":[]}', {"content-type": "application/json"}),
    ],
)
def test_an_odd_manifest_takes_nothing_back(cast, pulls, run, peer, answer):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    peer.answers["/manifest/"] = answer
    for _ in range(2):
        _check_again(one)
        one = run(one)
        assert one.failures
    assert stix["id"] in own(cast.viewer("cygnus"))


def test_an_empty_manifest_is_believed_the_second_time_and_what_it_has_again_comes_back_once(cast, pulls, run, peer):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    peer.answers["/manifest/"] = outbound.Reply(200, None, b"{}", TAXII)
    held = []
    for _ in range(2):
        _check_again(one)
        one = run(one)
        held.append(stix["id"] in own(cast.viewer("cygnus")))
    assert held == [True, False]
    peer.answers.clear()
    _check_again(one)
    one = run(one)
    assert stix["id"] in own(cast.viewer("cygnus"))


def _gone_and_listed_again(cast, run, one, stix):
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    _check_again(one)
    run(one)
    build.publish(cast.viewer("aster"), stix, groups=("ring",), wake=True)


def _asked_for(peer):
    return [url for _, url in peer.asked if "match" in url]


def _later(one):
    """As if what is to be asked for again were due."""
    row = Connection.unrestricted.get(pk=one.pk)
    missed = {stix_id: (tries, "2026-01-01T00:00:00Z") for stix_id, (tries, _) in row.place["missed"].items()}
    Connection.unrestricted.filter(pk=one.pk).update(place=row.place | {"missed": missed})


def test_what_is_listed_again_and_not_given_is_asked_for_again_later_and_not_for_ever(cast, pulls, run, peer):
    kept, stix = a_net(1), a_net(2)
    build.publish(cast.viewer("aster"), kept, stix, groups=("ring",))
    one = run(pulls())
    _gone_and_listed_again(cast, run, one, stix)
    peer.answers["/objects/"] = outbound.Reply(200, None, b"{}", TAXII)
    for tries in range(1, checking.MOST_TRIES):
        peer.asked.clear()
        _check_again(one)
        one = run(one)
        assert len(_asked_for(peer)) == 1
        assert one.place["missed"][stix["id"]][0] == tries
        peer.asked.clear()
        _check_again(one)
        one = run(one)
        assert not _asked_for(peer), "it is not due yet"
        _later(one)
    _check_again(one)
    one = run(one)
    assert "missed" not in one.place, "often enough"


def test_what_is_given_when_it_is_asked_for_again_comes_in(cast, pulls, run, peer):
    stix = a_net(2)
    build.publish(cast.viewer("aster"), a_net(1), stix, groups=("ring",))
    one = run(pulls())
    _gone_and_listed_again(cast, run, one, stix)
    peer.answers["/objects/"] = outbound.Reply(200, None, b"{}", TAXII)
    _check_again(one)
    one = run(one)
    assert stix["id"] not in own(cast.viewer("cygnus"))
    del peer.answers["/objects/"]
    peer.answers["/objects/?limit"] = outbound.Reply(200, None, b"{}", TAXII)
    _later(one)
    _check_again(one)
    one = run(one)
    assert stix["id"] in own(cast.viewer("cygnus"))
    assert "missed" not in one.place


def test_what_is_not_listed_any_more_is_not_asked_for_again(cast, pulls, run, peer):
    stix = a_net(2)
    build.publish(cast.viewer("aster"), a_net(1), stix, groups=("ring",))
    one = run(pulls())
    _gone_and_listed_again(cast, run, one, stix)
    peer.answers["/objects/"] = outbound.Reply(200, None, b"{}", TAXII)
    _check_again(one)
    one = run(one)
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    _check_again(one)
    assert "missed" not in run(one).place


def test_ids_whose_objects_are_too_long_as_one_answer_come_by_halves(monkeypatch):
    asked = []

    def ask(self, path):
        ids = parse_qs(urlsplit(path).query)["match[id]"][0].split(",")
        asked.append(ids)
        if len(ids) > 1 or ids == ["long"]:
            raise remote.TooLong
        return taxii.Page(ids[0].encode(), 1, False, "", None)

    monkeypatch.setattr(taxii.Server, "_page", ask)
    assert taxii.Server("https://peer.example/", "").some(["a", "long", "b"]) == [b"a", b"b"]
    assert asked == [["a", "long", "b"], ["a"], ["long", "b"], ["long"], ["b"]]


def test_what_is_too_strict_is_not_asked_for_with_each_manifest(cast, pulls, run, peer):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    amber = newer(stix, object_marking_refs=a_net(tlp="amber")["object_marking_refs"])
    build.publish(cast.viewer("aster"), amber, groups=("ring",))
    one = run(one)
    peer.asked.clear()
    _check_again(one)
    run(one)
    assert not [url for _, url in peer.asked if "match" in url]


def test_a_pull_whose_next_is_forgotten_goes_on_from_the_last_object(cast, pulls, run, peer, monkeypatch):
    monkeypatch.setattr(running, "RUN_PAGES", 1)
    monkeypatch.setattr(taxii.Server.page, "__kwdefaults__", {"limit": 2})
    objects = [a_net(host) for host in range(1, 4)]
    build.publish(cast.viewer("aster"), *objects, groups=("ring",))
    one = run(pulls())
    assert one.place["next"]
    peer.answers["next="] = outbound.Reply(400, None, b"")
    monkeypatch.setattr(taxii.Server.page, "__kwdefaults__", {"limit": 500})
    one = run(one)
    assert not one.failures
    assert own(cast.viewer("cygnus")).keys() == {stix["id"] for stix in objects}


def test_a_check_whose_next_is_forgotten_begins_anew(cast, pulls, run, peer):
    build.publish(cast.viewer("aster"), a_net(), groups=("ring",))
    one = run(pulls())
    check = {"began": "2026-01-01T00:00:00Z", "next": "forgotten", "after": ""}
    Connection.unrestricted.filter(pk=one.pk).update(place=one.place | {"check": check})
    peer.answers["next="] = outbound.Reply(410, None, b"")
    one = run(one)
    assert "begins anew" in one.outcome
    one = run(one)
    assert (one.failures, "check" in one.place) == (0, False)


def test_what_was_too_strict_comes_in_when_the_connection_lets_more_through(cast, cygnus, pulls, run):
    stix = a_net(tlp="amber")
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    one = run(pulls())
    one = run(one)
    assert own(cast.viewer("cygnus")) == {}
    keeping.change(cygnus, one.pk, {"strictest": Tlp.AMBER})
    run(one)
    assert stix["id"] in own(cast.viewer("cygnus"))


def test_what_left_there_while_it_waited_for_a_second_person_is_taken_back_when_that_lets_it_in(cast, pulls, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, a_net(2), groups=("ring",))
    one = pulls()
    Partner.objects.filter(pk=cast.cygnus.pk).update(alone_objects=0)
    one = run(one)
    withdrawing.withdraw(cast.viewer("aster"), [stix["id"]])
    _check_again(one)
    one = run(one)
    second = auth.viewer_of_user(build.a_user(cast.cygnus))
    for held in awaiting.waiting(second):
        confirming.confirm(second, held.pk)
    assert stix["id"] in own(cast.viewer("cygnus"))
    _check_again(one)
    run(one)
    assert stix["id"] not in own(cast.viewer("cygnus"))
    assert len(own(cast.viewer("cygnus"))) == 1


def test_what_is_asked_for_by_id_is_held_up_to_a_bound(monkeypatch):
    def page(method, url, **_):
        asked.append(url)
        return outbound.Reply(200, None, b'{"objects":[], "padding": "' + b"x" * 400 + b'"}')

    asked: list[str] = []
    monkeypatch.setattr(taxii, "MOST_BYTES", 1_000)
    monkeypatch.setattr(remote, "ask", page)
    ids = [f"marking-definition--{one:08}-0000-4000-8000-000000000000" for one in range(taxii.IDS * 9)]
    held = taxii.Server("https://peer.example/", "").some(ids)
    assert len(held) == len(asked) == 3
    assert ids[0] in asked[0]
