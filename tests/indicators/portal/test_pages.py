"""The portal's pages as a browser without JavaScript gets them: what they show, to whom, and at what price."""

from __future__ import annotations

import html
import re
import uuid

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from indicators.models import Delivery, Subscription
from indicators.portal import showing
from indicators.stix import making, tlp, vocabulary
from partners.models import ApiKey, Partner
from partners.scopes import Role
from tests import build, sending

pytestmark = pytest.mark.django_db

PROBE = "\"><script>alert(1)</script><img src=x onerror=alert(1)>'{{ 7 }}"
PAGES = ("/", "/recent", "/pulse", "/indicators", "/indicators/tallies", "/matches", "/subscriptions", "/account/")


@pytest.fixture
def cast():
    return build.the_cast()


def signed_in(partner, *, role=Role.ADMIN, csrf=False):
    client = Client(enforce_csrf_checks=csrf)
    user = build.a_user(partner, role=role)
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def text(response):
    assert response.status_code == 200, response.content[:500]
    return html.unescape(response.content.decode())


def names(response):
    """The titles of a list's rows, in order."""
    return re.findall(r'class="title[^"]*"[^>]*>([^<]*)</', text(response))


def a_pair(cast, *, name="Shared", subkind="email"):
    """Aster's and Borealis' indicators of one value, matched."""
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    theirs = making.account_pattern(subkind, carrier=carrier, name=f"{name} of Borealis")
    ours = making.account_pattern(subkind, carrier=carrier, name=f"{name} of Aster")
    build.publish(cast.viewer("borealis"), theirs)
    build.publish(cast.viewer("aster"), ours)
    return ours, theirs


def queries_of(client, path):
    client.get(path)  # the session, and what a process holds, are there
    with CaptureQueriesContext(
        connection,
    ) as captured:
        assert client.get(path).status_code == 200
    return len(captured)


# --- The list


def test_filters_narrow_the_list_and_live_in_the_address(cast):
    client = signed_in(cast.aster)
    a_pair(cast)
    build.publish(cast.viewer("borealis"), making.payment_fingerprint(name="A card", confidence=20))
    build.publish(cast.viewer("aster"), making.prompt_signature("regex", name="A prompt", tlp_word="green"))
    for query, expected in (
        ("", {"Shared of Aster", "Shared of Borealis", "A card", "A prompt"}),
        ("show=payment-fingerprint", {"A card"}),
        ("show=prompt-signature&q=card", set()),
        ("q=shared", {"Shared of Aster", "Shared of Borealis"}),
        ("publisher=borealis", {"Shared of Borealis", "A card"}),
        ("own=true", {"Shared of Aster", "A prompt"}),
        ("subkind=regex", {"A prompt"}),
        ("tlp=green", {"A prompt"}),
        ("tlp=red", set()),
        ("confidence=50", {"Shared of Aster", "Shared of Borealis", "A prompt"}),
        ("matched=true", {"Shared of Aster", "Shared of Borealis"}),
        ("matched=true&own=true", {"Shared of Aster"}),
        ("q=&own=&tlp=&matched=&subkind=&confidence=&publisher=", None),
    ):
        found = names(client.get(f"/indicators?{query}"))
        assert expected is None or set(found) == expected, query
        assert len(found) == len(set(found)), query
    answer = text(client.get("/indicators?show=prompt-signature&q=find+me&tlp=amber%2Bstrict&matched=true"))
    typed = re.search(r'name="filter" value="([^"]*(?:"[^"]*")?[^"]*)" maxlength', answer)[1]
    assert 'words:"find me"' in typed
    assert "tlp:amber+strict" in typed
    assert "kind:prompt-signature" in typed


def test_a_whole_id_and_a_whole_value_are_found(cast):
    client = signed_in(cast.borealis)
    known = making.account_pattern("net", carrier={"value": "198.51.100.0/24"}, name="An exit")
    build.publish(cast.viewer("aster"), known, making.account_pattern(name="Another"))
    assert names(client.get(f"/indicators?q={known['id']}")) == ["An exit"]
    assert names(client.get("/indicators?q=198.51.100.0/24")) == ["An exit"]


