"""The exchange behind its real web server: what one of its callers does, none of the others has to wait for."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from types import SimpleNamespace

import httpx
import orjson
import psycopg
import pytest
from django.db import connection

from exchange import health, pooling
from exchange.demo import ports, serving
from partners import keys
from partners.models import ApiKey
from partners.scopes import Scope
from tests import build, forked
from tests.exchange.web.served import Client
from tests.waiting import DEADLINE_S, until

pytestmark = pytest.mark.django_db(transaction=True)
STALLED = "POST {path} HTTP/1.1\nHost: 127.0.0.1\n{more}Content-Type: application/json\nContent-Length: {length}\n\n{{"


@pytest.fixture
def cast(transactional_db):
    return build.the_cast()


@pytest.fixture
def served(cast):
    """One web process on the test's database, in which whoever stalls is ended after two seconds."""
    with Started() as server:
        yield server


class Started:
    """A web server as the demo starts it, with these settings."""

    def __init__(self, **settings: str) -> None:
        self._settings = settings

    def __enter__(self):
        port = ports.free()
        environment = os.environ | {"DATABASE_URL": waking_url(), "STALLED_SECONDS": "2"} | self._settings
        _, *command = serving.command("exchange.wsgi:application", python="", port=port, workers=1)
        self._process = subprocess.Popen([*forked.python(), *command], env=environment)
        url = f"http://127.0.0.1:{port}"
        until(lambda: answers(url))
        return SimpleNamespace(url=url, port=port)

    def __exit__(self, *raised):
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(timeout=DEADLINE_S) == 0


def waking_url() -> str:
    """The test's database, as the settings want it."""
    parts = connection.get_connection_params()
    host = parts.get("host", "")
    return f"postgresql://{parts.get('user', '')}@/{parts['dbname']}?host={host}"


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=DEADLINE_S).status_code == 200
    except httpx.TransportError:
        return False


def asked(served, method: str, path: str, key: str = "", **options) -> httpx.Response:
    headers = ({"Authorization": f"Bearer {key}"} if key else {}) | options.pop("headers", {})
    return httpx.request(method, served.url + path, headers=headers, timeout=DEADLINE_S, **options)


def push(served, key: str, **options) -> httpx.Response:
    body = orjson.dumps({"objects": [build.an_indicator()]})
    headers = {"Content-Type": "application/json"}
    return asked(served, "POST", "/api/v1/batches", key, content=body, headers=headers, **options)


def works_for(served, key: str) -> None:
    """Another partner's push and poll are answered, and the process says that it lives."""
    assert asked(served, "GET", "/livez").status_code == 200
    assert push(served, key).status_code == 200
    assert asked(served, "GET", "/api/v1/changes", key).status_code == 200


def bearer(key: str) -> str:
    return f"Authorization: Bearer {key}\n"


def test_strangers_with_slow_forms_stop_nobody_and_are_told_408(cast, served):
    slow = [Client(served).send(STALLED.format(path="/account/login/", more="", length=500)) for _ in range(60)]
    works_for(served, cast.keys["borealis"])
    assert asked(served, "GET", "/account/login/").status_code == 200
    assert {client.answer()[0] for client in slow} == {408}


def test_a_members_stalled_pushes_stop_nobody(cast, served):
    more = bearer(cast.keys["aster"])
    stalled = [Client(served).send(STALLED.format(path="/api/v1/batches", more=more, length=10_000)) for _ in range(40)]
    works_for(served, cast.keys["borealis"])
    with psycopg.connect(pooling.direct(), autocommit=True) as database:
        assert min(busy(database) for _ in range(200)) == 0  # a thread of the process may just write what was read
    for client in stalled:
        status, headers, body = client.answer()
        assert (status, headers["content-type"]) == (408, "application/problem+json")
        assert orjson.loads(body)["code"] == "too-slow"


def test_a_taxii_client_that_stalls_is_told_so_in_taxii(cast, served):
    path = f"/taxii2/exchange/collections/{cast.aster.collection_id}/objects/"
    client = Client(served).send(STALLED.format(path=path, more=bearer(cast.keys["aster"]), length=10_000))
    status, headers, body = client.answer()
    assert (status, headers["content-type"]) == (408, "application/taxii+json;version=2.1")
    assert orjson.loads(body)["error_code"] == "too-slow"


def test_announcing_the_largest_push_keeps_nobody_from_pushing(cast, served):
    more = bearer(cast.keys["aster"])
    announced = [
        Client(served).send(STALLED.format(path="/api/v1/batches", more=more, length=32 * 1024 * 1024))
        for _ in range(4)
    ]
    for name in ("borealis", "cygnus", "aster"):
        assert push(served, cast.keys[name]).status_code == 200
    for client in announced:
        client.socket.close()


def test_a_large_body_is_for_partners_only(cast, served):
    body = orjson.dumps({"objects": [build.an_indicator()], "x_pad": "x" * 2_000_000})
    headers = {"Content-Type": "application/json"}
    assert asked(served, "POST", "/api/v1/batches", "exk_unknown_key", content=body, headers=headers).status_code == 401
    assert asked(served, "POST", "/account/login/", content=body).status_code == 413
    assert (
        asked(served, "POST", "/api/v1/batches", cast.keys["aster"], content=body, headers=headers).status_code != 413
    )


