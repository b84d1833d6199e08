"""Tokens over REST: public keys in the log, evaluation for whoever may, the keys of groups."""

import base64
import json
from datetime import UTC, date, datetime, timedelta

import pytest
from django.db import DatabaseError, transaction

from exchange import clock
from exchange.client import merkle, statements
from exchange.tokens import epochs, oprf, ristretto
from indicators.models import Carries
from indicators.stix import making
from partners.groups import membership, proposing
from partners.keys import auth
from partners.log import audit
from partners.models import AuditRecord, Group, GroupKey, TokenKey
from partners.scopes import Scope
from tests import build, keyservice
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def cast(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    set_clock(monkeypatch, NOW)
    yield build.the_cast()
    store.close()


def set_clock(monkeypatch, moment):
    monkeypatch.setattr(clock, "now", lambda: moment)


def caller(partner, *scopes):
    return Caller(build.a_key(partner, *(scopes or (Scope.TOKENISE, Scope.GROUP_KEYS))))


def points(count=16):
    return [ristretto.random_point() for _ in range(count)]


def wish(sent, **more):
    encoded = [base64.b64encode(one).decode() for one in sent]
    return {"subkind": "email", "epoch": "2026q4", "points": encoded} | more


def code(answer, status):
    assert answer.status_code == status, answer.content
    return json.loads(answer.content)["code"]


def public_keys(who) -> dict:
    return json.loads(who.get("tokens/keys").content)


def test_every_key_is_proved_to_be_in_the_log_under_a_signed_head(cast):
    document = public_keys(caller(cast.aster, Scope.READ))
    head = document["head"]
    log_keys = {one["id"]: base64.b64decode(one["public_key"]) for one in document["log_keys"]}
    text = statements.head_text(size=head["size"], root=head["root"], at=head["at"])
    assert statements.is_signed(text, signature=head["signature"], public_key=log_keys[head["key"]])
    assert {one["epoch"] for one in document["keys"]} == {"2026q3", "2026q4"}
    for one in document["keys"]:
        entry = json.loads(one["entry"])
        assert entry["verb"] == "token-key.published"
        assert entry["partner"] is None
        assert entry["details"] == {name: one[name] for name in ("kind", "epoch", "public_key")}
        proof = [bytes.fromhex(step) for step in one["proof"]]
        leaf, root = merkle.leaf_hash(one["entry"].encode()), bytes.fromhex(head["root"])
        assert merkle.includes(leaf, one["index"], head["size"], proof=proof, root=root)


def test_two_partners_are_shown_the_same_keys_and_the_store_keeps_them(cast):
    from django.db import DatabaseError, transaction

    assert public_keys(caller(cast.aster)) == public_keys(caller(cast.dorado, Scope.READ))
    for change in (lambda: TokenKey.objects.update(public_key=b"x" * 32), TokenKey.objects.all().delete):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_another_key_under_the_same_name_is_not_believed(cast, monkeypatch, settings):
    before = public_keys(caller(cast.aster))["keys"]
    store = keyservice.served(monkeypatch, settings, secret=b"\3" * 32)
    from partners.tokens import oblivious

    oblivious.publish_keys()
    assert public_keys(caller(cast.aster))["keys"] == before
    store.close()


def test_points_are_evaluated_with_a_proof_that_the_published_key_verifies(cast):
    who, sent = caller(cast.aster), points()
    answer = json.loads(who.send("POST", "tokens/evaluate", wish(sent)).content)
    found = oprf.Evaluated(tuple(base64.b64decode(one) for one in answer["points"]), base64.b64decode(answer["proof"]))
    (key,) = [one for one in public_keys(who)["keys"] if (one["kind"], one["epoch"]) == ("account-pattern", "2026q4")]
    oprf.verify(sent, found, public_key=bytes.fromhex(key["public_key"]))


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (wish(points(), subkind="net"), "unknown-subkind"),
        (wish(points(), epoch="2025q1"), "unknown-epoch"),
        (wish(points(), epoch="x\r\ny"), "unknown-epoch"),
        (wish(points(15)), "bad-count"),
        (wish([*points(15), bytes(32)]), "bad-point"),
        (wish(points(), points=["%"] * 16), "bad-point"),
        (wish(points(), points=[7] * 16), "bad-point"),
        ({}, "unknown-subkind"),
    ],
)
def test_what_is_no_request_is_refused_at_its_field(cast, sent, expected):
    answer = caller(cast.aster).send("POST", "tokens/evaluate", sent)
    assert code(answer, 422) == expected
    assert json.loads(answer.content)["errors"][0]["field"].startswith(("/subkind", "/epoch", "/points"))


def test_the_scopes_are_of_their_own(cast):
    without = caller(cast.aster, Scope.READ, Scope.PUBLISH, Scope.ADMIN)
    assert code(without.send("POST", "tokens/evaluate", wish(points())), 403) == "missing-scope"
    assert code(without.get("groups/ring/keys"), 403) == "missing-scope"
    assert caller(cast.aster, Scope.TOKENISE).get("groups/ring/keys").status_code == 403


def test_the_days_quota_is_told_with_the_time_until_it_is_new(cast, monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings, quota=20)
    who = caller(cast.aster)
    assert who.send("POST", "tokens/evaluate", wish(points())).status_code == 200
    refused = who.send("POST", "tokens/evaluate", wish(points()))
    assert code(refused, 429) == "quota"
    assert refused.headers["Retry-After"] == str(12 * 3_600)
    assert caller(cast.borealis).send("POST", "tokens/evaluate", wish(points())).status_code == 200
    store.close()


