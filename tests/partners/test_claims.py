"""Who is known from before is asked along with what he wants, and is believed no longer than it is so."""

from __future__ import annotations

import io
from dataclasses import replace
from datetime import timedelta

import orjson
import pytest
from django.db import DataError, connection, transaction
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from structlog.contextvars import get_contextvars

from exchange import bodies, clock, prepared
from exchange.errors import NotFound, Unauthenticated
from exchange.origins import origin_of
from indicators import changes, publishing, reading
from indicators.feeds.filters import Filter
from indicators.models import StixObject
from indicators.selecting import Selection
from partners import auth, keys
from partners.claims import Doubtful
from partners.models import ApiKey, Group, KeyNetwork, Membership, Partner
from partners.sight import changing
from tests import build

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = "/taxii2/exchange/collections/everything/"
#: By name, how each surface is asked whose own query asks along; of `{id}`, an object that Aster sees.
SURFACES = {
    "delta": ("get", "/api/v1/changes?cursor={cursor}"),
    "object": ("get", "/api/v1/objects/{id}"),
    "lookup": ("post", "/api/v1/objects/lookup"),
    "push": ("post", "/api/v1/batches?everyone=true&tlp=green"),
    "taxii-objects": ("get", f"{EVERYTHING}objects/?added_after=2026-01-01T00:00:00Z"),
    "taxii-manifest": ("get", f"{EVERYTHING}manifest/?added_after=2026-01-01T00:00:00Z"),
    "taxii-object": ("get", f"{EVERYTHING}objects/{{id}}/"),
    "taxii-versions": ("get", f"{EVERYTHING}objects/{{id}}/versions/"),
    "taxii-push": ("post", "/taxii2/exchange/collections/{own}/objects/"),
}
#: How many queries each is: its own, and for a push that and the one that writes.
QUERIES = {name: 2 if "push" in name else 1 for name in SURFACES}


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def ask(cast):
    """Ask a surface with Aster's key."""
    held = build.an_indicator()
    build.publish(cast.viewer("borealis"), held, groups=("ring",))
    headers = build.bearer(cast.keys["aster"])
    cursor = Client().get("/api/v1/changes", headers=headers).json()["cursor"]
    paths = {"id": held["id"], "cursor": cursor, "own": cast.aster.collection_id}

    def asked(surface: str, **more: str):
        method, path = SURFACES[surface]
        if method == "get":
            return Client().get(path.format(**paths), headers=headers | more)
        document = {"ids": [held["id"]]} if surface == "lookup" else {"objects": [build.an_indicator()]}
        media = "application/taxii+json;version=2.1" if "taxii" in surface else "application/json"
        return Client().post(path.format(**paths), orjson.dumps(document), media, headers=headers | more)

    return asked


def key_of(cast) -> ApiKey:
    return ApiKey.objects.get(public_id=keys.public_id_of(cast.keys["aster"]))


def end(how: str, cast) -> None:
    match how:
        case "revoked":
            keys.revoke(key_of(cast))
        case "expired":
            ApiKey.objects.filter(pk=key_of(cast).pk).update(expires_at=clock.now() - timedelta(seconds=1))
        case "deleted":
            ApiKey.objects.filter(pk=key_of(cast).pk).delete()
        case "suspended":
            Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
        case "elsewhere":
            ApiKey.objects.filter(pk=key_of(cast).pk).update(networks=["10.0.0.0/8"])


def well(answer) -> bool:
    return answer.status_code in (200, 202)


@pytest.mark.parametrize("surface", SURFACES)
def test_who_is_known_is_asked_for_by_the_query_that_he_asks(ask, surface):
    for _ in range(3):
        assert well(ask(surface))
    with CaptureQueriesContext(connection) as captured:
        assert well(ask(surface))
    statements = [one["sql"] for one in captured if one["sql"] not in ("BEGIN", "COMMIT")]
    assert len(statements) == QUERIES[surface], statements


@pytest.mark.parametrize("how", ["revoked", "expired", "deleted", "suspended", "elsewhere"])
@pytest.mark.parametrize("surface", SURFACES)
def test_what_held_a_moment_ago_holds_no_longer_than_it_does(cast, ask, surface, how):
    for _ in range(2):
        assert well(ask(surface))
    stored = StixObject.unrestricted.count()
    end(how, cast)
    refused = ask(surface)
    assert (refused.status_code, b"invalid-key" in refused.content) == (401, True)
    assert StixObject.unrestricted.count() == stored


