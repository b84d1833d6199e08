"""The list of indicators: what a row tells, the filter in its two spellings, values in any spelling, views and counts."""

from __future__ import annotations

import re
import uuid

import pytest
from django.http import QueryDict

from exchange import clock
from indicators.ending import withdrawing
from indicators.feeds.filters import Filter
from indicators.models import Feed
from indicators.portal import asking, chips
from indicators.publishing.addressing import Reach
from indicators.reading import listing
from indicators.stix import making
from indicators.telling import subscribing
from partners.attribution import Attribution
from partners.groups import life
from partners.keys import auth
from partners.scopes import Role
from tests import build
from tests.indicators.portal.test_pages import PROBE, a_pair, names, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def listed(client, **form):
    return client.post("/indicators", form, follow=True)


def cells(answer, column):
    return [
        re.sub(r"<[^>]+>", "", cell).strip()
        for cell in re.findall(rf'<td class="c-{column}[^"]*">(.*?)</td>', text(answer), re.DOTALL)
    ]


def test_a_row_tells_who_else_says_it_how_sure_and_until_when(cast):
    a_pair(cast)
    listing = signed_in(cast.aster).get("/indicators")
    assert cells(listing, "publishers") == ["AB", "AB"]
    assert cells(listing, "matches") == ["1", "1"]
    assert cells(listing, "standing") == ["Unreviewed", "Unreviewed"]
    assert cells(listing, "did") == ["Suspended", "Suspended"]
    assert all(cell.endswith(" d") for cell in cells(listing, "left"))


@pytest.mark.slow
def test_a_row_tells_nothing_of_what_its_reader_does_not_see(cast):
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=carrier, name="Seen"))
    build.publish(cast.viewer("cygnus"), making.account_pattern(carrier=carrier, tlp_word="red"), partners=("aster",))
    assert cells(signed_in(cast.aster).get("/indicators?filter=from:mine"), "publishers") == ["AC"]
    seen = signed_in(cast.borealis).get("/indicators")
    assert cells(seen, "publishers") == ["A"]
    assert cells(seen, "matches") == ["0"]


def test_whoever_hides_is_one_mark_and_no_letter(cast):
    carrier = {"token": making.token(uuid.uuid4().hex * 2)}
    hidden = Reach(named=True, groups=(cast.ring.pk,), attribution=Attribution.EXCHANGE)
    build.publish_as(cast.viewer("borealis"), making.account_pattern(carrier=carrier), reach=hidden)
    build.publish(cast.viewer("aster"), making.account_pattern(carrier=carrier))
    shown = cells(signed_in(cast.aster).get("/indicators?filter=from:mine"), "publishers")
    assert shown == ["A?"]


@pytest.mark.parametrize(
    ("stored", "pasted"),
    [
        ("198.51.100.0/24", "198.51.100[.]0/24"),
        ("relay.example", "hxxps://relay[.]example/v1/chat?key=1"),
        ("relay.example", "RELAY.example."),
        ("2001:db8:41:7::/64", "2001[:]db8:41:7::/64"),
    ],
)
def test_a_value_is_found_in_any_spelling_and_stands_in_no_address(cast, stored, pasted):
    subkind = "gateway_host" if stored.endswith("example") else "net"
    build.publish(cast.viewer("aster"), making.account_pattern(subkind, carrier={"value": stored}, name="It"))
    for form in ({"search": pasted}, {"filter": pasted}):
        answer = signed_in(cast.borealis).post("/indicators", form)
        assert names(answer) == ["It"], form
        assert "example" not in answer.headers.get("Location", "")


def test_a_token_in_capitals_the_beginning_of_a_word_and_of_an_id_are_found(cast):
    token = uuid.uuid4().hex * 2
    ours = making.account_pattern(carrier={"token": making.token(token)}, name="Mailbox of resellers")
    build.publish(cast.viewer("aster"), ours, making.account_pattern(name="Another"))
    client = signed_in(cast.aster)
    for sought in (token.upper(), "resell", ours["id"][:24], "RESELLERS mail"):
        assert names(client.post("/indicators", {"search": sought})) == ["Mailbox of resellers"], sought
    assert names(client.post("/indicators", {"search": "resellers' & !"})) == ["Mailbox of resellers"]


