"""Campaigns in the portal: who sees them, what the picture shows and leaves out, what one says, files."""

import json
import re
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client

from exchange import clock
from exchange.templatetags import house
from indicators.campaigns import announcing, proposing, queueing
from indicators.campaigns.tables import Campaign, CampaignAlias, CampaignStatement
from indicators.portal.campaigns import lanes, marks, picture
from indicators.stix import making
from partners.scopes import Role
from tests import build
from tests.indicators.campaigns.sending import Pooling
from tests.indicators.campaigns.test_placing import campaign_of

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(queueing, "PAUSE", timedelta(0))


@pytest.fixture
def pool():
    made = Pooling(interval_s=0)
    made.lines = campaign_of(made, "x")
    assert proposing.work(made.group.pk)
    announcing.catch_up()
    made.campaign = Campaign.objects.get()
    return made


def browser(partner, role=Role.ANALYST):
    client = Client()
    build.sign_in(client, build.a_user(partner, role=role))
    return client


def text(response):
    assert response.status_code == 200, response.content
    return response.content.decode()


@pytest.mark.slow
def test_members_see_it_in_the_list_and_others_do_not(pool):
    name = pool.campaign.told["name"]
    assert name in text(browser(pool.partners["aster"]).get("/campaigns"))
    outside = browser(build.a_partner("Gemini"))
    assert name not in text(outside.get("/campaigns"))
    for path in ("", "/picture.svg", "/picture.json"):
        hidden = outside.get(f"/campaigns/{pool.campaign.pk}{path}")
        absent = outside.get(f"/campaigns/{uuid.uuid4()}{path}")
        assert (hidden.status_code, absent.status_code) == (404, 404)
    for path, form in (("say", {"says": "confirm", "reason": "confirmed_here"}), ("alias", {"alias": "ours"})):
        assert outside.post(f"/campaigns/{pool.campaign.pk}/{path}", form).status_code == 404
    assert not CampaignStatement.objects.exists()
    assert not CampaignAlias.objects.exists()


@pytest.mark.slow
def test_the_page_shows_own_accounts_and_shared_tokens_and_nothing_of_other_labs_accounts(pool):
    page = text(browser(pool.partners["aster"]).get(f"/campaigns/{pool.campaign.pk}"))
    shown = page + browser(pool.partners["aster"]).get(f"/campaigns/{pool.campaign.pk}/picture.json").content.decode()
    for lab, lines in pool.lines.items():
        for line in lines:
            assert (line["account"] in shown) == (lab == "aster")
    domain = pool.lines["aster"][0]["tokens"][2]["value"]
    assert domain in page
    assert "Corroborated" in page
    assert page.count('class="dot"') + page.count('class="dot ring"') == 12
    assert "12 are ours" in re.sub(r"</?b>", "", page)
    for lab in ("Borealis", "Cygnus"):
        assert lab not in re.sub(r"<option.*?</option>|<select.*?</select>", "", page, flags=re.DOTALL)


def test_a_lab_without_accounts_in_it_sees_kinds_alone(pool):
    page = text(browser(pool.partners["eridanus"]).get(f"/campaigns/{pool.campaign.pk}"))
    for line in pool.lines["aster"]:
        assert not [token for token in line["tokens"] if token["value"][:8] in page]
    assert "None is ours" in re.sub(r"</?b>", "", page)
    assert "Lab 3" in page, "all labs are others"


def test_the_names_in_the_table_are_those_who_published_the_value_as_the_viewer_sees_it(pool):
    token = pool.lines["aster"][0]["tokens"][0]
    carrier = {"token": {"scheme": token["scheme"], "key_epoch": token["key_epoch"], "norm_version": "2",
                         "value": token["value"]}}  # fmt: skip
    told = making.payment_fingerprint("pan_token", carrier=carrier, tlp_word="amber", labels=["payment-fingerprint"])
    build.publish(build.viewer_of(pool.partners["borealis"]), told, groups=("pool",))
    asked = f"/campaigns/{pool.campaign.pk}?open=pan_token"
    assert 'title="Borealis"' in text(browser(pool.partners["aster"]).get(asked))
    other = Campaign.objects.get()
    assert 'title="Borealis"' not in text(browser(pool.partners["eridanus"]).get(f"/campaigns/{other.pk}"))


