"""Broken on purpose, on the real processes: after each fault two agents on one key hold what the exchange says, proved.

What the exchange's side of a fault is, `tests/exchange/agent/test_proved.py` plays with a server that obeys; here web,
worker, PostgreSQL and agent are killed, disks end, sights narrow, and members judge. One demo serves all cases; each
has objects of its own, so they run in any order.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from exchange import embedded
from exchange.agent import jobs, sync
from exchange.client import Client
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable
from indicators.stix import making
from tests import forked
from tests.drills.demo import NOT_INHERITED, ROOT, Demo
from tests.drills.lossy import Lossy
from tests.waiting import until

AGENT = [sys.executable, "-c", "from exchange.agent.cli import main; main()"]
ASTER, BOREALIS, CYGNUS, DORADO, ERIDANUS = range(5)


@pytest.fixture(scope="module")
def demo(request) -> Iterator[Demo]:
    """Where processes are killed (`make long`), a demo of its own, else the one that drills share."""
    if not any(item.path == request.path and item.get_closest_marker("long") for item in request.session.items):
        yield request.getfixturevalue("shared_demo")
        return
    with tempfile.TemporaryDirectory(prefix="exchange-") as place:
        running = Demo(Path(place) / "data")
        try:
            yield running
        finally:
            running.stop()
            embedded.stop(Path(place) / "data")


class Agent:
    """An agent of Borealis that follows, in a process of its own; `number` tells apart those on one key."""

    def __init__(self, demo: Demo, folder: Path, number: int, *arguments: str) -> None:
        self.list, self.arguments = folder / f"list-{number}.txt", arguments
        self.environment = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
        self.environment |= {"EXCHANGE_URL": demo.url, "EXCHANGE_API_KEY": demo.key(BOREALIS)}
        self.process: subprocess.Popen[bytes] | None = None

    def follow(self) -> None:
        with (self.list.parent / "agent.err").open("ab") as said:
            self.process = subprocess.Popen(
                [*AGENT, "sync", "--follow", "-o", str(self.list), "--without-floor", "two-publishers", *self.arguments],
                cwd=ROOT, env=self.environment, stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip

    def command(self, *words: str, most_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
        def limited() -> None:
            if most_bytes is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

        return subprocess.run(
            [*forked.python(), *AGENT[1:], *words],
            cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False, preexec_fn=limited,
        )  # fmt: skip

    def once(self, *more: str, most_bytes: int | None = None) -> subprocess.CompletedProcess[str]:
        words = ("sync", "--once", "-o", str(self.list), "--without-floor", "two-publishers", *self.arguments, *more)
        return self.command(*words, most_bytes=most_bytes)

    def is_proved(self) -> bool:
        """As `exchange-agent verify` and `diff`: rows, set and hash are the exchange's, asked anew and whole."""
        job = jobs.known_job(self.list)
        found = self.environment["EXCHANGE_URL"], self.environment["EXCHANGE_API_KEY"]
        with Client(*found) as client, closing(jobs.open_store(job)) as store:
            try:
                equal = store.recount() == store.proof() == sync.stated(client, job, store)
                return equal and set(store.held()) == sync.fetched(client, job)
            except ExchangeClientError:  # it is away, or something is new that is not applied yet
                return False

    def refills(self) -> int:
        """How often it filled its set from the beginning."""
        with closing(jobs.open_store(jobs.known_job(self.list))) as store:
            return int(store.get("fills") or 0)

    def lines(self) -> set[str]:
        return set(self.list.read_text().split()) if self.list.exists() else set()

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()


@pytest.fixture
def agents(demo, tmp_path) -> Iterator[list[Agent]]:
    made = [Agent(demo, tmp_path, number) for number in range(2)]
    for one in made:
        one.follow()
    yield made
    for one in made:
        one.kill()


def lab(demo: Demo, number: int) -> Client:
    return Client(demo.url, demo.key(number))


def indicators(count: int) -> tuple[list[dict], list[str]]:
    values = [uuid.uuid4().hex * 2 for _ in range(count)]
    return [making.account_pattern(carrier={"token": making.token(value)}) for value in values], values


