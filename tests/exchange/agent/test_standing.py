"""A feed that lets through what is disputed says so, and an agent blocks nothing of it while its floor stands."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import pytest

from exchange.agent import explaining, jobs, stating, sync
from exchange.agent.policy import Floor, Policy
from exchange.agent.store import Store
from exchange.client import Client
from exchange.lists import pages
from indicators.feeds import snapshots, spelling
from indicators.feeds.filters import Filter
from indicators.stix import making
from partners.scopes import KEY_SCOPES
from tests import build
from tests.indicators.api.caller import Caller, read

#: What one publisher says is enough; all other floors stand.
_ALONE = Policy(without_floors=frozenset({Floor.TWO_PUBLISHERS}))


@pytest.mark.parametrize(
    ("text", "through"),
    [
        ("kind:account-pattern", ()),
        ("standing:supported", ("supported",)),
        ("-standing:unreviewed", ("supported", "disputed", "refuted")),
        ("kind:account-pattern -standing:disputed,refuted", ("supported", "unreviewed")),
        ("standing:supported or confidence:>=90", ("supported", "unreviewed", "disputed", "refuted")),
        ("(standing:supported or confidence:>=90) -standing:refuted", ("supported", "unreviewed", "disputed")),
        ("-(standing:disputed or confidence:>=90)", ("supported", "unreviewed", "refuted")),
    ],
)
def test_a_filter_says_which_standings_it_may_let_through(text, through):
    assert Filter(spelling.read_text(text)).standings == through


@pytest.mark.parametrize(
    ("told", "worst"),
    [
        ((), ""),
        (("supported",), "supported"),
        (("disputed", "supported"), "disputed"),
        (("new", "supported"), "refuted"),
    ],
)
def test_what_a_feed_tells_is_taken_for_the_worst_that_it_lets_through(told, worst):
    assert stating.worst(told) == worst


@pytest.mark.parametrize("standing", ["disputed", [], [1], {}])
def test_a_trailer_whose_standings_are_none_is_no_page(standing):
    with pytest.raises(pages.Incomplete):
        pages.read([pages.Writer().trailer("c", standing=standing)])


@pytest.mark.django_db(transaction=True)
def test_an_agent_blocks_nothing_that_may_be_disputed(transactional_db, live_server, tmp_path, monkeypatch):
    """The feed was chosen to tell what is disputed, too."""
    monkeypatch.setattr(snapshots.make, "delay_on_commit", lambda pk: None)
    cast = build.the_cast()
    key = build.a_key(cast.borealis, *KEY_SCOPES)
    reader = Caller(key)
    carrier = {"token": making.token("ab" * 32)}
    Caller(cast.keys["aster"]).push(making.account_pattern(carrier=carrier))
    feed = read(reader.send("POST", "feeds", {"name": "Ours", "text": "kind:account-pattern"}), 201)["id"]
    job = jobs.Job(path=tmp_path / "list.txt", state_dir=tmp_path / "state", feed=feed, policy=_ALONE)

    def listed(**more):
        with Client(live_server.url, key) as client:
            sync.run_once(client, replace(job, **more))
        return job.path.read_text().split()

    def says(text):
        read(reader.send("PATCH", f"feeds/{feed}", {"text": text}))

    assert listed() == ["ab" * 32]
    says("kind:account-pattern standing:supported,unreviewed")
    assert listed() == ["ab" * 32]
    says("kind:account-pattern standing:supported,unreviewed,disputed")
    assert listed() == [], "though no row of it changed"
    with closing(jobs.open_store(job)) as store:
        (why,) = explaining.of("ab" * 32, {"Ours": store}, _ALONE, now=jobs.now(store))
    assert why.verdict.floor == Floor.DISPUTED
    assert listed(policy=Policy(without_floors=frozenset(Floor))) == ["ab" * 32]
    says("kind:account-pattern")
    assert listed() == ["ab" * 32]


@pytest.mark.parametrize(
    ("held", "told", "worst"),
    [
        ("", (), ""),
        ("disputed", (), "disputed"),
        ("", ("disputed",), "disputed"),
        ("refuted", ("supported", "disputed"), "refuted"),
        ("supported", (), ""),
    ],
)
def test_while_pages_are_to_come_what_is_held_may_stand_as_before(held, told, worst):
    assert stating.meanwhile(held, told) == worst


def test_what_may_be_disputed_is_held_so_until_the_last_page_that_removes_it(fake, client, job, monkeypatch):
    """A feed that is changed says at once what it lets through, and takes out what it does not page by page."""
    fake.proved = True

    def page(*, more, **said):
        return pages.Writer().trailer("0:0", more=more, min_wait_s=0, stale_after_s=3600, **said)

    seen, really = [], Store.apply

    def applied(self, *args, **more):
        seen.append(self.standing())
        return really(self, *args, **more)

    fake.altered = [page(more=False, standing=["supported", "disputed"])]
    sync.run_once(client, job)
    with closing(jobs.open_store(job)) as store:
        assert store.standing() == "disputed", "of a fill, too"
    monkeypatch.setattr(Store, "apply", applied)
    fake.altered = [page(more=True), page(more=True), page(more=False)]
    sync.run_once(client, job)
    assert seen == ["disputed"] * 3
    with closing(jobs.open_store(job)) as store:
        assert store.standing() == ""
