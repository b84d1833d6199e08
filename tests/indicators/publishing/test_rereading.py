"""An upgrade reads what is stored by the rules of today: old and new objects meet, and what was revoked ends."""

from __future__ import annotations

import io
import json
import uuid

import pytest
from django.core.management import call_command

from exchange.errors import NotFound
from exchange.sql import Message
from indicators import matching, reading
from indicators.feeds import blocklists
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes
from indicators.models import Carries, Hidden, Holding, Progress, StixObject
from indicators.publishing import rereading
from indicators.reading.selecting import Selection
from indicators.stix.drafts import TokenValue
from indicators.values import carrying
from partners.models import AuditRecord
from tests import build
from tests.indicators import byhand

pytestmark = pytest.mark.django_db


@pytest.fixture
def cast():
    Progress.objects.filter(name__startswith="rereading").delete()  # the store's own `prepare` read nothing
    return build.the_cast()


def classical(pattern, **more):
    ours = build.an_indicator()
    ours.pop("extensions")
    return ours | {"pattern": pattern, "name": "A classical one"} | more


def told(viewer, after):
    return [(c.op, c.reason, c.stix_id) for c in changes.since(viewer, EVERYTHING, after=after, limit=99).changes]


def matched(viewer):
    return [match.value for match in matching.newest(viewer, limit=10).matches]


def listed(viewer):
    return blocklists.spool(viewer, Filter(), form="txt").file.read().decode().split()


def stored_in_the_old_form(stix, *, value, title=None, suppressed_by=""):
    """As an older release stored it: the same bytes, and another value read from them."""
    rows, message = StixObject.unrestricted.filter(holding__stix_id=stix["id"]), Message()
    for said in Carries.unrestricted.filter(holding__stix_id=stix["id"]).select_related("holding"):
        token = TokenValue(said.subkind, "clear", "", value, suppressed_by)
        carrying.write(
            [carrying.Carrying(said.holding_id, said.holding.audience_id, [token], anew=True)], within=message
        )
    message.send()
    if title is not None:
        rows.update(title=title)


def test_old_values_meet_new_ones_once_they_were_read_again(cast):
    aster, borealis = cast.viewer("aster"), cast.viewer("borealis")
    old = classical("[ipv4-addr:value = '198.51.100.7']")
    new = classical("[ipv4-addr:value = '198.51.100.7/32']")
    build.publish(aster, old, groups=("ring",))
    stored_in_the_old_form(old, value="198.51.100.7")
    build.publish(borealis, new, groups=("ring",))
    assert (matched(aster), listed(aster)) == ([], ["198.51.100.7", "198.51.100.7/32"])
    place = changes.head()
    done = rereading.reread()
    assert (done.changed, done.unreadable, done.ended) == (1, 0, 0)
    assert (matched(aster), listed(aster)) == (["198.51.100.7/32"], ["198.51.100.7/32"])
    assert told(borealis, place) == [("upsert", "revised", old["id"])]
    (said,) = reading.statements(borealis, old["id"])
    assert json.loads(said.body) == old


def test_old_titles_are_found_and_nobody_is_told(cast):
    aster = cast.viewer("aster")
    stix = classical("[domain-name:value = 'a.example.net']", name="Cafe\u0301 \uff21\uff22")
    build.publish(aster, stix)
    stored_in_the_old_form(stix, value="a.example.net", title="Cafe\u0301 \uff21\uff22")
    place = changes.head()
    rereading.reread()
    assert StixObject.unrestricted.get().title == "Caf\u00e9 AB"
    assert changes.head() == place
    assert len(reading.page(aster, Selection(words="Caf\u00e9 AB"), limit=9).statements) == 1


def test_what_no_list_may_hold_leaves_the_lists(cast):
    aster = cast.viewer("aster")
    broad, benign = classical("[ipv4-addr:value = '0.0.0.0/0']"), classical("[domain-name:value = 'gmail.com']")
    odd = classical(f"[domain-name:value = '{uuid.uuid4().hex}.example.net']", indicator_types=["benign"])
    for stix, value in ((broad, "0.0.0.0/0"), (benign, "gmail.com"), (odd, "odd.example.net")):
        build.publish(aster, stix)
        stored_in_the_old_form(stix, value=value)
    assert len(listed(aster)) == 3
    assert rereading.reread().changed == 3
    assert listed(aster) == []


def test_what_is_in_todays_form_is_left_alone(cast):
    aster = cast.viewer("aster")
    build.publish(
        aster,
        *(build.an_indicator() for _ in range(3)),
        classical("[url:value = 'HTTP://Host.example.net']"),
        classical("[autonomous-system:number = 64496]"),
        classical("[ipv4-addr:value = '10.0.0.0/8'] OR [domain-name:value = 'b.example.net']"),
        classical("[domain-name:value = 'c.example.net']", indicator_types=["benign"], confidence=85.0),
    )
    place = changes.head()
    done = rereading.reread()
    assert (done.read, done.changed, done.unreadable, changes.head()) == (7, 0, 0, place)