@pytest.mark.parametrize("wrong", [{"Accept": "text/html"}, {"Content-Encoding": "br"}], ids=["accept", "encoding"])
@pytest.mark.parametrize("surface", SURFACES)
def test_what_is_wrong_with_the_request_is_said_to_nobody_who_is_not_known(cast, ask, surface, wrong):
    assert well(ask(surface))
    said = ask(surface, **wrong)
    if "Accept" in wrong and "taxii" in surface:
        assert said.status_code == 406
    elif "Content-Encoding" in wrong and surface in ("push", "taxii-push", "lookup"):
        assert said.status_code == 415
    else:
        assert well(said)
    keys.revoke(key_of(cast))
    assert ask(surface, **wrong).status_code == 401
    assert "partner" not in get_contextvars()


def test_nothing_is_claimed_in_what_is_read_for_whom_the_claim_does_not_hold(cast, ask):
    assert well(ask("object"))
    viewer = auth._expected(cast.keys["aster"], origin=origin_of(request_of(cast)))
    keys.revoke(key_of(cast))
    with transaction.atomic():
        before = scans()
        with pytest.raises(Doubtful):
            reading.page(viewer, Selection(), limit=10)
        assert scans() == before, "no object was looked at"
        reading.page(replace(viewer, claim=None), Selection(), limit=10)
        assert scans() > before


