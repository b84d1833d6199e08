"""Follow: the delta feed and flat blocklists, as one who keeps a copy reads them."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime, timedelta

import orjson
import pytest
import time_machine

from exchange import clock
from indicators.api import rendering
from indicators.ending import retiring
from indicators.stix import making
from tests import build
from tests.indicators.api.caller import Caller, code, read

pytestmark = pytest.mark.django_db


def revoked(stix: dict) -> dict:
    return stix | {"revoked": True, "modified": build.later()}


def text(answer) -> str:
    assert answer.status_code == 200
    return b"".join(answer.streaming_content).decode()


def value_of(stix: dict) -> str:
    (extension,) = stix["extensions"].values()
    return extension["tokens"][0]["value"]


def test_the_feed_begins_with_what_there_is_and_goes_on_with_what_is_new(aster, borealis):
    first, second = build.an_indicator(), build.an_indicator()
    aster.push(first)
    start = read(borealis.get("changes"))
    assert [(change["op"], change["reason"], change["id"]) for change in start["changes"]] == [
        ("upsert", "published", first["id"])
    ]
    assert start["more"] is False
    idle = read(borealis.get(f"changes?cursor={start['cursor']}"))
    assert idle["changes"] == []
    aster.push(second, revoked(first))
    news = read(borealis.get(f"changes?cursor={idle['cursor']}"))["changes"]
    assert [(change["op"], change["reason"], change["id"]) for change in news] == [
        ("upsert", "published", second["id"]),
        ("remove", "revoked", first["id"]),
    ]
    assert "object" not in news[1]


def test_a_change_carries_what_a_blocklist_needs(cast, aster, borealis):
    one = making.account_pattern("phone", tlp_word="amber")
    aster.push(one)
    (change,) = read(borealis.get("changes"))["changes"]
    assert change["entries"] == [
        {
            "kind": "account-pattern",
            "subkind": "phone",
            "scheme": "hmac-sha256",
            "key_epoch": "2026q4",
            "value": value_of(one),
        }
    ]
    assert change["publisher"] == {"id": str(cast.aster.pk), "name": "Aster", "named": True}
    assert (change["type"], change["kind"], change["tlp"], change["confidence"]) == (
        "indicator",
        "account-pattern",
        "amber",
        80,
    )
    assert change["object"] == one
    assert set(change) == {
        *("op", "reason", "id", "type", "kind", "publisher", "tlp", "date_added"),
        *("confidence", "valid_from", "valid_until", "entries", "object"),
    }


def test_who_begins_is_not_told_to_remove_what_it_never_held(aster, borealis):
    gone, here = build.an_indicator(), build.an_indicator()
    aster.push(gone)
    held = read(borealis.get("changes"))["cursor"]
    aster.push(revoked(gone), here)
    assert [change["id"] for change in read(borealis.get("changes"))["changes"]] == [here["id"]]
    assert {change["op"] for change in read(borealis.get(f"changes?cursor={held}"))["changes"]} == {"upsert", "remove"}


def test_pages_of_the_feed_join_up(aster, borealis):
    ids = []
    for _ in range(5):
        one = build.an_indicator()
        aster.push(one)
        ids.append(one["id"])
    found, cursor = [], ""
    while True:
        page = read(borealis.get(f"changes?limit=2{cursor}"))
        found += [change["id"] for change in page["changes"]]
        cursor = f"&cursor={page['cursor']}"
        if not page["more"]:
            break
    assert found == ids


@pytest.mark.parametrize("path", ["changes", "objects"])
def test_a_page_ends_with_the_object_that_fills_it_and_none_is_lost(aster, borealis, monkeypatch, path):
    monkeypatch.setattr(rendering, "MAX_PAGE_BYTES", 6_000)
    sizes = (10, 3_000, 10, 20_000, 3_000, 3_000, 10)
    objects = [build.an_indicator() | {"x_filler": "x" * size} for size in sizes]
    for one in objects:
        aster.push(one)
    pages, cursor = [], ""
    while cursor is not None:
        page = read(borealis.get(f"{path}?limit=5{cursor and f'&cursor={cursor}'}"))
        pages.append([said["object"]["id"] for said in page[path]])
        cursor = page["next"] if path == "objects" else page["cursor"] if page["more"] else None
    told = [stix_id for page in pages for stix_id in page]
    assert told == [one["id"] for one in (objects if path == "changes" else reversed(objects))]
    assert all(pages)
    assert len(pages) > 2


def test_a_narrowed_object_is_a_remove_for_those_who_lost_sight(aster, borealis):
    one = build.an_indicator()
    aster.push(one, query="?groups=ring")
    cursor = read(borealis.get("changes"))["cursor"]
    aster.push(one | {"modified": build.later()}, query="?partners=cygnus&tlp=red")
    (change,) = read(borealis.get(f"changes?cursor={cursor}"))["changes"]
    assert (change["op"], change["reason"], change["id"]) == ("remove", "narrowed", one["id"])
    assert "object" not in change
    assert change["entries"] == []


def test_an_expired_object_is_a_remove(aster, borealis, monkeypatch):
    one = making.account_pattern(valid_for=timedelta(hours=1))
    aster.push(one)
    cursor = read(borealis.get("changes"))["cursor"]
    monkeypatch.setattr(clock, "now", lambda: datetime.now(tz=UTC) + timedelta(hours=2))
    assert retiring.expire() == 1
    (change,) = read(borealis.get(f"changes?cursor={cursor}"))["changes"]
    assert (change["op"], change["reason"], change["id"]) == ("remove", "expired", one["id"])


def test_a_feed_of_one_s_own_filters_the_changes_and_anothers_is_not_there(aster, borealis):
    feed = read(borealis.send("POST", "feeds", {"name": "cards", "filter": {"kinds": ["payment-fingerprint"]}}), 201)
    card, account = making.payment_fingerprint(), making.account_pattern()
    aster.push(card, account)
    told = read(borealis.get(f"changes?feed={feed['id']}"))
    assert [change["id"] for change in told["changes"]] == [card["id"]]
    assert code(borealis.get(f"changes?cursor={told['cursor']}"), 400) == "bad-cursor"
    assert code(aster.get(f"changes?feed={feed['id']}"), 404) == "not-found"
    assert read(borealis.get(f"changes?feed={feed['id']}&kind=account-pattern"))["changes"] == []


def test_the_link_of_a_webhook_can_be_followed(aster, borealis):
    """Its cursor is sealed by who notifies and opened here."""
    from exchange import paging
    from indicators.feeds.filters import Filter

    aster.push(build.an_indicator())
    wanted = Filter.of(kinds=("account-pattern",))
    feed = read(borealis.send("POST", "feeds", {"name": "f", "filter": {"kinds": ["account-pattern"]}}), 201)
    cursor = paging.seal([0, 0], viewer=borealis.viewer.partner_id, scope=f"changes;{wanted.scope}")
    assert len(read(borealis.get(f"changes?cursor={cursor}&feed={feed['id']}"))["changes"]) == 1


@pytest.mark.parametrize("query", ["limit=0", "limit=5001", "limit=x", "limit=-1", "limit=1e3", "wait=26", "wait=-1"])
def test_numbers_are_bounded(borealis, query):
    assert code(borealis.get(f"changes?{query}"), 422) == "bad-parameter"


# Flat lists


def test_a_list_holds_each_live_value_once_in_order(aster, borealis, cygnus):
    shared = {"token": making.token("ab" * 32)}
    one, two = making.account_pattern(carrier=shared), making.account_pattern(carrier=shared)
    other, gone, hidden = (making.account_pattern(carrier={"token": making.token(x * 32)}) for x in ("01", "02", "03"))
    aster.push(one, other, gone)
    borealis.push(two)
    cygnus.push(hidden)
    aster.push(revoked(gone))
    assert text(borealis.get("blocklists/all")) == f"{'01' * 32}\n{'ab' * 32}\n"


def test_a_list_as_csv_or_json_lines_says_who_and_until_when(aster, borealis):
    shared = {"token": making.token("ab" * 32)}
    one = making.account_pattern(carrier=shared, confidence=40, at=datetime.now(tz=UTC) - timedelta(hours=1))
    two = making.account_pattern(carrier=shared, confidence=70)
    aster.push(one)
    borealis.push(two)
    (line,) = text(borealis.get("blocklists/all?format=jsonl")).splitlines()
    row = orjson.loads(line)
    assert (row["publishers"], row["sources"]) == (2, ["Aster", "Borealis"])
    assert (row["kind"], row["subkind"], row["value"], row["confidence"]) == ("account-pattern", "email", "ab" * 32, 70)
    assert row["ids"] == sorted([one["id"], two["id"]])
    assert row["valid_until"][:19] == two["valid_until"][:19]
    (read_back,) = csv.DictReader(io.StringIO(text(borealis.get("blocklists/all?format=csv"))))
    assert (read_back["value"], read_back["publishers"]) == ("ab" * 32, "2")
    assert read_back["sources"] == "Aster|Borealis"


def test_a_list_that_did_not_change_is_not_sent_again(aster, borealis):
    aster.push(build.an_indicator())
    first = borealis.get("blocklists/all")
    tag = first.headers["ETag"]
    text(first)
    for condition in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = borealis.get("blocklists/all", If_None_Match=condition)
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag), condition
    aster.push(build.an_indicator())
    assert borealis.get("blocklists/all", If_None_Match=tag).status_code == 200


def test_a_list_leaves_out_what_is_no_longer_valid(cast, aster, borealis):
    here = build.an_indicator()
    with time_machine.travel(datetime.now(tz=UTC) - timedelta(days=3), tick=True):
        past = making.account_pattern(valid_for=timedelta(days=1))
        assert read(Caller(build.a_key(cast.aster)).push(past))["counts"]["accepted"] == 1
    aster.push(here)
    assert text(borealis.get("blocklists/all")) == f"{value_of(here)}\n"


def test_a_least_confidence_leaves_out_what_says_none(aster, borealis):
    sure, silent = making.account_pattern(confidence=90), making.account_pattern()
    del silent["confidence"]
    aster.push(sure, silent)
    assert len(text(borealis.get("blocklists/all")).splitlines()) == 2
    assert text(borealis.get("blocklists/all?min_confidence=1")) == f"{value_of(sure)}\n"


def test_a_list_of_anothers_feed_is_not_there(aster, borealis):
    feed = read(aster.send("POST", "feeds", {"name": "mine", "filter": {}}), 201)
    assert aster.get(f"blocklists/{feed['id']}").status_code == 200
    for name in (feed["id"], "nosuch", "0"):
        assert code(borealis.get(f"blocklists/{name}"), 404) == "not-found"


@pytest.mark.parametrize("query", ["format=xml", "min_confidence=101", "kinds=a"])
def test_a_list_knows_its_parameters(borealis, query):
    assert borealis.get(f"blocklists/all?{query}").status_code == 422


def test_a_name_that_would_break_a_line_is_quoted(db):
    """Values are data for machines and stay exact; whoever reads CSV gets back what was published."""
    owner, reader = build.a_partner('Odd, "quoted" and broken'), build.a_partner("Reader")
    build.a_ring(owner, reader)
    one = build.an_indicator()
    read(Caller(build.a_key(owner)).push(one))
    (row,) = csv.DictReader(io.StringIO(text(Caller(build.a_key(reader)).get("blocklists/all?format=csv"))))
    assert (row["value"], row["sources"]) == (value_of(one), 'Odd, "quoted" and broken')
