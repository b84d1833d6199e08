"""Publishing in the portal: what the door says of each line, who will see it, what is sent and what is kept."""

import json
import re
import uuid

import pytest
from django.test import Client

from exchange import clock
from exchange.stix import schemas, words
from indicators import detectors
from indicators.ending import withdrawing
from indicators.models import Batch, Change, HeldBatch, Holding, Preparation
from indicators.portal import second
from indicators.portal.publish import forms
from indicators.publishing import preparing, previewing
from indicators.publishing.reach import Reach
from indicators.stix import making, parsing
from indicators.stix import tlp as marking
from partners.keys import auth
from partners.models import Group, Partner
from partners.scopes import Role
from partners.tlp import Tlp
from tests import build

pytestmark = pytest.mark.django_db
SAYS = {"control": "unknown", "severity": "high", "entry_program": "api", "shared_infra": "none", "instrument": "card",
        "accounts_per_instrument": "10^1", "elicitation": "cot", "languages": "en", "review": "one_analyst",
        "publisher_action": "suspended", "confidence": "70"}  # fmt: skip


@pytest.fixture
def cast():
    return build.the_cast()


def browser(partner, role=Role.PUBLISHER):
    client = Client()
    build.sign_in(client, build.a_user(partner, role=role))
    return client


def stored():
    """What publishing leaves."""
    return [model._base_manager.count() for model in (Holding, Change, Batch, HeldBatch)]


def prepared(client, *rows, **more):
    document = {"name": "A list", "rows": list(rows), "says": SAYS} | more
    return client.post("/ask/drafts", json.dumps(document), content_type="application/json")


def a_row(number, **more):
    token = making.token(uuid.uuid4().hex * 2)
    carried = {name: token[name] for name in ("scheme", "key_epoch", "value")}
    return {"n": number, "subkind": "email", "tokens": [carried]} | more


def test_lines_are_tried_and_nothing_is_published_before_one_says_so(cast):
    client = browser(cast.aster)
    rows = [
        a_row(1),
        {"n": 2, "subkind": "net", "value": "10.0.0.0/8"},
        {"n": 3, "subkind": "gateway_host", "value": "gate.example"},
    ]
    before = stored()
    address = prepared(client, *rows).json()["address"]
    page = client.get(f"{address}?groups=ring").content.decode()
    assert stored() == before
    assert "Publish 2" in page
    assert "too broad" in page.lower() or "benign" in page.lower()
    assert "Borealis" in page
    assert page.count('name="line"') == 2


def test_who_has_no_audience_by_default_drafts_as_well_and_chooses_one_later(cast):
    Partner.objects.filter(pk=cast.aster.pk).update(default_audience=None)
    client = browser(cast.aster)
    address = prepared(client, a_row(1), {"n": 2, "subkind": "net", "value": "10.0.0.0/8"}).json()["address"]
    assert [bool(row["object"]) for row in Preparation.unrestricted.get().rows] == [True, False]
    assert "Publish 1" in client.get(f"{address}?groups=ring").content.decode()
    client.post(f"{address}/send", {"line": ["1"], "groups": ["ring"]})
    assert Holding._base_manager.count() == 1


def test_chosen_lines_go_to_the_chosen_audience_once(cast):
    client = browser(cast.aster)
    address = prepared(client, a_row(1), a_row(2), a_row(3)).json()["address"]
    said = client.post(f"{address}/send", {"line": ["1", "3"], "groups": "ring"}, follow=True).content.decode()
    assert "2 published." in said
    assert Holding.unrestricted.filter(publisher=cast.aster).count() == 2
    assert "Publish 1" in said
    again = client.post(f"{address}/send", {"line": ["1", "3"], "groups": "ring"}, follow=True).content.decode()
    assert "Choose at least one line." in again
    assert Holding.unrestricted.filter(publisher=cast.aster).count() == 2