def scans() -> int:
    """How often objects were looked at in this transaction."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT seq_scan + coalesce(idx_scan, 0) FROM pg_stat_xact_user_tables"
            " WHERE relname = 'indicators_stixobject'"
        )
        return cursor.fetchone()[0]


def test_nothing_is_looked_for_behind_the_end_of_the_log(cast, ask, monkeypatch):
    viewer, end = auth.viewer_of_key(cast.keys["aster"]), changes.head()
    nothing = Filter.of(types=("nothing",))
    asked = changes.since(viewer, nothing, after=end, limit=10)
    assert (asked.changes, asked.reached) == ([], end)
    told = changes._TOLD.replace("FROM raw c", "FROM (SELECT * FROM raw WHERE 1 / (seq - seq) = 1) c")
    monkeypatch.setattr(changes, "_TOLD", told)
    assert changes.since(viewer, nothing, after=end, limit=10).reached == end
    with pytest.raises(DataError):
        changes.since(viewer, nothing, after=end - 1, limit=10)


@pytest.mark.parametrize("surface", ["push", "taxii-push", "delta", "object"])
def test_who_comes_seldom_is_asked_for_first_and_answered_once(cast, ask, surface, monkeypatch):
    """The use of his key is to be written down anyway; nothing is done twice for it."""
    assert well(ask(surface))
    later = clock.now() + timedelta(minutes=2)
    monkeypatch.setattr(clock, "now", lambda: later)
    given = []
    answered = auth.answered
    monkeypatch.setattr(
        auth, "answered", lambda request, answer: answered(request, lambda v: given.append(v.claim) or answer(v))
    )
    assert well(ask(surface))
    assert given == [None]


def test_a_revoked_key_is_taken_for_one_that_holds_once_at_most(cast, ask):
    assert well(ask("push"))
    assert auth._expected(cast.keys["aster"], origin=origin_of(request_of(cast)))
    keys.revoke(key_of(cast))
    assert ask("push").status_code == 401
    assert auth._expected(cast.keys["aster"], origin=origin_of(request_of(cast))) is None


def test_a_body_that_could_not_be_read_is_not_read_on_by_whoever_is_answered_anew(cast, ask, monkeypatch):
    monkeypatch.setitem(bodies.read.__kwdefaults__, "max_bytes", 3_000)
    assert well(ask("push"))
    stored = StixObject.unrestricted.count()
    body = b"\n".join(orjson.dumps(build.an_indicator()) for _ in range(4))
    assert len(body) > 3_000
    read = bodies._received

    def renamed_meanwhile(request, *, max_bytes):
        Partner.objects.filter(pk=cast.aster.pk).update(name="Aster, renamed")
        return read(request, max_bytes=max_bytes)

    monkeypatch.setattr(bodies, "_received", renamed_meanwhile)
    headers = build.bearer(cast.keys["aster"])
    for chunked in (True, False):
        chunks = {"CONTENT_LENGTH": "", "wsgi.input_terminated": True, "wsgi.input": io.BytesIO(body)}
        length = chunks if chunked else {}
        answer = Client().post("/api/v1/batches", body, "application/x-ndjson", headers=headers, **length)
        assert answer.status_code == 413, answer.content
    assert StixObject.unrestricted.count() == stored


def test_a_key_that_is_revoked_while_its_push_is_judged_anew_writes_nothing(cast, ask, monkeypatch):
    assert well(ask("push"))
    stored = StixObject.unrestricted.count()
    fresh = publishing.standing

    def revoked_meanwhile(by):
        keys.revoke(key_of(cast))
        return fresh(by)

    monkeypatch.setattr(publishing, "standing", revoked_meanwhile)
    Group.objects.filter(pk=cast.ring.pk).update(name="Another")  # so that it is judged anew
    assert ask("push").status_code == 401
    assert StixObject.unrestricted.count() == stored


def test_a_push_ends_its_transaction_with_its_last_message(cast, ask, monkeypatch):
    sent = []
    send = prepared._send_by_libpq
    monkeypatch.setattr(
        prepared, "_send_by_libpq", lambda *given, commits: sent.append(commits) or send(*given, commits=commits)
    )
    assert well(ask("push"))
    assert sent[-2:] == [False, True]


@pytest.mark.parametrize("surface", [name for name in SURFACES if "push" not in name and name != "delta"])
def test_who_has_left_a_group_sees_nothing_of_it_with_the_next_question(cast, ask, surface):
    told = b"versions" if surface == "taxii-versions" else b"indicator--"
    assert told in ask(surface).content
    with changing([cast.aster.pk]):
        Membership.objects.filter(partner=cast.aster).update(until=clock.now())
    assert told not in ask(surface).content


@pytest.mark.parametrize("surface", ["push", "taxii-push"])
def test_a_push_of_whom_something_changed_about_meanwhile_is_taken_once(cast, ask, surface):
    """It is judged anew, from the body that was read."""
    assert well(ask(surface))
    stored = StixObject.unrestricted.count()
    Partner.objects.filter(pk=cast.aster.pk).update(name="Aster, renamed")
    assert well(ask(surface))
    assert StixObject.unrestricted.count() == stored + 1


def test_a_push_may_no_longer_do_what_its_key_may_not(cast, ask):
    assert well(ask("push"))
    ApiKey.objects.filter(pk=key_of(cast).pk).update(scopes=["read"])
    assert ask("push").json()["code"] == "missing-scope"
    ApiKey.objects.filter(pk=key_of(cast).pk).update(scopes=["read", "publish"])
    assert well(ask("push"))


def test_another_secret_under_a_known_public_id_is_not_taken_for_the_key(cast, ask):
    assert well(ask("object"))
    wrong = cast.keys["aster"][:-4] + ("aaaa" if not cast.keys["aster"].endswith("aaaa") else "bbbb")
    assert ask("object", Authorization=f"Bearer {wrong}").status_code == 401


def test_a_use_from_a_new_network_or_after_a_while_is_written_down(cast, ask):
    assert well(ask("object"))
    used = KeyNetwork.objects.get(key=key_of(cast))
    KeyNetwork.objects.update(last_at=used.last_at - timedelta(minutes=5))
    assert well(ask("object"))
    assert KeyNetwork.objects.get(key=key_of(cast)).last_at >= used.last_at
    KeyNetwork.objects.update(prefix="198.51.100.0/24")
    assert well(ask("object"))
    assert KeyNetwork.objects.filter(key=key_of(cast)).count() == 2


def request_of(cast):
    return RequestFactory().get("/", headers=build.bearer(cast.keys["aster"]))


def test_an_answer_that_asked_nothing_is_worth_nothing_until_its_caller_is_known(cast):
    assert auth.answered(request_of(cast), lambda viewer: viewer.partner_slug) == "aster"
    given = []
    assert auth.answered(request_of(cast), lambda viewer: given.append(viewer) or "yes") == "yes"
    assert [viewer.claim.settled for viewer in given] == [False], "answered once, and asked for besides"
    keys.revoke(key_of(cast))
    with pytest.raises(Unauthenticated):
        auth.answered(request_of(cast), lambda viewer: "told to nobody")


def test_an_error_of_somebody_unknown_is_that_he_is_unknown(cast):
    def absent(viewer):
        raise NotFound

    auth.answered(request_of(cast), lambda viewer: None)
    with pytest.raises(NotFound):
        auth.answered(request_of(cast), absent)
    keys.revoke(key_of(cast))
    with pytest.raises(Unauthenticated):
        auth.answered(request_of(cast), absent)


def test_whoever_changed_is_answered_anew_as_who_he_is(cast):
    auth.answered(request_of(cast), lambda viewer: None)
    with changing([cast.aster.pk]):
        Membership.objects.filter(partner=cast.aster).update(until=clock.now())
    given = []

    def answer(viewer):
        given.append(len(viewer.group_ids))
        if viewer.claim:
            raise Doubtful
        return "as he is"

    assert auth.answered(request_of(cast), answer) == "as he is"
    assert given == [1, 0]
