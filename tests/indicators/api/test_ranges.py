"""Look-up by prefix over the API: what a reader finds, for how long a range stands, and that nothing lost is served."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine

from exchange import clock
from exchange.agent import acts
from exchange.agent.ranges import Ranges
from exchange.client.api import Client
from exchange.client.config import Config
from exchange.client.errors import ApiError, Unusable
from exchange.client.keeping import Kept
from exchange.tokens import epochs, forms
from indicators.feeds import blocklists, proving, ranging, snapshots
from indicators.models import FeedSet, RangeFile
from indicators.sight import resighting
from indicators.stix import making
from partners import keys
from partners.scopes import KEY_SCOPES
from tests import build
from tests.indicators.api.caller import Caller, code, read
from tests.indicators.api.test_delta import revoked, withdraw
from tests.indicators.log.test_joining import leave

pytestmark = pytest.mark.django_db
PATH = "feeds/all/ranges"


@pytest.fixture(autouse=True)
def kept(settings, tmp_path):
    settings.SNAPSHOT_DIR = tmp_path / "snapshots"
    return settings.SNAPSHOT_DIR


class Asking(Client):
    """The real client, over Django's test client; it counts what it asks for."""

    def __init__(self, caller):
        super().__init__("http://testserver", caller.key, retries=0)
        self.caller, self.asked = caller, []

    def _call(self, method, path, *, params=None, body=b"", headers=None, retried=True):
        self.asked.append(path)
        sent = {name.replace("-", "_"): each for name, each in (headers or {}).items()}
        answer = self.caller.ask(method, path, body, **sent)
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, answer.json())
        return answer


def a_net(value="198.51.100.0/24"):
    return making.account_pattern("net", carrier={"value": value})


def work():
    for pk in FeedSet.unrestricted.values_list("pk", flat=True):
        ranging.make(pk)


def made(caller):
    """The head, once the worker has made the ranges."""
    assert caller.get(PATH).status_code == 202
    work()
    return read(caller.get(PATH))


def test_a_reader_finds_what_it_may_see_and_sends_nothing(aster, borealis, cygnus):
    domain = making.account_pattern("email_domain", carrier={"value": "pool.example"})
    aster.push(a_net(), domain, query="?groups=ring")
    head = made(borealis)
    assert (head["bits"], head["net_lengths"]) == (0, {"4": [24], "6": []})
    client = Asking(borealis)
    ranges = Ranges(client)
    assert ranges.check("net", "198.51.100.77")
    assert ranges.check("net", "::ffff:198.51.100.77")
    assert not ranges.check("net", "198.51.101.77")
    assert ranges.check("email_domain", "POOL.example.")
    assert not ranges.check("email_domain", "other.example")
    assert client.asked == [f"/api/v1/{PATH}", f"/api/v1/{PATH}/{head['name']}/0"]  # once, for all of them
    made(cygnus)
    assert not Ranges(Asking(cygnus)).check("net", "198.51.100.77")


@pytest.mark.parametrize(
    ("subkind", "value"),
    [("email", "anna@mail.example"), ("phrase", "five words of one prompt"), ("nosuch", "x"), ("net", "pool.example")],
)
def test_what_is_listed_under_no_such_form_is_an_error_and_never_not_listed(aster, borealis, subkind, value):
    aster.push(a_net(), query="?groups=ring")
    made(borealis)
    with pytest.raises(ValueError, match="not "):
        Ranges(Asking(borealis)).check(subkind, value)


