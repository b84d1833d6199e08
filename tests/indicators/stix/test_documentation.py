"""The documentation of the vocabulary: every example in it is accepted, and every table is the schema's."""

import json
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from indicators.door import gates
from indicators.door.benign import Known
from indicators.stix import parsing, tlp, vocabulary
from indicators.stix.drafts import Draft

DOCS = Path(__file__).parents[3] / "exchange" / "docs"
TEXT = (DOCS / "vocabulary.md").read_text()
EXAMPLES = json.loads((DOCS / "vocabulary-examples.json").read_bytes())["objects"]
SCHEMA = json.loads(vocabulary.schema_text(vocabulary.EXTENSION_ID))
SHOWN = [json.loads(block) for block in re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)]
DOOR = gates.Door(
    now=datetime(2026, 11, 24, 12, tzinfo=UTC),
    publisher_identity=vocabulary.EXCHANGE_IDENTITY_ID,
    partner_identities=frozenset(),
    policy="closed-facts",
    known=Known(examples=True),
    groups=frozenset({"ring"}),
    detectors=frozenset(re.findall(r'"(d-[0-9a-f]{8})"', TEXT)),
)


def subkind_of(made: dict) -> str:
    return made["extensions"][vocabulary.EXTENSION_ID]["subkind"]


@pytest.mark.parametrize("made", [*SHOWN, *EXAMPLES], ids=subkind_of)
def test_every_example_is_accepted(made):
    (draft,) = parsing.read_batch(json.dumps(made).encode())
    assert isinstance(draft, Draft)
    assert gates.examine(draft, DOOR) is None


def test_what_is_shown_and_what_is_in_the_file_are_one_object_or_two():
    in_file = {made["id"]: made for made in EXAMPLES}
    assert [made["id"] for made in SHOWN if in_file.get(made["id"], made) != made] == []


def test_the_file_of_examples_can_be_made_one_of_today():
    (line,) = re.findall(r'^sed "(s/.*)" exchange/docs/vocabulary-examples.json', TEXT, re.MULTILINE)
    dates = [command.split("/")[1] for command in line.split("; ")]
    for made in EXAMPLES:
        assert all(made[name].startswith(dates[0]) for name in ("created", "modified", "valid_from"))
        assert made["valid_until"].startswith(dates[1])


def test_the_file_of_examples_is_a_batch_that_can_be_sent():
    body = (DOCS / "vocabulary-examples.json").read_bytes()
    assert all(isinstance(element, Draft) for element in parsing.read_batch(body))


def test_every_kind_is_shown_and_every_subkind_has_an_example():
    kinds = {made["extensions"][vocabulary.EXTENSION_ID]["kind"] for made in SHOWN}
    assert kinds == set(SCHEMA["properties"]["kind"]["enum"])
    assert [subkind_of(made) for made in EXAMPLES] == SCHEMA["properties"]["subkind"]["enum"]


def test_every_property_and_word_of_the_schema_is_told():
    told = set(re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", TEXT, flags=re.DOTALL)))
    for name, rules in SCHEMA["properties"].items():
        assert name in told
        for word in rules.get("enum", []):
            assert word in told or word.startswith("10^") or word == "1.0", word


def test_every_id_is_told_rightly():
    assert vocabulary.EXTENSION_ID in TEXT
    assert all(marking in TEXT for marking in tlp.ID_OF.values())


def test_every_code_of_the_parser_and_the_door_is_told():
    rooms = Path(vocabulary.__file__).parent, Path(gates.__file__).parent
    source = "".join(path.read_text() for room in rooms for path in room.glob("*.py"))
    codes = set(re.findall(r'(?:Refusal|Quarantine|_Wrong|_unreadable)\(\s*(?:index, )?"([a-z-]+)"', source))
    codes |= set(re.findall(r'code="([a-z-]+)"', source)) | set(re.findall(r'return "([a-z]+-[a-z0-9-]+)", ', source))
    assert len(codes) > 30
    assert {code for code in codes if f"`{code}`" not in TEXT} == set()