def test_of_a_refused_line_nothing_is_kept_but_its_number_and_why(cast):
    client = browser(cast.aster)
    evil = making.account_pattern(name="Call anna.secret@mail.example", description="x")
    prepared(client, {"n": 1, "object": evil}, {"n": 2, "subkind": "net", "value": "10.99.0.0/8"}, a_row(3))
    kept = json.dumps(Preparation.unrestricted.get().rows)
    assert "10.99" not in kept
    refused = [row for row in Preparation.unrestricted.get().rows if row["fault"]]
    assert all(row["object"] is None and row["shown"] == "" for row in refused)


def test_what_one_may_not_publish_alone_waits_for_a_second_person(cast):
    admin = auth.viewer_of_user(build.a_user(cast.aster))
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    assert admin
    client = browser(cast.aster)
    address = prepared(client, a_row(1), a_row(2), a_row(3)).json()["address"]
    page = client.get(f"{address}?groups=ring").content.decode()
    assert "Ask a second person for 3" in page
    client.post(f"{address}/send", {"line": ["1", "2", "3"], "groups": "ring"})
    assert HeldBatch.unrestricted.count() == 1
    assert Holding.unrestricted.count() == 0


@pytest.mark.slow
def test_a_draft_is_its_partners_own(cast):
    address = prepared(browser(cast.aster), a_row(1)).json()["address"]
    for other in (browser(cast.borealis), browser(cast.aster, role=Role.ANALYST)):
        absent = other.get(f"/publish/{uuid.uuid4()}")
        assert (other.get(address).status_code, absent.status_code) == (404, 404)
        assert other.post(f"{address}/send", {"do": "delete"}).status_code in (403, 404)
    assert Preparation.unrestricted.count() == 1


def test_a_raw_value_of_what_is_tokenised_makes_no_object(cast):
    answer = prepared(browser(cast.aster), {"n": 1, "subkind": "email", "value": "anna@mail.example"})
    assert answer.status_code == 200
    (row,) = Preparation.unrestricted.get().rows
    assert row["object"] is None
    assert "anna" not in json.dumps(row)


def test_what_is_known_to_us_is_said_and_how_many_lines_there_may_be(cast):
    client = browser(cast.aster)
    row = a_row(1)
    first = prepared(client, row).json()["address"]
    client.post(f"{first}/send", {"line": "1", "groups": "ring"})
    second = prepared(client, row).json()["address"]
    assert "you publish this value already" in client.get(f"{second}?groups=ring").content.decode()
    too_many = prepared(client, *[a_row(n) for n in range(preparing.MOST_LINES + 1)])
    assert too_many.json()["code"] == "too-many-lines"
    assert client.post(f"{second}/send", {"do": "delete"}, follow=True).status_code == 200
    assert not Preparation.unrestricted.filter(pk=second.rpartition("/")[2]).exists()


def test_what_was_written_is_shown_as_text(cast):
    evil = "<script>alert(1)</script>"
    address = prepared(browser(cast.aster), a_row(1), name=evil).json()["address"]
    page = browser(cast.aster).get(address).content.decode()
    assert evil not in page
    assert "&lt;script&gt;" in page


def test_the_form_has_every_property_of_every_subkind_that_a_browser_makes():
    """Whatever the schemas come to say: a property that the form forgot could not be said in the portal."""
    asked = forms.fields()
    for subkind, _ in (each for some in forms.subkinds().values() for each in some):
        schema = schemas.of_subkind(subkind)
        fields = {one.name.partition(".")[0]: one for one in asked if subkind in one.of}
        said = {name for name, rules in schema["properties"].items() if "const" not in rules}
        assert said - set(fields) == {words.CARRIED_BY[subkind]}
        for name in set(schema["required"]) & set(fields):
            assert subkind in fields[name].required
        for name, one in fields.items():
            if "enum" in schema["properties"][name]:
                assert [value for value, _ in one.options] == [str(each) for each in schema["properties"][name]["enum"]]


