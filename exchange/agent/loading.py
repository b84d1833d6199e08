"""The look-ups of one file of settings, loaded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from exchange.agent import jobs
from exchange.agent.blocklist import Blocklist
from exchange.agent.configuration import Settings
from exchange.agent.renewing import renewed
from exchange.agent.tokening import Tokening
from exchange.client.api import Client
from exchange.client.keeping import Kept, state_dir
from exchange.client.tokenising import Tokeniser


@contextmanager
def looking_up(settings: Settings, *, renewing: bool = False) -> Iterator[Blocklist]:
    """The look-ups over all feeds, with the tokens that are kept on this machine.

    With `renewing` they follow the stores by themselves; else the caller brings them up to date.
    """
    for job in settings.jobs:
        jobs.open_store(job).close()
    found = settings.found
    with Kept() as kept, Client(found.url, found.api_key, retries=0, timeout_s=10) as client:
        tokening = Tokening(Tokeniser(client, kept=kept, group=settings.group, pins=state_dir() / "pins.json"))
        how: dict[str, Any] = {
            "policy": settings.policy,
            "tokening": tokening,
            "parts": [job.part for job in settings.jobs],
            "noting": True,
            "suspects": settings.suspects,
        }
        try:
            if renewing:
                with renewed(settings.stores, **how) as blocklist:
                    yield blocklist
            else:
                yield Blocklist(settings.stores, **how)
        finally:
            tokening.close()
