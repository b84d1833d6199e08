"""What some commands of `exchange-agent` do: switch parts of the list off, rehearse a pass, send back what was met."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from exchange.agent import jobs, output, reporting, status, sync
from exchange.agent.policy import folded
from exchange.agent.store import Store
from exchange.client.api import Client
from exchange.client.errors import Unusable

if TYPE_CHECKING:
    from exchange.agent.configuration import Settings
    from exchange.client.config import Config
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


def switch_off(
    known: Sequence[jobs.Job], settings: Path | None, publisher: str = "", *, in_advance: bool = False
) -> None:
    """Enforce nothing of a publisher, or of the whole feed. Raises Unusable where nothing held is of the publisher."""
    names, of = {publisher or "*"}, set[tuple[str, str]]()
    if publisher:
        held = _publishers(known)
        wanted = folded(publisher)
        of = _all_of(wanted, held)
        if not of and not in_advance:
            there = ", ".join(sorted({name for _, name in held})) or "nobody"
            raise Unusable(
                f"Nothing that is held is of {publisher}, so nothing was switched off. What is held is of: {there}. "
                "To switch off a publisher of whom nothing came yet: --in-advance."
            )
        # by name and by id: who is named otherwise later stays switched off
        names = {word for each in of for word in each} or {publisher}
    _switch_all(known, settings, lambda killed: killed | names)
    if in_advance and publisher and not of:
        typer.echo(f"Nothing held is of {publisher}: it takes effect on whoever comes with exactly this name or id.")


def switch_on(known: Sequence[jobs.Job], settings: Path | None, publisher: str = "") -> None:
    """Undo that. Raises Unusable where this publisher is not switched off."""
    wanted = folded(publisher) if publisher else "*"
    of = {word for pair in _all_of(wanted, _publishers(known)) for word in pair} if publisher else set()
    with ExitStack() as opened:
        stores = [opened.enter_context(closing(jobs.open_store(job))) for job in known]
        off = {word for store in stores for word in store.killed()}
    again = {word for word in off if (word in of or folded(word) == wanted if publisher else word == "*")}
    if publisher and not again:
        raise Unusable(
            f"{publisher} is not switched off. Switched off is: {status.killed_words(off, _publishers(known))}."
        )
    _switch_all(known, settings, lambda killed: killed - again)


def _switch_all(
    known: Sequence[jobs.Job], settings: Path | None, changed: Callable[[frozenset[str]], frozenset[str]]
) -> None:
    """Change what is switched off in all of them first; only then count, and write lists."""
    with ExitStack() as opened:
        stores = [(job, opened.enter_context(closing(jobs.open_store(job)))) for job in known]
        before = [store.killed() for _, store in stores]
        for _, store in stores:
            store.kill(changed(store.killed()))
        for (job, store), killed_before in zip(stores, before, strict=True):
            _put(job, store, settings, killed_before)


def _put(job: jobs.Job, store: Store, settings: Path | None, killed_before: frozenset[str]) -> None:
    """Put the list in its place, and say what left it; what `run` keeps, it puts there itself."""
    killed = store.killed()
    if settings is None:
        try:
            with jobs.alone(job):
                sync.put(job, store)
        except Unusable:  # another agent is at work, and writes the list itself
            pass
    before, after = _listed(job, store, killed_before), _listed(job, store, killed)
    which = f" in {job.path.name}" if settings else ""
    moved = [
        f"{count} entries {word}"
        for count, word in ((before - after, "left"), (after - before, "came back"))
        if count > 0
    ]
    typer.echo(
        f"Switched off{which}: {status.killed_words(killed, store.publishers())}; "
        f"{moved[0] if moved else 'no entry left or came back'}, {after} stay."
    )


def _listed(job: jobs.Job, store: Store, killed: frozenset[str]) -> int:
    """How many values are to be blocked by what this store holds, with these switched off."""
    return len({(one.subkind, one.value) for one in sync.wanted(job, store, killed=killed)})


def _publishers(known: Sequence[jobs.Job]) -> set[tuple[str, str]]:
    """Of whom anything is held in any of these: id and name."""
    found: set[tuple[str, str]] = set()
    for job in known:
        with closing(jobs.open_store(job)) as store:
            found |= store.publishers()
    return found


def _all_of(wanted: str, held: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Every name of whoever has or had this name or id, which is `folded`: who was renamed is one publisher."""
    ids = {id_ for id_, name in held if wanted in (folded(id_), folded(name))}
    return {(id_, name) for id_, name in held if id_ in ids}


def which_listed(subkind: str, values: Sequence[str], found: Config, *, feed: str, group: str) -> dict[str, bool]:
    """Whether a feed lists each of these, by prefix. Raises Unusable for what is no value of this subkind."""
    from exchange.agent import ranges  # noqa: PLC0415 - normal forms, of telephone numbers for one, load long

    raw = [one for one in values if subkind in ranges.TOKENISED and not ranges.is_token(one)]
    forms = {one: [one] for one in values} | tokens_of(subkind, raw, found, group=group)
    told: dict[str, bool] = {}
    with Client(found.url, found.api_key) as client:
        of = ranges.Ranges(client, feed=feed)
        for value, under in forms.items():
            try:
                told[value] = any(of.listed(subkind, under).values())
            except ValueError as error:
                raise Unusable(f"{value}: {error}.") from error
    return told


def tokens_of(subkind: str, values: Sequence[str], found: Config, *, group: str) -> dict[str, list[str]]:
    """The tokens by which each raw value is listed, made here: those that are kept, else by one request.

    Raises Unusable for what is no value of this subkind, and where a group's key is needed and none is named.
    """
    if not values:
        return {}
    # The cryptography of tokens loads long.
    from exchange.agent import ranges  # noqa: PLC0415
    from exchange.client.keeping import Kept, state_dir  # noqa: PLC0415
    from exchange.client.tokenising import Tokeniser  # noqa: PLC0415

    if subkind not in ranges.TOKENISED:
        there = ", ".join(sorted(ranges.TOKENISED))
        raise Unusable(f"By tokens are listed: {there}. All else stands in clear: leave --subkind out.")
    with Kept() as kept, Client(found.url, found.api_key) as client:
        tokeniser = Tokeniser(client, kept=kept, group=group, pins=state_dir() / "pins.json")
        made = tokeniser.tokenise(subkind, values, look_up=True)
    for value, one in zip(values, made, strict=True):
        if one.problem:
            raise Unusable(f"{value}: no {subkind}: {one.problem}.")
    return {value: [token.value for token in one.tokens] for value, one in zip(values, made, strict=True)}


def rehearse_pass(client: Client, job: jobs.Job) -> None:
    """Say what a pass would do to the list; nothing is written."""
    before = output.count(job.path, form=job.form)
    done = sync.run_once(client, job, rehearse=True)
    errors.print(f"{job.path} holds {before} entries and would hold {done.entries}; nothing was written.", markup=False)
    tell_braked(job, done)
