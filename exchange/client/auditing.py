"""`exchange audit`: fetch heads and exports of the log, and verify them without the exchange.

Exit status: 0 all that was checked holds, 1 something does not, 2 wrong usage, no answer, or an unreadable file, 3 the
log is smaller or other than it was under a head that was kept: it was rewritten, or restored to an earlier point.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from exchange.client import audit
from exchange.client.errors import ApiError
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, errors, print_json

_WENT_BACK = 3
_NOT_FOUND = 404
app = typer.Typer(help="The log that cannot be rewritten: export it, and verify it offline.", no_args_is_help=True)
Output = Annotated[Path, typer.Option("--output", "-o", help="Where to write it.")]
Since = Annotated[
    Path | None, typer.Option("--since", help="A head or export that you keep: prove that the log extends it.")
]


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(help="An export, a head, or a report package (.zip).")],
    head: Annotated[Path | None, typer.Option("--head", help="A head or export that you kept.")] = None,
    public_key: Annotated[
        list[str] | None, typer.Option("--public-key", help="The log's key, base64 or a file; repeat after a change.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Verify signatures, records, proofs, and that the log only grew. Needs no network."""
    report = audit.verify(file, kept=head, public_keys=public_key or ())
    if as_json:
        told = {"verified": report.verified, "problems": report.problems, "notes": report.notes}
        print_json({"ok": report.ok, "went_back": report.went_back, **told})
        raise typer.Exit(_status(report))
    for line in report.verified:
        console.print(f"ok       {line}", markup=False)
    for line in report.problems:
        console.print(f"WRONG    {line}", markup=False)
    for line in report.notes:
        console.print(f"note     {line}", markup=False)
    console.print("All that was checked holds." if report.ok else "Not all is as it should be.")
    raise typer.Exit(_status(report))


def _status(report: audit.Report) -> int:
    return 0 if report.ok else _WENT_BACK if report.went_back else 1


@app.command()
def export(
    output: Output,
    since: Since = None,
    first_day: Annotated[str, typer.Option("--from", help="First day, YYYY-MM-DD.")] = "",
    last_day: Annotated[str, typer.Option("--until", help="Last day, YYYY-MM-DD.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write your partner's records as signed JSON Lines. Needs a key with `admin`."""
    with client_of(url, key_file) as client:
        content = _extending(since, lambda first: client.log_export(first=first, since=first_day, until=last_day))
    _write(output, content, since)
    records = content.count(b"\n") - 2
    if as_json:
        print_json({"file": str(output), "records": records})
    else:
        console.print(f"{records} records written to {output}", markup=False)
    _compare(output, since)


@app.command()
def head(output: Output, since: Since = None, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Write the last signed head, to keep."""
    with client_of(url, key_file) as client:
        document = _extending(since, lambda first: client.log_head(first=first))
    content = json.dumps({"type": "head", "format": audit.HEAD_FORMAT} | document) + "\n"
    _write(output, content.encode(), since)
    if as_json:
        print_json({"file": str(output), "size": document["head"]["size"]})
    else:
        console.print(f"head of {document['head']['size']} records written to {output}", markup=False)
    _compare(output, since)


def _extending[Answer](since: Path | None, fetch: Callable[[str], Answer]) -> Answer:
    """What `fetch` answers with the proof that it extends the kept head; where the log has no such head, without."""
    if since is None:
        return fetch("")
    try:
        return fetch(str(audit.read_head(since).size))
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return fetch("")


def _write(output: Path, content: bytes, since: Path | None) -> None:
    """Write it; in the place of the kept file only once it proves that the log of that one grew, else beside it."""
    if since is None or not output.exists() or not output.samefile(since):
        output.write_bytes(content)
        return
    beside = output.with_name(f"{output.name}.new")
    beside.write_bytes(content)
    _compare(beside, since)
    beside.replace(output.resolve())


def _compare(output: Path, since: Path | None) -> None:
    """Say so, with an exit status, where what was written is not the log of the kept head, grown."""
    if since is None or (report := audit.compare(output, since)).ok:
        return
    for line in report.problems:
        errors.print(f"WRONG    {line}", markup=False)
    errors.print(f"Keep {since}: it proves what the log was. What came now is in {output}.", markup=False)
    raise typer.Exit(_status(report))
