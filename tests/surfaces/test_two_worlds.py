"""Two worlds that differ only in what the caller may not see give the same answer, byte for byte.

Each case is asked twice, in two transactions that are taken back: once as it is, once after something hidden happened.
"""

from __future__ import annotations

import base64
import re
import uuid
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest import mock

import orjson
import pytest
import time_machine
from django.db import transaction
from django.test import Client

from exchange import clock
from exchange.tokens import epochs, ristretto
from indicators import publishing
from indicators.publishing.reach import Reach
from indicators.reading import overview
from indicators.stix import making, parsing
from partners import keys
from partners.attribution import Attribution
from partners.groups import membership, proposing
from partners.groups.registering import register_partner
from partners.identity import inviting
from partners.log import reads
from partners.models import Group, Partner
from partners.scopes import KEY_SCOPES, Role
from tests import build, keyservice
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db

#: Drawn anew each time, in both worlds alike.
_RANDOM = re.compile(rb'"(?:id|received|request_id|at|collection_id)":\s*"[0-9a-f-]{36}"|"20[0-9-]{8}T[0-9:.]+Z"')


@pytest.fixture
def cast():
    return build.the_cast()


@contextmanager
def taken_back():
    with transaction.atomic():
        yield
        transaction.set_rollback(True)


def both(ask, hidden) -> tuple[bytes, bytes]:
    """What is answered in the one world and in the other; the clock stands still, also that of Django and of cookies."""
    answers = []
    moment = datetime.now(UTC)
    for happens in (False, True):
        with (
            taken_back(),
            time_machine.travel(moment, tick=False),
            mock.patch.object(clock, "now", return_value=moment),
        ):
            if happens:
                hidden()
            answers.append(_RANDOM.sub(b"", ask()))
    return answers[0], answers[1]


def said(answer) -> bytes:
    body = b"".join(answer.streaming_content) if answer.streaming else answer.content
    headers = {name: text for name, text in answer.headers.items() if name not in ("X-Request-ID", "Date")}
    return orjson.dumps([answer.status_code, headers]) + body


def a_domain(name: str) -> dict:
    return {
        "type": "domain-name",
        "spec_version": "2.1",
        "id": f"domain-name--{uuid.uuid5(uuid.UUID('00abedb4-aa42-466c-9c01-fed23315a9b7'), name)}",
        "value": name,
    }


def an_identity(name: str) -> dict:
    return {
        "type": "identity",
        "spec_version": "2.1",
        "id": f"identity--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "name": name,
        "identity_class": "organization",
    }


def a_link(source: str, target: str) -> dict:
    return {
        "type": "relationship",
        "spec_version": "2.1",
        "id": f"relationship--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "relationship_type": "related-to",
        "source_ref": source,
        "target_ref": target,
    }


def unnamed(viewer, *objects, group) -> publishing.Answer:
    reach = Reach(named=True, groups=(group,), attribution=Attribution.PSEUDONYM)
    elements = parsing.read_batch(orjson.dumps({"objects": objects}))
    return publishing.publish(elements, by=viewer, reach=reach, request=publishing.Request(uuid.uuid4().bytes * 2))


def test_a_reference_between_two_sources_does_not_tell_whether_anybody_holds_the_id(cast):
    guessed = a_domain("guessed.example")
    build.publish(cast.viewer("aster"), guessed, groups=("ring",))
    link, said_by_pseudonym = a_link(guessed["id"], guessed["id"]), making.account_pattern()

    def probe() -> bytes:
        return unnamed(cast.viewer("aster"), said_by_pseudonym, link, group=cast.ring.pk).results

    def hidden():
        build.publish(cast.viewer("cygnus"), guessed, tlp=build.Tlp.RED)

    one, other = both(probe, hidden)
    assert one == other
    assert b"joins-sources" in one


def test_a_reference_to_what_others_are_seen_to_hold_joins_nothing(cast):
    common = a_domain("common.example")
    build.publish(cast.viewer("aster"), common, groups=("ring",))
    build.publish(cast.viewer("borealis"), common, groups=("ring",))
    answer = unnamed(cast.viewer("aster"), a_link(common["id"], common["id"]), group=cast.ring.pk)
    assert b"accepted" in answer.results


