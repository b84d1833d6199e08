"""What `exchange-agent` tells a person at the terminal."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console

from exchange.agent import jobs

_PROGRESS_S = 3.0
errors = Console(stderr=True, highlight=False, soft_wrap=True)


def say(words: str) -> None:
    """Say it, with the time."""
    errors.print(f"{_now()} {words}", markup=False)


def progress(name: str, *, to: Callable[[str], None] = say) -> Callable[[str], None]:
    """Say of a list how far it is filled, at most once in `_PROGRESS_S`, and nothing of what is done before."""
    began = [time.monotonic()]

    def tell(words: str) -> None:
        if time.monotonic() - began[0] >= _PROGRESS_S:
            began[0] = time.monotonic()
            to(f"{name} is being filled: {words}")

    return tell


def warn(words: str) -> None:
    """Say it in yellow, with the time."""
    errors.print(f"{_now()} {words}", style="yellow", markup=False)


def tell_raw(raw: Sequence[str]) -> None:
    """Say of raw values on an allowlist what they do not do."""
    if raw:
        warn(
            f"E-mail addresses on your allowlists ({len(raw)}) are kept from look-ups alone: lists and outputs hold"
            " tokens. Allow their tokens too, anew each quarter: exchange tokenise --subkind email --look-up"
        )


def tell(job: jobs.Job, done: jobs.Pass) -> None:
    """Say what a pass did, if it did anything."""
    if done.written or done.changes:
        what = "replaced" if done.written else "unchanged"
        again = ", from the beginning" if done.started_over else ""
        again += f"; {done.refused} values are not plain and were left out" if done.refused else ""
        errors.print(
            f"{_now()} {job.path.name} {what}: {done.entries} entries after {done.changes} changes{again}", markup=False
        )
    if (done.written or done.started_over) and done.held and not done.entries:
        say(
            f"of the {done.held} objects that are held nothing is to be blocked: `exchange-agent floors` names what"
            " keeps a value from it, `exchange-agent explain VALUE` which"
        )
    if done.written or done.started_over:
        tell_braked(job, done)


def tell_braked(job: jobs.Job, done: jobs.Pass) -> None:
    """Say which entries the brake keeps, and how they are let go."""
    for each in done.braked:
        errors.print(
            f"{_now()} {each.entries} entries of {each.name} are missing at the exchange, and no removal of them was"
            f" told: they are kept. If they should go: exchange-agent release --output {job.path}",
            style="yellow",
            markup=False,
        )


def _now() -> str:
    return time.strftime("%H:%M:%S")
