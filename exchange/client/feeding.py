"""`exchange feeds`: saved filters of one's own partner, and addresses of their lists."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.client.terminal import (
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    filled,
    print_answer,
    print_facts,
    print_json,
    print_table,
)

app = typer.Typer(help="List, save, change and delete feeds of your partner.")
FeedId = Annotated[str, typer.Argument(callback=filled, help="A feed's id.")]
FeedOrAll = Annotated[str, typer.Argument(callback=filled, help="A feed's id, or all.")]
Name = Annotated[str, typer.Argument(help="What you call it; no other partner reads that.")]
Line = Annotated[str, typer.Argument(help="A filter in one line (feeds.md): -control:unknown until:>2d.")]


@app.callback(invoke_without_command=True)
def feeds(context: typer.Context, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """List, save, change and delete feeds of your partner. Without a command: list them."""
    if context.invoked_subcommand is None:
        list_feeds(as_json=as_json, url=url, key_file=key_file)


@app.command("list")
def list_feeds(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Your partner's feeds, by name."""
    with client_of(url, key_file) as client:
        found = client.feeds()
    if as_json:
        print_json(found)
        return
    print_table(
        ("Id", "Name", "Filter"), [(one["id"], one["name"], one["text"]) for one in found], empty="No feed is saved."
    )


@app.command()
def save(name: Name, line: Line = "", as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Save a filter under a name, and print the feed's id; without a filter, everything that you may see."""
    with client_of(url, key_file) as client:
        _show(client.save_feed(name, line), as_json=as_json)


@app.command()
def change(
    feed: FeedId,
    line: Annotated[str | None, typer.Option("--filter", help="Another filter, in one line.")] = None,
    name: Annotated[str, typer.Option("--name", help="Another name.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Give a feed another filter or name. Agents are told what comes and what goes by that (`filtered`)."""
    with client_of(url, key_file) as client:
        _show(client.change_feed(feed, name=name, filters=line), as_json=as_json)


@app.command()
def delete(feed: FeedId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Delete a feed that no subscription uses."""
    with client_of(url, key_file) as client:
        client.delete_feed(feed)
    if as_json:
        print_json({"deleted": feed})
    else:
        console.print(f"{feed} is deleted.", markup=False)


@app.command()
def addresses(feed: FeedOrAll = "all", as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """The addresses of a feed's list, newest first."""
    with client_of(url, key_file) as client:
        found = client.list_addresses(feed)
    if as_json:
        print_json(found)
        return
    rows = [
        (one["id"], one["format"], one["state"], one["expires_at"][:16], (one["last_used_at"] or "never")[:16],
         ", ".join(one["networks"]) or "anywhere", one["name"])
        for one in found
    ]  # fmt: skip
    names = ("Id", "Format", "State", "Expires", "Last read", "From", "Name")
    print_table(names, rows, empty="This list has no address.")


@app.command()
def address(
    feed: FeedOrAll,
    name: Annotated[str, typer.Argument(help="What reads it.")],
    form: Annotated[str, typer.Option("--format", help="Of the list: text, csv, jsonl, nftables, edl-ip …")] = "text",
    network: Annotated[list[str] | None, typer.Option("--network", help="From this network only; repeat.")] = None,
    minutes: Annotated[int, typer.Option("--minutes", min=0, help="It lives so long; 0: 90 days.")] = 0,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make an address for a system that can send no key: it reads this list, and nothing else. Printed this once."""
    with client_of(url, key_file) as client:
        made = client.make_list_address(feed, name, form=form, networks=network or (), minutes=minutes)
    print_answer(made, id="id", format="format", expires="expires_at", address="address", as_json=as_json)


@app.command()
def end_address(
    feed: FeedOrAll,
    address_id: Annotated[str, typer.Argument(help="The address's id.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Revoke an address: from the next request on it is worthless."""
    with client_of(url, key_file) as client:
        client.end_list_address(feed, address_id)
    if as_json:
        print_json({"revoked": address_id})
    else:
        console.print(f"exl_{address_id}_… is revoked.", markup=False)


def _show(feed: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(feed)
    else:
        print_facts([("id", feed["id"]), ("name", feed["name"]), ("filter", feed["text"] or "everything")])
