"""`exchange revoke` and `exchange withdraw`: the end of objects of one's own, by id or by file."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from exchange.client import slicing
from exchange.client.publishing import WAITS, Ended, PublishResult, as_far_as_answered
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, errors, how_it_ended, print_json

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of objects of your own.")]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="A file that names them: what you pushed, or an id a line; - is stdin; repeat."),
]


def revoke(
    stix_ids: Ids = None, file: Files = None, as_json: Json = False, url: Url = "", key_file: KeyFile = None
) -> None:
    """Publish revoked versions: whoever holds the objects is told to drop them, and can read that you revoked them."""
    named = _named(stix_ids, file)
    with client_of(url, key_file) as client:
        _tell(as_far_as_answered(lambda: client.revoke(named)), "revoked", as_json=as_json)


def withdraw(
    stix_ids: Ids = None, file: Files = None, as_json: Json = False, url: Url = "", key_file: KeyFile = None
) -> None:
    """Take objects back: whoever holds them is told to drop them, and nobody sees them any more."""
    named = _named(stix_ids, file)
    with client_of(url, key_file) as client:
        _tell(as_far_as_answered(lambda: client.withdraw(named)), "withdrawn", as_json=as_json)


def _named(stix_ids: list[str] | None, files: list[Path] | None) -> list[str]:
    """Each id once, in order."""
    named = [*(stix_ids or ()), *(stix_id for file in files or () for stix_id in slicing.ids_in(file))]
    if not named and not files:
        raise typer.BadParameter("Name ids, or a file with --file.")
    return list(dict.fromkeys(named))


def _tell(result: PublishResult, word: str, *, as_json: bool) -> None:
    if as_json:
        print_json(
            {"counts": result.counts, "batches": result.batches, "results": [asdict(one) for one in result.ended]}
            | result.told_of_stop()
        )
    else:
        for one in result.ended:
            console.print(f"{one.stix_id}  {_words(one, word)}", markup=False)
        counts = ", ".join(f"{count:,} {status}" for status, count in result.counts.items() if count)
        errors.print(counts or "Nothing was named.", markup=False)
    raise typer.Exit(how_it_ended(result))


def _words(one: Ended, word: str) -> str:
    if one.status == "waiting":
        return f"not {word} yet: {WAITS}"
    if one.status == "accepted":
        return f"{word}; {one.message}" if one.code else word
    return f"already {word}" if one.status == "unchanged" else f"not {word}: {one.message} ({one.code})"


COMMANDS = (revoke, withdraw)
