"""TAXII 2.1 §5.1 and §5.2: a collection for each group and each feed, beside the own one and everything."""

from __future__ import annotations

import base64
import itertools
import uuid
from typing import TYPE_CHECKING, Any

import orjson
import pytest

from indicators.feeds.filters import Filter
from indicators.reading import referred
from indicators.reading.selecting import Selection
from indicators.stix import making
from indicators.stix.tlp import ID_OF
from indicators.taxii import collections
from indicators.telling import subscribing
from partners.groups import membership
from partners.keys import auth
from partners.models import Group
from partners.scopes import Scope
from partners.tlp import Tlp
from tests import build
from tests.indicators.taxii.cast import (
    EVERYTHING,
    ROOT,
    Caller,
    a_caller,
    a_domain,
    an_indicator,
    another_key,
    revised,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.http import HttpResponse

    from indicators.models import Feed

pytestmark = pytest.mark.django_db

GREEN = "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb"
RED = "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1"
LAST = "X-TAXII-Date-Added-Last"


def read(answer: HttpResponse) -> dict[str, Any]:
    return orjson.loads(answer.content)


def of_group(group: Group) -> str:
    return f"{ROOT}collections/{group.collection_id}/"


def of_feed(feed: Feed) -> str:
    return f"{ROOT}collections/{feed.pk}/"


def a_feed(caller: Caller, name: str = "feed", **wanted: Any) -> Feed:
    return subscribing.save_feed(auth.viewer_of_key(caller.key), name=name, filter_json=wanted)


def add(caller: Caller, path: str, *objects: dict[str, Any]) -> dict[str, Any]:
    answer = caller.post(f"{path}objects/", {"objects": objects})
    assert answer.status_code == 202, answer.content
    return read(answer)


@pytest.fixture
def ring(aster: Caller) -> Group:
    return Group.objects.get(slug="ring")


@pytest.fixture
def outer(aster: Caller, cygnus: Caller) -> Group:
    return build.a_ring(aster.partner, cygnus.partner, slug="outer")


# What there is


def test_5_1_collections_are_own_everything_groups_and_feeds_in_a_fixed_order(aster: Caller, outer: Group) -> None:
    second, first = a_feed(aster, "b"), a_feed(aster, "A card's feed")
    listed = read(aster.get(f"{ROOT}collections/"))["collections"]
    assert [(one["title"], one["alias"], one["can_read"], one["can_write"]) for one in listed] == [
        ("Published by Aster", "partner-aster", True, True),
        ("Everything you may see", "everything", True, False),
        ("In force for you", "in-force", True, False),
        ("Group Outer", "group-outer", True, True),
        ("Group Ring", "group-ring", True, True),
        ("Feed A card's feed", f"feed-a-cards-feed-{first.pk.hex[:8]}", True, False),
        ("Feed b", f"feed-b-{second.pk.hex[:8]}", True, False),
    ]
    assert listed[-2]["id"] == str(first.pk)
    assert all(uuid.UUID(one["id"]).version == 4 for one in listed)
    assert len({one["alias"] for one in listed}) == len(listed)


def test_5_2_a_collection_of_any_kind_is_found_by_its_id_and_its_alias(aster: Caller, outer: Group) -> None:
    a_feed(aster, "Größe / 日本")
    for collection in read(aster.get(f"{ROOT}collections/"))["collections"]:
        for name in (collection["id"], collection["id"].upper(), collection["alias"], collection["alias"].upper()):
            assert read(aster.get(f"{ROOT}collections/{name}/")) == collection


def test_5_2_1_the_id_of_a_groups_collection_says_nothing_of_the_groups_key_and_stays(aster: Caller) -> None:
    ring = Group.objects.get(slug="ring")
    assert ring.collection_id != ring.pk
    assert aster.get(f"{ROOT}collections/{ring.pk}/").status_code == 404
    ring.name = "Another name"
    ring.save()
    assert read(aster.get(of_group(ring)))["title"] == "Group Another name"


@pytest.mark.parametrize(
    "rest", ["", "objects/", "manifest/", "objects/{id}/", "objects/{id}/versions/", "objects/?limit=x"]
)
def test_5_2_foreign_groups_and_feeds_are_answered_like_what_does_not_exist(
    aster: Caller, cygnus: Caller, ring: Group, rest: str
) -> None:
    held, feed = an_indicator(), a_feed(aster)
    add(aster, of_group(ring), held)
    rest = rest.format(id=held["id"])
    alias = collections.of(auth.viewer_of_key(aster.key))[-1].alias
    absent = read(cygnus.get(f"{ROOT}collections/{uuid.uuid4()}/{rest}"))
    for name in (ring.collection_id, feed.pk, "group-ring", "group-none", alias, "feed-none", "feed-", "group-"):
        answer = cygnus.get(f"{ROOT}collections/{name}/{rest}")
        assert answer.status_code == 404, name
        assert read(answer) | {"error_id": ""} == absent | {"error_id": ""}
    assert cygnus.post(f"{of_group(ring)}objects/", {"objects": [an_indicator()]}).status_code == 404


def test_5_2_who_has_left_a_group_has_its_collection_no_longer(borealis: Caller, aster: Caller, ring: Group) -> None:
    held = an_indicator()
    add(aster, of_group(ring), held)
    assert borealis.objects(f"{of_group(ring)}objects/") == [held]
    membership.leave(auth.viewer_of_user(build.a_user(borealis.partner)), ring)
    assert borealis.get(f"{of_group(ring)}objects/").status_code == 404
    assert borealis.objects(f"{EVERYTHING}objects/") == []


@pytest.mark.parametrize(
    ("scope", "ring_rights", "feed_rights"),
    [(Scope.READ, (True, False), (True, False)), (Scope.PUBLISH, (False, True), None), (Scope.SUBSCRIBE, None, None)],
)
def test_5_2_1_the_rights_of_a_collection_are_those_of_the_key(
    aster: Caller,
    ring: Group,
    scope: Scope,
    ring_rights: tuple[bool, bool] | None,
    feed_rights: tuple[bool, bool] | None,
) -> None:
    feed, caller = a_feed(aster), another_key(aster.partner, scope)
    for path, rights in ((of_group(ring), ring_rights), (of_feed(feed), feed_rights)):
        answer = caller.get(path)
        told = read(answer)
        assert ((told["can_read"], told["can_write"]) if answer.status_code == 200 else None) == rights
        expected = 404 if rights is None else 200 if rights[0] else 403
        assert caller.get(f"{path}objects/").status_code == expected


def test_5_1_a_recipient_reads_its_groups_and_writes_to_none(aster: Caller, dorado: Caller) -> None:
    readers = build.a_ring(aster.partner, dorado.partner, slug="readers")
    held = an_indicator()
    add(aster, of_group(readers), held)
    assert read(dorado.get(of_group(readers)))["can_write"] is False
    assert dorado.objects(f"{of_group(readers)}objects/") == [held]
    assert dorado.post(f"{of_group(readers)}objects/", {"objects": [an_indicator()]}).status_code == 403


# Groups


def test_5_5_what_is_added_to_a_group_goes_to_that_group_and_its_writer_reads_it_there(
    aster: Caller, borealis: Caller, cygnus: Caller, ring: Group, outer: Group
) -> None:
    held = an_indicator()
    add(aster, of_group(ring), held)
    for caller in (aster, borealis):
        assert caller.objects(f"{of_group(ring)}objects/") == [held]
        assert caller.objects(f"{EVERYTHING}objects/") == [held]
    assert aster.objects(f"{aster.own}objects/") == [held]
    assert cygnus.objects(f"{EVERYTHING}objects/") == []
    for caller in (aster, cygnus):
        assert caller.objects(f"{of_group(outer)}objects/") == []


def test_5_4_a_group_holds_what_is_addressed_to_it_by_whatever_way_and_nothing_else(
    aster: Caller, borealis: Caller, ring: Group, outer: Group
) -> None:
    to_all_groups, to_everyone, alone = an_indicator(), an_indicator(object_marking_refs=[GREEN]), an_indicator()
    aster.add(to_all_groups, to_everyone)
    build.publish(auth.viewer_of_key(aster.key), alone, partners=("borealis",))
    from_borealis = an_indicator()
    borealis.add(from_borealis)
    assert aster.objects(f"{of_group(ring)}objects/") == [to_all_groups, from_borealis]
    assert borealis.objects(f"{of_group(ring)}objects/") == [to_all_groups, from_borealis]
    assert aster.objects(f"{of_group(outer)}objects/") == [to_all_groups]


def test_5_5_markings_narrow_what_is_added_to_a_group_and_never_widen_it(
    aster: Caller, borealis: Caller, cygnus: Caller, ring: Group
) -> None:
    green, red = an_indicator(object_marking_refs=[GREEN]), an_indicator(object_marking_refs=[RED])
    status = add(aster, of_group(ring), green, red)
    assert (status["success_count"], status["failures"][0]["id"]) == (1, red["id"])
    assert "red-needs-names" in status["failures"][0]["message"]
    assert borealis.objects(f"{EVERYTHING}objects/") == [green]
    assert cygnus.objects(f"{EVERYTHING}objects/") == []
    assert aster.objects(f"{of_group(ring)}objects/") == [green]
    assert aster.objects(f"{aster.own}objects/") == [green]


def test_5_5_a_group_with_the_strict_policy_refuses_in_its_collection_what_it_refuses_elsewhere(aster: Caller) -> None:
    closed = build.a_ring(aster.partner, slug="closed", policy=Group.Policy.CLOSED_FACTS)
    status = add(aster, of_group(closed), an_indicator(pattern="[email-addr:value = 'someone@example.org']"))
    assert (status["success_count"], status["failure_count"]) == (0, 1)


def test_5_5_a_version_that_is_held_keeps_its_audience_and_the_status_says_so(
    aster: Caller, borealis: Caller, ring: Group
) -> None:
    held = an_indicator(object_marking_refs=[RED])
    aster.add(held)
    (told,) = aster.add(held)["successes"]
    assert "its audience stays" in told["message"]
    (told,) = add(aster, of_group(ring), held)["failures"]
    assert "red-needs-names" in told["message"]
    assert borealis.objects(f"{of_group(ring)}objects/") == []


def test_5_5_a_new_version_added_to_a_group_moves_the_object_there(
    aster: Caller, borealis: Caller, cygnus: Caller, ring: Group, outer: Group
) -> None:
    held = an_indicator()
    add(aster, of_group(outer), held)
    last = borealis.get(f"{of_group(ring)}objects/")[LAST]
    add(aster, of_group(ring), revised(held, 2))
    assert borealis.objects(f"{of_group(ring)}objects/", added_after=last) == [revised(held, 2)]
    assert cygnus.objects(f"{of_group(outer)}objects/") == []
    assert aster.objects(f"{of_group(outer)}objects/", **{"match[version]": "all"}) == []


def test_5_6_one_object_of_a_group_is_found_there_and_a_404_in_every_other(
    aster: Caller, borealis: Caller, ring: Group, outer: Group
) -> None:
    held = an_indicator()
    add(aster, of_group(ring), held, revised(held, 2))
    one = f"{of_group(ring)}objects/{held['id']}/"
    assert borealis.objects(one) == [revised(held, 2)]
    assert borealis.objects(one, **{"match[version]": "first"}) == [held]
    assert read(borealis.get(f"{one}versions/"))["versions"] == [held["modified"], revised(held, 2)["modified"]]
    assert borealis.get(one, {"match[version]": "2000-01-01T00:00:00Z"}).content == b"{}"
    for rest in ("", "versions/", "?match[version]=2000-01-01T00:00:00Z"):
        assert aster.get(f"{of_group(outer)}objects/{held['id']}/{rest}").status_code == 404


# Feeds


def test_5_4_a_feed_holds_what_its_filter_lets_through_of_what_its_owner_may_see(
    aster: Caller, borealis: Caller, cygnus: Caller
) -> None:
    sure, unsure, domain, hidden = an_indicator(confidence=80), an_indicator(confidence=20), a_domain(), an_indicator()
    aster.add(unsure, domain)
    borealis.add(sure)
    cygnus.add(hidden | {"confidence": 90})
    feed = a_feed(aster, types=["indicator"], min_confidence=50)
    assert aster.objects(f"{of_feed(feed)}objects/") == [sure]
    assert [one["id"] for one in aster.objects(f"{of_feed(feed)}manifest/")] == [sure["id"]]
    assert aster.objects(f"{of_feed(feed)}objects/{sure['id']}/") == [sure]
    assert aster.objects(f"{of_feed(feed)}objects/", **{"match[type]": "domain-name"}) == []
    for missed in (unsure, domain, hidden):
        for rest in ("", "versions/", "?match[version]=2000-01-01T00:00:00Z"):
            assert aster.get(f"{of_feed(feed)}objects/{missed['id']}/{rest}").status_code == 404


def test_5_5_nothing_is_added_to_a_feed(aster: Caller) -> None:
    answer = aster.post(f"{of_feed(a_feed(aster))}objects/", {"objects": [an_indicator()]})
    assert (answer.status_code, read(answer)["error_code"]) == (403, "collection-not-writable")


def test_5_2_a_feed_that_was_deleted_is_a_404(aster: Caller) -> None:
    feed = a_feed(aster)
    subscribing.delete_feed(auth.viewer_of_key(aster.key), feed.pk)
    assert aster.get(of_feed(feed)).status_code == 404


def test_3_4_an_object_leaves_a_feed_when_its_newest_version_is_filtered_out(aster: Caller) -> None:
    held = an_indicator(confidence=80)
    feed = a_feed(aster, min_confidence=50)
    aster.add(held)
    aster.add(revised(held, 2, confidence=10))
    assert aster.objects(f"{of_feed(feed)}objects/") == []
    assert aster.objects(f"{of_feed(feed)}objects/", **{"match[version]": "all"}) == [held]


def test_3_4_1_the_first_version_in_a_feed_is_the_first_that_its_filter_lets_through(aster: Caller) -> None:
    held = an_indicator(confidence=10)
    feed = a_feed(aster, min_confidence=50)
    aster.add(held, revised(held, 2, confidence=60), revised(held, 3, confidence=70))
    assert aster.objects(f"{of_feed(feed)}objects/", **{"match[version]": "first"}) == [revised(held, 2, confidence=60)]


@pytest.mark.parametrize("version", ["last", "first", "all"])
def test_3_4_a_statement_that_a_feed_leaves_out_hides_no_other_publishers(
    aster: Caller, borealis: Caller, version: str
) -> None:
    held = an_indicator()
    aster.add(held)
    theirs = held | {"name": "Borealis says it otherwise"}
    borealis.add(theirs)
    feed = a_feed(aster, publishers=[str(borealis.partner.pk)])
    assert aster.objects(f"{EVERYTHING}objects/", **{"match[version]": version}) == [held]
    assert aster.objects(f"{of_feed(feed)}objects/", **{"match[version]": version}) == [theirs]


def test_3_4_an_id_of_two_publishers_is_in_a_group_once(aster: Caller, borealis: Caller, ring: Group) -> None:
    held = an_indicator()
    aster.add(held | {"object_marking_refs": [RED]})
    for caller in (borealis, aster):
        outside = caller is aster
        add(caller, of_group(ring), revised(held, 2) if outside else held)
    assert borealis.objects(f"{of_group(ring)}objects/", **{"match[version]": "all"}) == [held]


# Pages


def test_3_5_every_kind_of_collection_is_paged_by_next_and_by_added_after(
    aster: Caller, borealis: Caller, ring: Group, outer: Group
) -> None:
    feed = a_feed(borealis, types=["indicator"])
    held = []
    for _ in range(4):
        one, two, three = an_indicator(), an_indicator(), an_indicator()
        add(aster, of_group(ring), one, a_domain())
        add(aster, of_group(outer), two)
        borealis.add(three)
        held += [one, three]
    for path, more in ((f"{of_feed(feed)}objects/", {}), (f"{of_group(ring)}objects/", {"match[type]": "indicator"})):
        for limit in (1, 3, 8, 9):
            walked = borealis.pages(path, {"limit": limit} | more)
            assert [one for page in walked for one in read(page)["objects"]] == held
        found: list[dict[str, Any]] = []
        after: dict[str, str] = {}
        while batch := read(page := borealis.get(path, {"limit": 3} | more | after)).get("objects"):
            found += batch
            after = {"added_after": page[LAST]}
        assert found == held


@pytest.mark.slow
def test_3_5_cursors_are_bound_to_viewer_collection_and_filters_on_every_kind_of_collection(
    aster: Caller, borealis: Caller, ring: Group
) -> None:
    mine, theirs = a_feed(aster, types=["indicator"]), a_feed(borealis, types=["indicator"])
    other = a_feed(aster, "the same filter", types=["indicator"])
    add(aster, of_group(ring), an_indicator(), an_indicator())
    paths = [aster.own, EVERYTHING, of_group(ring), of_feed(mine), of_feed(other)]
    for path in paths:
        cursor = read(aster.get(f"{path}objects/", {"limit": 1}))["next"]
        assert len(aster.objects(f"{path}objects/", next=cursor)) == 1
        for elsewhere in set(paths) - {path}:  # some clients take it along: they lose nothing by it
            for table in ("objects", "manifest"):
                passed_over = read(aster.get(f"{elsewhere}{table}/", {"next": cursor}))
                assert passed_over == read(aster.get(f"{elsewhere}{table}/")), (path, elsewhere)
        replayed = [(aster, elsewhere, {"match[type]": "indicator"}) for elsewhere in paths]
        replayed += [(borealis, shared, {}) for shared in (EVERYTHING, of_group(ring), of_feed(theirs))]
        replayed += [(aster, path, {"match[version]": "first"})]
        for caller, elsewhere, more in replayed:
            for table in ("objects", "manifest"):
                answer = caller.get(f"{elsewhere}{table}/", {"next": cursor} | more)
                assert (answer.status_code, read(answer)["error_code"]) == (400, "bad-cursor"), (path, elsewhere)


def test_3_5_a_forged_or_altered_cursor_is_a_400(aster: Caller, ring: Group) -> None:
    add(aster, of_group(ring), an_indicator(), an_indicator())
    path = f"{of_group(ring)}objects/"
    cursor = read(aster.get(path, {"limit": 1}))["next"]
    altered = base64.urlsafe_b64encode(bytes([1, *base64.urlsafe_b64decode(cursor + "==")[1:]])).decode().rstrip("=")
    for forged in ("1", "W10", cursor[:-4], cursor + "AAAA", altered, cursor.swapcase(), "x" * 600):
        assert aster.get(path, {"next": forged}).status_code == 400, forged


def test_3_5_a_cursor_lasts_through_a_change_of_keys(aster: Caller, ring: Group) -> None:
    held = [an_indicator(), an_indicator()]
    add(aster, of_group(ring), *held)
    cursor = read(aster.get(f"{of_group(ring)}objects/", {"limit": 1}))["next"]
    assert another_key(aster.partner).objects(f"{of_group(ring)}objects/", next=cursor) == held[1:]


# Cost


def test_the_list_of_collections_costs_the_same_queries_whatever_their_number(
    aster: Caller, count_queries: Callable[..., int]
) -> None:
    aster.get(f"{ROOT}collections/")
    few = count_queries(lambda: aster.get(f"{ROOT}collections/"))
    for number in range(12):
        a_feed(aster, f"feed {number}")
        build.a_ring(aster.partner, slug=f"ring-{number}")
    aster.get(f"{ROOT}collections/")  # who it is now, with more groups, is read once
    assert count_queries(lambda: aster.get(f"{ROOT}collections/")) == few == 2


def test_a_page_of_a_group_or_a_feed_costs_at_most_five_queries(
    aster: Caller, ring: Group, count_queries: Callable[..., int]
) -> None:
    feed = a_feed(aster, types=["indicator"])
    held = an_indicator()
    add(aster, of_group(ring), held)
    for path in (of_group(ring), of_feed(feed)):
        for rest in ("objects/", "manifest/", f"objects/{held['id']}/", f"objects/{held['id']}/versions/"):
            key = another_key(aster.partner, Scope.READ)
            key.get(f"{ROOT}collections/")  # the first use of a key is written down
            assert count_queries(lambda path=path + rest, key=key: key.get(path)) <= 5, rest


def test_a_collection_selects_by_audience_so_that_no_row_is_joined_for_it(aster: Caller, ring: Group) -> None:
    viewer = auth.viewer_of_key(aster.key)
    feed = a_feed(aster, kinds=["account-pattern"])
    of = {found.id: found.selection(viewer) for found in collections.of(viewer)}
    ours = referred.fixed_ids()
    assert of[ring.collection_id] == Selection(group=ring.pk, once=True, besides=ours)
    assert of[feed.pk] == Selection(filter=Filter.of(kinds=("account-pattern",)), once=True, besides=ours)


def test_two_partners_may_name_a_feed_alike(aster: Caller, borealis: Caller) -> None:
    mine, theirs = a_feed(aster, "cards"), a_feed(borealis, "cards")
    aliases = [read(caller.get(of_feed(feed)))["alias"] for caller, feed in ((aster, mine), (borealis, theirs))]
    assert len(set(aliases)) == 2
    assert a_caller("Draco").get(f"{ROOT}collections/{aliases[0]}/").status_code == 404


# Every case


@pytest.mark.slow
def test_5_4_a_group_holds_exactly_what_names_it_and_the_rule_lets_its_reader_see(
    aster: Caller, borealis: Caller, cygnus: Caller, dorado: Caller
) -> None:
    """All markings by all sets of groups, and what names no group: each reader against an oracle of two lines."""
    members = {"ring": [borealis], "outer": [cygnus], "third": [borealis, dorado]}
    of = {"ring": Group.objects.get(slug="ring")} | {
        slug: build.a_ring(aster.partner, *[caller.partner for caller in members[slug]], slug=slug)
        for slug in ("outer", "third")
    }
    viewer = auth.viewer_of_key(aster.key)
    published: list[tuple[str, Tlp, frozenset[str]]] = []
    for size in range(4):
        for slugs in itertools.combinations(sorted(of), size):
            marked = {
                word: an_indicator(object_marking_refs=[ID_OF[word]]) for word in ("green", "amber", "amber+strict")
            }
            build.publish(viewer, *marked.values(), groups=slugs, partners=() if slugs else ("borealis", "dorado"))
            published += [(one["id"], Tlp.from_word(word), frozenset(slugs)) for word, one in marked.items()]
    clearances = {
        name: Tlp(caller.partner.clearance) for name, caller in {"borealis": borealis, "dorado": dorado}.items()
    }
    assert clearances == {"borealis": Tlp.RED, "dorado": Tlp.AMBER}
    for slug, group in of.items():
        for caller in (aster, *members[slug]):
            sees = Tlp(caller.partner.clearance)
            expected = [one for one, tlp, slugs in published if slug in slugs and (caller is aster or tlp <= sees)]
            found = [one["id"] for one in caller.objects(f"{of_group(group)}objects/")]
            assert found == expected, (slug, caller.partner.slug)
            assert expected


@pytest.mark.parametrize("version", ["last", "first", "all", "first,last", "2026-01-01T00:00:00Z"])
@pytest.mark.parametrize(
    ("all_of_it", "nothing"),
    [
        ({"kinds": ["account-pattern"]}, {"kinds": ["prompt-signature"]}),
        ({"subkinds": ["email"]}, {"subkinds": ["net"]}),
        ({"types": ["indicator"]}, {"types": ["malware"]}),
        ({"min_confidence": 1}, {"min_confidence": 100}),
        ({"with_entries": True}, {"with_entries": True, "types": ["malware"]}),
    ],
)
def test_3_4_a_feed_whose_filter_takes_all_is_everything_and_one_that_takes_none_is_empty(
    aster: Caller, borealis: Caller, all_of_it: dict[str, Any], nothing: dict[str, Any], version: str
) -> None:
    shared = making.account_pattern(confidence=70)
    assert shared["created"] == shared["modified"]
    aster.add(shared, making.account_pattern(confidence=60))
    borealis.add(shared | {"name": "Otherwise"}, making.account_pattern(confidence=50))
    query = {"match[version]": version}
    everything = aster.objects(f"{EVERYTHING}objects/", **query)
    assert len(everything) == (0 if version[0] == "2" else 3)
    assert aster.objects(f"{of_feed(a_feed(aster, 'all', **all_of_it))}objects/", **query) == everything
    assert aster.objects(f"{of_feed(a_feed(aster, 'none', **nothing))}objects/", **query) == []
