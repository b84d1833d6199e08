"""Everybody is authenticated before the view, and whoever writes is asked again where they write."""

from __future__ import annotations

import io
import threading
from datetime import timedelta

import orjson
import pytest
from django.db import DataError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext
from django.urls import get_resolver, reverse
from structlog.contextvars import get_contextvars

from exchange import bodies, clock
from indicators import publishing
from indicators.feeds.filters import Filter
from indicators.log import changes
from indicators.models import StixObject
from indicators.publishing import acting
from partners import keys
from partners.api.base import Face
from partners.keys import auth
from partners.models import ApiKey, Group, KeyNetwork, Membership, Partner, User
from partners.portal import access
from partners.scopes import KEY_SCOPES
from partners.sight import changing
from partners.tlp import Tlp
from tests import build, stores
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)

EVERYTHING = "/taxii2/exchange/collections/everything/"
#: By name, how the hot surfaces are asked; of `{id}`, an object that Aster sees.
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
#: How many queries each is: who asks, and what is asked for; a push looks, and writes.
#: Who asks, and what is asked for; a page is looked for first, which costs whoever finds nothing less.
QUERIES = {name: 3 if "push" in name or name in ("taxii-objects", "taxii-manifest") else 2 for name in SURFACES}


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
def test_a_request_costs_one_query_for_who_asks_and_no_more_than_it_needs(ask, surface):
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


def test_nothing_is_looked_for_behind_the_end_of_the_log(cast, ask, monkeypatch):
    viewer, end = auth.viewer_of_key(cast.keys["aster"]), changes.head()
    nothing = Filter.of(types=("nothing",))
    asked = changes.since(viewer, nothing, after=end, limit=10)
    assert (asked.changes, asked.reached) == ([], end)
    told = changes._TOLD.replace("FROM raw c", "FROM (SELECT * FROM raw WHERE 1 / (seq - seq) = 1) c")
    monkeypatch.setattr(changes, "_TOLD", told)
    monkeypatch.setattr(changes, "_text", changes._text.__wrapped__)  # made anew, and kept for nobody after us
    assert changes.since(viewer, nothing, after=end, limit=10).reached == end
    with pytest.raises(DataError):
        changes.since(viewer, nothing, after=end - 1, limit=10)


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