def test_a_new_subkind_has_its_form_at_once(monkeypatch):
    fresh = {"type": "object", "required": ["tokens", "colour"], "properties": {
        "tokens": {"type": "array"}, "kind": {"const": "account-pattern"}, "colour": {"enum": ["red", "blue"]}}}  # fmt: skip
    known = schemas.of_subkind
    monkeypatch.setattr(schemas, "of_subkind", lambda one: fresh if one == "hat" else known(one))
    monkeypatch.setitem(words.SUBKINDS, "account-pattern", (*words.SUBKINDS["account-pattern"], "hat"))
    monkeypatch.setitem(words.CARRIED_BY, "hat", "tokens")
    monkeypatch.setattr(forms, "fields", forms.fields.__wrapped__)  # which remembers nothing
    assert ("hat", "tokens") in forms.subkinds()["account-pattern"]
    (colour,) = (one for one in forms.of_some() if one.name == "colour")
    assert (colour.of, colour.required, colour.how) == (("hat",), ("hat",), "choice")


def test_what_the_form_says_becomes_what_the_schema_wants(cast):
    client = browser(cast.aster)
    detector = detectors.register(cast.viewer("aster"), name="Bursts")
    says = SAYS | {"detector.name": detector.code, "detector.version": "1.2.0", "first_seen": "2026-11-01T10:30",
                   "techniques": "AML.T0021, AML.T0012", "benign_hit_rate.bucket": "<10^-4",
                   "benign_hit_rate.sample_size": "10^6", "volume_bucket": ""}  # fmt: skip
    row = {
        "n": 1,
        "subkind": "cluster_rule",
        "value": "signup_burst >= 50 and geo_mismatch = true",
        "says": {"severity": "low"},
    }
    prepared(client, row, {"n": 2, "subkind": "cluster_rule", "value": "who knows"}, says=says)
    made, not_made = Preparation.unrestricted.get().rows
    extension = made["object"]["extensions"][words.EXTENSION_ID]
    assert extension["rule"] == {"all": [{"feature": "signup_burst", "op": ">=", "value": 50},
                                         {"feature": "geo_mismatch", "op": "=", "value": True}]}  # fmt: skip
    assert extension["detector"] == {"name": detector.code, "version": "1.2.0"}
    assert extension["benign_hit_rate"] == {"bucket": "<10^-4", "sample_size": "10^6"}
    assert (extension["first_seen"], extension["severity"]) == ("2026-11-01T10:00:00Z", "low")
    assert extension["techniques"] == ["AML.T0021", "AML.T0012"]
    assert "volume_bucket" not in extension
    assert not_made["fault"]["message"].startswith("a rule is")


def test_a_severity_is_drawn_as_bars_and_not_as_text():
    from exchange.templatetags import house

    drawn = house.severity("high")
    assert drawn.count("<rect") == 4
    assert "&lt;" not in drawn
    assert house.severity(None) == '<span class="none">none</span>'


def test_named_partners_are_an_audience_and_are_listed_before_anything_leaves(cast):
    client = browser(cast.aster)
    address = prepared(client, a_row(1)).json()["address"]
    asked = f"{address}?partners=cygnus"
    page = client.get(asked).content.decode()
    assert 'name="partners" value="cygnus" checked' in page
    assert '<input type="hidden" name="partners" value="cygnus">' in page
    assert "<b>Cygnus</b>" in page
    assert "<b>Borealis</b>" not in page
    assert client.get(f"{address}?partners=nobody").content.decode().count("So nothing of it may go.") == 1
    sent = client.post(f"{address}/send", {"line": ["1"], "partners": "cygnus"})
    assert sent["Location"].endswith("?partners=cygnus")
    one = Holding.unrestricted.get(stix_type="indicator")
    assert Holding.objects.visible_to(cast.viewer("cygnus")).filter(pk=one.pk).exists()
    assert not Holding.objects.visible_to(cast.viewer("borealis")).filter(pk=one.pk).exists()


def waits_to_say(client):
    """What the page says of each object that waits, by its name."""
    page = client.get("/organisation/waiting/").content.decode()
    return {
        re.findall(r"<b class=\"break\">([^<]*)</b>", one)[0]: " ".join(re.sub(r"<[^>]+>", " ", one).split())
        for one in re.findall(r"<li><div class=\"line wraps\">.*?</li>", page, re.DOTALL)
    }


