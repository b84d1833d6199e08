"""`exchange campaigns` and `exchange campaign`: what the evidence of your groups amounts to, and one's own word."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Annotated, Any

import typer

from exchange.client.api import Client
from exchange.client.errors import Unusable
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_facts, print_json, print_table

_PATH = "/api/v1/campaigns"


def campaigns(
    ended: Annotated[bool, typer.Option("--ended", help="With those that have ended or are dismissed.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """The campaigns of your groups, the newest first, as their groups were told of them."""
    with client_of(url, key_file) as client:
        found = list(_all(client, ended=ended))
    if as_json:
        print_json(found)
        return
    rows = [
        (
            one["name"],
            one["alias"] or "",
            one["state"],
            one["grade"],
            _about(one["accounts"]),
            str(len(one["labs"])),
            one["first_seen"][:16],
            one["id"],
        )
        for one in found
    ]
    names = ("Name", "Alias", "State", "Grade", "Accounts", "Labs", "First seen", "Id")
    print_table(names, rows, empty="No campaign yet: evidence of at least two labs makes one.")


def campaign(
    wanted: Annotated[str, typer.Argument(metavar="CAMPAIGN", help="Its id, or its name in quotes.")],
    say: Annotated[str, typer.Option(help="Your partner's word: confirm, dismiss, two or one.")] = "",
    reason: Annotated[str, typer.Option(help="Why: confirmed_here, not_a_campaign, two_campaigns, …")] = "",
    other: Annotated[str, typer.Option(help="With `one`: the id of the other campaign.")] = "",
    unsay: Annotated[bool, typer.Option("--unsay", help="Take your partner's word back.")] = False,
    alias: Annotated[str | None, typer.Option(help="What your partner calls it; nobody else sees that.")] = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """One campaign: what holds it together, how it grew, who says what; and to say one's own word."""
    with client_of(url, key_file) as client:
        at = f"{_PATH}/{_id(client, wanted)}"
        if say:
            said = {"says": say, "reason": reason} | ({"other": other} if other else {})
            client.request("PUT", f"{at}/statement", body=json.dumps(said).encode())
        if unsay:
            client.request("DELETE", f"{at}/statement")
        if alias is not None:
            client.request("PATCH", at, body=json.dumps({"alias": alias}).encode())
        found = client.request("GET", at)
        found["events"] = client.request("GET", f"{at}/history")["events"]
    if as_json:
        print_json(found)
    else:
        _print(found)


def _all(client: Client, *, ended: bool) -> Iterator[dict[str, Any]]:
    params = {"ended": "true"} if ended else {}
    cursor: str | None = ""
    while cursor is not None:
        page = client.request("GET", _PATH, params=params | ({"cursor": cursor} if cursor else {}))
        yield from page["campaigns"]
        cursor = page["next"]


def _id(client: Client, wanted: str) -> str:
    """The id of a campaign that is named by its id, its name, or one's own alias."""
    if wanted.count("-") == 4 and " " not in wanted:
        return wanted.removeprefix("campaign--")
    named = [one["id"] for one in _all(client, ended=True) if wanted in (one["name"], one["alias"])]
    if len(named) != 1:
        raise Unusable(f"{wanted}: {'no campaign' if not named else 'several campaigns'} of this name that you may see")
    return str(named[0])


def _print(one: dict[str, Any]) -> None:
    facts = [("Campaign", one["name"] + (f" ({one['alias']})" if one["alias"] else ""))]
    facts += [("State", f"{one['state']}, {one['grade'].replace('_', ' ')}")]
    facts += [("Accounts", f"{_about(one['accounts'])}, of {len(one['labs'])} labs")]
    facts += [("Carried by", ", ".join(one["kinds"]))]
    facts += [("Seen", f"{one['first_seen']} to {one['last_seen']}")]
    did = ", ".join(f"{count:,} {action}" for action, count in one["yours"]["did"].items())
    facts += [("Yours", f"{one['yours']['accounts']:,}{f': {did}' if did else ''}")]
    facts += [("Why" if not place else "", why["sentence"]) for place, why in enumerate(one["reasons"])]
    for said in one["statements"]:
        changed = "; told otherwise since" if said["changed_since"] else ""
        facts += [(said["partner"]["name"], f"{said['says']}, {said['reason']}{changed}")]
    print_facts(facts)
    console.print()
    rows = [(each["at"][:16], each["kind"], ", ".join(each["causes"])) for each in one["events"]]
    print_table(("When", "What", "By"), rows, empty="Nothing became of it yet.")


def _about(bucket: str) -> str:
    """A bucket in words: 10^2 is "about 100"."""
    return f"about {10 ** int(bucket.removeprefix('10^')):,}" if bucket.startswith("10^") else bucket


COMMANDS = (campaigns, campaign)
