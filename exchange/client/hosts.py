"""`exchange hosts`: the hosts and ranges that partners name as their own, and their proofs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

import typer

from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.client.terminal import Json, KeyFile, Url, client_of, print_json, print_table

app = typer.Typer(help="List, name, prove and end the hosts and ranges of your own services.", no_args_is_help=True)
Value = Annotated[str, typer.Argument(help="A host or range as `list` shows it, or its id.")]


@app.command("list")
def list_hosts(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """What all partners name as their own, and whether it is proven."""
    with client_of(url, key_file) as client:
        _show(client.service_hosts(), as_json=as_json)


@app.command()
def add(
    values: Annotated[list[str], typer.Argument(help="Host names, and networks in CIDR form.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Name hosts and ranges as your partner's: your own lists leave them out at once, others' once they are proven."""
    with client_of(url, key_file) as client:
        _show(client.add_service_hosts(values), as_json=as_json)


@app.command()
def check(value: Value, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Have the DNS of a host of yours asked for its record now."""
    with client_of(url, key_file) as client:
        _show([client.check_service_host(_id_of(client, value, own=True))], as_json=as_json)


@app.command()
def confirm(value: Value, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Say that a range is the partner's that names it: two say so, or the operator, who may for a host, too."""
    with client_of(url, key_file) as client:
        _show([client.confirm_service_host(_id_of(client, value, own=False))], as_json=as_json)


@app.command()
def end(value: Value, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Say that a host or range is your partner's no more."""
    with client_of(url, key_file) as client:
        client.end_service_host(host_id := _id_of(client, value, own=True))
    if as_json:
        print_json({"id": host_id, "state": "ended"})


def _id_of(client: Client, value: str, *, own: bool) -> str:
    """The id of what is named so: of one's own, or of others what is not proven."""
    for host in client.service_hosts():
        is_own = "challenge" in host
        if host["id"] == value or (host["value"] == value and is_own == own and (own or not host["proven"])):
            return str(host["id"])
    raise Unusable(f"Nothing is named {value}: `exchange hosts list`.")


def _show(hosts: Iterable[Mapping[str, Any]], *, as_json: bool) -> None:
    found = list(hosts)
    if as_json:
        print_json(found)
        return
    rows = [(one["value"], one["partner"]["slug"], _state(one), one["id"]) for one in found]
    print_table(("Value", "Partner", "State", "Id"), rows, empty="No host is named.")


def _state(host: Mapping[str, Any]) -> str:
    if host["proven"]:
        return f"proven by {host['proven_by']}" if host.get("proven_by") else "proven"
    if host.get("confirmed_by"):
        return f"not proven: confirmed by {host['confirmed_by']}, waits for a second partner"
    challenge = host.get("challenge")
    return f"not proven: TXT {challenge['name']} {challenge['value']}" if challenge else "not proven"
