"""Which list a command is about: one that `sync` keeps, named by its file, or feeds of `run`, named by its settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from exchange.agent import jobs
from exchange.client import config
from exchange.client.errors import Unusable


def known(path: Path | None, *, state: Path | None, settings: Path | None, feed: str = "") -> Sequence[jobs.Job]:
    """The jobs of the one or the other, with the policy that is in force there. Raises Unusable."""
    if (path is None) == (settings is None):
        raise Unusable("Which list? --output FILE of `sync`, or --config FILE of `run`.")
    if path is not None:
        return [jobs.known_job(path.resolve(), state=state)]
    assert settings is not None
    from exchange.agent import configuration  # noqa: PLC0415 - libsodium is for who looks values up

    found = configuration.read(settings, online=False)
    wanted = [replace(job, policy=found.policy) for job in found.jobs if feed in ("", job.path.name)]
    if not wanted:
        raise Unusable(f"{feed} is no feed of {settings}. There are {', '.join(job.path.name for job in found.jobs)}.")
    for job in wanted:
        if not job.store_path.exists():
            raise Unusable(f"No agent keeps {job.path.name} yet: there is no {job.store_path}.")
    return wanted


def exchange(settings: Path | None, *, url: str, key_file: Path | None) -> config.Config:
    """Where the exchange is, and by which key it is asked. Raises Unusable."""
    if settings is None:
        return config.load(url=url, key_file=key_file)
    from exchange.agent import configuration  # noqa: PLC0415 - as above

    return configuration.read(settings).found


def keys(settings: Path | None, *, url: str, key_file: Path | None, group: str) -> tuple[config.Config, str]:
    """The same, and the group whose keys are meant, else that of the settings. Raises Unusable."""
    if settings is None:
        return config.load(url=url, key_file=key_file), group
    from exchange.agent import configuration  # noqa: PLC0415 - as above

    found = configuration.read(settings)
    return found.found, group or found.group