def test_chips_and_text_are_one_filter(cast):
    client = signed_in(cast.aster)
    text_ = "severity:>=medium -control:compromised_victim"
    answer = text(client.get("/indicators", {"filter": text_}))
    assert "medium or higher" in answer
    assert "not-word" in answer
    places = {one.says: one.place for one in chips.chips(chips.spelling.read_text(text_))}
    dropped = listed(client, filter=text_, drop=places["medium or higher"])
    assert dropped.redirect_chain[-1][0] == "/indicators?filter=-control%3Acompromised_victim"
    turned = listed(client, filter=text_, turn=places["compromised victim"])
    assert "filter=control%3Acompromised_victim+severity" in turned.redirect_chain[-1][0]
    either = listed(client, filter="severity:low", do="add", field="severity", value="critical", how="or")
    assert "severity%3Alow+or" in either.redirect_chain[-1][0] or "or+severity%3Alow" in either.redirect_chain[-1][0]


def test_an_error_stands_at_its_character_and_names_the_nearest_field(cast):
    answer = text(signed_in(cast.aster).post("/indicators", {"filter": "publishers:>=2 kindd:payment"}))
    assert "Character 16" in answer
    assert 'data-character="15"' in answer
    assert 'name="filter" value="publishers:>=2 kind:payment">kind<' in answer
    part = signed_in(cast.aster).post("/indicators", {"filter": "kindd:x"}, headers={"HX-Request": "true"})
    assert part["HX-Retarget"] == "#ask", "the list stays"


def test_counts_follow_the_filter_and_no_match_names_the_part_that_empties_it(cast):
    a_pair(cast)
    build.publish(cast.viewer("borealis"), making.payment_fingerprint(name="A card"))
    client = signed_in(cast.aster)
    assert "<b>3</b> match" in text(client.get("/indicators"))
    only = text(client.get("/indicators?filter=kind:payment-fingerprint"))
    assert "<b>1</b> match" in only
    nothing = text(client.get("/indicators?filter=kind:payment-fingerprint+tlp:red"))
    assert "Nothing matches all 2" in nothing
    assert re.search(r"Without <code>tlp:red</code> there\s+is 1", nothing)
    assert "still nothing" not in nothing
    none = text(client.get("/indicators?filter=kind:prompt-signature+tlp:red+severity:critical"))
    assert "Without any one of them there is still nothing." in none


def a_relationship(source, target, verb="related-to"):
    at = clock.rfc3339(clock.now())
    return {
        "type": "relationship", "spec_version": "2.1", "id": f"relationship--{uuid.uuid4()}", "created": at,
        "modified": at, "relationship_type": verb, "source_ref": source, "target_ref": target,
    }  # fmt: skip


def test_what_has_ended_is_a_view_of_its_own(cast):
    ended = making.account_pattern(name="Over")
    build.publish(cast.viewer("aster"), ended, making.account_pattern(name="Lives"))
    build.publish(cast.viewer("aster"), ended | {"revoked": True, "modified": build.later()})
    client = signed_in(cast.aster)
    assert names(client.get("/indicators")) == ["Lives"]
    assert names(client.get("/indicators?view=all")) == ["Over", "Lives"]


