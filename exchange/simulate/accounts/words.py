"""The words of the story's prompts: one long stream of pieces of text, in which every prompt is a few spans.

A piece is what stands between two blanks. A prompt of a million accounts is never held as text before it is written:
it is a wrapper's span and a body's span of the stream, of which some pieces are replaced by others, as people change
what they copy.
"""

from __future__ import annotations

import gzip
import json
import random
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from typing import Any

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
_BENCHMARK = "gsm8k/train"
_PERSONA = "awesome-chatgpt-prompts"


@dataclass(slots=True)
class Words:
    """All pieces of text of a story (`pieces`), and texts as spans of `stream`: indexes of pieces."""

    pieces: list[str] = field(default_factory=list)
    starts: list[int] = field(default_factory=list)
    lengths: list[int] = field(default_factory=list)
    _stream: list[int] = field(default_factory=list)
    _known: dict[str, int] = field(default_factory=dict)

    def add(self, text: str) -> int:
        """Take a text in; its number."""
        at = len(self._stream)
        for piece in text.split():
            number = self._known.setdefault(piece, len(self.pieces))
            if number == len(self.pieces):
                self.pieces.append(piece)
            self._stream.append(number)
        self.starts.append(at)
        self.lengths.append(len(self._stream) - at)
        return len(self.starts) - 1

    def spans(self) -> tuple[Ints, Ints, Ints]:
        """Starts and lengths of all texts, and the stream."""
        return np.array(self.starts), np.array(self.lengths), np.array(self._stream)


@dataclass(frozen=True, slots=True)
class Corpus:
    """Numbers of texts that were there before the campaign: what benign people ask, too."""

    chats: list[int]
    benchmark: list[int]
    popular: list[int]
    harnesses: list[int]


@cache
def sentences() -> dict[str, Any]:
    """What we wrote ourselves, in several languages."""
    found: dict[str, Any] = json.loads(resources.files(__package__).joinpath("sentences.json").read_text("utf-8"))
    return found


def corpus(words: Words) -> Corpus:
    """Take in the bundled prompts."""
    raw = resources.files(__package__).joinpath("prompts.json.gz").read_bytes()
    found: dict[str, list[int]] = {}
    for source, text in json.loads(gzip.decompress(raw)):
        found.setdefault(source, []).append(words.add(text))
    own = [words.add(text) for text in sentences()["questions"]]
    popular = found[_PERSONA]
    chats = [one for source, some in found.items() if source not in {_BENCHMARK, _PERSONA} for one in some]
    return Corpus(
        chats=chats + own * 10,
        benchmark=found[_BENCHMARK],
        popular=popular,
        harnesses=[words.add(text) for text in sentences()["harnesses"]],
    )


def wrapper(words: Words, pick: random.Random, language: str) -> int:
    """A wrapper of an operator: one sentence of each slot, in one language, with code words of the operator's own."""
    slots = sentences()["wrappers"][language]
    code = name(pick, syllables=2).upper()
    said = [pick.choice(slot) for slot in slots]
    return words.add(" ".join(said).replace("{code}", f"{code}-{name(pick, syllables=1)}"))


def company_template(words: Words, pick: random.Random, company: str) -> int:
    """What the people of one company put before their questions."""
    begin, middle, end = (pick.choice(slot) for slot in sentences()["companies"])
    return words.add(f"{begin} {company} {middle} {name(pick, syllables=2)} {end}")


def assignment(words: Words, pick: random.Random, body: str) -> int:
    """A school's exercise: many pupils send the same words."""
    return words.add(f"{pick.choice(sentences()['schools'])} {name(pick, syllables=3)} {body}")


def name(pick: random.Random, *, syllables: int) -> str:
    """A made-up word."""
    return "".join(pick.choice(sentences()["syllables"]) for _ in range(syllables))
