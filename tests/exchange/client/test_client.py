"""The client against the real faces, over a live server; and what it does when the server does not answer well."""

import http.server
import json
import threading
from pathlib import Path

import pytest

from exchange.client import ApiError, Client, Unreachable
from exchange.client.webhooks import verify
from indicators.stix import making
from partners.scopes import Scope
from tests import build


@pytest.fixture
def scripted():
    """A server that gives the listed answers, one after the other, and remembers what it was asked."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            server.asked.append((self.path, dict(self.headers), body))
            status, headers, document = server.answers.pop(0)
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(json.dumps(document).encode())

        do_GET = do_PUT = do_POST

        def log_message(self, *args):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    server.asked, server.answers = [], []
    server.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


ANSWER = {"id": "b", "counts": {"accepted": 1}, "results": []}


def test_a_slug_alone_is_not_taken_for_a_list_of_letters():
    with Client("http://127.0.0.1:1", "exk_x") as client:
        for audience in ({"groups": "ring"}, {"partners": "aster"}):
            with pytest.raises(TypeError, match="lists of slugs"):
                client.publish([], **audience)
        with pytest.raises(TypeError, match="scopes is a list"):
            client.issue_key("agent", scopes="read")


@pytest.mark.parametrize("empty", [[], [""]])
def test_an_empty_list_of_names_is_no_default_audience(scripted, empty):
    scripted.answers = [(200, {}, ANSWER), (200, {}, ANSWER), (204, {}, {})]
    with Client(scripted.url, "exk_x") as client:
        client.publish([{"type": "note"}], groups=empty)
        client.publish([{"type": "note"}])
        client.readdress("note--1", groups=[], tlp="red")
    (first, _, _), (second, _, _), (_, _, body) = scripted.asked
    assert (first.partition("?")[2], second.partition("?")[2]) == ("groups=", "")
    assert json.loads(body) == {"groups": [], "tlp": "red"}


def test_a_push_is_tried_again_with_the_same_key_and_bytes(scripted, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    scripted.answers = [(503, {}, {}), (429, {"Retry-After": "1"}, {}), (200, {}, ANSWER)]
    with Client(scripted.url, "exk_x") as client:
        assert client.publish([{"type": "note"}]).counts["accepted"] == 1
    keys = {headers["Idempotency-Key"] for _, headers, _ in scripted.asked}
    bodies = {body for _, _, body in scripted.asked}
    assert (len(scripted.asked), len(keys), len(bodies)) == (3, 1, 1)


def test_a_refusal_is_not_tried_again_and_says_why(scripted):
    scripted.answers = [
        (422, {}, {"code": "unknown-group", "detail": "No.", "request_id": "r1", "errors": [{"field": "/groups"}]})
    ]
    with Client(scripted.url, "exk_x") as client, pytest.raises(ApiError) as refused:
        client.publish([{"type": "note"}], groups=["x"])
    assert (refused.value.status, refused.value.code, refused.value.request_id) == (422, "unknown-group", "r1")
    assert str(refused.value) == "No. (unknown-group at /groups) [request r1]"


def test_no_answer_is_said_after_the_retries(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with Client("http://127.0.0.1:9", "exk_x", retries=2) as client, pytest.raises(Unreachable):
        client.me()


@pytest.mark.django_db(transaction=True)
def test_publish_read_follow_revoke_against_the_real_faces(live_server, tmp_path, monkeypatch):
    monkeypatch.setattr(
        "exchange.client.calls.following._PING_S", 0.1
    )  # nobody delivers here, so all of it is waited for
    cast = build.the_cast()
    indicators = [making.account_pattern() for _ in range(7)]
    written = json.dumps({"type": "bundle", "id": "bundle--1", "objects": indicators}, indent=3)
    path = Path(tmp_path / "bundle.json")
    path.write_text(written)
    seen = []
    with (
        Client(live_server.url, cast.keys["aster"]) as aster,
        Client(live_server.url, cast.keys["borealis"]) as borealis,
    ):
        result = aster.publish(path, groups=["ring"], batch_size=3, on_progress=seen.append)
        assert (result.counts["accepted"], len(result.batches), seen, result.ok) == (7, 3, [3, 3, 1], True)
        assert aster.batch(result.batches[0])["counts"]["accepted"] == 3
        again = aster.publish(path)
        assert again.counts["unchanged"] == 7
        assert [one["object"]["id"] for one in borealis.objects(limit=2)] == [i["id"] for i in reversed(indicators)]
        stretch = borealis.changes(limit=4)
        assert (len(stretch["changes"]), stretch["more"]) == (4, True)
        assert aster.revoke(indicators[0]["id"]).ok
        rest = borealis.changes(stretch["cursor"])
        assert rest["changes"][-1]["op"] == "remove"
        absent = borealis.revoke(indicators[1]["id"])
        assert [(one.stix_id, one.code) for one in absent.refusals] == [(indicators[1]["id"], "not-found")]
        with pytest.raises(ApiError, match=f"Not found: objects/indicator--{'0' * 8}"):
            borealis.object(f"indicator--{'0' * 8}-0000-4000-8000-{'0' * 12}")
        with pytest.raises(TypeError, match="not a dict"):
            aster.publish(indicators[0])
        wrong = making.account_pattern() | {"valid_until": "yesterday"}
        result = aster.publish([*[making.account_pattern() for _ in range(4)], wrong], batch_size=2)
        assert [(r.index, r.code, r.field) for r in result.refusals] == [(4, "bad-timestamp", "/valid_until")]
        feed = aster.save_feed("cards", {"kinds": ["payment-fingerprint"]})
        assert feed in aster.feeds()
        assert aster.changes(feed=feed["id"])["changes"] == []
        assert borealis.blocklist(kind="account-pattern").decode().count("\n") == 10
        made = aster.subscribe("http://127.0.0.1:9/hook", feed=feed["id"])
        assert aster.test_subscription(made["id"])["delivered"] is False
        assert [one["id"] for one in aster.subscriptions()] == [made["id"]]
        aster.unsubscribe(made["id"])
        assert aster.subscriptions() == []


@pytest.mark.django_db(transaction=True)
def test_a_key_that_may_only_read_is_told_so(live_server):
    cast = build.the_cast()
    with Client(live_server.url, build.a_key(cast.aster, Scope.READ)) as client, pytest.raises(ApiError) as refused:
        client.publish([making.account_pattern()])
    assert (refused.value.status, refused.value.code) == (403, "missing-scope")


def test_a_signature_of_the_server_is_good_and_any_change_is_not():
    from exchange import clock, signing

    secret, body = signing.new_secret(), b'{"a":1}'
    headers = signing.headers(secrets=[secret], message_id="msg_1", at=clock.now(), body=body)
    given = {"timestamp": headers["webhook-timestamp"], "signature": headers["webhook-signature"]}
    assert verify(secret, "msg_1", body=body, **given)
    assert not verify(secret, "msg_2", body=body, **given)
    assert not verify(secret, "msg_1", body=body + b" ", **given)
    assert not verify(signing.new_secret(), "msg_1", body=body, **given)
    assert not verify(secret, "msg_1", body=body, signature=given["signature"], timestamp="1000000000")
    assert not verify("whsec_???", "msg_1", body=body, **given)
