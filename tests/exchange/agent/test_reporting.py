"""What goes back: ids, hours and powers of ten, each once; no value and no exact count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exchange.agent import reporting
from exchange.agent.allowing import Allowed
from exchange.agent.blocklist import Blocklist
from exchange.agent.policy import Floor, Policy
from exchange.agent.reporting import Counts
from exchange.client.errors import ApiError
from tests.exchange.agent.test_lookup import Lab

NOW = datetime(2026, 11, 28, 12, 30, tzinfo=UTC)
TOKEN = "ab" * 32


@pytest.fixture
def lab(tmp_path):
    return Lab(tmp_path / "all.sqlite")


class Publishers:
    """A client that remembers what is sent to it."""

    def __init__(self, refuses: dict[str, ApiError] | None = None) -> None:
        self.sightings: list[tuple] = []
        self.opinions: list[tuple] = []
        self.refuses = refuses or {}

    def report_sighting(self, stix_id, **said):
        if stix_id in self.refuses:
            raise self.refuses[stix_id]
        self.sightings.append((stix_id, said["count"], said["first_seen"], said["last_seen"]))

    def give_opinion(self, stix_id, opinion, *, reason):
        self.opinions.append((stix_id, opinion, reason))


def test_what_is_met_is_counted_by_object_whatever_it_is(lab):
    lab.say("email", TOKEN)
    lab.say("net", "198.51.100.0/24")
    lab.say("gateway_host", "relay.example")
    lab.say("regex", "", pattern="copy that", publishers=("aster",))
    blocklist = Blocklist([lab.path], policy=Policy(), noting=True)
    for _ in range(3):
        blocklist.check("email", TOKEN)
    for address in ("198.51.100.7", "198.51.100.8", "203.0.113.1"):
        blocklist.check("net", address)
    blocklist.check("gateway_host", "RELAY.example")
    blocklist.check_prompt("please copy that")
    found = {stix_id: (one.matched, one.blocked) for stix_id, one in blocklist.taken_met().items()}
    assert [found[f"indicator--{number}"][0] for number in (1, 2, 3, 4, 5, 6)] == [3, 3, 2, 2, 1, 1]
    assert found["indicator--7"] == (1, 0), "a signature alone blocks nothing"
    assert found["indicator--1"] == (3, 3)
    assert blocklist.taken_met() == {}


def test_what_an_allowlist_keeps_is_known_as_wrong_here(lab):
    lab.say("net", "198.51.100.0/24")
    allowed = Allowed()
    allowed.add("our offices", ["198.51.100.7"])
    blocklist = Blocklist([lab.path], policy=Policy(allowed=allowed), noting=True)
    blocklist.check("net", "198.51.100.7")
    blocklist.check("net", "198.51.100.9")
    found = blocklist.taken_met()["indicator--1"]
    assert (found.matched, found.blocked, found.allowed) == (2, 1, 1)


def test_what_is_not_noted_is_not_kept(lab):
    lab.say("email", TOKEN)
    blocklist = Blocklist([lab.path], policy=Policy(without_floors=frozenset(Floor)))
    blocklist.check("email", TOKEN)
    assert blocklist.taken_met() == {}


@given(st.integers(0, 10**9))
def test_no_exact_count_leaves_the_machine(count):
    told = reporting.power_of_ten(count)
    assert (told == 0) == (count == 0)
    assert told <= count
    assert set(str(told)[1:]) <= {"0"}


def test_an_hour_is_told_again_only_when_a_power_of_ten_changed(tmp_path):
    reporting.note(tmp_path, {"a": Counts(12, 3)}, now=NOW)
    (told,) = reporting.untold(tmp_path, now=NOW)
    assert told == {"id": "a", "hour": "2026-11-28T12:00:00Z", "matched": 10, "blocked": 1}
    reporting.note_told(tmp_path, [told])
    assert reporting.untold(tmp_path, now=NOW) == []
    reporting.note(tmp_path, {"a": Counts(50, 0)}, now=NOW)
    assert reporting.untold(tmp_path, now=NOW) == []
    reporting.note(tmp_path, {"a": Counts(50, 0)}, now=NOW)
    assert [one["matched"] for one in reporting.untold(tmp_path, now=NOW)] == [100]
    assert reporting.untold(tmp_path, now=NOW + timedelta(days=3)) == []


def test_sightings_are_of_hours_that_are_over_and_sent_once(tmp_path):
    for ago in (2, 1, 0):
        reporting.note(tmp_path, {"a": Counts(40, 4)}, now=NOW - timedelta(hours=ago))
    client = Publishers()
    assert reporting.send(client, tmp_path, sightings=True, false_positives=True, now=NOW).sightings == 1
    assert client.sightings == [("a", 10, "2026-11-28T10:00:00Z", "2026-11-28T11:00:00Z")]
    assert reporting.send(client, tmp_path, sightings=True, false_positives=True, now=NOW).sightings == 0
    reporting.send(client, tmp_path, sightings=True, false_positives=False, now=NOW, all_hours=True)
    assert client.sightings[1:] == [("a", 10, "2026-11-28T12:00:00Z", "2026-11-28T12:00:00Z")]


def test_a_false_positive_is_said_once_and_nothing_is_sent_that_is_not_wanted(tmp_path):
    reporting.note(tmp_path, {"a": Counts(5, 0, 5), "b": Counts(5, 5, 0)}, now=NOW - timedelta(hours=1))
    client = Publishers()
    reporting.send(client, tmp_path, sightings=False, false_positives=False, now=NOW)
    assert (client.sightings, client.opinions) == ([], [])
    for _ in range(2):
        reporting.send(client, tmp_path, sightings=False, false_positives=True, now=NOW)
    assert client.opinions == [("a", "disagree", "false_positive")]


def test_what_has_ended_is_not_asked_for_again_and_holds_nothing_up(tmp_path):
    reporting.note(tmp_path, {"a": Counts(5), "b": Counts(5)}, now=NOW - timedelta(hours=1))
    client = Publishers({"a": ApiError(422, {"code": "has-ended"})})
    sent = reporting.send(client, tmp_path, sightings=True, false_positives=False, now=NOW)
    assert (sent.sightings, sent.refused) == (1, {"has-ended": 1})
    assert [one[0] for one in client.sightings] == ["b"]
    again = reporting.send(client, tmp_path, sightings=True, false_positives=False, now=NOW)
    assert (again.sightings, again.refused) == (0, {})