def published(client: Client, made: list[dict]) -> None:
    """Until the exchange says that it has them, however often it is away: what is sent again changes nothing."""

    def is_there() -> bool:
        try:
            result = client.publish(made, groups=["ring"])
        except (Unreachable, ApiError):
            return False
        return result.counts.get("accepted", 0) + result.counts.get("unchanged", 0) == len(made)

    until(is_there, every_s=0.2)


def dissent(client: Client, stix_id: str) -> None:
    """Until it is taken: after a kill, the first answers may be `unavailable`, and the client repeats no opinion."""

    def is_given() -> bool:
        try:
            client.give_opinion(stix_id, "strongly-disagree", reason="false_positive")
        except ApiError as error:
            if error.status != 503:
                raise
            return False
        except Unreachable:
            return False
        return True

    until(is_given, every_s=0.2)


def settled(agents: list[Agent], *, there: set[str], gone: set[str] = frozenset()) -> None:
    """Wait until each list holds these values and not those, and each set is proved."""
    for one in agents:
        until(lambda one=one: there <= one.lines() and not gone & one.lines(), every_s=0.1)
        until(one.is_proved, every_s=0.2)


def pids(demo: Demo, *words: str) -> list[int]:
    """Processes of the demo whose command has all of these words."""
    found = []
    for directory in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            if directory.name.isdigit():
                command = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                environment = (directory / "environ").read_bytes().decode(errors="replace")
                ours = str(demo.data_dir) in command or f"DATA_DIR={demo.data_dir}\0" in environment
                if ours and all(word in command for word in words):
                    found.append(int(directory.name))
    return found


VICTIMS = {"web": ("exchange.web",), "worker": ("celery", "worker"), "postgres": ("postgres", "-D"), "agent": ()}


STEPS = ("commit", "hint", "apply", "receipt")


@pytest.mark.long
@pytest.mark.parametrize("victim", VICTIMS)
def test_whoever_is_killed_at_any_step_from_a_push_to_its_receipt_nothing_is_lost(demo, agents, victim):
    client = lab(demo, ASTER)
    batches = [indicators(60) for _ in STEPS]
    for step, (made, values) in zip(STEPS, batches, strict=True):
        with ThreadPoolExecutor(1) as pool:
            pushing = pool.submit(published, client, made)
            if step != "commit":
                pushing.result()
            if step == "apply":
                until(lambda some=values: agents[1].lines() & set(some), every_s=0.01)
            if step == "receipt":
                until(lambda some=values: set(some) <= agents[1].lines(), every_s=0.01)
            kill(demo, agents, victim)
        settled(agents, there=set(values))
    values = {value for _, some in batches for value in some}
    settled(agents, there=values)
    ended = [one["id"] for one in batches[0][0]]
    until(lambda: is_revoked(client, ended))
    kill(demo, agents, victim)
    settled(agents, there=values - set(batches[0][1]), gone=set(batches[0][1]))


def kill(demo: Demo, agents: list[Agent], victim: str) -> None:
    """As if the machine had failed: SIGKILL, and what watches over it starts it again."""
    if victim == "agent":
        agents[0].kill()
        agents[0].follow()
        return
    for pid in pids(demo, *VICTIMS[victim]):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def is_revoked(client: Client, ids: list[str]) -> bool:
    try:
        return client.revoke(ids).ok
    except ExchangeClientError:
        return False


@pytest.mark.long
def test_a_publisher_that_publishes_and_recalls_thousands_leaves_nothing_behind(demo, agents):
    client = lab(demo, DORADO)
    made, values = indicators(1_000)
    published(client, made)
    settled(agents, there=set(values))
    recall = client.prepare_recall(ids=[one["id"] for one in made])
    assert recall["objects"] == len(made)
    client.decide_recall(recall["id"], "carry-out")
    settled(agents, there=set(), gone=set(values))
    client.decide_recall(recall["id"], "undo")
    settled(agents, there=set(values))
    client.withdraw([one["id"] for one in made])
    settled(agents, there=set(), gone=set(values))


