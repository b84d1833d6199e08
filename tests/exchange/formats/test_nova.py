"""NOVA files of several rules: each rule's text as it stands, whatever stands around it."""

import pytest

from exchange.formats import nova
from tests.exchange.formats import ours
from tests.indicators.stix import shared

FIRST = 'rule First\n{\n    keywords:\n        $a = "b } c"\n        $b = /a{2,4}/i\n    condition:\n        any of keywords.*\n}'
SECOND = 'rule Second {\n    meta:\n        uuid = "08bcabf5-795c-427f-9f5f-f4ce3533241c"\n    llm:\n        $x = "rule me" (0.5)\n    condition:\n        llm.$x\n}'


def rules(text):
    found, losses = ours.split(nova.read(text))
    return [one.carried["signature"]["nova"] for one in found], ours.codes(losses), found


def test_each_rule_is_taken_as_it_stands_and_its_line_is_known():
    texts, losses, found = rules(f"// ours\n\n{FIRST}\n\n# two\n{SECOND}\n")
    assert texts == [FIRST, SECOND]
    assert losses == [("/1", "comment-dropped"), ("/12", "comment-dropped")]
    assert [(one.path, one.source_id[:8]) for one in found] == [("/3", ""), ("/13", "08bcabf5")]


def test_a_rule_without_an_end_one_too_long_and_one_twice_are_told():
    long = FIRST.replace("First", "Long").replace("b } c", "x" * 9_000)
    texts, losses, _ = rules(f"{FIRST}\nrule Open\n{{\n    condition:\n\n{FIRST}\n{long}\nstray\n")
    assert texts == [FIRST]
    assert [code for _, code in losses] == ["not-a-rule", "same-rule", "too-long", "not-a-rule"]


def test_line_ends_of_windows_are_told_and_the_rule_is_the_same():
    assert rules(FIRST.replace("\n", "\r\n"))[:2] == ([FIRST], [("/1", "line-ends")])
    assert rules('rule a { keywords: $a = "b" condition: keywords.$a }')[0] == [
        'rule a { keywords: $a = "b" condition: keywords.$a }'
    ]
    assert rules("")[:2] == ([], [])


def a_rule(text):
    return ours.one("nova_rule", carrier={"signature": {"nova": text}})


def test_a_file_of_rules_comes_back_and_a_name_is_there_once():
    other = a_rule(FIRST.replace("b } c", "other"))
    objects = [a_rule(FIRST), ours.one("email"), a_rule(SECOND), other, a_rule(FIRST)]
    out, told = ours.written(nova.write, objects)
    assert rules(out.decode())[:2] == ([FIRST, SECOND], [])
    assert [(one.path.partition("/")[0], one.code) for one in told] == [
        (objects[0]["id"], "context-dropped"),
        (objects[1]["id"], "no-counterpart"),
        (objects[2]["id"], "context-dropped"),
        (other["id"], "same-name"),
        (objects[4]["id"], "same-rule"),
    ]


@shared.needed
@pytest.mark.parametrize("path", sorted((shared.ROOT / "nova").glob("*.nov")), ids=lambda path: path.name)
def test_the_rules_of_the_framework_come_through(path):
    text = path.read_text()
    texts, losses, _ = rules(text)
    assert len(texts) == text.count("\nrule ") + text.startswith("rule ")
    assert losses == []
    out, _ = ours.written(nova.write, [a_rule(one) for one in texts])
    assert rules(out.decode())[0] == texts
