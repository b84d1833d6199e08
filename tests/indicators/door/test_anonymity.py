"""What gives a publisher away that does not want to be named."""

import json

import pytest

from indicators.door import anonymity
from indicators.stix import making, parsing

ASTER = anonymity.Publisher("identity--9299be75-398f-4885-b5cf-7b5dc13da87d", "Aster", "aster")


def verdict(**more):
    stix = making.account_pattern() | more
    (draft,) = parsing.read_batch(json.dumps({"objects": [stix]}).encode())
    return anonymity.check(draft, ASTER)


def test_an_ordinary_indicator_gives_nobody_away():
    assert verdict() is None


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"created_by_ref": ASTER.identity_id}, "/created_by_ref"),
        ({"description": "Seen at ASTER, twice."}, "/description"),
        ({"labels": ["ok", "aster"]}, "/labels/1"),
        ({"x_aster": 1}, "/x_aster"),
        ({"x_more": {"Aster": 1}}, "/x_more/Aster"),
        (
            {"external_references": [{"source_name": "a", "url": "https://aster.example/1"}]},
            "/external_references/0/url",
        ),
        ({"x_seen_by": [ASTER.identity_id.upper()]}, "/x_seen_by/0"),
    ],
)
def test_whatever_names_the_publisher_is_found_wherever_it_stands(more, field):
    assert verdict(**more).field == field
    assert verdict(**more).code == "names-its-publisher"


def test_a_name_is_a_whole_word():
    assert verdict(description="An asteroid, disastered.") is None


@pytest.mark.parametrize("version", "1267")
def test_an_id_that_tells_its_time_is_refused(version):
    told = f"indicator--9299be75-398f-{version}885-b5cf-7b5dc13da87d"
    assert verdict(id=told).code == "id-tells-time"
