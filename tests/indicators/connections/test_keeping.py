"""Who connects, with which credential, and what of it is ever shown: over the API."""

import json
import uuid
from datetime import timedelta

import pytest
from django.db import connection
from django.test import Client, override_settings
from django.test.utils import CaptureQueriesContext

from exchange import ailing, clock, health, sealing
from indicators.connections import keeping
from indicators.models import Connection
from partners.log import audit
from partners.models import AuditRecord
from partners.scopes import Scope
from tests import build

pytestmark = pytest.mark.django_db
API = "/api/v1/"
WISH = {
    "name": "theirs",
    "kind": "taxii",
    "direction": "pull",
    "url": "https://peer.example/api/collections/91a7b528-80eb-42ed-a74d-c6fbd5a26116",
    "authorization": "Bearer secret-of-theirs",
}


@pytest.fixture
def admin(cast):
    return build.a_key(cast.aster, Scope.ADMIN, Scope.PUBLISH, Scope.SUBSCRIBE, Scope.READ)


@pytest.fixture
def ask(admin):
    def send(method, path, body=None, key=admin):
        more = {} if body is None else {"data": json.dumps(body), "content_type": "application/json"}
        return getattr(Client(headers=build.bearer(key)), method)(f"{API}{path}", **more)

    return send


def made(ask, **more):
    answer = ask("post", "connections", WISH | more)
    assert answer.status_code == 201, answer.content
    return answer.json()


def code(answer, status=422):
    assert answer.status_code == status, answer.content
    said = answer.json()
    return said["code"], said.get("errors", [{}])[0].get("field")


def test_a_connection_is_made_and_shown_without_its_credential(ask):
    one = made(ask, groups=["ring"], tlp="green")
    assert one["authorized"]
    assert one["url"].endswith("/")
    assert one["audience"] == {
        "everyone": False, "groups": ["ring"], "partners": [], "tlp": "green", "attribution": None,
    }  # fmt: skip
    assert (one["strictest"], one["every_s"], one["state"], one["feed"]) == ("green", 60, "active", None)
    for path in ("connections", f"connections/{one['id']}"):
        assert b"secret-of-theirs" not in ask("get", path).content
    row = Connection.unrestricted.get()
    assert "secret-of-theirs" not in row.credential
    assert keeping.credential_of(row) == "Bearer secret-of-theirs"
    record = AuditRecord.objects.get(verb=audit.Verb.CONNECTION_MADE)
    assert "secret-of-theirs" not in json.dumps(record.details)


def test_a_credential_opens_at_its_own_connection_and_address_alone(ask):
    made(ask)
    row = Connection.unrestricted.get()
    row.url = "https://elsewhere.example/api/collections/1/"
    with pytest.raises(sealing.Broken):
        keeping.credential_of(row)
    row = Connection.unrestricted.get()
    row.pk = uuid.uuid4()
    with pytest.raises(sealing.Broken):
        keeping.credential_of(row)


def test_reseal_seals_credentials_anew(ask, settings):
    made(ask)
    before = Connection.unrestricted.get().credential
    with override_settings(SECRET_KEY="n" * 60, SECRET_KEY_FALLBACKS=[settings.SECRET_KEY]):
        assert keeping.reseal() == 1
        assert keeping.reseal() == 0
    row = Connection.unrestricted.get()
    assert row.credential != before
    with override_settings(SECRET_KEY="n" * 60, SECRET_KEY_FALLBACKS=[]):
        assert keeping.credential_of(row) == "Bearer secret-of-theirs"
        assert [one() for one in keeping.openers()] == ["Bearer secret-of-theirs"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"url": "http://peer.example/collections/1/"}, ("address-not-allowed", "/url")),
        ({"url": "https://127.0.0.1/collections/1/"}, ("address-not-allowed", "/url")),
        ({"url": "https://user:word@peer.example/collections/1/"}, ("address-not-allowed", "/url")),
        ({"url": "https://peer.example/collections/1/?x=1"}, ("address-not-allowed", "/url")),
        ({"url": "https://peer.example/taxii2/"}, ("not-a-collection", "/url")),
        ({"authorization": "Bearer a\r\nHost: b"}, ("bad-credential", "/authorization")),
        ({"authorization": "x" * 2_001}, ("bad-credential", "/authorization")),
        ({"strictest": "red"}, ("unknown-marking", "/strictest")),
        ({"tlp": "amber"}, ("over-marking", "/tlp")),
        ({"groups": ["nobody"]}, ("unknown-group", "/groups")),
        ({"everyone": True, "groups": ["ring"]}, ("bad-audience", "/everyone")),
        ({"every_s": 1}, ("bad-interval", "/every_s")),
        ({"name": " "}, ("bad-name", "/name")),
        ({"name": "a\nb"}, ("bad-name", "/name")),
        ({"kind": "opencti"}, ("bad-kind", "/kind")),
        ({"direction": "both"}, ("bad-direction", "/direction")),
        ({"direction": "push", "groups": ["ring"]}, ("not-of-this-direction", "/groups")),
        ({"says": {"entry_program": "api"}}, ("not-of-this-direction", "/says")),
        ({"kind": "misp", "says": {"secret": "api"}}, ("bad-says", "/says")),
        ({"kind": "misp", "says": {"confidence": "much"}}, ("bad-says", "/says")),
        ({"kind": "misp", "says": {"review": 7}}, ("bad-says", "/says")),
        ({"wat": 1}, ("unknown-property", "/wat")),
    ],
)
def test_what_may_not_be_is_told_by_its_field(ask, more, said, settings):
    settings.OUTBOUND_ALLOW_HTTP, settings.OUTBOUND_ALLOW_NETWORKS = False, []
    assert code(ask("post", "connections", WISH | more)) == said
    assert not Connection.unrestricted.exists()


