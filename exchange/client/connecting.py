"""`exchange connections`: pull from and push to the servers of others, by the exchange itself."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.client.terminal import (
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    filled,
    print_facts,
    print_json,
    print_table,
)

app = typer.Typer(help="Pull from and push to TAXII servers and MISPs; needs the scope admin.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="Its name or id, as `exchange connections list` shows them.")]
Credential = Annotated[
    Path | None,
    typer.Option(
        "--credential-file",
        help="What the other server asks for: a token, `user:password`, or a whole Authorization header; - is"
        " standard input. Else the variable EXCHANGE_CONNECTION_CREDENTIAL.",
    ),
]
Strictest = Annotated[
    str, typer.Option("--strictest", callback=filled, help="clear, green, amber or amber+strict: what passes.")
]
IsMisp = Annotated[bool, typer.Option("--misp", help="It is a MISP, and the credential its key.")]
Says = Annotated[
    list[str] | None, typer.Option("--say", help="Of MISP: NAME=VALUE, said of all that may say it; repeat.")
]
Every = Annotated[int | None, typer.Option("--every", help="Seconds between two runs; 60 by default.")]
Feed = Annotated[str, typer.Option("--feed", callback=filled, help="The id of the feed that chooses of your own.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="Share with this group (slug); repeat.")]
Partners = Annotated[list[str] | None, typer.Option("--partner", help="Share with this partner; repeat.")]
Everyone = Annotated[bool, typer.Option("--everyone", help="Share with every partner.")]
TlpWord = Annotated[str, typer.Option("--tlp", callback=filled, help="The least strict marking that anything gets.")]

LogKey = Annotated[
    str, typer.Option("--log-key", help="The public key of the other exchange's log, or a file: its heads are checked.")
]

#: A whole header begins with its scheme, which holds no colon (RFC 9110 §11.1); passwords may hold spaces.
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+ ")


@app.command("list")
def list_connections(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Your partner's connections, and how each goes."""
    with client_of(url, key_file) as client:
        found = client.connections()
    if as_json:
        print_json(found)
        return
    rows = [(one["name"], f"{one['direction']} {one['kind']}", _state(one), one["outcome"], one["id"]) for one in found]
    print_table(("Name", "Way", "State", "Last run", "Id"), rows, empty="There is no connection.")


