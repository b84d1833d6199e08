"""`exchange`: the command line of a partner.

Exit status: 0 all well, 1 something was refused or waits in quarantine, 2 wrong usage or no answer.
"""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from exchange.client import auditing, ending, keys, slicing, telling, tokens
from exchange.client.api import Client
from exchange.client.errors import ApiError, ExchangeClientError, Unusable
from exchange.client.publishing import Mark, PublishResult, Refusal, loss_report
from exchange.client.terminal import (
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    errors,
    print_facts,
    print_json,
    print_table,
    progress_lines,
    version,
)
from exchange.client.webhooks import verify
from exchange.simulate.cli import simulate

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
_SHOWN_REFUSALS = 10


def main() -> None:
    """Entry point: what is expected to go wrong is one line, never a traceback."""
    try:
        app()
    except ExchangeClientError as error:
        errors.print(f"exchange: {error}", style="red", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"exchange {version()}")
        raise typer.Exit


@app.callback()
def _exchange(
    said: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Push, read and follow indicators of the Exchange. Set EXCHANGE_URL and EXCHANGE_API_KEY first."""


@app.command()
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
    report: Annotated[Path | None, typer.Option("--report", help="Write what was lost on the way in, as JSON.")] = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish files, whose objects are sent byte for byte as they stand, or a table of raw values as tokens."""
    if not files and table is None:
        raise Unusable("Publish what? Name a file, or a table with --csv and --map.")
    if (table is None) != (map_file is None):
        raise Unusable("--csv and --map go together.")
    audience: dict[str, Any] = {"groups": group or (), "partners": partner or (), "everyone": everyone, "tlp": tlp}
    audience |= {"report": report is not None, "wake": wake}
    total = PublishResult()
    with client_of(url, key_file) as client:
        for file in files or ():
            result = _publish_one(client, file, audience=audience, batch_size=batch_size, quiet=as_json)
            _join(total, result)
            if not as_json:
                _show_refusals(file, result)
        not_built: list[Any] = []
        if table is not None and map_file is not None:
            result, not_built = tokens.publish_table(client, table, map_file, batch_size=batch_size, **audience)
            _join(total, result)
            tokens.tell_not_built(table, not_built, as_json=as_json)
            if not as_json:
                _show_refusals(table, result)
    if report is not None:
        losses = loss_report(total)
        report.write_text(json.dumps(losses, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not as_json:
            _show_losses(losses)
    if as_json:
        told = {"refusals": _plain(total.refusals), "dropped": _plain(total.dropped)}
        told["marks"] = [{"index": mark.index, "id": mark.stix_id, **_said(mark)} for mark in total.marks]
        print_json({"counts": total.counts, "batches": total.batches} | told)
    else:
        _show_counts(total)
    raise typer.Exit(0 if total.ok and not not_built else 1)


@app.command()
def whoami(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Whose key this is, its groups and scopes. Before each group stands the slug that `--group` wants."""
    with client_of(url, key_file) as client:
        me = client.me()
    if as_json:
        print_json(me)
        return
    partner = me["partner"]
    print_facts(
        [
            ("Partner", f"{partner['slug']}: {partner['name']} ({partner['kind']})"),
            *[("Group", f"{group['slug']}: {group['name']}") for group in me["groups"] or []],
            *([] if me["groups"] else [("Group", "none")]),
            ("Scopes", ", ".join(me["scopes"])),
            ("Receives", f"up to TLP:{me['clearance'].upper()}"),
            ("Identity", partner["identity_id"]),
            ("Collection", partner["collection_id"]),
        ]
    )


@app.command()
def get(
    stix_id: Annotated[str, typer.Argument(help="The id of an object.")],
    versions: Annotated[str, typer.Option("--versions", help="last or all.")] = "last",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What each publisher says under an id, as JSON."""
    with client_of(url, key_file) as client:
        found = client.object(stix_id, versions=versions)
    if as_json:
        print_json(found)
    else:
        print(json.dumps(found, indent=2, ensure_ascii=False))


@app.command()
def search(
    words: Annotated[str, typer.Argument(help="Words of a title, a whole id or a whole value.")] = "",
    kind: Annotated[str, typer.Option(help="account-pattern, payment-fingerprint or prompt-signature.")] = "",
    publisher: Annotated[str, typer.Option(help="A partner's slug.")] = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 25,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Find objects, newest first."""
    filters = {name: value for name, value in {"q": words, "kind": kind, "publisher": publisher}.items() if value}
    rows: list[tuple[str, ...]] = []
    with client_of(url, key_file) as client:
        for count, found in enumerate(client.objects(limit=min(limit, 1_000), **filters), 1):
            if as_json:
                print_json(found)
            else:
                stix = found["object"]
                said = (found["date_added"][:19], found["publisher"]["slug"], found["tlp"], stix["id"])
                rows.append((*said, str(stix.get("name", stix["type"]))))
            if count >= limit:
                break
    if not as_json:
        names = ("Added", "Publisher", "TLP", "Id", "Title")
        print_table(names, rows, empty="Nothing that you may see fits.")


app.command()(tokens.tokenise)
app.command()(tokens.build)
app.command()(tokens.renew)
app.command()(tokens.blind)
app.command()(tokens.evaluate)
app.command()(tokens.finalise)
app.command()(ending.revoke)
app.command()(ending.withdraw)


@app.command()
def changes(
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and print what comes.")] = False,
    cursor: Annotated[str, typer.Option(help="Go on from here.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="The cursor, too, as a last line of JSON.")] = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """The delta feed, one change a line as JSON; the last cursor goes to standard error."""
    with client_of(url, key_file) as client:
        while True:
            stretch = client.changes(cursor, wait_s=25 if follow else 0, kind=kind)
            for change in stretch["changes"]:
                print_json(change)
            cursor = stretch["cursor"]
            if not follow and not stretch["more"]:
                break
    if as_json:
        print_json({"cursor": cursor})
    else:
        errors.print(f"cursor: {cursor}", style="dim", markup=False)


@app.command()
def matches(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 25,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What partners have in common, newest first: a line for each end, by the slug of its publisher."""
    rows: list[tuple[str, ...]] = []
    with client_of(url, key_file) as client:
        for count, match in enumerate(client.matches(limit=min(limit, 1_000)), 1):
            if as_json:
                print_json(match)
            else:
                said = (match["found_at"][:19], match["domain"])
                rows += [(*said, end["publisher"]["slug"], end["id"], end["title"]) for end in match["objects"]]
            if count >= limit:
                break
    if not as_json:
        print_table(("Found", "Same", "Publisher", "Id", "Title"), rows, empty="No match yet.")


@app.command()
def blocklist(
    feed: Annotated[str, typer.Argument(help="A feed's id, or all.")] = "all",
    form: Annotated[str, typer.Option("--format", help="text, csv or jsonl.")] = "text",
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    as_json: Annotated[bool, typer.Option("--json", help="As --format jsonl.")] = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """A flat list of every live value. To keep one up to date, use exchange-agent."""
    with client_of(url, key_file) as client:
        sys.stdout.buffer.write(client.blocklist(feed, form="jsonl" if as_json else form, kind=kind))


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")],
    feed: Annotated[str, typer.Option(help="A feed's id; without it, everything that you may see.")] = "",
    kind: Annotated[str, typer.Option(help="Only these kinds, separated by commas.")] = "",
    stix_type: Annotated[str, typer.Option("--type", help="Only these STIX types.")] = "",
    stix_id: Annotated[str, typer.Option("--id", help="Only these ids.")] = "",
    versions: Annotated[str, typer.Option(help="last or all.")] = "last",
    referenced: Annotated[
        bool, typer.Option("--referenced", help="With what is named: identities, markings, extensions.")
    ] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you published.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write objects as one STIX bundle, byte for byte as they were published."""
    filters = {"feed": feed, "kind": kind, "type": stix_type, "id": stix_id, "versions": versions}
    filters |= {"referenced": "true" if referenced else "", "mine": "true" if mine else ""}
    with client_of(url, key_file) as client:
        if str(output) == "-":
            client.stream_bundle(sys.stdout.buffer.write, **filters)
        else:
            size = client.export(output, **filters)
            if as_json:
                print_json({"file": str(output), "bytes": size})
            else:
                errors.print(f"{output}: {size:,} bytes", markup=False)


@app.command("verify-webhook")
def verify_webhook(
    secret_file: Annotated[Path, typer.Option(help="A file with the signing secret (whsec_…).")],
    message_id: Annotated[str, typer.Option("--id", help="The webhook-id header.")],
    timestamp: Annotated[str, typer.Option(help="The webhook-timestamp header.")],
    signature: Annotated[str, typer.Option(help="The webhook-signature header.")],
    as_json: Json = False,
) -> None:
    """Check the signature of a message on standard input, as a receiver does."""
    body = sys.stdin.buffer.read()
    good = verify(secret_file.read_text().strip(), message_id, timestamp=timestamp, signature=signature, body=body)
    if as_json:
        print_json({"good": good})
    else:
        console.print("good" if good else "bad")
    raise typer.Exit(0 if good else 1)


for command in (
    telling.subscribe,
    telling.subscriptions,
    telling.deliveries,
    telling.redeliver,
    telling.pause,
    telling.resume,
):
    app.command()(command)
app.command(name="rotate-secret")(telling.rotate_secret)
app.command(name="simulate")(simulate)
app.add_typer(auditing.app, name="audit")
app.add_typer(keys.app, name="keys")


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


def _join(total: PublishResult, result: PublishResult) -> None:
    for status, count in result.counts.items():
        total.counts[status] = total.counts.get(status, 0) + count
    total.refusals += result.refusals
    total.dropped += result.dropped
    total.marks += result.marks
    total.references += result.references
    total.entered |= result.entered
    total.batches += result.batches


def _show_refusals(file: Path, result: PublishResult) -> None:
    hidden = [mark for mark in result.marks if mark.code == "marking-unresolved"]
    listed: list[Refusal | Mark] = [*result.refusals, *result.dropped, *hidden]
    for one in listed[:_SHOWN_REFUSALS]:
        status = one.status if isinstance(one, Refusal) else "taken, but hidden"
        errors.print(
            f"{file.name}[{one.index}] {one.stix_id or '-'}: {status}, {one.code}"
            f" at {one.field or 'the object'}: {one.message}",
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


def _show_counts(total: PublishResult) -> None:
    table = Table(show_header=False, box=None, pad_edge=False)
    for status, count in total.counts.items():
        table.add_row(status, str(count))
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


__all__ = ["ApiError", "app", "main"]
