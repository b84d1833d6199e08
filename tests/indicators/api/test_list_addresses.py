"""Addresses of lists: what a token opens, and that it opens nothing else."""

from __future__ import annotations

import gzip
from datetime import timedelta

import pytest
import time_machine
import zstandard
from django.test import Client

from exchange import clock, logs
from exchange.errors import Conflict
from exchange.front import Front
from exchange.web.shares import Share, Stranger
from indicators.feeds import blocklists
from indicators.models import FeedSet
from partners import keys
from partners.log import reads
from partners.models import ApiKey, AuditRecord, ReadTally
from partners.scopes import Scope
from tests import build
from tests.indicators.api.caller import API, Caller, another, at, code, read
from tests.indicators.api.test_delta import Subscriber

pytestmark = pytest.mark.django_db


def made(caller, feed="all", **more):
    return read(caller.send("POST", f"feeds/{feed}/addresses", {"name": "edge", **more}), 201)


def get(path, **headers):
    """As a system that knows nothing but an address; `headers` of WSGI's names besides."""
    where = path.removeprefix("https://testserver").removeprefix("http://testserver")
    return Client(raise_request_exception=False).get(
        "/" + where.split("/", 3)[-1] if "://" in where else where, **headers
    )


def body(answer):
    return b"".join(answer.streaming_content) if answer.streaming else answer.content


@pytest.fixture
def feed(borealis):
    return read(borealis.send("POST", "feeds", {"name": "sure", "text": "confidence:>=70"}), 201)["id"]


@pytest.fixture
def listed(aster):
    sure, other = build.an_indicator() | {"confidence": 90}, build.an_indicator() | {"confidence": 10}
    aster.push(sure, other)
    return sure


@pytest.mark.parametrize("form", blocklists.MEDIA_TYPES)
def test_an_address_reads_its_feed_in_its_format_as_the_key_would(borealis, feed, listed, form):
    address = made(borealis, feed, format=form)["address"]
    answer = get(address)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"] == blocklists.MEDIA_TYPES[form]
    assert body(answer) == body(borealis.get(f"blocklists/{feed}?format={form}"))


def test_a_token_is_told_once_and_its_hash_alone_is_kept(borealis, feed, cast):
    answer = made(borealis, feed)
    token, public_id = answer["token"], answer["id"]
    assert answer["address"].endswith(f"/api/v1/lists/{token}")
    key = ApiKey.objects.get(public_id=public_id)
    assert bytes(key.digest) == keys.digest(token)
    secret = token.split("_")[2]
    shown = [borealis.get(path).content.decode() for path in (f"feeds/{feed}/addresses",)]
    shown += [
        Caller(build.a_key(cast.borealis, Scope.ADMIN)).get(path).content.decode() for path in ("keys", "log/records")
    ]
    assert public_id in shown[0]
    assert not [text for text in shown if secret in text]


def test_a_token_opens_its_list_and_nothing_else(borealis, feed, listed, cast):
    token = made(borealis, feed)["token"]
    asked = Caller(token)
    paths = (
        "me",
        "changes",
        f"feeds/{feed}",
        f"feeds/{feed}/delta",
        f"blocklists/{feed}",
        "log/head",
        "objects",
        "keys",
    )
    assert {path: code(asked.get(path), 401) for path in paths} == dict.fromkeys(paths, "invalid-key")
    assert asked.get("/taxii2/").status_code == 401
    assert code(get(API + f"lists/{borealis.key}"), 401) == "unauthenticated"
    assert code(borealis.get(f"lists/{keys.public_id_of(borealis.key)}"), 401) == "invalid-key"
    assert code(get(API + f"lists/{token}?format=csv"), 422) == "unknown-parameter"
    assert get(API + f"lists/{token[:-1]}x").status_code == 401
    assert Client().post(API + f"lists/{token}").status_code == 405


def test_a_system_that_can_send_a_header_keeps_the_token_out_of_the_address(borealis, feed, listed):
    answer = made(borealis, feed)
    bearer = Caller(answer["token"]).get(f"lists/{answer['id']}")
    assert bearer.status_code == 200
    assert code(get(API + f"lists/{answer['id']}"), 401) == "unauthenticated"
    other = made(borealis, feed, name="other")
    assert code(Caller(other["token"]).get(f"lists/{answer['id']}"), 401) == "invalid-key"


def test_it_ends_by_time_by_hand_with_the_key_that_made_it_and_with_its_feed(borealis, cast, feed, listed):
    maker = Caller(build.a_key(cast.borealis, Scope.SUBSCRIBE, Scope.READ))
    short = made(borealis, feed, expires_in_minutes=5)["address"]
    by_hand = made(borealis, feed, name="by hand")
    child = made(maker, feed, name="child")["address"]
    with_feed = made(borealis, feed, name="with feed")["address"]
    every = (short, by_hand["address"], child, with_feed)
    assert {get(one).status_code for one in every} == {200}
    with time_machine.travel(clock.now() + timedelta(minutes=6)):
        assert [get(one).status_code for one in every] == [401, 200, 200, 200]
        assert borealis.ask("DELETE", f"feeds/{feed}/addresses/{by_hand['id']}").status_code == 204
        keys.revoke(ApiKey.objects.get(public_id=keys.public_id_of(maker.key)))
        assert [get(one).status_code for one in every] == [401, 401, 401, 200]
        assert borealis.ask("DELETE", f"feeds/{feed}").status_code == 204
        assert get(with_feed).status_code == 401
    revoked = AuditRecord.objects.filter(verb="key.revoked", target__in=[f"key:{by_hand['id']}"])
    assert revoked.count() == 1


