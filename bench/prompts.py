"""Prompts a second of processor time against 10,000 signatures, beside bare engines. `python -m bench --prompts`.

hyperscan compiles for minutes; where it is not installed (`pip install hyperscan`), there is no figure beside it.
"""

from __future__ import annotations

import importlib
import random
import re
import time
from collections.abc import Callable, Iterator, Sequence

import ahocorasick
import re2

from bench.table import Row
from exchange.agent.signatures import Signature, Signatures

_TEXTS = 2_000
_SLOW_S = 10.0


def rows(*, quick: bool) -> Iterator[Row]:
    """Each engine over the same signatures and prompts; a quarter of the signatures are literal, the others regexes."""
    count = 1_000 if quick else 10_000
    rng = random.Random(1)
    patterns, texts = _story(rng, count)
    began = time.process_time()
    made = Signatures.compiled(Signature(str(place), "regex", one) for place, one in enumerate(patterns))
    compiled_s = time.process_time() - began
    began = time.process_time()
    Signatures.compiled(
        Signature(str(place), "regex", one) for place, one in enumerate([*patterns, "one that is brand new"])
    )
    again_s = time.process_time() - began
    ours, hits = _rate(lambda text: len(list(made.matching(text))), texts)
    yield Row("signatures: compile all", count, f"{compiled_s:.1f} s")
    yield Row("a new signature is live", count, f"{again_s * 1000:.0f} ms", target="≤ 1 s", met=again_s <= 1)
    bare = _hyperscan(patterns)
    if bare is None:
        yield Row("prompts/s, beside hyperscan", count, f"{ours:,.0f}", "hyperscan is not installed")
    else:
        scan, took_s = bare
        theirs, same = _rate(scan, texts)
        yield Row(
            "prompts/s, beside bare hyperscan",
            count,
            f"{ours:,.0f}",
            f"{theirs:,.0f}, compiled in {took_s:.0f} s",
            f"1/{theirs / ours:.1f}",
            "≥ 1/4",
            ours >= theirs / 4 and same == hits,
        )
    for name, scan in (
        ("pyahocorasick, the literal quarter alone", _literals(patterns)),
        ("re2 in a loop", _loop(patterns, re2.compile)),
    ):
        theirs, _ = _rate(scan, texts)
        yield Row(f"prompts/s, beside {name}", count, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f} x")
    theirs, _ = _rate(_loop(patterns, re.compile), texts)
    yield Row("prompts/s, beside NOVA's loop (re)", count, f"{ours:,.0f}", f"{theirs:,.0f}", f"{ours / theirs:.2f} x")


def _story(rng: random.Random, count: int) -> tuple[list[str], list[str]]:
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = ["".join(rng.choices(letters, k=rng.randint(3, 9))) for _ in range(3_000)]

    def say(number: int) -> str:
        return " ".join(rng.choices(words, k=number))

    shapes = (
        lambda: say(4),
        lambda: rf"(?i){say(2)}\s+(?:{say(1)}|{say(1)})\s+{say(2)}",
        lambda: rf"(?i)\b{say(2)}[^.]{{0,40}}{say(1)}\b",
        lambda: rf"(?i)step \d+: {say(3)}",
    )
    patterns = [shapes[place % 4]() for place in range(count)]
    texts = [say(80) + (f" {rng.choice(patterns[::4])}" if rng.random() < 0.1 else "") for _ in range(_TEXTS)]
    return patterns, texts


def _rate(scan: Callable[[str], int], texts: Sequence[str]) -> tuple[float, int]:
    """Prompts a second, and how many hits in all; a slow engine sees only the first of them."""
    began, hits, done = time.process_time(), 0, 0
    for text in texts:
        hits += scan(text)
        done += 1
        if time.process_time() - began > _SLOW_S:
            break
    return done / (time.process_time() - began), hits


def _hyperscan(patterns: Sequence[str]) -> tuple[Callable[[str], int], float] | None:
    try:
        hyperscan = importlib.import_module("hyperscan")
    except ModuleNotFoundError:
        return None
    database = hyperscan.Database()
    began = time.process_time()
    database.compile(
        expressions=[one.encode() for one in patterns],
        ids=list(range(len(patterns))),
        elements=len(patterns),
        flags=[hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_UTF8] * len(patterns),
    )
    found: set[int] = set()

    def scan(text: str) -> int:
        found.clear()
        database.scan(text.encode(), match_event_handler=lambda number, *_: found.add(number))
        return len(found)

    return scan, time.process_time() - began


def _literals(patterns: Sequence[str]) -> Callable[[str], int]:
    automaton = ahocorasick.Automaton()
    for place, one in enumerate(patterns[::4]):
        automaton.add_word(one, place)
    automaton.make_automaton()
    return lambda text: len({place for _, place in automaton.iter(text)})


def _loop(patterns: Sequence[str], compiled: Callable[[str], re.Pattern[str]]) -> Callable[[str], int]:
    made = [compiled(one) for one in patterns]
    return lambda text: sum(1 for one in made if one.search(text))
