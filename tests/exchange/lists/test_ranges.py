"""Ranges of a list: one size each, nothing to tell an entry from filling, and every value found where its hash says."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from exchange.lists import ranges
from exchange.lists.lines import Line

END = datetime(2026, 12, 1, tzinfo=UTC)
AT = int(datetime(2026, 11, 24, tzinfo=UTC).timestamp())


def a_line(value, subkind="email_domain", until=END):
    return Line("account-pattern", subkind, "", "", value, 1, ("Aster",), 80, until, ("indicator--x",))


def cut(lines):
    cutter = ranges.Cutter()
    for line in lines:
        cutter.take(line)
    raw = b"".join(cutter.pieces())
    head = ranges.Head.read(json.loads(raw[: ranges.HEAD]))
    body = raw[ranges.HEAD :]
    assert len(body) == head.ranges * head.size
    return head, [body[number * head.size :][: head.size] for number in range(head.ranges)]


def found(head, blocks, subkind, value, at=AT):
    hashed = ranges.digest(subkind, value)
    return ranges.find(blocks[ranges.place(hashed, head.bits)], hashed, at=at)


@pytest.mark.parametrize("count", [0, 1, 63, 64, 1_000, 20_000])
def test_every_value_is_found_and_no_other(count):
    head, blocks = cut(a_line(f"n{number}.example") for number in range(count))
    assert all(found(head, blocks, "email_domain", f"n{number}.example") for number in range(count))
    assert not any(found(head, blocks, "email_domain", f"m{number}.example") for number in range(2_000))
    assert not any(found(head, blocks, "net", f"n{number}.example") for number in range(min(count, 2_000)))


@pytest.mark.slow
def test_ranges_have_one_size_and_the_server_learns_few_bits():
    head, blocks = cut(a_line(f"n{number}.example") for number in range(20_000))
    assert {len(block) for block in blocks} == {head.slots * ranges.RECORD}
    assert head.bits == 9
    assert cut([a_line("one.example")])[0].bits == 0  # a short list is one range: nothing is said at all


def test_what_is_compared_alike_is_one_value():
    head, blocks = cut([a_line("gate.example", "gateway_host")])
    assert found(head, blocks, "email_domain", "gate.example")


def test_an_entry_ends_and_of_two_the_later_counts():
    head, blocks = cut([a_line("a.example"), a_line("a.example", until=datetime(2026, 11, 25, tzinfo=UTC))])
    assert found(head, blocks, "email_domain", "a.example", at=int(END.timestamp()) - 1)
    assert not found(head, blocks, "email_domain", "a.example", at=int(END.timestamp()))
    head, blocks = cut([a_line("a.example", until=None)])
    assert found(head, blocks, "email_domain", "a.example", at=2**32 - 2)


def test_the_head_says_which_lengths_networks_have():
    nets = ("192.0.2.0/24", "198.51.100.7/32", "2001:db8::/48")
    head, _ = cut(a_line(net, "net") for net in nets)
    assert head.net_lengths == {"4": [24, 32], "6": [48]}


def test_a_tail_that_begins_within_a_record_is_no_entry():
    hashed = bytes(range(32))
    block = bytes(4) + hashed[4:16] + bytes(12) + hashed[4:16] + ranges.NEVER.to_bytes(4)
    assert not ranges.find(block[:32], hashed, at=AT)
    shifted = bytes(16) + hashed[4:16] + ranges.NEVER.to_bytes(4)
    assert ranges.find(shifted, hashed, at=AT)


@pytest.mark.parametrize("change", [{"format": 2}, {"bits": 17}, {"bits": -1}, {"slots": 0}, {"record_bytes": 20}])
def test_another_format_is_refused(change):
    head = ranges.Head(4, 16, {"4": [], "6": []})
    assert ranges.Head.read(head.document()) == head
    with pytest.raises(ValueError, match="format"):
        ranges.Head.read(head.document() | change)
