"""`exchange simulate`: three labs of a group, one campaign, and what they find together that none finds alone."""

from __future__ import annotations

import itertools
import json
import os
import secrets
import time
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.simulate import stix
from exchange.simulate.world import LABS, Step, World

_STEP_S = 1.0
#: The demo's group of all labs, to which everything that is found is shown.
_GROUP = "ring"


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
    labs = _labs(data_dir)
    address = url or os.environ.get("EXCHANGE_URL", "") or _address(data_dir)
    played = seed if seed is not None else secrets.randbelow(1_000_000)
    stage = _Stage(labs, address)
    console = Console()
    console.print(
        f"Seed {played}. {clusters} clusters spread fake accounts over {len(labs)} labs, which publish into the group"
        f" '{_GROUP}'; each account stays under every limit."
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


class _Stage:
    """The three labs with their clients, and what has happened so far."""

    def __init__(self, labs: dict[str, dict[str, Any]], address: str) -> None:
        self._labs = labs
        self._clients = {lab: Client(address, labs[lab]["api_key"]) for lab in LABS}
        # In the demo the labs are a closed circle that holds the epoch's key itself.
        self._epoch_key = b"demo epoch key, shared by the three labs only"
        self._fake: Counter[str] = Counter()
        self._benign: Counter[str] = Counter()
        self._requests: dict[str, int] = dict.fromkeys(LABS, 0)
        self._published: Counter[str] = Counter()
        self._matched: dict[str, set[int]] = {lab: set() for lab in LABS}
        self._story: list[str] = []

    def play(self, step: Step) -> None:
        """Count what happened, publish what was found, look at what matched."""
        self._fake.update(step.fake)
        self._benign.update(step.benign)
        self._requests = step.requests
        for lab in LABS:
            found = [finding for finding in step.findings if finding.lab == lab]
            if found:
                identity = self._labs[lab]["identity_id"]
                made = [stix.indicator(one, identity_id=identity, epoch_key=self._epoch_key) for one in found]
                result = self._clients[lab].publish(made, groups=[_GROUP])
                self._published[lab] += result.counts["accepted"]
        if step.number % 2 == 0:
            self.look()

    def look(self) -> None:
        """What each lab now knows that it has in common with another."""
        for lab in LABS:
            for match in itertools.islice(self._clients[lab].matches(limit=500), 500):
                if match["id"] in self._matched[lab]:
                    continue
                self._matched[lab].add(match["id"])
                names = sorted(end["publisher"]["name"] for end in match["objects"])
                line = f"{' and '.join(names)} carry the same {match['domain'].replace('_', ' ')}"
                if not self._story or self._story[-1] != line:
                    self._story.append(line)

    def close(self) -> None:
        """Let go of the connections."""
        for client in self._clients.values():
            client.close()

    def picture(self, *, elapsed_s: int) -> RenderableType:
        """The screen."""
        table = Table(title=f"after {elapsed_s} s", title_justify="left")
        for column in ("Lab", "Sign-ups", "of them fake", "requests a day by these", "published", "matches seen"):
            table.add_column(column, justify="left" if column == "Lab" else "right")
        for lab in LABS:
            table.add_row(
                self._labs[lab]["name"],
                f"{self._benign[lab] + self._fake[lab]:,}",
                f"{self._fake[lab]:,}",
                f"{self._requests[lab]:,}",
                f"{self._published[lab]:,}",
                f"{len(self._matched[lab]):,}",
            )
        story = self._story[-6:] or ["Nobody sees it yet: every account is under every limit."]
        return Group(table, Panel(Text("\n".join(story)), title="What they find together", title_align="left"))


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
