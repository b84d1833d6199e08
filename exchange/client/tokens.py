"""`exchange tokenise`, `build`, `renew`, and for card environments `blind`, `evaluate`, `finalise`.

Raw values come in by standard input or from a file and leave in no form but blinded points: neither answers nor
errors repeat one. What is kept lies under EXCHANGE_STATE_DIR (`~/.local/share/exchange`), sealed.
"""

from __future__ import annotations

import json
import sqlite3
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from exchange.client.api import Client
from exchange.client.errors import ApiError, ExchangeClientError, Unusable
from exchange.client.keeping import Kept, state_dir
from exchange.client.pinning import Pins
from exchange.client.publishing import PublishResult, as_far_as_answered
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, errors, how_it_ended, print_json

if TYPE_CHECKING:
    from exchange.client import tables
    from exchange.client.tokenising import Tokenised, Tokeniser

Subkind = Annotated[str, typer.Option("--subkind", help="email, phone, device, par, pan_token, iban_token, … .")]
TokenGroup = Annotated[str, typer.Option("--group", help="Whose key makes tokens of phrases and templates (slug).")]
Blinds = Annotated[Path, typer.Option("--blinds", help="The sealed file of blinds; its key lies beside it.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else standard output.")]
Validate = Annotated[
    bool, typer.Option("--validate/--no-validate", help="Leave out what the exchange's schemas refuse.")
]
_MOST_TOLD = 20
#: Of a group's keys: the scope is not there, no member any more, a group that takes nothing new.
_NO_KEYS = (403, 404, 409)
#: What may fail once something is published: the network, the exchange, the file of what is kept, its disk.
_AFTERWARDS = (ExchangeClientError, sqlite3.Error, OSError)


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


