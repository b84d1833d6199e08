"""The story as it happens: most accounts are there at once, the others sign up while it is watched.

What is written is JSON Lines, each line whole and in the order of sign-up. Who starts it again on the same folder goes
on where it was left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from exchange.simulate.accounts import files
from exchange.simulate.accounts.story import Story
from exchange.simulate.accounts.told import LABS, Format

#: The share of the accounts that are there at once.
FIRST = 0.5
_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class _Line:
    created: float
    path: Path
    text: bytes


def arrive(
    story: Story,
    place: Path,
    *,
    over_s: float,
    end: datetime = files.END,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Write a part of the story at once, and append the rest of it during `over_s` seconds."""
    lines, written = _lines(story, place, end), _written(place)
    first = max(round(FIRST * len(lines)), written)
    _append(lines[written:first])
    if not written:
        files.write_around(story, place, form=Format.JSONL)
    turns = max(1, round(over_s / _EVERY_S * (len(lines) - first) / max(1, len(lines) * (1 - FIRST))))
    for turn in range(turns):
        sleep(_EVERY_S)
        begin, until = (first + (len(lines) - first) * each // turns for each in (turn, turn + 1))
        _append(lines[begin:until])


def _lines(story: Story, place: Path, end: datetime) -> list[_Line]:
    """Of all labs, in the order of sign-up."""
    found: list[_Line] = []
    for number, lab in enumerate(LABS):
        frame, _ = files.of_lab(story, number, end=end)
        path = place / lab / f"accounts.{Format.JSONL}"
        moments = frame["created"].dt.timestamp("ms").to_list()
        texts = files.stamped(frame).write_ndjson().encode().splitlines(keepends=True)
        found += [_Line(moment, path, text) for moment, text in zip(moments, texts, strict=True)]
    return sorted(found, key=lambda line: (line.created, str(line.path)))


def _written(place: Path) -> int:
    return sum(len(path.read_bytes().splitlines()) for path in place.glob(f"*/accounts.{Format.JSONL}"))


def _append(lines: list[_Line]) -> None:
    """Each file's lines in one write: who reads meanwhile sees whole lines."""
    for path in sorted({line.path for line in lines}):
        path.parent.mkdir(parents=True, exist_ok=True)
        store = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(store, b"".join(line.text for line in lines if line.path == path))
        finally:
            os.close(store)