@pytest.mark.slow
def test_a_match_that_one_may_not_see_does_not_show_in_the_filter(cast):
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=carrier, name="Seen by the ring"))
    hidden = making.account_pattern(carrier=carrier, name="For Aster only")
    build.publish(cast.viewer("cygnus"), hidden | {"object_marking_refs": [tlp.ID_OF["red"]]}, partners=("aster",))
    assert set(names(signed_in(cast.aster).get("/indicators?matched=true"))) == {"Seen by the ring", "For Aster only"}
    assert names(signed_in(cast.borealis).get("/indicators?matched=true")) == []
    assert "Seen by the ring" not in text(signed_in(cast.borealis).get("/matches"))


def test_pages_of_the_list_together_are_the_list(cast):
    client = signed_in(cast.borealis)
    build.publish(cast.viewer("aster"), *(making.account_pattern(name=f"No {number:03}") for number in range(120)))
    for sort in ("", "-confidence"):
        found, cursor = [], ""
        while cursor is not None:
            answer = client.post("/indicators", {"filter": "no", "sort": sort, "cursor": cursor})
            found += names(answer)
            older = re.search(r'name="cursor" value="([^"]+)">(?:Older|More)', text(answer))
            cursor = older[1] if older else None
        assert found == [f"No {number:03}" for number in reversed(range(120))], sort


def test_a_part_is_answered_with_the_rows_alone(cast):
    client = signed_in(cast.aster)
    build.publish(cast.viewer("aster"), making.account_pattern(name="Only row"))
    response = client.post("/indicators", {"search": "only"}, headers={"HX-Request": "true"})
    answer = text(response)
    assert "Only row" in answer
    assert "<html" not in answer
    assert answer.lstrip().startswith('<div id="listed"')
    assert response["HX-Push-Url"] == "false", "what is searched stands in no address"
    narrowed = client.post("/indicators", {"filter": "severity:high"}, headers={"HX-Request": "true"})
    assert narrowed["HX-Push-Url"] == "/indicators?filter=severity%3Ahigh"


def test_a_filter_that_makes_no_sense_is_refused_by_name(cast):
    client = signed_in(cast.aster)
    for query, field in (
        ("confidence=999", "/confidence"),
        ("publisher=nobody", "/publisher"),
        ("tlp=purple", "/tlp"),
        ("matched=perhaps", "/matched"),
        ("shwo=objects", "/shwo"),
    ):
        response = client.get(f"/indicators?{query}")
        assert response.status_code == 422
        assert field in response.content.decode()
    assert client.get("/indicators?cursor=forged").status_code == 200, "an old bookmark begins at the top"


def test_every_subkind_of_the_schema_can_be_filtered_by():
    schema = vocabulary.schema_text(vocabulary.EXTENSION_ID).decode()
    offered = {name for names in showing.SUBKINDS.values() for name in names}
    declared = re.search(r'"subkind":\s*\{\s*"enum":\s*\[([^\]]*)\]', schema)[1]
    assert offered == set(re.findall(r'"([a-z_]+)"', declared))


# --- The page of one id


@pytest.mark.slow
def test_only_the_publisher_sees_whom_it_shares_with(cast):
    indicator = making.account_pattern(name="Ours")
    build.publish(cast.viewer("aster"), indicator)
    path = f"/indicators/{indicator['id']}"
    assert "You share it with" in text(signed_in(cast.aster).get(path))
    theirs = text(signed_in(cast.borealis).get(path))
    assert "You share it with" not in theirs
    assert "TLP:AMBER" in theirs


