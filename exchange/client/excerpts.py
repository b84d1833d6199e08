"""`exchange excerpts`: excerpts of attackers' prompts, which people alone read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from exchange.client.errors import Unusable
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_json, print_table

app = typer.Typer(help="Send, list and end excerpts of attackers' prompts.", no_args_is_help=True)


@app.command()
def send(
    file: Annotated[Path, typer.Argument(help="A file with one x-exchange-excerpt.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Send one; a second person of your partner decides in the portal."""
    try:
        excerpt = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise Unusable(f"{file.name} is no JSON file that can be read.") from error
    if not isinstance(excerpt, dict):
        raise Unusable(f"{file.name} holds no JSON object.")
    with client_of(url, key_file) as client:
        sent = client.send_excerpt(excerpt)
    if as_json:
        print_json(sent)
    else:
        console.print(f"{sent['id']}  {sent['state']}", markup=False)


@app.command("list")
def list_excerpts(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Yours, without their texts."""
    with client_of(url, key_file) as client:
        found = client.excerpts()
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], one["state"], one["valid_until"][:19], one["indicator_ref"]) for one in found]
    print_table(("Id", "State", "Until", "Indicator"), rows, empty="No excerpt.")


@app.command()
def end(
    excerpt_id: Annotated[str, typer.Argument(help="Its id, as `list` shows it.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Delete one before its end."""
    with client_of(url, key_file) as client:
        client.end_excerpt(excerpt_id)
    if as_json:
        print_json({"ended": excerpt_id})
    else:
        console.print(f"{excerpt_id} is deleted.", markup=False)
