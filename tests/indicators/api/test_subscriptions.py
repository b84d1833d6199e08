"""Feeds and subscriptions: a partner's own, strictly read, and never shown to another."""

from __future__ import annotations

import uuid

import pytest

from indicators.models import Delivery
from indicators.telling import notifying
from partners.scopes import Scope
from tests import build, sending
from tests.indicators.api.caller import another as key_of
from tests.indicators.api.caller import at, code, read

pytestmark = pytest.mark.django_db

URL = "https://receiver.example/hook"


@pytest.fixture
def feed(aster):
    return read(aster.send("POST", "feeds", {"name": "cards", "filter": {"kinds": ["payment-fingerprint"]}}), 201)


@pytest.fixture
def subscription(aster, feed):
    return read(aster.send("POST", "subscriptions", {"url": URL, "feed": feed["id"]}), 201)


def test_a_feed_is_saved_read_listed_and_deleted(aster):
    made = read(aster.send("POST", "feeds", {"name": " cards ", "filter": {"kinds": ["payment-fingerprint"]}}), 201)
    assert made["name"] == "cards"
    assert (made["filter"], made["text"]) == ({"kind": ["payment-fingerprint"]}, "kind:payment-fingerprint")
    assert read(aster.get(f"feeds/{made['id']}")) == made
    assert read(aster.get("feeds")) == {"feeds": [made]}
    deleted = aster.ask("DELETE", f"feeds/{made['id']}")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert code(aster.get(f"feeds/{made['id']}"), 404) == "not-found"


@pytest.mark.parametrize(
    ("document", "field", "expected"),
    [
        ({}, "/name", "bad-name"),
        ({"name": None}, "/name", "bad-name"),
        ({"name": "x" * 121}, "/name", "bad-name"),
        ({"name": 7}, "/name", "wrong-type"),
        ({"name": "n", "filters": {}}, "/filters", "unknown-property"),
        ({"name": "a\0b"}, "/name", "nul-character"),
        ({"name": "n", "filter": []}, "/filter", "wrong-type"),
        ({"name": "n", "filter": {"knid": ["x"]}}, "/filter/knid", "unknown-filter"),
        ({"name": "n", "filter": {"kind": ["x"]}}, "/filter/kind", "unknown-kind"),
        ({"name": "n", "text": "kind:x"}, "/filter", "unknown-kind"),
        ({"name": "n", "text": "-publisher:nobody"}, "/filter/publisher", "unknown-partner"),
        ({"name": "n", "text": "group:nowhere"}, "/filter/group", "unknown-group"),
        ({"name": "n", "filter": {"kinds": "x"}}, "/filter/kinds", "bad-filter"),
        ({"name": "n", "filter": {"kinds": ["a\0b"]}}, "/filter/kinds", "bad-filter"),
        ({"name": "n", "filter": {"kinds": ["x"] * 51}}, "/filter/kinds", "bad-filter"),
        ({"name": "n", "filter": {"publishers": ["aster"]}}, "/filter/publishers", "bad-filter"),
        ({"name": "n", "filter": {"min_confidence": 101}}, "/filter/min_confidence", "bad-filter"),
        ({"name": "n", "filter": {"min_confidence": True}}, "/filter/min_confidence", "bad-filter"),
    ],
)
def test_a_feed_is_read_strictly(aster, document, field, expected):
    answer = aster.send("POST", "feeds", document)
    assert (code(answer, 422), at(answer)) == (expected, field)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"7", b'{"name":1,"name":2}', b'{"name":"\\ud800"}', b"[" * 5_000])
def test_what_is_no_json_object_is_malformed(aster, body):
    media = "application/json"
    answer = aster.ask("POST", "feeds", body, media=media)
    assert code(answer, 400 if body else 415) == ("malformed-json" if body else "unsupported-media-type")


def test_a_form_is_small_and_json(aster):
    assert code(aster.ask("POST", "feeds", b" " * 65_537, media="application/json"), 413) == "body-too-large"
    assert code(aster.ask("POST", "feeds", b"name=x", media="application/x-www-form-urlencoded"), 415)