@pytest.mark.long
def test_ten_thousand_that_are_published_and_revoked_while_agents_follow_leave_nothing_behind(demo, agents):
    client = lab(demo, CYGNUS)
    made, values = indicators(10_000)
    before: list[str] = []
    for start in range(0, len(made), 1_000):
        some = made[start : start + 1_000]
        published(client, some)
        if before:
            until(lambda ids=before: is_revoked(client, ids))
        before = [one["id"] for one in some]
    settled(agents, there=set(values[-1_000:]), gone=set(values[:-1_000]))
    until(lambda: is_revoked(client, before))
    settled(agents, there=set(), gone=set(values))


def test_a_viewer_that_is_narrowed_in_the_midst_drops_what_it_lost(demo, agents):
    client = lab(demo, ASTER)
    made, values = indicators(9)
    published(client, made)
    settled(agents, there=set(values))
    for one in made[::2]:
        client.readdress(one["id"], partners=["cygnus"])
    lost = set(values[::2])
    settled(agents, there=set(values) - lost, gone=lost)


def test_of_renewals_only_what_was_renewed_travels(demo, agents):
    client, me = lab(demo, ASTER), lab(demo, BOREALIS)
    made, values = indicators(200)
    published(client, made)
    settled(agents, there=set(values))
    cursor, _ = followed(me, "")
    fills = [one.refills() for one in agents]
    later = datetime.now(UTC) + timedelta(minutes=1)
    renewed = [
        one
        | {
            "modified": f"{later:%Y-%m-%dT%H:%M:%S}.000Z",
            "valid_until": f"{later + timedelta(days=20):%Y-%m-%d}T00:00:00Z",
        }
        for one in made[::20]
    ]
    published(client, renewed)
    ids = {one["id"] for one in renewed}
    travelled: set[str] = set()

    def all_travelled() -> bool:
        nonlocal cursor
        cursor, some = followed(me, cursor)
        travelled.update(some)
        return travelled >= ids

    until(all_travelled, every_s=0.2)
    assert travelled == ids
    settled(agents, there=set(values))
    assert [one.refills() for one in agents] == fills


def followed(client: Client, cursor: str) -> tuple[str, set[str]]:
    """The end of the delta after a cursor, and the ids that it told on the way."""
    told: set[str] = set()
    while True:
        page = client.delta(cursor)
        told |= {str(row["id"]) for row in page.rows}
        cursor = page.trailer.next_cursor
        if not page.trailer.more:
            return cursor, told


def test_another_feed_on_the_same_list_takes_its_place_whole(demo, tmp_path):
    client, me = lab(demo, ASTER), lab(demo, BOREALIS)
    made, values = indicators(4)
    sure = [one | {"confidence": 95} for one in made[:2]]
    published(client, [*sure, *made[2:]])
    every = Agent(demo, tmp_path, 1)
    assert every.once().returncode == 0
    assert set(values) <= every.lines()
    feed = me.save_feed(f"sure {uuid.uuid4()}", "confidence:>=95")["id"]
    narrower = Agent(demo, tmp_path, 1, "--feed", feed, "--allow-shrink")
    assert narrower.once().returncode == 0
    assert set(values) & narrower.lines() == set(values[:2])
    assert narrower.is_proved()


def test_a_feed_whose_filter_is_changed_lets_go_and_takes_in_while_agents_follow_it(demo, tmp_path):
    client, me = lab(demo, ASTER), lab(demo, BOREALIS)
    made, values = indicators(12)
    graded = [one | {"confidence": 40 + 5 * place} for place, one in enumerate(made)]
    published(client, graded)
    feed = me.save_feed(f"changing {uuid.uuid4()}", "confidence:>=70")["id"]
    following = [Agent(demo, tmp_path, number, "--feed", feed) for number in range(2)]
    try:
        for one in following:
            one.follow()
        settled(following, there=set(values[6:]), gone=set(values[:6]))
        me.change_feed(feed, filters="confidence:>=90")
        settled(following, there=set(values[10:]), gone=set(values[:10]))
        me.change_feed(feed, filters="confidence:>=50 confidence:<=80")
        client.revoke([made[4]["id"]])
        kept = {value for place, value in enumerate(values) if 2 <= place <= 8 and place != 4}
        settled(following, there=kept, gone=set(values) - kept)
        assert sum(one.refills() for one in following) == 2, "nobody read the feed anew"
    finally:
        for one in following:
            one.kill()


