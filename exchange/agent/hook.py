"""The command that is run after the list was replaced: owed from before the file moves until the command exits 0."""

from __future__ import annotations

import shlex
import subprocess
from datetime import UTC, datetime

from exchange.agent import acknowledging
from exchange.agent.store import Store


class HookFailed(Exception):
    """The command did not exit 0; it is owed still."""


def owe(store: Store) -> None:
    """The list is about to be replaced: from now on a run is owed, whatever is interrupted."""
    owed = int(store.get("hook owed") or 0)
    if not owed:
        store.put("hook owed since", datetime.now(UTC).isoformat())
    store.put("hook owed", str(owed + 1))


def owed_s(store: Store) -> float:
    """For how long a run is owed; 0 where none is."""
    found = store.state("hook owed", "hook owed since")
    if len(found) < 2:
        return 0.0
    return max(0.0, (datetime.now(UTC) - datetime.fromisoformat(found["hook owed since"])).total_seconds())


def settle(store: Store, command: str, *, timeout_s: float) -> bool:
    """Run the command if it is owed; whether it was. Raises HookFailed with one sentence."""
    owed = store.get("hook owed")
    if not owed:
        return False
    listed = acknowledging.listed(store)  # before the command begins: it loads that, or what is newer
    try:
        done = subprocess.run(shlex.split(command), check=False, timeout=timeout_s)  # noqa: S603 - the operator's own command, no shell
    except subprocess.TimeoutExpired:
        raise HookFailed(
            f"The command of --on-change did not end within {timeout_s:.0f} s; it will run again."
        ) from None
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise HookFailed(f"The command of --on-change cannot be run: {why}.") from error
    if done.returncode != 0:
        raise HookFailed(f"The command of --on-change ended with {done.returncode}; it will run again.")
    store.settle_hook(owed)
    acknowledging.note_loaded(store, listed)
    return True
