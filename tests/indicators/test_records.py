"""What the log says of publishing and of reading, and what it never says."""

from __future__ import annotations

import base64
import io
import uuid
from datetime import timedelta

import pytest
import time_machine
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators.stix import making
from partners import keys
from partners.log import reads
from partners.models import AuditRecord, ReadTally
from tests import build
from tests.indicators.api.caller import Caller, read

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def last(verb: str) -> AuditRecord:
    return AuditRecord.objects.filter(verb=verb).order_by("-pk")[0]


def test_a_batch_says_how_many_of_which_kind_went_to_whom_and_on_which_basis(cast):
    aster = cast.viewer("aster")
    build.publish(aster, build.an_indicator(tlp_word="amber"), making.prompt_signature(), groups=("ring",))
    record = last("batch.published")
    assert record.partner_id == cast.aster.pk
    assert record.details["counts"]["accepted"] == 2
    assert [(told["groups"], told["everyone"], told["partners"]) for told in record.details["shared"]] == [
        (["ring"], False, [])
    ] * len(record.details["shared"])
    assert sum(count for told in record.details["shared"] for count in told["objects"].values()) == 2
    assert record.details["bases"] == [
        {"group": "ring", "name": "Ring", "reference": "An agreement.", "from": "2026-01-01", "until": None}
    ]


def test_it_says_what_was_withdrawn_and_who_lost_sight(cast):
    aster = cast.viewer("aster")
    first, second = build.an_indicator(tlp_word="green"), build.an_indicator(tlp_word="green")
    build.publish(aster, first, second, everyone=True)
    narrowed = first | {"modified": build.later()}
    build.publish(aster, narrowed, groups=("ring",))
    details = last("batch.published").details
    assert [told["everyone"] for told in details["narrowed"]] == [True]
    assert [told["groups"] for told in details["shared"]] == [["ring"]]
    build.publish(aster, second | {"modified": build.later(), "revoked": True})
    details = last("batch.published").details
    assert details["withdrawn"][0]["objects"] == {"account-pattern": 1}
    assert "shared" not in details


def test_records_hold_no_token_no_key_no_refused_value_and_no_content(cast):
    """Everything that must not be there is pushed, then looked for in every record."""
    token, title, secret = "c0ffee" + "ab" * 29, f"Title {uuid.uuid4().hex}", "sk-live-" + "Ab3dE5" * 6
    mail, card = "jane.doe@customer.example", "4111 1111 1111 1111"
    caller = Caller(cast.keys["aster"])
    sent = [
        making.account_pattern(name=title, carrier={"token": making.token(token)}),
        build.an_indicator() | {"description": f"card {card} and {secret}"},
        build.an_indicator() | {"description": f"write to {mail}"},
        {"type": "indicator", "id": "nonsense", "name": title, "pattern": mail},
    ]
    counts = read(caller.push(*sent))["counts"]
    assert counts["accepted"] >= 1
    assert counts["refused"] + counts["quarantined"] >= 2
    caller.get("changes")
    caller.get(f"objects?q={token}")
    caller.send("POST", "feeds", {"name": title, "filter": {"kinds": ["account-pattern"]}})
    made = read(caller.send("POST", "subscriptions", {"url": "http://127.0.0.1:9/hook"}), 201)
    _, another = keys.issue(cast.aster, name="k", scopes=["read"], expires_in=timedelta(days=1))
    with time_machine.travel("2030-01-01T00:00:00Z"):
        assert reads.close()
    everything = "\n".join(
        f"{row.verb} {row.actor} {row.target} {row.details}" for row in AuditRecord.objects.order_by("pk")
    )
    assert "read.aggregated" in everything
    for forbidden in (token, title, secret, mail, card, card.replace(" ", ""), another, caller.key, made["secret"]):
        assert forbidden not in everything
    for stix in sent:
        assert stix["id"] not in everything


def test_a_page_that_hands_out_something_costs_one_statement_more_and_an_empty_one_none(cast):
    caller = Caller(cast.keys["borealis"])
    caller.get("me")

    def statements(path: str) -> list[str]:
        with CaptureQueriesContext(connection) as captured:
            assert caller.get(path).status_code == 200
        return [query["sql"] for query in captured if "partners_readtally" in query["sql"]]

    cursor = read(caller.get("changes"))["cursor"]
    assert statements(f"changes?cursor={cursor}") == []
    assert statements("objects") == statements("blocklists/all") == []
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    for path in (f"changes?cursor={cursor}", "objects", "blocklists/all"):
        (one,) = statements(path)
        assert "synchronous_commit" in one