@pytest.mark.long
def test_a_refuted_publisher_and_a_member_that_disputes_all_of_a_rivals(demo, agents):
    client = lab(demo, ERIDANUS)
    made, values = indicators(30)
    published(client, made)
    settled(agents, there=set(values))
    rival, second = lab(demo, CYGNUS), lab(demo, DORADO)
    for one in made:
        dissent(rival, one["id"])
    # Twenty a day count by themselves; the others stay until somebody else dissents, too.
    for one in agents:
        until(lambda one=one: len(set(values) & one.lines()) == 10, every_s=0.2)
        until(one.is_proved, every_s=0.2)
    for one in made:
        dissent(second, one["id"])
    settled(agents, there=set(), gone=set(values))


def test_a_full_disk_keeps_the_last_good_list_and_is_made_up_for(demo, tmp_path):
    client = lab(demo, ASTER)
    agent = Agent(demo, tmp_path, 1)
    assert agent.once().returncode == 0
    before = agent.lines()
    made, values = indicators(400)
    published(client, made)
    (store,) = agent.list.parent.glob(f".{agent.list.name}.state/*.sqlite")
    done = agent.once(most_bytes=store.stat().st_size + 8_192)
    assert done.returncode == 3, done.stderr
    assert agent.lines() == before
    assert agent.once().returncode == 0
    assert set(values) <= agent.lines()
    assert agent.is_proved()


@pytest.mark.long
def test_one_packet_in_fifty_lost_delays_and_loses_nothing(demo, tmp_path):
    network = Lossy(demo.url)
    agents = [Agent(demo, tmp_path, number) for number in range(2)]
    try:
        for one in agents:
            one.environment["EXCHANGE_URL"] = network.url
            one.follow()
        made, values = indicators(600)
        with Client(network.url, demo.key(ASTER)) as client:
            for start in range(0, 600, 50):
                published(client, made[start : start + 50])
        ended = [one["id"] for one in made[::3]]
        lab(demo, ASTER).revoke(ended)
        settled(agents, there=set(values) - set(values[::3]), gone=set(values[::3]))
        assert network.lost >= 5
    finally:
        for one in agents:
            one.kill()
        network.close()


def test_a_poisoned_row_is_held_by_the_set_and_stands_in_no_list(demo, agents):
    client = lab(demo, ASTER)
    (good,), (value,) = indicators(1)
    bad = f"evil-{uuid.uuid4().hex[:12]}.example"
    poisoned = {
        "type": "indicator",
        "spec_version": "2.1",
        "id": f"indicator--{uuid.uuid4()}",
        "created": "2026-01-01T00:00:00.000Z",
        "modified": "2026-01-01T00:00:00.000Z",
        "valid_from": "2026-01-01T00:00:00Z",
        "pattern_type": "stix",
        "pattern": f"[domain-name:value = '{bad}\\nother-{bad}']",
        "x_note": "\u202e\u0007\U0001f600" * 500,
    }
    result = client.publish([poisoned, good], groups=["ring"])
    assert result.counts.get("accepted", 0) >= 1
    settled(agents, there={value})
    assert not any(bad in line for one in agents for line in one.lines())


def test_two_labs_raise_a_false_positive_and_it_leaves_a_thirds_list_and_its_publisher_knows(demo, agents):
    client = lab(demo, ASTER)
    (made,), (value,) = indicators(1)
    published(client, [made])
    settled(agents, there={value})
    cursor = client.changes()["cursor"]
    for number in (CYGNUS, DORADO):
        dissent(lab(demo, number), made["id"])
    for one in agents:
        until(lambda one=one: value not in one.lines())
    until(lambda: {one["type"] for one in client.changes(cursor)["changes"]} >= {"opinion"})
    (judged,) = client.opinions(made["id"])
    assert judged["standing"] == "refuted"
    assert {one["reason"] for one in judged["opinions"]} == {"false_positive"}
    settled(agents, there=set(), gone={value})