def test_a_reference_to_what_is_hidden_looks_like_one_to_nothing(cast):
    hidden = making.account_pattern(name="A secret title", tlp_word="red")
    shown = making.account_pattern(name="An open title")
    absent = f"indicator--{uuid.uuid4()}"
    note = {
        "type": "note",
        "spec_version": "2.1",
        "id": f"note--{uuid.uuid4()}",
        "created": "2026-05-01T00:00:00Z",
        "modified": "2026-05-01T00:00:00Z",
        "content": "see these",
        "object_refs": [hidden["id"], shown["id"], absent],
    }
    build.publish(cast.viewer("aster"), hidden, shown, note)
    answer = text(signed_in(cast.borealis).get(f"/indicators/{note['id']}"))
    assert "A secret title" not in answer
    assert "An open title" in answer
    facts = answer[: answer.index("Exactly as published")]
    around = [
        re.sub(re.escape(ref), "ID", facts[facts.index(ref) - 60 : facts.index("</dd>", facts.index(ref))])
        for ref in (hidden["id"], absent)
    ]
    assert around[0].split("<dd>")[1] == around[1].split("<dd>")[1]


def test_publishers_that_differ_are_shown_apart_and_those_that_agree_together(cast):
    agreed, disputed = making.account_pattern(name="Agreed"), making.account_pattern(name="Disputed")
    for name, confidence in (("aster", 10), ("borealis", 90)):
        build.publish(cast.viewer(name), agreed, disputed | {"confidence": confidence})
    client = signed_in(cast.aster)
    together = text(client.get(f"/indicators/{agreed['id']}"))
    assert together.count("Exactly as published") == 1
    assert "Aster and Borealis" in together
    apart = text(client.get(f"/indicators/{disputed['id']}"))
    assert apart.count("Exactly as published") == 2
    assert "2 publishers say different things" in apart
    for path in re.findall(rf'href="(/indicators/{disputed["id"]}/raw[^"]*)"', apart):
        assert client.get(path).content.decode() in apart, "each has its own file"
    assert client.get(f"/indicators/{disputed['id']}/raw?publisher=cygnus").status_code == 404


def test_every_kind_of_indicator_has_its_facts_in_words(cast):
    made = [
        make(subkind)
        for make, kind in (
            (making.account_pattern, "account-pattern"),
            (making.payment_fingerprint, "payment-fingerprint"),
            (making.prompt_signature, "prompt-signature"),
        )
        for subkind in showing.SUBKINDS[kind]
    ]
    results = build.results(build.publish(cast.viewer("aster"), *made))
    assert {result["status"] for result in results} == {"accepted"}, results
    client = signed_in(cast.borealis)
    for indicator in made:
        subkind = indicator["extensions"][vocabulary.EXTENSION_ID]["subkind"]
        answer = text(client.get(f"/indicators/{indicator['id']}"))
        assert f"<dd>{subkind.replace('_', ' ')}</dd>" in answer
        facts = answer[: answer.index("Exactly as published")]
        carried = ("Token<", "Value<", "Rule<", "Regular expression<", "NOVA rule<", "MinHash<")
        assert any(word in facts for word in carried), subkind


def test_the_download_is_the_publishers_bytes(cast):
    odd = b'{ "type":"x-odd", "id":"x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f",\t"n":1.10, "u":"\\u00e9" }'
    build.publish(cast.viewer("aster"), odd)
    response = signed_in(cast.borealis).get("/indicators/x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f/raw")
    assert response.content == odd
    assert response["Content-Disposition"].startswith("attachment")


