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
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from exchange.client import auditing, config, keys, slicing
from exchange.client.api import Client
from exchange.client.errors import ApiError, ExchangeClientError
from exchange.client.publishing import PublishResult, loss_report
from exchange.client.webhooks import verify
from exchange.simulate.cli import simulate

app = typer.Typer(
    help="Push, read and follow indicators of the Exchange. Set EXCHANGE_URL and EXCHANGE_API_KEY first.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
console = Console(highlight=False)
errors = Console(stderr=True, highlight=False, soft_wrap=True)

Url = Annotated[str, typer.Option("--url", help="The exchange's address; else EXCHANGE_URL.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="A file with the API key; else EXCHANGE_API_KEY.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]

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


@app.command()
def publish(
    files: Annotated[list[Path], typer.Argument(help="STIX bundles, envelopes or NDJSON; .gz is fine; - is stdin.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="Share with this group (slug); repeat.")] = None,
    partner: Annotated[list[str] | None, typer.Option("--partner", help="Share with this partner; repeat.")] = None,
    everyone: Annotated[bool, typer.Option("--everyone", help="Share with every partner.")] = False,
    tlp: Annotated[str, typer.Option("--tlp", help="clear, green, amber, amber+strict or red, for all objects.")] = "",
    batch_size: Annotated[int, typer.Option("--batch-size", min=1, max=5000)] = 500,
    report: Annotated[Path | None, typer.Option("--report", help="Write what was lost on the way in, as JSON.")] = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish files. Their objects are sent byte for byte as they stand; each one is answered."""
    audience: dict[str, Any] = {"groups": group or (), "partners": partner or (), "everyone": everyone, "tlp": tlp}
    audience["report"] = report is not None
    total = PublishResult()
    with _client(url, key_file) as client:
        for file in files:
            result = _publish_one(client, file, audience=audience, batch_size=batch_size, quiet=as_json)
            _join(total, result)
            if not as_json:
                _show_refusals(file, result)
    if report is not None:
        losses = loss_report(total)
        report.write_text(json.dumps(losses, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
        if not as_json:
            _show_losses(losses)
    if as_json:
        print(json.dumps({"counts": total.counts, "batches": total.batches, "refusals": _plain(total)}))
    else:
        _show_counts(total)
    raise typer.Exit(0 if total.ok else 1)


@app.command()
def whoami(url: Url = "", key_file: KeyFile = None) -> None:
    """Whose key this is, its groups and scopes."""
    with _client(url, key_file) as client:
        me = client.me()
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("Partner", f"{me['partner']['name']} ({me['partner']['kind']})")
    table.add_row("Groups", ", ".join(group["name"] for group in me["groups"]) or "none")
    table.add_row("Scopes", ", ".join(me["scopes"]))
    table.add_row("Receives", f"up to TLP:{me['clearance'].upper()}")
    table.add_row("Identity", me["partner"]["identity_id"])
    table.add_row("Collection", me["partner"]["collection_id"])
    console.print(table)


@app.command()
def get(
    stix_id: Annotated[str, typer.Argument(help="The id of an object.")],
    versions: Annotated[str, typer.Option("--versions", help="last or all.")] = "last",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What each publisher says under an id, as JSON."""
    with _client(url, key_file) as client:
        print(json.dumps(client.object(stix_id, versions=versions), indent=2, ensure_ascii=False))


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
    table = Table("Added", "Publisher", "TLP", "Id", "Title")
    with _client(url, key_file) as client:
        for count, found in enumerate(client.objects(limit=min(limit, 1_000), **filters), 1):
            if as_json:
                print(json.dumps(found, ensure_ascii=False))
            else:
                stix = found["object"]
                title = str(stix.get("name", stix["type"]))
                table.add_row(found["date_added"][:19], found["publisher"]["name"], found["tlp"], stix["id"], title)
            if count >= limit:
                break
    if not as_json:
        console.print(table if table.row_count else "Nothing that you may see fits.")


@app.command()
def revoke(
    stix_ids: Annotated[list[str], typer.Argument(help="Ids of objects of your own.")],
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Publish revoked versions: whoever holds the objects is told to drop them, and can read that you revoked them."""
    failed = False
    with _client(url, key_file) as client:
        for stix_id in stix_ids:
            result = client.revoke(stix_id)
            failed |= not result.ok
            told = "revoked" if result.ok else f"not revoked: {result.refusals[0].message}"
            console.print(f"{stix_id}  {told}", markup=False)
    raise typer.Exit(1 if failed else 0)


@app.command()
def withdraw(
    stix_ids: Annotated[list[str], typer.Argument(help="Ids of objects of your own.")],
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Take objects back: whoever holds them is told to drop them, and nobody sees them any more."""
    failed = False
    with _client(url, key_file) as client:
        for stix_id in stix_ids:
            try:
                client.withdraw(stix_id)
                told = "withdrawn"
            except ApiError as error:
                failed, told = True, f"not withdrawn: {error}"
            console.print(f"{stix_id}  {told}", markup=False)
    raise typer.Exit(1 if failed else 0)


@app.command()
def changes(
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and print what comes.")] = False,
    cursor: Annotated[str, typer.Option(help="Go on from here.")] = "",
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """The delta feed, one change a line as JSON; the last cursor goes to standard error."""
    with _client(url, key_file) as client:
        while True:
            stretch = client.changes(cursor, wait_s=25 if follow else 0, kind=kind)
            for change in stretch["changes"]:
                print(json.dumps(change, ensure_ascii=False), flush=True)
            cursor = stretch["cursor"]
            if not follow and not stretch["more"]:
                break
    errors.print(f"cursor: {cursor}", style="dim", markup=False)


@app.command()
def matches(
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 25, url: Url = "", key_file: KeyFile = None
) -> None:
    """What partners have in common, newest first."""
    table = Table("Found", "Same", "One side", "The other")
    with _client(url, key_file) as client:
        for count, match in enumerate(client.matches(limit=min(limit, 1_000)), 1):
            ends = [f"{end['title']} ({end['publisher']['name']})" for end in match["objects"]]
            table.add_row(match["found_at"][:19], match["domain"], *ends)
            if count >= limit:
                break
    console.print(table if table.row_count else "No match yet.")


@app.command()
def blocklist(
    feed: Annotated[str, typer.Argument(help="A feed's id, or all.")] = "all",
    form: Annotated[str, typer.Option("--format", help="text, csv or jsonl.")] = "text",
    kind: Annotated[str, typer.Option(help="Only this kind.")] = "",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """A flat list of every live value. To keep one up to date, use exchange-agent."""
    with _client(url, key_file) as client:
        sys.stdout.buffer.write(client.blocklist(feed, form=form, kind=kind))


@app.command()
def subscribe(
    address: Annotated[str, typer.Argument(help="The https address that is told.")],
    feed: Annotated[str, typer.Option(help="A feed's id; without it, everything.")] = "",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have an address told of changes by signed webhooks. Prints the signing secret, this once."""
    with _client(url, key_file) as client:
        made = client.subscribe(address, feed=feed or None)
    console.print(f"subscription  {made['id']}\nsecret        {made['secret']}", markup=False)


@app.command()
def subscriptions(
    test: Annotated[str, typer.Option(help="Send a ping to this subscription.")] = "",
    delete: Annotated[str, typer.Option(help="Delete this subscription.")] = "",
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Your webhook subscriptions."""
    with _client(url, key_file) as client:
        if test:
            outcome = client.test_subscription(test)
            console.print(outcome["outcome"], markup=False)
            raise typer.Exit(0 if outcome["delivered"] else 1)
        if delete:
            client.unsubscribe(delete)
            return
        table = Table("Id", "Address", "State")
        for one in client.subscriptions():
            table.add_row(one["id"], one["url"], one["state"])
        console.print(table if table.row_count else "No subscription.")


@app.command()
def export(
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to write; - is standard output.")],
    feed: Annotated[str, typer.Option(help="A feed's id; without it, everything that you may see.")] = "",
    kind: Annotated[str, typer.Option(help="Only these kinds, separated by commas.")] = "",
    stix_type: Annotated[str, typer.Option("--type", help="Only these STIX types.")] = "",
    stix_id: Annotated[str, typer.Option("--id", help="Only these ids.")] = "",
    versions: Annotated[str, typer.Option(help="last or all.")] = "last",
    referenced: Annotated[bool, typer.Option("--referenced", help="With the identities and markings named.")] = False,
    mine: Annotated[bool, typer.Option("--mine", help="Only what you published.")] = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write objects as one STIX bundle, byte for byte as they were published."""
    filters = {"feed": feed, "kind": kind, "type": stix_type, "id": stix_id, "versions": versions}
    filters |= {"referenced": "true" if referenced else "", "mine": "true" if mine else ""}
    with _client(url, key_file) as client:
        if str(output) == "-":
            client.stream_bundle(sys.stdout.buffer.write, **filters)
        else:
            size = client.export(output, **filters)
            errors.print(f"{output}: {size:,} bytes", markup=False)


@app.command("verify-webhook")
def verify_webhook(
    secret_file: Annotated[Path, typer.Option(help="A file with the signing secret (whsec_…).")],
    message_id: Annotated[str, typer.Option("--id", help="The webhook-id header.")],
    timestamp: Annotated[str, typer.Option(help="The webhook-timestamp header.")],
    signature: Annotated[str, typer.Option(help="The webhook-signature header.")],
) -> None:
    """Check the signature of a message on standard input, as a receiver does."""
    body = sys.stdin.buffer.read()
    good = verify(secret_file.read_text().strip(), message_id, timestamp=timestamp, signature=signature, body=body)
    console.print("good" if good else "bad")
    raise typer.Exit(0 if good else 1)


app.command(name="simulate")(simulate)
app.add_typer(auditing.app, name="audit")
app.add_typer(keys.app, name="keys")


def _client(url: str, key_file: Path | None) -> Client:
    found = config.load(url=url, key_file=key_file)
    return Client(found.url, found.api_key)


def _publish_one(
    client: Client, file: Path, *, audience: dict[str, Any], batch_size: int, quiet: bool
) -> PublishResult:
    objects = list(slicing.objects_in(file))
    if quiet or not errors.is_terminal:
        return client.publish(_as_bytes(objects), batch_size=batch_size, **audience)
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
    total.marks += result.marks
    total.references += result.references
    total.entered |= result.entered
    total.batches += result.batches


def _show_refusals(file: Path, result: PublishResult) -> None:
    for refusal in result.refusals[:_SHOWN_REFUSALS]:
        errors.print(
            f"{file.name}[{refusal.index}] {refusal.stix_id or '-'}: {refusal.status}, {refusal.code}"
            f" at {refusal.field or 'the object'}: {refusal.message}",
            style="yellow",
            markup=False,
        )
    if len(result.refusals) > _SHOWN_REFUSALS:
        errors.print(f"… and {len(result.refusals) - _SHOWN_REFUSALS} more; --json lists them all.", style="yellow")


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


def _plain(total: PublishResult) -> list[dict[str, Any]]:
    return [
        {
            "index": refusal.index,
            "id": refusal.stix_id,
            "status": refusal.status,
            "code": refusal.code,
            "field": refusal.field,
            "message": refusal.message,
        }
        for refusal in total.refusals
    ]


__all__ = ["ApiError", "app", "main"]
