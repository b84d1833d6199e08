"""The key of the log and SECRET_KEY are changed as the operator's handbook says, by restarting what runs.

What the commands do and refuse: tests/partners/test_rotating.py and test_resealing.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from exchange import embedded
from exchange.client import ApiError, Client, audit
from exchange.demo import ports
from indicators.stix import making
from tests.drills import test_story
from tests.drills.demo import Demo
from tests.drills.test_backup import Operator
from tests.drills.test_changing_keys import signs
from tests.drills.test_two_exchanges import Person, log_of
from tests.waiting import until

pytestmark = pytest.mark.long
receiver = test_story.receiver
ASTER, BOREALIS = 0, 1
LOG, NEW_LOG, NEW_SECRET = "1a" * 32, "2b" * 32, "n" * 60


class Machine:
    """A demo on one port, stopped and started anew with other settings, as `systemctl restart` does all units."""

    def __init__(self, data_dir: Path, directory: Path) -> None:
        self.data_dir, self._directory, self._port = data_dir, directory, str(ports.free())
        self.demo: Demo | None = None

    def restart(self, **settings: str) -> None:
        if self.demo is not None:
            assert self.demo.stop() == 0
            until(lambda: not self.demo.processes())
        self.demo = Demo(self.data_dir, PORT=self._port, LOG_SECONDS="1", **settings)
        self.operator = Operator(self.demo, self._directory)
        self.operator.environment |= settings

    def client(self, number: int) -> Client:
        return Client(self.demo.url, self.demo.key(number))

    def publishes(self) -> str:
        made = making.account_pattern()
        with self.client(ASTER) as aster:
            assert aster.publish([made], groups=["ring"]).refusals == []
        return made["id"]


@pytest.fixture
def machine(data_dir, tmp_path):
    data_dir.parent.chmod(0o711)
    made = Machine(data_dir, tmp_path)
    yield made
    if made.demo.process.poll() is None:
        made.demo.stop()
    embedded.stop(data_dir)


def kept_in(path: Path, head: dict) -> Path:
    """A file as `exchange audit head` writes it."""
    path.write_text(json.dumps(head))
    return path


def told_of(receiver, stix_id: str) -> list:
    """The messages that name it."""
    return [
        one for one in list(receiver.heard) if stix_id in {each["id"] for each in json.loads(one[1])["data"]["changes"]}
    ]


def test_both_are_changed_on_what_runs_and_nobody_is_signed_out_or_misses_a_message(machine, receiver, tmp_path):
    machine.restart(AUDIT_SIGNING_KEY=LOG)
    person, absent = (Person(machine.demo, BOREALIS) for _ in range(2))
    machine.publishes()
    with machine.client(BOREALIS) as borealis:
        secret = borealis.subscribe(receiver.url)["secret"]
        keys, cursor = borealis.group_keys("ring"), borealis.changes(limit=1_000)["cursor"]
        until(lambda: log_of(machine.demo))
        kept = kept_in(tmp_path / "before.json", borealis.log_head())

    place = machine.data_dir / "secret_key"
    old = place.read_text()
    place.write_text(NEW_SECRET)
    both = {"AUDIT_SIGNING_KEY": NEW_LOG, "SECRET_KEY_FALLBACKS": old}
    machine.restart(**both)
    assert "signs the log, and" in machine.operator.types("rotate", "log")
    second = machine.publishes()
    with machine.client(BOREALIS) as borealis:
        assert borealis.group_keys("ring") == keys
        changes = borealis.changes(cursor=cursor, limit=1_000)
        assert second in {one["object"]["id"] for one in changes["changes"]}
        until(lambda: told_of(receiver, second))
        said = borealis.log_head(first=str(audit.read_head(kept).size))
    now, pinned = kept_in(tmp_path / "after.json", said), [one["public_key"] for one in said["keys"]]
    assert audit.read_head(now).key != audit.read_head(kept).key
    assert audit.verify(now, kept=kept, public_keys=pinned).problems == [], (
        "what was signed before is proven to be in it"
    )
    assert "Sign out" in person.get("/"), "nobody is signed out"

    machine.operator.types("rotate", "sealing")
    machine.restart(AUDIT_SIGNING_KEY=NEW_LOG)
    third = machine.publishes()
    with machine.client(BOREALIS) as borealis:
        assert borealis.group_keys("ring") == keys
        until(lambda: told_of(receiver, third))
        with pytest.raises(ApiError) as refused:
            borealis.changes(cursor=cursor)
        assert refused.value.code == "bad-cursor"
    assert "Sign out" in person.get("/"), "who came meanwhile has a session under the new key"
    assert "Sign out" not in absent.get("/"), "one of the key that was given up is over"
    assert all(signs(secret, message) for message in receiver.heard), "the receiver's secret is the same all along"