@pytest.mark.parametrize("look", [{}, {"filter": "-kind:prompt-signature"}])
def test_what_has_ended_is_counted_and_sorted_where_it_is_listed(cast, look):
    """The number and the kinds are those of the rows, however they are sorted."""
    ended, gone = making.account_pattern(name="Over"), making.account_pattern(name="Gone")
    relationship = a_relationship(ended["id"], gone["id"])
    publisher = cast.viewer("aster")
    build.publish(publisher, ended, gone, making.account_pattern(name="Lives"), relationship)
    build.publish(publisher, ended | {"revoked": True, "modified": build.later()})
    withdrawing.withdraw(publisher, [gone["id"]])
    client = signed_in(cast.borealis)
    for view, count in (("", "1"), ("all", "2"), ("objects", "3")):
        asked = {"view": view, **look} if view != "objects" else {"view": view}
        for sort in ("", *listing.ORDERS, *(f"-{one}" for one in listing.ORDERS), "added"):
            shown = client.get("/indicators", {**asked, "sort": sort})
            assert (len(names(shown)), matching(shown)) == (int(count), [count]), (view, sort)
        assert matching(client.post("/indicators", {**asked, "do": "count"})) == [count]
    kinds = text(client.get("/indicators?view=all"))
    assert re.search(r'Only account patterns?">.*?</svg>.*?2<span', kinds, re.DOTALL)


def test_what_is_on_one_page_is_counted_there(cast, monkeypatch):
    """A search that finds little is not looked for among all the newest besides."""
    making_of = [making.account_pattern() for _ in range(2)]
    build.publish(cast.viewer("aster"), *making_of)
    monkeypatch.setattr(listing, "counted", lambda *_: pytest.fail("counted anew"))
    client = signed_in(cast.aster)
    page = text(listed(client, search=making_of[0]["id"]))
    assert "<b>1</b> match" in page


def test_a_view_is_saved_as_a_feed_and_counted(cast):
    a_pair(cast)
    client = signed_in(cast.aster)
    client.post("/indicators/save", {"filter": "publishers:>=2", "name": "Two labs"})
    feed = Feed.unrestricted.get(name="Two labs")
    shown = text(client.get(f"/indicators?view={feed.pk}"))
    assert 'aria-current="page">Two labs' in shown
    assert "<b>2</b> match" in shown
    assert "<span hx-swap-oob=\"innerHTML:[data-tally='4']\">2</span>" in text(client.get("/indicators/tallies"))
    assert client.get(f"/indicators?view={uuid.uuid4()}").status_code == 404
    assert signed_in(cast.borealis).get(f"/indicators?view={feed.pk}").status_code == 404


@pytest.mark.slow
def test_new_ones_are_told_and_what_one_may_not_see_is_not(cast):
    client = signed_in(cast.borealis)
    state = re.search(r'name="state" value="([^"]+)"', text(client.get("/indicators")))[1]
    build.publish(cast.viewer("cygnus"), making.account_pattern(name="Of others"))
    assert client.post("/indicators/new", {"state": state}).status_code == 204
    build.publish(cast.viewer("aster"), making.account_pattern(), making.payment_fingerprint())
    assert "<b>2 new</b>" in text(client.post("/indicators/new", {"state": state}))
    assert client.post("/indicators/new", {"state": state, "filter": "tlp:red"}).status_code == 204


def test_columns_and_density_are_kept(cast):
    a_pair(cast)
    client = signed_in(cast.aster)
    client.post("/indicators/look", {"columns": ["severity", "tlp"], "density": "comfortable"})
    shown = text(client.get("/indicators"))
    assert "c-severity" in shown
    assert "c-confidence" not in shown
    assert "grid items comfortable" in shown


@pytest.mark.slow
def test_nobody_is_shown_an_act_that_is_not_theirs(cast):
    a_pair(cast)
    acts = {
        role: set(
            re.findall(r'form="acts"|<button[^>]* name="do" value="(?:judge|revoke)"', text(client.get("/indicators")))
        )
        for role in Role
        for client in [signed_in(cast.aster, role=role)]
    }
    both = acts[Role.ADMIN]
    assert len(both) == 3, "a box for each line, and both acts"
    assert acts[Role.PUBLISHER] == both
    assert {one for one in both if "revoke" not in one} == acts[Role.ANALYST]
    assert acts[Role.COUNSEL] == set()


def test_a_link_that_a_mail_program_marked_is_no_error(cast):
    client = signed_in(cast.aster)
    assert (
        client.get("/indicators?utm_source=mail&fbclid=x&ref=chat&mkt_tok=1&gad_source=2&_hsenc=3").status_code == 200
    )
    assert client.get("/indicators?source=mail").status_code == 422
    assert client.get("/indicators?reference=x").status_code == 422, "only what is known to come with links"