@pytest.mark.parametrize("path", ["objects?publisher=newcomer", "bundle?publisher=newcomer", "partners"])
def test_who_is_only_invited_is_not_there(cast, path):
    caller = Caller(cast.keys["aster"])
    one, other = both(lambda: said(caller.get(path)), a_newcomer)
    assert one == other


def test_the_name_of_who_is_only_invited_is_nobodys_to_find_out(cast):
    caller, identity = Caller(cast.keys["aster"]), an_identity("Newcomer")
    one, other = both(lambda: said(caller.push(identity, query="?groups=ring")), a_newcomer)
    assert one == other
    assert b'"accepted":1' in one


def test_a_report_of_loss_does_not_tell_who_is_invited(cast):
    identity_id = f"identity--{uuid.uuid4()}"
    caller, stix = Caller(cast.keys["aster"]), a_link(identity_id, identity_id)

    def hidden():
        Partner.objects.filter(pk=a_newcomer().pk).update(identity_id=identity_id)

    one, other = both(lambda: said(caller.push(stix, query="?groups=ring&report=loss")), hidden)
    assert one == other


def test_the_creator_of_an_object_does_not_tell_who_is_invited(cast):
    identity_id = f"identity--{uuid.uuid4()}"
    caller = Caller(cast.keys["aster"])
    stix, told = build.an_indicator(created_by_ref=identity_id), an_identity("Somebody") | {"id": identity_id}

    def hidden():
        Partner.objects.filter(pk=a_newcomer().pk).update(identity_id=identity_id)

    one, other = both(lambda: said(caller.push(stix, told, query="?groups=ring")), hidden)
    assert one == other
    assert b'"accepted":2' in one


def test_the_arrivals_of_the_day_do_not_tell_to_whom_else_an_object_was_shown(cast):
    build.a_ring(cast.aster, cast.cygnus, slug="second")
    stix = build.an_indicator()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))

    def ask() -> bytes:
        counted = overview.arrivals(cast.viewer("borealis")).hours
        return orjson.dumps([kinds for kinds in counted.values() if kinds])

    def hidden():
        wider = {"groups": ["ring", "second"]}
        answer = Caller(cast.keys["aster"]).send("PUT", f"objects/{stix['id']}/audience", wider)
        assert answer.status_code == 204

    one, other = both(ask, hidden)
    assert one == other == b'[{"account-pattern":1}]'


def test_the_length_of_a_sealed_range_does_not_tell_how_long_the_log_is(cast):
    viewer = cast.viewer("aster")

    def told(last: int) -> int:
        with taken_back():
            reads.tally(viewer, surface="rest:changes", objects=1, places=(1, last))
            with mock.patch.object(clock, "now", return_value=datetime.now(UTC) + timedelta(hours=2)):
                reads.close()
            (opened,) = reads.opened(cast.aster)
            assert (opened.first, opened.last) == (1, last)
            return len(opened.record.details["seq"])

    assert told(9) == told(10**12)


def a_newcomer() -> Partner:
    return register_partner(name="Newcomer", slug="newcomer", kind="lab", state=Partner.State.INVITED)


def narrow(cast) -> Caller:
    return Caller(keys.issue(cast.borealis, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1])


@pytest.mark.parametrize("path", ["waiting", "quarantine", "log/records", "log/export"])
def test_a_key_for_one_group_is_told_nothing_of_what_went_to_another(cast, path):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    caller = narrow(cast)
    cards = making.account_pattern(labels=["TLP:RED"])

    def hidden():
        Partner.objects.filter(pk=cast.borealis.pk).update(alone_objects=1)
        viewer = build.viewer_of(cast.borealis)
        build.publish(viewer, cards, groups=("second",))
        build.publish(viewer, build.an_indicator(), build.an_indicator(), groups=("second",))

    one, other = both(lambda: said(caller.get(path)), hidden)
    assert one == other


def test_a_key_for_one_group_does_not_read_the_answers_of_another(cast):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    wide, few = Caller(cast.keys["borealis"]), narrow(cast)
    answers = {
        group: orjson.loads(wide.push(build.an_indicator(), query=f"?groups={group}").content)["id"]
        for group in ("ring", "second")
    }
    for path in ("batches/{}", "/taxii2/exchange/status/{}/"):
        assert few.get(path.format(answers["second"])).status_code == 404
        assert few.get(path.format(answers["ring"])).status_code == 200
        assert wide.get(path.format(answers["second"])).status_code == 200


