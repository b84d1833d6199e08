"""What goes to another server is the partner's own, named, and not stricter than the connection says."""

import json
from types import SimpleNamespace

import pytest

from exchange import outbound
from exchange.errors import Forbidden
from indicators import reading
from indicators.connections import keeping, pushing, running, turns
from indicators.connections.keeping import Wish
from indicators.ending import withdrawing
from indicators.feeds.filters import accepted
from indicators.models import Connection, Passed
from indicators.publishing import readdressing
from indicators.publishing.reach import Reach
from indicators.reading.selecting import Selection
from indicators.telling import subscribing
from partners.keys import auth
from partners.tlp import Tlp
from tests import build
from tests.indicators.connections.test_pulling import a_net, newer

pytestmark = pytest.mark.django_db


@pytest.fixture
def pushes(cast, cygnus, peer):
    """Make a connection by which Cygnus pushes what is its own into the ring, as Borealis over there."""

    def make(**more):
        wish = {
            "name": "out",
            "kind": Connection.Kind.TAXII,
            "direction": Connection.Direction.PUSH,
            "url": peer.collection(cast.ring.collection_id),
            "credential": peer.authorization,
        } | more
        return keeping.connect(cygnus, Wish(**wish))

    return make


def there(cast):
    """What the other server holds of it, living, by id."""
    found = reading.page(cast.viewer("borealis"), Selection(own=True, living=True), limit=100).statements
    return {one.stix_id: one for one in found}


def test_ones_own_goes_out_byte_for_byte_and_once(cast, pushes, run, peer):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    assert json.loads(there(cast)[stix["id"]].body) == stix
    assert one.counts["sent"] == 1
    peer.asked.clear()
    one = run(one)
    assert one.outcome == "Nothing new."
    assert peer.asked == []


def test_nothing_of_others_goes_out(cast, pushes, run):
    build.publish(cast.viewer("aster"), a_net(tlp="clear"), everyone=True)
    run(pushes(strictest=Tlp.AMBER_STRICT))
    assert there(cast) == {}


@pytest.mark.parametrize(("tlp", "goes"), [("clear", True), ("green", True), ("amber", False), ("amber+strict", False)])
def test_what_is_stricter_than_the_connection_says_stays(cast, pushes, run, tlp, goes):
    stix = a_net(tlp=tlp)
    build.a_ring(cast.cygnus, slug="own")
    build.publish(cast.viewer("cygnus"), stix, groups=("own",))
    one = run(pushes())
    assert (stix["id"] in there(cast)) == goes
    assert goes or "1 over-marking" in one.outcome


def test_what_was_published_without_the_name_stays(cast, pushes, run):
    build.a_ring(cast.cygnus, slug="own")
    build.publish(cast.viewer("cygnus"), a_net(extension={"attribution": "pseudonym"}), groups=("own",))
    one = run(pushes())
    assert there(cast) == {}
    assert "1 unnamed" in one.outcome


def test_tokens_stay(cast, pushes, run):
    build.publish(cast.viewer("cygnus"), build.an_indicator(tlp_word="green"), everyone=True)
    one = run(pushes())
    assert there(cast) == {}
    assert "1 tokens" in one.outcome


def test_what_came_in_by_a_connection_never_goes_out_even_after_that_ended(cast, cygnus, pulls, pushes, run):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    came = run(pulls())
    keeping.end(cygnus, came.pk)
    one = run(pushes())
    assert there(cast) == {}
    assert "1 came-in" in one.outcome


def test_a_feed_chooses(cast, cygnus, pushes, run):
    wanted, other = a_net(1, confidence=90), a_net(2, confidence=10)
    build.publish(cast.viewer("cygnus"), wanted, other, everyone=True)
    feed = subscribing.save_feed(cygnus, name="sure", filter_json={"min_confidence": 50})
    run(pushes(feed_id=feed.pk))
    assert there(cast).keys() == {wanted["id"]}


