"""The pages of the documentation, as whoever is signed in reads them."""

from __future__ import annotations

import pytest
from django.test import Client

from exchange import handbook
from partners.portal import places
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import PROBE, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def test_everybody_who_is_signed_in_reads_it_and_nobody_else(cast):
    assert Client().get("/docs").status_code == 302
    for role in Role:
        shown = text(signed_in(cast.aster, role=role).get("/docs"))
        assert "Five minutes for each of you" in shown
    chapter = text(signed_in(cast.aster).get("/docs/judgement"))
    assert 'id="the-flood-breaker"' in chapter
    assert 'href="#the-flood-breaker"' in chapter
    assert "Filters and feeds" in chapter, "the other chapters are one press away"


def test_the_page_to_try_the_api_holds_no_key_and_names_the_document(cast):
    shown = text(signed_in(cast.aster).get("/docs/try"))
    assert 'data-schema="/api/v1/schema"' in shown
    assert "exk_…" in shown
    assert 'name="key"' not in shown, "no form sends it but to the operation"
    assert "/docs/try" in text(signed_in(cast.aster).get("/docs"))
    assert "/organisation/keys/" in shown
    assert "Issue one to try with" not in text(signed_in(cast.aster, role=Role.ANALYST).get("/docs/try"))


def test_a_search_finds_titles_and_shows_what_was_asked_as_text(cast):
    client = signed_in(cast.aster)
    assert "/docs/judgement#the-flood-breaker" in text(client.get("/docs?q=flood"))
    assert "at the door" in text(client.get("/docs?q=at the door"))
    assert "No chapter holds these words" in text(client.get("/docs", {"q": PROBE}))
    assert b"<script>alert" not in client.get("/docs", {"q": PROBE}).content
    assert client.get("/docs?x=1").status_code == 422


def test_what_is_no_chapter_is_not_found(cast):
    client = signed_in(cast.aster)
    for path in ("/docs/nothing", "/docs/../manage", "/docs/adr/", "/docs/"):
        assert client.get(path).status_code == 404, path


def test_a_page_leads_to_its_chapter(cast):
    assert 'href="/docs/portal#feeds"' in text(signed_in(cast.aster).get("/subscriptions"))
    assert 'href="/docs/portal"' in text(signed_in(cast.aster).get("/"))
    assert text(signed_in(cast.aster).get("/account/")).count('href="/docs/people"') == 2, (
        "beside the name, and in its menu"
    )


def test_every_page_of_the_portal_leads_to_its_chapter():
    pages = [*places.WORK, *(page for area in places.AREAS for page in area.pages)]
    for route, docs in [*((page.route, page.docs) for page in pages), *places.CHAPTERS.items()]:
        name, _, anchor = docs.partition("#")
        found = handbook.find(name)
        assert found, route
        assert not anchor or f'id="{anchor}"' in found.body, (route, docs)