def test_many_tokens_of_a_kind_are_one_mark_until_it_is_opened(pool):
    client = browser(pool.partners["aster"])
    closed = text(client.get(f"/campaigns/{pool.campaign.pk}"))
    assert "4 card numbers" in closed
    opened = text(client.get(f"/campaigns/{pool.campaign.pk}?open=pan_token"))
    assert "4 card numbers" not in opened
    for line in pool.lines["aster"][:4]:
        assert line["tokens"][0]["value"] in opened


def test_a_statement_is_made_changed_and_taken_back(pool):
    client, address = browser(pool.partners["aster"]), f"/campaigns/{pool.campaign.pk}"
    said = {"says": "dismiss", "reason": "benign_shared"}
    assert "Take it back" in text(client.post(f"{address}/say", said, follow=True))
    assert CampaignStatement.objects.get().reason == "benign_shared"
    page = text(browser(pool.partners["borealis"]).get(address))
    assert "says that it is none" in page
    client.post(f"{address}/say", {"says": "two", "reason": "two_campaigns"})
    assert CampaignStatement.objects.get().says == "two"
    client.post(f"{address}/say", {"says": "nothing"})
    assert not CampaignStatement.objects.exists()
    refused = text(client.post(f"{address}/say", {"says": "one", "reason": "same_campaign", "other": "x"}, follow=True))
    assert "Choose the other campaign." in refused


def test_a_colleagues_word_gives_way_only_to_whoever_saw_it(pool):
    address, aster = f"/campaigns/{pool.campaign.pk}/say", pool.partners["aster"]
    first, second, third = browser(aster), browser(aster), browser(aster)
    first.post(address, {"says": "confirm", "reason": "confirmed_here"})
    wished = {"says": "dismiss", "reason": "benign_shared"}
    asked = second.post(address, wished)
    assert asked.status_code == 409
    assert "says that it is one" in asked.content.decode()
    assert CampaignStatement.objects.get().says == "confirm"
    over = re.search(r'name="over" value="([^"]+)"', asked.content.decode())[1]
    third.post(address, {"says": "two", "reason": "two_campaigns", "over": over})
    assert CampaignStatement.objects.get().says == "two"
    again = second.post(address, wished | {"over": over})  # it saw another word
    assert again.status_code == 409
    assert "says that it is two campaigns" in again.content.decode()
    assert second.post(address, {"says": "no", "reason": "x"}).status_code == 302  # nobody is asked what cannot be said
    assert third.post(address, wished).status_code == 302  # one's own gives way at once
    assert CampaignStatement.objects.get().says == "dismiss"
    assert second.post(address, wished).status_code == 302  # a colleague's that says the same


def test_an_alias_is_its_partners_alone_and_shown_as_text(pool):
    address, evil = f"/campaigns/{pool.campaign.pk}", "<script>alert(1)</script>"
    page = text(browser(pool.partners["aster"]).post(f"{address}/alias", {"alias": evil}, follow=True))
    assert evil not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "alert(1)" not in text(browser(pool.partners["borealis"]).get(address))


def test_the_palette_finds_a_campaign_by_its_name_its_alias_and_its_id_for_its_members_alone(pool):
    """By an alias, whoever gave it alone."""
    CampaignAlias.objects.create(campaign=pool.campaign.pk, partner=pool.partners["aster"], alias="The Tuesday ring")
    aster, borealis = browser(pool.partners["aster"]), browser(pool.partners["borealis"])
    outside = browser(build.a_partner("Gemini"))
    name, pk = pool.campaign.told["name"], str(pool.campaign.pk)
    address = f'href="/campaigns/{pk}"'
    for sought in (name, name[2:8].upper(), pk, pk[:9], f"campaign--{pk[:3]}", f"campaign--{pk}".upper()):
        assert address in text(aster.post("/find", {"search": sought})), sought
        assert address in text(borealis.post("/find", {"search": sought})), sought
        assert address not in text(outside.post("/find", {"search": sought})), sought
    assert "The Tuesday ring" in text(aster.post("/find", {"search": "tuesday"}))
    assert address not in text(borealis.post("/find", {"search": "tuesday"}))
    assert address not in text(aster.post("/find", {"search": pk[:3]}))


