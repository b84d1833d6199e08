"""`exchange keys`: the keys of one's own partner, with a key that has the scope `admin`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from exchange.client import config
from exchange.client.api import Client

app = typer.Typer(help="List, issue, rotate and revoke keys of your partner.", no_args_is_help=True)
console = Console(highlight=False, soft_wrap=True)

Url = Annotated[str, typer.Option("--url", help="The exchange's address; else EXCHANGE_URL.")]
KeyFile = Annotated[Path | None, typer.Option("--key-file", help="A file with the API key; else EXCHANGE_API_KEY.")]
KeyId = Annotated[str, typer.Argument(help="The key's id, or the key itself; only its id is sent.")]

_NAMED = re.compile(r"(?:exk_)?([a-z2-7]{8})(?:_\S*)?")


@app.command("list")
def list_keys(url: Url = "", key_file: KeyFile = None) -> None:
    """The keys of your partner, newest first."""
    table = Table("Id", "Name", "May", "Groups", "From", "State", "Expires", "Last used")
    with _client(url, key_file) as client:
        for one in client.api_keys():
            groups = "all" if one["groups"] is None else ", ".join(one["groups"])
            networks = ", ".join(one["networks"]) or "anywhere"
            used = (one["last_used_at"] or "never")[:16]
            says = (one["id"], one["name"], ", ".join(one["scopes"]), groups, networks, one["state"])
            table.add_row(*says, one["expires_at"][:16], used)
    console.print(table)


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="What will use it.")],
    scope: Annotated[list[str], typer.Option("--scope", help="read, publish, react, subscribe or admin; repeat.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="For this group only (slug); repeat.")] = None,
    network: Annotated[list[str] | None, typer.Option("--network", help="From this network only; repeat.")] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=0, help="It lives so long; 0: 90 days.")] = 0,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a key that is no stronger than yours. It is printed, this once."""
    limits: dict[str, Any] = {"groups": group or [], "networks": network or []}
    if minutes:
        limits["expires_in_minutes"] = minutes
    with _client(url, key_file) as client:
        _show(client.issue_key(name, scopes=scope, **limits))


@app.command()
def rotate(
    key: KeyId,
    overlap: Annotated[int, typer.Option("--overlap-minutes", min=0, help="The old key lives on so long.")] = 1_440,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a successor with the same name and limits. It is printed, this once."""
    with _client(url, key_file) as client:
        _show(client.rotate_key(_id(key), overlap_minutes=overlap))


@app.command()
def revoke(key: KeyId, url: Url = "", key_file: KeyFile = None) -> None:
    """End a key and all that descend from it: every plane refuses them within a second."""
    key_id = _id(key)
    with _client(url, key_file) as client:
        client.revoke_key(key_id)
    console.print(f"exk_{key_id}_… is revoked.", markup=False)


def _client(url: str, key_file: Path | None) -> Client:
    found = config.load(url=url, key_file=key_file)
    return Client(found.url, found.api_key)


def _id(key: str) -> str:
    named = _NAMED.fullmatch(key.strip())
    if named is None:
        raise typer.BadParameter("This is neither a key nor the id of one.")
    return named[1]


def _show(made: dict[str, Any]) -> None:
    console.print(f"id       {made['id']}\nexpires  {made['expires_at']}\nkey      {made['secret']}", markup=False)
