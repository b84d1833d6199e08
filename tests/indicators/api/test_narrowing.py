"""What a body or a query says of an audience is meant as it is said: nothing that is empty widens one."""

import json

import pytest
from django.test import Client

from exchange.errors import NotFound
from indicators.publishing import awaiting, confirming, readdressing
from indicators.publishing.reach import Reach
from partners.groups import membership
from partners.keys import auth
from partners.models import Partner
from partners.tlp import Tlp
from tests import build
from tests.indicators.api.caller import Caller, at, code, read

pytestmark = pytest.mark.django_db
NOBODY = [{"groups": []}, {"partners": []}, {"groups": [], "partners": []}]


@pytest.fixture
def cast():
    return build.the_cast()


def readers(caller, stix_id):
    return [one["slug"] for one in caller.get(f"objects/{stix_id}/readers").json()["readers"]]


def published(cast, stix=None, **where):
    stix = stix or build.an_indicator()
    build.publish(cast.viewer("aster"), stix, **where)
    return stix["id"]


@pytest.mark.parametrize("body", NOBODY)
def test_an_empty_list_names_nobody(cast, body):
    aster, stix_id = Caller(build.a_key(cast.aster)), published(cast, groups=("ring",))
    assert aster.send("PUT", f"objects/{stix_id}/audience", body).status_code == 204
    assert readers(aster, stix_id) == []
    assert Caller(build.a_key(cast.borealis)).get(f"objects/{stix_id}").status_code == 404
    assert aster.get(f"objects/{stix_id}").status_code == 200


def test_what_waits_for_a_second_person_is_not_said_to_be_done(cast):
    stix_id = published(cast, groups=("ring",))
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=0)
    aster = Caller(build.a_key(cast.aster))
    waits = read(aster.send("PUT", f"objects/{stix_id}/audience", {"partners": ["cygnus"]}), 202)
    assert [(one["id"], one["status"]) for one in waits["results"]] == [(stix_id, "waiting")]
    assert read(aster.get(f"batches/{waits['id']}"))["counts"]["waiting"] == 1
    assert readers(aster, stix_id) == ["borealis"], "it stays where it is"
    assert aster.send("PUT", f"objects/{stix_id}/audience", {"groups": []}).status_code == 204, "fewer need nobody"
    browser = Client()
    build.sign_in(browser, build.a_user(cast.aster))
    told = browser.post(f"/indicators/{stix_id}/audience", {"do": "change", "partners": ["cygnus"]}, follow=True)
    assert "It waits for a second person of yours" in told.content.decode()


def test_the_same_wish_waits_once_until_it_is_decided(cast):
    stix_id = published(cast, groups=("ring",))
    Partner.objects.filter(pk=cast.aster.pk).update(alone_objects=0)
    aster, other = Caller(build.a_key(cast.aster)), Caller(build.a_key(cast.aster))

    def ask(caller, **body):
        return read(caller.send("PUT", f"objects/{stix_id}/audience", body), 202)

    first = ask(aster, partners=["cygnus"])
    assert ask(aster, partners=["cygnus"]) == first == ask(other, partners=["cygnus"])
    assert ask(aster, partners=["cygnus", "dorado"])["id"] != first["id"]
    second_person = auth.viewer_of_user(build.a_user(cast.aster))
    assert len(awaiting.waiting(second_person)) == 2
    confirming.decline(second_person, awaiting.waiting(second_person)[0].pk)
    assert ask(aster, partners=["cygnus"])["id"] != first["id"], "it was declined, and is asked for again"


@pytest.mark.parametrize("body", NOBODY)
def test_a_preview_of_nobody_is_nobody(cast, body):
    answer = Caller(build.a_key(cast.aster)).send("POST", "audience", body | {"tlp": "clear"})
    assert answer.json() == {"readers": []}


def test_not_everyone_alone_names_no_audience(cast):
    """As on a push: there `everyone=false` is the default audience, and its preview says so."""
    aster = Caller(build.a_key(cast.aster))
    stix_id = published(cast, build.an_indicator(tlp_word="green"), groups=("ring",))
    before = readers(aster, stix_id)
    assert before
    alone = aster.send("PUT", f"objects/{stix_id}/audience", {"everyone": False})
    assert code(alone, 422) == "no-audience"
    assert aster.send("PUT", f"objects/{stix_id}/audience", {"everyone": False, "tlp": "amber"}).status_code == 204
    assert readers(aster, stix_id) == before
    default = aster.send("POST", "audience", {"tlp": "amber"}).json()
    assert aster.send("POST", "audience", {"everyone": False, "tlp": "amber"}).json() == default


