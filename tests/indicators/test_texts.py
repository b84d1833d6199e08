"""Texts that no list closes, a regex or a NOVA rule, wait for a second person where facts are closed."""

import pytest

from indicators.models import HeldBatch
from indicators.publishing import awaiting, confirming
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.indicators.test_audience import admin, sees, statuses

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    made = build.the_cast()
    build.a_ring(made.aster, made.borealis, slug="facts", policy="closed-facts")
    return made


def push(cast, *objects, groups=("facts",)):
    return build.publish(cast.viewer("aster"), *objects, groups=groups)


@pytest.mark.parametrize("subkind", ["regex", "nova_rule"])
def test_a_text_waits_and_all_else_goes_on(cast, subkind):
    text, token = making.prompt_signature(subkind), build.an_indicator()
    answer = push(cast, text, token)
    assert [said["status"] for said in build.results(answer)] == ["waiting", "accepted"]
    assert sees(cast, "borealis") == 1
    (held,) = awaiting.waiting(cast.viewer("aster"))
    assert held.why == awaiting.TEXT
    assert held.places == [0]
    confirming.confirm(admin(cast.aster, Role.PUBLISHER), held.pk)
    assert statuses(answer.batch_id) == ["accepted", "accepted"]
    assert sees(cast, "borealis") == 2


def test_a_text_that_is_declined_is_never_seen(cast):
    push(cast, making.prompt_signature("regex"))
    (held,) = awaiting.waiting(cast.viewer("aster"))
    confirming.decline(admin(cast.aster), held.pk)
    assert sees(cast, "borealis") == 0
    assert HeldBatch.unrestricted.get().body == ""


def test_a_text_goes_on_where_facts_are_open(cast):
    answer = push(cast, making.prompt_signature("regex"), groups=("ring",))
    assert [said["status"] for said in build.results(answer)] == ["accepted"]


def test_of_two_places_the_stricter_counts(cast):
    answer = push(cast, making.prompt_signature("regex"), groups=("ring", "facts"))
    assert [said["status"] for said in build.results(answer)] == ["waiting"]


def test_a_text_that_is_moved_to_where_facts_are_closed_waits(cast):
    text = making.prompt_signature("regex")
    push(cast, text, groups=("ring",))
    answer = push(cast, text, groups=("ring", "facts"))
    assert [said["status"] for said in build.results(answer)] == ["waiting"]
    assert sees(cast, "borealis") == 1


def test_the_end_of_a_text_waits_for_nobody(cast):
    text = making.prompt_signature("regex")
    push(cast, text)
    confirming.confirm(admin(cast.aster), awaiting.waiting(cast.viewer("aster"))[0].pk)
    answer = push(cast, text | {"revoked": True, "modified": build.later()}, groups=())
    assert [said["status"] for said in build.results(answer)] == ["accepted"]
    assert awaiting.waiting(cast.viewer("aster")) == []


def test_what_no_list_knows_is_refused_and_nothing_of_it_is_kept(cast):
    note = {
        "type": "note",
        "spec_version": "2.1",
        "id": "note--6a41cd8a-4a9f-4a0b-9a39-7f7c6c0fd9d5",
        "created": "2026-11-20T08:00:00.000Z",
        "modified": "2026-11-20T08:00:00.000Z",
        "content": "Seen on a rainy Tuesday.",
        "object_refs": ["identity--6a41cd8a-4a9f-4a0b-9a39-7f7c6c0fd9d5"],
    }
    answer = push(cast, note, build.an_indicator(name="Seen on a rainy Tuesday."))
    assert [(said["code"], said["field"]) for said in build.results(answer)] == [
        ("not-listed", "/type"),
        ("not-listed", "/name"),
    ]
    assert b"rainy" not in answer.results
