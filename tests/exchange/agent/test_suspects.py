"""Suspects that `exchange-lab` wrote are looked up by account, as the agent's settings say what they mean."""

import json
from pathlib import Path

import pytest

from exchange.agent import configuration
from exchange.agent.blocklist import Blocklist
from exchange.agent.policy import Action, Mode, Policy
from exchange.agent.suspects import ACCOUNT, Wanted
from exchange.client.errors import Unusable
from exchange.lab import output
from exchange.lab.output import Form
from exchange.lab.reasons import Explained

KNOWN, OTHER = "acct_1f0c", "acct_2aaa"


def written(path, *accounts, score=7.5, one_labs_word=False):
    said = "pays with a card that 25 accounts use"
    found = [Explained(one, not one_labs_word, one_labs_word, False, score, score, (), said) for one in accounts]
    some = [output.entry(one, None, one_labs_word=one_labs_word) for one in found]
    output.write(some, path, Form.JSONL)


@pytest.fixture
def file(tmp_path):
    written(tmp_path / "suspects.jsonl", KNOWN)
    return tmp_path / "suspects.jsonl"


def looking_up(file, *, policy=None, **wanted):
    return Blocklist([], policy=policy, noting=True, suspects=Wanted((file,), **wanted))


def test_a_suspect_means_what_the_settings_say(file):
    assert [looking_up(file).check(ACCOUNT, one).word for one in (KNOWN, OTHER)] == ["log", "none"]
    found = looking_up(file, action=Action.BLOCK).check(ACCOUNT, KNOWN)
    assert (found.action, found.rule, found.kind) == ("block", "suspects", "suspect")


def test_a_file_that_is_replaced_is_read_anew_and_a_broken_one_changes_nothing(file):
    blocklist = looking_up(file)
    written(file, OTHER)
    blocklist.suspects.renew()
    assert [blocklist.check(ACCOUNT, one).word for one in (KNOWN, OTHER)] == ["none", "log"]
    huge = f'{{"suspect": true, "account": "x", "score": {10**400}}}\n'
    deep = "[" * 100_000
    for broken in (
        huge,
        deep,
        "{",
        "[]\n",
        '{"account": "x"}\n',
        '{"suspect": true, "account": "x", "score": "high"}\n',
        "\udcff",
    ):
        file.write_bytes(broken.encode(errors="surrogateescape"))
        blocklist.suspects.renew()
        assert blocklist.suspects.problem
        assert blocklist.check(ACCOUNT, OTHER).word == "log"
    written(file, KNOWN)
    blocklist.suspects.renew()
    assert (blocklist.suspects.problem, blocklist.check(ACCOUNT, KNOWN).word) == ("", "log")
    file.unlink()
    blocklist.suspects.renew()
    assert blocklist.check(ACCOUNT, KNOWN).word == "none"


def test_a_file_that_could_not_be_read_for_a_time_is_tried_again(file, monkeypatch):
    blocklist = looking_up(file)
    written(file, OTHER)
    with monkeypatch.context() as refused:
        refused.setattr(Path, "open", denied)
        blocklist.suspects.renew()
    assert blocklist.suspects.problem == "PermissionError: cannot be read"
    assert blocklist.check(ACCOUNT, KNOWN).word == "log"
    blocklist.suspects.renew()
    assert (blocklist.suspects.problem, blocklist.check(ACCOUNT, OTHER).word) == ("", "log")


def test_of_several_files_only_the_one_that_could_not_be_read_is_tried_again(file, tmp_path, monkeypatch):
    beside = tmp_path / "beside.jsonl"
    written(beside, OTHER)
    blocklist = Blocklist([], noting=True, suspects=Wanted((file, beside)))
    written(file, "acct_new")
    written(beside, "acct_more")
    opened, really = [], Path.open

    def counted(path, *args, **more):
        opened.append(path)
        if path == beside:
            raise PermissionError
        return really(path, *args, **more)

    with monkeypatch.context() as refused:
        refused.setattr(Path, "open", counted)
        for _ in range(3):
            blocklist.suspects.renew()
    assert opened == [file, beside, beside, beside]
    assert blocklist.suspects.problem == "PermissionError: cannot be read"
    said = [blocklist.check(ACCOUNT, one).word for one in (KNOWN, OTHER, "acct_new", "acct_more")]
    assert said == ["none", "log", "log", "none"]
    blocklist.suspects.renew()
    assert (blocklist.suspects.problem, blocklist.check(ACCOUNT, "acct_more").word) == ("", "log")
    assert len(blocklist.suspects) == 2


def denied(*_args, **_more):
    raise PermissionError


def test_what_is_not_there_yet_holds_nobody(tmp_path):
    assert looking_up(tmp_path / "later.jsonl").check(ACCOUNT, KNOWN).word == "none"


def test_who_is_on_one_labs_word_or_below_the_least_score_is_no_suspect(file):
    assert looking_up(file, least_score=7.6).check(ACCOUNT, KNOWN).word == "none"
    written(file, KNOWN, one_labs_word=True)
    assert looking_up(file).check(ACCOUNT, KNOWN).word == "none"


def test_in_shadow_mode_nothing_is_carried_out(file):
    found = looking_up(file, policy=Policy(mode=Mode.SHADOW), action=Action.BLOCK).check(ACCOUNT, KNOWN)
    assert (found.action, found.would) == (None, "block")


def test_nothing_of_it_is_reported(file):
    blocklist = looking_up(file)
    blocklist.check(ACCOUNT, KNOWN)
    assert blocklist.taken_met() == {}
    assert sum(blocklist.taken_hits().values()) == 1


def test_without_files_an_account_is_nothing_that_is_looked_up():
    with pytest.raises(KeyError):
        Blocklist([]).check(ACCOUNT, KNOWN)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ('action = "log"', "file is the file"),
        ("file = []", "file is the file"),
        ('file = "a"\naction = "ignore"', "log, challenge, block"),
        ('file = "a"\naction = "warn"', "log, challenge, block"),
        ('file = "a"\nleast_score = "5"', "is a number"),
        ('file = "a"\nleast_score = true', "is a number"),
        ('file = "a"\ngrade = 1', "grade is not known"),
    ],
)
def test_wrong_settings_are_named(tmp_path, said, why):
    (tmp_path / "agent.toml").write_text(f"[suspects]\n{said}\n")
    with pytest.raises(Unusable, match=why):
        configuration.read(tmp_path / "agent.toml", online=False)


def test_settings_name_files_beside_them(tmp_path):
    (tmp_path / "agent.toml").write_text('[suspects]\nfile = ["a.jsonl", "b.jsonl"]\naction = "challenge"\n')
    wanted = configuration.read(tmp_path / "agent.toml", online=False).suspects
    assert wanted == Wanted((tmp_path / "a.jsonl", tmp_path / "b.jsonl"), Action.CHALLENGE, 0.0)


def test_the_lab_says_of_each_line_whether_it_is_a_suspect(file):
    (line,) = map(json.loads, file.read_text().splitlines())
    assert line["suspect"] is True
