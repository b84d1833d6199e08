"""`exchange import` and `exchange export`: MISP, NOVA, CSV and STIX, each with a report of what was lost or changed."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO

import typer

from exchange.client import slicing, tokens
from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.client.publishing import WAITS, PublishResult
from exchange.client.terminal import (
    FilterLine,
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    errors,
    filled,
    how_it_ended,
    print_json,
)

if TYPE_CHECKING:
    from exchange.client.importing import Wishes
    from exchange.client.tables import Built
    from exchange.formats.losses import Loss

Report = Annotated[Path | None, typer.Option("--report", help="Write what was lost or changed, and why, as JSON.")]
_MOST_TOLD = 20
_STIX = "stix"


def import_(
    file: Annotated[Path, typer.Argument(help="The file to import; - is standard input.")],
    form: Annotated[str, typer.Option("--format", help="misp, nova or csv.")],
    map_file: Annotated[
        Path | None, typer.Option("--map", help="What each column is, or what is said of each subkind, as TOML.")
    ] = None,
    say: Annotated[
        list[str] | None, typer.Option("--say", help="NAME=VALUE, said of all that may say it; repeat.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the indicators, one a line, and publish nothing.")
    ] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="Share with this group (slug); repeat.")] = None,
    partner: Annotated[list[str] | None, typer.Option("--partner", help="Share with this partner; repeat.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Share with every partner.")] = False,
    tlp: Annotated[str, typer.Option("--tlp", help="clear, green, amber, amber+strict or red, for all.")] = "",
    report: Report = None,
    validate: tokens.Validate = True,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish what a file of another format says: raw values become tokens here, and only tokens leave."""
    from exchange.client import importing  # noqa: PLC0415 - stix2 takes its time to load

    if form not in importing.FORMS:
        raise Unusable(f"--format: one of {', '.join(importing.FORMS)}.")
    wishes = replace(_wishes(map_file, form, say or ()), tlp=tlp, validate=validate)
    with client_of(url, key_file) as client:
        made, losses = _imported(client, file, form, map_file, wishes, group=_token_group(client, group))
        result = PublishResult()
        if output is not None:
            output.write_text("".join(f"{one.indicator.serialize()}\n" for one in made), encoding="utf-8")
        elif made:
            audience = {"groups": group or None, "partners": partner or None, "everyone": everyone, "tlp": tlp}
            result = tokens.publish_built(client, made, **audience)
    outcome = _Outcome(file, form, len(made), losses, result, published=output is None)
    outcome.write(report)
    outcome.say(as_json=as_json)
    raise typer.Exit(how_it_ended(result, lost=any(one.is_lost for one in losses)))


