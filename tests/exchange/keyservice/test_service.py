"""The key service on its own: what it answers, what it counts, and that no key lies open."""

import json
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from exchange.keyservice.keeping import SealedKeys
from exchange.keyservice.service import Service
from exchange.keyservice.store import Store
from exchange.tokens import epochs, forms, oprf, padding, ristretto
from tests import keyservice

TOKEN = "the token by which the exchange is known"
NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)


@pytest.fixture
def store():
    made = Store(keyservice.address())
    for table in ("key", "spent"):
        keyservice.rows(made, f"TRUNCATE keyservice.{table}")
    yield made
    made.close()


def asked(store, *, now=NOW, quota=2_000, secret=b"\1" * 32):
    service = Service(SealedKeys(store, secret=secret), store, token=TOKEN, quota=quota, now=lambda: now)
    transport = httpx.WSGITransport(app=service)
    return httpx.Client(transport=transport, base_url="http://keys", headers={"Authorization": f"Bearer {TOKEN}"})


def evaluate(client, points, *, subkind="email", epoch="2026q4", partner="aster"):
    headers = {"X-Subkind": subkind, "X-Epoch": epoch, "X-Partner": partner}
    return client.post("/evaluate", content=b"".join(points), headers=headers)


def points(count=16):
    return [ristretto.random_point() for _ in range(count)]


def public_keys(client):
    return {(one["kind"], one["epoch"]): one["public_key"] for one in client.get("/keys").json()["keys"]}


def test_points_are_multiplied_by_the_key_of_their_kind_and_epoch(store):
    client, sent = asked(store), points()
    for subkind, kind in forms.OBLIVIOUS.items():
        answer = evaluate(client, sent, subkind=subkind).content
        found = oprf.Evaluated(tuple(answer[at : at + 32] for at in range(64, len(answer), 32)), answer[:64])
        oprf.verify(sent, found, public_key=bytes.fromhex(public_keys(client)[kind, "2026q4"]))


def test_each_kind_and_epoch_has_a_key_of_its_own_that_stays(store):
    found = public_keys(asked(store))
    assert {kind for kind, _ in found} == set(forms.Kind)
    assert {epoch for _, epoch in found} == {"2026q3", "2026q4"}
    assert len(set(found.values())) == len(found)
    assert public_keys(asked(store)) == found


def test_the_next_key_is_shown_a_day_before_it_answers(store):
    before = epochs.begins("2027q1") - epochs.OVERLAP - timedelta(hours=1)
    client = asked(store, now=before)
    assert ("account-pattern", "2027q1") in public_keys(client)
    assert evaluate(client, points(), epoch="2027q1").json()["code"] == "unknown-epoch"
    assert evaluate(asked(store, now=before + timedelta(hours=2)), points(), epoch="2027q1").status_code == 200


def test_another_secret_opens_no_key(store):
    from cryptography.exceptions import InvalidTag

    public_keys(asked(store))
    with pytest.raises(InvalidTag):
        public_keys(asked(store, secret=b"\2" * 32))


def test_what_is_stored_is_no_seed_of_any_key(store):
    client = asked(store)
    known = public_keys(client)
    sealed = store.sealed("account-pattern", "2026q4")
    assert len(sealed) == 48
    derived = {oprf.derive_key_pair(sealed[at : at + 32]).public.hex() for at in range(17)}
    assert not derived & set(known.values())


def test_who_is_not_the_exchange_is_told_nothing(store):
    client = asked(store)
    client.headers["Authorization"] = "Bearer another"
    assert client.get("/livez").status_code == 200
    for answer in (client.get("/keys"), evaluate(client, points())):
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"subkind": "net"}, "unknown-subkind"),
        ({"epoch": "2026q1"}, "unknown-epoch"),
        ({"epoch": "never"}, "unknown-epoch"),
        ({"sent": 17}, "bad-count"),
        ({"sent": 0}, "bad-count"),
        ({"broken": True}, "bad-point"),
    ],
)
def test_what_is_no_request_is_refused_with_its_code(store, more, code):
    sent = points(more.pop("sent", 16))
    if more.pop("broken", False):
        sent[3] = bytes(32)
    answer = evaluate(asked(store), sent, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, code)


def test_the_points_of_a_day_are_counted_for_each_partner_and_subkind(store):
    client = asked(store, quota=40)
    assert [evaluate(client, points()).status_code for _ in range(3)] == [200, 200, 429]
    assert evaluate(client, points(), partner="borealis").status_code == 200
    assert evaluate(client, points(), subkind="phone").status_code == 200
    assert evaluate(asked(store, quota=40, now=NOW + timedelta(days=1)), points()).status_code == 200


def test_nothing_older_than_a_few_days_is_kept_of_what_was_counted(store):
    evaluate(asked(store, now=NOW - timedelta(days=9)), points())
    evaluate(asked(store), points())
    assert [row[0] for row in keyservice.rows(store, "SELECT day FROM keyservice.spent")] == [NOW.date()]


@pytest.mark.parametrize(
    ("count", "sizes"),
    [(0, []), (1, [16]), (16, [16]), (17, [128]), (129, [1_000]), (1_001, [1_000] * 2), (25_000, [1_000] * 28)],
)
def test_requests_have_fixed_sizes(count, sizes):
    assert padding.batches(count) == sizes


@pytest.mark.parametrize("count", range(1, 60_000, 977))
def test_padding_costs_an_eighth_at_most_and_hides_the_number(count):
    total = sum(padding.batches(count))
    assert total >= count
    if count > 8_000:
        assert total <= count * 1.25 + 1_000
    assert json.dumps(padding.batches(count))
