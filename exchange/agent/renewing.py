"""Look-ups that follow their stores, for who looks values up in a process of its own: `filter`, and programs in Python.

    with renewed([Path("state/all.sqlite")], policy=policy) as blocklist:
        blocklist.check("net", "198.51.100.7")

`run` needs none of it: it is told what changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from exchange.agent import jobs
from exchange.agent.blocklist import Blocklist
from exchange.agent.store import Store

#: How often the stores are looked at, in seconds.
LOOK_S = 1.0
#: The state that changes whenever what is looked up does: by the exchange, by a fill, or by a person.
_STATE = ("name", "sum", "changes", "releases", "killed", "standing")


@dataclass(frozen=True, slots=True)
class _Look:
    """What was seen of a store; and when, by its clock, the next entry or signature begins or ends."""

    state: dict[str, str]
    is_stale: bool
    turn: datetime | None


@contextmanager
def renewed(stores: Sequence[Path], **how: Any) -> Iterator[Blocklist]:
    """A `Blocklist` of these stores, made with `how`, which a thread reads anew within about a second of any change.

    The thread looks up to once a second, and rests at least as long as it took to read. Where a store cannot be read,
    what was known stays until it can be. Raises what `Blocklist` and `Store` raise, before the first look-up only.
    """
    paths, stop = tuple(stores), threading.Event()
    seen = _looks(paths)  # before they are loaded: what changes meanwhile is seen to have changed
    blocklist = Blocklist(paths, **how)
    thread = threading.Thread(target=_keep, args=(blocklist, paths, seen, stop), name="renewing", daemon=True)
    thread.start()
    try:
        yield blocklist
    finally:
        stop.set()


def _keep(blocklist: Blocklist, paths: Sequence[Path], seen: list[_Look], stop: threading.Event) -> None:
    pause_s = LOOK_S
    while not stop.wait(pause_s):
        began_at = time.monotonic()
        try:
            blocklist.suspects.renew()
            now_seen = _looks(paths)
            if now_seen != seen:
                blocklist.reload()
                seen = now_seen
        except Exception:  # noqa: BLE001, S110 - whatever it is, it is tried again: a thread that ended would freeze all
            pass
        pause_s = max(LOOK_S, time.monotonic() - began_at)


def _looks(paths: Sequence[Path]) -> list[_Look]:
    found = []
    for path in paths:
        with closing(Store(path)) as store:
            now = jobs.now(store)
            found.append(_Look(store.state(*_STATE), jobs.is_stale(store), store.next_turn(now=now)))
    return found