def test_what_is_known_to_the_hour_says_so(pool):
    pages = [text(browser(pool.partners["aster"]).get(path)) for path in ("/", "/campaigns")]
    for page in pages:
        assert re.search(r'data-ago="hour" datetime="[^"]+:00:00[^"]*" title="in the hour from [^"]+:00 UTC">', page)
        assert not re.search(r'data-ago datetime="[^"]+:00:00\+', page), (
            "no minutes are counted from an hour's beginning"
        )


@pytest.mark.parametrize(
    ("minutes", "said"), [(0, "this hour"), (59, "this hour"), (60, "~ 1 h"), (1_439, "~ 23 h"), (1_440, "1 Nov")]
)
def test_about_how_long_ago_an_hour_was(monkeypatch, minutes, said):
    hour = datetime(2026, 11, 1, 14, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: hour + timedelta(minutes=minutes))
    assert house.brief_hour(hour) == said


def test_who_may_not_judge_reads(pool):
    client = browser(pool.partners["aster"], role=Role.COUNSEL)
    assert "You may read, not judge" in text(client.get(f"/campaigns/{pool.campaign.pk}"))
    said = {"says": "confirm", "reason": "confirmed_here"}
    assert client.post(f"/campaigns/{pool.campaign.pk}/say", said).status_code == 403


def test_files_say_what_the_page_says(pool):
    client, address = browser(pool.partners["aster"]), f"/campaigns/{pool.campaign.pk}"
    drawn = client.get(f"{address}/picture.svg")
    assert drawn.headers["Content-Type"] == "image/svg+xml"
    assert "attachment" in drawn.headers["Content-Disposition"]
    assert "script" not in drawn.content.decode()
    document = json.loads(client.get(f"{address}/picture.json").content)
    assert {node["type"] for node in document["nodes"]} >= {"account", "campaign", "lab", "token"}
    assert document["left_out"]["own_accounts"] == 0


def a_graph(accounts=200, tokens=9, *, grade="corroborated"):
    """As `viewing.graph`: one's own lab and another, tokens between them."""
    labs = [
        {"id": f"lab-{n}", "type": "lab", "own": n == 0, "own_accounts": accounts, "own_did": {"suspended": accounts},
         "accounts": "10^2", "did": {"suspended": "10^2"}, "first_seen": "2026-11-01T00:00:00Z", "marks": 40}
        for n in range(2)
    ]  # fmt: skip
    shared = [
        {"id": f"token-{n}", "type": "token", "subkind": "pan_token", "grade": grade, "own": False, "purity": 0.9}
        for n in range(tokens)
    ]
    own = [
        {"id": f"account-{n:04}", "type": "account", "did": "suspended" if n % 2 else "observed", "grade": grade}
        for n in range(accounts)
    ]
    edges = [{"from": f"lab-{n}", "to": token["id"], "accounts": "10^2"} for n in range(2) for token in shared]
    edges += [{"from": one["id"], "to": f"token-{n % tokens}"} for n, one in enumerate(own)]
    return {"nodes": [*labs, *shared, *own], "edges": edges}


def test_the_same_campaign_is_drawn_alike_whatever_the_order():
    graph = a_graph()
    found = marks.of(graph, own_name="Aster", opened=("pan_token",))
    first = picture.draw(picture.WIDE, found, most=marks.MOST_MARKS)
    turned = {"nodes": graph["nodes"][::-1], "edges": graph["edges"][::-1]}
    again = picture.draw(picture.WIDE, marks.of(turned, own_name="Aster", opened=("pan_token",)), most=marks.MOST_MARKS)
    assert (first.dots, first.ovals) == (again.dots, again.ovals)
    assert [(one.token.code, one.x, one.y) for one in first.placed] == [
        (one.token.code, one.x, one.y) for one in again.placed
    ]
    assert first.marks <= marks.MOST_MARKS
    assert first.accounts == 200
    few = picture.draw(picture.WIDE, found, most=60)
    assert few.marks <= 60
    assert len(few.placed) == 9, "tokens come before accounts"
    assert all(0 <= each.x <= 760 and 0 <= each.y <= 430 for each in (*few.dots, *few.placed))


def test_what_one_lab_alone_says_is_dotted():
    found = marks.of(a_graph(10, 1, grade="on_one_labs_word"), own_name="Aster", opened=())
    (mark,) = picture.draw(picture.WIDE, found, most=300).placed
    assert (mark.lines, mark.dotted != "") == ("", True)
    assert found.tokens[0].word