def test_a_revision_and_a_revocation_follow(cast, pushes, run):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    revised = newer(stix, confidence=90)
    build.publish(cast.viewer("cygnus"), revised, everyone=True)
    one = run(one)
    assert there(cast)[stix["id"]].confidence == 90
    revoked = revised | {"revoked": True, "modified": revised["modified"].replace(".000Z", ".001Z")}
    build.publish(cast.viewer("cygnus"), revoked, everyone=True)
    one = run(one)
    assert there(cast) == {}
    held = reading.page(cast.viewer("borealis"), Selection(own=True), limit=10).statements
    assert json.loads(held[0].body) == revoked
    assert one.counts["taken-back"] == 1


def test_what_is_withdrawn_is_deleted_there(cast, pushes, run, peer):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"]])
    one = run(one)
    assert there(cast) == {}
    assert ("delete", f"{one.url}objects/{stix['id']}/") in peer.asked
    assert Passed.unrestricted.count() == 0


def test_what_cannot_be_deleted_there_is_said(cast, pushes, run, peer):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"]])
    peer.answers[stix["id"]] = outbound.Reply(405, None, b"")
    one = run(one)
    assert one.counts["not-taken-back"] == 1
    assert "1 could not be taken back there" in one.outcome


def test_what_becomes_too_strict_is_taken_back_there(cast, pushes, run):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    build.a_ring(cast.cygnus, slug="own")
    amber = newer(stix, object_marking_refs=a_net(tlp="amber")["object_marking_refs"])
    build.publish(cast.viewer("cygnus"), amber, groups=("own",))
    run(one)
    assert there(cast) == {}


def test_what_is_marked_anew_without_new_bytes_is_taken_back_there_or_sent(cast, pushes, run):
    """The publisher itself is told: it sees the object before and after, and nobody else need gain or lose sight."""
    green, amber = a_net(1, tlp="green"), a_net(2, tlp="green")
    build.a_ring(cast.cygnus, slug="own")
    viewer = cast.viewer("cygnus")
    build.publish(viewer, green, groups=("own",))
    build.publish(viewer, amber, groups=("own",), tlp=Tlp.AMBER)
    one = run(pushes())
    assert there(cast).keys() == {green["id"]}
    readdressing.readdress(viewer, green["id"], Reach(tlp=Tlp.AMBER))
    readdressing.readdress(viewer, amber["id"], Reach(tlp=Tlp.GREEN))
    one = run(one)
    assert there(cast).keys() == {amber["id"]}
    assert (one.counts["sent"], one.counts["taken-back"]) == (2, 1)


def test_what_goes_to_others_without_new_bytes_leaves_where_the_feed_lets_it_go(cast, pushes, run):
    stix = a_net()
    build.a_ring(cast.cygnus, slug="own")
    second = build.a_ring(cast.cygnus, slug="second")
    viewer = cast.viewer("cygnus")
    build.publish(viewer, stix, groups=("own", "second"))
    feed = subscribing.save_feed(viewer, name="own", filter_json=accepted(viewer, "group:own").to_json())
    one = run(pushes(feed_id=feed.pk))
    assert there(cast).keys() == {stix["id"]}
    readdressing.readdress(viewer, stix["id"], Reach(named=True, groups=(second.pk,)))
    run(one)
    assert there(cast) == {}


def test_another_limit_takes_back_what_no_longer_passes(cast, cygnus, pushes, run):
    clear, green = a_net(1, tlp="clear"), a_net(2, tlp="green")
    build.publish(cast.viewer("cygnus"), clear, green, everyone=True)
    one = run(pushes())
    assert there(cast).keys() == {clear["id"], green["id"]}
    keeping.change(cygnus, one.pk, {"strictest": Tlp.CLEAR})
    run(one)
    assert there(cast).keys() == {clear["id"]}