@pytest.mark.parametrize("query", ["tlp=", "attribution=%20", "groups=ring&tlp="])
def test_a_push_with_an_empty_marking_or_source_is_refused(cast, query):
    sent = json.dumps(build.an_indicator())
    headers = build.bearer(build.a_key(cast.aster))
    answer = Client().post(f"/api/v1/batches?{query}", sent, content_type="application/json", headers=headers)
    assert (code(answer, 422), at(answer)) == ("bad-parameter", "/" + query.rpartition("&")[2].partition("=")[0])


def test_who_narrowed_it_meanwhile_is_not_undone_by_another_marking(cast, monkeypatch):
    aster, stix_id = cast.viewer("aster"), published(cast, everyone=True)
    everybody = readers(Caller(build.a_key(cast.aster)), stix_id)
    read = readdressing.reading.own_object

    def narrowed_meanwhile(viewer, wanted):
        found = read(viewer, wanted)
        monkeypatch.undo()
        readdressing.readdress(aster, stix_id, Reach.in_words(aster, named=True, groups=("ring",)))
        return found

    monkeypatch.setattr(readdressing.reading, "own_object", narrowed_meanwhile)
    with pytest.raises(NotFound):
        readdressing.readdress(aster, stix_id, Reach.in_words(aster, named=False, tlp="green"))
    assert len(readers(Caller(build.a_key(cast.aster)), stix_id)) < len(everybody)


def test_a_name_beside_an_empty_list_counts(cast):
    aster, stix_id = Caller(build.a_key(cast.aster)), published(cast, groups=("ring",))
    aster.send("PUT", f"objects/{stix_id}/audience", {"groups": [], "partners": ["cygnus"]})
    assert readers(aster, stix_id) == ["cygnus"]


@pytest.mark.parametrize(
    "query", ["groups=", "partners=", "groups=%20,", "groups=&everyone=true", "groups=ring&partners="]
)
def test_a_push_for_an_empty_name_is_refused(cast, query):
    sent = json.dumps(build.an_indicator())
    headers = build.bearer(build.a_key(cast.aster))
    answer = Client().post(f"/api/v1/batches?{query}", sent, content_type="application/json", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad-audience")


@pytest.mark.parametrize(
    ("where", "tlp", "seen_by"),
    [
        ({"partners": ("cygnus",)}, Tlp.AMBER_STRICT, ["cygnus"]),
        ({"partners": ("cygnus",)}, Tlp.RED, ["cygnus"]),
        ({"groups": ("ring",)}, Tlp.AMBER_STRICT, ["borealis"]),
        ({"groups": ("ring",)}, Tlp.RED, []),
        ({"groups": ("ring",), "partners": ("cygnus",)}, Tlp.RED, ["cygnus"]),
        ({"everyone": True, "tlp": Tlp.GREEN}, Tlp.RED, []),
    ],
)
def test_another_marking_alone_shows_it_to_nobody_new(cast, where, tlp, seen_by):
    aster, stix_id = Caller(build.a_key(cast.aster)), published(cast, **where)
    assert aster.send("PUT", f"objects/{stix_id}/audience", {"tlp": tlp.word}).status_code == 204
    assert readers(aster, stix_id) == seen_by


def test_another_marking_alone_leaves_out_a_group_that_was_left(cast):
    second = build.a_ring(cast.aster, cast.cygnus, slug="second")
    stix_id = published(cast, groups=("ring", "second"))
    membership.leave(auth.viewer_of_user(build.a_user(cast.aster)), second)
    readdressing.readdress(cast.viewer("aster"), stix_id, Reach(tlp=Tlp.AMBER_STRICT))
    assert readers(Caller(build.a_key(cast.aster)), stix_id) == ["borealis"]


def test_the_page_shows_to_nobody_where_nobody_is_ticked(cast):
    stix_id, client = published(cast, groups=("ring",)), Client()
    build.sign_in(client, build.a_user(cast.aster))
    asked = client.post(f"/indicators/{stix_id}/audience", {"do": "ask", "tlp": "amber"}).content.decode()
    assert "Would see it: 0" in asked
    client.post(f"/indicators/{stix_id}/audience", {"do": "change", "tlp": "amber"})
    assert readers(Caller(build.a_key(cast.aster)), stix_id) == []