def test_the_timeline_begins_with_the_shortest_span_that_shows_all():
    now = clock.now()

    def begun(*days):
        return [marks.Lab(str(one), "", False, 1, 0, [], clock.rfc3339(now - timedelta(days=one)), 0) for one in days]

    assert lanes.span_of(begun(0.5, 0.1), now) == "1"
    assert lanes.span_of(begun(0.5, 3), now) == "7"
    assert lanes.span_of(begun(60), now) == lanes.ALL


def test_the_timeline_has_a_lane_for_each_lab_and_leaves_out_what_is_older():
    now = clock.now()
    steps = [clock.rfc3339(now - timedelta(days=days)) for days in (60, 3, 0)]
    timeline = {"grain": "day", "steps": steps, "lanes": [{"lab": "lab-0", "seen": ["10^1", "10^2", "0"]}],
                "growth": ["10^1", "10^2", "10^2"]}  # fmt: skip
    labs = marks.of(a_graph(), own_name="Aster", opened=()).labs
    drawn = lanes.lay_out(timeline, labs, [], span="42", now=now)
    assert [[bar.count for bar in lane.bars] for lane in drawn.lanes] == [[100], []]
    assert [lane.lab.name for lane in drawn.lanes] == ["Aster", "Lab 1"]
    assert all(lanes.LEFT <= bar.x <= lanes.WIDTH for lane in drawn.lanes for bar in lane.bars)


def test_the_timeline_can_be_seen_whole_with_its_growth_in_a_picture_and_in_words():
    now = clock.now().replace(minute=0, second=0, microsecond=0)
    days = (200, 60, 3)
    steps = [clock.rfc3339(now - timedelta(days=one)) for one in days]
    seen = {"lab-0": ["10^1", "10^2", "0"], "lab-1": ["0", "0", "10^3"]}
    timeline = {
        "grain": "day",
        "steps": steps,
        "lanes": [{"lab": lab, "seen": counts} for lab, counts in seen.items()],
        "growth": ["10^1", "10^2", "10^3"],
    }
    labs = [replace(lab, first_seen=steps[0]) for lab in marks.of(a_graph(), own_name="Aster", opened=()).labs]
    whole = lanes.lay_out(timeline, labs, [], span=lanes.ALL, now=now)
    assert [[bar.count for bar in lane.bars] for lane in whole.lanes] == [[10, 100], [1_000]]
    assert [(row.at, row.seen, row.total) for row in whole.twin] == [
        (now - timedelta(days=3), [("Lab 1", 1_000)], 1_000),
        (now - timedelta(days=60), [("Aster", 100)], 100),
        (now - timedelta(days=200), [("Aster", 10)], 10),
    ]
    assert [total for _, _, total in whole.growth.labels] == [10, 100], "the last has no room for a label"
    assert whole.growth.last == 1_000
    heights = [float(y) for y in re.findall(r"V([0-9.]+)", whole.growth.line)]
    assert heights == sorted(heights, reverse=True)
    assert whole.growth.line.startswith(f"M{float(lanes.LEFT)} ")
    assert whole.cut is None
    week = lanes.lay_out(timeline, labs, [], span="7", now=now)
    assert [row.total for row in week.twin] == [1_000]
    assert week.growth.labels[0][::2] == (lanes.LEFT, 100), "what came before is at the edge"
    older = [replace(lab, first_seen=clock.rfc3339(now - timedelta(days=300))) for lab in labs]
    assert lanes.lay_out(timeline, older, [], span=lanes.ALL, now=now).cut == now - timedelta(days=200)


def test_the_timeline_of_the_page_has_a_table_that_says_the_same(pool):
    client, address = browser(pool.partners["aster"]), f"/campaigns/{pool.campaign.pk}"
    page = text(client.get(f"{address}?days=all"))
    table = page.partition('id="lanes-twin"')[2].partition("</details>")[0]
    assert re.search(r"<td>Aster ~ [0-9]+, Lab 1 ~ [0-9]+, Lab 2 ~ [0-9]+", table)
    assert "All by then" in table
    assert 'class="growth"' in page
    first = page.partition('class="first"')[2].partition("</title>")[0]
    assert re.search(r"first seen in the hour from \d+ [A-Z][a-z]{2} \d{4} \d\d:00 UTC", first)
    assert client.get(f"{address}?days=3").status_code == 422
