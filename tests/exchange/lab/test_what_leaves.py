"""Three labs with few accounts play two rounds over the exchange's own REST API: what leaves each, and what each is told.

`test_rounds` asks the same of a large story and all rounds, before a release.
"""

from __future__ import annotations

import gzip
import json

import httpx
import polars as pl
import pytest

from exchange import clock
from exchange.client.api import Client
from exchange.lab import reading, rounds
from exchange.lab.rest import Rest
from exchange.lab.rounds import Settings
from exchange.lab.scoring import Constants
from exchange.lab.state import State
from exchange.simulate.accounts import files
from exchange.simulate.accounts.story import tell
from exchange.simulate.accounts.told import Format, Payment, Told
from exchange.tokens import epochs, prevalence
from exchange.tokens.forms import Scheme
from exchange.tokens.prevalence import Sums
from tests.exchange.lab import leaving
from tests.exchange.lab.labs import TestMaker
from tests.indicators.campaigns.sending import Pooling

LABS = ("aster", "borealis", "cygnus")
SMALL = Told(accounts=300, fraudulent=100, seed=2, blind=("cygnus",), payment=Payment.PER_LAB, operators=1)


class Maker(TestMaker):
    """Under the keys that the group's labs hold."""

    def __init__(self, group_epoch):
        super().__init__([epochs.quarter_of(clock.now())])
        self._of_group = group_epoch

    def epochs(self, scheme):
        return self._epochs if scheme is Scheme.OBLIVIOUS else (self._of_group,)


class Lab:
    """A lab with its own files and state, every byte that it sent, and every one that it was told."""

    def __init__(self, place, caller, maker):
        wanted = reading.read_map(place / "map.toml")
        self.name, self.frame = place.name, pl.read_parquet(place / "accounts.parquet")
        self.state = State(place / "lab.db")
        self.state.begin(maker.both(), payment=wanted.payment, scope=wanted.scope)
        for frame in reading.portions(wanted, rows=400):
            self.state.add(frame, maker=maker, skip=[*wanted.skip, "skeleton"])
        self.caller, self.sent, self.told = caller, [], []
        client = Client("http://127.0.0.1:1", caller.key)
        client._http = httpx.Client(base_url="http://127.0.0.1:1", transport=httpx.MockTransport(self._passed_on))
        self.way = Rest(client, "pool")

    def _passed_on(self, request):
        coded = request.headers.get("content-encoding") == "gzip"
        body = gzip.decompress(request.content) if coded else request.content
        self.sent.append((request.method, str(request.url), body))
        media = request.headers.get("content-type", "")
        answer = self.caller.ask(request.method, request.url.raw_path.decode(), body, media=media)
        self.told.append((request.url.path, answer.content))
        return httpx.Response(answer.status_code, content=answer.content)

    def play(self):
        return rounds.play(self.state, self.way, constants=Constants(), settings=Settings(), now=clock.now())

    def all_sent(self):
        return b"\n".join(url.encode() + b"\n" + body for _, url, body in self.sent)

    def all_told(self):
        return b"\n".join(body for _, body in self.told)

    def own_tokens(self):
        return {token.value for number in range(len(self.state.tokens)) for token in self.state.token(number)}

    def evidence(self):
        """Values of tokens and pseudonyms that were sent of accounts."""
        found = [leaving.tokens_of(method, body) for method, url, body in self.sent if "/evidence?" in url]
        return {one["value"] for tokens, _ in found for one in tokens}, {one for _, names in found for one in names}


@pytest.fixture
def labs(db, tmp_path):
    files.write(tell(SMALL), tmp_path, form=Format.PARQUET)
    pool = Pooling(len(LABS), interval_s=0)
    made = {name: Lab(tmp_path / name, pool.labs[name], Maker(pool.epoch)) for name in LABS}
    for _ in range(2):
        for lab in made.values():
            lab.play()
    yield made
    for lab in made.values():
        lab.state.close()


@pytest.mark.slow  # before each change, whatever it costs: no raw value leaves a lab
def test_only_tokens_pseudonyms_and_powers_of_two_leave_a_lab_and_no_lab_learns_what_another_holds(labs):
    evidence = {name: lab.evidence() for name, lab in labs.items()}
    asked_about = set().union(*(tokens for tokens, _ in evidence.values()))
    assert min(len(accounts) for _, accounts in evidence.values()) > 4
    for name, lab in labs.items():
        assert leaving.raw_values(lab.all_sent(), lab.frame) == {}, name
        answered = {
            one["value"]
            for method, url, body in lab.sent
            for one in leaving.tokens_of(method, body)[0]
            if "/prevalence" in url
        }
        assert answered <= asked_about, "a lab says of a token that nobody asked about that it is held there"
        others = [one for one in labs.values() if one is not lab]
        for other in others:
            nothing_of(other, evidence, asked_about, told=lab.all_told())
        assert only_sums_are_told(lab, others) > 5


def nothing_of(other, evidence, asked_about, *, told):
    """Whoever was told this learned no account of another lab, by name or pseudonym, and no token that it kept to itself."""
    assert leaving.raw_values(told, other.frame) == {}
    assert other.name.encode() not in told
    assert not [one for one in evidence[other.name][1] if one.encode() in told]
    kept = other.own_tokens() - asked_about
    assert kept
    assert not [one for one in kept if one.encode() in told]


def only_sums_are_told(lab, others):
    """Rounded to powers of two, and of a token that both other labs say they hold."""
    held_by_each = [
        {
            one["token"]["value"]
            for _, url, body in other.sent
            if "/prevalence" in url
            for one in lines(body)
            if one["holders"]
        }
        for other in others
    ]
    sums = [one for path, body in lab.told if path.endswith("/sums") for one in json.loads(body)["sums"]]
    for one in sums:
        assert set(one) == {"token", *Sums._fields}
        assert all(prevalence.is_bucket(one[name]) for name in Sums._fields), one
        assert all(one["token"]["value"] in held for held in held_by_each)
    return len(sums)


def lines(body):
    return [json.loads(line) for line in body.splitlines()]
