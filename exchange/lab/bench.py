"""A lab's map, state and group, as the options of the command line say, and what is done with them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from exchange.client.errors import Unusable
from exchange.client.terminal import client_of
from exchange.client.tokens import tokeniser_of
from exchange.lab import output, reading, rounds
from exchange.lab.making import Maker
from exchange.lab.reasons import Explainer
from exchange.lab.rest import Rest
from exchange.lab.rounds import Settings
from exchange.lab.signatures import Signatures
from exchange.lab.state import State
from exchange.lab.transport import InCampaign

if TYPE_CHECKING:
    from exchange.client.api import Client
    from exchange.lab.output import Form
    from exchange.lab.rounds import Done
    from exchange.lab.scoring import Constants


@dataclass(slots=True)
class Bench:
    """A map, a state and a group, as the options say."""

    map_file: Path
    state_file: Path
    group: str
    url: str
    key_file: Path | None

    @contextmanager
    def open(self) -> Iterator[Open]:
        """With the exchange at hand."""
        wanted = reading.read_map(self.map_file)
        group = self.group or wanted.group
        if not group:
            raise Unusable('Which group? Give --group, or write group = "…" into the map.')
        with client_of(self.url, self.key_file) as client, State(self.state_file) as state:
            yield Open(wanted, state, client, group)


@dataclass(slots=True)
class Open:
    """A bench with the exchange at hand."""

    wanted: reading.Map
    state: State
    client: Client
    group: str
    signatures: Signatures | None = None

    def load(self) -> dict[str, Any]:
        """Read the source; take in what is new."""
        wrong: Counter[str] = Counter()
        before = len(self.state.accounts)
        with tokeniser_of(self.client, group=self.group) as tokeniser:
            maker = Maker(tokeniser)
            self.state.begin(maker.both(), payment=self.wanted.payment, scope=self.wanted.scope)
            signed, again = self._signed()
            for frame in reading.portions(self.wanted):
                new = frame if again else frame.join(self.state.accounts, on="account", how="anti")
                wrong.update(self.state.add(frame, maker=maker, skip=self.wanted.skip))
                if self.signatures or again:
                    self.state.keep_met(new["account"], self.signatures.met(new) if self.signatures else {})
        self.state.put(signed=signed)
        count = len(self.state.accounts)
        return {"accounts": count, "new": count - before, "tokens": len(self.state.tokens), "wrong": dict(wrong)}

    def _signed(self) -> tuple[str, bool]:
        """Take in the signatures that there are now: what names them, and whether they are others than last time.

        Where they are, the prompts of all accounts are tried again, old ones too.
        """
        if self.wanted.signatures and self.signatures is None:
            self.signatures = Signatures(self.wanted.signatures)
        signed = self.signatures.renew() if self.signatures else ""
        return signed, signed != self.state.get("signed", "")

    def round(self, constants: Constants) -> Done:
        """One round with the group."""
        rest = Rest(self.client, self.group)
        done = rounds.play(self.state, rest, constants=constants, settings=settings_of(self.wanted))
        self.state.put(campaigns={name: list(one) for name, one in rest.campaigns().items()})
        return done

    def put_out(self, constants: Constants, *, target: Path | None, form: Form, webhook: str) -> None:
        """Suspects into the file, and new ones to the webhook."""
        if not target and not webhook:
            return
        some = list(output.suspects(self.state, Explainer(self.state, constants), kept_campaigns(self.state)))
        if target:
            output.write(some, target, form)
        if webhook:
            told = set(self.state.get("webhook", []))
            new = [one for one in some if one["account"] not in told]
            if new:
                output.post(webhook, output.secret_from(), new)
                self.state.put(webhook=sorted(told | {one["account"] for one in new}))


@contextmanager
def existing(path: Path) -> Iterator[State]:
    """The state in this file. Raises Unusable where nothing was loaded into it."""
    if not path.exists():
        raise Unusable(f"{path}: no such state; `exchange-lab load` makes it")
    with State(path) as state:
        if state.get("tokens") is None or state.accounts.is_empty():
            raise Unusable(f"{path}: nothing was loaded yet; `exchange-lab load` does")
        yield state


def settings_of(wanted: reading.Map) -> Settings:
    """How rounds are played, as the map says."""
    return Settings(publisher_action=wanted.publisher_action, days=wanted.days)


def kept_campaigns(state: State) -> dict[str, InCampaign]:
    """The lab's accounts that are in a campaign, as the last round told it."""
    return {name: InCampaign(*one) for name, one in state.get("campaigns", {}).items()}


def labels_of(state: State, path: Path) -> tuple[Any, Any]:
    """Labels of all accounts, and which accounts have one."""
    wanted = reading.Map(path.parent, {"account": "account", "flagged": "label"}, file=path.name)
    if not path.exists():
        raise Unusable(f"{path}: no such file")
    read = pl.concat(list(reading.portions(wanted)))
    joined = state.accounts.select("account").join(read, on="account", how="left", maintain_order="left")
    return joined["flagged"].fill_null(value=False).to_numpy(), joined["flagged"].is_not_null().to_numpy()