@pytest.mark.slow
def test_no_filter_and_no_name_of_a_view_becomes_markup(cast):
    client = signed_in(cast.aster)
    client.post("/indicators/save", {"filter": "severity:high", "name": PROBE})
    for path in ("/indicators", "/indicators/tallies"):
        content = client.get(path).content.decode()
        assert "<script>alert" not in content
        assert "<img" not in content
    found = client.post("/find", {"search": PROBE}).content.decode()
    assert "<img" not in found
    for form in ({"filter": PROBE}, {"search": PROBE}, {"do": "add", "field": PROBE, "value": PROBE}, {"sort": PROBE}):
        content = client.post("/indicators", form).content.decode()
        assert "<script>alert" not in content
        assert "<img" not in content


def test_what_a_list_is_sorted_by_is_what_its_head_says(cast):
    """Values are tokens mostly: the first column sorts by what is told beside them."""
    for subkind in ("email", "device", "phone"):
        build.publish(cast.viewer("aster"), making.account_pattern(subkind))
    client = signed_in(cast.aster)
    subkinds = {
        way: re.findall(r'class="sub">([^<]*)<', text(client.get(f"/indicators?sort={way}"))) for way in ORDERED
    }
    assert subkinds["subkind"] == subkinds["value"] == ["device", "email", "phone"]
    assert subkinds["-subkind"] == ["phone", "email", "device"]
    assert subkinds["added"] == subkinds["-added"] == subkinds[""] == ["phone", "device", "email"], "the newest first"
    for way in ORDERED:
        head = re.findall(
            r'<th[^>]* aria-sort="(\w+)"[^>]*>(.*?)</th>', text(client.get(f"/indicators?sort={way}")), re.DOTALL
        )
        assert [how for how, _ in head] == ["ascending" if way in ("subkind", "value") else "descending"], way
        assert ("Subkind" in head[0][1]) is (way.lstrip("-") in ("subkind", "value")), way


ORDERED = ("subkind", "-subkind", "value", "added", "-added", "")


def test_a_relationship_is_listed_by_its_ends(cast):
    """What one may not see of it is told by its type alone."""
    seen, hidden = making.account_pattern(name="Seen by both"), making.account_pattern(name="Of Aster alone")
    publisher = cast.viewer("aster")
    links = [a_relationship(seen["id"], seen["id"], "derived-from"), a_relationship(seen["id"], hidden["id"])]
    build.publish(publisher, seen, *links, groups=("ring",))
    build.publish(publisher, hidden | {"object_marking_refs": [build.red()]})
    wanted = ["Seen by both related to {}", "Seen by both derived from Seen by both", "Seen by both"]
    for partner, other in ((cast.aster, "Of Aster alone"), (cast.borealis, "indicator")):
        client = signed_in(partner)
        listed_ = names(client.get("/indicators", {"view": "objects", "filter": "group:ring"}))
        assert listed_ == [one.format(other) for one in wanted]
        page_ = text(client.get(f"/indicators/{links[1]['id']}"))
        head = re.search(r"<h1 [^>]*>([^<]*)</h1>", page_)[1]
        assert head == wanted[0].format(other)


def test_a_suspended_lab_that_said_it_by_name_keeps_its_letter(cast):
    """It is marked as suspended: nobody takes it for one who hides."""
    ours, _ = a_pair(cast)
    life.suspend(cast.borealis, by=auth.viewer_of_user(build.a_user(cast.operator)), why="A key leaked.")
    client = signed_in(cast.aster)
    assert cells(client.get("/indicators"), "publishers") == ["AB", "AB"]
    page_ = text(client.get(f"/indicators/{ours['id']}"))
    assert '<abbr class="lab named" title="Borealis">B</abbr>' in page_
    assert "without a name" not in page_