def test_the_command_makes_tokens_of_raw_values_and_looks_these_up(aster, borealis, monkeypatch, tmp_path):
    """All its tokens are kept here already, so the key service is not asked."""
    monkeypatch.setenv("EXCHANGE_STATE_DIR", str(tmp_path))
    token = making.token("ab" * 32)
    aster.push(making.account_pattern(carrier={"token": token}), query="?groups=ring")
    made(borealis)
    with Kept() as kept_here:
        for name, value in (("anna", b"\xab" * 32), ("bert", b"\xcd" * 32)):
            forms_of = {forms.input_bytes("email", one): value for one in forms.of("email", f"{name}@mail.example")}
            for quarter in epochs.looked_up_under(clock.now()):
                kept_here.keep_tokens(quarter, forms_of, ends=clock.now() + timedelta(days=9))
    monkeypatch.setattr(acts, "Client", lambda *_: Asking(borealis))
    values = ["Anna@mail.example", "bert@mail.example", "AB" * 32]
    told = acts.which_listed("email", values, Config("http://testserver", "exk_x"), feed="all", group="")
    assert told == dict(zip(values, (True, False, True), strict=True))
    with pytest.raises(Unusable, match="no email"):
        acts.which_listed("email", ["nobody"], Config("http://testserver", "exk_x"), feed="all", group="")
    with pytest.raises(Unusable, match="not a subkind"):
        acts.which_listed("emial", ["nobody"], Config("http://testserver", "exk_x"), feed="all", group="")


def test_a_range_of_a_name_never_changes_and_may_be_kept_for_ever(aster, borealis):
    aster.push(a_net())
    head = made(borealis)
    path = f"{PATH}/{head['name']}/0"
    answer = borealis.get(path)
    assert len(answer.content) == head["slots"] * head["record_bytes"]
    assert "immutable" in answer.headers["Cache-Control"]
    assert borealis.get(path).content == answer.content
    assert borealis.get(path, If_None_Match=answer.headers["ETag"]).status_code == 304
    assert borealis.get(PATH, If_None_Match=f'"{head["name"]}"').status_code == 304
    assert code(borealis.get(f"{PATH}/{head['name']}/1"), 404) == "not-found"
    assert code(borealis.get(f"{PATH}/{'0' * 32}/0"), 410) == "start-over"


@pytest.mark.slow
def test_anothers_ranges_are_as_gone_as_none(aster, borealis):
    aster.push(a_net())
    mine = made(borealis)["name"]
    made(aster)
    assert code(aster.get(f"{PATH}/{mine}/0"), 410) == code(aster.get(f"{PATH}/{'0' * 32}/0"), 410)


@pytest.mark.slow
def test_what_was_lost_takes_the_ranges_away_at_once(aster, borealis):
    one = a_net()
    aster.push(one, a_net("192.0.2.0/24"))
    head = made(borealis)
    ranges = Ranges(Asking(borealis))
    assert ranges.check("net", "198.51.100.1")
    withdraw(aster, one)
    assert code(borealis.get(f"{PATH}/{head['name']}/0"), 410) == "start-over"
    assert borealis.get(PATH).status_code == 202
    work()
    ranges._until = 0
    assert not ranges.check("net", "198.51.100.1")
    assert ranges.check("net", "192.0.2.9")


def test_ranges_are_gone_while_their_reader_is_still_to_be_told_what_it_lost(cast, aster, borealis, monkeypatch):
    monkeypatch.setattr(resighting, "PORTION", 1)
    aster.push(a_net(), a_net("192.0.2.0/24"), query="?groups=ring")
    head = made(borealis)
    leave([cast.borealis], "ring")
    assert code(borealis.get(f"{PATH}/{head['name']}/0"), 410) == "start-over"
    assert borealis.get(PATH).status_code == 202


def test_what_came_or_was_revoked_is_in_the_next_ones(aster, borealis):
    one = a_net()
    aster.push(one)
    before = made(borealis)
    ranges = Ranges(Asking(borealis))
    assert ranges.check("net", "198.51.100.1")
    aster.push(revoked(one), a_net("192.0.2.0/24"))
    assert read(borealis.get(PATH))["name"] == before["name"]  # they are fresh for so long
    with time_machine.travel(clock.now() + timedelta(seconds=before["fresh_s"] + 1), tick=False):
        read(borealis.get(PATH))
        work()
        assert read(borealis.get(PATH))["name"] != before["name"]
        ranges._until = 0
        assert (ranges.check("net", "198.51.100.1"), ranges.check("net", "192.0.2.1")) == (False, True)


