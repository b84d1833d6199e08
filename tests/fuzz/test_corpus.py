"""The inputs that a search found telling, each tried again, and a few near them; `make fuzz` looks for others."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange import incarnation
from tests.fuzz.targets import TARGETS
from tests.strategies import examples

CORPUS = Path(__file__).parent / "corpus"


@pytest.fixture(autouse=True)
def nobody_asks_a_store(monkeypatch):
    monkeypatch.setattr(incarnation, "_known", "")


def inputs(name: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]


def near(known: list[bytes]):
    """One of them, with parts of it taken out, doubled, or replaced by parts of another, or by a few bytes."""
    cuts = st.tuples(st.integers(0, 4_000), st.integers(0, 40))
    pieces = st.one_of(
        st.binary(max_size=8), st.sampled_from(known), st.sampled_from([b"\0", b'"', b"'", b"\xff", b"[", b"\n"])
    )

    def changed(start: bytes, edits: list) -> bytes:
        for (at, length), piece in edits:
            place = at % (len(start) + 1)
            start = start[:place] + piece + start[place + length :]
        return start[:8_192]

    return st.builds(changed, st.sampled_from(known), st.lists(st.tuples(cuts, pieces), min_size=1, max_size=4))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_is_known_keeps_each_promise(name):
    for one in inputs(name):
        TARGETS[name](one)


@pytest.mark.hypothesis
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_what_is_near_keeps_each_promise(name):
    @settings(max_examples=examples(60), database=None)
    @given(near(inputs(name)))
    def tried(data):
        TARGETS[name](data)

    tried()
