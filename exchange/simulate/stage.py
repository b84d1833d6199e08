"""The labs of the simulation at work: each makes tokens of what it finds, publishes them, and looks at what matched."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from exchange.client.api import Client
from exchange.client.tokenising import Tokeniser
from exchange.simulate import stix
from exchange.simulate.world import LABS, Step

#: The demo's group of all labs, to which everything that is found is shown.
GROUP = "ring"


class Stage:
    """The three labs with their clients, and what has happened so far."""

    def __init__(self, labs: dict[str, dict[str, Any]], address: str) -> None:
        self._labs = labs
        self._clients = {lab: Client(address, labs[lab]["api_key"]) for lab in LABS}
        self._tokenisers = {lab: Tokeniser(client, group=GROUP) for lab, client in self._clients.items()}
        self._fake: Counter[str] = Counter()
        self._benign: Counter[str] = Counter()
        self._requests: dict[str, int] = dict.fromkeys(LABS, 0)
        self._published: Counter[str] = Counter()
        self.refused = 0
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
                made = stix.indicators(self._tokenisers[lab], found, identity_id=self._labs[lab]["identity_id"])
                result = self._clients[lab].publish(made, groups=[GROUP])
                self._published[lab] += result.counts["accepted"]
                self.refused += len(result.refusals)
        if step.number % 2 == 0:
            self.look()

    def look(self) -> None:
        """What each lab now knows that it has in common with another."""
        for lab in LABS:
            for match in itertools.islice(self._clients[lab].matches(limit=500), 500):
                if match["id"] in self._matched[lab]:
                    continue
                self._matched[lab].add(match["id"])
                names = sorted({end["publisher"]["name"] for end in match["objects"]})
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