def test_it_is_read_from_its_networks_and_its_last_use_is_noted(borealis, feed, listed):
    answer = made(borealis, feed, networks=["203.0.113.0/24"])
    assert get(answer["address"]).status_code == 401
    assert get(answer["address"], REMOTE_ADDR="203.0.113.9").status_code == 200
    (shown,) = read(borealis.get(f"feeds/{feed}/addresses"))["addresses"]
    assert shown["last_used_at"]
    assert (shown["format"], shown["state"], shown["networks"]) == ("text", "active", ["203.0.113.0/24"])


def test_what_was_read_with_it_and_who_made_it_stands_in_the_log(borealis, feed, listed):
    answer = made(borealis, feed)
    get(answer["address"])
    reads.write_gathered()
    (issued,) = AuditRecord.objects.filter(verb="key.issued", target=f"key:{answer['id']}")
    assert issued.details["only"] == f"list:{feed}:text"
    assert issued.actor == borealis.viewer.actor
    assert ReadTally.objects.filter(actor=f"key:{answer['id']}", surface="rest:blocklist", feed=feed).exists()


def test_a_key_for_some_groups_makes_addresses_of_these_groups(borealis, cast, listed, feed):
    scopes = {Scope.SUBSCRIBE, Scope.READ}
    narrow = Caller(keys.issue(cast.borealis, name="narrow", scopes=scopes, groups=[cast.ring.pk])[1])
    address = made(narrow, feed)
    assert ApiKey.objects.get(public_id=address["id"]).groups == [cast.ring.pk]


def test_a_successor_of_a_token_opens_no_more_than_it_did(borealis, cast, feed, listed):
    key = ApiKey.objects.get(public_id=made(borealis, feed)["id"])
    _, token = keys.rotate(key, overlap=timedelta(0))
    assert token.startswith("exl_")
    assert get(API + f"lists/{token}").status_code == 200
    assert code(Caller(token).get("me"), 401) == "invalid-key"


def test_who_may_make_and_end_them(aster, borealis, cast, feed):
    answer = made(borealis, feed)
    assert code(aster.send("POST", f"feeds/{feed}/addresses", {"name": "x"}), 404) == "not-found"
    assert code(aster.get(f"feeds/{feed}/addresses"), 404) == "not-found"
    assert code(aster.ask("DELETE", f"feeds/all/addresses/{answer['id']}"), 404) == "not-found"
    assert code(borealis.ask("DELETE", f"feeds/all/addresses/{answer['id']}"), 404) == "not-found"
    reads_only = another(cast.borealis, Scope.READ)
    assert code(reads_only.send("POST", f"feeds/{feed}/addresses", {"name": "x"}), 403) == "missing-scope"
    assert code(reads_only.get(f"feeds/{feed}/addresses"), 403) == "missing-scope"
    bad = borealis.send("POST", f"feeds/{feed}/addresses", {"name": "x", "format": "pdf"})
    assert (at(bad), code(bad, 422)) == ("/format", "bad-format")
    assert at(borealis.send("POST", f"feeds/{feed}/addresses", {"name": "x", "networks": ["here"]})) == "/networks"


def test_a_feed_has_so_many_addresses_at_a_time(borealis, feed, monkeypatch):
    monkeypatch.setattr("indicators.feeds.addresses.MOST", 2)
    first = made(borealis, feed, name="a")
    made(borealis, feed, name="b")
    full = borealis.send("POST", f"feeds/{feed}/addresses", {"name": "c"})
    assert code(full, 409) == "too-many-addresses"
    borealis.ask("DELETE", f"feeds/{feed}/addresses/{first['id']}")
    made(borealis, feed, name="c")


@pytest.mark.parametrize("spell", [str.upper, lambda one: one.replace("-", ""), "{{{}}}".format, "urn:uuid:{}".format])
def test_a_feeds_id_in_another_spelling_is_the_same_feed(borealis, feed, listed, spell, monkeypatch):
    other = spell(feed)
    address = made(borealis, other, name="typed otherwise")
    assert address["feed"] == feed
    for typed in (feed, other):
        assert [one["id"] for one in read(borealis.get(f"feeds/{typed}/addresses"))["addresses"]] == [address["id"]]
        for path in (f"feeds/{typed}/delta", f"blocklists/{typed}", f"changes?feed={typed}"):
            assert borealis.get(path).status_code == 200
        assert borealis.get(f"feeds/{typed}/snapshot").status_code in (200, 202)
        assert borealis.get(f"feeds/{typed}/ranges").status_code in (200, 202)
    reader = Subscriber(borealis, feed)
    reader.catch_up()
    assert borealis.get(f"feeds/{other}/delta?cursor={reader.cursor}").status_code == 200
    said = {"instance": "i", "cursor": reader.cursor}
    said |= {"set_count": reader.trailer.set_count, "set_hash": reader.trailer.set_hash}
    assert read(borealis.send("POST", f"feeds/{other}/acks", said))["equal"] is True
    assert FeedSet.unrestricted.filter(partner=borealis.viewer.partner_id).count() == 1
    reads.write_gathered()
    assert set(ReadTally.objects.values_list("feed", flat=True)) == {feed}
    monkeypatch.setattr("indicators.feeds.addresses.MOST", 1)
    assert code(borealis.send("POST", f"feeds/{feed}/addresses", {"name": "x"}), 409) == "too-many-addresses"
    assert borealis.ask("DELETE", f"feeds/{feed}").status_code == 204
    assert get(address["address"]).status_code == 401


