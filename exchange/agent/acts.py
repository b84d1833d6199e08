"""What some commands of `exchange-agent` do: switch parts of the list off, rehearse a pass, send back what was met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.agent import jobs, output, reporting, sync
from exchange.client.api import Client
from exchange.client.errors import Unusable

if TYPE_CHECKING:
    from exchange.agent.configuration import Settings
from exchange.agent.telling import errors, tell_braked


def send_report(found: Settings, *, as_json: bool) -> None:
    """Send what look-ups met to the exchange, and say how much was taken."""
    with Client(found.found.url, found.found.api_key) as client:
        sent = reporting.send(
            client, found.state, sightings=True, false_positives=True, now=datetime.now(UTC), all_hours=True
        )
    if as_json:
        typer.echo(json.dumps({"sightings": sent.sightings, "false_positives": sent.opinions, "refused": sent.refused}))
        return
    typer.echo(f"{sent.sightings} sightings, {sent.opinions} false positives sent")
    for code, count in sorted(sent.refused.items()):
        typer.echo(f"{count} not taken: {code}")


def switch(
    known: Sequence[jobs.Job], settings: Path | None, change: Callable[[frozenset[str]], frozenset[str]]
) -> None:
    """Change what is switched off, and put the list in its place; what `run` keeps, it puts there itself."""
    for job in known:
        with closing(jobs.open_store(job)) as store:
            store.kill(change(store.killed()))
            if settings is None:
                try:
                    with jobs.alone(job):
                        sync.put(job, store)
                except Unusable:  # another agent is at work, and writes the list itself
                    pass
            which = f" in {job.path.name}" if settings else ""
            typer.echo(f"Switched off{which}: {', '.join(sorted(store.killed())) or 'nothing'}.")


def rehearse_pass(client: Client, job: jobs.Job) -> None:
    """Say what a pass would do to the list; nothing is written."""
    before = output.count(job.path, form=job.form)
    done = sync.run_once(client, job, rehearse=True)
    errors.print(f"{job.path} holds {before} entries and would hold {done.entries}; nothing was written.", markup=False)
    tell_braked(job, done)
