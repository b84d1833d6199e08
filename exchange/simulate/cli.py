"""`exchange simulate`: three labs of a group, one campaign, and what they find together that none finds alone."""

from __future__ import annotations

import json
import os
import secrets
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.live import Live

from exchange.client.errors import Unusable
from exchange.simulate.world import LABS, World

_STEP_S = 1.0


def simulate(
    context: typer.Context,
    data_dir: Annotated[Path, typer.Option(help="The data directory of the running demo.")] = Path(".data"),
    url: Annotated[str, typer.Option(help="The demo's address; else what it wrote down when it started.")] = "",
    seconds: Annotated[int, typer.Option(min=1, max=3600, help="How long to play.")] = 60,
    clusters: Annotated[int, typer.Option(min=1, max=20, help="Heads of the hydra.")] = 4,
    pace: Annotated[int, typer.Option(min=1, max=50, help="New accounts per cluster and second, at most.")] = 6,
    seed: Annotated[int | None, typer.Option(help="The same seed plays the same campaign.")] = None,
) -> None:
    """Play a distillation campaign against the running demo, and watch the portal meanwhile."""
    if context.invoked_subcommand:
        return
    from exchange.simulate.stage import GROUP, Stage  # noqa: PLC0415 - stix2 takes its time to load

    labs = _labs(data_dir)
    address = url or os.environ.get("EXCHANGE_URL", "") or _address(data_dir)
    played = seed if seed is not None else secrets.randbelow(1_000_000)
    stage = Stage(labs, address)
    console = Console()
    console.print(
        f"Seed {played}. {clusters} clusters spread fake accounts over {len(labs)} labs, which publish into the group"
        f" '{GROUP}'; each account stays under every limit."
        f"\nWatch {address}/ (sign in as aster, borealis or cygnus; the passwords are in {data_dir}/demo.json)."
    )
    world = World(seed=played, clusters=clusters, pace=pace)
    started = time.monotonic()
    with Live(console=console, refresh_per_second=4) as live:
        for step in world.steps():
            stage.play(step)
            live.update(stage.picture(elapsed_s=int(time.monotonic() - started)))
            if time.monotonic() - started >= seconds:
                break
            time.sleep(max(0.0, step.number * _STEP_S - (time.monotonic() - started)))
        stage.look()
        live.update(stage.picture(elapsed_s=int(time.monotonic() - started)))
    stage.close()


def _labs(data_dir: Path) -> dict[str, dict[str, Any]]:
    path = data_dir / "demo.json"
    try:
        cast = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Unusable(f"{path} cannot be read: is the demo running with this data directory?") from error
    return {partner["slug"]: partner for partner in cast["partners"] if partner["slug"] in LABS}


def _address(data_dir: Path) -> str:
    try:
        return (data_dir / "url").read_text().strip()
    except OSError as error:
        raise Unusable("Where is the demo? Give --url.") from error
