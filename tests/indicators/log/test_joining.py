"""What the log tells who joins a group, leaves one, or is left behind where all leave it."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from exchange import clock
from exchange.errors import Gone
from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds.filters import EVERYTHING
from indicators.log import changes, pruning
from indicators.models import Change, Telling
from indicators.reading.selecting import Selection
from indicators.sight import resighting
from partners import channels, sight
from partners.models import Channel, Membership, Partner, Sight
from tests import build
from tests.indicators.api.caller import Caller

pytestmark = pytest.mark.django_db


def test_where_a_group_is_dissolved_each_object_is_removed_once_for_all_its_members():
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)])
    members = Membership.objects.filter(group=cast.ring, until=None)
    readers = [cast.viewer(slug) for slug in ("aster", "borealis")]
    places = [changes.own_end(reader) for reader in readers]
    head = changes.head()
    with sight.changing(list(members.values_list("partner", flat=True))):
        members.update(until=clock.now())
    removed = Change.unrestricted.filter(seq__gt=head)
    of_group = Channel.objects.filter(group=cast.ring, reach=Channel.Reach.GROUP).values_list("pk", flat=True)
    assert [(row.op, row.channel in set(of_group)) for row in removed] == [("remove", True)] * 3
    told = [
        changes.since(cast.viewer(reader), EVERYTHING, after=place, limit=9).changes
        for reader, place in zip(("aster", "borealis"), places, strict=True)
    ]
    assert [[one.op for one in of] for of in told] == [
        ["upsert"] * 3,
        ["remove"] * 3,
    ]  # who published them sees them still
    assert not Sight.objects.filter(until=channels.NOT_YET).exists()


def test_a_channel_that_all_have_left_ends_only_once_all_of_it_is_told(monkeypatch):
    """Whoever finds no portion to tell may find none because others have the last in hand."""
    cast = build.the_cast()
    build.publish(cast.viewer("aster"), *[build.an_indicator() for _ in range(3)])
    members = Membership.objects.filter(group=cast.ring, until=None)
    monkeypatch.setattr(resighting, "PORTION", 1)
    with sight.changing(list(members.values_list("partner", flat=True))):
        members.update(until=clock.now())
    assert Telling.objects.filter(partner=None).exists()
    resighting._end_what_is_told()
    assert Sight.objects.filter(until=channels.NOT_YET).exists()
    resighting.tell_all()
    assert not Sight.objects.filter(until=channels.NOT_YET).exists()


def test_who_leaves_before_they_have_read_so_far_are_told_what_ended_before():
    """It ended before the group was left, so nothing of it is told anew: they find it in what they had open."""
    cast = build.the_cast()
    held = build.an_indicator()
    build.publish(cast.viewer("aster"), held)
    place = changes.own_end(cast.viewer("borealis"))
    withdrawing.withdraw(cast.viewer("aster"), [held["id"]])
    with sight.changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis, group=cast.ring, until=None).update(until=clock.now())
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=place, limit=9).changes
    assert [(one.op, one.reason, one.stix_id) for one in told] == [("remove", "withdrawn", held["id"])]


def test_who_joins_is_told_of_no_removal_from_before():
    """It read nothing yet, and what lies before the place where it joined was never told to it."""
    cast = build.the_cast()
    shared, gone = build.an_indicator(tlp_word="green"), build.an_indicator()
    build.publish(cast.viewer("aster"), shared, everyone=True)
    build.publish(cast.viewer("aster"), gone, groups=("ring",))
    withdrawing.withdraw(cast.viewer("aster"), [gone["id"]])
    assert not Membership.objects.filter(partner=cast.dorado, group=cast.ring).exists()
    with sight.changing([cast.dorado.pk]):
        Membership.objects.create(partner=cast.dorado, group=cast.ring)
    told = changes.since(cast.viewer("dorado"), EVERYTHING, after=0, limit=9).changes
    assert [(one.op, one.stix_id) for one in told] == [("upsert", shared["id"])]


@pytest.mark.slow
def test_what_was_passed_over_for_an_entry_in_a_group_is_told_anew_where_that_group_is_left():
    """It entered again in a second group and went from there: whoever leaves that group finds neither entry."""
    cast = build.the_cast()
    build.a_ring(cast.aster, cast.borealis, slug="second")
    aster, held, other = Caller(build.a_key(cast.aster)), build.an_indicator(), build.an_indicator()
    for stix in (held, other):
        build.publish(cast.viewer("aster"), stix, groups=("ring",))
    for groups in (["ring", "second"], ["ring"]):
        assert aster.send("PUT", f"objects/{held['id']}/audience", {"groups": groups}).status_code == 204
    first = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=1)
    assert [one.stix_id for one in first.changes] == [other["id"]], "the first entry is passed over for the second"
    with sight.changing([cast.borealis.pk]):
        Membership.objects.filter(partner=cast.borealis, group__slug="second", until=None).update(until=clock.now())
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=first.reached, limit=9).changes
    assert ("upsert", held["id"]) in [(one.op, one.stix_id) for one in told]


def joins(partner: Partner, group) -> None:
    with sight.changing([partner.pk]):
        Membership.objects.create(partner=partner, group=group)


def leaves(partner: Partner, slug: str) -> None:
    leave([partner], slug)


def leave(partners: Iterable[Partner], slug: str) -> None:
    who = [partner.pk for partner in partners]
    with sight.changing(who):
        Membership.objects.filter(partner__in=who, group__slug=slug, until=None).update(until=clock.now())


@pytest.mark.slow
def test_who_joins_a_second_group_and_leaves_the_first_is_told_of_what_is_in_both():
    """It lags behind: the entry in the first group is closed to it, that in the second lies before it joined."""
    cast = build.the_cast()
    second, held = build.a_ring(cast.aster, cast.cygnus, slug="second"), build.an_indicator()
    build.publish(cast.viewer("aster"), held, groups=("ring", "second"))
    joins(cast.borealis, second)
    leaves(cast.borealis, "ring")
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=0, limit=9).changes
    assert [(one.op, one.reason, one.stix_id) for one in told] == [("upsert", "granted", held["id"])] * 2


def test_who_joins_finds_each_version_that_is_shown_in_collections():
    cast = build.the_cast()
    first = build.an_indicator()
    build.publish(cast.viewer("aster"), first, groups=("ring",))
    build.publish(cast.viewer("aster"), first | {"modified": build.later(), "name": "the newest"}, groups=("ring",))
    joins(cast.dorado, cast.ring)
    found = reading.page(cast.viewer("dorado"), Selection(versions="all"), limit=9).statements
    assert [(one.stix_id, one.latest) for one in found] == [(first["id"], False), (first["id"], True)]


def test_what_enters_while_a_partner_joins_is_told_to_it(monkeypatch):
    cast = build.the_cast()
    held, entered = build.an_indicator(), build.an_indicator()
    build.publish(cast.viewer("aster"), held, groups=("ring",))

    def looked_for(closed, original=resighting._again):
        build.publish(cast.viewer("aster"), entered, groups=("ring",))
        return original(closed)

    monkeypatch.setattr(resighting, "_again", looked_for)
    joins(cast.dorado, cast.ring)
    told = changes.since(cast.viewer("dorado"), EVERYTHING, after=0, limit=9).changes
    assert {(one.op, one.stix_id) for one in told} == {("upsert", held["id"]), ("upsert", entered["id"])}


def test_what_ended_before_a_group_was_left_is_removed_once():
    cast = build.the_cast()
    held = build.an_indicator()
    build.publish(cast.viewer("aster"), held, groups=("ring",))
    place = changes.own_end(cast.viewer("borealis"))
    build.publish(cast.viewer("aster"), held | {"revoked": True, "modified": build.later()}, groups=("ring",))
    leaves(cast.borealis, "ring")
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=place, limit=9).changes
    assert [(one.op, one.reason) for one in told] == [("remove", "revoked")]


def test_what_ends_for_the_others_before_who_left_is_told_of_it_is_removed_for_them_too(monkeypatch):
    """The last that was said in the group is a remove then, but not to who had left it."""
    monkeypatch.setattr(resighting, "PORTION", 1)
    cast, kept, ended = build.the_cast(), build.an_indicator(), build.an_indicator()
    build.publish(cast.viewer("aster"), kept, ended, groups=("ring",))
    place = changes.own_end(cast.viewer("borealis"))
    leaves(cast.borealis, "ring")
    build.publish(cast.viewer("aster"), ended | {"revoked": True, "modified": build.later()}, groups=("ring",))
    assert resighting.tell_all() == 2
    told = changes.since(cast.viewer("borealis"), EVERYTHING, after=place, limit=9).changes
    assert {(one.op, one.stix_id) for one in told} == {("remove", kept["id"]), ("remove", ended["id"])}


def test_who_was_told_of_no_remove_before_it_was_pruned_starts_over_and_nobody_else(settings):
    settings.CHANGE_DAYS = 0
    cast = build.the_cast()
    held = build.an_indicator()
    build.publish(cast.viewer("aster"), held, groups=("ring",))
    place = changes.own_end(cast.viewer("borealis"))
    withdrawing.withdraw(cast.viewer("aster"), [held["id"]])
    beyond = changes.own_end(cast.viewer("borealis"))
    assert pruning.prune() > 0
    with pytest.raises(Gone):
        changes.since(cast.viewer("borealis"), EVERYTHING, after=place, limit=9)
    assert changes.since(cast.viewer("borealis"), EVERYTHING, after=beyond, limit=9).changes == []
    assert changes.since(cast.viewer("dorado"), EVERYTHING, after=0, limit=9).changes == []
