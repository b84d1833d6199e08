"""The page of a group for counsel: what the door admits is what it validates by, and counts are powers of ten."""

from __future__ import annotations

import pytest

from exchange.stix import schemas, words
from indicators.portal import counsel
from indicators.stix import making
from partners.models import Group
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import PROBE, queries_of, signed_in, text

pytestmark = pytest.mark.django_db

PAGE = "/organisation/groups/ring/counsel"


@pytest.fixture
def cast():
    return build.the_cast()


def test_every_property_of_every_subkind_is_told():
    told = {one.name for one in counsel.envelope()}
    for each in counsel.kinds():
        told |= {one.name for one in each["says"]}
        for name, says in each["subkinds"]:
            assert says, name
    left = {"extension_type", "kind", "subkind", "schema_version", *words.CARRIED_BY.values()}
    # Said by one subkind alone, beside what it carries.
    left |= {"psp_scope"}
    for subkind in words.KIND_OF:
        properties = schemas.of_subkind(subkind)["properties"]
        assert {name for name in properties if name.replace("_", " ") not in told} <= left, subkind
    assert {name for each in counsel.kinds() for name, _ in each["subkinds"]} == {
        name.replace("_", " ") for name in words.KIND_OF
    }


def test_closed_words_are_named_and_none_recommends():
    said = {one.name: one.says for one in counsel.envelope()}
    assert said["publisher action"] == "one of: observed, limited, challenged, suspended"
    assert said["volume bucket"] == "a power of ten, never an exact number"
    assert not any("recommend" in name for name in said)


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "none"), (1, "under 10"), (9, "under 10"), (10, "10 or more"), (99_999, "10,000 or more")],
)
def test_counts_are_powers_of_ten(count, told):
    assert counsel.bucket(count) == told


def test_a_member_reads_terms_counts_and_rules(cast):
    build.publish(cast.viewer("borealis"), making.account_pattern(), groups=("ring",))
    build.publish(cast.viewer("aster"), making.payment_fingerprint(), groups=("ring",))
    for role in (Role.ADMIN, Role.COUNSEL):
        shown = text(signed_in(cast.aster, role=role).get(PAGE))
        ring = Group.objects.get(slug="ring")
        assert ring.purpose in shown
        assert ring.legal_basis in shown
        assert "No common action" in shown
        assert "Borealis" in shown
    counted = {kind: (own, others) for kind, own, others in counsel.shared(cast.viewer("aster"), ring.pk)}
    assert counted["account-pattern"] == ("none", "under 10")
    assert counted["payment-fingerprint"] == ("under 10", "none")


@pytest.mark.slow
def test_who_is_outside_finds_nothing_and_objects_unseen_are_not_counted(cast):
    outside, none = signed_in(cast.cygnus).get(PAGE), signed_in(cast.cygnus).get("/organisation/groups/none/counsel")
    assert (outside.status_code, none.status_code) == (404, 404)
    ring = Group.objects.get(slug="ring")
    build.publish(cast.viewer("borealis"), making.account_pattern(tlp_word="red"), partners=("aster",))
    assert counsel.shared(cast.viewer("aster"), ring.pk)[0] == ("account-pattern", "none", "none")


@pytest.mark.slow
def test_terms_are_text_and_the_page_costs_the_same(cast):
    Group.objects.filter(slug="ring").update(purpose=PROBE, basis_reference=PROBE)
    client = signed_in(cast.aster)
    assert b"<script>alert" not in client.get(PAGE).content
    few = queries_of(client, PAGE)
    for _ in range(3):
        build.publish(cast.viewer("borealis"), making.account_pattern(), groups=("ring",))
    assert queries_of(client, PAGE) == few
