"""The line of an indicator's life: what is known in order, and nothing that breaks it."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest

from exchange import clock
from indicators.opinions import giving, sighting
from indicators.portal import life
from indicators.stix import making
from tests import build
from tests.indicators.portal.test_pages import PROBE, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_the_page_tells_who_said_what_when(cast):
    token = {"token": making.token(uuid.uuid4().hex * 2)}
    ours = making.account_pattern(carrier=token, name=PROBE)
    build.publish(cast.viewer("aster"), ours)
    build.publish(cast.viewer("borealis"), making.account_pattern(carrier=token))
    giving.give(cast.viewer("borealis"), ours["id"], opinion="disagree", reason="false_positive")
    now = clock.now()
    sighting.report(cast.viewer("borealis"), ours["id"], count=3, first_seen=now - timedelta(hours=2), last_seen=now)
    shown = text(signed_in(cast.aster).get(f"/indicators/{ours['id']}"))
    line = shown[shown.index(">Life</h2>") :].partition("</section>")[0]
    for words in (
        "Published by Aster",
        "The same value by Borealis",
        "False positive: Borealis",
        "Met by Borealis",
        "It ends",
    ):
        assert words in line, words
    seen = shown.partition("Seen by Borealis")[2].partition("</li>")[0]
    hours = re.findall(
        r"(first|last) <time [^>]+ title=\"in the hour from [0-9-]+ [0-9]{2}:00 UTC\">(this hour|~ 2 h)<", seen
    )
    assert hours == [("first", "~ 2 h"), ("last", "this hour")], seen
    assert line.index("Published by Aster") < line.index("False positive"), "a judgement moves no publication"
    outside = text(signed_in(cast.borealis).get(f"/indicators/{ours['id']}"))
    assert "Published by Aster" in outside


@pytest.mark.parametrize("said", ["", "x", 3, None, "2026-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:00:00Z"])
def test_a_moment_that_is_none_is_left_out(said):
    assert life._moment(said) is None


def test_marks_lie_on_the_line_in_order(cast):
    one = making.account_pattern(valid_until="2099-01-01T00:00:00Z")
    del one["extensions"]
    build.publish(cast.viewer("aster"), one)
    shown = text(signed_in(cast.aster).get(f"/indicators/{one['id']}"))
    assert ">Life</h2>" not in shown, "what is none of ours has no kind, and no line"
