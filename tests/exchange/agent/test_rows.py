"""One row that is not as it should be stops nothing: what stands beside it comes and goes, and it stands in no list."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import pytest

from exchange.agent import jobs, policy
from exchange.agent.blocklist import Blocklist
from exchange.agent.sync import wanted
from exchange.stix import words

NOW = datetime(2026, 11, 30, tzinfo=UTC)
ENTRY = {"kind": "account-pattern", "subkind": "net", "scheme": "", "key_epoch": ""}
SHA256 = "ab" * 32
SURROGATE = "\ud800"


def row(name, value, publisher="aster", **more):
    said = {"op": "upsert", "id": name, "publisher": {"id": publisher, "name": publisher.title()}, "confidence": 80}
    return {**said, "sha256": SHA256, "entries": [{**ENTRY, "value": value}], **more}


HELD_WITHOUT = {
    "entries": [None, "text", {"a": 1}, [None], [5], [{"value": "198.51.100.9"}], [{**ENTRY, "value": 5}]],
    "valid_from": ["soon", 5, "9999-12-31T23:59:59-14:00"],
}
ENTRIES = [
    {**ENTRY, "value": SURROGATE},
    {**ENTRY, "value": ["x"]},
    {**ENTRY, "value": ""},
    {**ENTRY, "value": "x", "key_epoch": 1},
]
LEFT_OUT = {
    "publisher": [None, "aster", {"id": "", "name": ""}, {"id": "p"}, {"id": SURROGATE, "name": "P"}],
    "id": [None, "", SURROGATE],
    "valid_until": ["soon", 5, "9999-12-31T23:59:59-14:00"],
    "sha256": [SURROGATE, 5],
}
TAKEN = {
    "confidence": ["high", 10**30, [1], True, -1],
    "standing": [{"a": 1}, SURROGATE, 5],
    "date_added": ["soon", 5],
    "reason": [{"x": 1}],
    "object": [5, {"extensions": 5}, {"extensions": {words.EXTENSION_ID: {"control": SURROGATE}}}],
}


def each(named):
    return [(name, said) for name, every in named.items() for said in every]


@pytest.fixture
def taken(job):
    """Apply one page with a row between two good ones and a removal; what is listed, held and skipped."""

    def take(odd):
        with closing(jobs.open_store(job)) as store:
            store.apply([row("i0", "198.51.100.0")], cursor="1", key=b"k" * 32)
            page = [{"op": "remove", "id": "i0", "publisher": {"id": "aster", "name": "A"}}, row("i1", "198.51.100.1")]
            assert store.apply([*page, odd, row("i2", "198.51.100.2")], cursor="2") == 4
            store.put("name", job.proved_name)
            jobs.note_lag(store, [odd] if isinstance(odd, dict) else [])
            assert store.recount() == store.proof()
            listed = {one.value for one in wanted(job, store)}
            found = (
                listed - {"198.51.100.1", "198.51.100.2"},
                len(list(store.held())) - 2,
                int(store.get("skipped") or 0),
            )
            assert listed >= {"198.51.100.1", "198.51.100.2"}
        Blocklist([job.store_path])  # nor is it in the way of who loads the store
        return found

    return take


@pytest.mark.parametrize(("name", "said"), [*each(HELD_WITHOUT), *[("entries", [one]) for one in ENTRIES]])
def test_an_entry_that_cannot_be_read_stands_in_no_list_and_its_object_is_held(taken, name, said):
    listed, held, skipped = taken(row("odd", "198.51.100.9", **{name: said}))
    assert (listed, held) == (set(), 1)
    assert skipped >= (said is not None)


@pytest.mark.parametrize(("name", "said"), [*each(LEFT_OUT), ("", None)])
def test_a_row_of_which_nothing_can_be_held_is_left_out_and_counted(taken, name, said):
    odd = {**row("odd", "198.51.100.9"), name: said} if name else None
    assert taken(odd) == (set(), 0, 1)


@pytest.mark.parametrize(("name", "said"), each(TAKEN))
def test_a_word_that_cannot_be_read_is_none(taken, name, said):
    assert taken(row("odd", "198.51.100.9", **{name: said})) == ({"198.51.100.9"}, 1, 0)


def test_a_publisher_without_an_id_is_not_who_the_brake_kept(taken, job):
    odd = row("odd", "198.51.100.9", publisher="")
    assert taken(odd)[0] == set()
    with closing(jobs.open_store(job)) as store:
        assert not [one for one in store.statements(now=NOW) if one.publisher == policy.UNKNOWN_PUBLISHER]
