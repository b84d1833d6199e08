"""`exchange publish`: files byte for byte, or a table of raw values as tokens."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from exchange.client import slicing, tokens
from exchange.client.api import Client
from exchange.client.errors import ExchangeClientError, Unusable
from exchange.client.publishing import WAITS, Mark, PublishResult, Refusal, Waiting, as_far_as_answered, loss_report
from exchange.client.terminal import (
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    errors,
    how_it_ended,
    print_json,
    progress_lines,
)

_SHOWN_REFUSALS = 10


def publish(
    files: Annotated[
        list[Path] | None, typer.Argument(help="STIX bundles, envelopes or NDJSON; .gz is fine; - is stdin.")
    ] = None,
    table: Annotated[Path | None, typer.Option("--csv", help="A CSV file of raw values: only tokens leave.")] = None,
    map_file: Annotated[Path | None, typer.Option("--map", help="With --csv: what each column is, as TOML.")] = None,
    group: Annotated[list[str] | None, typer.Option("--group", help="Share with this group (slug); repeat.")] = None,
    partner: Annotated[list[str] | None, typer.Option("--partner", help="Share with this partner; repeat.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Share with every partner.")] = False,
    tlp: Annotated[str, typer.Option("--tlp", help="clear, green, amber, amber+strict or red, for all objects.")] = "",
    wake: Annotated[bool, typer.Option("--wake", help="Bring back what you have withdrawn.")] = False,
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, max=5000)] = 500,
    validate: tokens.Validate = True,
    report: Annotated[Path | None, typer.Option("--report", help="Write what was lost on the way in, as JSON.")] = None,
    ids: Annotated[
        Path | None, typer.Option("--ids", help="With --csv: write which row got which id, for withdraw --file.")
    ] = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish files, whose objects are sent byte for byte as they stand, or a table of raw values as tokens."""
    _must_name(files, table, map_file, ids)
    for written in (report, ids):
        _may_be_written(written)
    audience: dict[str, Any] = {"groups": group or None, "partners": partner or None, "everyone": everyone, "tlp": tlp}
    audience |= {"report": report is not None, "wake": wake}
    total = PublishResult()
    with client_of(url, key_file) as client, _keeping(total):
        if validate and files:
            from exchange.client import validating  # noqa: PLC0415 - the schemas take their time to load

            audience["check"] = validating.check_for(
                client, groups=group or (), partners=partner or (), everyone=everyone
            )
        for file in files or ():
            once = partial(_publish_one, client, file, audience=audience, batch_size=batch_size, quiet=as_json)
            result = as_far_as_answered(once)
            total.join(result)
            if not as_json:
                _show_refusals(file, result)
            if total.stopped is not None:
                break
        not_built: list[Any] = []
        of_rows: list[dict[str, Any]] = []
        if table is not None and map_file is not None and total.stopped is None:
            result, not_built, built = tokens.publish_table(
                client, table, map_file, validate=validate, batch_size=batch_size, **audience
            )
            total.join(result)
            of_rows = tokens.rows_of(built, result)
            if ids is not None:
                ids.write_text("".join(f"{json.dumps(one)}\n" for one in of_rows), encoding="utf-8")
            tokens.tell_not_built(table, not_built, as_json=as_json)
            if not as_json:
                _show_refusals(table, result, places=[f"{table.name}:{one.line} {one.column}" for one in built])
    if report is not None:
        losses = loss_report(total)
        report.write_text(json.dumps(losses, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not as_json:
            _show_losses(losses)
    if as_json:
        told: dict[str, Any] = {"refusals": _plain(total.refusals), "dropped": _plain(total.dropped)}
        told["marks"] = [{"index": mark.index, "id": mark.stix_id, **_said(mark)} for mark in total.marks]
        told["waiting"] = [{"index": one.index, "id": one.stix_id} for one in total.waiting]
        told |= total.told_of_stop()
        if table is not None:
            told |= {"not_built": len(not_built), "rows": of_rows}
        print_json({"counts": total.counts, "batches": total.batches} | told)
    else:
        _show_counts(total, not_built=len(not_built))
    raise typer.Exit(how_it_ended(total, lost=bool(not_built)))


def _must_name(files: list[Path] | None, table: Path | None, map_file: Path | None, ids: Path | None) -> None:
    if not files and table is None:
        raise Unusable("Publish what? Name a file, or a table with --csv and --map.")
    if (table is None) != (map_file is None):
        raise Unusable("--csv and --map go together.")
    if ids is not None and table is None:
        raise Unusable("--ids is for a table: with --csv and --map.")


@contextmanager
def _keeping(total: PublishResult) -> Iterator[None]:
    """What breaks once something was answered is kept in `total`, not raised: the answers are told first."""
    try:
        yield
    except ExchangeClientError as error:
        if not total.batches:
            raise
        total.stopped = error


def _may_be_written(path: Path | None) -> None:
    """Raise Unusable before anything is published, not when the answers are to be written."""
    try:
        if path is not None:
            path.open("a", encoding="utf-8").close()
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror}") from error


def _publish_one(
    client: Client, file: Path, *, audience: dict[str, Any], batch_size: int, quiet: bool
) -> PublishResult:
    objects = list(slicing.objects_in(file))
    if quiet or not errors.is_terminal:
        told = None if quiet else progress_lines(file.name, len(objects))
        return client.publish(_as_bytes(objects), batch_size=batch_size, on_progress=told, **audience)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task(file.name, total=len(objects))
        return client.publish(
            _as_bytes(objects),
            batch_size=batch_size,
            on_progress=lambda done: progress.advance(task, done),
            **audience,
        )


def _as_bytes(objects: list[bytes]) -> bytes:
    return b'{"objects":[' + b",".join(objects) + b"]}"


def _show_refusals(file: Path, result: PublishResult, *, places: Sequence[str] = ()) -> None:
    """A line for each; `places` are those of the objects in a table, by their number."""
    hidden = [mark for mark in result.marks if mark.code == "marking-unresolved"]
    listed: list[Refusal | Mark | Waiting] = [*result.refusals, *result.waiting, *result.dropped, *hidden]
    for one in listed[:_SHOWN_REFUSALS]:
        place = places[one.index] if places else f"{file.name}[{one.index}]"
        if isinstance(one, Waiting):
            errors.print(f"{place} {one.stix_id}: {WAITS}", style="yellow", markup=False)
            continue
        status = one.status if isinstance(one, Refusal) else "taken, but hidden"
        errors.print(
            f"{place} {one.stix_id or '-'}: {status}, {one.code} at {one.field or 'the object'}: {one.message}",
            style="yellow",
            markup=False,
        )
    if len(listed) > _SHOWN_REFUSALS:
        errors.print(f"… and {len(listed) - _SHOWN_REFUSALS} more; --json lists them all.", style="yellow")


def _show_losses(losses: dict[str, Any]) -> None:
    """How many of what kind; the file lists each."""
    table = Table("What", "Code or place", "Objects")
    for what, name, key in (
        ("not taken", "refused", "code"),
        ("taken, marked", "marked", "code"),
        ("reference that leads nowhere", "unresolved", "field"),
        ("reference to what was not taken", "dangling", "field"),
    ):
        for place, count in sorted(Counter(_NUMBER.sub("/*", one[key]) for one in losses[name]).items()):
            table.add_row(what, place or "-", str(count))
    console.print(table if table.row_count else "Nothing was lost.")


_NUMBER = re.compile(r"/[0-9]+")


def _show_counts(total: PublishResult, *, not_built: int) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for status, count in total.counts.items():
        table.add_row(status, str(count))
    if not_built:
        table.add_row("not built", str(not_built))
    console.print(table)


def _plain(refusals: list[Refusal]) -> list[dict[str, Any]]:
    return [
        {
            "index": refusal.index,
            "id": refusal.stix_id,
            "status": refusal.status,
            **_said(refusal),
        }
        for refusal in refusals
    ]


def _said(about: Refusal | Mark) -> dict[str, str]:
    return {"code": about.code, "field": about.field, "message": about.message}


COMMANDS = (publish,)
