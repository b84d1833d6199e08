"""The pages of judgement: opinions given and received as each side hears them, and what ours were good for."""

from __future__ import annotations

import re
import uuid

import pytest

from indicators.opinions import giving, recording
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import PROBE, queries_of, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def judged(cast, *, by="borealis", of="aster", reason="false_positive", opinion="disagree", **more):
    """An indicator of one, and what the other says of it."""
    one = making.account_pattern(carrier={"token": making.token(uuid.uuid4().hex * 2)}, **more)
    build.publish(cast.viewer(of), one)
    giving.give(cast.viewer(by), one["id"], opinion=opinion, reason=reason)
    return one


def test_what_others_say_of_ours_stands_beside_what_we_say(cast):
    theirs = judged(cast)
    ours = judged(cast, by="aster", of="borealis", reason="confirmed_here", opinion="agree")
    received = text(signed_in(cast.aster).get("/judgement/"))
    assert theirs["id"] in received
    assert ours["id"] not in received
    assert "False positive" in received
    assert "Borealis" in received
    assert ">Answer</a>" in received
    given = text(signed_in(cast.aster).get("/judgement/?show=given"))
    assert ours["id"] in given
    assert theirs["id"] not in given
    assert "Confirmed here" in given


@pytest.mark.slow
def test_that_an_opinion_waits_for_a_second_person_is_shown_to_its_own_partner_alone(cast, monkeypatch):
    monkeypatch.setattr(recording, "MOST_ALONE", 0)
    one = judged(cast)
    received, given = (
        text(signed_in(who).get(f"/judgement/?show={show}"))
        for who, show in ((cast.aster, "received"), (cast.borealis, "given"))
    )
    assert one["id"] in received
    assert one["id"] in given
    assert ("waits for a second person" in received, "waits for a second person" in given) == (False, True)


@pytest.mark.slow
def test_who_may_not_hear_an_opinion_sees_none(cast):
    one = judged(cast)
    for other in (cast.cygnus, cast.dorado):
        for show in ("received", "given"):
            shown = text(signed_in(other).get(f"/judgement/?show={show}"))
            assert one["id"] not in shown
            assert "0</span></a>" in shown, "and none is counted"


def test_a_withdrawn_opinion_and_an_ended_object_are_gone(cast):
    one = judged(cast)
    assert one["id"] in text(signed_in(cast.aster).get("/judgement/"))
    giving.give(cast.viewer("borealis"), one["id"], opinion="neutral", reason="stale")
    assert "Stale" in text(signed_in(cast.aster).get("/judgement/"))
    assert signed_in(cast.aster).post(f"/indicators/{one['id']}/withdraw").status_code == 302
    assert "Nobody judged ours yet" in text(signed_in(cast.aster).get("/judgement/"))


def test_an_analyst_looks_and_a_reader_is_told_what_it_takes(cast):
    judged(cast)
    analyst = text(signed_in(cast.aster, role=Role.ANALYST).get("/judgement/"))
    assert ">Answer</a>" not in analyst
    shut = signed_in(cast.aster, role=Role.ANALYST).get("/judgement/usefulness/")
    assert shut.status_code == 403
    assert "an admin of Aster gives roles" in shut.content.decode()


def test_pages_of_opinions_follow_each_other_and_cost_the_same(cast, monkeypatch):
    client = signed_in(cast.aster)
    made = [judged(cast)["id"] for _ in range(3)]
    monkeypatch.setattr("indicators.portal.judgement._PAGE", 2)
    first = text(client.get("/judgement/"))
    following = re.search(r'href="(/judgement/\?show=received[^"]*cursor=[^"]*)"', first)[1]
    second = text(client.get(following))
    assert [one in first for one in made] == [False, True, True]
    assert [one in second for one in made] == [True, False, False]
    assert text(client.get("/judgement/?cursor=old")), "an old one begins at the top"
    monkeypatch.undo()
    few = queries_of(client, "/judgement/")
    for _ in range(3):
        judged(cast)
    assert queries_of(client, "/judgement/") == few


@pytest.mark.slow
def test_usefulness_tells_buckets_and_never_below_three(cast):
    judged(cast)
    shown = text(signed_in(cast.aster).get("/judgement/usefulness/"))
    assert shown.count("fewer than 3") >= 4
    assert "Borealis" not in shown[shown.index("<main") :]
    assert "too few" in shown


@pytest.mark.slow
def test_titles_of_others_are_text(cast):
    judged(cast, of="aster", name=PROBE)
    judged(cast, of="borealis", by="aster", name=PROBE)
    for path in ("/judgement/", "/judgement/?show=given"):
        assert b"<script>alert" not in signed_in(cast.aster).get(path).content
