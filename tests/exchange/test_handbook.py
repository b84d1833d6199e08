"""The documentation as pages: each link leads somewhere, nothing of the text is markup, and titles are searched."""

from __future__ import annotations

import re

import pytest

from exchange import handbook

CHAPTERS = handbook.known()


def anchors(name: str) -> set[str]:
    chapter = handbook.find(name)
    assert chapter, name
    return {*re.findall(r'<h\d id="([^"]+)"', chapter.body)}


def test_every_chapter_stands_in_the_list_of_its_part():
    listed = {chapter.name for _, chapters in handbook.contents() for chapter in chapters}
    assert listed == {name for name in CHAPTERS if "/" not in name}


@pytest.mark.parametrize("name", CHAPTERS)
def test_every_link_of_a_chapter_leads_to_a_page_and_a_heading(name):
    chapter = handbook.find(name)
    assert chapter, name
    assert chapter.title
    for to in re.findall(r'href="([^"]*)"', chapter.body):
        if to.startswith("https://"):
            continue
        if to.startswith("/docs/"):
            other, _, anchor = to.removeprefix("/docs/").partition("#")
            assert not anchor or anchor in anchors(other), to
        elif to.startswith("#"):
            assert to[1:] in anchors(name), to
        else:
            assert to.startswith("/api/v1/schema"), to


@pytest.mark.parametrize("name", CHAPTERS)
def test_code_that_scrolls_is_reached_by_keys(name):
    assert "<pre>" not in handbook.find(name).body


@pytest.mark.parametrize("name", CHAPTERS)
def test_a_chapter_holds_no_style_script_or_event(name):
    chapter = handbook.find(name)
    assert chapter
    tags = [
        tag
        for tag in re.findall(r"<[a-z][^>]*>", chapter.body)
        if not tag.startswith('<img src="/static/exchange/docs/')
    ]
    assert [tag for tag in tags if re.search(r"\s(style|on\w+)=|<script|<iframe|<img|javascript:", tag)] == []


def test_text_that_looks_like_markup_stays_text(tmp_path, monkeypatch):
    (tmp_path / "evil.md").write_text(
        "# A <script>alert(1)</script>\n\n<img src=x onerror=alert(1)>\n\n[x](javascript:alert(1)) [y](../../secrets.md)\n\n`a.md`\n"
    )
    monkeypatch.setattr(handbook, "PLACE", tmp_path)
    found = handbook.find("evil")
    assert found
    assert "<script" not in found.body
    assert "<img" not in found.body
    assert "href" not in found.body


@pytest.mark.parametrize(
    "name", ["../settings", "adr/../api", "nothing", "", "api/", "adr/", "Api", "api.md", "adr/0001/x"]
)
def test_no_other_file_is_a_chapter(name):
    assert handbook.find(name) is None


def test_the_issues_chapters_are_there():
    """For each user, what the words mean, what is promised, and what counsel asks."""
    assert {"start", "concepts", "vocabulary", "api", "taxii", "agent", "lab", "delta"} <= {*CHAPTERS}
    assert {"security", "operating", "legal"} <= {*CHAPTERS}
    assert "What remains sayable" in [one.title for one in handbook.find("security").headings]


def test_titles_and_headings_are_searched_whatever_their_case():
    assert handbook.search("REST api")[0].chapter.name == "api"
    assert "feeds" in [one.chapter.name for one in handbook.search("filters")]
    (found,) = [one for one in handbook.search("flood breaker") if one.chapter.name == "judgement"]
    assert [one.anchor for one in found.headings] == ["the-flood-breaker"]
    assert handbook.search("xyzzy") == []
    assert handbook.search("  ") == []


def test_words_of_a_text_are_found_with_their_section_and_a_passage_after_titles_and_headings():
    assert handbook.search("idempotency-key xyzzy") == [], "all words, in one section"
    found = {one.chapter.name: one for one in handbook.search("idempotency-key")}
    assert "api" in found
    for one in found.values():
        if one.passage:
            assert "idempotency-key" in one.passage.lower()
            assert len(one.passage) <= 170
            assert not any("idempotency-key" in heading.title.lower() for heading in one.headings)
    ranks = [bool(one.passage) for one in handbook.search("webhook")]
    assert ranks == sorted(ranks), "titles and headings first"
    assert True in ranks
    assert False in ranks


def test_every_section_that_is_found_has_its_place_on_the_page():
    for one in handbook.search("the"):
        anchored = anchors(one.chapter.name)
        assert {heading.anchor for heading in one.headings} <= anchored, one.chapter.name


def test_pictures_are_there_small_and_told_in_words():
    shown = [one for name in CHAPTERS for one in re.findall(r"<img [^>]*>", handbook.find(name).body)]
    kept = {path.name: path.stat().st_size for path in (handbook.PLACE.parent / "static/exchange/docs").iterdir()}
    assert len(shown) == len(kept) >= 6
    for one in shown:
        (name,) = re.findall(r'src="[^"]*/exchange/docs/(\w+)[^"/]*\.webp"', one)
        assert kept[f"{name}.webp"] <= 100_000
        assert len(re.search(r'alt="([^"]*)"', one)[1]) > 20
