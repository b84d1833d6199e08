"""The same product on RabbitMQ and on Redis: matches, webhooks and mail arrive, and a broker that fails loses nothing."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from exchange.client import Client
from indicators.stix import making
from tests import brokers
from tests.drills import test_story
from tests.drills.demo import Demo
from tests.drills.test_backup import Operator
from tests.waiting import DEADLINE_S, until

receiver = test_story.receiver


class Stage:
    """A demo on a broker, with a webhook of Borealis'."""

    def __init__(self, demo, hook) -> None:
        self.demo, self.hook, self.heard = demo, hook, []
        self.aster, self.borealis, self.cygnus = (Client(demo.url, demo.key(number)) for number in range(3))
        self.borealis.subscribe(hook.url)

    def push(self) -> str:
        """An indicator of Aster's; a push never waits for the broker, and is acknowledged whatever becomes of it."""
        made = making.account_pattern()
        assert self.aster.publish([made]).counts["accepted"] == 1
        return made["id"]

    def is_told(self, stix_id: str) -> bool:
        return any(stix_id.encode() in body for _, body in list(self.hook.heard))

    def says(self, *words: str) -> bool:
        """Whether /readyz says one of these of the broker; `heard` is all that it said."""
        said = httpx.get(f"{self.demo.url}/readyz", timeout=DEADLINE_S).json()["checks"]["broker"]
        self.heard.append(said)
        return said in words

    def hears(self, *words: str) -> None:
        """Wait until /readyz says one of these."""
        try:
            until(lambda: self.says(*words))
        except AssertionError as late:
            raise AssertionError(f"waited for {words}, heard {self.heard[-9:]}") from late

    def mails(self) -> str:
        """What was mailed; a demo writes each message to a file."""
        return "".join(path.read_text() for path in (self.demo.data_dir / "mail").glob("*"))

    def metric(self, name: str) -> float:
        lines = httpx.get(f"{self.demo.url}/metrics", timeout=DEADLINE_S).text.splitlines()
        return float(next(line for line in lines if line.startswith(name)).rpartition(" ")[2])


@pytest.fixture(params=[brokers.RabbitMQ, brokers.Redis], ids=lambda make: make.__name__)
def broker(request, data_dir):
    one = brokers.started(request.param, data_dir.parent / "broker")
    yield one
    one.end()


def test_matches_webhooks_and_mail_arrive_and_a_broker_that_fails_loses_nothing(broker, data_dir, receiver):
    demo = Demo(data_dir, CELERY_BROKER_URL=broker.url)
    try:
        stage = Stage(demo, receiver)
        token = making.token("cd" * 32)
        first, second = (making.account_pattern(carrier={"token": token}) for _ in range(2))
        assert stage.aster.publish([first]).ok
        assert stage.cygnus.publish([second]).ok
        until(lambda: stage.is_told(first["id"]))
        until(lambda: stage.is_told(second["id"]))
        found = until(lambda: list(stage.aster.matches()))
        assert {end["id"] for end in found[0]["objects"]} == {first["id"], second["id"]}
        stage.hears("ok")

        broker.fill()
        stage.hears("full")
        assert stage.metric("exchange_broker_up") == 0
        full = stage.push()
        broker.empty()
        until(lambda: stage.is_told(full))

        broker.signal(signal.SIGSTOP)
        stage.hears("no answer", "failed")
        with ThreadPoolExecutor(4) as pool:
            slow = list(pool.map(lambda _: stage.push(), range(4)))
        broker.signal(signal.SIGCONT)
        until(lambda: all(stage.is_told(each) for each in slow))

        broker.kill()
        stage.hears("no answer", "failed")
        killed = [stage.push() for _ in range(4)]
        operator = Operator(demo, data_dir.parent / "backups")
        operator.environment["CELERY_BROKER_URL"] = broker.url
        operator.types("invite", "nova", "--name", "Nova", "--email", "ana@nova.example")
        assert not stage.mails()
        until(lambda: "hint.lost" in (demo.data_dir / "logs" / "web.log").read_text())
        broker.start()
        stage.hears("ok")
        until(lambda: all(stage.is_told(each) for each in killed))
        until(lambda: "ana@nova.example" in stage.mails())
        assert stage.metric("exchange_broker_up") == 1
    finally:
        assert demo.stop() == 0