def test_another_filter_of_the_feed_takes_back_what_it_lets_go(cast, cygnus, pushes, run):
    sure, unsure = a_net(1, confidence=90), a_net(2, confidence=10)
    build.publish(cast.viewer("cygnus"), sure, unsure, everyone=True)
    feed = subscribing.save_feed(cygnus, name="all", filter_json={})
    one = run(pushes(feed_id=feed.pk))
    assert there(cast).keys() == {sure["id"], unsure["id"]}
    subscribing.change_feed(cygnus, feed.pk, filter_json={"min_confidence": 50})
    run(one)
    assert there(cast).keys() == {sure["id"]}


def test_what_the_other_server_refuses_is_counted_and_does_not_stop_the_rest(cast, pushes, run, peer):
    fine, broken = a_net(1), a_net(2)
    build.publish(cast.viewer("cygnus"), fine, broken, everyone=True)
    status = {"id": "1", "status": "complete", "total_count": 2, "failures": [{"id": broken["id"], "version": "x"}]}
    peer.answers["/objects/"] = outbound.Reply(202, None, json.dumps(status).encode())
    one = run(pushes())
    assert (one.counts["sent"], one.counts["refused"], one.failures) == (1, 1, 0)
    assert set(Passed.unrestricted.values_list("stix_id", flat=True)) == {fine["id"]}


def test_a_batch_that_is_too_large_is_halved(cast, pushes, run, peer, monkeypatch):
    objects = [a_net(host) for host in range(1, 6)]
    build.publish(cast.viewer("cygnus"), *objects, everyone=True)
    real = peer._answer

    def small(method, url, headers, max_bytes, body=None):
        if method == "post" and len(json.loads(body)["objects"]) > 2:
            return outbound.Reply(413, None, b"")
        return real(method, url, headers, max_bytes, body)

    monkeypatch.setattr(peer, "_answer", small)
    one = run(pushes())
    assert len(there(cast)) == 5
    assert one.counts["sent"] == 5


def test_who_has_no_right_to_connect(cast):
    wish = Wish("x", Connection.Kind.TAXII, Connection.Direction.PUSH, "https://peer.example/collections/1/")
    for viewer in (
        auth.viewer_of_user(build.a_user(cast.dorado)),
        auth.viewer_of_user(build.a_user(cast.cygnus, role="publisher")),
        cast.viewer("cygnus"),
    ):
        with pytest.raises(Forbidden):
            keeping.connect(viewer, wish)


class Time:
    """A monotonic clock that each request of the other server takes so many seconds of."""

    def __init__(self, peer, monkeypatch, seconds):
        self.now, self.seconds, real = 0.0, seconds, peer._answer
        for module in (running, turns):
            monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now))

        def slow(*args, **more):
            self.now += self.seconds
            return real(*args, **more)

        monkeypatch.setattr(peer, "_answer", slow)


def test_a_slow_server_holds_a_run_for_its_time_and_each_run_goes_on_where_the_last_ended(
    cast, pushes, run, peer, monkeypatch
):
    objects = [a_net(host) for host in range(1, 9)]
    build.publish(cast.viewer("cygnus"), *objects, everyone=True)
    one = run(pushes())
    withdrawing.withdraw(cast.viewer("cygnus"), [stix["id"] for stix in objects])
    Time(peer, monkeypatch, 20.0)
    left = []
    while there(cast) and len(left) < 8:
        peer.asked.clear()
        one = run(one)
        assert len(peer.asked) <= 3  # begun at 0, 20 and 40 seconds of 45
        assert not one.failures
        assert one.claimed_until is None
        left.append(len(there(cast)))
    assert left == [5, 2, 0]


def test_a_server_that_refuses_batches_slowly_is_sent_smaller_ones(cast, pushes, run, peer, monkeypatch):
    objects = [a_net(host) for host in range(1, 9)]
    build.publish(cast.viewer("cygnus"), *objects, everyone=True)
    real = peer._answer

    def small(method, url, headers, max_bytes, body=None):
        if method == "post" and len(json.loads(body)["objects"]) > 1:
            peer.asked.append((method, url))
            return outbound.Reply(413, None, b"")
        return real(method, url, headers, max_bytes, body)

    monkeypatch.setattr(peer, "_answer", small)
    Time(peer, monkeypatch, 10.0)
    one = pushes()
    for _ in range(20):
        peer.asked.clear()
        one = run(one)
        assert len(peer.asked) <= 5
        assert not one.failures
    assert there(cast).keys() == {stix["id"] for stix in objects}