def test_the_second_person_sees_what_a_revision_changes(cast):
    one = making.account_pattern(confidence=40, name="What it was")
    build.publish(cast.viewer("aster"), one)
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    then = {**one, "modified": build.later(), "confidence": 91, "name": "<b>What it is</b>"}
    build.publish(cast.viewer("aster"), then, making.account_pattern())
    page = browser(cast.aster).get("/organisation/waiting/").content.decode()
    assert "<code>/confidence</code>" in page
    assert "<del>40</del>" in page
    assert "<ins>91</ins>" in page
    assert "<b>What it is</b>" not in page
    assert page.count("holds nothing under this id") == 1
    assert '<b class="break">Email</b>' in page, "a title for people"
    assert len(set(re.findall(r'title="([0-9a-f]{64})"', page))) == 2, "what each matches on tells it from the other"


def test_the_second_person_sees_who_comes_to_see_an_object_and_who_loses_it(cast):
    """New, to others, and marked otherwise: each says what a second person has to know."""
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    aster = cast.viewer("aster")
    new, moved, marked, ended = (making.account_pattern(name=name) for name in ("New", "Moved", "Marked", "Ended"))
    build.publish(aster, moved, marked, ended, groups=("ring",), tlp=Tlp.AMBER)
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    aster = cast.viewer("aster")
    build.publish(aster, {**moved, "modified": build.later()}, new, groups=("circle",), tlp=Tlp.AMBER)
    build.publish(
        aster, {**marked, "modified": build.later()}, making.account_pattern(), groups=("ring",), tlp=Tlp.GREEN
    )
    revoked = {**ended, "modified": build.later(), "revoked": True}
    build.publish(aster, revoked, *(making.account_pattern() for _ in range(2)), groups=("ring",), tlp=Tlp.AMBER)
    said = waits_to_say(browser(cast.aster))
    assert "Would see it Cygnus" in said["New"]
    assert "Comes to see it Cygnus Is told to drop it Borealis" in said["Moved"]
    assert "Changes nothing of the version in force but its time." in said["Moved"]
    assert "TLP TLP:AMBER TLP:GREEN" in said["Marked"]
    assert "Seen by Borealis, as now" in said["Marked"]
    assert "Ended" not in said, "a revocation waits for nobody"
    assert Holding.unrestricted.get(stix_id=ended["id"]).state == Holding.State.REVOKED


def test_the_second_person_is_told_of_the_audience_that_a_revision_keeps(cast):
    """Its batch names none, so it stays where it is; what is marked anew, and what is new, go to the default."""
    kept, marked = (making.account_pattern(name=name) for name in ("Kept", "Marked"))
    marked["object_marking_refs"] = [marking.ID_OF["amber"]]
    build.publish(cast.viewer("aster"), kept, marked, groups=("ring",), tlp=Tlp.AMBER)
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    later = build.later()
    anew = {**marked, "modified": later, "object_marking_refs": [marking.ID_OF["green"]]}
    build.publish(
        cast.viewer("aster"), {**kept, "modified": later, "confidence": 12}, anew, making.account_pattern(name="New")
    )
    client = browser(cast.aster)
    said = waits_to_say(client)
    assert "Seen by Borealis, as now" in said["Kept"]
    assert "TLP TLP:AMBER TLP:GREEN" in said["Marked"]
    assert "Comes to see it Cygnus, Dorado" in said["Marked"]
    assert "Would see it Borealis, Cygnus" in said["New"]
    (held,) = HeldBatch.unrestricted.all()
    client.post(f"/organisation/waiting/{held.pk}/act", {"do": "confirm"})
    seen = Holding.objects.visible_to(cast.viewer("cygnus")).values_list("newest__title", flat=True)
    assert sorted(seen) == ["Marked", "New"]


