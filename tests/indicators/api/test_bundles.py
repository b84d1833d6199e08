"""Export as a bundle, byte for byte and page by page; import with a report on what was lost."""

import json
import uuid

import pytest
from django.conf import settings
from django.db import connection
from django.test.utils import CaptureQueriesContext

from indicators.reading import exporting
from indicators.reading.selecting import Selection
from indicators.stix import making, parsing, tlp, vocabulary
from tests import build
from tests.indicators.api.caller import code, read
from tests.indicators.api.test_intake import a_campaign, an_app


def content(answer) -> bytes:
    assert answer.status_code == 200, answer.content
    return b"".join(answer.streaming_content)


def objects(answer) -> list[dict]:
    return json.loads(content(answer)).get("objects", [])


def test_what_nobody_publishes_comes_along_where_it_is_named_and_once(cast, aster, borealis):
    aster.push(
        making.account_pattern(tlp_word="amber", created_by_ref=cast.aster.identity_id),
        making.account_pattern(tlp_word="amber", created_by_ref=cast.aster.identity_id),
        query="?groups=ring",
    )
    import stix2validator  # the grammars that it makes take each process a second

    found = objects(borealis.get("bundle?referenced=true"))
    assert len(found) == len({one["id"] for one in found}) == 2 + 4
    by_id = {one["id"]: one for one in found}
    assert by_id[tlp.ID_OF["amber"]]["name"] == "TLP:AMBER"
    assert by_id[cast.aster.identity_id]["name"] == "Aster"
    definition = by_id[vocabulary.EXTENSION_ID]
    assert borealis.get(definition["schema"].removeprefix(settings.BASE_URL)).status_code == 200
    assert by_id[definition["created_by_ref"]]["name"] == "The exchange"
    assert cast.borealis.identity_id not in by_id
    for one in found:
        assert not stix2validator.validate_string(json.dumps(one)).errors, one["id"]
        (draft,) = parsing.read_batch(json.dumps(one).encode())
        assert draft.marks == (), one["id"]


def test_who_stays_unnamed_is_not_told_by_the_identities_that_come_along(cast, aster, borealis):
    for attribution in ("pseudonym", "exchange"):
        hidden = making.account_pattern(tlp_word="amber", extension={"attribution": attribution})
        answer = read(aster.push(hidden, query=f"?groups=ring&attribution={attribution}"))
        assert answer["counts"]["accepted"] == 1, answer
    body = content(borealis.get("bundle?referenced=true")).decode()
    assert cast.aster.identity_id not in body
    assert "Aster" not in body


ODD = b'{ "type":"campaign","spec_version":"2.1", "id":"campaign--8a1d1f5e-0d8e-4c6b-9a39-1f6a3c5d7e90",\n\t"created":"2026-01-01T00:00:00.000Z","modified":"2026-01-01T00:00:00.000000Z","name":"\\u0041\xc3\xa4","x_number":1.0e2,"x_z":0,"x_a":[]}'


def test_a_bundle_holds_the_publishers_bytes_side_by_side_under_a_random_id(aster):
    aster.push(ODD, build.an_indicator())
    first, second = content(aster.get("bundle")), content(aster.get("bundle"))
    assert ODD in first
    whole = json.loads(first)
    assert (whole["type"], len(whole["objects"])) == ("bundle", 2)
    assert whole["id"] != json.loads(second)["id"]


def test_an_empty_bundle_has_no_list(aster):
    answer = aster.get("bundle")
    assert answer.headers["Content-Type"] == "application/stix+json;version=2.1"
    assert set(json.loads(content(answer))) == {"type", "id"}


def test_export_and_import_into_another_publisher_is_byte_identical(aster, cygnus):
    raw = [ODD, *(json.dumps(making.account_pattern(tlp_word="green"), indent=number).encode() for number in range(5))]
    aster.push(*raw, json.dumps(a_campaign(spec_version=...)).encode())
    exported = content(aster.get("bundle"))
    answer = read(cygnus.ask("POST", "batches?tlp=red", exported, media="application/stix+json;version=2.1"))
    assert answer["counts"] == {
        "accepted": 7,
        "unchanged": 0,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 0,
        "refused": 0,
    }
    again = content(cygnus.get("bundle?mine=true"))
    assert [one.raw for one in parsing.read_batch(again)] == [one.raw for one in parsing.read_batch(exported)]
    assert [one.raw for one in parsing.read_batch(again)][:6] == raw


