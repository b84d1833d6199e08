"""Five labs with their own files find one campaign together; only tokens, pseudonyms and powers of two leave them."""

import csv
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from exchange.lab import reading, rounds
from exchange.lab.local import LocalGroup
from exchange.lab.reasons import Explainer
from exchange.lab.rest import Rest
from exchange.lab.rounds import Settings
from exchange.lab.scoring import Constants
from exchange.lab.state import State
from exchange.simulate.accounts import files
from exchange.simulate.accounts.story import tell
from exchange.simulate.accounts.told import LABS, Format, Payment, Told
from tests.exchange.lab import leaving
from tests.exchange.lab.labs import Captured, TestMaker

NOW = datetime(2026, 11, 28, 12, tzinfo=UTC)
C = Constants()
#: To have all labs play all rounds takes most of a minute.
OF_ALL_ROUNDS = pytest.mark.long


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    place = tmp_path_factory.mktemp("labs")
    told = Told(accounts=4_000, fraudulent=300, seed=2, blind=("cygnus",), payment=Payment.PER_LAB, operators=2)
    files.write(tell(told), place, form=Format.PARQUET)
    return place


@pytest.fixture(scope="module")
def played(story):
    """All labs after their rounds, and every request that they made."""
    hall = Captured(LocalGroup())
    states = {lab: load(story, lab) for lab in LABS}
    every = [[play(states[lab], Rest(hall.client(lab), "ring")) for lab in LABS] for _ in range(5)]
    yield states, hall, every
    for state in states.values():
        state.close()


def load(story, lab, *, name="lab.db", maker=None, rows=None):
    wanted = reading.read_map(story / lab / "map.toml")
    state = State(story / lab / name)
    maker = maker or TestMaker()
    state.begin(maker.both(), payment=wanted.payment, scope=wanted.scope)
    for frame in reading.portions(wanted, rows=400):
        state.add(frame.head(rows) if rows else frame, maker=maker, skip=wanted.skip)
    return state


def play(state, transport, **more):
    return rounds.play(state, transport, constants=C, settings=Settings(), now=NOW, **more)


def truth(story):
    found = defaultdict(set)
    for row in csv.DictReader((story / "truth.csv").open()):
        if row["operator"]:
            found[row["lab"]].add(row["account"])
    return found


def suspects(state):
    return set(state.accounts.filter(pl.Series(state.suspects()))["account"])


@OF_ALL_ROUNDS
def test_all_labs_find_their_accounts_of_the_campaigns_and_the_blind_one_too(story, played):
    true, said, right = truth(story), 0, 0
    for lab, state in played[0].items():
        found = suspects(state)
        assert len(found & true[lab]) >= 0.7 * len(true[lab]), lab
        said, right = said + len(found), right + len(found & true[lab])
    assert right >= 0.9 * said
    assert not played[0]["cygnus"].accounts["flagged"].any()


@OF_ALL_ROUNDS
def test_rounds_settle_and_what_did_not_change_is_not_sent_again(played):
    first, last = played[2][0], played[2][-1]
    assert first[0].sent > 0
    assert sum(one.sent for one in last) < sum(len(suspects(state)) for state in played[0].values())


def test_a_lab_that_has_found_nobody_goes_on_until_the_others_have_begun(story):
    group = LocalGroup()
    with load(story, "cygnus", name="early.db") as early, load(story, "aster", name="begins.db") as begins:
        assert not any(play(early, group.lab("cygnus")).settled for _ in range(3))
        assert any(play(begins, group.lab("aster")).settled for _ in range(6))


def test_a_lab_that_finds_nobody_new_goes_on_while_it_says_what_others_do_not_know(story):
    group = LocalGroup()
    with load(story, "aster", name="hasty.db") as hasty, load(story, "dorado", name="slow.db") as slow:
        lab = group.lab("aster")
        while not (done := play(hasty, lab)).settled:
            before = done
        assert (before.new, done.sent, done.gone, done.answers) == (0, 0, 0, 0), "it went on though nobody was new"
        play(slow, group.lab("dorado"))
        asked = play(hasty, lab)
        assert asked.answers > 0, "another lab began, and asks about tokens that are held here"
        assert not asked.settled


@OF_ALL_ROUNDS
def test_nothing_but_tokens_pseudonyms_and_powers_of_two_leaves(story, played):
    _, hall, _ = played
    said = b"\n".join(body for _, _, body in hall.requests) + "\n".join(url for _, url, _ in hall.requests).encode()
    for lab in LABS:
        assert leaving.raw_values(said, pl.read_parquet(story / lab / "accounts.parquet")) == {}, lab
    found = [leaving.tokens_of(method, body) for method, _, body in hall.requests]
    assert sum(len(tokens) for tokens, _ in found) > 200


