"""What a caller may see in other formats: the same rule, streamed, with what is lost told apart."""

import csv
import io
import json

import pytest

from exchange.formats.losses import REASONS
from exchange.stix import words
from indicators.reading import exporting
from indicators.stix import making
from partners.models import ReadTally
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def exported(cast, name, query):
    answer = Caller(cast.keys[name]).get(f"/api/v1/export?{query}")
    return answer, answer.getvalue() if answer.streaming else answer.content


def rows(content):
    return list(csv.DictReader(io.StringIO(content.decode())))


def test_each_format_holds_what_the_caller_sees_and_nothing_else(cast):
    shown, rule = making.account_pattern(), making.prompt_signature("nova_rule")
    hidden = making.account_pattern()
    build.publish(cast.viewer("aster"), shown, rule, groups=("ring",))
    build.publish(cast.viewer("cygnus"), hidden, everyone=False, partners=("dorado",))
    answer, content = exported(cast, "borealis", "format=csv")
    assert answer["Content-Type"].startswith("text/csv")
    assert [row["id"] for row in rows(content)] == [shown["id"], rule["id"]]
    _, content = exported(cast, "borealis", "format=misp")
    (event,) = (one["Event"] for one in json.loads(content)["response"])
    assert [one["uuid"] for one in event["Attribute"]] == [shown["id"].partition("--")[2]]
    answer, content = exported(cast, "borealis", "format=nova")
    assert content.decode().strip() == rule["extensions"][words.EXTENSION_ID]["signature"]["nova"]
    assert answer["Content-Disposition"] == 'attachment; filename="rules.nov"'
    _, content = exported(cast, "borealis", "format=csv&subkind=nova_rule")
    assert [row["id"] for row in rows(content)] == [rule["id"]]
    _, content = exported(cast, "dorado", "format=csv")
    assert [row["id"] for row in rows(content)] == [hidden["id"]]


def test_losses_are_told_a_line_each_by_id_and_code(cast):
    note = {
        "type": "note",
        "spec_version": "2.1",
        "id": "note--5f1c1d1e-5b5c-4c7e-9d0e-0123456789ab",
        "created": "2026-11-28T10:00:00.000Z",
        "modified": "2026-11-28T10:00:00.000Z",
        "content": "call me",
        "object_refs": ["indicator--5f1c1d1e-5b5c-4c7e-9d0e-0123456789ab"],
    }
    made = making.account_pattern()
    build.publish(cast.viewer("aster"), made, note, groups=("ring",))
    answer, content = exported(cast, "borealis", "format=nova&losses=true")
    assert answer["Content-Type"] == "application/x-ndjson"
    told = [json.loads(line) for line in content.splitlines()]
    assert [(one["path"], one["code"], one["what"], one["message"]) for one in told] == [
        (stix_id, "no-counterpart", "lost", REASONS["no-counterpart"]) for stix_id in (made["id"], note["id"])
    ]
    assert exported(cast, "cygnus", "format=nova&losses=true")[1] == b""


def test_what_says_no_marking_has_the_one_under_which_it_is_shown(cast):
    bare = {name: value for name, value in making.account_pattern().items() if name != "object_marking_refs"}
    build.publish(cast.viewer("aster"), bare, partners=("borealis",), tlp=Tlp.RED)
    (row,) = rows(exported(cast, "borealis", "format=csv")[1])
    assert (row["id"], row["tlp"]) == (bare["id"], "red")


@pytest.mark.parametrize("query", ["", "format=stix", "format=csv&formt=x", "format=csv&losses=yes"])
def test_a_wrong_question_is_refused(cast, query):
    answer, content = exported(cast, "aster", query)
    assert (answer.status_code, json.loads(content)["code"] in {"bad-parameter", "unknown-parameter"}) == (422, True)


def test_it_is_read_page_by_page_and_counted_as_read(cast, monkeypatch):
    monkeypatch.setattr(exporting, "_PAGE", 2)
    made = [making.account_pattern() for _ in range(5)]
    build.publish(cast.viewer("aster"), *made, groups=("ring",))
    _, content = exported(cast, "borealis", "format=csv")
    assert [row["id"] for row in rows(content)] == [one["id"] for one in made]
    (tally,) = ReadTally.objects.filter(surface="rest:export")
    assert (tally.objects_read, tally.pages) == (5, 1)
