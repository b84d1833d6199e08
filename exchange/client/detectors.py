"""`exchange detectors`: the ids by which one's own indicators name what found something."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_facts, print_json, print_table

app = typer.Typer(help="List, register, rename and retire detectors of your partner.", no_args_is_help=True)
Code = Annotated[str, typer.Argument(help="Its id: d- and 8 hexadecimal digits.")]
Name = Annotated[str, typer.Argument(help="What you call it; no other partner reads that.")]
Version = Annotated[str, typer.Option("--set-version", help="A semantic version, such as 3.2.0.")]
Digest = Annotated[str, typer.Option("--sha256", help="Of what runs.")]


@app.command("list")
def list_detectors(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Your partner's detectors, by name, retired ones last."""
    with client_of(url, key_file) as client:
        found = client.detectors()
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["version"] or "", "retired" if one["retired_at"] else "active", one["name"]) for one in found
    ]
    print_table(("Id", "Version", "State", "Name"), rows, empty="No detector is registered.")


@app.command()
def register(
    name: Name,
    version: Version = "",
    sha256: Digest = "",
    code: Annotated[str, typer.Option("--id", help="One that your objects name already; else a new one.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Register a detector, and print its id."""
    with client_of(url, key_file) as client:
        _show(client.register_detector(name, version=version, sha256=sha256, detector_id=code), as_json=as_json)


@app.command()
def rename(
    code: Code,
    name: Annotated[str, typer.Argument(help="The new name; left out, it stays.")] = "",
    version: Version = "",
    sha256: Digest = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Give a detector another name, version or digest."""
    wanted = {word: value for word, value in (("name", name), ("version", version), ("sha256", sha256)) if value}
    with client_of(url, key_file) as client:
        _show(client.change_detector(code, **wanted), as_json=as_json)


@app.command()
def retire(code: Code, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Let no new version name a detector; what names it stays."""
    with client_of(url, key_file) as client:
        client.retire_detector(code)
    if as_json:
        print_json({"retired": code})
    else:
        console.print(f"{code} is retired.", markup=False)


def _show(made: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(made)
    else:
        print_facts([("id", made["id"]), ("name", made["name"]), ("version", made["version"] or "")])