@OF_ALL_ROUNDS
def test_pseudonyms_stay_and_say_nothing(played):
    states, _, _ = played
    state = states["aster"]
    known = state.known_pseudonyms()
    assert len(set(known.values())) == len(known) > 0
    assert state.pseudonyms(list(known)[:3]) == {one: known[one] for one in list(known)[:3]}
    name, pseudonym = next(iter(known.items()))
    assert state.account_of(pseudonym) == name


@OF_ALL_ROUNDS
def test_each_suspect_has_its_reason_in_one_sentence(played):
    state = played[0]["cygnus"]
    explainer = Explainer(state, C)
    mask = state.suspects()
    for number in [at for at, is_one in enumerate(mask) if is_one][:40]:
        found = explainer.explain(number)
        assert found.suspect
        assert len([one for one in found.reasons if one.weight >= C.strong]) >= 2
        assert "accounts" in found.sentence or "phrases" in found.sentence
        assert "\n" not in found.sentence
    innocent = next(at for at, is_one in enumerate(mask) if not is_one)
    assert not explainer.explain(innocent).suspect


@OF_ALL_ROUNDS
def test_a_state_that_is_opened_again_is_as_it_was(story, played):
    with State(story / "aster" / "lab.db") as again:
        known = played[0]["aster"]
        assert again.accounts.equals(known.accounts)
        assert again.tokens.equals(known.tokens)
        assert again.suspects().tolist() == known.suspects().tolist()
        assert (story / "aster" / "lab.db").stat().st_mode & 0o077 == 0


@OF_ALL_ROUNDS
def test_no_raw_value_is_in_the_state(story, played):
    raw = (story / "aster" / "lab.db").read_bytes()
    frame = pl.read_parquet(story / "aster" / "accounts.parquet")
    assert frame["account"][0].encode() in raw or len(frame) > 0
    for column in ("email", "payment", "device"):
        assert not [one for one in frame[column].drop_nulls() if one.encode() in raw], column


@OF_ALL_ROUNDS
def test_new_sign_ups_are_scored_as_they_come_and_old_ones_are_matched_back(story, played):
    hall = Captured(LocalGroup())
    for lab in LABS:
        if lab != "dorado":
            state = load(story, lab, name="again.db")
            for _ in range(2):
                play(state, Rest(hall.client(lab), "ring"))
            state.close()
    state = load(story, "dorado", name="again.db", rows=40)
    few = len(state.accounts)
    play(state, Rest(hall.client("dorado"), "ring"))
    state.close()
    state = load(story, "dorado", name="again.db")
    assert len(state.accounts) > few
    assert len(state.suspects()) == len(state.accounts)
    for _ in range(2):
        play(state, Rest(hall.client("dorado"), "ring"))
    assert len(suspects(state) & truth(story)["dorado"]) >= 0.7 * len(truth(story)["dorado"])
    state.close()


def test_a_lost_state_begins_anew_and_its_old_evidence_goes(story):
    hall = Captured(LocalGroup())
    first = load(story, "aster", name="one.db")
    play(first, Rest(hall.client("aster"), "ring"))
    first.close()
    before = set(hall.group.evidence["aster"])
    second = load(story, "aster", name="two.db")
    assert play(second, Rest(hall.client("aster"), "ring")).number == 2
    second.close()
    after = set(hall.group.evidence["aster"])
    assert len(after) == len(before)
    assert not after & before


def test_while_a_key_is_replaced_both_tokens_are_sent_and_count_once(story):
    hall = Captured(LocalGroup())
    states = [
        load(story, lab, name="two-keys.db", maker=TestMaker(("2026q4", "2027q1"))) for lab in ("aster", "borealis")
    ]
    for state, lab in zip(states, ("aster", "borealis"), strict=True):
        play(state, Rest(hall.client(lab), "ring"))
    epochs = {token.epoch for one in hall.group.evidence["aster"].values() for token in one.tokens}
    assert epochs == {"2026q4", "2027q1", "ring-2026q4-1", "ring-2027q1-1"}
    single = load(story, "aster", name="one-key.db")
    assert states[0].carries().tokens == single.carries().tokens
    single.close()
    for state in states:
        state.close()


def test_new_keys_empty_the_state_but_keep_pseudonyms(story):
    state = load(story, "aster", name="rolled.db")
    names = state.pseudonyms(state.accounts["account"][:3])
    assert state.begin(TestMaker(("2027q1",)).both(), payment="psp_fp", scope="0" * 32)
    assert state.accounts.is_empty()
    assert state.known_pseudonyms() == names
    state.close()


def test_evidence_ends_and_is_renewed_in_time():
    one = rounds.Evidence("a", (), "scored", "observed", (NOW + timedelta(days=30)).isoformat())
    same = one._replace(until=(NOW + timedelta(days=30, hours=3)).isoformat())
    later = one._replace(until=(NOW + timedelta(days=37)).isoformat())
    assert rounds.digest(one) == rounds.digest(same) != rounds.digest(later)