def test_it_is_done_once_goes_on_where_it_was_broken_off_and_costs_one_query_when_done(
    cast, monkeypatch, django_assert_num_queries
):
    monkeypatch.setattr(rereading, "_PAGE", 2)
    aster = cast.viewer("aster")
    old = [classical(f"[ipv4-addr:value = '198.51.100.{n}']") for n in range(5)]
    build.publish(aster, *old)
    for n, stix in enumerate(old):
        stored_in_the_old_form(stix, value=f"198.51.100.{n}")

    def pull_the_plug(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        rereading.reread(on_page=pull_the_plug)
    assert len([value for value in listed(aster) if value.endswith("/32")]) == 2
    assert rereading.reread().read == 3
    assert listed(aster) == [f"198.51.100.{n}/32" for n in range(5)]
    with django_assert_num_queries(1):
        assert rereading.reread().read == 0
    late = classical("[ipv4-addr:value = '198.51.100.9']")
    build.publish(aster, late)
    stored_in_the_old_form(late, value="198.51.100.9")
    assert (rereading.reread().read, rereading.reread(anyway=True).changed) == (0, 1)


def test_a_page_holds_no_more_bytes_than_it_may(cast, monkeypatch):
    monkeypatch.setattr(rereading, "_PAGE_BYTES", 1)
    build.publish(cast.viewer("aster"), *(build.an_indicator() for _ in range(3)))
    pages = []
    rereading.reread(on_page=lambda so_far: pages.append(so_far.read))
    assert pages == [1, 2, 3]


def test_bytes_that_are_refused_today_stay_as_they_were_read(cast):
    build.publish(cast.viewer("aster"), stix := classical("[domain-name:value = 'a.example.net']"))
    odd = json.dumps(stix | {"modified": "\u0662\u0660\u0662\u0666-01-01T00:00:00Z"})
    byhand.rewrite(odd)
    assert (rereading.reread().unreadable, listed(cast.viewer("aster"))) == (1, ["a.example.net"])


def left_alive(cast, *, same_place=True):
    """Aster revoked by a version dated before the newest; an older release took that for history."""
    aster = cast.viewer("aster")
    stix = classical("[domain-name:value = 'a.example.net']")
    revocation = stix | {"revoked": True, "modified": stix["modified"].replace("Z", "1Z")}
    build.publish(aster, stix, stix | {"modified": build.later()}, groups=("ring",))
    build.publish(aster, revocation)
    ending = StixObject.unrestricted.get(holding__stix_id=stix["id"], revoked=True)
    newest = StixObject.unrestricted.filter(holding__stix_id=stix["id"]).order_by("modified").last()
    Holding.unrestricted.update(newest=newest, state=Holding.State.LIVE)
    Hidden.objects.all().delete()
    if not same_place:
        Hidden.objects.create(version=ending, hidden_from=Hidden.From.OTHERS)
    return stix["id"]


def test_what_an_older_release_left_alive_beside_a_revocation_ends_and_its_readers_are_told(cast):
    stix_id = left_alive(cast)
    borealis = cast.viewer("borealis")
    assert listed(borealis) == ["a.example.net"]
    place = changes.head()
    assert rereading.reread().ended == 1
    assert told(borealis, place) == [("remove", "revoked", stix_id)]
    assert listed(borealis) == []
    (said,) = reading.statements(borealis, stix_id)
    assert json.loads(said.body)["revoked"] is True
    record = AuditRecord.objects.get(verb="objects.ended")
    assert (record.partner_id, record.actor) == (cast.aster.pk, "system")
    again = json.loads(build.publish(cast.viewer("aster"), json.loads(said.body)).results)
    assert again[0]["status"] == "unchanged"


def test_a_revocation_that_they_could_not_see_is_shown_to_nobody_else(cast):
    stix_id = left_alive(cast, same_place=False)
    borealis = cast.viewer("borealis")
    place = changes.head()
    assert rereading.reread().ended == 1
    assert told(borealis, place) == [("remove", "revoked", stix_id)]
    assert listed(borealis) == []
    with pytest.raises(NotFound):
        reading.statements(borealis, stix_id)


def test_prepare_does_it(cast):
    left_alive(cast)
    said = io.StringIO()
    call_command("prepare", stdout=said)
    assert "3 stored objects read again: 0 written anew, 1 ended" in said.getvalue()
    again = io.StringIO()
    call_command("prepare", stdout=again)
    assert "read again" not in again.getvalue()
    assert [holding.state for holding in Holding.unrestricted.all()] == ["revoked"]
