"""`exchange keys`: the keys of one's own partner, with a key that has the scope `admin`."""

from __future__ import annotations

import re
from typing import Annotated, Any

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_answer, print_json, print_table

app = typer.Typer(help="List, issue, rotate and revoke keys of your partner.", no_args_is_help=True)
KeyId = Annotated[str, typer.Argument(help="The key's id, or the key itself; only its id is sent.")]

_NAMED = re.compile(r"(?:ex[kl]_)?([a-z2-7]{8})(?:_\S*)?")


@app.command("list")
def list_keys(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """The keys of your partner, newest first."""
    rows: list[tuple[str, ...]] = []
    with client_of(url, key_file) as client:
        found = client.api_keys()
    if as_json:
        print_json(found)
        return
    for one in found:
        groups = "all" if one["groups"] is None else ", ".join(one["groups"])
        networks = ", ".join(one["networks"]) or "anywhere"
        used = (one["last_used_at"] or "never")[:16]
        says = (one["id"], ", ".join(one["scopes"]), groups, networks, one["state"])
        rows.append((*says, one["expires_at"][:16], used, one["name"]))
    print_table(("Id", "May", "Groups", "From", "State", "Expires", "Last used", "Name"), rows, empty="No key.")


@app.command()
def issue(
    name: Annotated[str, typer.Argument(help="What will use it.")],
    scope: Annotated[list[str], typer.Option("--scope", help="read, publish, react, subscribe or admin; repeat.")],
    group: Annotated[list[str] | None, typer.Option("--group", help="For this group only (slug); repeat.")] = None,
    network: Annotated[list[str] | None, typer.Option("--network", help="From this network only; repeat.")] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=0, help="It lives so long; 0: 90 days.")] = 0,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a key that is no stronger than yours. It is printed, this once."""
    limits: dict[str, Any] = {"groups": group or [], "networks": network or []}
    if minutes:
        limits["expires_in_minutes"] = minutes
    with client_of(url, key_file) as client:
        made = client.issue_key(name, scopes=scope, **limits)
    print_answer(made, id="id", expires="expires_at", key="secret", as_json=as_json)


@app.command()
def rotate(
    key: KeyId,
    overlap: Annotated[int, typer.Option("--overlap-minutes", min=0, help="The old key lives on so long.")] = 1_440,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a successor with the same name and limits. It is printed, this once."""
    with client_of(url, key_file) as client:
        made = client.rotate_key(_id(key), overlap_minutes=overlap)
    print_answer(made, id="id", expires="expires_at", key="secret", as_json=as_json)


@app.command()
def revoke(key: KeyId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """End a key and all that descend from it: every plane refuses them within a second."""
    key_id = _id(key)
    with client_of(url, key_file) as client:
        client.revoke_key(key_id)
    if as_json:
        print_json({"revoked": key_id})
    else:
        console.print(f"exk_{key_id}_… is revoked.", markup=False)


def _id(key: str) -> str:
    named = _NAMED.fullmatch(key.strip())
    if named is None:
        raise typer.BadParameter("This is neither a key nor the id of one.")
    return named[1]