def test_it_is_changed_paused_run_and_ended(ask):
    one = made(ask)
    path = f"connections/{one['id']}"
    changed = ask("patch", path, {"state": "paused", "strictest": "clear", "groups": ["ring"], "every_s": 3_600}).json()
    assert (changed["state"], changed["strictest"], changed["every_s"]) == ("paused", "clear", 3_600)
    assert changed["audience"]["groups"] == ["ring"]
    assert code(ask("post", f"{path}/run"), 409)[0] == "paused"
    assert code(ask("patch", path, {"url": "https://evil.example/collections/1/"}))[0] == "unknown-property"
    assert code(ask("patch", path, {}))[0] == "nothing-to-change"
    assert ask("patch", path, {"state": "active"}).status_code == 200
    assert ask("post", f"{path}/run").status_code == 202
    assert ask("delete", path).status_code == 204
    assert ask("get", path).status_code == 404
    assert ask("get", "connections").json() == {"connections": []}
    assert Connection.unrestricted.get().credential == ""
    made(ask)  # its name is free again


def test_it_is_of_its_partners_admins_alone(cast, ask):
    one = made(ask)
    path = f"connections/{one['id']}"
    others = build.a_key(cast.borealis, Scope.ADMIN, Scope.PUBLISH, Scope.READ)
    assert ask("get", path, key=others).status_code == 404
    assert ask("delete", path, key=others).status_code == 404
    assert ask("get", "connections", key=others).json() == {"connections": []}
    assert code(ask("get", "connections", key=cast.keys["aster"]), 403)[0] == "missing-scope"
    reader = build.a_key(cast.dorado, Scope.ADMIN, Scope.READ)
    assert code(ask("post", "connections", WISH, key=reader), 403)[0] == "missing-scope"


def test_a_feed_that_a_connection_uses_is_not_deleted(ask):
    feed = ask("post", "feeds", {"name": "mine"}).json()["id"]
    made(ask, direction="push", feed=feed)
    refused = ask("delete", f"feeds/{feed}")
    assert code(refused, 409)[0] == "feed-in-use"
    assert "connection" in refused.json()["detail"]
    assert code(ask("post", "connections", WISH | {"name": "x", "direction": "push", "feed": str(uuid.uuid4())}), 404)


def test_a_partner_has_so_many_at_most(ask, monkeypatch):
    monkeypatch.setattr(keeping, "MOST", 1)
    made(ask)
    assert code(ask("post", "connections", WISH | {"name": "more"}), 409)[0] == "too-many-connections"


def test_who_connects_at_once_does_so_one_after_the_other(ask):
    with CaptureQueriesContext(connection) as queries:
        made(ask)
    locked = [one["sql"] for one in queries if "partners_partner" in one["sql"] and "FOR NO KEY UPDATE" in one["sql"]]
    assert len(locked) == 1, "without it, two that count the same pass the bound together"


def test_the_operator_is_told_where_nobody_runs_what_is_due(ask):
    one = made(ask)

    def waits():
        return health.measured()["exchange_connection_oldest_due_seconds"]

    Connection.unrestricted.update(due_at=clock.now() - timedelta(hours=1))
    assert waits() > 3_500
    found = {look.what: look for look in ailing._measured(health.measured())}
    assert not found["connections to other exchanges"].well
    Connection.unrestricted.update(claimed_until=clock.now() + timedelta(minutes=5))
    assert waits() == 0, "it runs"
    Connection.unrestricted.update(claimed_until=None)
    ask("patch", f"connections/{one['id']}", {"state": "paused"})
    assert waits() == 0
