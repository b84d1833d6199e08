"""`exchange-agent`: keep a local blocklist equal to a feed.

Exit status: 0 all well, 1 the list would shrink too much, 2 wrong usage or no answer.
"""

from __future__ import annotations

import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer
from rich.console import Console

from exchange.agent import output, sync
from exchange.client import config
from exchange.client.api import Client
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable

app = typer.Typer(
    help="Keep a local blocklist equal to a feed of the Exchange.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

_WAIT_S = 25
_LEAST_WAIT_S = 1.0
_LONGEST_PAUSE_S = 60.0


class Form(StrEnum):
    """Formats of the list."""

    CSV = "csv"
    JSONL = "jsonl"
    TEXT = "text"


class _Stop(Exception):
    """Asked to end."""


def main() -> None:
    """Entry point: what is expected to go wrong is one line, never a traceback."""
    try:
        app()
    except sync.Shrunk as shrunk:
        errors.print(f"exchange-agent: {shrunk}", style="red", markup=False)
        sys.exit(1)
    except ExchangeClientError as error:
        errors.print(f"exchange-agent: {error}", style="red", markup=False)
        sys.exit(2)
    except (KeyboardInterrupt, _Stop):
        sys.exit(0)


@app.callback()
def _agent() -> None:
    """Keep a local blocklist equal to a feed of the Exchange. Set EXCHANGE_URL and EXCHANGE_API_KEY first."""


@app.command("sync")
def sync_command(
    path: Annotated[Path, typer.Option("--output", "-o", help="The list to keep.")],
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and apply each change within a second.")] = False,
    form: Annotated[Form, typer.Option("--format", help="text, csv or jsonl.")] = Form.TEXT,
    feed: Annotated[str, typer.Option(help="A feed's id; all means everything you may see.")] = "all",
    kind: Annotated[str, typer.Option(help="Only this kind, such as account-pattern.")] = "",
    min_confidence: Annotated[int, typer.Option(min=0, max=100, help="Leave out what is less sure.")] = 0,
    state: Annotated[Path | None, typer.Option(help="Where the checkpoint is kept; else beside the list.")] = None,
    rehearse: Annotated[bool, typer.Option("--rehearse", help="Say what the list would hold; write nothing.")] = False,
    allow_shrink: Annotated[bool, typer.Option("--allow-shrink", help="Let a large loss through, once.")] = False,
    max_shrink: Annotated[float, typer.Option(min=0.0, max=1.0, help="Largest share a pass may remove.")] = 0.5,
    on_change: Annotated[str, typer.Option(help="A command to run after the list was replaced (no shell).")] = "",
    health_file: Annotated[Path | None, typer.Option(help="Touched after every good pass.")] = None,
    url: Annotated[str, typer.Option(help="The exchange's address; else EXCHANGE_URL.")] = "",
    key_file: Annotated[Path | None, typer.Option(help="A file with the API key; else EXCHANGE_API_KEY.")] = None,
) -> None:
    """Bring the list up to date, atomically, from where the last pass stood; and with --follow keep it so."""
    if once == follow and not rehearse:
        raise typer.BadParameter("Choose --once or --follow.")
    found = config.load(url=url, key_file=key_file)
    job = sync.Job(
        path=path.resolve(),
        state_dir=(state or path.resolve().parent / f".{path.name}.state").resolve(),
        form=form.value,
        feed="" if feed == "all" else feed,
        kind=kind,
        min_confidence=min_confidence,
        max_shrink=max_shrink,
        allow_shrink=allow_shrink,
    )

    def after(done: sync.Pass) -> None:
        _tell(job, done)
        if done.written and on_change:
            subprocess.run(shlex.split(on_change), check=False)  # noqa: S603 - the operator's own command, no shell
        if health_file:
            health_file.touch()

    with sync.alone(job), Client(found.url, found.api_key, retries=5 if once else 0) as client:
        if rehearse:
            _rehearse(client, job)
        elif once:
            after(sync.run_once(client, job))
        else:
            _follow(client, job, after=after)


def _follow(client: Client, job: sync.Job, *, after: Callable[[sync.Pass], None]) -> None:
    """Pass after pass, each waiting at the exchange for something new, or for an entry's end, whichever is first."""
    signal.signal(signal.SIGTERM, _stop)
    pause_s = 1.0
    wait_s = 0
    while True:
        asked_at = time.monotonic()
        try:
            done = sync.run_once(client, job, wait_s=wait_s)
            after(done)
            if wait_s and not done.changes:  # an exchange with no room to wait in answers at once
                time.sleep(max(0.0, _LEAST_WAIT_S - (time.monotonic() - asked_at)))
            ends_in = sync.seconds_to_next_end(job)
            wait_s = _WAIT_S if ends_in is None else max(1, min(_WAIT_S, int(ends_in)))
            pause_s = 1.0
        except (Unreachable, sync.Shrunk) as problem:
            pause_s = _pause(problem, pause_s)
        except ApiError as error:
            if error.status in (401, 403, 404, 422):
                raise
            pause_s = _pause(error, pause_s)


def _pause(problem: Exception, pause_s: float) -> float:
    """Say it, wait, and wait longer next time."""
    errors.print(f"{_now()} {problem}; again in {pause_s:.0f} s", style="yellow", markup=False)
    time.sleep(pause_s)
    return min(pause_s * 2, _LONGEST_PAUSE_S)


def _rehearse(client: Client, job: sync.Job) -> None:
    before = output.count(job.path, form=job.form)
    done = sync.run_once(client, job, rehearse=True)
    errors.print(f"{job.path} holds {before} entries and would hold {done.entries}; nothing was written.", markup=False)


def _tell(job: sync.Job, done: sync.Pass) -> None:
    if not (done.written or done.changes):
        return
    what = "replaced" if done.written else "unchanged"
    again = ", from the beginning" if done.started_over else ""
    again += f"; {done.refused} values are not plain and were left out" if done.refused else ""
    errors.print(
        f"{_now()} {job.path.name} {what}: {done.entries} entries after {done.changes} changes{again}", markup=False
    )


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stop
