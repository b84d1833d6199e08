"""An opinion over a colleague's: a page asks before, the object's page keeps both, and many leave theirs alone."""

from __future__ import annotations

import html
import re
import uuid

import pytest
from django.test import Client

from indicators.log import changes
from indicators.models import Opinion
from indicators.opinions import giving, many, recording
from indicators.stix import making
from partners.keys.auth import viewer_of_user
from partners.models import Partner
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import queries_of, text
from tests.partners.portal.test_drawn import form

pytestmark = pytest.mark.django_db
AGREE, DISSENT = {"opinion": "agree:confirmed_here"}, {"opinion": "disagree:false_positive"}


@pytest.fixture
def cast():
    return build.the_cast()


@pytest.fixture
def bea(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


@pytest.fixture
def ben(cast):
    return build.a_user(cast.aster, role=Role.ANALYST)


def pages_of(user):
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def theirs(cast, count=1):
    made = [making.account_pattern() for _ in range(count)]
    build.publish(cast.viewer("borealis"), *made)
    return [one["id"] for one in made]


def says(cast, stix_id):
    row = giving.said(cast.viewer("aster"), stix_id)
    return row and giving.word_of(row)


def opinions_card(page):
    return page[page.index("<h2>Opinions") : page.index("Who sees it, and why")]


def test_one_click_over_a_colleagues_opinion_asks_and_the_page_keeps_both(cast, bea, ben):
    (one,) = theirs(cast)
    at = f"/indicators/{one}/judge"
    assert pages_of(bea).post(at, DISSENT).status_code == 302
    client = pages_of(ben)
    assert re.search(rf"We say:.*False positive.*{bea.username}", text(client.get(f"/indicators/{one}")), re.DOTALL)
    asked = client.post(at, AGREE)
    assert asked.status_code == 409
    page = html.unescape(asked.content.decode())
    assert f"{bea.username} has judged it" in page
    assert "Nothing of yours is given yet" in page
    assert says(cast, one) == "disagree"
    assert client.post(at, form(asked.content.decode(), at, "Say it in its place")).status_code == 302
    assert says(cast, one) == "agree"
    after = text(client.get(f"/indicators/{one}"))
    assert re.search(rf"We say:.*Confirmed here.*{ben.username}", after, re.DOTALL)
    before = opinions_card(after).partition("What we said before")[2]
    assert "False positive" in before
    assert bea.username in before
    assert ben.username not in before


def test_what_is_asked_of_is_named_so_that_a_third_opinion_is_asked_of_too(cast, bea, ben):
    (one,) = theirs(cast)
    at = f"/indicators/{one}/judge"
    pages_of(bea).post(at, DISSENT)
    client = pages_of(ben)
    answer = form(client.post(at, AGREE).content.decode(), at, "Say it in its place")
    pages_of(bea).post(at, {"opinion": "neutral:stale"})
    again = client.post(at, answer)
    assert again.status_code == 409
    assert "Stale" in again.content.decode()
    assert says(cast, one) == "neutral"


def test_ones_own_and_the_same_are_not_asked_of(cast, bea, ben):
    (one,) = theirs(cast)
    at = f"/indicators/{one}/judge"
    for said in (DISSENT, AGREE):
        assert pages_of(bea).post(at, said).status_code == 302
    assert pages_of(ben).post(at, AGREE).status_code == 302
    assert Opinion.unrestricted.get(holding__stix_id=one).actor == f"user:{ben.pk}"


def test_what_a_colleague_says_is_told_to_nobody_else(cast, bea):
    (one,) = theirs(cast)
    pages_of(bea).post(f"/indicators/{one}/judge", DISSENT)
    pages_of(bea).post(f"/indicators/{one}/judge", AGREE)
    other = build.a_user(cast.borealis, role=Role.ANALYST)
    page = text(pages_of(other).get(f"/indicators/{one}"))
    assert "Confirmed here" in page
    for unsaid in (bea.username, "What we said before", "We say:"):
        assert unsaid not in page[page.index("<main") :]
    outside = build.a_user(cast.cygnus, role=Role.ANALYST)
    assert pages_of(outside).post(f"/indicators/{one}/judge", AGREE).status_code == 404


def test_who_may_not_judge_is_not_asked(cast, bea):
    (one,) = theirs(cast)
    pages_of(bea).post(f"/indicators/{one}/judge", DISSENT)
    counsel = build.a_user(cast.aster, role=Role.COUNSEL)
    assert pages_of(counsel).post(f"/indicators/{one}/judge", AGREE).status_code == 403


def test_an_opinion_that_waits_for_a_second_person_is_not_called_given(cast, bea):
    ids = theirs(cast, 2)
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    client = pages_of(bea)
    first, second = (text(client.post(f"/indicators/{one}/judge", DISSENT, follow=True)) for one in ids)
    assert "Your opinion is given." in first
    assert "Your opinion is given." not in second
    assert "Not given yet: it waits for a second person of yours." in second
    assert [says(cast, one) for one in ids] == ["disagree", None]


def test_the_list_of_ours_says_by_whom_and_that_of_others_does_not(cast, bea):
    (one,) = theirs(cast)
    pages_of(bea).post(f"/indicators/{one}/judge", DISSENT)
    assert bea.username in text(pages_of(bea).get("/judgement/?show=given")).partition("<main")[2]
    received = text(pages_of(build.a_user(cast.borealis)).get("/judgement/"))
    assert one in received
    assert bea.username not in received


def test_the_price_of_the_page_does_not_grow_with_what_we_said(cast, bea):
    (one,) = theirs(cast)
    client = pages_of(bea)
    for said in (DISSENT, AGREE):
        client.post(f"/indicators/{one}/judge", said)
    few = queries_of(client, f"/indicators/{one}")
    for said in (DISSENT, AGREE, {"opinion": "neutral:stale"}):
        client.post(f"/indicators/{one}/judge", said)
    assert queries_of(client, f"/indicators/{one}") == few


def judged(client, ids, **more):
    """Choose these of Borealis' lines, and judge them."""
    chosen = [f"borealis/{one}" for one in ids]
    where = client.post("/indicators/act", {"do": "judge", "chosen": chosen}, follow=True).redirect_chain[-1][0]
    page = text(client.get(where))
    client.post(where, {"do": "judge"} | AGREE | more)
    return where, page


def all_done():
    while many.work():
        pass


def test_of_many_what_colleagues_say_stays_and_is_told(cast, bea, ben):
    ids = theirs(cast, 3)
    pages_of(bea).post(f"/indicators/{ids[0]}/judge", DISSENT)
    client = pages_of(ben)
    where, page = judged(client, ids)
    assert "A colleague has judged 1 of them." in page
    assert f"{bea.username}: 1" in page
    giving.give(viewer_of_user(bea), ids[1], opinion="disagree", reason="stale")  # before the worker comes to it
    all_done()
    assert [says(cast, one) for one in ids] == ["disagree", "disagree", "agree"]
    assert text(client.get(where)).count("A colleague of yours says otherwise of it: that stays.") == 2


def test_of_many_what_the_page_showed_gives_way_where_one_says_so_and_comes_back(cast, bea, ben):
    ids = theirs(cast, 2)
    pages_of(bea).post(f"/indicators/{ids[0]}/judge", DISSENT)
    client = pages_of(ben)
    where = client.post(
        "/indicators/act", {"do": "judge", "chosen": [f"borealis/{one}" for one in ids]}, follow=True
    ).redirect_chain[-1][0]
    over = re.search(r'name="over" value="([^"]*)"', text(client.get(where)))[1]
    pages_of(bea).post(f"/indicators/{ids[1]}/judge", DISSENT)  # after the page was drawn
    client.post(where, {"do": "judge", "over": over} | AGREE)
    all_done()
    assert [says(cast, one) for one in ids] == ["agree", "disagree"]
    client.post(where, {"do": "undo"})
    all_done()
    assert [says(cast, one) for one in ids] == ["disagree", "disagree"]


def test_a_pushed_opinion_on_several_is_not_cut_down_to_one(cast, bea):
    ids = theirs(cast, 2)
    pushed = {
        "type": "opinion", "spec_version": "2.1", "id": f"opinion--{uuid.uuid4()}",
        "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z", "opinion": "disagree", "object_refs": ids,
    }  # fmt: skip
    after = changes.head()
    build.publish(cast.viewer("aster"), pushed)
    recording.find(after=after)
    assert [says(cast, one) for one in ids] == ["disagree", "disagree"]
    giving.give(viewer_of_user(bea), ids[0], opinion="agree", reason="confirmed_here")
    assert [says(cast, one) for one in ids] == ["agree", "disagree"]
