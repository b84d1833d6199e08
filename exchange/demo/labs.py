"""The five labs at work: each runs `exchange-lab` on its accounts of one story, with its own key, as a partner would.

`DATA_DIR/labs/LAB` is what a lab has: accounts, map, state, suspects, and what its `exchange-lab` said (`log`).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from exchange import clock
from exchange.demo.children import Children

GROUP = "ring"
#: Half of the accounts are there at once, the others sign up during so many seconds.
_STORY_S = 240
#: Seconds between rounds: short, so that campaigns are found in the first minute.
_ROUND_S = 8
#: Of the demo's own settings, all that a lab's programs need.
_INHERITED = ("PATH", "HOME", "LANG", "TMPDIR", "DATA_DIR", "VIRTUAL_ENV", "SSL_CERT_FILE", "SSL_CERT_DIR")


class Labs:
    """Starts the story at once, and the labs when the exchange is ready (`tend`) and there are accounts."""

    def __init__(self, children: Children, *, data_dir: Path, url: str, partners: Sequence[Mapping[str, Any]]) -> None:
        self._children, self._place, self._url = children, data_dir / "labs", url
        self._waiting = list(partners)
        self._place.mkdir(exist_ok=True)
        self._environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
        # Each is one of five beside the exchange, on a machine of two cores perhaps.
        self._environment |= {"DATA_DIR": str(data_dir), "POLARS_MAX_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
        today = f"{clock.now():%Y-%m-%d}"
        story = [*_program("exchange"), "simulate", "accounts", str(self._place), "--size", "demo", "--end", today]
        children.add(
            "story",
            _gently([*story, "--over", str(_STORY_S)]),
            log=self._place / "log",
            environment=self._environment,
            once=True,
        )

    def tend(self) -> None:
        """Start the labs whose accounts are there. A lab that the story does not know has none, and is not started."""
        if not (self._place / "truth.csv").exists():
            return
        for partner in self._waiting:
            place = self._place / partner["slug"]
            if (place / "map.toml").exists():
                self._start(place, api_key=partner["api_key"])
        self._waiting = []

    def _start(self, place: Path, *, api_key: str) -> None:
        given = {"map": "map.toml", "state": "lab.db", "output": "suspects.jsonl"}
        options = [part for name, path in given.items() for part in (f"--{name}", str(place / path))]
        run = [*_program("exchange-lab"), "run", "--follow", "--group", GROUP, "--every", str(_ROUND_S), *options]
        own = {"EXCHANGE_URL": self._url, "EXCHANGE_API_KEY": api_key, "EXCHANGE_STATE_DIR": str(place / "kept")}
        self._children.add(place.name, _gently(run), log=place / "log", environment=self._environment | own)


def _program(name: str) -> list[str]:
    """As a user types it; beside the Python that runs the demo."""
    return [str(Path(sys.executable).parent / name)]


def _gently(command: list[str]) -> list[str]:
    """What answers people goes first."""
    return ["nice", "-n", "5", *command]