def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")],
    form: Annotated[str, typer.Option("--format", help="stix, misp, nova or csv.")] = _STIX,
    feed: Annotated[
        str, typer.Option(callback=filled, help="A feed's id; all means everything that you may see.")
    ] = "all",
    kind: Annotated[str, typer.Option(callback=filled, help="Only these kinds, separated by commas.")] = "",
    stix_type: Annotated[str, typer.Option("--type", callback=filled, help="Only these STIX types.")] = "",
    stix_id: Annotated[str, typer.Option("--id", callback=filled, help="Only these ids.")] = "",
    versions: Annotated[str, typer.Option(help="last or all.")] = "last",
    referenced: Annotated[
        bool, typer.Option("--referenced", help="With what is named: identities, markings, extensions.")
    ] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you published.")] = False,
    line: FilterLine = "",
    source: Annotated[
        Path | None, typer.Option("--from", help="Convert this file of STIX objects, and ask no exchange.")
    ] = None,
    report: Report = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write objects as one STIX bundle, byte for byte as they were published, or in another format."""
    filters = {"feed": feed, "kind": kind, "type": stix_type, "id": stix_id, "versions": versions}
    filters |= {"referenced": "true" if referenced else "", "mine": "true" if mine else "", "filter": line}
    losses: list[dict[str, Any]] = []
    if source is not None:
        size = _converted(source, form, output, losses)
    else:
        with client_of(url, key_file) as client:
            size = _fetched(client, form, output, filters)
            if form != _STIX and (report is not None or not as_json):
                losses = list(client.export_losses(form, **filters))
    _tell_export(output, form, size, losses, report, as_json=as_json)


def _wishes(map_file: Path | None, form: str, say: Sequence[str]) -> Wishes:
    from exchange.client import importing  # noqa: PLC0415
    from exchange.formats import flat  # noqa: PLC0415

    named = [one.partition("=") for one in say]
    if wrong := next((name for name, sign, _ in named if not sign or name not in (*flat.NAMES, "confidence")), ""):
        raise Unusable(f"--say {wrong}: there is no such name. Names: {', '.join(flat.NAMES)}, confidence.")
    said = flat.unsaid({name: text for name, _, text in named})
    if "confidence" in said:
        if not str(said["confidence"]).isdecimal():
            raise Unusable("--say confidence: a whole number.")
        said["confidence"] = int(said["confidence"])
    found = importing.of_map(map_file) if map_file is not None and form != "csv" else importing.Wishes()
    return replace(found, says={**found.says, **said})


def _imported(
    client: Client, file: Path, form: str, map_file: Path | None, wishes: Wishes, *, group: str
) -> tuple[list[Built], list[Loss]]:
    from exchange.client import importing  # noqa: PLC0415
    from exchange.formats.losses import Loss  # noqa: PLC0415

    with tokens.tokeniser_of(client, group=group) as tokeniser:
        if form == "csv" and map_file is not None:
            every = list(importing.of_table(file, map_file, tokeniser, validate=wishes.validate))
        else:
            wishes = replace(wishes, identity=client.me()["partner"]["identity_id"])
            every = list(importing.built(importing.read(file, form), wishes, tokeniser))
    losses = [one for one in every if isinstance(one, Loss)]
    return [one for one in every if not isinstance(one, Loss)], losses


def _token_group(client: Client, groups: Sequence[str] | None) -> str:
    """Whose key makes tokens of phrases: the first group that is named, else of the default audience."""
    if groups:
        return groups[0]
    default = client.partner().get("default_audience") or {}
    return next(iter(default.get("groups") or ()), "")


class _Outcome:
    """What became of an import: for the screen, as JSON, and as a report."""

    def __init__(
        self, file: Path, form: str, made: int, losses: Sequence[Loss], result: PublishResult, *, published: bool
    ) -> None:
        self._losses = [one.document() for one in losses]
        self._document: dict[str, Any] = {
            "file": file.name,
            "format": form,
            "indicators": made,
            "losses": _counts(self._losses),
        }
        self._result = result
        if published:
            told = [{"id": one.stix_id, "status": one.status, "code": one.code, "field": one.field,
                     "message": one.message} for one in result.refusals]  # fmt: skip
            waiting = [one.stix_id for one in result.waiting]
            self._document |= {"counts": result.counts, "refusals": told, "waiting": waiting} | result.told_of_stop()

    def write(self, report: Path | None) -> None:
        """The report, with each loss."""
        if report is not None:
            _write_report(report, self._document | {"losses": self._losses, "by_code": self._document["losses"]})

    def say(self, *, as_json: bool) -> None:
        """What there is to say."""
        if as_json:
            print_json(self._document | {"losses": self._losses})
            return
        _show_losses(self._document["file"], self._losses)
        for one in self._result.refusals[:_MOST_TOLD]:
            errors.print(f"{one.stix_id}: {one.status}, {one.code} at {one.field or 'the object'}: {one.message}",
                         style="yellow", markup=False)  # fmt: skip
        for waiting in self._result.waiting[:_MOST_TOLD]:
            errors.print(f"{waiting.stix_id}: {WAITS}", style="yellow", markup=False)
        counts = ", ".join(f"{count:,} {status}" for status, count in self._result.counts.items() if count)
        told = f"{self._document['indicators']:,} indicators" + (f": {counts}" if counts else "")
        console.print(told, markup=False)


def _show_losses(name: str, losses: Sequence[Mapping[str, Any]]) -> None:
    lost = [one for one in losses if one["what"] == "lost"]
    for one in lost[:_MOST_TOLD]:
        at = f" at {one['at']}" if "at" in one else ""
        errors.print(f"{name}{one['path']}: {one['code']}{at}: {one['message']}", style="yellow", markup=False)
    if len(lost) > _MOST_TOLD:
        errors.print(f"… and {len(lost) - _MOST_TOLD} more; --report lists them all.", style="yellow")
    changed = Counter(one["code"] for one in losses if one["what"] == "changed")
    for code, count in sorted(changed.items()):
        errors.print(f"{name}: {count:,} times {code}", style="dim", markup=False)


def _counts(losses: Iterable[Mapping[str, Any]]) -> dict[str, int]:
    return dict(sorted(Counter(one["code"] for one in losses).items()))


def _write_report(report: Path, document: Mapping[str, Any]) -> None:
    report.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """The file, whole or not at all; `-` is standard output."""
    if str(output) == "-":
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    try:
        with part.open("wb") as file:
            yield file
        part.replace(output)
    finally:
        part.unlink(missing_ok=True)


def _fetched(client: Client, form: str, output: Path, filters: dict[str, str]) -> int:
    with _opened(output) as file:
        if form == _STIX:
            return client.stream_bundle(file.write, **filters)
        return client.stream_export(form, file.write, **filters)


def _converted(source: Path, form: str, output: Path, losses: list[dict[str, Any]]) -> int:
    """A file of STIX objects in another format, by the converters of the exchange itself."""
    from exchange import formats  # noqa: PLC0415 - the schemas take their time to load

    writer = formats.writer_of(form)
    if writer is None:
        raise Unusable("--format: one of misp, nova, csv with --from.")
    objects = (json.loads(raw) for raw in slicing.objects_in(source))
    size = 0
    with _opened(output) as file:
        for piece in writer(objects, lambda loss: losses.append(loss.document())):
            file.write(piece)
            size += len(piece)
    return size


def _tell_export(
    output: Path, form: str, size: int, losses: list[dict[str, Any]], report: Path | None, *, as_json: bool
) -> None:
    if report is not None:
        told = {"file": output.name, "format": form, "bytes": size, "by_code": _counts(losses), "losses": losses}
        _write_report(report, told)
    if str(output) == "-":
        return
    if as_json:
        print_json({"file": str(output), "bytes": size})
        return
    _show_losses("", losses)
    errors.print(f"{output}: {size:,} bytes", markup=False)


COMMANDS = (import_, export)