@app.command()
def show(which: Which, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """All about one."""
    with client_of(url, key_file) as client:
        _show(_find(client, which), as_json=as_json)


@app.command()
def pull(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    address: Annotated[str, typer.Argument(help="Of a collection, https://host/api1/collections/<id>/, or a MISP.")],
    credential_file: Credential = None,
    misp: IsMisp = False,
    say: Says = None,
    strictest: Strictest = "",
    group: Groups = None,
    partner: Partners = None,
    everyone: Everyone = False,
    tlp: TlpWord = "",
    every: Every = None,
    log_key: LogKey = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have the exchange pull from a TAXII collection or a MISP; without an audience your partner alone sees it."""
    audience = _given(groups=group, partners=partner, everyone=everyone, tlp=tlp)
    wish = _wish(name, address, "pull", credential_file, misp=misp, strictest=strictest, every_s=every, says=_said(say))
    wish |= audience | _given(log_key=_public_key(log_key))
    with client_of(url, key_file) as client:
        _show(client.connect(wish), as_json=as_json)


@app.command()
def push(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    address: Annotated[str, typer.Argument(help="Of a collection, https://host/api1/collections/<id>/, or a MISP.")],
    credential_file: Credential = None,
    misp: IsMisp = False,
    strictest: Strictest = "",
    feed: Feed = "",
    every: Every = None,
    log_key: LogKey = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have the exchange push to a TAXII collection or a MISP what your partner published under its name."""
    wish = _wish(name, address, "push", credential_file, misp=misp, strictest=strictest, every_s=every, feed=feed)
    wish |= _given(log_key=_public_key(log_key))
    with client_of(url, key_file) as client:
        _show(client.connect(wish), as_json=as_json)


@app.command()
def change(
    which: Which,
    name: Annotated[str, typer.Option("--name", callback=filled, help="Another name.")] = "",
    pause: Annotated[bool | None, typer.Option("--pause/--resume", help="Stop it for a time, or go on.")] = None,
    credential_file: Credential = None,
    strictest: Strictest = "",
    group: Groups = None,
    partner: Partners = None,
    everyone: Everyone = False,
    tlp: TlpWord = "",
    feed: Feed = "",
    every: Every = None,
    log_key: LogKey = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Change what is named; an audience that is named replaces the one before it."""
    wanted = _given(name=name, strictest=strictest, feed=feed, every_s=every, log_key=_public_key(log_key))
    wanted |= _given(groups=group, partners=partner, everyone=everyone, tlp=tlp)
    if pause is not None:
        wanted["state"] = "paused" if pause else "active"
    if not wanted and credential_file is None:
        raise Unusable("Name what is to change: `exchange connections change --help`.")
    with client_of(url, key_file) as client:
        one = _find(client, which)
        if credential_file is not None:
            wanted["authorization"] = _authorization(credential_file, misp=one["kind"] == "misp")
        _show(client.change_connection(one["id"], wanted), as_json=as_json)


@app.command()
def run(which: Which, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Have it run now; `show` says how that went."""
    with client_of(url, key_file) as client:
        _show(client.run_connection(_find(client, which)["id"]), as_json=as_json)


@app.command()
def end(which: Which, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """End it and have its credential forgotten. What came in stays yours."""
    with client_of(url, key_file) as client:
        client.end_connection(connection_id := _find(client, which)["id"])
    if as_json:
        print_json({"ended": connection_id})
    else:
        console.print("It has ended.")


def _find(client: Client, which: str) -> dict[str, Any]:
    for one in client.connections():
        if which in (one["id"], one["name"]):
            return one
    raise Unusable(f"No connection is called {which}: `exchange connections list`.")


def _wish(
    name: str, address: str, direction: str, credential_file: Path | None, *, misp: bool, **more: Any
) -> dict[str, Any]:
    kind = "misp" if misp else "taxii"
    wish = {"name": name, "kind": kind, "direction": direction, "url": address} | _given(**more)
    if authorization := _authorization(credential_file, misp=misp):
        wish["authorization"] = authorization
    return wish


def _said(say: list[str] | None) -> dict[str, str]:
    named = [one.partition("=") for one in say or ()]
    if not all(sign for _, sign, _ in named):
        raise Unusable("--say NAME=VALUE, as `exchange import` takes it.")
    return {name: text for name, _, text in named}


def _public_key(text: str) -> str:
    """As base64, from a file where there is one of this name."""
    path = Path(text)
    return path.read_text(encoding="ascii", errors="replace").strip() if text and path.is_file() else text


def _given(**named: Any) -> dict[str, Any]:
    return {name: value for name, value in named.items() if value}


def _authorization(file: Path | None, *, misp: bool = False) -> str:
    """The Authorization header that a credential stands for; never an argument, which other users of a host can see."""
    if file is None:
        said = os.environ.get("EXCHANGE_CONNECTION_CREDENTIAL", "")
    else:
        try:
            said = typer.get_text_stream("stdin").read() if str(file) == "-" else file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Unusable(f"{file}: cannot be read.") from error
    said = said.strip()
    if file is not None and not said:
        raise Unusable(f"{file}: is empty.")
    if not said or misp or _HEADER.match(said):
        return said
    if ":" in said:
        return f"Basic {base64.b64encode(said.encode()).decode()}"
    return f"Bearer {said}"


def _state(one: Mapping[str, Any]) -> str:
    return "failing" if one["failing_since"] else str(one["state"])


def _log(said: Mapping[str, Any]) -> str:
    if said["alarm"]:
        return f"{said['alarm']}: nothing passes; look, then `exchange connections change --log-key`"
    return f"{said['size']:,} records, signed {said['signed_at']}" if said["size"] else "not looked at yet"


def _show(one: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(dict(one))
        return
    audience = one["audience"] or {}
    who = ["everyone"] if audience.get("everyone") else [*audience.get("groups", ()), *audience.get("partners", ())]
    facts: Iterable[tuple[str, str]] = (
        ("id", one["id"]),
        ("name", one["name"]),
        ("way", f"{one['direction']} {one['kind']} {one['url']}"),
        ("state", _state(one)),
        ("passes", f"up to {one['strictest']}"),
        *((("audience", ", ".join(who) or "your partner alone"),) if one["audience"] else ()),
        ("every", f"{one['every_s']} s"),
        ("last run", f"{one['last_at'] or 'never'}: {one['outcome']}" if one["last_at"] else "not yet"),
        *((("its log", _log(one["log"])),) if one["log"] else ()),
        ("so far", ", ".join(f"{count:,} {name}" for name, count in sorted(one["counts"].items())) or "nothing"),
    )
    print_facts(list(facts))
