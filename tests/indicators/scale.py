"""What a page costs: about the rows that it returns, wherever it lies, however many objects, partners and groups there are.

Rows are made as publishing makes them (`bench.filling`), in the test's own transaction, so that no statistics exist:
the plans must be right without ANALYZE, and with it.
"""

from __future__ import annotations

import random
from datetime import timedelta

from django.db import connection

from bench import filling
from exchange import clock, sql
from indicators import reading
from indicators.ending import withdrawing
from indicators.feeds import comparing, deltas, spelling
from indicators.feeds.filters import EVERYTHING, Filter
from indicators.log import changes, walking
from indicators.models import Carries, Change, FeedSet, Holding, Reference, StixObject
from indicators.opinions import weighing
from indicators.portal import inbox
from indicators.portal.paste import asking
from indicators.publishing import attributing
from indicators.reading import listing, selecting
from indicators.reading.selecting import Selection
from indicators.stix import making
from partners import sharing
from partners.models import Group
from partners.scopes import Scope
from partners.viewer import Viewer
from tests import build, stores
from tests.plans import BIG, compared_in, nodes, of_table, planned, read_by, watched, whole

#: Rows that are read besides: the end of the log, and where a date lies in it.
SLACK = 4


def a_crowd(*, partners: int, groups: int, objects: int) -> list[Viewer]:
    """Viewers of so many partners in so many groups, and what they published: to groups, to everyone, to single partners."""
    stores.forget_statistics()
    chance = random.Random(7)
    members = [build.a_partner(f"Partner{number}") for number in range(partners)]
    rings = [
        build.a_ring(*chance.sample(members, chance.randint(3, 9)), slug=f"group-{number}") for number in range(groups)
    ]
    viewers = [build.viewer_of(partner, Scope.READ, Scope.PUBLISH) for partner in members]
    templates = []
    for number, group in enumerate(rings):
        member = chance.choice([v for v in viewers if group.pk in v.group_ids])
        made = build.an_indicator()
        how = {"groups": (group.slug,)} if number % 5 else {"everyone": True, "tlp": build.Tlp.GREEN}
        build.publish(member, made, **how)
        templates.append(made["id"])
    filling.fill(connection.connection, templates, objects - len(templates))
    return viewers