#: What writes, beside the hot surfaces: method, path, body.
WRITERS = {
    "subscription": ("post", "/api/v1/subscriptions", {"url": "https://hooks.example/"}),
    "feed": ("post", "/api/v1/feeds", {"name": "All", "slug": "all"}),
    "key": ("post", "/api/v1/keys", {"name": "child", "scopes": ["read"]}),
    "host": ("post", "/api/v1/service-hosts", {"value": "api.aster.example"}),
    "withdraw": ("post", "/api/v1/objects/{id}/withdraw", None),
    "withdraw-many": ("post", "/api/v1/objects/withdraw", {"ids": ["{id}"]}),
    "revoke-many": ("post", "/api/v1/objects/revoke", {"ids": ["{id}"]}),
    "audience": ("put", "/api/v1/objects/{id}/audience", {"groups": ["ring"]}),
    "leave": ("post", "/api/v1/groups/ring/leave", {"objects": "withdraw"}),
    "taxii-delete": ("delete", f"{EVERYTHING}objects/{{id}}/", None),
    "push": ("post", "/api/v1/batches?everyone=true&tlp=green", {"objects": [build.an_indicator()]}),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_whose_key_is_revoked_after_they_were_let_in_writes_nothing(cast, monkeypatch, writer):
    key, presented = keys.issue(cast.aster, name="all", scopes=KEY_SCOPES)
    own = build.an_indicator()
    build.publish(cast.viewer("aster"), own, everyone=True, tlp=Tlp.GREEN)
    let_in = auth.viewer_of_request

    def revoked_at_once(request):
        viewer = let_in(request)
        keys.revoke(key)
        return viewer

    monkeypatch.setattr(auth, "viewer_of_request", revoked_at_once)
    method, path, body = WRITERS[writer]
    before = everything_written()
    sent = orjson.dumps(body).replace(b"{id}", own["id"].encode()) if body is not None else b""
    answer = getattr(Client(), method)(
        path.format(id=own["id"]), sent, content_type="application/json", headers=build.bearer(presented)
    )
    assert (answer.status_code, b"invalid-key" in answer.content) == (401, True)
    assert everything_written() == before


def everything_written() -> dict[str, int]:
    """Rows that ever came, changed or went, by table; but for the key's own, and the record of its end."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT relname FROM pg_class WHERE relkind = 'r' AND relname ~ '^(partners|indicators)_'")
        tables = [name for (name,) in cursor.fetchall() if name not in KEYS_OWN]
        counted = {}
        for table in tables:
            cursor.execute(f"SELECT count(*), coalesce(sum(hashtext(t::text)), 0) FROM {table} t")
            counted[table] = cursor.fetchone()
    return counted


KEYS_OWN = (
    "partners_apikey",
    "partners_keynetwork",
    "partners_readtally",  # written soon after, by a thread
    "partners_auditrecord",
    "partners_auditwaiting",
    "partners_refusedcredentials",
)


def test_a_revocation_waits_for_the_push_that_was_let_in_and_nothing_follows_it(cast, monkeypatch):
    key = key_of(cast)
    begun, go_on = threading.Event(), threading.Event()
    store = acting.store

    def slowly(*given, **more):
        begun.set()
        assert go_on.wait(60)
        return store(*given, **more)

    monkeypatch.setattr(acting, "store", slowly)
    order = []

    def push():
        answer = Client().post(
            "/api/v1/batches?everyone=true&tlp=green",
            orjson.dumps({"objects": [build.an_indicator()]}),
            "application/json",
            headers=build.bearer(cast.keys["aster"]),
        )
        order.append(("push", answer.status_code))
        connection.close()

    def revoke():
        keys.revoke(key)
        order.append(("revoked", StixObject.unrestricted.count()))
        connection.close()

    pushing = threading.Thread(target=push)
    pushing.start()
    assert begun.wait(DEADLINE_S)
    revoking = threading.Thread(target=revoke)
    revoking.start()
    until(lambda: order or stores.somebody_waits())
    assert order == [], "the revocation is not answered while the push may still be written"
    go_on.set()
    pushing.join(DEADLINE_S)
    revoking.join(DEADLINE_S)
    assert dict(order)["push"] == 200
    assert dict(order)["revoked"] == 1, "what was let in was written before the revocation was answered"


def test_a_person_who_lost_their_role_after_they_were_let_in_writes_nothing(cast, monkeypatch):
    person = build.a_user(cast.aster, role="admin")
    browser = Client()
    browser.force_login(person)
    let_in = access.viewer_of_user

    def demoted_at_once(user):
        viewer = let_in(user)
        User.objects.filter(pk=person.pk).update(role="analyst")
        return viewer

    monkeypatch.setattr(access, "viewer_of_user", demoted_at_once)
    browser.post(reverse("keys"), {"name": "mine", "scopes": ["read"], "days": "30"})
    assert not ApiKey.objects.filter(name="mine").exists()


def test_the_views_that_ask_again_by_themselves_are_these():
    """Each publishes, or takes back, in transactions of its own, or changes nothing; a list's address is its own key."""
    get_resolver().url_patterns  # noqa: B018 - all views are imported by that
    views = set()
    waiting = [Face]
    while waiting:
        waiting += (below := waiting.pop().__subclasses__())
        views |= {view.__name__ for view in below if view.asks_again}
    publishing = {"BatchesView", "RevokeView", "WithdrawManyView"}
    assert views == publishing | {"LookupView", "PreviewView", "EvaluateView", "ListView"}