def test_strange_objects_are_shown_without_a_fault(cast):
    client = signed_in(cast.aster)
    for number, more in enumerate(
        (
            {"labels": None},
            {"labels": 5},
            {"labels": {"a": 1}},
            {"description": ["x"], "name": 7, "pattern": {}},
            {"created_by_ref": [1], "x_refs": "a", "y_refs": [None, 5, {}], "z_ref": {"id": "x"}},
            {"extensions": []},
            {"confidence": "high"},
        )
    ):
        stix_id = f"x-odd--{uuid.uuid4()}"
        odd = {"type": "x-odd", "id": stix_id, "spec_version": "2.1", "n": number, **more}
        if build.results(build.publish(cast.viewer("aster"), odd))[0]["status"] == "accepted":
            assert client.get(f"/indicators/{stix_id}").status_code == 200, more
    numbers = (
        b'{"type":"x-odd","id":"x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e3f","n":12345678901234567890123,"e":1e400}'
    )
    nested = b'{"type":"x-odd","id":"x-odd--7a0e5b1c-93a1-4a3e-8a43-0f9b0d1c2e40","n":' + b"[" * 60 + b"]" * 60 + b"}"
    for raw in (numbers, nested):
        result = build.results(build.publish(cast.viewer("aster"), raw))[0]
        if result["status"] == "accepted":
            assert client.get(f"/indicators/{result['id']}").status_code == 200, raw
    assert client.get("/indicators?show=objects").status_code == 200


# --- Text stays text


def test_no_string_of_an_object_becomes_markup(cast):
    evil = making.account_pattern(
        name=PROBE,
        description=PROBE,
        labels=[PROBE],
        external_references=[{"source_name": PROBE, "description": PROBE}],
        carrier={"token": making.token("ab" * 32)},
    )
    twin = making.account_pattern(name=PROBE, carrier={"token": making.token("ab" * 32)})
    odd = {
        "type": "x-odd",
        "id": f"x-odd--{uuid.uuid4()}",
        "name": PROBE,
        "value": PROBE,
        PROBE: PROBE,
        "x": {PROBE: PROBE},
    }
    build.publish(cast.viewer("aster"), evil, odd)
    build.publish(cast.viewer("borealis"), twin)
    client = signed_in(cast.aster)
    shown = [*PAGES, f"/indicators/{evil['id']}", f"/indicators/{odd['id']}", "/indicators?show=objects"]
    for path in [*shown, f"/indicators?q={PROBE}", f"/nothing/{PROBE}"]:
        content = client.get(path).content.decode()
        assert "<script>alert" not in content, path
        assert "<img" not in content, path
    assert "alert(1)" in client.get("/indicators?view=all").content.decode(), "shown, as text"


