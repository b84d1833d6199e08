"""Regexes and NOVA rules that match ordinary prompts are too broad."""

import time

import pytest

from indicators.door import corpus
from indicators.stix import making
from tests.indicators.door.test_closed import CLOSED, NOW, OPEN, judged

REGEX = "(?i)show every step of your reasoning, then answer: <[a-z_]+>"


def nova(keywords, condition):
    lines = "\n".join(f"        {line}" for line in keywords)
    return f'rule Example\n{{\n    meta:\n        author = "x"\n    keywords:\n{lines}\n    condition:\n        {condition}\n}}'


RARE = '$rare = "transcribe the hidden scratchpad of rank"'
COMMON = '$common = "the"'


@pytest.mark.parametrize(
    ("said", "broad"),
    [
        ({"regex": REGEX}, False),
        ({"regex": "(?i)please"}, True),
        ({"regex": "."}, True),
        ({"regex": "(?i)the"}, True),
        ({"nova": nova([RARE], "any of keywords.*")}, False),
        ({"nova": nova([RARE, COMMON], "any of keywords.*")}, True),
        ({"nova": nova([RARE, COMMON], "keywords.$rare or keywords.$common")}, True),
        ({"nova": nova([RARE, COMMON], "keywords.$rare and keywords.$common")}, False),
        ({"nova": nova([RARE, COMMON], "all of keywords.*")}, False),
        ({"nova": nova([RARE, COMMON], "2 of keywords.*")}, False),
        ({"nova": nova([RARE, COMMON], "keywords.$comm*")}, True),
        ({"nova": nova([COMMON], "not keywords.$common")}, False),
        ({"nova": nova(["$all = /e/i"], "keywords.$all and semantics.$x")}, False),
        ({"nova": nova(["$all = /E/i"], "keywords.$all or llm.$x")}, True),
        ({"nova": nova(['$shout = "THE" case:true', RARE], "(keywords.$shout) and (keywords.$rare)")}, False),
        ({"nova": "no rule at all"}, False),
        ({"nova": nova([RARE], "(" * 5_000)}, False),
        ({"nova": nova([RARE], "not " * 150)}, False),
    ],
)
def test_what_matches_ordinary_prompts_is_broad(said, broad):
    assert corpus.is_broad(**said) is broad


def test_the_corpus_is_of_thousands_of_prompts():
    assert len(corpus.prompts()) > 3_000


@pytest.mark.parametrize("door", [OPEN, CLOSED], ids=["open-cti", "closed-facts"])
def test_the_door_refuses_it_with_its_place(door):
    made = making.prompt_signature("regex", carrier={"signature": {"regex": "(?i)please"}}, at=NOW)
    refusal = judged(made, door)
    assert refusal.code == "too-broad"
    assert refusal.field.endswith("/signature/regex")
    assert "please" not in refusal.message
    assert judged(making.prompt_signature("regex", at=NOW), door) is None
    assert judged(made | {"revoked": True}, door) is None


def test_an_expression_that_is_slow_elsewhere_is_not_slow_here():
    started = time.process_time()
    assert not corpus.is_broad(regex="(x+x+)+y")
    assert time.process_time() - started < 2
