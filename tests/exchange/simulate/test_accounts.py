"""The story as data: accounts of five labs, as each lab has them, and the truth apart."""

import csv
import json
from collections import Counter, defaultdict

import numpy as np
import polars as pl
import pytest
from typer.testing import CliRunner

from exchange.client.cli import app
from exchange.simulate.accounts import arriving, files
from exchange.simulate.accounts.story import tell
from exchange.simulate.accounts.told import LABS, Format, Lie, Payment, Told
from exchange.tokens import forms

TOLD = Told(accounts=6_000, fraudulent=300, seed=3)


@pytest.fixture(scope="module")
def story():
    return tell(TOLD)


@pytest.fixture(scope="module")
def written(story, tmp_path_factory):
    place = tmp_path_factory.mktemp("story")
    return place, files.write(story, place, form=Format.JSONL)


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_the_same_seed_writes_the_same_files_and_another_other_ones(written, tmp_path):
    place, paths = written
    again = files.write(tell(TOLD), tmp_path / "again", form=Format.JSONL)
    other = files.write(tell(Told(accounts=6_000, fraudulent=300, seed=4)), tmp_path / "other", form=Format.JSONL)
    assert [path.read_bytes() for path in paths] == [path.read_bytes() for path in again]
    assert (place / "truth.csv").read_bytes() == (tmp_path / "again" / "truth.csv").read_bytes()
    assert paths[0].read_bytes() != other[0].read_bytes()


def test_no_file_of_a_lab_says_who_is_behind_an_account(written, story):
    place, paths = written
    truth = list(csv.DictReader((place / "truth.csv").open()))
    assert Counter(bool(row["operator"]) for row in truth) == {True: 300, False: 5_700}
    held = {(path.parent.name, row["account"]) for path in paths for row in rows(path)}
    assert held == {(row["lab"], row["account"]) for row in truth}
    named = {one.name for one in story.who}
    columns = {"account", "created", "email", "payment", "device", "addresses", "user_agent", "prompts", "flagged"}
    for row in rows(paths[0]):
        assert set(row) == columns
        assert row["account"] not in named


def test_every_value_is_one_that_can_be_tokenised(written):
    for row in rows(written[1][2]):
        assert forms.of("email", row["email"])
        assert row["payment"] is None or forms.of("par", row["payment"])
        assert all(forms.of("net", one) for one in row["addresses"])
        assert row["device"] is None or forms.of("device", row["device"])
        assert all(forms.of("skeleton", one) for one in row["prompts"])


def test_operators_hold_in_common_what_benign_people_seldom_do(story):
    known = story.accounts
    operators = known.operator >= 0
    cards = Counter(known.payment[operators].tolist())
    assert np.mean(list(cards.values())) > 5
    labs = defaultdict(set)
    for card, lab in zip(known.payment[operators].tolist(), known.lab[operators].tolist(), strict=True):
        labs[card].add(lab)
    assert np.mean([len(some) for some in labs.values()]) > 2
    assert not set(known.payment[operators].tolist()) & set(known.payment[~operators].tolist())
    assert set(known.addresses[operators].ravel().tolist()) & set(known.addresses[~operators].ravel().tolist()) - {-1}


def test_a_provider_knows_a_card_within_one_lab_only():
    story = tell(Told(accounts=3_000, fraudulent=200, payment=Payment.PER_LAB))
    held = [set(files.of_lab(story, lab)[0]["payment"].drop_nulls().to_list()) for lab in range(5)]
    assert all(not one & other for at, one in enumerate(held) for other in held[:at])


def test_the_careful_use_a_card_once_and_commercial_exits_only():
    story = tell(Told(accounts=3_000, fraudulent=200, careful=True))
    known = story.accounts
    mine = known.operator >= 0
    assert max(Counter(known.payment[mine].tolist()).values()) == 1
    exits = set(known.addresses[mine].ravel().tolist()) - {-1}
    assert exits & set(known.addresses[~mine].ravel().tolist())