def test_ranges_replaced_between_two_look_ups_are_asked_for_anew(aster, borealis, monkeypatch):
    monkeypatch.setattr("exchange.lists.ranges._ENTRIES", 1)
    aster.push(*(a_net(f"192.0.{number}.0/24") for number in range(2, 10)))
    made(borealis)
    ranges = Ranges(Asking(borealis))
    assert ranges.check("net", "192.0.2.1")
    RangeFile.unrestricted.update(place=0, made_at=clock.now())
    work()
    assert all(ranges.check("net", f"192.0.{number}.1") for number in range(2, 10))


def test_files_that_nobody_asks_for_go(aster, borealis, kept):
    aster.push(a_net())
    made(borealis)
    assert len(list(kept.glob("*.ranges"))) == 1
    with time_machine.travel(clock.now() + timedelta(days=4), tick=False):
        ranging.forget()
    assert list(kept.glob("*.ranges")) == []


def test_of_one_partner_few_files_stay_and_what_a_killed_worker_left_goes(aster, borealis, kept, monkeypatch):
    monkeypatch.setattr(snapshots, "MOST_OF_A_PARTNER", 1)
    aster.push(a_net())
    for caller in (borealis, aster):
        for name in ("one", "two"):
            feed = read(caller.send("POST", "feeds", {"name": name, "filter": {"kinds": ["account-pattern"]}}), 201)
            assert caller.get(f"feeds/{feed['id']}/ranges").status_code == 202
    work()
    (kept / f"{'a' * 32}.part").touch()
    assert len(list(kept.glob("*.ranges"))) == 4
    with time_machine.travel(clock.now() + timedelta(hours=1), tick=False):
        ranging.forget()
    assert len(list(kept.glob("*.ranges"))) == RangeFile.unrestricted.count() == 2
    assert list(kept.glob("*.part")) == []


@pytest.mark.slow
def test_a_key_of_some_groups_has_ranges_of_its_own(cast, aster, borealis):
    build.a_ring(cast.aster, cast.borealis, slug="second")
    aster.push(a_net(), query="?groups=ring")
    aster.push(a_net("192.0.2.0/25"), query="?groups=second")
    key = keys.issue(cast.borealis, name="narrow", scopes=sorted(KEY_SCOPES), groups=[cast.ring.pk])[1]
    assert made(Caller(key))["net_lengths"]["4"] == [24]
    assert made(borealis)["net_lengths"]["4"] == [24, 25]


@pytest.mark.parametrize("while_it", ["is brought", "is read"])
def test_a_filter_that_is_changed_while_a_file_is_made_is_that_of_the_file(
    aster, borealis, kept, monkeypatch, while_it
):
    """Not the old filter's entries under the new one's place: such a file would stay."""
    aster.push(a_net() | {"confidence": 90}, a_net("192.0.2.0/25") | {"confidence": 10})
    feed = read(borealis.send("POST", "feeds", {"name": "one", "text": "confidence:>=70"}), 201)
    path = f"feeds/{feed['id']}/ranges"
    assert borealis.get(path).status_code == 202
    module, name = (proving, "brought") if while_it == "is brought" else (blocklists, "said")
    before, changed = getattr(module, name), []

    def changing(*told, **named):
        if not changed:
            changed.append(read(borealis.send("PATCH", f"feeds/{feed['id']}", {"text": "confidence:<70"})))
        return before(*told, **named)

    monkeypatch.setattr(module, name, changing)
    work()
    assert changed
    assert read(borealis.get(path))["net_lengths"]["4"] == [25]
    made = RangeFile.unrestricted.get()
    assert made.place == FeedSet.unrestricted.get().place
    assert [path.stem for path in kept.glob("*")] == [made.name]