def test_a_name_is_used_once(aster, borealis, feed):
    assert code(aster.send("POST", "feeds", {"name": "cards"}), 409) == "name-taken"
    read(borealis.send("POST", "feeds", {"name": "cards"}), 201)


def test_a_feed_that_is_subscribed_to_stays(aster, feed, subscription):
    assert code(aster.ask("DELETE", f"feeds/{feed['id']}"), 409) == "feed-in-use"


def test_a_subscription_tells_its_secret_once(aster, feed, subscription):
    assert subscription["secret"].startswith("whsec_")
    assert (subscription["url"], subscription["feed"], subscription["state"]) == (URL, feed["id"], "active")
    shown = {name: value for name, value in subscription.items() if name != "secret"}
    assert read(aster.get(f"subscriptions/{subscription['id']}")) == shown
    assert read(aster.get("subscriptions")) == {"subscriptions": [shown]}


def test_a_subscription_is_paused_and_taken_up_again(aster, subscription):
    path = f"subscriptions/{subscription['id']}"
    for state in ("paused", "active"):
        assert read(aster.send("PATCH", path, {"state": state}))["state"] == state
        assert read(aster.get(path))["state"] == state


@pytest.mark.parametrize("document", [{}, {"state": "dead"}, {"state": "x"}, {"state": None}])
def test_only_active_and_paused_can_be_chosen(aster, subscription, document):
    assert code(aster.send("PATCH", f"subscriptions/{subscription['id']}", document), 422) == "bad-state"


def test_the_address_and_the_feed_of_a_subscription_can_change(aster, borealis, feed, subscription):
    path, other = f"subscriptions/{subscription['id']}", "https://other.example/"
    changed = read(aster.send("PATCH", path, {"url": other, "feed": None}))
    assert (changed["url"], changed["feed"], changed["state"]) == (other, None, "active")
    assert read(aster.send("PATCH", path, {"feed": feed["id"]}))["feed"] == feed["id"]
    assert read(aster.get(path))["url"] == other
    for document, field in (
        ({"url": "https://10.0.0.1/"}, "/url"),
        ({"url": None}, "/state"),
        ({"feed": "x"}, "/feed"),
    ):
        answer = aster.send("PATCH", path, document)
        assert (answer.status_code, at(answer)) == (422, field)
    theirs = read(borealis.send("POST", "feeds", {"name": "cards"}), 201)
    assert code(aster.send("PATCH", path, {"feed": theirs["id"]}), 404) == "not-found"
    assert read(aster.get(path))["feed"] == feed["id"]


def test_a_new_secret_is_told_once_and_the_old_one_holds_for_a_while(aster, borealis, subscription):
    path = f"subscriptions/{subscription['id']}"
    renewed = read(aster.send("POST", f"{path}/secret", {"overlap_hours": 2}))
    assert renewed["secret"].startswith("whsec_")
    assert renewed["secret"] != subscription["secret"]
    shown = read(aster.get(path))
    assert shown["old_secret_until"] == renewed["old_secret_until"] > shown["created_at"]
    assert "secret" not in shown
    assert read(aster.send("POST", f"{path}/secret", {"overlap_hours": 0}))["old_secret_until"] is None
    assert read(aster.send("POST", f"{path}/secret", {}))["old_secret_until"]
    for wrong in (-1, 169, True, 2**62):
        answer = aster.send("POST", f"{path}/secret", {"overlap_hours": wrong})
        assert (answer.status_code, at(answer)) == (422, "/overlap_hours")
    assert code(borealis.send("POST", f"{path}/secret", {}), 404) == "not-found"


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ftp://receiver.example/",
        "https://10.0.0.1/",
        "https://169.254.169.254/latest",
        "https://user:secret@receiver.example/",
        "https://receiver.example/" + "x" * 2_000,
        "https://receiver.example:99999/",
        "javascript:alert(1)",
    ],
)
def test_an_address_that_may_not_be_asked_is_refused(aster, url):
    answer = aster.send("POST", "subscriptions", {"url": url})
    assert (code(answer, 422), at(answer)) == ("address-not-allowed", "/url")


