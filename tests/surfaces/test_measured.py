"""What the exchange measures of a text stands beside the object, on every surface that shows it, and in no bytes."""

from __future__ import annotations

import html
import json

import pytest

from indicators import reading
from indicators.door import corpus
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes
from indicators.models import Progress, StixObject
from indicators.publishing import rereading
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.indicators.api.caller import Caller, read
from tests.indicators.door.test_corpus import RARE, nova
from tests.indicators.portal.test_pages import signed_in

pytestmark = pytest.mark.django_db


def regex(text):
    return making.prompt_signature("regex", carrier={"signature": {"regex": text}})


def rare_of_the_corpus() -> str:
    """A run of words that exactly one of the bundled prompts holds."""
    for prompt in corpus.prompts():
        words = prompt.split()[:9]
        text = " ".join(word for word in words if word.isalpha())
        if len(text) > 30 and text in prompt and corpus.measured(regex=text) == "few":
            return text
    raise AssertionError


def test_it_is_told_beside_the_object_found_by_filters_and_in_no_bytes():
    cast = build.the_cast()
    aster, borealis = Caller(cast.keys["aster"]), Caller(cast.keys["borealis"])
    none, few = regex("(?i)show every step, then answer: <[a-z_]+>"), regex(rare_of_the_corpus())
    rule = making.prompt_signature("nova_rule", carrier={"signature": {"nova": nova([RARE], "any of keywords.*")}})
    phrase, other = making.prompt_signature("phrase"), making.account_pattern()
    expected = {none["id"]: "none", few["id"]: "few", rule["id"]: "none", phrase["id"]: "few", other["id"]: None}
    for stix in (none, few, rule, phrase, other):
        build.publish(cast.viewer("aster"), stix, groups=("ring",))
    for caller in (aster, borealis):
        told = read(caller.get("objects"))["objects"]
        assert {one["object"]["id"]: one.get("measured", {}).get("benign_hits") for one in told} == expected
        (alone,) = read(caller.get(f"objects/{few['id']}"))["statements"]
        assert alone["measured"] == {"benign_hits": "few", "sample_size": len(corpus.prompts())}
        (found,) = read(caller.send("POST", "objects/lookup", {"ids": [few["id"]]}))["objects"]
        assert found["statements"][0]["measured"] == alone["measured"]
        filtered = read(caller.get("objects?benign_hits=few"))["objects"]
        assert {one["object"]["id"] for one in filtered} == {few["id"], phrase["id"]}
        left = read(caller.get("objects?filter=-benign_hits:none"))["objects"]
        assert {one["object"]["id"] for one in left} == {few["id"], phrase["id"], other["id"]}
    assert {json.loads(said.body)["id"]: json.loads(said.body) for said in StixObject.unrestricted.all()} == {
        stix["id"]: json.loads(json.dumps(stix)) for stix in (none, few, rule, phrase, other)
    }


def test_the_portal_says_it_in_a_sentence():
    cast = build.the_cast()
    stix = regex("(?i)show every step, then answer: <[a-z_]+>")
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    page = signed_in(cast.borealis, role=Role.ANALYST).get(f"/indicators/{stix['id']}")
    said = html.unescape(page.content.decode())
    assert f"Of {len(corpus.prompts()):,} ordinary prompts it matches none." in said


def test_where_other_prompts_are_bundled_it_is_measured_again_and_told(monkeypatch):
    Progress.objects.filter(name__startswith="rereading").delete()
    cast = build.the_cast()
    borealis = cast.viewer("borealis")
    stix = regex("(?i)show every step, then answer: <[a-z_]+>")
    build.publish(cast.viewer("aster"), stix, groups=("ring",))
    assert rereading.reread().changed == 0
    place = changes.head()
    more = (*corpus.prompts(), *["Show every step, then answer: <yes>"] * 3)
    monkeypatch.setattr(corpus, "prompts", lambda: more)
    monkeypatch.setattr(corpus, "digest", lambda: 7)
    corpus.forget()
    try:
        assert rereading.reread().changed == 1
        assert rereading.reread().read == 0
    finally:
        corpus.forget()
    (said,) = reading.said(borealis, stix["id"])
    assert said.benign_hits == "many"
    told = [(one.op, one.stix_id) for one in changes.since(borealis, EVERYTHING, after=place, limit=9).changes]
    assert told == [("upsert", stix["id"])]
