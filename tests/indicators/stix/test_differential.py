"""The exchange against `stix2` and `stix2-validator`: where they part is listed in the documentation, or the build fails.

Each row of that table has an object here that shows it, so that the table holds nothing that is no longer so.
"""

import json
import logging
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from indicators.stix import conformance
from tests import strategies
from tests.indicators.stix import oracles, shared
from tests.indicators.stix.test_conformance import FINE, WRONG
from tests.strategies import examples

EXAMPLES = [
    json.loads(line) for line in (Path(__file__).parents[2] / "data" / "disagreements.jsonl").read_text().splitlines()
]
_FEW = settings(max_examples=examples(40), suppress_health_check=list(HealthCheck))


@pytest.fixture(autouse=True)
def calm():
    """The oracles log and warn of what they do not like, beside saying it."""
    logging.disable(logging.CRITICAL)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    logging.disable(logging.NOTSET)


def unlisted(data: dict) -> set:
    return oracles.disagreements(data) - oracles.listed()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"{example['who']} {example['what']}")
def test_each_listed_disagreement_is_one(example):
    assert (example["who"], example["what"]) in oracles.disagreements(example["object"])


def test_the_table_lists_what_the_examples_show_and_nothing_else():
    assert oracles.listed() == {(example["who"], example["what"]) for example in EXAMPLES}


def test_every_code_of_a_mark_is_explained():
    page = oracles._PAGE.read_text()
    assert [code for code in conformance.WORDS if f"| `{code}` |" not in page] == []


@pytest.mark.parametrize("data", [*FINE, *(data for data, *_ in WRONG.values())], ids=lambda data: data["type"])
def test_over_objects_made_by_hand_nobody_disagrees_in_a_new_way(data):
    assert unlisted(data) == set()


@_FEW
@given(strategies.valid_stix())
def test_over_objects_by_the_book_nobody_disagrees_in_a_new_way(data):
    assert unlisted(data) == set()


@_FEW
@given(strategies.broken_stix())
def test_over_broken_objects_nobody_disagrees_in_a_new_way(broken):
    assert unlisted(broken[0]) == set()


@shared.needed
@pytest.mark.parametrize("path", shared.by_size(shared.bundles()), ids=lambda path: path.name)
def test_over_what_others_publish_nobody_disagrees_in_a_new_way(path):
    """Two objects of each type and set of properties: ATT&CK, ATLAS, DISARM, feeds, OASIS's examples, edge cases."""
    whole = json.loads(shared.read(path))
    seen: Counter = Counter()
    for data in whole.get("objects", [whole]):
        alike = (data["type"], frozenset(data))
        seen[alike] += 1
        if seen[alike] <= 2:
            assert unlisted(data) == set(), data["id"]


@shared.needed
def test_over_the_validators_own_tests_nobody_disagrees_in_a_new_way():
    cases = shared.lines("vectors", "stix-validator", "objects.jsonl.gz")
    assert len(cases) == 199
    for case in cases:
        data = case["instance"]
        if data.get("type") == "bundle" or not isinstance(data.get("id"), str):
            continue
        assert unlisted(data) == set(), case["test"]
        refused = {(f"stix2-validator {does}", what) for does, what in _found(data, case)}
        assert refused <= oracles.listed(), case["test"]


def _found(data: dict, case: dict):
    """Against the recorded verdict, by the same names: what was recorded is what the installed validator says."""
    codes = oracles.ours(data)
    if codes and case["valid_must_only"]:
        yield from (("takes", code) for code in codes)
    elif not codes and not case["valid_must_only"]:
        yield "refuses", oracles._name_of(" ".join(case["errors"]))