def test_a_subscription_to_anothers_feed_is_to_none(aster, borealis, feed):
    answer = borealis.send("POST", "subscriptions", {"url": URL, "feed": feed["id"]})
    absent = borealis.send("POST", "subscriptions", {"url": URL, "feed": str(uuid.uuid4())})
    assert code(answer, 404) == code(absent, 404) == "not-found"
    assert code(borealis.send("POST", "subscriptions", {"url": URL, "feed": "x"}), 422) == "wrong-type"


def test_a_subscription_ends_with_its_deliveries(aster, subscription):
    path = f"subscriptions/{subscription['id']}"
    assert aster.ask("DELETE", path).status_code == 204
    assert code(aster.get(path), 404) == "not-found"
    assert code(aster.get(f"{path}/deliveries"), 404) == "not-found"


def test_deliveries_are_told_newest_first_without_their_places(aster, borealis):
    mine = read(aster.send("POST", "subscriptions", {"url": URL}), 201)
    borealis.push(build.an_indicator())
    delivery_id = notifying.dispatch(uuid.UUID(mine["id"]))
    (told,) = read(aster.get(f"subscriptions/{mine['id']}/deliveries"))["deliveries"]
    assert (told["id"], told["state"], told["attempts"], told["changes"]) == (str(delivery_id), "due", 0, 1)
    assert not {name for name in told if "seq" in name}
    assert code(borealis.get(f"subscriptions/{mine['id']}/deliveries"), 404) == "not-found"


def test_any_delivery_can_be_sent_again(aster, borealis):
    mine = read(aster.send("POST", "subscriptions", {"url": URL}), 201)
    borealis.push(build.an_indicator())
    delivery_id = notifying.dispatch(uuid.UUID(mine["id"]))
    path = f"deliveries/{delivery_id}/redeliver"
    assert read(aster.ask("POST", path), 202)["id"] == str(delivery_id)  # it waits: due now
    assert code(borealis.ask("POST", path), 404) == "not-found"
    for ended in ("dead", "delivered"):
        Delivery.objects.of(aster.viewer).filter(pk=delivery_id).update(state=ended)
        answer = aster.ask("POST", path)
        again = read(answer, 202)
        assert (again["kind"], again["state"], again["webhook_id"]) == ("again", "due", f"msg_{delivery_id}")
        assert read(aster.get(answer.headers["Location"])) == again
        assert code(borealis.get(answer.headers["Location"]), 404) == "not-found"
    Delivery.objects.of(aster.viewer).filter(pk=delivery_id).update(state="sending")
    assert code(aster.ask("POST", path), 409) == "being-sent"


def test_dead_letters_are_replayed_by_id_and_by_time(aster, borealis):
    mine = read(aster.send("POST", "subscriptions", {"url": URL, "format": "slack"}), 201)
    assert (mine["format"], mine["failures"], mine["failing_since"]) == ("slack", 0, None)
    path = f"subscriptions/{mine['id']}"
    assert read(aster.send("PATCH", path, {"format": "teams"}))["format"] == "teams"
    assert code(aster.send("PATCH", path, {"format": "irc"}), 422) == "bad-format"
    row = {"partner_id": aster.viewer.partner_id, "subscription_id": uuid.UUID(mine["id"]), "changes": 1}
    row |= {"state": "dead"}
    letters = [str(Delivery.unrestricted.create(first_seq=at, last_seq=at + 1, **row).pk) for at in range(3)]
    listed = read(aster.get(f"{path}/dead-letters"))
    assert ([one["id"] for one in listed["deliveries"]], listed["more"]) == (letters, False)
    assert read(aster.get(f"{path}/dead-letters?until=2026-01-01T00:00:00Z"))["deliveries"] == []
    for none in ("yesterday", "0001-01-01T00:00:00%2B23:59", "9999-12-31T23:59:59-05:00"):
        assert code(aster.get(f"{path}/dead-letters?since={none}"), 422) == "bad-parameter"
    (first,) = read(aster.send("POST", f"{path}/replay", {"deliveries": letters[:1]}), 202)["deliveries"]
    assert (first["kind"], first["state"], first["webhook_id"]) == ("replay", "due", f"msg_{letters[0]}")
    assert len(read(aster.send("POST", f"{path}/replay", {}), 202)["deliveries"]) == 2
    assert code(borealis.get(f"{path}/dead-letters"), 404) == "not-found"
    assert code(borealis.send("POST", f"{path}/replay", {}), 404) == "not-found"
    assert code(aster.send("POST", f"{path}/replay", {"deliveries": letters, "all": True}), 422) == "bad-range"
    assert code(aster.send("POST", f"{path}/replay", {"deliveries": []}), 422) == "bad-id", "none is not all"