@pytest.mark.long
def test_unread_bundles_hold_no_connection_and_stop_nobody(cast):
    viewer = build.viewer_of(cast.aster)
    for _ in range(6):
        build.publish(viewer, *(build.an_indicator() | {"description": "x" * 60_000} for _ in range(40)))
    with Started(STALLED_SECONDS="120") as served:  # nobody is cut off while we look
        text = f"GET /api/v1/bundle HTTP/1.1\nHost: 127.0.0.1\n{bearer(cast.keys['borealis'])}\n"
        unread = [Client(served, receive_bytes=4_096).send(text) for _ in range(50)]
        works_for(served, cast.keys["aster"])
        with psycopg.connect(pooling.direct(), autocommit=True) as database:
            until(lambda: busy(database) == 0)
        works_for(served, cast.keys["cygnus"])
        for client in unread:
            client.socket.close()
        whole = asked(served, "GET", "/api/v1/bundle", cast.keys["borealis"])
        assert len(whole.json()["objects"]) == 240 + 1


def busy(database: psycopg.Connection) -> int:
    """Connections to the database that do or hold something, but this one and the test's."""
    return database.execute(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        " AND state IS DISTINCT FROM 'idle' AND backend_type = 'client backend'"
    ).fetchone()[0]


@pytest.mark.long
def test_two_members_take_no_streams_from_the_third(cast, served):
    streams = []
    for name in ("aster", "borealis"):
        for _ in range(70):
            text = f"GET /api/v1/events HTTP/1.1\nHost: 127.0.0.1\n{bearer(cast.keys[name])}\n"
            streams.append(Client(served).send(text))
    until(lambda: any(client.answer(bodiless=True)[0] == 429 for client in reversed(streams)))
    with Client(served) as third:
        third.send(f"GET /api/v1/events HTTP/1.1\nHost: 127.0.0.1\n{bearer(cast.keys['cygnus'])}\n")
        assert third.answer(bodiless=True)[0] == 200
        works_for(served, cast.keys["cygnus"])
    for client in streams:
        client.socket.close()


def test_many_who_wait_stop_nobody_and_are_told_when_something_comes(cast, served):
    key = cast.keys["borealis"]
    cursor = asked(served, "GET", "/api/v1/changes", key).json()["cursor"]
    text = f"GET /api/v1/changes?cursor={cursor}&wait=25 HTTP/1.1\nHost: 127.0.0.1\n{bearer(key)}\n"
    waiting = [Client(served).send(text) for _ in range(40)]
    works_for(served, cast.keys["cygnus"])
    made = build.an_indicator()
    body = orjson.dumps({"objects": [made]})
    headers = {"Content-Type": "application/json"}
    assert (
        asked(served, "POST", "/api/v1/batches", cast.keys["aster"], content=body, headers=headers).status_code == 200
    )
    for client in waiting:
        status, _, body = client.answer()
        assert status == 200
        assert [change["id"] for change in orjson.loads(body)["changes"]] == [made["id"]]


def test_a_revoked_key_waits_no_longer(cast, served):
    key = cast.keys["borealis"]
    cursor = asked(served, "GET", "/api/v1/changes", key).json()["cursor"]
    with Client(served) as client, Client(served) as stream:
        stream.send(f"GET /api/v1/events HTTP/1.1\nHost: 127.0.0.1\n{bearer(key)}\n")
        assert stream.answer(bodiless=True)[0] == 200
        client.send(f"GET /api/v1/changes?cursor={cursor}&wait=25 HTTP/1.1\nHost: 127.0.0.1\n{bearer(key)}\n")
        keys.revoke(ApiKey.objects.get(public_id=keys.public_id_of(key)))
        status, _, body = client.answer()
        assert (status, orjson.loads(body)["code"]) == (401, "invalid-key")
        assert any(b'"invalid-key"' in line for line in stream.file)


def test_whoever_leaves_gives_their_wait_back(cast, served):
    key = cast.keys["borealis"]
    cursor = asked(served, "GET", "/api/v1/changes", key).json()["cursor"]
    text = f"GET /api/v1/changes?cursor={cursor}&wait=25 HTTP/1.1\nHost: 127.0.0.1\n{bearer(key)}\n"
    for _ in range(3):
        for client in [Client(served).send(text) for _ in range(60)]:
            client.socket.close()
    with Client(served) as client:
        client.send(text)
        push(served, cast.keys["aster"])
        assert len(orjson.loads(client.answer()[2])["changes"]) == 1


def test_a_forged_certificate_header_with_underscores_passes_no_bound_key(cast):
    subject = "CN=pipeline.aster.example"
    bound = keys.issue(cast.aster, name="bound", scopes=[Scope.READ], certificate_subject=subject)[1]
    settings = {"MTLS_PROXIES": "127.0.0.1/32", "MTLS_SUBJECT_HEADER": "X-Client-Subject"}
    with Started(**settings) as served:
        assert asked(served, "GET", "/api/v1/me", bound, headers={"X-Client-Subject": subject}).status_code == 200
        for name in ("X_Client_Subject", "X-Client_Subject", "x_client-subject"):
            assert asked(served, "GET", "/api/v1/me", bound, headers={name: subject}).status_code == 401


def test_ready_says_so_within_two_seconds_while_the_database_is_away(cast):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.listen(64)
        url = f"postgresql://nobody@127.0.0.1:{silent.getsockname()[1]}/exchange?connect_timeout={10 * int(DEADLINE_S)}"
        with Started(DATABASE_URL=url) as served:
            assert health.WITHIN_S < 2
            for _ in range(3):
                answer = httpx.get(f"{served.url}/readyz", timeout=DEADLINE_S)
                assert answer.status_code == 503
                assert answer.json()["checks"]["database"] in {"no answer", "failed"}
            assert httpx.get(f"{served.url}/livez", timeout=DEADLINE_S).status_code == 200