def read_what_they_return(reader: Viewer, *, objects: int, page_of: int, of_each: int = 6) -> None:
    """Pages and deltas of this reader, whose store holds so many objects: rows read `of_each` that is returned."""
    end = changes.head()
    middle, late = (Change.unrestricted.filter(seq=seq).first().date_added for seq in (end // 2, end - 20))
    seen = reading.page(reader, Selection(once=True), limit=page_of)
    assert len(seen.statements) == page_of
    # Of each channel the first row is looked at, and of those that a stretch ends in, rows beyond it.
    ahead = 3 * sharing.mine(reader).count() + SLACK
    assert StixObject.unrestricted.count() == objects

    for name, after, added_after in (
        ("first page", 0, None),
        ("page in the middle", end // 2, None),
        ("page after a date", 0, middle),
        ("what is new by cursor", end - 20, None),
        ("what is new by date", 0, late),
        ("nothing new by cursor", end, None),
        ("nothing new by date", 0, late + timedelta(hours=1)),
    ):
        with watched() as plans:
            page = reading.page(
                reader,
                Selection(once=True, added_after=added_after),
                after=after,
                limit=page_of,
                max_bytes=8 * 1024 * 1024,
            )
        assert read_by(plans) <= of_each * (len(page.statements) + 1) + ahead, name
        assert len(plans) <= 3, name

    for name, after in (
        ("delta, first", 0),
        ("delta, middle", end // 2),
        ("delta, new", end - 20),
        ("delta, idle", end),
    ):
        with watched() as plans:
            span = changes.since(
                reader, Filter(), after=after, limit=page_of, fresh_until=end, max_bytes=8 * 1024 * 1024
            )
        assert read_by(plans) <= of_each * (len(span.changes) + 1) + ahead, name
        assert len(plans) <= 3, name


def a_filter_is_found_by_the_index_and_read_on_where_the_next_are_near(reader: Viewer, *, page_of: int) -> None:
    """What lies far off is found by its words, each row in its own channel; beside what half of the rows are, is more."""
    before, (group, publisher) = changes.head(), _beside(reader)
    templates = [making.prompt_signature(confidence=confidence) for confidence in (81, 89)]
    build.publish(publisher, *templates, groups=(group.slug,))
    filling.fill(connection.connection, [one["id"] for one in templates], 4 * page_of, salt="signatures")
    far = Filter.of(kinds=("prompt-signature",))
    for wanted, after, by_words in ((far, 0, True), (far.within(Filter.of(min_confidence=85)), before, False)):
        with watched() as plans:
            page = reading.page(reader, Selection(once=True, filter=wanted), after=after, limit=page_of)
        assert len(page.statements) == page_of
        used = any(node.get("Index Name") == "change_by_trait" for plan in plans for node in nodes(plan))
        assert used == by_words
        assert read_by(plans) <= 15 * page_of
        assert compared_in("CTE raw", plans) == 0


def a_set_is_looked_up_by_keys_from_its_first_row_on(reader: Viewer) -> None:
    """Also by a plan that was made while there was none, which is kept while the first sets grow."""
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE indicators_inforce")
    told = reading.page(reader, Selection(once=True), limit=20).statements
    with planned() as plans:
        assert comparing.held(FeedSet(pk=0), ids=[one.stix_id for one in told]) == []
    assert not whole(plans), whole(plans)


def a_feed_reads_what_is_new(reader: Viewer, *, of_each: int = 12) -> None:
    """Of a set that holds all that its reader sees, what is published then; before the set was counted, and after."""
    cursor, more = "", True
    while more:
        told = deltas.page(reader, EVERYTHING, feed="all", cursor=cursor, limit=1_000)
        cursor, more = told.cursor, told.more
    group, publisher = _beside(reader)
    for _ in range(2):
        build.publish(publisher, build.an_indicator(), groups=(group.slug,))
        with watched() as plans:
            told = deltas.page(reader, EVERYTHING, feed="all", cursor=cursor, limit=1_000)
        assert told.rows == 1
        assert read_by(plans) <= of_each + 6 * sharing.mine(reader).count() + SLACK
        cursor = told.cursor
        with connection.cursor() as statement:
            statement.execute("ANALYZE")


def writing_reads_no_table_whole(publisher: Viewer) -> None:
    """One object and many, new, revised and withdrawn: by the plans for all values, as if there were a million of each."""
    stores.pretend_many(BIG)
    slugs = (Group.objects.get(pk=min(publisher.group_ids)).slug,)
    one, *many = [build.an_indicator() for _ in range(30)]
    with planned() as plans:
        build.publish(publisher, one, groups=slugs)
        build.publish(publisher, *many, groups=slugs)
        build.publish(publisher, one | {"modified": build.later()}, groups=slugs)
        withdrawing.withdraw(publisher, [one["id"]])
    assert len(plans) > 10
    assert not whole(plans), whole(plans)


def what_is_pointed_to_is_not_read_where_it_is_held(publisher: Viewer) -> None:
    """Who shows itself by another name is asked what refers to new objects: not all that refers to those it holds."""
    held = Holding.unrestricted.filter(publisher=publisher.partner_id).first().stix_id
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO indicators_reference (version_id, place, path, target_id)"
            " SELECT id, 99, '/object_refs/0', %s FROM indicators_stixobject",
            [held],
        )
    with watched() as plans:
        assert sql.ask(attributing._POINTING, {"by": publisher.partner_id, "ids": [held]}) == []
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in of_table("indicators_reference", plans)) == 0
    Reference.unrestricted.filter(place=99).delete()


def values_are_found_by_their_keys(reader: Viewer, *, of_each: int = 10) -> None:
    """What is pasted, what a filter of a feed names, and who says the values of a page."""
    told = reading.page(reader, Selection(once=True), limit=20).statements
    value = Carries.unrestricted.filter(holding__newest_id=told[0].object_id).first().token_value.value
    with watched() as plans:
        assert list(asking._keys({value})) == [value]
    assert read_by(plans) <= SLACK
    filtered, ids = Filter(spelling.read_text(f"words:{value}")), [one.stix_id for one in told]
    with watched() as plans:
        assert [one.stix_id for one in comparing.found(reader, filtered, ids=ids)] == [told[0].stix_id]
    assert read_by(plans) <= of_each * len(ids) + SLACK
    with watched() as plans:
        assert len(listing.sayers(reader, [one.object_id for one in told])) == len(told)
    assert read_by(plans) <= of_each * len(told) + SLACK


def a_word_reads_about_what_is_shown(reader: Viewer, *, page_of: int = 20, of_each: int = 10) -> None:
    """One that all objects have and one that few have; of the index of words, too, whose rows no other node tells of."""
    looked_at = selecting._PAGES * selecting._ROWS
    few = Holding.unrestricted.filter(audience_id__in=sharing.audience_ids(reader)).order_by("pk")[:3]
    rare = StixObject.unrestricted.filter(pk__in=[one.newest_id for one in few]).exclude(title="A quokka")
    rare.update(title="A quokka")
    channels = sharing.mine(reader).count()
    for words, all_of_them in (("account", None), ("acc patt", None), ("quokka", 3), ("quok", 3), ("wombat", 0)):
        with watched() as plans:
            page = reading.newest(reader, Selection(words=words), limit=page_of)
        assert len(page.statements) == (page_of if all_of_them is None else all_of_them), words
        found = [node for plan in plans for node in nodes(plan) if node.get("Index Name") == "object_search"]
        assert found
        assert sum(node["Actual Rows"] * node["Actual Loops"] for node in found) <= 8 * len(few), words
        walked = 3 * channels + of_each * max(page_of, walking._LEAST_ROWS)
        assert read_by(plans) <= looked_at + walked + SLACK, words


def what_is_ones_own_is_read_by_its_audiences(publisher: Viewer) -> None:
    """What ends soon, and how soon one's own was shared: no object of others is read."""
    for read, asked in ((inbox._ends, ()), (weighing._hours_to_share, (clock.now() - timedelta(days=1),))):
        with watched() as plans:
            read(publisher, *asked)
        holdings = [*of_table("indicators_holding", plans), *of_table("indicators_stixobject", plans)]
        assert holdings, read
        assert not [node for node in holdings if node["Node Type"] == "Seq Scan"], read


def look_ups_read_what_they_return(reader: Viewer) -> None:
    """Of many ids at once, and of one."""
    seen = reading.page(reader, Selection(once=True), limit=200)
    ids = [statement.stix_id for statement in seen.statements]
    with watched() as plans:
        assert len(reading.looked_up(reader, ids, max_bytes=8 * 1024 * 1024)) == len(ids)
    assert read_by(plans) <= 6 * len(ids) + SLACK
    with watched() as plans:
        assert len(reading.statements(reader, ids[0])) == 1
    assert read_by(plans) <= 6 + SLACK


def _beside(reader: Viewer) -> tuple[Group, Viewer]:
    """A group of the reader's, and another partner in it as one that publishes."""
    group = Group.objects.get(pk=min(reader.group_ids))
    beside = group.memberships.exclude(partner=reader.partner_id).first().partner
    return group, build.viewer_of(beside, Scope.READ, Scope.PUBLISH)