def test_what_two_publishers_say_alike_is_there_once(aster, borealis):
    same = json.dumps(making.account_pattern(tlp_word="green")).encode()
    aster.push(same)
    borealis.push(same)
    assert len(objects(borealis.get("bundle"))) == 1


def test_versions_last_or_all(aster):
    first = a_campaign()
    aster.push(first, first | {"modified": "2026-02-01T00:00:00.000Z"})
    assert len(objects(aster.get("bundle"))) == 1
    assert len(objects(aster.get("bundle?versions=all"))) == 2


def test_a_bundle_is_narrowed_as_lists_are(aster, borealis):
    one, other, marked = build.an_indicator(), making.prompt_signature(), a_campaign(spec_version=...)
    aster.push(one, other, marked)
    feed = read(aster.send("POST", "feeds", {"name": "f", "filter": {"kinds": ["account-pattern"]}}), 201)["id"]

    def found(query):
        return [stix["id"] for stix in objects(aster.get(f"bundle?{query}"))]

    assert found(f"feed={feed}") == [one["id"]]
    assert found(f"feed={feed}&kind=prompt-signature") == []
    assert found(f"feed={feed}&publisher=borealis") == []
    assert found("kind=prompt-signature") == [other["id"]]
    assert found("type=campaign") == [marked["id"]]
    assert found(f"id={other['id']},{one['id']}") == [one["id"], other["id"]]
    assert found("mark=missing-spec-version") == [marked["id"]]
    assert found("unmarked=true") == [one["id"], other["id"]]
    assert code(borealis.get(f"bundle?feed={feed}"), 404) == "not-found"


def test_what_is_named_follows_where_it_may_be_seen(aster, borealis, cygnus):
    marking = {"type": "marking-definition", "spec_version": "2.1", "created": "2026-01-01T00:00:00.000Z"} | {
        "id": f"marking-definition--{uuid.uuid4()}",
        "definition_type": "statement",
        "definition": {"statement": "c"},
        "object_marking_refs": [tlp.ID_OF["green"]],
    }
    author = a_campaign(object_marking_refs=[marking["id"], tlp.ID_OF["green"]]) | {
        "type": "identity",
        "id": f"identity--{uuid.uuid4()}",
    }
    secret = a_campaign(object_marking_refs=[tlp.ID_OF["red"]]) | {
        "type": "identity",
        "id": f"identity--{uuid.uuid4()}",
    }
    held = a_campaign(created_by_ref=author["id"], object_marking_refs=[tlp.ID_OF["green"]])
    also = a_campaign(created_by_ref=secret["id"], object_marking_refs=[tlp.ID_OF["green"]])
    aster.push(held, also, author, secret, marking)
    asked = f"bundle?id={held['id']},{also['id']}"
    assert [stix["id"] for stix in objects(cygnus.get(asked))] == [held["id"], also["id"]]
    following = [stix["id"] for stix in objects(cygnus.get(f"{asked}&referenced=true"))]
    assert following == [held["id"], also["id"], author["id"], marking["id"], tlp.ID_OF["green"]]
    whole = [stix["id"] for stix in objects(aster.get("bundle?referenced=true"))]
    assert len(whole) == len(set(whole)) == 7


def test_a_bundle_is_written_page_by_page_and_each_page_costs_the_same(aster, monkeypatch):
    monkeypatch.setattr(exporting, "_PAGE", 3)
    aster.push(*(build.an_indicator() for _ in range(8)))
    queries = []
    pieces = exporting.bundle(aster.viewer, Selection())
    for _ in range(3):
        with CaptureQueriesContext(connection) as captured:
            next(pieces)
        queries.append(len(captured))
    assert queries == [
        0,
        3,
        3,
    ]  # the first page was read before the answer began; a page is two, and its count, at once in here
    assert list(pieces) == [b"]}"]


@pytest.mark.django_db(transaction=True)
def test_no_connection_is_held_while_a_slow_reader_reads(monkeypatch):
    monkeypatch.setattr(exporting, "_PAGE", 2)
    viewer = build.the_cast().viewer("aster")
    build.publish(viewer, *(build.an_indicator() for _ in range(5)))
    pieces = exporting.bundle(viewer, Selection())
    for _ in range(2):
        next(pieces)
        assert connection.connection is None


