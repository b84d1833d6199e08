"""What the client refuses before it sends: the same as the exchange would, in the same words, and no more."""

import copy
import json

import pytest
from typer.testing import CliRunner

from exchange.client import cli, validating
from exchange.stix import words
from indicators.stix import making
from partners.models import Group
from tests import build
from tests.indicators.door.test_closed import CLOSED, EXAMPLES, NOW, judged

EXT = words.EXTENSION_ID


def said(made: dict, *, closed: bool = True):
    return validating.fault_of(json.dumps(made).encode(), closed=closed)


def changed(made: dict, *path: str, to) -> dict:
    made = copy.deepcopy(made)
    inside = made
    for part in path[:-1]:
        inside = inside[part]
    inside[path[-1]] = to
    return made


AN_EMAIL = making.account_pattern(at=NOW, tlp_word="amber")
WRONG = {
    "a name": changed(AN_EMAIL, "name", to="Acme's prices"),
    "a property": changed(AN_EMAIL, "description", to="call me"),
    "a property of the extension": changed(AN_EMAIL, "extensions", EXT, "note", to="call me"),
    "a word": changed(AN_EMAIL, "extensions", EXT, "entry_program", to="door"),
    "another kind's": changed(AN_EMAIL, "extensions", EXT, "instrument", to="card"),
    "another pattern": changed(AN_EMAIL, "pattern", to="[ipv4-addr:value = '198.51.100.7']"),
    "a label": AN_EMAIL | {"labels": ["urgent"]},
    "a type": AN_EMAIL | {"indicator_types": ["benign"]},
    "a bucket": changed(AN_EMAIL, "extensions", EXT, "volume_bucket", to="1234"),
    "another type": {**AN_EMAIL, "type": "note", "id": AN_EMAIL["id"].replace("indicator", "note")},
    "an unlisted type": {
        "type": "note",
        "spec_version": "2.1",
        "id": AN_EMAIL["id"].replace("indicator", "note"),
        "created": AN_EMAIL["created"],
        "modified": AN_EMAIL["created"],
        "content": "call me",
        "object_refs": [AN_EMAIL["id"]],
    },
}


@pytest.mark.parametrize("name", WRONG)
def test_it_says_of_what_is_wrong_what_the_door_says(name):
    refusal = judged(WRONG[name], CLOSED)
    assert said(WRONG[name]) == (refusal.code, refusal.field, refusal.message)


@pytest.mark.parametrize("stix_type", sorted(EXAMPLES))
def test_what_may_be_said_is_right_and_what_is_not_listed_is_not(stix_type):
    made = EXAMPLES[stix_type]()
    assert said(made) is None
    fault = said(made | {"x_note": "call me"})
    assert (fault.code, "call me" in str(fault)) == ("not-listed", False)


def test_classical_stix_a_revocation_and_no_json_are_left_to_the_exchange():
    assert said(WRONG["an unlisted type"], closed=False) is None
    assert said(WRONG["a word"], closed=False).field == f"/extensions/{EXT}/entry_program"
    assert said(WRONG["a word"] | {"revoked": True}) is None
    assert validating.fault_of(b"{", closed=True) is None
    assert validating.fault_of(b"[" * 100_000, closed=True) is None
    old = changed(AN_EMAIL, "extensions", EXT, "schema_version", to="1")
    assert said(old) is None


@pytest.fixture
def push(live_server, monkeypatch, tmp_path):
    cast = build.the_cast()

    def type_in(objects, *words_):
        file = tmp_path / "some.json"
        file.write_text(json.dumps({"objects": objects}))
        monkeypatch.setenv("EXCHANGE_URL", live_server.url)
        monkeypatch.setenv("EXCHANGE_API_KEY", cast.keys["aster"])
        done = CliRunner().invoke(cli.app, ["publish", str(file), "--json", *words_], catch_exceptions=False)
        answer = json.loads(done.stdout)
        refused = [(one["index"], one["code"], one["field"]) for one in answer["refusals"]]
        return done.exit_code, answer["counts"]["accepted"], refused, len(answer["batches"])

    return type_in


@pytest.mark.django_db(transaction=True)
def test_a_push_leaves_out_what_is_wrong_and_says_so_where_facts_are_closed(push, settings):
    Group.objects.update(policy=Group.Policy.CLOSED_FACTS)
    wrong = making.account_pattern() | {"description": "call me"}
    objects = [making.account_pattern(), wrong, making.account_pattern()]
    at = [(1, "not-listed", "/description")]
    assert push(objects, "--group", "ring") == (1, 2, at, 1)
    assert push([wrong], "--group", "ring") == (1, 0, at_first := [(0, *at[0][1:])], 0)
    assert push([wrong], "--group", "ring", "--no-validate") == (1, 0, at_first, 1)
    settings.OPEN_POLICY = "closed-facts"
    assert push([wrong], "--everyone") == (1, 0, at_first, 0)
    Group.objects.update(policy=Group.Policy.OPEN_CTI)
    assert push([wrong], "--group", "ring") == (0, 1, [], 1)
