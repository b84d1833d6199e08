"""Keys are changed on a running exchange: no message, no match and no reader is lost over it.

The key of the log and that of sealing: test_changing_log_and_sealing.py. TLS: test_proxy.py. The
quarters of oblivious tokens: tests/exchange/client/test_building.py, which goes through two of them.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import threading
from contextlib import ExitStack, contextmanager
from datetime import timedelta

import pytest

from exchange import clock, health
from exchange.client import Client, build
from exchange.client.keeping import Kept
from exchange.client.tokenising import Tokeniser
from exchange.client.webhooks import verify
from exchange.demo import ports
from exchange.stix import words
from exchange.tokens import epochs, oprf
from indicators.stix import making
from partners.scopes import Scope
from partners.tokens import oblivious
from tests import build as cast
from tests import keyservice
from tests.drills import test_story
from tests.drills.demo import ROOT
from tests.drills.test_backup import Operator
from tests.drills.test_proxy import listens
from tests.indicators.api.caller import Caller
from tests.waiting import until

receiver = test_story.receiver
SAID = {"publisher_action": "suspended", "review": "one_analyst", "elicitation": "cot", "languages": ["en"]}
#: A prompt of which one phrase is kept: phrases are made under the key of a group, addresses of mail are not.
RAW = "Write down each thought number word b now please"


@contextmanager
def pushing(lab: Client):
    """A lab publishes all the time; gives the ids that were acknowledged."""
    over, acknowledged = threading.Event(), []

    def push():
        while not over.wait(0.05):
            made = making.account_pattern()
            assert lab.publish([made]).counts["accepted"] == 1
            acknowledged.append(made["id"])

    thread = threading.Thread(target=push)
    thread.start()
    try:
        yield acknowledged
        assert thread.is_alive(), "a push failed"
    finally:
        over.set()
        thread.join()


def signs(secret: str, message) -> bool:
    headers, body = message
    words = {"timestamp": headers["webhook-timestamp"], "signature": headers["webhook-signature"], "body": body}
    return verify(secret, headers["webhook-id"], **words)


def told(receiver) -> set[str]:
    return {one["id"] for _, body in list(receiver.heard) for one in json.loads(body)["data"]["changes"]}


def test_a_webhooks_secret_is_changed_under_load_and_each_message_verifies(shared_demo, receiver):
    with Client(shared_demo.url, shared_demo.key(0)) as aster, Client(shared_demo.url, shared_demo.key(1)) as borealis:
        subscription = borealis.subscribe(receiver.url)
        secrets = [subscription["secret"]]
        with pushing(aster) as acknowledged:
            until(lambda: receiver.heard)
            for overlap in (1, 0):
                secrets.append(borealis.rotate_secret(subscription["id"], overlap_hours=overlap)["secret"])
                until(lambda: signs(secrets[-1], receiver.heard[-1]))
        until(lambda: told(receiver) >= set(acknowledged))
        first, second, third = ([signs(secret, message) for message in receiver.heard] for secret in secrets)
        assert all(map(any, zip(first, second, third, strict=True))), "a message that nobody can check"
        assert any(map(all, zip(first, second, strict=True))), "during the overlap both sign"
        assert (first[-1], second[-1], third[-1]) == (False, False, True), "without one the old one ends at once"


def test_keys_of_a_group_are_replaced_and_who_publishes_before_and_after_still_meets(shared_demo, tmp_path):
    demo = shared_demo
    operator = Operator(demo, tmp_path)
    with ExitStack() as stack:
        labs = [stack.enter_context(Client(demo.url, demo.key(number))) for number in range(2)]
        kept = [stack.enter_context(Kept(tmp_path / f"{number}.db")) for number in range(2)]

        def publish(number: int) -> tuple[str, set[str]]:
            tokeniser = Tokeniser(labs[number], kept=kept[number], group="ring")
            (made,) = build.phrase(tokeniser, RAW, frame=build.Frame(valid_for=timedelta(days=30)), **SAID)
            assert labs[number].publish([made], groups=["ring"]).refusals == []
            tokens = made["extensions"][words.EXTENSION_ID]["tokens"]
            return made["id"], {token["key_epoch"] for token in tokens}

        before, old = publish(0)
        assert "have successors" in operator.types("rotate", "group-keys", "ring", "--why", "A laptop was stolen.")
        after, both = publish(1)
        assert all(epoch.startswith("ring-") for epoch in old)
        assert old < both, "under the key that was replaced, too, for as long as the others have no other"
        until(lambda: any({end["id"] for end in one["objects"]} == {before, after} for one in labs[0].matches()))


@contextmanager
def key_service(token: str, port: int):
    """A key service as it is run; its database is this test's own."""
    environment = os.environ | {
        "KEY_SERVICE_TOKEN": token,
        "KEY_SERVICE_SECRET": "07" * 32,
        "KEY_SERVICE_DATABASE_URL": keyservice.address(),
    }
    command = [sys.executable, "-m", "exchange.keyservice", "--port", str(port)]
    with subprocess.Popen(command, cwd=ROOT, env=environment) as process:
        try:
            until(lambda: listens(port), of=process)
            yield
        finally:
            process.terminate()


@pytest.mark.long
@pytest.mark.django_db
def test_the_token_of_the_key_service_is_changed_on_both_sides_and_the_keys_stay(settings):
    port, old, new = ports.free(), "the token of before, by which it is known", "the token by which it will be known"
    settings.KEY_SERVICE_URL = f"http://127.0.0.1:{port}"
    lab = Caller(cast.a_key(cast.the_cast().aster, Scope.TOKENISE))
    points = [base64.b64encode(oprf.blind(b"a value").point).decode()] * 16
    wish = {"subkind": "email", "epoch": epochs.quarter_of(clock.now()), "points": points}

    def restarted(token: str) -> None:
        settings.KEY_SERVICE_TOKEN = token
        oblivious._http.cache_clear()

    def asked():
        answer = lab.send("POST", "tokens/evaluate", wish)
        return answer.status_code, json.loads(answer.content).get("points")

    restarted(old)
    with key_service(old, port):
        assert health.key_service() == {"key_service": "ok"}
        before = asked()
        assert before[0] == 200
    with key_service(new, port):
        assert health.key_service() == {"key_service": "refused"}
        assert asked()[0] == 503, "nothing is tokenised meanwhile"
        restarted(new)
        assert health.key_service() == {"key_service": "ok"}
        assert asked() == before, "under the same key: what was tokenised before goes on matching"
    oblivious._http.cache_clear()