def build(
    table: Annotated[Path, typer.Option("--csv", help="A CSV file with a header, of raw values.")],
    map_file: Annotated[Path, typer.Option("--map", help="What each column is, as TOML.")],
    output: Output = None,
    validate: Validate = True,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Build complete indicators of raw columns: one STIX object a line, and a line for each value that gave none."""
    with client_of(url, key_file) as client:
        built, not_built = built_from(client, table, map_file, validate=validate)
    lines = "".join(f"{one.indicator.serialize()}\n" for one in built)
    if output is None:
        sys.stdout.write(lines)
    else:
        output.write_text(lines, encoding="utf-8")
    tell_not_built(table, not_built, as_json=as_json)
    if not_built and not as_json:
        errors.print(f"{len(built):,} built, {len(not_built):,} not built", markup=False)
    raise typer.Exit(1 if not_built else 0)


def renew(
    group: Annotated[
        list[str] | None, typer.Option("--group", help="Of groups' keys, this group's alone; repeat.")
    ] = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish a new version of what `publish --csv` published, with tokens of the next key. Once a week is enough."""
    with client_of(url, key_file) as client:
        total = PublishResult()
        for tokeniser in _for_each_group(client, group):
            total.join(renew_all(client, tokeniser))
            if total.stopped is not None:
                break
    if as_json:
        print_json({"counts": total.counts, "refusals": [one.code for one in total.refusals]} | total.told_of_stop())
    else:
        done = sum(total.counts.values())
        console.print(f"{done} renewed" if done else "Nothing ends.", markup=False)
    raise typer.Exit(how_it_ended(total))


def blind(
    subkind: Subkind,
    blinds: Blinds,
    output: Output = None,
    as_json: Json = False,
) -> None:
    """Inside a card environment, without network: blind values on standard input; only what is printed may leave."""
    from exchange.client import cards  # noqa: PLC0415 - the cryptography of tokens loads long

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
    from exchange.client import cards  # noqa: PLC0415 - the cryptography of tokens loads long

    with client_of(url, key_file) as client:
        answer = cards.evaluate(client, _document(request))
    _write(answer, output)


def finalise(
    answer: Annotated[Path, typer.Argument(help="What `exchange evaluate` printed.")],
    blinds: Blinds,
    as_json: Json = False,
) -> None:
    """Inside again: verify the answer and print tokens. They are kept, so that `exchange build` needs no network."""
    from exchange.client import cards  # noqa: PLC0415 - the cryptography of tokens loads long

    place = pins_path()
    pins = Pins.load(place)
    with Kept() as kept:
        found = cards.finalise(_document(answer), blinds=blinds, pins=pins, kept=kept)
    pins.save(place)
    _print(found, as_json=as_json)


def built_from(
    client: Client, table: Path, map_file: Path, *, validate: bool = True
) -> tuple[list[tables.Built], list[tables.NotBuilt]]:
    """What a table gives, and what it does not."""
    from exchange.client import tables  # noqa: PLC0415 - stix2 takes its time to load

    wanted = tables.read_map(map_file)
    with tokeniser_of(client, group=wanted.group) as tokeniser:
        every = list(tables.build_all(table, wanted, tokeniser))
    if validate:
        every = list(tables.checked(every))
    return (
        [one for one in every if isinstance(one, tables.Built)],
        [one for one in every if isinstance(one, tables.NotBuilt)],
    )


def publish_table(
    client: Client, table: Path, map_file: Path, *, validate: bool = True, **audience: Any
) -> tuple[PublishResult, list[tables.NotBuilt], list[tables.Built]]:
    """Build and publish a table; the answers, what was not built, and what was sent, in the order of the answers."""
    from exchange.client import repeating  # noqa: PLC0415 - stix2 takes its time to load

    built, not_built = built_from(client, table, map_file, validate=validate)
    names = (sorted(audience.get(name) or ()) for name in ("groups", "partners"))
    place = json.dumps([client.url, *names, audience.get("everyone"), audience.get("tlp")])
    with tokeniser_of(client) as tokeniser:
        assert tokeniser.kept is not None
        built = list(repeating.settled(tokeniser.kept, built, place=place, now=tokeniser.now()))
    result = publish_built(client, built, **audience)
    result.leave_ended()
    return result, not_built, built


def rows_of(built: list[tables.Built], result: PublishResult) -> list[dict[str, Any]]:
    """Which cell got which id, of what the exchange took: `withdraw --file` reads a file of them, one a line."""
    refused = {one.index for one in result.refusals}
    told = [{"id": one.indicator["id"], "line": one.line, "column": one.column} for one in built]
    unknown = refused.union(result.unanswered)
    return [one for place, one in enumerate(told) if place not in unknown]


def publish_built(client: Client, built: list[tables.Built], **audience: Any) -> PublishResult:
    """Publish what was built, and keep what was made of what, for `renew`.

    What fails once something is published is told, never raised: the caller must not lose the answers and the ids.
    """
    objects = [one.indicator for one in built]
    result = as_far_as_answered(lambda: client.publish(objects, **audience))
    _keep_made(client, _taken(built, result))
    if result.stopped is None:
        _tell_due(client)
    return result


def _taken(built: list[tables.Built], result: PublishResult) -> list[tables.Built]:
    """What is in the exchange now, or will be once a second person confirms it, which nobody tells this machine."""
    taken = result.entered | {one.stix_id for one in result.waiting}
    return [one for one in built if one.indicator["id"] in taken]


def _keep_made(client: Client, entered: list[tables.Built]) -> None:
    from exchange.client import renewing  # noqa: PLC0415 - stix2 takes its time to load

    try:
        with tokeniser_of(client) as tokeniser:
            assert tokeniser.kept is not None
            renewing.remember(tokeniser.kept, entered)
    except _AFTERWARDS as error:
        errors.print(
            f"Published, but what it was made of could not be kept ({error}): exchange renew will not find it.",
            style="yellow",
            markup=False,
        )


def _tell_due(client: Client) -> None:
    """How many of before lack a token of the next key, or that this could not be asked."""
    from exchange.client import renewing  # noqa: PLC0415 - stix2 takes its time to load

    try:
        waiting = {
            one["object"]["id"]
            for tokeniser in _for_each_group(client)
            if tokeniser.kept is not None
            for one in renewing.due(tokeniser.kept, now=tokeniser.now(), under=renewing.epochs_now(tokeniser))
        }
    except _AFTERWARDS as error:
        errors.print(
            f"Published. What lacks a token of the next key could not be asked ({error}): exchange renew asks again.",
            style="yellow",
            markup=False,
        )
        return
    if waiting:
        errors.print(f"{len(waiting)} published before lack a token of the next key: exchange renew", style="yellow")


def _for_each_group(client: Client, named: list[str] | None = None) -> Iterator[Tokeniser]:
    """A tokeniser for each group named, else for each whose keys live indicators were made with; one at the least.

    A group that is not named, and that hands out no keys any more, is told and left out: its member may have left.
    """
    from exchange.client import renewing  # noqa: PLC0415 - stix2 takes its time to load

    with tokeniser_of(client) as tokeniser:
        assert tokeniser.kept is not None
        groups = named or renewing.groups_of(tokeniser.kept, now=tokeniser.now())
    for group in groups or [""]:
        with tokeniser_of(client, group=group) as tokeniser:
            if named or not group or _hands_out(tokeniser):
                yield tokeniser
            else:
                yield replace(tokeniser, group="")


def _hands_out(tokeniser: Tokeniser) -> bool:
    try:
        tokeniser.group_keys()
    except ApiError as error:
        if error.status not in _NO_KEYS:
            raise
        errors.print(
            f"group {tokeniser.group}: no keys for you ({error.code}); its tokens stay as they are",
            style="yellow",
            markup=False,
        )
        return False
    return True


def renew_all(client: Client, tokeniser: Tokeniser) -> PublishResult:
    """Publish new versions of all that lacks a token of a key that is published under now."""
    from exchange.client import renewing  # noqa: PLC0415 - stix2 takes its time to load

    assert tokeniser.kept is not None
    now = tokeniser.now()
    waiting = renewing.due(tokeniser.kept, now=now, under=renewing.epochs_now(tokeniser))
    built = list(renewing.renewed(tokeniser, waiting, now=now))
    if not built:
        return PublishResult()
    objects = [one.indicator for one in built]
    result = as_far_as_answered(lambda: client.publish(objects))
    _keep_made(client, _taken(built, result))
    return result


def tell_not_built(table: Path, not_built: list[tables.NotBuilt], *, as_json: bool) -> None:
    """A line for each value that gave no indicator, by its line and column."""
    for one in not_built if as_json else not_built[:_MOST_TOLD]:
        if as_json:
            errors.print(json.dumps(one.document()), markup=False)
        else:
            at = f"{table.name}:{one.line} {one.column}".rstrip()
            errors.print(f"{at}: {one.said}", style="yellow", markup=False)
    if not as_json and len(not_built) > _MOST_TOLD:
        errors.print(f"… and {len(not_built) - _MOST_TOLD} more; --json lists them all.", style="yellow")


@contextmanager
def tokeniser_of(client: Client, *, group: str = "") -> Iterator[Tokeniser]:
    """A tokeniser with what is kept and pinned on this machine."""
    from exchange.client.tokenising import Tokeniser  # noqa: PLC0415 - the cryptography of tokens loads long

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


COMMANDS = (tokenise, build, renew, blind, evaluate, finalise)
