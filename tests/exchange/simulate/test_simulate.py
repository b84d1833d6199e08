"""The simulation: labs that make tokens as every lab does, of secrets that no lab is told by another."""

import pytest

from exchange.client import Client
from exchange.client.tokenising import Tokeniser
from exchange.simulate import stage
from exchange.simulate.world import LABS, TEMPLATES, World
from exchange.stix import words
from exchange.tokens import normalising, prompts
from partners.models import Group
from partners.scopes import Scope
from tests import build, keyservice

SCOPES = (Scope.READ, Scope.PUBLISH, Scope.TOKENISE, Scope.GROUP_KEYS)


def test_the_same_seed_plays_the_same_campaign_and_labs_share_secrets():
    def play(seed):
        world = World(seed=seed)
        return [step for step, _ in zip(world.steps(), range(20), strict=False)]

    assert play(3) == play(3)
    assert play(3) != play(4)
    found = [finding for step in play(3) for finding in step.findings]
    secrets = {lab: {finding.secret for finding in found if finding.lab == lab} for lab in LABS}
    assert secrets["aster"] & secrets["borealis"]


def test_cards_are_cards_and_each_template_has_phrases():
    cards = {card for cluster in World(seed=1).clusters for card in cluster.cards}
    assert {normalising.pan(card) for card in cards} == cards
    assert all(prompts.phrases(text) for text in TEMPLATES.values())


@pytest.fixture
def cast(monkeypatch, settings):
    store = keyservice.served(monkeypatch, settings)
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, cast.cygnus, slug="labs")
    Group.objects.filter(slug="labs").update(policy=Group.Policy.CLOSED_FACTS)
    monkeypatch.setattr(stage, "GROUP", "labs")
    yield cast
    store.close()


@pytest.mark.django_db(transaction=True)
def test_all_that_is_published_enters_and_carries_the_tokens_that_a_lab_makes_of_the_same_secrets(live_server, cast):
    keys = {lab: build.a_key(getattr(cast, lab), *SCOPES) for lab in LABS}
    labs = {lab: {"api_key": keys[lab], "identity_id": getattr(cast, lab).identity_id, "name": lab} for lab in LABS}
    played, findings = stage.Stage(labs, live_server.url), []
    for step, _ in zip(World(seed=7, clusters=3, pace=8).steps(), range(12), strict=False):
        findings += step.findings
        played.play(step)
    played.close()
    with Client(live_server.url, keys["aster"]) as aster:
        carried = [one["object"] for one in aster.objects(type="indicator", limit=500)]
        extensions = [one["extensions"][words.EXTENSION_ID] for one in carried]
        assert {one["subkind"] for one in extensions} == {one.subkind for one in findings} >= {"email", "phrase"}
        assert {one["kind"] for one in extensions} == words.SUBKINDS.keys()
        assert played.refused == 0
        there = {token["value"] for one in extensions for token in one.get("tokens", ())}
        tokeniser = Tokeniser(aster, group="labs")
        for subkind in ("email", "pan_token", "skeleton", "phrase"):
            secrets = [one.secret for one in findings if one.subkind == subkind]
            for made in tokeniser.tokenise(subkind, secrets):
                assert {token.value for token in made.tokens} <= there
