"""After a restore: who stands at a place of an earlier life is told to start over. And: from when entries are in force."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from django.core.management import call_command

from exchange import clock, incarnation, paging
from exchange.agent import jobs, sync
from exchange.client.errors import ApiError
from exchange.lists import pages
from indicators.log import changes
from tests import build
from tests.indicators.api.caller import code, read

pytestmark = pytest.mark.django_db


class Direct:
    """What the agent asks of a client, asked without a network."""

    def __init__(self, caller):
        self._caller = caller

    def changes(self, cursor="", *, limit, wait_s=0, feed="", kind=""):
        answer = self._caller.get(f"changes?limit={limit}" + (f"&cursor={cursor}" if cursor else ""))
        if answer.status_code != 200:
            raise ApiError(answer.status_code, read(answer, answer.status_code))
        return read(answer)

    def delta(self, cursor="", *, feed="all", limit=1_000, wait_s=0, on_headers=None):
        answer = self._caller.get(
            f"feeds/{feed or 'all'}/delta?limit={limit}" + (f"&cursor={cursor}" if cursor else "")
        )
        if answer.status_code != 200:
            raise ApiError(answer.status_code, read(answer, answer.status_code))
        return pages.read([answer.getvalue()])

    def snapshot(self, feed="all", *, on_row, on_bytes):
        """None is made here: the agent begins with the delta."""


def blocklist(caller):
    return b"".join(caller.get("blocklists/all").streaming_content).decode()


@pytest.fixture
def job(tmp_path):
    return jobs.Job(path=tmp_path / "list.txt", state_dir=tmp_path / "state", page=2)


def classical(value, **more):
    moment = clock.rfc3339(clock.now())
    return {
        "type": "indicator",
        "spec_version": "2.1",
        "id": build.an_indicator()["id"],
        "created": moment,
        "modified": moment,
        "name": "x",
        "pattern": f"[domain-name:value = '{value}']",
        "pattern_type": "stix",
        "indicator_types": ["malicious-activity"],
        "valid_from": moment,
    } | more


def test_after_prepare_restored_every_cursor_of_before_is_answered_with_start_over(aster, borealis):
    aster.push(build.an_indicator())
    before = read(borealis.get("changes"))["cursor"]
    assert read(borealis.get(f"changes?cursor={before}"))["changes"] == []
    incarnation.begin()
    assert code(borealis.get(f"changes?cursor={before}"), 410) == "start-over"
    assert code(borealis.get(f"events?cursor={before}"), 410) == "start-over"
    again = read(borealis.get("changes"))
    assert len(again["changes"]) == 1
    assert read(borealis.get(f"changes?cursor={again['cursor']}"))["changes"] == []


def test_prepare_restored_begins_a_new_incarnation_and_prepare_alone_does_not():
    call_command("prepare", stdout=io.StringIO())
    assert incarnation.current() == ""
    call_command("prepare", restored=True, stdout=io.StringIO())
    incarnation.forget()
    first = incarnation.current()
    call_command("prepare", restored=True, stdout=io.StringIO())
    incarnation.forget()
    assert "" != first != incarnation.current()


def test_a_place_behind_the_end_of_the_log_is_answered_with_start_over_though_nobody_said_so(aster, borealis):
    aster.push(build.an_indicator())
    for place in ([changes.head() + 1, 0], [0, changes.head() + 1]):
        cursor = paging.seal(place, viewer=borealis.viewer.partner_id, scope="changes;")
        assert code(borealis.get(f"changes?cursor={cursor}"), 410) == "start-over"


def test_the_length_of_a_cursor_does_not_tell_how_long_the_log_is(aster):
    lengths = {
        len(paging.seal([place, place], viewer=aster.viewer.partner_id, scope="changes;"))
        for place in (0, 9, 12_345, 9_999_999_999)
    }
    assert len(lengths) == 1


def test_a_process_that_knew_the_old_one_takes_no_cursor_of_it_at_its_next_look(aster, borealis, monkeypatch):
    """The restore came from elsewhere: this process only sees it in the query that reads the log."""
    aster.push(build.an_indicator())
    before = read(borealis.get("changes"))["cursor"]
    incarnation.begin()
    assert incarnation.current() == ""  # not noticed yet
    assert code(borealis.get(f"changes?cursor={before}"), 410) == "start-over"
    assert incarnation.current() != ""


def test_the_agent_starts_over_and_holds_what_the_exchange_holds(aster, borealis, job):
    aster.push(*[build.an_indicator() for _ in range(5)])
    sync.run_once(Direct(borealis), job)
    assert job.path.read_text() == blocklist(borealis) != ""
    incarnation.begin()
    aster.push(build.an_indicator())
    done = sync.run_once(Direct(borealis), job)
    assert (done.started_over, done.braked) == (True, ())
    assert job.path.read_text() == blocklist(borealis)


def test_an_entry_is_in_force_from_valid_from_to_valid_until_on_every_surface(aster, borealis, job):
    moment = datetime.now(tz=UTC)
    begins, ends = moment + timedelta(days=5), moment + timedelta(days=9)
    stix = classical(
        "not-yet.example.net",
        valid_from=begins.isoformat().replace("+00:00", "Z"),
        valid_until=ends.isoformat().replace("+00:00", "Z"),
    )
    assert [one["status"] for one in read(aster.push(stix), 200)["results"]] == ["accepted"]
    (change,) = read(borealis.get("changes"))["changes"]
    assert datetime.fromisoformat(change["valid_from"]) == begins
    sync.run_once(Direct(borealis), job)
    for day, held in ((0, ""), (4, ""), (6, "not-yet.example.net\n"), (10, "")):
        store = jobs.open_store(job)
        with time_machine.travel(moment + timedelta(days=day), tick=True):
            sync.put(job, store)
        store.close()
        assert job.path.read_text() == held


def test_a_blocklist_has_an_entry_only_once_it_began(aster, borealis):
    later = (datetime.now(tz=UTC) + timedelta(days=5)).isoformat().replace("+00:00", "Z")
    aster.push(classical("not-yet.example.net", valid_from=later), classical("now.example.net"))
    assert blocklist(borealis) == "now.example.net\n"