def test_a_blind_lab_flags_nothing_and_few_flags_are_few(story):
    blind = tell(Told(accounts=6_000, fraudulent=300, seed=3, blind=("cygnus",))).accounts
    assert not blind.flagged[blind.lab == LABS.index("cygnus")].any()
    assert blind.flagged.any()
    few = tell(Told(accounts=6_000, fraudulent=300, seed=3, flags=0.1)).accounts
    assert 0 < few.flagged.sum() < story.accounts.flagged.sum() / 4


@pytest.mark.parametrize("lie", [Lie.POPULAR, Lie.COMPANIES, Lie.GLUE])
def test_a_liar_invents_flagged_accounts_that_carry_what_others_hold(lie):
    known = tell(Told(accounts=6_000, fraudulent=300, seed=3, lie=lie)).accounts
    invented = known.operator == -2
    assert invented.sum() >= 50
    assert known.flagged[invented].all()
    assert set(known.lab[invented].tolist()) == {LABS.index("eridanus")}
    for column in (known.addresses,):
        assert set(column[invented].ravel().tolist()) - {-1} <= set(column[~invented].ravel().tolist())


def test_about_half_of_the_sign_ups_move_to_the_lab_of_a_new_model_within_a_day():
    known = tell(Told(accounts=10_000, fraudulent=4_000, seed=5, operators=1)).accounts
    mine = known.operator == 0
    day = known.created // 86_400
    share = [
        np.bincount(known.lab[mine & (day == one)], minlength=5).max() / (mine & (day == one)).sum()
        for one in (28, 29, 30)
    ]
    assert max(share) > 0.45


@pytest.mark.parametrize("form", list(Format))
def test_the_command_writes_files_that_polars_reads(form, tmp_path):
    result = CliRunner().invoke(app, ["simulate", "accounts", str(tmp_path / "s"), "--size", "tiny", "--format", form])
    assert result.exit_code == 0, result.output
    path = tmp_path / "s" / "aster" / f"accounts.{form}"
    read = {"jsonl": pl.read_ndjson, "parquet": pl.read_parquet, "csv": pl.read_csv}[form](path)
    assert len(read) > 300
    assert (tmp_path / "s" / "aster" / "map.toml").exists()


@pytest.mark.parametrize("wrong", [["--size", "9k"], ["--blind", "nobody"]])
def test_a_wrong_option_is_said_in_a_line(wrong, tmp_path):
    result = CliRunner().invoke(app, ["simulate", "accounts", str(tmp_path), *wrong])
    assert result.exit_code == 2
    assert "one of" in result.output or "none of" in result.output


def test_two_operators_have_few_networks_and_no_domain_of_their_own_in_common():
    story = tell(Told(accounts=8_000, fraudulent=2_000, seed=6, operators=3))
    nets = [{int(net) for net in one.nets} for one in story.who]
    shared = sum(len(one & other) for at, one in enumerate(nets) for other in nets[:at])
    assert shared <= 0.2 * sum(map(len, nets))
    domains = [set(one.domains) for one in story.who]
    assert not any(one & other for at, one in enumerate(domains) for other in domains[:at])


def test_a_story_that_happens_is_half_there_at_once_and_in_the_end_the_same_as_at_once(tmp_path):
    story, seen = tell(TOLD), []
    written = files.write(story, tmp_path / "whole", form=Format.JSONL)

    def counted(_seconds):
        seen.append(sum(len(path.read_text().splitlines()) for path in tmp_path.glob("grown/*/accounts.jsonl")))
        if len(seen) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        arriving.arrive(story, tmp_path / "grown", over_s=20, sleep=counted)
    assert seen[0] == 3_000
    assert seen == sorted(set(seen))
    assert (tmp_path / "grown" / "truth.csv").read_bytes() == (tmp_path / "whole" / "truth.csv").read_bytes()
    arriving.arrive(story, tmp_path / "grown", over_s=20, sleep=lambda _seconds: None)
    for path in written:
        lab = path.parent.name
        assert (tmp_path / "grown" / lab / "accounts.jsonl").read_bytes() == path.read_bytes()
        assert (tmp_path / "grown" / lab / "map.toml").read_bytes() == (path.parent / "map.toml").read_bytes()


def test_only_lines_grow(tmp_path):
    result = CliRunner().invoke(app, ["simulate", "accounts", str(tmp_path), "--over", "5", "--format", "csv"])
    assert result.exit_code == 2