def test_the_report_sums_up_what_entered_and_why_the_rest_did_not(aster):
    answer = read(aster.push(build.an_indicator(), a_campaign(spec_version=...), an_app(), b"{}", query="?report=loss"))
    report = answer["report"]
    assert report["counts"] == {
        "accepted": 3,
        "unchanged": 0,
        "withdrawn": 0,
        "waiting": 0,
        "quarantined": 0,
        "refused": 1,
        "marked": 2,
    }
    assert report["marks"] == {"missing-spec-version": 1, "unknown-pattern-object": 1}
    assert report["reasons"] == {"bad-type": 1}
    assert "report" not in read(aster.push(build.an_indicator()))
    assert code(aster.push(build.an_indicator(), query="?report=all"), 422) == "bad-parameter"


def a_relationship(source: str, target: str) -> dict:
    ends = {"relationship_type": "uses", "source_ref": source, "target_ref": target}
    return a_campaign(**ends) | {"type": "relationship", "id": f"relationship--{uuid.uuid4()}"}


def test_references_that_lead_nowhere_are_named_and_those_that_a_refusal_broke_apart_from_them(aster):
    here, refused = a_campaign(), a_campaign(revoked="yes")
    absent = f"tool--{uuid.uuid4()}"
    first, second = a_relationship(here["id"], absent), a_relationship(here["id"], refused["id"])
    report = read(aster.push(here, first, second, refused, query="?report=loss"))["report"]
    assert report["unresolved"] == [{"index": 1, "id": first["id"], "field": "/target_ref", "ref": absent}]
    assert report["dangling"] == [{"index": 2, "id": second["id"], "field": "/target_ref", "ref": refused["id"]}]


def test_what_one_holds_the_standards_markings_and_partners_resolve(cast, aster):
    earlier = a_campaign()
    aster.push(earlier)
    named = a_campaign(created_by_ref=cast.aster.identity_id, object_marking_refs=[tlp.ID_OF["amber"]])
    report = read(aster.push(named, a_relationship(earlier["id"], named["id"]), query="?report=loss"))["report"]
    assert (report["unresolved"], report["dangling"]) == ([], [])


def test_the_report_counts_what_is_marked_and_not_the_rest(aster):
    plain = [build.an_indicator() for _ in range(3)]
    report = read(aster.push(*plain, a_campaign(spec_version=...), b"{}", query="?report=loss"))["report"]
    assert report["counts"]["marked"] == sum(report["marks"].values()) == 1
    assert report["counts"]["refused"] == sum(report["reasons"].values()) == 1


def test_what_a_refused_object_names_is_not_missed(aster):
    absent = f"tool--{uuid.uuid4()}"
    broken = a_relationship(absent, absent) | {"revoked": "yes"}
    report = read(aster.push(a_campaign(), broken, query="?report=loss"))["report"]
    assert (report["counts"]["refused"], report["unresolved"], report["dangling"]) == (1, [], [])


def test_a_definition_of_an_extension_needs_not_be_sent_along(aster):
    foreign = f"extension-definition--{uuid.uuid4()}"
    named = a_campaign(x_defined_by_ref=foreign, x_used_ref=(absent := f"tool--{uuid.uuid4()}"))
    report = read(aster.push(named, query="?report=loss"))["report"]
    assert [one["ref"] for one in report["unresolved"]] == [absent]


def test_what_is_invisible_is_as_unresolved_as_what_is_absent(aster, cygnus):
    theirs = a_campaign()
    cygnus.push(theirs)
    absent = f"campaign--{uuid.uuid4()}"
    one, other = a_relationship(theirs["id"], theirs["id"]), a_relationship(absent, absent)
    report = read(aster.push(one, other, query="?report=loss"))["report"]
    told = [(named["index"], named["field"]) for named in report["unresolved"]]
    assert told == [(0, "/source_ref"), (0, "/target_ref"), (1, "/source_ref"), (1, "/target_ref")]


def test_a_report_costs_the_same_however_large_the_batch_is(aster):
    def queries(count: int) -> int:
        held = [a_relationship(f"tool--{uuid.uuid4()}", f"identity--{uuid.uuid4()}") for _ in range(count)]
        with CaptureQueriesContext(connection) as captured:
            read(aster.push(*held, query="?report=loss"))
        return len(captured)

    queries(1)
    assert queries(10) == queries(40)


def test_the_report_of_a_repeated_push_is_the_same(aster):
    sent = [a_campaign(spec_version=...), a_relationship(f"tool--{uuid.uuid4()}", f"tool--{uuid.uuid4()}")]
    first = read(aster.push(*sent, query="?report=loss", Idempotency_Key="k"))["report"]
    assert read(aster.push(*sent, query="?report=loss", Idempotency_Key="k"))["report"] == first
