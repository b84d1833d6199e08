"""`exchange whoami`, `get`, `search`, `changes`, `matches`, `blocklist`: what the exchange shows."""

from __future__ import annotations

import json
import sys
from itertools import islice
from typing import Annotated

import typer

from exchange.client.terminal import (
    FilterLine,
    Json,
    KeyFile,
    Url,
    client_of,
    errors,
    filled,
    print_facts,
    print_json,
    print_table,
)


def whoami(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Whose key this is, its groups and scopes. Before each group stands the slug that `--group` wants."""
    with client_of(url, key_file) as client:
        me = client.me()
    if as_json:
        print_json(me)
        return
    partner = me["partner"]
    print_facts(
        [
            ("Partner", f"{partner['slug']}: {partner['name']} ({partner['kind']})"),
            *[("Group", f"{group['slug']}: {group['name']}") for group in me["groups"] or []],
            *([] if me["groups"] else [("Group", "none")]),
            ("Scopes", ", ".join(me["scopes"])),
            ("Receives", f"up to TLP:{me['clearance'].upper()}"),
            ("Identity", partner["identity_id"]),
            ("Collection", partner["collection_id"]),
        ]
    )


def limits(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """How far your partner shares, and how much goes out, or ends, before a second person looks."""
    with client_of(url, key_file) as client:
        partner = client.partner()
    ceiling, alone, caps = partner["ceiling"], partner["four_eyes"], partner["caps_in_force"]
    if as_json:
        names = ("ceiling", "operator_ceiling", "four_eyes", "caps", "operator_caps", "caps_in_force")
        print_json({name: partner[name] for name in names})
        return
    bound = {name: "any number" if most is None else f"{most:,}" for name, most in caps.items()}
    hourly = "" if alone["objects"] is None else f", {alone['objects']:,} objects an hour"
    print_facts(
        [
            ("Ceiling", f"TLP:{ceiling['tlp'].upper()} or stricter, to {ceiling['audience']}"),
            ("Alone", f"TLP:{alone['tlp'].upper()} or stricter, to {alone['audience']}{hourly}"),
            ("Objects a day", bound["objects"]),
            ("Recipients a day", bound["recipients"]),
            ("Broad values a day", bound["broad"]),
            ("Ended an hour", f"{bound['ends']}; more are disarmed"),
        ]
    )


def get(
    stix_id: Annotated[str, typer.Argument(help="The id of an object.")],
    versions: Annotated[str, typer.Option("--versions", help="last or all.")] = "last",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What each publisher says under an id, as JSON."""
    with client_of(url, key_file) as client:
        found = client.object(stix_id, versions=versions)
    if as_json:
        print_json(found)
    else:
        print(json.dumps(found, indent=2, ensure_ascii=False))


def search(
    words: Annotated[str, typer.Argument(help="Words of a title or an id, or how they begin; or a whole value.")] = "",
    kind: Annotated[
        str, typer.Option(callback=filled, help="account-pattern, payment-fingerprint or prompt-signature.")
    ] = "",
    publisher: Annotated[str, typer.Option(callback=filled, help="A partner's slug.")] = "",
    line: FilterLine = "",
    limit: Annotated[int, typer.Option(min=1, max=10_000)] = 25,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Find objects, newest first."""
    filters = {
        name: value
        for name, value in {"q": words, "kind": kind, "publisher": publisher, "filter": line}.items()
        if value
    }
    rows: list[tuple[str, ...]] = []
    with client_of(url, key_file) as client:
        for count, found in enumerate(client.objects(limit=min(limit, 1_000), **filters), 1):
            if as_json:
                print_json(found)
            else:
                stix = found["object"]
                said = (found["date_added"][:19], found["publisher"]["slug"], found["tlp"], stix["id"])
                rows.append((*said, str(stix.get("name", stix["type"]))))
            if count >= limit:
                break
    if not as_json:
        names = ("Added", "Publisher", "TLP", "Id", "Title")
        print_table(names, rows, empty="Nothing that you may see fits.")


def changes(
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and print what comes.")] = False,
    cursor: Annotated[str, typer.Option(help="Go on from here.")] = "",
    kind: Annotated[str, typer.Option(callback=filled, help="Only this kind.")] = "",
    line: FilterLine = "",
    as_json: Annotated[bool, typer.Option("--json", help="The cursor, too, as a last line of JSON.")] = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """The delta feed, one change a line as JSON; the last cursor goes to standard error."""
    with client_of(url, key_file) as client:
        while True:
            stretch = client.changes(cursor, wait_s=25 if follow else 0, kind=kind, line=line)
            for change in stretch["changes"]:
                print_json(change)
            cursor = stretch["cursor"]
            if not follow and not stretch["more"]:
                break
    if as_json:
        print_json({"cursor": cursor})
    else:
        errors.print(f"cursor: {cursor}", style="dim", markup=False)


def matches(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many; with --since, on one page.")] = 25,
    since: Annotated[str, typer.Option(help="What was found after this place, oldest first; `now` for a place.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What partners have in common, newest first: a line for each object, by the slug of its publisher.

    With --since, prints the place to ask from next time, as `exchange changes` does.
    """
    place = ""
    with client_of(url, key_file) as client:
        if since:
            page = client.matches_since("" if since == "now" else since, limit=min(limit, 1_000))
            found, place = page["matches"], page["since"]
        else:
            found = list(islice(client.matches(limit=min(limit, 1_000)), limit))
    if as_json:
        for match in found:
            print_json(match)
        if place:
            print_json({"since": place})
        return
    rows = [
        (match["found_at"][:19], match["domain"], end["publisher"]["slug"], end["id"], end["title"])
        for match in found
        for end in match["objects"]
    ]
    print_table(("Found", "Same", "Publisher", "Id", "Title"), rows, empty="No match yet.")
    if place:
        errors.print(f"since: {place}", style="dim", markup=False)


def blocklist(
    feed: Annotated[str, typer.Argument(callback=filled, help="A feed's id, or all.")] = "all",
    form: Annotated[str, typer.Option("--format", help="text, csv or jsonl.")] = "text",
    kind: Annotated[str, typer.Option(callback=filled, help="Only this kind.")] = "",
    line: FilterLine = "",
    as_json: Annotated[bool, typer.Option("--json", help="As --format jsonl.")] = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """A flat list of every live value. To keep one up to date, use exchange-agent."""
    with client_of(url, key_file) as client:
        sys.stdout.buffer.write(client.blocklist(feed, form="jsonl" if as_json else form, kind=kind, line=line))


def preview(
    line: Annotated[str, typer.Argument(help="A filter in one line.")] = "",
    feed: Annotated[str, typer.Option(callback=filled, help="A feed's id, which the line narrows.")] = "all",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What a filter lets through before it is saved as a feed: how much, and how much is new, covered, disputed."""
    with client_of(url, key_file) as client:
        found = client.preview_feed(line, feed=feed)
    if as_json:
        print_json(found)
        return
    more = " and more" if found["cut"] else ""
    names = {"changed_7d": "made within 7 days", "covered": "in your other feeds", "disputed": "disputed now"}
    names |= {"ended_disputed": "ended disputed"}
    print_facts(
        [
            ("holds", f"{found['holds']}{more}"),
            *((said, str(found[name])) for name, said in names.items() if name in found),
        ]
    )


COMMANDS = (preview, whoami, limits, get, search, changes, matches, blocklist)