@pytest.mark.parametrize("value", ["relay.example", "203.0.113.7", "ops@relay.example", "https://relay.example/v1"])
def test_a_title_that_holds_a_value_is_defanged_wherever_people_read_it(cast, value):
    (ours, _), client = a_pair(cast, name=f"Proxy at {value}, seen"), signed_in(cast.aster)
    campaign = {
        "type": "campaign", "spec_version": "2.1", "id": f"campaign--{uuid.uuid4()}", "name": f"Over {value}",
        "created": "2026-05-01T00:00:00Z", "modified": "2026-05-01T00:00:00Z",
    }  # fmt: skip
    build.publish(cast.viewer("aster"), campaign, a_relationship(ours["id"], campaign["id"]))
    paths = (
        "indicators",
        "indicators?view=objects",
        "matches",
        f"indicators/{campaign['id']}",
        f"indicators/{ours['id']}",
    )
    paths += (f"indicators/{ours['id']}/end", f"indicators/{ours['id']}/audience", "organisation/reports/")
    paths += (f"organisation/sharing/?as=borealis&object={ours['id']}",)
    for path in paths:
        page_ = text(client.get(f"/{path}"))
        page_ = re.sub("Exactly as published.*?</pre>", "", page_, flags=re.DOTALL)
        assert value not in page_, path
        assert "[.]" in page_, path


@pytest.mark.parametrize("role", Role)
def test_who_may_not_read_a_proof_is_told_who_gives_that_right(cast, role):
    ours, _ = a_pair(cast)
    client = signed_in(cast.aster, role=role)
    address = f"/indicators/{ours['id']}/proof"
    offered = f'href="{address}"' in (page_ := text(client.get(f"/indicators/{ours['id']}")))
    assert (client.get(address).status_code == 403) is not offered
    assert ("an admin of your partner gives that right" in page_) is not offered


def test_what_has_ended_is_asked_for_with_the_same_filter(cast):
    a_pair(cast)
    client = signed_in(cast.aster)
    page_ = text(client.get("/indicators?filter=from:mine&sort=-severity"))
    assert 'href="/indicators?view=all&filter=from%3Amine&sort=-severity">Ended too' in page_
    assert 'href="/indicators?view=objects&filter=from%3Amine&sort=-severity">All STIX objects' in page_
    back = text(client.get("/indicators?view=all&filter=from:mine"))
    assert re.search(r'href="/indicators\?filter=from%3Amine" aria-current="page" title="[^"]*">Ended too', back)
    searched = text(client.post("/indicators", {"search": "relay.example"}))
    assert 'name="view" value="all"' in searched, "a value stands in no address"
    pressed = client.post("/indicators", QueryDict("view=&filter=words:Aster&view=all"))
    assert 'value="words:aster"' in text(pressed).lower()
    assert 'aria-current="page" title="Back to what is in force">Ended too</button>' in text(pressed)


def test_a_printed_list_says_what_it_was_asked_and_how_many_there_are(cast):
    a_pair(cast)
    client = signed_in(cast.aster)
    on_paper = re.compile(r'<p class="on-paper">(.*?)</p>', re.DOTALL)
    plain, asked = (
        " ".join(re.sub("<[^>]+>", "", on_paper.findall(text(client.get(f"/indicators{how}")))[-1]).split())
        for how in ("", "?view=all&filter=from:mine")
    )
    assert plain == "2 match. Without a filter. · 2 on this page"
    assert asked == "1 match. Filter: from:mine · Ended too · 1 on this page"


def test_where_feeds_have_no_room_the_way_to_all_of_them_stands(cast, monkeypatch):
    client = signed_in(cast.aster)
    monkeypatch.setattr(asking, "_MOST_VIEWS", 2)
    for name in ("One", "Two"):
        subscribing.save_feed(cast.viewer("aster"), name=name, filter_json=Filter().to_json())
    both = re.compile(r'href="/subscriptions"[^>]*>(?:<span class="dot"></span><span class="label">)?All feeds')
    assert not both.search(text(client.get("/indicators")))
    for name in ("Three", *"ABCDE"):
        subscribing.save_feed(cast.viewer("aster"), name=name, filter_json=Filter().to_json())
    assert len(both.findall(text(client.get("/indicators")))) == 1, "eight have room in the side bar"
    subscribing.save_feed(cast.viewer("aster"), name="Nine", filter_json=Filter().to_json())
    assert len(both.findall(text(client.get("/indicators")))) == 2


