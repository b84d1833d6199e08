"""`exchange tokenise`, and for card environments `blind`, `evaluate`, `finalise`.

Raw values come in by standard input or from a file and leave in no form but blinded points: neither answers nor
errors repeat one. What is kept lies under EXCHANGE_STATE_DIR (`~/.local/share/exchange`), sealed.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client import cards
from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.client.keeping import Kept, state_dir
from exchange.client.pinning import Pins
from exchange.client.terminal import Json, KeyFile, Url, client_of, errors, print_json
from exchange.client.tokenising import Tokenised, Tokeniser

Subkind = Annotated[str, typer.Option("--subkind", help="email, phone, device, par, pan_token, iban_token, … .")]
TokenGroup = Annotated[str, typer.Option("--group", help="Whose key makes tokens of phrases and templates (slug).")]
Blinds = Annotated[Path, typer.Option("--blinds", help="The sealed file of blinds; its key lies beside it.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else standard output.")]


def tokenise(
    subkind: Subkind,
    group: TokenGroup = "",
    look_up: Annotated[bool, typer.Option("--look-up", help="Under every key that may hold a live token.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make tokens of values, one a line on standard input. Printed: number of the line, scheme, epoch, value."""
    with client_of(url, key_file) as client, tokeniser_of(client, group=group) as tokeniser:
        found = tokeniser.tokenise(subkind, _values(), look_up=look_up)
    _print(found, as_json=as_json)


def blind(
    subkind: Subkind,
    blinds: Blinds,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Inside a card environment, without network: blind values on standard input; only what is printed may leave."""
    request = cards.blind(subkind, _values(), blinds=blinds, now=datetime.now(UTC))
    _write(request, output)


def evaluate(
    request: Annotated[Path, typer.Argument(help="What `exchange blind` printed.")],
    output: Output = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Outside: have blinded values evaluated, for `exchange finalise` inside."""
    with client_of(url, key_file) as client:
        answer = cards.evaluate(client, _document(request))
    _write(answer, output)


def finalise(
    answer: Annotated[Path, typer.Argument(help="What `exchange evaluate` printed.")],
    blinds: Blinds,
    as_json: Json = False,
) -> None:
    """Inside again: verify the answer and print tokens. They are kept, so that nothing is asked again."""
    place = pins_path()
    pins = Pins.load(place)
    with Kept() as kept:
        found = cards.finalise(_document(answer), blinds=blinds, pins=pins, kept=kept)
    pins.save(place)
    _print(found, as_json=as_json)


@contextmanager
def tokeniser_of(client: Client, *, group: str = "") -> Iterator[Tokeniser]:
    """A tokeniser with what is kept and pinned on this machine."""
    with Kept() as kept:
        yield Tokeniser(client, kept=kept, group=group, pins=pins_path())


def pins_path() -> Path:
    """The file of pinned keys."""
    return state_dir() / "pins.json"


def _print(found: Iterable[Tokenised], *, as_json: bool) -> None:
    wrong = 0
    for number, one in enumerate(found, 1):
        wrong += bool(one.problem)
        if as_json:
            told = {"problem": one.problem} if one.problem else {"tokens": [each.document() for each in one.tokens]}
            print_json({"line": number} | told)
        elif one.problem:
            errors.print(f"line {number}: {one.problem}", style="yellow", markup=False)
        else:
            for token in one.tokens:
                sys.stdout.write(f"{number}\t{token.scheme}\t{token.key_epoch}\t{token.value}\n")
    raise typer.Exit(1 if wrong else 0)


def _values() -> list[str]:
    return [line.rstrip("\r\n") for line in sys.stdin]


def _document(path: Path) -> dict[str, Any]:
    try:
        document = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Unusable(f"{path}: is no file that the commands before wrote") from error
    if not isinstance(document, dict):
        raise Unusable(f"{path}: is no file that the commands before wrote")
    return document


def _write(document: dict[str, Any], output: Path | None) -> None:
    text = json.dumps(document) + "\n"
    if output is None:
        sys.stdout.write(text)
    else:
        output.write_text(text)