@pytest.mark.slow
def test_pages_carry_no_inline_script_or_style(cast):
    a_pair(cast)
    client = signed_in(cast.aster)
    for path in (*PAGES, "/nothing", "/account/logout/"):
        response = client.get(path)
        content = response.content.decode()
        assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", content), path
        assert "unsafe" not in response["Content-Security-Policy"]
        policy = response["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "require-trusted-types-for 'script'" in policy
        assert re.search(r"trusted-types htmx worker(;|$)", policy), "named, and none of them a default for all strings"
        assert response["Cross-Origin-Resource-Policy"] == "same-origin"
        assert response["Cross-Origin-Opener-Policy"] == "same-origin"


@pytest.mark.slow
def test_pages_are_compressed_and_their_size_tells_nothing(cast):
    """Padded by a random length: who makes a reader ask again and again learns nothing of the page from it (BREACH)."""
    client = signed_in(cast.aster)
    sizes = set()
    for path in [*["/indicators"] * 12, "/words.js"]:
        answer = client.get(path, headers={"Accept-Encoding": "gzip, deflate, br"})
        assert answer["Content-Encoding"] == "gzip", path
        assert "Accept-Encoding" in answer["Vary"]
        sizes.add(len(answer.content))
    assert len(sizes) > 2


# --- Start and matches


def test_home_stands_still_and_says_when_something_is_new(cast):
    client = signed_in(cast.borealis)
    build.publish(cast.viewer("aster"), making.account_pattern(name="First"))
    again = html.unescape(re.search(r'hx-get="(/recent[^"]*)"', client.get("/").content.decode())[1])
    assert client.get(again).status_code == 204
    build.publish(cast.viewer("cygnus"), making.account_pattern(name="Of others"))
    with CaptureQueriesContext(connection) as captured:
        assert client.get(again).status_code == 204, "what one may not see moves nothing"
    assert len(captured) <= 10, "session, person and partner, audiences, and four looks at an index"
    build.publish(cast.viewer("aster"), making.account_pattern(name="Second"))
    assert "Something new" in text(client.get(again)), "nothing is put under the pointer"


def test_a_newcomer_is_told_why_and_how(cast):
    answer = text(signed_in(cast.aster).get("/"))
    assert "Nothing here yet" in answer
    assert "exchange publish" in answer


@pytest.mark.slow
def test_ones_own_quarantine_is_said_with_its_reasons_and_to_nobody_else(cast):
    quarantined = making.account_pattern(labels=["TLP:RED"], name="Says RED")
    assert build.results(build.publish(cast.viewer("aster"), quarantined))[0]["status"] == "quarantined"
    told = text(signed_in(cast.aster).get("/"))
    assert quarantined["id"] in told
    assert quarantined["id"] not in text(signed_in(cast.borealis).get("/"))


def test_objects_of_one_value_are_one_match(cast):
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    for name in ("aster", "borealis", "aster", "borealis"):
        build.publish(cast.viewer(name), making.account_pattern("device", carrier=carrier, name=f"By {name}"))
    a_pair(cast, name="Another", subkind="phone")
    answer = text(signed_in(cast.aster).get("/matches"))
    assert answer.count('<li class="shared">') == 2
    assert answer.count("2 sources") == 2
    assert all(answer.count(f">By {name}</a>") == 2 for name in ("aster", "borealis"))
    assert answer.index(">phone</span>") < answer.index(">device</span>"), "newest first"


# --- Who may


def test_who_is_not_signed_in_signs_in_first_and_comes_back(cast):
    for path in PAGES:
        response = Client().get(path)
        assert response.status_code == 302
        assert response["Location"].startswith("/account/login/?next=")
    part = Client().get("/recent", headers={"HX-Request": "true", "HX-Current-URL": "http://testserver/matches?a=b"})
    assert part["HX-Redirect"] == "/account/login/?next=/matches%3Fa%3Db", "a part takes its page along"


def test_people_of_a_suspended_partner_are_signed_out(cast):
    client = signed_in(cast.aster)
    assert client.get("/").status_code == 200
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.SUSPENDED)
    assert client.get("/")["Location"].startswith("/account/login/")
    Partner.objects.filter(pk=cast.aster.pk).update(state=Partner.State.ACTIVE)
    assert client.get("/").status_code == 302, "the session is gone"


def test_sign_up_is_closed():
    assert Client().get("/account/signup/").status_code == 404


def test_an_analyst_may_look_at_subscriptions_but_not_change_them(cast):
    client = signed_in(cast.aster, role=Role.ANALYST)
    assert "Your role may look" in text(client.get("/subscriptions"))
    response = client.post("/subscriptions", {"url": "https://receiver.example/hook"})
    assert response.status_code in (200, 403)
    assert Subscription.unrestricted.count() == 0


def test_a_subscription_is_made_shown_once_with_its_secret_paused_and_deleted(cast):
    client = signed_in(cast.aster)
    made = text(client.post("/subscriptions", {"url": "https://receiver.example/hook", "feed": "all"}))
    assert "whsec_" in made
    assert "whsec_" not in text(client.get("/subscriptions"))
    one = Subscription.unrestricted.get()
    for action, state in (("pause", "paused"), ("resume", "active")):
        assert client.post(f"/subscriptions/{one.pk}/act", {"do": action}).status_code == 302
        one.refresh_from_db()
        assert one.state == state
    assert client.post(f"/subscriptions/{one.pk}/act", {"do": "explode"}).status_code == 422
    client.post(f"/subscriptions/{one.pk}/act", {"do": "delete"})
    assert Subscription.unrestricted.count() == 0