def test_a_test_message_is_queued_and_its_delivery_says_how_it_went(aster, borealis):
    mine = read(aster.send("POST", "subscriptions", {"url": "http://127.0.0.1:9/"}), 201)
    answer = aster.ask("POST", f"subscriptions/{mine['id']}/test")
    said = read(answer, 202)
    assert (said["kind"], said["state"], said["outcome"]) == ("ping", "due", "")
    sending.send_next()
    tried = read(aster.get(answer.headers["Location"]))
    assert (tried["state"], tried["status_code"], tried["attempts"]) == ("dead", None, 1)
    assert tried["outcome"]
    assert code(borealis.ask("POST", f"subscriptions/{mine['id']}/test"), 404) == "not-found"


def test_a_test_message_asks_nobody_and_no_broker_before_its_answer(aster, monkeypatch):
    mine = read(aster.send("POST", "subscriptions", {"url": URL}), 201)

    def asked(*_, **__):
        raise AssertionError

    monkeypatch.setattr("exchange.outbound.posting", asked)
    monkeypatch.setattr(notifying.deliver, "apply_async", asked)
    for _ in range(10):
        read(aster.ask("POST", f"subscriptions/{mine['id']}/test"), 202)
    flood = aster.ask("POST", f"subscriptions/{mine['id']}/test")
    assert code(flood, 429) == "too-many-messages"
    assert flood.headers["Retry-After"] == "30"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "feeds"),
        ("DELETE", "feeds/{feed}"),
        ("GET", "subscriptions"),
        ("POST", "subscriptions"),
        ("PATCH", "subscriptions/{subscription}"),
        ("DELETE", "subscriptions/{subscription}"),
        ("POST", "subscriptions/{subscription}/test"),
        ("POST", "subscriptions/{subscription}/secret"),
        ("GET", "subscriptions/{subscription}/dead-letters"),
        ("POST", "subscriptions/{subscription}/replay"),
        ("GET", "subscriptions/{subscription}/deliveries"),
    ],
)
def test_each_of_these_needs_the_scope_to_subscribe(cast, feed, subscription, method, path):
    reader = key_of(cast.aster, Scope.READ, Scope.PUBLISH)
    asked = path.format(feed=feed["id"], subscription=subscription["id"])
    assert code(reader.ask(method, asked, b"{}", media="application/json"), 403) == "missing-scope"


def test_a_recipient_may_subscribe(dorado):
    read(dorado.send("POST", "subscriptions", {"url": URL}), 201)


# Whatever grows has a bound for each partner


@pytest.mark.parametrize(
    ("bound", "path", "document", "why"),
    [
        ("telling.subscribing._MAX_FEEDS", "feeds", {"name": "another"}, "too-many-feeds"),
        ("telling.subscribing._MAX_SUBSCRIPTIONS", "subscriptions", {"url": URL}, "too-many-subscriptions"),
        ("feeds.proving._MOST_SETS", "feeds/{feed}/delta", None, "too-many-sets"),
    ],
)
def test_a_partner_has_so_many_of_each_and_no_more(
    aster, borealis, feed, subscription, monkeypatch, bound, path, document, why
):
    def ask(caller, feed):
        there = path.format(feed=feed)
        return caller.get(there) if document is None else caller.send("POST", there, document)

    assert aster.get("feeds/all/delta").status_code == 200
    monkeypatch.setattr(f"indicators.{bound}", 1)
    assert code(ask(aster, feed["id"]), 409) == why
    assert ask(borealis, "all").status_code in (200, 201), "another's bound is another's"