def test_an_exchange_without_a_key_service_says_so(cast, settings):
    settings.KEY_SERVICE_URL = ""
    assert code(caller(cast.aster).send("POST", "tokens/evaluate", wish(points())), 503) == "no-key-service"
    assert public_keys(caller(cast.aster))["keys"] == []


def test_a_key_service_that_is_away_costs_nobody_more_than_this_answer(cast, monkeypatch):
    import httpx

    from partners.tokens import oblivious

    monkeypatch.setattr(oblivious, "_http", lambda: httpx.Client(base_url="http://127.0.0.1:1", trust_env=False))
    who = caller(cast.aster)
    assert code(who.send("POST", "tokens/evaluate", wish(points())), 503) == "key-service-unavailable"


def group_keys(who) -> dict[str, dict]:
    answer = who.get("groups/ring/keys")
    assert answer.status_code == 200, answer.content
    assert answer.headers["Cache-Control"] == "no-store"
    return {one["epoch"]: one for one in json.loads(answer.content)["keys"]}


def test_members_are_handed_the_same_key_which_lies_sealed(cast):
    ours, theirs = group_keys(caller(cast.aster)), group_keys(caller(cast.borealis))
    assert ours == theirs
    assert list(ours) == ["ring-2026q4-1"]
    key = base64.b64decode(ours["ring-2026q4-1"]["key"])
    assert len(key) == 32
    assert key not in bytes(GroupKey.objects.get().sealed)
    assert AuditRecord.objects.filter(verb=audit.Verb.GROUP_KEYS_HANDED_OUT, partner=cast.aster).count() == 1


def test_outside_the_group_there_is_no_key(cast):
    for who in (cast.cygnus, cast.operator):
        assert caller(who).get("groups/ring/keys").status_code == 404
    assert caller(cast.aster).get("groups/none/keys").status_code == 404


def test_who_leaves_gets_neither_key_and_who_stays_publishes_both_for_fourteen_days(cast, monkeypatch):
    build.add_to_default(cast.cygnus, cast.ring)
    from partners.models import Membership

    Membership.objects.create(partner=cast.cygnus, group=cast.ring)
    leaver = caller(cast.cygnus)
    known = group_keys(leaver)
    membership.leave(auth.viewer_of_user(build.a_user(cast.cygnus)), cast.ring)
    assert leaver.get("groups/ring/keys").status_code == 404
    now = group_keys(caller(cast.aster))
    assert {epoch: one["publishes"] for epoch, one in now.items()} == {"ring-2026q4-1": True, "ring-2026q4-2": True}
    assert now["ring-2026q4-2"]["key"] not in {one["key"] for one in known.values()}
    set_clock(monkeypatch, NOW + timedelta(days=14))
    assert {epoch: one["publishes"] for epoch, one in group_keys(caller(cast.aster)).items()} == {
        "ring-2026q4-1": False,
        "ring-2026q4-2": True,
    }
    set_clock(monkeypatch, NOW + timedelta(days=14 + 90))
    assert "ring-2026q4-1" not in group_keys(caller(cast.aster))


def test_the_next_quarters_key_is_replaced_as_well_when_a_member_leaves_after_it_was_handed_out(cast, monkeypatch):
    set_clock(monkeypatch, epochs.ends("2026q4") - timedelta(days=3))
    assert list(group_keys(caller(cast.borealis))) == ["ring-2026q4-1", "ring-2027q1-1"]
    membership.leave(auth.viewer_of_user(build.a_user(cast.borealis)), cast.ring)
    assert [epoch for epoch, one in group_keys(caller(cast.aster)).items() if one["publishes"]] == [
        *("ring-2026q4-1", "ring-2026q4-2", "ring-2027q1-1", "ring-2027q1-2")
    ]


def test_under_the_key_of_a_group_with_the_longest_name_tokens_are_published(cast):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    basis = proposing.Basis("An agreement.", "", date(2026, 1, 1))
    made = membership.create(admin, name="Very long " * 10, purpose="To share.", basis=basis)
    named = Group.objects.create(name="Longest", slug="a" * 60, purpose="", legal_basis="", basis_from=date(2026, 1, 1))
    epochs_of = [epochs.of_group(slug, "2026q4", number) for slug in (made.slug, named.slug) for number in (1, 99)]
    assert len(epochs.of_group(named.slug, "2026q4", 999_999)) == epochs.LONGEST_EPOCH
    publisher = build.viewer_of(cast.aster, Scope.PUBLISH)
    keys = Caller(build.a_key(cast.aster, Scope.GROUP_KEYS)).get(f"groups/{made.slug}/keys")
    assert [one["epoch"] for one in json.loads(keys.content)["keys"]] == epochs_of[:1]
    for epoch in epochs_of:
        token = making.token("ab" * 32) | {"key_epoch": epoch}
        phrase = making.prompt_signature("phrase", carrier={"tokens": [token]}, at=NOW)
        groups = (made.slug,) if epoch.startswith(made.slug) else ("ring",)
        answer = build.publish(publisher, phrase, groups=groups)
        assert answer.counts["accepted"] == 1, answer.results
        assert Carries.objects.visible_to(publisher).filter(token_value__epoch__name=epoch).exists()
        assert epochs.parse_of_group(epoch)[1] == "2026q4"


@pytest.mark.parametrize("slug", ["Ring", "ring_1", "-ring", "a" * 61, ""])
def test_a_groups_short_name_can_always_begin_the_epoch_of_its_keys(slug):
    with pytest.raises(DatabaseError), transaction.atomic():
        Group.objects.create(name="Odd", slug=slug, purpose="", legal_basis="", basis_from=date(2026, 1, 1))
