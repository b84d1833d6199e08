"""Labs of a story, ready for rounds in one process. Tokens are 64-bit hashes of normal forms: tokens "made before"."""

from __future__ import annotations

import hashlib

import numpy as np

from exchange.lab import features
from exchange.lab.scoring import Carries, Group
from exchange.lab.together import Lab
from exchange.simulate.accounts import files
from exchange.simulate.accounts.story import Story
from exchange.simulate.accounts.told import LABS
from exchange.tokens import prompts

_SORT_BITS = np.uint64(4)
_PHRASE, _SKELETON = features.NUMBERS["phrase"], features.NUMBERS["skeleton"]
_OF_PROMPTS = (_PHRASE, _SKELETON)


def labs_of(story: Story) -> tuple[list[Lab], list[np.ndarray], int]:
    """The labs, the numbers of their accounts in the story, and how many different tokens there are."""
    word_hashes = _words(story)
    keys, found, numbers, sorts = [], [], [], []
    for lab in range(len(LABS)):
        frame, some = files.of_lab(story, lab, prompts=False)
        carried = features.derive(frame).carried
        account = carried["account"].to_numpy().astype(np.int32)
        key = (carried["form"].hash(seed=17).to_numpy() << _SORT_BITS) | carried["sort"].to_numpy().astype(np.uint64)
        of_prompts = _prompts(story, lab, some, word_hashes)
        account, key = np.concatenate([account, *of_prompts[0]]), np.concatenate([key, *of_prompts[1]])
        del frame, carried, of_prompts
        unique, token = np.unique(key, return_inverse=True)
        keys.append(unique)
        pairs = np.unique(account.astype(np.int64) << 32 | token)
        sort = (unique & np.uint64(15)).astype(np.int64)
        sorts.append(sort)
        found.append(_carries(pairs, sort, story.accounts.flagged[some]))
        numbers.append(some)
    everything, inverse = np.unique(np.concatenate(keys), return_inverse=True)
    bounds = np.cumsum([0, *map(len, keys)])
    labs = [Lab(one, inverse[bounds[at] : bounds[at + 1]].astype(np.int64), sorts[at]) for at, one in enumerate(found)]
    return labs, numbers, len(everything)


def without_prompts(labs: list[Lab]) -> list[Lab]:
    """The same labs, whose prompts are not known."""
    made = []
    for lab in labs:
        known = lab.carries
        kept = known.group[known.token] != Group.PROMPT
        made.append(Lab(_replaced(known, kept), lab.everywhere, lab.sorts))
    return made


def with_payment_per_lab(labs: list[Lab], tokens: int) -> tuple[list[Lab], int]:
    """The same labs, each of which knows cards by fingerprints of its own provider; and how many tokens there are."""
    made = []
    for lab in labs:
        everywhere = lab.everywhere.copy()
        cards = np.flatnonzero(lab.carries.group == Group.PAY)
        everywhere[cards] = tokens + np.arange(len(cards))
        tokens += len(cards)
        made.append(Lab(lab.carries, everywhere, lab.sorts))
    return made, tokens


def with_flags(labs: list[Lab], flagged: list[np.ndarray]) -> list[Lab]:
    """The same labs with other flags."""
    return [
        Lab(
            Carries(
                one.carries.account,
                one.carries.token,
                one.carries.group,
                one.carries.is_phrase,
                one.carries.is_domain,
                some,
            ),
            one.everywhere,
            one.sorts,
        )
        for one, some in zip(labs, flagged, strict=True)
    ]


def _replaced(known: Carries, kept: np.ndarray) -> Carries:
    return Carries(known.account[kept], known.token[kept], known.group, known.is_phrase, known.is_domain, known.flagged)


def _carries(pairs: np.ndarray, sort: np.ndarray, flagged: np.ndarray) -> Carries:
    groups = np.array([one.group for one in features.SORTS.values()], dtype=np.int8)
    return Carries(
        account=(pairs >> 32).astype(np.int32),
        token=(pairs & 0xFFFF_FFFF).astype(np.int32),
        group=groups[sort],
        is_phrase=sort == _PHRASE,
        is_domain=sort == features.NUMBERS["domain"],
        flagged=flagged,
    )


def _words(story: Story) -> tuple[np.ndarray, np.ndarray]:
    """Of each piece of text its words' hashes, one after the other, and where each piece begins."""
    hashes, begins = [], [0]
    for piece in story.words.pieces:
        hashes += [hash_of(word) for word in prompts.words(piece)]
        begins.append(len(hashes))
    return np.array(hashes, dtype=np.uint64), np.array(begins)


def hash_of(word: str) -> int:
    return int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "big")


def _prompts(story: Story, lab: int, some: np.ndarray, words: tuple[np.ndarray, np.ndarray]):
    """Accounts and keys of phrases and skeletons, in portions."""
    row = np.full(len(story.accounts), -1, dtype=np.int64)
    row[some] = np.arange(len(some))
    accounts, keys = [], []
    at = story.prompts_at(lab)
    for begin in range(0, len(at), 200_000):
        part = at[begin : begin + 200_000]
        pieces, bounds = story.pieces_of(part)
        hashes, begins = words
        count = begins[pieces + 1] - begins[pieces]
        ends = np.cumsum(count)
        place = np.arange(int(ends[-1])) - np.repeat(ends - count, count)
        said = hashes[np.repeat(begins[pieces], count) + place]
        after = np.concatenate([[0], ends])[bounds]  # where each prompt begins among the words
        length = np.diff(after)
        prompt = np.repeat(np.arange(len(part)), length)
        whose = row[story.prompts.account[part]]
        five = np.zeros(max(len(said) - 4, 0), dtype=np.uint64)
        for offset in range(5):
            five += mixed(said[offset : len(said) - 4 + offset] + np.uint64(offset * 0x9E37))
            five *= np.uint64(0x100000001B3)
        kept = (prompt[: len(five)] == prompt[4:]) & (five % np.uint64(3) == 0)
        accounts.append(whose[prompt[: len(five)][kept]].astype(np.int32))
        keys.append((five[kept] << _SORT_BITS) | np.uint64(_PHRASE))
        spoken = length > 0
        whole = np.add.reduceat(
            mixed(said + (np.arange(len(said)) - after[prompt]).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)),
            after[:-1][spoken],
        )
        accounts.append(whose[spoken].astype(np.int32))
        keys.append((whole << _SORT_BITS) | np.uint64(_SKELETON))
    return accounts, keys


def mixed(numbers: np.ndarray) -> np.ndarray:
    """splitmix64."""
    found = (numbers ^ (numbers >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return found ^ (found >> np.uint64(31))