def test_a_server_too_slow_for_one_object_is_said_and_asked_again_ever_later(cast, pushes, run, peer, monkeypatch):
    stix = a_net()
    build.publish(cast.viewer("cygnus"), stix, everyone=True)
    one = run(pushes())
    revised = newer(stix, revoked=True)
    build.publish(cast.viewer("cygnus"), revised, everyone=True)
    peer.answers["/objects/"] = outbound.Reply(422, None, b"")
    Time(peer, monkeypatch, 50.0)
    Connection.unrestricted.filter(pk=one.pk).update(place=one.place | {"limit": 1})
    one = run(one)
    assert "so slowly" in one.outcome
    assert one.failures == 1


def test_what_is_left_after_a_narrowing_is_taken_back_over_several_runs_and_what_stays_is_asked_for_once(
    cast, cygnus, pushes, run, peer, monkeypatch
):
    objects = [a_net(host, tlp="green") for host in range(1, 6)]
    build.publish(cast.viewer("cygnus"), *objects, everyone=True)
    one = run(pushes())
    keeping.change(cygnus, one.pk, {"strictest": Tlp.CLEAR})
    monkeypatch.setattr(pushing, "PAGE", 2)
    monkeypatch.setattr(running, "RUN_PAGES", 1)
    peer.answers[objects[0]["id"]] = outbound.Reply(405, None, b"")
    for _ in range(8):
        one = run(one)
    assert there(cast).keys() == {objects[0]["id"]}
    assert "began" not in one.place
    assert set(Passed.unrestricted.values_list("stix_id", flat=True)) == {objects[0]["id"]}
    peer.asked.clear()
    run(one)
    assert peer.asked == []


def test_a_refused_revocation_is_deleted_there_or_counted_as_what_it_is(cast, pushes, run, peer, monkeypatch):
    deleted, stays = a_net(1), a_net(2)
    build.publish(cast.viewer("cygnus"), deleted, stays, everyone=True)
    one = run(pushes())
    build.publish(cast.viewer("cygnus"), newer(deleted, revoked=True), newer(stays, revoked=True), everyone=True)
    real = peer._answer

    def refuses(method, url, headers, max_bytes, body=None):
        if method == "post":
            return outbound.Reply(422, None, b"")
        return real(method, url, headers, max_bytes, body)

    monkeypatch.setattr(peer, "_answer", refuses)
    peer.answers[stays["id"]] = outbound.Reply(405, None, b"")
    one = run(one)
    assert there(cast).keys() == {stays["id"]}
    assert (one.counts["taken-back"], one.counts["not-taken-back"]) == (1, 1)
    assert set(Passed.unrestricted.values_list("stix_id", flat=True)) == {stays["id"]}


def test_a_change_stops_a_run_at_its_next_request_and_the_next_run_waits_for_its_end(
    cast, cygnus, pushes, run, peer, monkeypatch
):
    objects = [a_net(host) for host in range(1, 4)]
    build.publish(cast.viewer("cygnus"), *objects, everyone=True)
    one = pushes()
    real, met = peer._answer, []

    def changed(method, url, headers, max_bytes, body=None):
        if method == "post" and not met:
            keeping.change(cygnus, one.pk, {"strictest": Tlp.CLEAR})
            met.append(running.claim())
            real(method, url, headers, max_bytes, body)
            return outbound.Reply(413, None, b"")  # halved: there would be more requests
        return real(method, url, headers, max_bytes, body)

    monkeypatch.setattr(peer, "_answer", changed)
    one = run(one)
    assert met == [None]
    assert [method for method, _ in peer.asked] == ["post"]
    assert one.claimed_until is None
    assert len(there(cast)) == 3
    one = run(one)
    assert there(cast) == {}
    assert one.counts["taken-back"] == 3