def test_the_palette_finds_what_has_ended_feeds_groups_and_acts(cast):
    ended, lives = making.account_pattern(name="Relay of old"), making.account_pattern(name="Relay of now")
    link = a_relationship(ended["id"], lives["id"])
    build.publish(cast.viewer("aster"), ended, lives, link)
    build.publish(cast.viewer("aster"), ended | {"revoked": True, "modified": build.later()})
    feed = subscribing.save_feed(cast.viewer("aster"), name="Relays we block", filter_json=Filter().to_json())
    ours, others, recipient = signed_in(cast.aster), signed_in(cast.borealis), signed_in(cast.dorado)

    def led(client, sought):
        return re.findall('<a href="([^"]*)"', text(client.post("/find", {"search": sought})))

    for client in (ours, others):
        assert led(client, ended["id"]) == [f"/indicators/{ended['id']}"]
        assert led(client, link["id"]) == [f"/indicators/{link['id']}"]
    relays = [f"/indicators/{lives['id']}", f"/indicators/{ended['id']}"]
    assert led(ours, "relay") == [*relays, f"/subscriptions/feeds/{feed.pk}"], "what is in force first"
    assert led(others, "relay") == relays
    assert "revoked</span>" in text(ours.post("/find", {"search": "relay of old"}))
    assert "/organisation/groups/ring" in led(ours, "ring")
    assert "/organisation/groups/ring" not in led(recipient, "ring")
    assert led(ours, "new feed") == ["/subscriptions/new"]
    assert led(ours, "publish a list") == ["/publish"]
    assert led(recipient, "publish a list") == []


def matching(answer):
    return re.findall(r"<b>([^<]*)</b> match", text(answer))


def test_a_list_counts_few_at_first_and_all_once_it_is_there(cast, monkeypatch):
    """What it says at first is true, too: at least so many."""
    build.publish(cast.viewer("borealis"), *(making.account_pattern() for _ in range(53)))
    build.publish(cast.viewer("borealis"), *(making.payment_fingerprint() for _ in range(4)))
    build.publish(cast.viewer("cygnus"), *(making.account_pattern() for _ in range(3)), partners=("dorado",))
    client = signed_in(cast.aster)
    assert matching(client.get("/indicators")) == ["57"]
    assert "&quot;do&quot;" not in text(client.get("/indicators"))
    monkeypatch.setattr(listing, "LOOKED_AT_FIRST", 51)
    at_first = client.get("/indicators")
    assert matching(at_first) == ["52+"]
    assert """hx-vals='{"do": "count"}' hx-trigger="load\"""" in text(at_first)
    after = client.post("/indicators", {"do": "count"})
    assert matching(after) == ["57"]
    assert "hx-trigger" not in text(after)
    assert len(re.findall("hx-swap-oob", text(after))) == 2  # the kinds, and what is printed
    assert matching(client.post("/indicators", {"do": "count", "filter": "kind:payment-fingerprint"})) == ["4"]
    assert matching(client.post("/indicators", {"do": "count", "view": "all", "filter": "from:mine"})) == ["0"]
    monkeypatch.setattr(listing, "LOOKED_AT", 55)
    assert matching(client.post("/indicators", {"do": "count"})) == ["56+"]


def test_a_filter_that_lets_nothing_through_says_nothing_of_what_was_not_looked_at(cast, monkeypatch):
    build.publish(cast.viewer("borealis"), *(making.payment_fingerprint() for _ in range(4)))
    client, still = signed_in(cast.aster), "there is still nothing"
    asked = {"filter": "kind:prompt-signature confidence:<1 until:<1h"}
    assert still in text(listed(client, **asked))
    monkeypatch.setattr(listing, "LOOKED_AT_FIRST", 2)
    assert still not in text(listed(client, **asked))
    assert "there are 3+" in text(listed(client, filter="kind:prompt-signature"))