def test_addresses_share_no_names_with_keys_and_each_format_has_its_own(borealis, cast, feed):
    production, _ = keys.issue(cast.borealis, name="edge", scopes=[Scope.READ])
    for of in ("all", feed):
        for form in ("text", "csv"):
            for _ in range(2):
                made(borealis, of, format=form)
    third = borealis.send("POST", f"feeds/{feed}/addresses", {"name": "edge"})
    assert code(third, 409) == "two-keys-of-this-name"
    keys.rotate(production, overlap=timedelta(hours=1))
    with pytest.raises(Conflict):
        keys.issue(cast.borealis, name="edge", scopes=[Scope.READ])
    made(borealis, feed, name=ApiKey.objects.get(public_id=keys.public_id_of(borealis.key)).name)


@pytest.mark.parametrize("networks", [[""], ["  "], ["203.0.113.0/24", ""]])
def test_a_network_that_is_named_but_blank_is_not_anywhere(borealis, feed, networks):
    refused = borealis.send("POST", f"feeds/{feed}/addresses", {"name": "x", "networks": networks})
    assert (code(refused, 422), at(refused)) == ("bad-network", "/networks")


def test_a_list_is_packed_and_known_by_either_form_of_its_tag(aster, borealis):
    aster.push(*[build.an_indicator() for _ in range(60)])
    address = made(borealis)["address"]
    plain = get(address)
    content, tag = body(plain), plain.headers["ETag"]
    assert not tag.startswith("W/")
    openers = {
        "gzip": gzip.decompress,
        "zstd": lambda raw: zstandard.ZstdDecompressor().decompressobj().decompress(raw),
    }
    for coding, opened in openers.items():
        packed = get(address, HTTP_ACCEPT_ENCODING=f"br, {coding}")
        assert packed.headers["Content-Encoding"] == coding
        assert packed.headers["ETag"] == f"W/{tag}"
        assert "Accept-Encoding" in packed.headers["Vary"]
        raw = body(packed)
        assert opened(raw) == content
        assert len(raw) < len(content)
        for known in (tag, f"W/{tag}"):
            same = get(address, HTTP_ACCEPT_ENCODING=coding, HTTP_IF_NONE_MATCH=known)
            assert (same.status_code, body(same)) == (304, b"")
            assert "Accept-Encoding" in same.headers["Vary"]
    aster.push(build.an_indicator())
    assert get(address, HTTP_IF_NONE_MATCH=tag).status_code == 200


def test_an_address_stands_in_no_line_of_the_log(borealis, feed):
    token = made(borealis, feed)["token"]
    said = logs.blanked(logs.as_json({"event": "request", "path": API + f"lists/{token}"}))
    assert "/api/v1/lists/" in said
    assert token.split("_")[2] not in said


def test_who_reads_a_list_by_its_address_has_the_share_of_its_partner(cast, borealis, feed):
    """Not that of the strangers: they all together leave it none."""
    front, token = Front(), made(borealis, feed)["token"]
    asked = {"PATH_INFO": f"/api/v1/lists/{token}", "REMOTE_ADDR": "192.0.2.7", "REQUEST_METHOD": "GET"}
    share = Share(8)
    while share.take(Stranger("198.51.100.0/24")) or share.take(front.network(asked)):
        pass
    assert front.known(asked) is None, "it is to be asked about"
    assert front.ask(asked) == cast.borealis.pk
    assert front.known(asked) == cast.borealis.pk
    assert front.known(asked | {"HTTP_AUTHORIZATION": "Bearer no"}) == cast.borealis.pk, "the address says who asks"
    assert share.take(front.known(asked))
    by_id = {"PATH_INFO": f"/api/v1/lists/{token.split('_')[1]}", "HTTP_AUTHORIZATION": f"Bearer {token}"}
    assert front.known(asked | by_id) == cast.borealis.pk
    forged = asked | {"PATH_INFO": f"/api/v1/lists/{token[:-1]}{'a' if token[-1] != 'a' else 'b'}"}
    assert (front.known(forged), front.ask(forged)) == (None, None)
    elsewhere = asked | {"PATH_INFO": f"/api/v1/changes/{token}"}
    assert front.known(elsewhere) == front.network(elsewhere), "it opens a list and nothing else"