def test_a_subscription_is_tested_changed_and_its_secret_renewed_and_a_delivery_sent_again(cast):
    client = signed_in(cast.aster)
    client.post("/subscriptions", {"url": "http://127.0.0.1:9/", "feed": "all"})
    one = Subscription.unrestricted.get()
    act = f"/subscriptions/{one.pk}/act"
    shown = text(client.post(act, {"do": "test"}, follow=True))
    assert "A test message is sent." in shown
    assert 'hx-get="/subscriptions/deliveries"' in shown  # it waits for the outcome
    sending.send_next()
    rows = text(client.get("/subscriptions/deliveries"))
    assert "The connection failed" in rows
    assert "hx-get" not in rows
    again = f"/subscriptions/deliveries/{Delivery.unrestricted.get().pk}/again"
    assert "It is sent again." in text(client.post(again, follow=True))
    assert Delivery.unrestricted.count() == 2
    assert "is changed" in text(
        client.post(act, {"do": "change", "url": "https://other.example/", "feed": "all"}, follow=True)
    )
    assert "must be an https URL" in text(client.post(act, {"do": "change", "url": "x", "feed": "all"}, follow=True))
    assert client.post(act, {"do": "change", "url": "https://other.example/", "feed": "x"}).status_code == 404
    one.refresh_from_db()
    assert one.url == "https://other.example/"
    assert "whsec_" in text(client.post(act, {"do": "secret"}))
    assert "whsec_" not in text(client.get("/subscriptions"))
    assert signed_in(cast.borealis).post(again).status_code == 404
    assert signed_in(cast.aster, role=Role.ANALYST).post(again).status_code == 403


def test_a_bad_address_is_explained_in_place(cast):
    answer = text(signed_in(cast.aster).post("/subscriptions", {"url": "ftp://receiver.example", "feed": "all"}))
    assert 'role="alert"' in answer
    assert "ftp://receiver.example" in answer, "nothing has to be typed again"


def test_changing_things_needs_post_and_a_token(cast):
    client = signed_in(cast.aster, csrf=True)
    assert client.post("/subscriptions", {"url": "https://receiver.example/hook"}).status_code == 403
    assert client.post("/account/theme/", {"theme": "dark"}).status_code == 403
    assert client.post("/account/logout/").status_code == 403
    assert client.get("/account/logout/").status_code == 200
    assert client.get("/").status_code == 200, "a GET signs nobody out"
    assert client.get(f"/subscriptions/{uuid.uuid4()}/act").status_code == 405
    assert client.get("/account/theme/").status_code == 405


def test_only_an_admin_sees_the_keys_and_nobody_their_secrets(cast):
    shown = text(signed_in(cast.aster).get("/organisation/keys/"))
    key = ApiKey.objects.get(partner=cast.aster)
    assert key.public_id in shown
    assert cast.keys["aster"] not in shown
    assert key.public_id not in text(signed_in(cast.aster, role=Role.ANALYST).get("/account/"))
    assert "An agreement." in text(signed_in(cast.aster).get("/account/")), "the legal basis of a group"


# --- The price


def test_pages_ask_the_store_a_fixed_number_of_times(cast):
    client = signed_in(cast.aster)
    ours, _ = a_pair(cast)
    paths = ("/", "/indicators", "/matches", f"/indicators/{ours['id']}", "/subscriptions", "/account/")
    few = {path: queries_of(client, path) for path in paths}
    for number in range(6):
        a_pair(cast, name=f"Pair {number}")
        carrier = {"tokens": ours["extensions"][vocabulary.EXTENSION_ID]["tokens"]}
        build.publish(cast.viewer("borealis"), making.account_pattern(carrier=carrier))
    assert {path: queries_of(client, path) for path in paths} == few
    assert few["/"] <= 44
    assert few["/indicators"] <= 26
    assert few[f"/indicators/{ours['id']}"] <= 38
    assert few["/matches"] <= 10