def test_reads_are_tallied_by_reader_surface_feed_and_hour_and_closed_into_records(cast):
    seen = [build.an_indicator() for _ in range(3)]
    build.publish(cast.viewer("aster"), *seen, groups=("ring",))
    caller, stranger = Caller(cast.keys["borealis"]), Caller(cast.keys["cygnus"])
    feed = read(caller.send("POST", "feeds", {"name": "f", "filter": {}}), 201)["id"]
    with time_machine.travel("2026-11-20T10:59:00Z", tick=False) as clock:
        caller.get("changes")
        caller.get("changes?limit=2")
        caller.get(f"changes?feed={feed}")
        caller.get(f"objects/{seen[0]['id']}")
        caller.get(f"objects/{uuid.uuid4()}")
        stranger.get("changes")
        found = {(row.surface, row.feed): (row.pages, row.objects_read) for row in ReadTally.objects.all()}
        assert found == {("rest:changes", ""): (2, 5), ("rest:changes", feed): (1, 3), ("rest:object", ""): (1, 1)}
        clock.shift(timedelta(minutes=5))
        assert reads.close() == 0, "requests of that hour may still be under way"
        clock.shift(timedelta(minutes=2))
        assert reads.close() == 3
        assert reads.close() == 0
    records = list(AuditRecord.objects.filter(verb="read.aggregated").order_by("target", "details__feed"))
    assert [(one.target, one.details["objects"], one.actor) for one in records] == [
        ("rest:changes", 5, caller.viewer.actor),
        ("rest:changes", 3, caller.viewer.actor),
        ("rest:object", 1, caller.viewer.actor),
    ]
    assert {one.partner_id for one in records} == {cast.borealis.pk}
    assert records[0].details["hour"] == "2026-11-20T10:00:00.000000Z"


def test_the_range_of_places_is_sealed_and_the_operator_can_open_it(cast):
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)], groups=("ring",))
    Caller(cast.keys["borealis"]).get("changes")
    tally = ReadTally.objects.get()
    with time_machine.travel("2030-01-01T00:00:00Z"):
        reads.close()
    (opened,) = reads.opened(cast.borealis)
    assert (opened.first, opened.last) == (tally.first_seq, tally.last_seq)
    assert opened.last - opened.first == 2
    assert f"{opened.first}-{opened.last}".encode() not in base64.b64decode(opened.record.details["seq"])
    assert set(opened.record.details) == {"hour", "feed", "pages", "objects", "seq"}
    said = io.StringIO()
    call_command("audit_reads", "borealis", stdout=said)
    assert f"objects=3 seq={opened.first}..{opened.last}" in said.getvalue()
    with pytest.raises(CommandError):
        call_command("audit_reads", "nobody")


def test_what_a_person_opens_and_downloads_is_tallied_too(cast, client):
    stix = build.an_indicator()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    person = build.a_user(cast.borealis)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    for path in (f"/indicators/{stix['id']}", f"/indicators/{stix['id']}/raw"):
        assert client.get(path).status_code == 200
    assert {(row.surface, row.actor) for row in ReadTally.objects.all()} == {
        ("portal:indicator", f"user:{person.pk}"),
        ("portal:raw", f"user:{person.pk}"),
    }


def test_each_face_that_hands_out_content_tallies(cast):
    stix = build.an_indicator()
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    caller = Caller(cast.keys["borealis"])
    from indicators.taxii import collections

    base = f"/taxii2/exchange/collections/{collections.EVERYTHING}/"
    for path in ("manifest/", "objects/", f"objects/{stix['id']}/", f"objects/{stix['id']}/versions/"):
        assert caller.get(base + path, accept="application/taxii+json;version=2.1").status_code == 200
    for path in ("changes", "objects", f"objects/{stix['id']}", "blocklists/all"):
        assert caller.get(path).status_code == 200
    assert set(ReadTally.objects.values_list("surface", flat=True)) == {
        "rest:blocklist",
        "rest:changes",
        "rest:object",
        "rest:objects",
        "taxii:manifest",
        "taxii:object",
        "taxii:objects",
        "taxii:versions",
    }
