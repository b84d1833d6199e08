"""What the commands share: their common options, and how they print."""

from __future__ import annotations

import importlib.metadata
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from exchange.client import config
from exchange.client.api import Client
from exchange.client.publishing import PublishResult

#: Nothing is cut or wrapped: an id is copied from the screen, and a terminal wraps by itself.
console = Console(highlight=False, soft_wrap=True)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Url = Annotated[str, typer.Option("--url", help="The exchange's address; else EXCHANGE_URL.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="A file with the API key; else EXCHANGE_API_KEY.")]


def filled(ctx: typer.Context, param: typer.CallbackParam, value: str) -> str:
    """Refuse an option that is given and empty, such as `--feed "$FEED"` without FEED: it would mean everything."""
    source = ctx.get_parameter_source(str(param.name))
    if source is not None and source.name == "COMMANDLINE" and not value.strip():
        raise typer.BadParameter("It is empty. Leave it out for everything.")
    return value


FilterLine = Annotated[
    str,
    typer.Option("--filter", callback=filled, help="A filter in one line (feeds.md): -control:unknown until:>2d."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

_EVERY_S = 3.0


def version() -> str:
    """Of the distribution that the commands came in."""
    try:
        return importlib.metadata.version("exchange")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def client_of(url: str, key_file: Path | None) -> Client:
    """The client of the settings. Raises Unusable."""
    found = config.load(url=url, key_file=key_file)
    return Client(found.url, found.api_key)


def print_json(document: Any) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(document, ensure_ascii=False), flush=True)


def print_table(names: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str = "") -> None:
    """Columns, two blanks apart; the last is as long as it is. Without rows, `empty`."""
    if not rows:
        console.print(empty, markup=False)
        return
    lines = [[_plain(cell) for cell in row] for row in (names, *rows)]
    widths = [max(len(line[place]) for line in lines) for place in range(len(names) - 1)]
    for line in lines:
        cells = [cell.ljust(width) for cell, width in zip(line, widths, strict=False)]
        console.print("  ".join([*cells, line[-1]]).rstrip(), markup=False)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Names and what they are, a line each."""
    width = max(len(name) for name, _ in facts)
    for name, told in facts:
        console.print(f"{name.ljust(width)}  {_plain(told)}", markup=False)


def print_answer(document: Mapping[str, Any], *, as_json: bool, **facts: str) -> None:
    """An answer of the exchange: whole, as JSON, or those of its facts that are named, `label=property`."""
    if as_json:
        print_json(document)
    else:
        print_facts([(label, str(document[name])) for label, name in facts.items()])


def _plain(text: str) -> str:
    """A publisher's text on one line: nothing in it steers a terminal."""
    return "".join(char if char.isprintable() else " " for char in text)


def progress_lines(name: str, total: int) -> Callable[[int], None]:
    """For where there is no terminal: a line on standard error every few seconds, and none for what is done sooner."""
    done, told = 0, time.monotonic()

    def advance(more: int) -> None:
        nonlocal done, told
        done += more
        if time.monotonic() - told >= _EVERY_S:
            told = time.monotonic()
            errors.print(f"{name}: {done:,} of {total:,} objects", markup=False)

    return advance


def how_it_ended(result: PublishResult, *, lost: bool = False) -> int:
    """The exit status of a push; says what broke between two batches, once the answers so far are told."""
    if result.stopped is not None:
        errors.print(f"exchange: {result.stopped}", style="red", markup=False)
        errors.print(
            f"{result.total:,} answered, {len(result.unanswered):,} not: send all again, nothing is doubled.",
            markup=False,
        )
        return 2
    return 0 if result.ok and not lost else 1