def test_the_second_person_is_told_what_markings_of_ones_own_come_to(cast):
    """Defined before, in the batch (behind what the page shows), or nowhere: publication heeds each, and so the page."""
    held, sent, never = (f"marking-definition--{uuid.uuid4()}" for _ in range(3))

    def defines(marking_id, word):
        return {
            "type": "marking-definition",
            "spec_version": "2.1",
            "id": marking_id,
            "created": "2026-01-01T00:00:00.000Z",
            "definition_type": "tlp",
            "definition": {"tlp": word},
        }

    def marked(name, *refs):
        return making.account_pattern(name=name, object_marking_refs=list(refs))

    build.publish(cast.viewer("aster"), defines(held, "amber+strict"), groups=("ring",), tlp=Tlp.AMBER)
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    batch = [
        marked("Held", held),
        marked("Sent", sent),
        marked("Never", never),
        marked("Known", marking.ID_OF["green"]),
    ]
    more = [making.account_pattern(name=f"More {number}") for number in range(30)]
    build.publish(cast.viewer("aster"), *batch, *more, defines(sent, "amber+strict"), groups=("ring",))
    (waiting,) = HeldBatch.unrestricted.all()
    told = {one["title"]: one for one in second.objects(cast.viewer("aster"), waiting, most=10)}
    assert {name: one["tlp"] for name, one in told.items() if not name.startswith("More")} == {
        "Held": "amber+strict",
        "Sent": "amber+strict",
        "Never": "red",
        "Known": "green",
    }
    assert told["Never"]["sight"].sees == ()
    assert told["Known"]["sight"].sees == ("Borealis",)


def test_a_withdrawal_is_foreseen_where_the_object_is_and_what_was_withdrawn_nowhere(cast):
    aster = cast.viewer("aster")
    one, gone = making.account_pattern(), making.account_pattern()
    build.publish(aster, one, gone, groups=("ring",), tlp=Tlp.AMBER)
    withdrawing.withdraw(aster, [gone["id"]])
    batch = [{**one, "modified": build.later(), "revoked": True}, {**gone, "modified": build.later()}]
    drafts = parsing.read_batch(json.dumps({"objects": batch}).encode())
    Partner.objects.filter(pk=cast.aster.pk).update(ceiling_tlp=Tlp.RED)
    ended, asleep = previewing.foresee(cast.viewer("aster"), drafts, Reach(), wake=False)
    assert (ended.tlp, ended.sees, ended.problem) == (Tlp.AMBER, {"Borealis"}, "")
    assert asleep.problem == "You have withdrawn it since."


def test_the_second_person_is_told_why_a_batch_would_be_refused_now(cast):
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=1)
    build.publish(cast.viewer("aster"), making.account_pattern(), making.account_pattern(), groups=("ring",))
    Group.objects.update(suspended_at=clock.now())
    page = browser(cast.aster).get("/organisation/waiting/").content.decode()
    assert page.count("Published now it would be refused: The group ring is suspended") == 2


def test_two_groups_are_chosen_at_once_and_both_see_it(cast):
    build.a_ring(cast.aster, cast.cygnus, slug="circle")
    client = browser(cast.aster)
    address = prepared(client, a_row(1)).json()["address"]
    page = client.get(f"{address}?groups=ring&groups=circle")
    assert page.status_code == 200
    shown = page.content.decode()
    assert shown.count('name="groups" value="ring" checked') == 1
    assert shown.count('name="groups" value="circle" checked') == 1
    assert "groups=ring&amp;groups=circle&amp;show=new" in shown, "a tab keeps the audience"
    sent = client.post(f"{address}/send", {"line": ["1"], "groups": ["ring", "circle"]}, follow=True)
    assert sent.status_code == 200
    one = Holding.unrestricted.get(stix_type="indicator")
    for name in ("borealis", "cygnus"):
        assert Holding.objects.visible_to(cast.viewer(name)).filter(pk=one.pk).exists(), name


def test_a_draft_of_many_lines_goes_at_once(cast):
    client = browser(cast.aster)
    hosts = [{"n": n, "subkind": "gateway_host", "value": f"gate{n}.example"} for n in range(1, 302)]
    address = prepared(client, *hosts).json()["address"]
    sent = client.post(f"{address}/send", {"line": [str(n) for n in range(1, 302)], "groups": "ring"}, follow=True)
    assert sent.status_code == 200
    assert Holding.unrestricted.filter(stix_type="indicator").count() == 301
