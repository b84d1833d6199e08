"""Read: pages of objects, single ids, matches and one's own quarantine; the publisher's bytes, untouched."""

from __future__ import annotations

import uuid

import orjson
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indicators.stix import making
from tests import build
from tests.indicators.api.caller import code, read
from tests.strategies import examples

pytestmark = pytest.mark.django_db


def odd_bytes() -> bytes:
    """An object as no serialiser of ours would write it: number formats, escapes, spaces, unknown properties."""
    plain = orjson.dumps(build.an_indicator()).decode()
    return (
        plain[:-1] + r' , "x_odd" : [1.0,1e2,-0.0,1E+2,0.10000000000000000001,"\u0041\/\u00e9 é \ud83d\ude00"]}'
    ).encode()


def test_a_page_holds_the_bytes_that_were_published(aster, borealis):
    raw = odd_bytes()
    read(aster.push(raw))
    assert raw in aster.get("objects").content
    assert b'"object":' + raw + b"}" in borealis.get("objects").content


def test_an_id_and_a_change_hold_the_bytes_that_were_published(aster, borealis):
    raw = odd_bytes()
    stix_id = read(aster.push(raw))["results"][0]["id"]
    assert raw in borealis.get(f"objects/{stix_id}").content
    assert raw in borealis.get("changes").content


def test_stix_alone_is_answered_where_stix_is_asked_for(aster, borealis):
    raw = odd_bytes()
    stix_id = read(aster.push(raw))["results"][0]["id"]
    answer = borealis.get(f"objects/{stix_id}", Accept="application/stix+json;version=2.1")
    assert answer.content == raw
    assert answer.headers["Content-Type"] == "application/stix+json;version=2.1"
    assert "Accept" in answer.headers["Vary"].split(", ")
    unknown = borealis.get(f"objects/indicator--{uuid.uuid4()}", Accept="application/stix+json")
    assert code(unknown, 404) == "not-found"


def test_a_statement_says_who_says_it_when_and_under_which_marking(cast, aster, borealis):
    one = making.account_pattern(tlp_word="amber")
    aster.push(one)
    (said,) = read(borealis.get("objects"))["objects"]
    assert said["publisher"] == {"id": str(cast.aster.pk), "name": "Aster", "slug": "aster"}
    assert said["tlp"] == "amber"
    assert said["object"] == one
    assert set(said) == {"publisher", "publisher_suspended", "tlp", "date_added", "object"}
    assert said["publisher_suspended"] is False


def test_no_place_in_the_log_leaves_the_house(aster, borealis):
    aster.push(build.an_indicator())
    for path in ("objects", "changes", "matches"):
        assert b'"seq"' not in borealis.get(path).content


def test_equal_bytes_of_two_publishers_are_one_statement(aster, borealis):
    same, other = build.an_indicator(), build.an_indicator()
    for caller in (aster, borealis):
        caller.push(same)
    aster.push(other)
    borealis.push(other | {"confidence": 10})
    (merged,) = read(aster.get(f"objects/{same['id']}"))["statements"]
    assert [by["slug"] for by in merged["publishers"]] == ["aster", "borealis"]
    assert len(read(aster.get(f"objects/{other['id']}"))["statements"]) == 2


def test_all_versions_are_answered_where_they_are_asked_for(aster):
    one = build.an_indicator()
    aster.push(one)
    aster.push(one | {"modified": build.later(), "confidence": 5})
    (last,) = read(aster.get(f"objects/{one['id']}"))["statements"]
    assert last["object"]["confidence"] == 5
    both = read(aster.get(f"objects/{one['id']}?versions=all"))["statements"]
    assert [said["object"]["confidence"] for said in both] == [80, 5]


