"""The pages of feeds: four steps to a tested delivery, how to use one, and how what enforces it stands."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta

import pytest
from django.conf import settings

from exchange import clock
from indicators.models import Delivery, Feed, FeedSet, Receipt, Subscription
from indicators.portal import using
from indicators.stix import making
from indicators.telling import subscribing
from partners.scopes import Role
from tests import build, sending
from tests.indicators.portal.test_pages import PROBE, queries_of, signed_in, text

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    return build.the_cast()


def a_feed(client, *, filter_text="kind:prompt-signature", name="Prompts"):
    answer = client.post("/subscriptions/new", {"do": "save", "filter": filter_text, "name": name})
    assert answer.status_code == 302, text(answer)
    return Feed.unrestricted.get(name=name)


def test_four_steps_lead_from_a_filter_to_a_tested_delivery(cast):
    build.publish(
        cast.viewer("borealis"), making.prompt_signature(name="Found"), making.payment_fingerprint(name="Not")
    )
    client = signed_in(cast.aster)
    first = text(client.get("/subscriptions/new"))
    assert re.search(r'class="now" aria-current="step"><span[^>]*>1</span>What it holds', first)
    looked = text(client.post("/subscriptions/new", {"do": "look", "filter": "kind:prompt-signature"}))
    assert looked.count('<td class="main">') == 1, "the one that it holds"
    assert "1 prompt signatures" in looked
    assert "Its name" in looked
    feed = a_feed(client)
    page = f"/subscriptions/feeds/{feed.pk}"
    assert re.search(r'aria-current="step"><span[^>]*>3</span>Where it goes', text(client.get(page)))
    made = text(client.post(page, {"do": "subscribe", "url": "http://127.0.0.1:9/"}))
    assert "whsec_" in made
    assert "whsec_" not in text(client.get(page))
    one = Subscription.unrestricted.get()
    assert one.feed_id == feed.pk
    tested = client.post(f"/subscriptions/{one.pk}/act", {"do": "test", "of": str(feed.pk)})
    assert tested["Location"] == page, "back to the feed whose button it was"
    assert f"/subscriptions/deliveries?feed={feed.pk}" in text(client.get(page))
    sending.send_next()
    rows = text(client.get(f"/subscriptions/deliveries?feed={feed.pk}"))
    assert "The connection failed" in rows
    assert "The connection failed" not in text(client.get("/subscriptions/deliveries?feed=all"))
    assert re.search(r'aria-current="step"><span[^>]*>4</span>', text(client.get(page))), "it has not arrived"


def test_a_filter_that_is_none_is_explained_and_stays(cast):
    client = signed_in(cast.aster)
    shown = text(client.post("/subscriptions/new", {"filter": "kindd:x"}))
    assert 'role="alert"' in shown
    assert 'value="kindd:x"' in shown
    a_feed(client)
    taken = text(client.post("/subscriptions/new", {"do": "save", "filter": "severity:high", "name": "Prompts"}))
    assert "You have a feed of this name." in taken
    assert 'value="severity:high"' in taken
    assert client.post("/subscriptions/new", {"do": "explode"}).status_code == 422
    assert Feed.unrestricted.count() == 1


def test_what_moves_by_itself_is_told_of_and_has_a_collection_and_says_how_soon(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client, filter_text="publishers:>=2", name="Two")
    shown = text(client.get(f"/subscriptions/feeds/{feed.pk}"))
    assert "changes by itself" in shown
    assert f"collections/{feed.pk}" in shown
    page = f"/subscriptions/feeds/{feed.pk}"
    only = {"do": "subscribe", "url": "https://r.example/", "only": "yours"}
    assert "cannot be followed" in text(client.post(page, only))
    assert Subscription.unrestricted.count() == 0
    client.post(page, {"do": "subscribe", "url": "https://r.example/"})
    assert Subscription.unrestricted.get().set_id is not None


def test_a_feed_is_deleted_once_nothing_uses_it_and_is_nobody_elses(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client)
    page = f"/subscriptions/feeds/{feed.pk}"
    client.post(page, {"do": "subscribe", "url": "https://receiver.example/hook"})
    assert "still uses this feed" in text(client.post(page, {"do": "delete"}, follow=True))
    assert signed_in(cast.borealis).get(page).status_code == 404
    assert signed_in(cast.borealis).post(page, {"do": "delete"}).status_code == 404
    analyst = signed_in(cast.aster, role=Role.ANALYST)
    assert "Your role may look" in text(analyst.get(page))
    assert analyst.post(page, {"do": "delete"}).status_code == 403
    assert analyst.post(page, {"do": "subscribe", "url": "https://receiver.example/hook"}).status_code == 403
    assert analyst.post("/subscriptions/new", {"do": "save", "filter": "", "name": "Mine"}).status_code == 403
    Subscription.unrestricted.all().delete()
    assert "is deleted" in text(client.post(page, {"do": "delete"}, follow=True))
    assert client.post("/subscriptions/feeds/all", {"do": "delete"}).status_code == 422, "that one stays"


def an_instance(cast, feed, name, *, place=5, equal=True, ago_s=1, counts=None, of="aster", late=None):
    """A receipt as `feeds.receipts` writes it."""
    feed_set, _ = FeedSet.unrestricted.get_or_create(
        partner=getattr(cast, of),
        scope=f"{feed.pk if feed else 'all'};;",
        defaults={"feed": feed, "incarnation": "x", "set_key": bytes(32), "place": 5, "count": 7},
    )
    Receipt.unrestricted.create(
        feed_set=feed_set,
        instance=name,
        version="1.9.0",
        place=place,
        equal=equal,
        counts={"blocked": 3} if counts is None else counts,
        late=late,
        lag_s=0.4,
        at=clock.now() - timedelta(seconds=ago_s),
    )


def test_instances_stand_by_feed_the_worst_first(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client)
    an_instance(cast, feed, "us-east-1")
    an_instance(cast, feed, "ap-south-1", place=3, equal=None)
    an_instance(cast, feed, "eu-west-2", equal=False)
    an_instance(cast, feed, "old-one", ago_s=3_600)
    an_instance(cast, feed, "staging", counts={"shadow": 96})
    an_instance(cast, None, "elsewhere")
    an_instance(cast, feed, "of-borealis", of="borealis")
    shown = text(client.get(f"/subscriptions/feeds/{feed.pk}"))
    table = shown[shown.index('id="agents"') :]
    found = re.findall(r'<code title="[^"]+">([^<]+)</code>', table[table.index("<tbody>") :].partition("</table>")[0])
    assert found == ["eu-west-2", "old-one", "ap-south-1", "staging", "us-east-1"]
    assert [word for word in ("Differs", "Silent", "Lags", "96 would be", "2 of 5 in step") if word not in table] == []
    assert "1 differs, 1 silent" in text(client.get("/subscriptions"))
    assert "elsewhere" in text(client.get("/subscriptions/feeds/all"))
    home = text(client.get("/"))
    assert f"/subscriptions/feeds/{feed.pk}" in home, "the inbox leads to the feed that ails"


@pytest.mark.parametrize(
    ("counts", "mode"),
    [
        ({"skipped": 0}, "Not said"),
        ({"blocked": 0, "shadow": 0, "suppressed": 4, "skipped": 0}, "Blocks nothing"),
        ({"blocked": 0, "shadow": 4}, "Shadow"),
        ({"blocked": 1, "shadow": 4}, "Enforcing"),
    ],
)
def test_the_mode_of_an_instance_is_what_it_says_and_not_what_it_leaves_out(cast, counts, mode):
    client = signed_in(cast.aster)
    an_instance(cast, None, "one", counts=counts)
    table = text(client.get("/subscriptions/feeds/all")).partition('id="agents"')[2].partition("</tbody>")[0]
    modes = ("Not said", "Blocks nothing", "Shadow", "Enforcing")
    assert [word for word in modes if word in table] == [mode]


def test_each_instance_says_its_place_its_hash_and_all_parts_of_its_report(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client)
    an_instance(cast, feed, "a-equal", counts={"blocked": 3, "shadow": 96, "suppressed": 2, "skipped": 1})
    an_instance(cast, feed, "b-behind", place=3, equal=None)
    an_instance(cast, feed, "c-other", equal=False)
    page = text(client.get(f"/subscriptions/feeds/{feed.pk}"))
    rows = page.partition('id="agents"')[2].partition("<tbody>")[2].partition("</tbody>")[0].split("</tr>")
    told = {
        name: " ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in rows for name in "abc" if f">{name}-" in row
    }
    assert "equal 00000000 at place 5" in told["a"]
    assert "3 blocked 96 would be 2 suppressed 1 skipped" in told["a"]
    assert "not compared at place 3" in told["b"]
    assert "Enforcing" in told["a"]
    assert "not 00000000 at place 5" in told["c"]


def test_parts_of_an_instance_that_are_late_show_at_the_feed_and_at_home(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client)
    late = [{"part": "file", "count": 2, "behind_s": 7_300}, {"part": "webhook", "count": 1, "behind_s": 185}]
    an_instance(cast, feed, "us-east-1", late=late)
    for page in (f"/subscriptions/feeds/{feed.pk}", "/"):
        assert "a file (2) for 2 h, a webhook for 3 min" in text(client.get(page)), page
    assert "Lags" in text(client.get(f"/subscriptions/feeds/{feed.pk}"))
    Receipt.unrestricted.update(late=[])
    assert "a webhook for" not in text(client.get("/"))


def test_what_was_given_up_is_told_and_replayed(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client)
    page = f"/subscriptions/feeds/{feed.pk}"
    client.post(page, {"do": "subscribe", "url": "https://receiver.example/hook", "format": "slack"})
    one = Subscription.unrestricted.get()
    assert one.format == "slack"
    for place in range(3):
        Delivery.unrestricted.create(
            partner=cast.aster, subscription=one, state="dead", first_seq=place, last_seq=place, changes=1
        )
    for path in (page, "/subscriptions"):
        shown = text(client.get(path))
        assert "3 not told" in shown, path
        assert "Replay 3" in shown, path
    sent = client.post(f"/subscriptions/{one.pk}/act", {"do": "replay", "of": str(feed.pk)}, follow=True)
    assert "3 messages are sent again" in text(sent)
    assert "Replay 3" not in text(client.get(page)), "they are under way"
    analyst = signed_in(cast.aster, role=Role.ANALYST)
    assert analyst.post(f"/subscriptions/{one.pk}/act", {"do": "replay"}).status_code == 403
    Subscription.unrestricted.update(opened_at=clock.now())
    assert "Asked less often" in text(client.get(page))


def test_a_filter_is_changed_after_it_was_said_what_comes_and_goes(cast):
    client = signed_in(cast.aster)
    build.publish(cast.viewer("aster"), making.prompt_signature(), groups=("ring",))
    place = f"/subscriptions/feeds/{a_feed(client).pk}"
    shown = text(client.get(f"{place}/change"))
    assert "kind:prompt-signature" in shown
    looked = text(client.post(f"{place}/change", {"do": "look", "filter": "kind:account-pattern"}))
    assert "<b>1</b> goes and <b>0</b> come; 0 stay." in looked
    assert "kind:prompt-signature" in text(client.get(place)), "looking changes nothing"
    changed = client.post(f"{place}/change", {"do": "save", "filter": "kind:account-pattern", "name": "Accounts"})
    assert changed.headers["Location"] == place
    shown = text(client.get(place))
    assert "kind:account-pattern" in shown
    assert "Accounts" in shown
    assert "kind:nothing" in text(client.post(f"{place}/change", {"do": "save", "filter": "kind:nothing"}))
    long = "kind:account-pattern" + " " * 1_990 + "confidence:>=90"
    refused = text(client.post(f"{place}/change", {"do": "save", "filter": long, "name": "Long"}))
    assert "At most 2000 characters" in refused, "it is not cut to what selects more"
    assert "Long" not in text(client.get(place))
    analyst = signed_in(cast.aster, role=Role.ANALYST)
    sent = {"do": "save", "filter": "", "name": "Mine"}
    assert analyst.post(f"{place}/change", sent).status_code == 403


def test_an_address_of_the_list_is_made_shown_once_and_revoked(cast):
    client = signed_in(cast.aster)
    place = f"/subscriptions/feeds/{a_feed(client).pk}"
    sent = {"do": "address", "name": "edge", "form": "edl-ip", "days": "30", "networks": "203.0.113.0/24, 10.0.0.0/8"}
    made = text(client.post(place, sent))
    (address,) = re.findall(r'<code id="address" class="break">([^<]+)</code>', made)
    assert "/api/v1/lists/exl_" in address
    shown = text(client.get(place))
    assert address.rpartition("_")[2] not in shown
    assert "203.0.113.0/24" in shown
    assert "A name of 1 to 80" in text(client.post(place, sent | {"name": ""}))
    assert client.post(place, sent | {"days": "9999"}).status_code == 422
    (public_id,) = re.findall(r'name="address" value="([a-z2-7]{8})"', shown)
    assert client.post(place, {"do": "end-address", "address": public_id}).status_code == 302
    assert public_id not in text(client.get(place))
    analyst = signed_in(cast.aster, role=Role.ANALYST)
    assert analyst.post(place, sent).status_code == 403
    assert 'id="lists"' not in text(analyst.get(place))


def test_overlap_is_told_feed_by_feed(cast):
    build.publish(
        cast.viewer("borealis"), making.prompt_signature(), making.prompt_signature(), making.account_pattern()
    )
    client = signed_in(cast.aster)
    feed = a_feed(client)
    a_feed(client, filter_text="kind:prompt-signature,account-pattern", name="Both")
    a_feed(client, filter_text="kind:payment-fingerprint", name="Neither")
    shown = text(client.get(f"/subscriptions/feeds/{feed.pk}"))
    assert "100 %" in shown
    assert re.search(r">Both</a><span class=\"num\">2</span>", shown)
    assert ">Neither</a>" not in shown


def test_each_line_of_use_names_the_feed_and_this_exchange(cast):
    feed = subscribing.save_feed(cast.viewer("aster"), name="Prompts", filter_json={"kind": ["prompt-signature"]})
    found = {use.name: use for use in using.uses(feed, subscribing.filter_of(feed))}
    assert set(found) == {"Agent", "curl", "nginx", "Delta", "TAXII"}
    for use in found.values():
        whole = "\n".join(line for _, line in use.lines)
        assert str(feed.pk) in whole, use.name
        assert settings.BASE_URL in whole, use.name
    assert "TAXII" not in {use.name for use in using.uses(None, subscribing.filter_of(None))}


def test_names_are_text_and_pages_ask_the_store_a_fixed_number_of_times(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client, name=PROBE[:120], filter_text="")
    page = f"/subscriptions/feeds/{feed.pk}"
    client.post(page, {"do": "subscribe", "url": "https://receiver.example/hook"})
    an_instance(cast, feed, PROBE[:64])
    build.publish(cast.viewer("borealis"), making.account_pattern(name=PROBE))
    for path in (page, "/subscriptions", "/"):
        assert b"<script>alert" not in client.get(path).content, path
    few = {path: queries_of(client, path) for path in (page, "/subscriptions")}
    for number in range(3):
        build.publish(cast.viewer("borealis"), making.account_pattern())
        an_instance(cast, feed, f"more-{number}")
    assert {path: queries_of(client, path) for path in (page, "/subscriptions")} == few
    assert few[page] <= 44


@pytest.mark.slow
def test_another_partners_feed_is_as_absent_as_none(cast):
    feed = a_feed(signed_in(cast.aster))
    other = signed_in(cast.borealis)
    for path in ("/subscriptions/feeds/{}", "/subscriptions/deliveries?feed={}"):
        theirs, none = other.get(path.format(feed.pk)), other.get(path.format(uuid.uuid4()))
        assert (theirs.status_code, none.status_code) == (404, 404)


def test_saved_views_stand_in_the_side_bar_of_their_partner_alone(cast):
    client = signed_in(cast.aster)
    feed = a_feed(client, name="Payments of ours")
    for path in ("/", "/organisation/", "/docs"):
        side = text(client.get(path)).partition("<main")[0]
        assert f'href="/indicators?view={feed.pk}"' in side, path
    there = text(client.get(f"/indicators?view={feed.pk}"))
    assert re.search(rf'href="/indicators\?view={feed.pk}" aria-current="page" title="Payments of ours"', there)
    assert "Payments of ours" not in text(signed_in(cast.borealis).get("/"))
