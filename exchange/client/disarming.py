"""`exchange disarmed`: what was revoked or withdrawn in bulk, and can come back for an hour."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_json, print_table

app = typer.Typer(help="What ended in bulk and can come back for an hour.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids that `list` shows; without any, all of them.")]


@app.command("list")
def list_disarmed(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """What can come back, and until when."""
    with client_of(url, key_file) as client:
        found = client.disarmed()
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["ended_by"], str(one["objects"]), one["at"][:19], (one["until"] or "")[:19], one["actor"])
        for one in found
    ]
    print_table(("Id", "By", "Objects", "At", "Until", "Actor"), rows, empty="Nothing is disarmed.")


@app.command()
def undo(ids: Ids = None, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Bring back what was disarmed: each object in the version and to the audience that it had."""
    with client_of(url, key_file) as client:
        undone = client.undo(ids or None)
    if as_json:
        print_json(undone)
        return
    for one in undone:
        stays = f"; {one['ended']:,} stay ended" if one["ended"] else ""
        console.print(f"{one['id']}  {one['brought_back']:,} came back{stays}", markup=False)
    if not undone:
        console.print("Nothing is disarmed.")
