"""The log of another exchange only grows, or nothing passes the connection to it."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.core.management import CommandError, call_command
from nacl.signing import SigningKey

from exchange import clock, outbound
from exchange.client import audit as offline
from exchange.client import merkle, statements
from exchange.errors import Refused
from indicators.connections import heads, keeping
from indicators.connections.heads import Alarm
from indicators.models import Connection, PeerHead
from indicators.telling import inbox
from partners.log import logkeys, reads, transparency
from partners.models import AuditRecord
from tests import build
from tests.indicators.connections.test_pulling import a_net, own

KEY, OTHER = SigningKey(b"k" * 32), SigningKey(b"o" * 32)
NOON = datetime(2026, 11, 29, 12, tzinfo=UTC)


# --- The judgement, pure


def leaves(count: int, *, but: int = -1) -> list[bytes]:
    return [merkle.leaf_hash(f"{'other' if one == but else one}".encode()) for one in range(count)]


def tree(hashes: list[bytes]) -> bytes:
    """RFC 9162 §2.1.1, as it is written."""
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << ((len(hashes) - 1).bit_length() - 1)
    return merkle.node_hash(tree(hashes[:half]), tree(hashes[half:]))


def proof(first: int, hashes: list[bytes], *, whole: bool = True) -> list[bytes]:
    """RFC 9162 §2.1.4.1."""
    if first == len(hashes):
        return [] if whole else [tree(hashes)]
    half = 1 << ((len(hashes) - 1).bit_length() - 1)
    if first <= half:
        return [*proof(first, hashes[:half], whole=whole), tree(hashes[half:])]
    return [*proof(first - half, hashes[half:], whole=False), tree(hashes[:half])]


def head(hashes: list[bytes], *, minute: int = 0, first: int | None = None, by: SigningKey = KEY) -> offline.Head:
    at = clock.rfc3339(NOON + timedelta(minutes=minute))
    text = statements.head_text(size=len(hashes), root=tree(hashes).hex(), at=at)
    public = bytes(by.verify_key)
    return offline.Head(
        size=len(hashes),
        root=tree(hashes),
        at=at,
        key=statements.key_id(public),
        signature=base64.b64encode(by.sign(text).signature).decode(),
        keys={statements.key_id(public): public},
        first=first,
        proof=() if first is None else tuple(proof(first, hashes)),
    )


def kept(hashes: list[bytes], *, minute: int = 0) -> PeerHead:
    return PeerHead(size=len(hashes), root=tree(hashes), at=NOON + timedelta(minutes=minute))


def judged(found: offline.Head, before: PeerHead | None) -> Alarm | None:
    return heads.judged(found, before, key=bytes(KEY.verify_key))


@pytest.mark.parametrize(("first", "second"), [(a, b) for b in range(1, 14) for a in range(1, b + 1)])
def test_a_log_that_grew_is_right_and_one_that_was_written_anew_is_not(first, second):
    before = kept(leaves(first))
    assert judged(head(leaves(second), minute=1, first=first), before) is None
    for place in range(first):
        assert judged(head(leaves(second, but=place), minute=1, first=first), before) is Alarm.FORKED


def test_a_head_without_a_proof_from_the_one_that_is_kept_is_a_fork():
    assert judged(head(leaves(9), minute=1), kept(leaves(4))) is Alarm.FORKED
    assert judged(head(leaves(9), minute=1, first=3), kept(leaves(4))) is Alarm.FORKED


def test_a_smaller_head_went_back_if_it_was_signed_later_and_is_old_news_if_before():
    assert judged(head(leaves(4), minute=1), kept(leaves(9))) is Alarm.WENT_BACK
    assert judged(head(leaves(4), minute=-1), kept(leaves(9))) is None


def test_what_is_not_signed_by_the_key_that_was_given_is_believed_nothing_of():
    right = head(leaves(4))
    assert judged(right, None) is None
    wrong = (
        head(leaves(4), by=OTHER),
        replace(head(leaves(4), by=OTHER), key=right.key),
        replace(right, size=5),
        replace(right, root=tree(leaves(5))),
        replace(right, at=clock.rfc3339(NOON + timedelta(hours=1))),
        replace(right, signature="!"),
        replace(right, signature=""),
    )
    assert {judged(one, None) for one in wrong} == {Alarm.ANOTHER_KEY}


# --- A connection that looks


pytestmark = pytest.mark.django_db


@pytest.fixture
def theirs():
    """The key of the other exchange's log: this one's own."""
    return base64.b64encode(logkeys.public_key()).decode()


def grow(cast, records: int = 1) -> None:
    for _ in range(records):
        build.publish(cast.viewer("aster"), build.an_indicator(), everyone=True)
    transparency.seal(every=timedelta(0))


def looked(run, one: Connection) -> Connection:
    Connection.unrestricted.filter(pk=one.pk).update(log_seen_at=None)
    return run(one)


def sizes(one: Connection) -> list[int]:
    return list(PeerHead.unrestricted.filter(connection=one).order_by("size").values_list("size", flat=True))


def test_each_head_is_kept_with_its_proof_before_anything_passes(cast, pulls, run, peer, theirs):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    grow(cast)
    one = run(pulls(log_key=theirs))
    assert (one.log_alarm, one.failures) == ("", 0)
    assert stix["id"] in own(cast.viewer("cygnus"))
    (first,) = sizes(one)
    assert peer.asked[0][1] == "https://peer.example/api/v1/log/head"
    grow(cast, 3)
    one = looked(run, one)
    assert sizes(one)[0] == first
    newest = heads.newest(one)
    assert newest.size > first
    root = bytes(PeerHead.unrestricted.get(connection=one, size=first).root)
    steps = [bytes.fromhex(step) for step in newest.proof]
    assert merkle.extends(first, newest.size, proof=steps, first_root=root, second_root=bytes(newest.root))


def test_it_is_looked_at_every_few_minutes_and_at_once_where_a_person_runs_it(cast, cygnus, pulls, run, peer, theirs):
    grow(cast)
    one = run(pulls(log_key=theirs))

    def asked():
        count = sum("log/head" in url for _, url in peer.asked)
        peer.asked.clear()
        return count

    assert asked() == 1
    one = run(one)
    assert asked() == 0
    keeping.run_now(cygnus, one.pk)
    run(one)
    assert asked() == 1


def said(document, status=200):
    return outbound.Reply(status, None, json.dumps(document).encode())


def as_document(found: offline.Head) -> dict:
    return {
        "head": {
            "size": found.size,
            "root": found.root.hex(),
            "at": found.at,
            "key": found.key,
            "signature": found.signature,
        },
        "keys": [{"id": name, "public_key": base64.b64encode(key).decode()} for name, key in found.keys.items()],
        "consistency": None
        if found.first is None
        else {"first": found.first, "second": found.size, "proof": [step.hex() for step in found.proof]},
    }


@pytest.fixture
def watched(pulls, run, peer):
    """A connection to an exchange whose log has nine records."""
    peer.answers["log/head"] = said(as_document(head(leaves(9))))
    one = run(pulls(log_key=base64.b64encode(bytes(KEY.verify_key)).decode()))
    assert sizes(one) == [9]
    return one


ALARMS = {
    "went-back": head(leaves(4), minute=1),
    "forked": head(leaves(12, but=3), minute=1, first=9),
    "another-key": head(leaves(12), minute=1, first=9, by=OTHER),
}


@pytest.mark.parametrize("alarm", sorted(ALARMS))
def test_an_alarm_stops_the_connection_and_is_told_everywhere(cast, cygnus, watched, run, peer, alarm):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    peer.answers["log/head"] = said(as_document(ALARMS[alarm]))
    one = looked(run, watched)
    assert (one.log_alarm, sizes(one)) == (alarm, [9])
    assert stix["id"] not in own(cast.viewer("cygnus")), "nothing passes"
    assert one.failing_since is not None, "at once: a person has to look"
    record = AuditRecord.objects.get(verb="connection.alarmed")
    assert (record.partner, record.details["alarm"], record.details["kept"]["size"]) == (cast.cygnus, alarm, 9)
    assert [item for item in inbox.inbox(cygnus, since=NOON - timedelta(days=9_999)) if item.kind == "connection"]
    page = io.StringIO()
    with pytest.raises(CommandError):
        call_command("doctor", stdout=page)
    assert "WRONG logs of other exchanges" in page.getvalue()
    peer.asked.clear()
    one = run(one)
    assert peer.asked == [], "until somebody has looked"
    assert AuditRecord.objects.filter(verb="connection.alarmed").count() == 1


@pytest.mark.parametrize(("alarm", "left"), [("went-back", []), ("forked", []), ("another-key", [9])])
def test_whoever_gives_the_key_anew_goes_on(cygnus, watched, run, peer, alarm, left):
    peer.answers["log/head"] = said(as_document(ALARMS[alarm]))
    one = looked(run, watched)
    new = base64.b64encode(bytes((OTHER if alarm == "another-key" else KEY).verify_key)).decode()
    one = keeping.change(cygnus, one.pk, {"log_key": new})
    assert (one.log_alarm, sizes(one)) == ("", left)
    one = run(one)
    assert (one.log_alarm, one.failures) == ("", 0)
    assert sizes(one) == [*left, ALARMS[alarm].size]


@pytest.mark.parametrize(
    "answer",
    [
        outbound.Reply(500, None, b""),
        outbound.Reply(200, None, b"not json"),
        said([]),
        said({"head": None}),
        said({"head": {"size": "many"}, "keys": []}),
        said({}, 404),
        said(as_document(replace(head(leaves(9)), size=2**63))),
        said(as_document(replace(head(leaves(9)), at="soon"))),
        said(as_document(replace(head(leaves(9)), at="0001-01-01T00:00:00+14:00"))),
        said(as_document(replace(head(leaves(9)), at="9999-12-31T23:59:59Z"))),
        said(as_document(replace(head(leaves(9)), at="9999-12-31T23:59:59-14:00"))),
        said(as_document(replace(head(leaves(9)), at="2026-11-29T12:00:00"))),
        said(as_document(head(leaves(9))) | {"keys": [{"id": "wrong", "public_key": "AAAA"}]}),
    ],
)
def test_what_cannot_be_read_is_no_alarm_and_lets_nothing_pass(cast, watched, run, peer, answer):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    peer.answers["log/head"] = answer
    one = looked(run, watched)
    assert (one.log_alarm, one.failures) == ("", 1)
    assert stix["id"] not in own(cast.viewer("cygnus"))
    assert not AuditRecord.objects.filter(verb="connection.alarmed").exists()


def published(cast):
    stix = a_net()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    return stix["id"]


def nothing_came_yet(one):
    Connection.unrestricted.filter(pk=one.pk).update(log_owed_at=None)


def test_an_older_head_than_the_one_that_is_kept_lets_nothing_pass_until_it_is_gone(cast, watched, run, peer):
    came = published(cast)
    peer.answers = {"?first=9": said({}, 404), "log/head": said(as_document(head(leaves(4), minute=-1)))}
    one = looked(run, watched)
    assert (one.log_alarm, one.failures, sizes(one)) == ("", 1, [9]), "no alarm: a copy may lag"
    assert "older head" in one.outcome
    assert one.log_seen_at is None, "looked at anew by the next run"
    assert came not in own(cast.viewer("cygnus"))
    peer.answers = {"log/head": said(as_document(head(leaves(9))))}
    one = run(one)
    assert one.failures == 0
    assert came in own(cast.viewer("cygnus"))


def test_a_log_that_stands_still_while_objects_come_is_trouble_and_is_told(cast, cygnus, watched, run, peer, passes):
    nothing_came_yet(watched)
    first = published(cast)
    one = looked(run, watched)
    assert first in own(cast.viewer("cygnus"))
    passes(heads.MOST_OWED)
    second = published(cast)
    one = looked(run, one)
    assert one.failures == 0
    assert second in own(cast.viewer("cygnus")), "until then: it is written down within two hours and a quarter"
    passes(timedelta(seconds=1))
    third = published(cast)
    for failures in (1, 2, 3):
        one = looked(run, one)
        assert (one.log_alarm, one.failures) == ("", failures)
    assert "stands still" in one.outcome
    assert third not in own(cast.viewer("cygnus"))
    assert [item for item in inbox.inbox(cygnus, since=NOON - timedelta(days=9_999)) if item.kind == "connection"]

    peer.answers["log/head"] = said(as_document(head(leaves(9), minute=9_999)))
    assert looked(run, one).failures == 4, "signed anew, it is the same log"
    peer.answers["log/head"] = said(as_document(head(leaves(10), minute=1, first=9)))
    one = looked(run, one)
    assert one.failures == 0
    assert third in own(cast.viewer("cygnus"))


def test_a_quiet_log_of_which_nothing_comes_is_no_trouble(watched, run, passes):
    nothing_came_yet(watched)
    passes(timedelta(hours=7))
    one = looked(run, watched)
    assert one.failures == 0, one.outcome


def test_whoever_gives_the_key_anew_waits_anew_for_a_log_that_stands_still(cast, cygnus, watched, run, passes):
    published(cast)
    one = looked(run, watched)
    passes(timedelta(hours=7))
    assert looked(run, one).failures == 1
    keeping.change(cygnus, one.pk, {"log_key": base64.b64encode(bytes(KEY.verify_key)).decode()})
    one = run(one)
    assert one.failures == 0, one.outcome


def test_an_exchange_writes_down_what_it_hands_out_in_time(cast, pulls, run, theirs, passes):
    """With nothing else to be written: the peer of these tests is an exchange."""
    published(cast)
    grow(cast)
    one = run(pulls(log_key=theirs))
    assert one.log_owed_at is not None
    before = heads.newest(one).size
    passes(timedelta(hours=2, minutes=15))
    reads.write_gathered()
    reads.close()
    transparency.seal()
    one = looked(run, one)
    assert heads.newest(one).size > before


def test_a_head_that_the_other_exchange_does_not_know_any_more_is_a_log_that_lost_it(watched, run, peer):
    peer.answers = {"?first=9": said({}, 404), "log/head": said(as_document(head(leaves(12), minute=1)))}
    one = looked(run, watched)
    assert one.log_alarm == "forked"


def test_a_copy_that_lags_and_then_one_that_does_not_are_no_fork(watched, run, peer):
    new = head(leaves(12), minute=1)
    steps = [step.hex() for step in proof(9, leaves(12))]
    peer.answers = {
        "head?first=9": said({}, 404),
        "log/head": said(as_document(new)),
        "log/consistency?first=9&second=12": said({"first": 9, "second": 12, "proof": steps}),
    }
    one = looked(run, watched)
    assert (one.log_alarm, sizes(one)) == ("", [9, 12])


@pytest.mark.parametrize("given", ["from the start", "anew"])
def test_a_log_that_shows_no_head_is_not_checked(cygnus, watched, pulls, run, peer, given):
    key = base64.b64encode(bytes(KEY.verify_key)).decode()
    if given == "anew":
        keeping.change(cygnus, watched.pk, {"log_key": ""})
        one = keeping.change(cygnus, watched.pk, {"log_key": key})
    else:
        one = pulls(name="another", log_key=key)
    peer.answers["log/head"] = said({}, 404)
    one = run(one)
    assert (one.log_alarm, one.log_seen_at, one.failures) == ("", None, 1)
    assert "no head" in one.outcome
    assert one.pk not in heads.checked(keeping.listed(cygnus))
    peer.answers["log/head"] = said(as_document(head(leaves(9))))
    one = run(one)
    assert (one.failures, sizes(one)) == (0, [9])
    assert one.pk in heads.checked(keeping.listed(cygnus))


def test_without_a_key_nobody_looks(pulls, run, peer):
    run(pulls())
    assert not [url for _, url in peer.asked if "log/head" in url]


@pytest.mark.parametrize("key", ["x", "QUJD", "!" * 44, "é", base64.b64encode(b"k" * 33).decode()])
def test_what_is_no_key_is_refused(pulls, key):
    with pytest.raises(Refused) as refused:
        pulls(log_key=key)
    assert refused.value.code == "bad-log-key"


def test_only_another_exchange_has_such_a_log(cygnus, theirs):
    wish = keeping.Wish("m", Connection.Kind.MISP, Connection.Direction.PULL, "https://misp.example/", log_key=theirs)
    with pytest.raises(Refused) as refused:
        keeping.connect(cygnus, wish)
    assert refused.value.code == "not-of-this-direction"


def test_a_key_that_is_taken_away_ends_the_looking_and_forgets_the_heads(cygnus, watched, run, peer):
    one = keeping.change(cygnus, watched.pk, {"log_key": ""})
    assert (one.log_key, sizes(one)) == ("", [])
    peer.asked.clear()
    run(one)
    assert not [url for _, url in peer.asked if "log/head" in url]


def test_so_many_heads_are_kept_the_newest_ones(watched, monkeypatch, run, peer):
    monkeypatch.setattr(heads, "_KEPT", 2)
    one = watched
    for size in (10, 11, 12):
        peer.answers["log/head"] = said(as_document(head(leaves(size), minute=size, first=size - 1)))
        one = looked(run, one)
    assert sizes(one) == [11, 12]
