"""Constants on a lab's own labels: a search that changes one number after the other, and a half of the labels to check.

What is looked for is the most recall at a wanted precision. Constants live in a TOML file, each under its own name.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from exchange.client.errors import Unusable, why
from exchange.lab import scoring
from exchange.lab.scoring import Bools, Carries, Constants, Told

#: What is tried, in this order, twice over.
GRID: dict[str, tuple[float, ...]] = {
    "total": (3.5, 4.0, 4.5, 5.0, 5.5, 6.0, 7.0),
    "strong": (1.5, 2.0, 2.5, 3.0, 3.5),
    "without_largest": (1.0, 2.0, 3.0, 4.0),
    "flag": (4.0, 5.0, 6.3, 7.5),
    "flagged_later": (0.1, 0.3, 0.6),
    "alpha": (0.01, 0.04, 0.1),
    "beta": (1.0, 2.0, 4.0),
    "phrase_rank": (3, 4, 5, 6),
    "few_weight": (0.5, 1.0, 1.5),
    "popular": (0.01, 0.02, 0.04),
}
#: What protects others is not fitted below these.
_LEAST = {"without_largest": 1.0}


@dataclass(frozen=True, slots=True)
class Quality:
    """Of suspects against labels."""

    precision: float
    recall: float


@dataclass(frozen=True, slots=True)
class Fitted:
    """Constants, and their quality on the half that was looked at and on the other; `before` is of that other, too."""

    constants: Constants
    fitted: Quality
    checked: Quality
    before: Quality


def fit(
    carries: Carries,
    told: Told,
    suspects: Bools | None,
    labels: Bools,
    known: Bools,
    *,
    precision: float,
    start: Constants,
) -> Fitted:
    """The best constants for the labels of the accounts in `known`."""
    rng = np.random.default_rng(0)
    half = rng.random(carries.accounts) < 0.5
    look, check = known & half, known & ~half
    if not (labels & look).any() or not (labels & check).any():
        raise Unusable("too few labels: each half needs at least one account that is a part of a campaign")

    def found(constants: Constants) -> Bools:
        own = scoring.own_counts(carries, suspects, constants)
        return scoring.score(carries, own, told, constants).suspect

    best, best_worth = start, _worth(quality(found(start), labels, look), precision)
    for _ in range(2):
        for name, value in _steps():
            changed: dict[str, Any] = {name: value}
            tried = replace(best, **changed)
            worth = _worth(quality(found(tried), labels, look), precision)
            if worth > best_worth:
                best, best_worth = tried, worth
    return Fitted(
        best,
        quality(found(best), labels, look),
        quality(found(best), labels, check),
        quality(found(start), labels, check),
    )


def quality(suspects: Bools, labels: Bools, among: Bools) -> Quality:
    """Precision and recall among some accounts; precision of nobody is 1."""
    hits = int((suspects & labels & among).sum())
    said, true = int((suspects & among).sum()), int((labels & among).sum())
    return Quality(hits / said if said else 1.0, hits / true if true else 1.0)


def read(path: Path) -> Constants:
    """Constants of a file; what it does not name is as it was. Raises Unusable."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Unusable(f"{path}: {why(error)}") from error
    names = {one.name for one in fields(Constants)}
    if unknown := sorted(set(document) - names):
        raise Unusable(f"{path}: {unknown[0]} is no constant; there are: {', '.join(sorted(names))}")
    if wrong := [
        name for name, value in document.items() if isinstance(value, bool) or not isinstance(value, int | float)
    ]:
        raise Unusable(f"{path}: {wrong[0]} is a number")
    if weak := [name for name, least in _LEAST.items() if document.get(name, least) < least]:
        raise Unusable(f"{path}: {weak[0]} is at least {_LEAST[weak[0]]}: no lab's word alone makes a suspect")
    return replace(Constants(), **document)


def write(constants: Constants, path: Path) -> None:
    """Write all constants to a file."""
    lines = [f"{name} = {value}" for name, value in asdict(constants).items()]
    path.write_text("# Constants of exchange-lab; `exchange-lab fit` wrote this.\n" + "\n".join(lines) + "\n")


def _steps() -> Iterator[tuple[str, float]]:
    for name, values in GRID.items():
        for value in values:
            yield name, value


def _worth(found: Quality, wanted: float) -> tuple[float, float]:
    """Recall counts where precision suffices; below, precision counts first."""
    return (wanted, found.recall) if found.precision >= wanted else (found.precision, found.recall)