def walk(caller, path: str, name: str, limit: int) -> list[dict]:
    """Page by page."""
    found, cursor = [], ""
    while True:
        page = read(
            caller.get(f"{path}{'&' if '?' in path else '?'}limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        )
        assert len(page[name]) <= limit
        found += page[name]
        cursor = page["next"]
        if not cursor:
            return found


@given(limit=st.integers(1, 8))
@settings(max_examples=examples(8), suppress_health_check=[HealthCheck.function_scoped_fixture])
@pytest.mark.slow
def test_page_by_page_is_the_whole_list_newest_first(aster, borealis, limit):
    ids = [build.an_indicator() for _ in range(7)]
    for one in ids:
        aster.push(one)
    whole = [said["object"]["id"] for said in read(borealis.get("objects"))["objects"]]
    assert whole[:7] == [one["id"] for one in reversed(ids)]
    assert [said["object"]["id"] for said in walk(borealis, "objects", "objects", limit)] == whole


def test_filters_narrow(cast, aster, borealis, cygnus):
    account = making.account_pattern("email", confidence=90, name="Blue heron")
    card = making.payment_fingerprint(confidence=20, name="Red heron")
    mine = making.prompt_signature(name="Grey goose")
    aster.push(account, card)
    borealis.push(mine)

    def ids(query: str) -> set[str]:
        return {said["object"]["id"] for said in read(borealis.get(f"objects?{query}"))["objects"]}

    assert ids("kind=account-pattern") == {account["id"]}
    assert ids("kind=account-pattern,payment-fingerprint") == {account["id"], card["id"]}
    assert ids("subkind=pan_token") == {card["id"]}
    assert ids("type=malware") == set()
    assert ids("min_confidence=85") == {account["id"]}
    assert ids("publisher=aster") == {account["id"], card["id"]}
    assert ids("mine=true") == {mine["id"]}
    assert ids("q=heron") == {account["id"], card["id"]}
    assert ids(f"q={card['id']}") == {card["id"]}
    assert ids("publisher=aster&mine=true") == set()
    assert {said["object"]["id"] for said in read(cygnus.get("objects?q=heron"))["objects"]} == set()


def test_a_cursor_serves_its_own_caller_and_filters_only(aster, borealis):
    aster.push(*[build.an_indicator() for _ in range(3)])
    cursor = read(borealis.get("objects?limit=1"))["next"]
    assert read(borealis.get(f"objects?limit=2&cursor={cursor}"))["objects"]
    assert code(aster.get(f"objects?cursor={cursor}"), 400) == "bad-cursor"
    assert code(borealis.get(f"objects?kind=account-pattern&cursor={cursor}"), 400) == "bad-cursor"
    assert code(borealis.get(f"changes?cursor={cursor}"), 400) == "bad-cursor"
    assert code(borealis.get(f"objects?cursor={cursor[:-2]}AA"), 400) == "bad-cursor"
    assert code(borealis.get("objects?cursor=%F0%9F%98%80"), 400) == "bad-cursor"


def matched(aster, cygnus) -> tuple[dict, dict]:
    """The same value from two partners, each seen by everyone."""
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    pair = (
        making.account_pattern(carrier=token, tlp_word="green"),
        making.account_pattern(carrier=token, tlp_word="green"),
    )
    aster.push(pair[0])
    cygnus.push(pair[1])
    return pair


def test_a_match_shows_both_its_ends(aster, borealis, cygnus):
    one, two = matched(aster, cygnus)
    (match,) = read(borealis.get("matches"))["matches"]
    assert {end["id"] for end in match["objects"]} == {one["id"], two["id"]}
    assert {end["publisher"]["slug"] for end in match["objects"]} == {"aster", "cygnus"}
    assert (match["basis"], match["domain"]) == ("token", "email")


def test_the_id_of_a_match_is_the_same_each_time_and_tells_no_count(aster, cygnus):
    matched(aster, cygnus)
    (match,) = read(aster.get("matches"))["matches"]
    assert uuid.UUID(match["id"])
    assert read(cygnus.get("matches"))["matches"][0]["id"] == match["id"]


def test_matches_are_paged(aster, cygnus):
    for _ in range(3):
        matched(aster, cygnus)
    whole = read(aster.get("matches"))["matches"]
    assert len(whole) == 3
    assert walk(aster, "matches", "matches", 1) == whole


def test_quarantine_is_shown_to_its_own_partner_with_the_bytes(aster, borealis):
    card = build.an_indicator() | {"labels": ["TLP:RED"]}
    raw = orjson.dumps(card)
    (result,) = read(aster.push(raw))["results"]
    assert result["status"] == "quarantined"
    answer = aster.get("quarantine")
    (waiting,) = read(answer)["quarantined"]
    assert waiting["id"] == card["id"]
    assert waiting["code"] == result["code"]
    assert raw in answer.content
    assert read(borealis.get("quarantine"))["quarantined"] == []


@pytest.mark.parametrize("path", ["objects", "changes", "matches"])
def test_a_page_costs_few_queries_however_many_objects_it_holds(aster, borealis, path):
    aster.push(*[build.an_indicator() for _ in range(30)])
    borealis.get("me")
    with CaptureQueriesContext(connection) as captured:
        read(borealis.get(path))
    assert len(captured) <= 5