def test_the_idempotency_keys_of_a_key_for_one_group_are_its_own(cast):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    few, stix = narrow(cast), build.an_indicator()
    wide = Caller(build.a_key(cast.borealis))

    def ask() -> bytes:
        return said(few.push(stix, query="?groups=ring", Idempotency_Key="nightly"))

    def hidden():
        assert wide.push(build.an_indicator(), query="?groups=second", Idempotency_Key="nightly").status_code == 200

    one, other = both(ask, hidden)
    assert one == other
    first, again = few.push(stix, Idempotency_Key="again"), few.push(stix, Idempotency_Key="again")
    assert again.headers["Idempotency-Replayed"] == "true"
    assert first.content == again.content


def test_whom_an_audience_reaches_is_told_to_who_may_list_partners(cast):
    from partners.scopes import Scope

    publishes = Caller(build.a_key(cast.aster, Scope.PUBLISH))
    reads = Caller(build.a_key(cast.aster, Scope.PUBLISH, Scope.READ))
    assert publishes.get("partners").status_code == 403
    refused = publishes.send("POST", "audience", {"groups": ["ring"]})
    assert refused.status_code == 403
    assert b"Borealis" not in refused.content
    assert b"Borealis" in reads.send("POST", "audience", {"groups": ["ring"]}).content


def test_names_that_others_have_are_free_to_oneself(cast):
    """Groups, feeds, keys and invited addresses of others are in nobody's way."""
    caller = Caller(build.a_key(cast.aster, *KEY_SCOPES))
    admin = build.auth.viewer_of_user(build.a_user(cast.cygnus))
    basis = proposing.Basis("An agreement.", "", build.date(2026, 1, 1), None)

    def hidden():
        membership.create(admin, name="Watch", purpose="To share.", basis=basis)
        Caller(build.a_key(cast.cygnus, *KEY_SCOPES)).send("POST", "feeds", {"name": "Watch", "filter": {}})
        inviting.invite(admin, email="known@example.org", role=Role.ANALYST)

    def ask() -> bytes:
        feed = caller.send("POST", "feeds", {"name": "Watch", "filter": {}})
        person = caller.send("POST", "invitations", {"email": "known@example.org", "role": "analyst"})
        made = {name: text for name, text in orjson.loads(person.content).items() if name not in ("id", "link")}
        group = caller.send(
            "POST",
            "groups",
            {"name": "Watch", "purpose": "p", "legal_basis": "An agreement.", "basis_from": "2026-01-01"},
        )
        slug = orjson.loads(group.content)["slug"]
        assert re.fullmatch(r"watch-[a-z2-7]{8}", slug)
        return said(feed) + orjson.dumps([person.status_code, made, group.status_code])

    one, other = both(ask, hidden)
    assert one == other


@pytest.mark.parametrize("path", ["tokens/keys", "groups/ring/keys", "tokens/evaluate"])
def test_tokens_and_group_keys_of_others_move_nothing(cast, path, monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings, quota=16 * 5)
    caller, others = Caller(build.a_key(cast.aster, *KEY_SCOPES)), Caller(build.a_key(cast.cygnus, *KEY_SCOPES))
    build.a_ring(cast.cygnus, cast.borealis, slug="second")
    quarter = epochs.quarter_of(clock.now())
    points = [base64.b64encode(ristretto.random_point()).decode() for _ in range(16)]
    wish = {"subkind": "email", "epoch": quarter, "points": points}

    def ask() -> bytes:
        if path != "tokens/evaluate":
            return said(caller.get(path))
        answer = caller.send("POST", path, wish)
        return orjson.dumps([answer.status_code, orjson.loads(answer.content)["points"]])  # the proof is drawn

    def hidden():
        for _ in range(5):
            assert others.send("POST", "tokens/evaluate", wish).status_code == 200
        assert others.get("groups/second/keys").status_code == 200
        membership.leave(build.auth.viewer_of_user(build.a_user(cast.borealis)), Group.objects.get(slug="second"))

    ask()  # keys are made when they are first asked for
    one, other = both(ask, hidden)
    store.close()
    assert one == other
    assert one.startswith(b"[200")


def test_a_stranger_learns_from_no_address_who_is_a_partner(cast):
    one, other = both(lambda: said(Client().get("/account/login/")).split(b"csrfmiddlewaretoken")[0], a_newcomer)
    assert one.split(b"nonce")[0] == other.split(b"nonce")[0]
