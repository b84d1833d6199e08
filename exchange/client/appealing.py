"""`exchange appeal` and `exchange appeals`: what support files by token, and what others file on one's own."""

from __future__ import annotations

import re
import sys
from typing import Annotated, Any

import typer

from exchange.client.errors import Unusable
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, filled, print_json, print_table
from exchange.client.tokens import tokeniser_of
from exchange.stix import words

_SCOPE = re.compile(r"[0-9a-f]{32}")
_NO_TOKENS = "No token can be made of this value: {}."


def appeal(
    subkind: Annotated[str, typer.Argument(help="email, phone, device, par, pan_token, iban_token, … .")],
    reason: Annotated[str, typer.Option(help=f"One of {', '.join(words.REASONS_AGAINST)}.")],
    dissent: Annotated[bool, typer.Option("--dissent", help="Also give your opinion on what you see.")] = False,
    group: Annotated[str, typer.Option("--group", help="Whose key makes tokens of templates (slug).")] = "",
    psp_scope: Annotated[
        str, typer.Option("--psp-scope", help="Of psp_fp: the payment provider's scope, 32 hexadecimal digits.")
    ] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Say that somebody is blocked who should not be. The value is asked for, or one line of standard input."""
    scope = psp_scope.strip().lower()
    if (scope or subkind == "psp_fp") and (subkind != "psp_fp" or not _SCOPE.fullmatch(scope)):
        raise Unusable("--psp-scope is of psp_fp alone, which needs it: 32 hexadecimal digits.")
    value = _value()
    with client_of(url, key_file) as client, tokeniser_of(client, group=group) as tokeniser:
        (made,) = tokeniser.tokenise(subkind, [value], look_up=True)
        if made.problem or not made.tokens:
            raise Unusable(_NO_TOKENS.format(made.problem or "it has none"))
        tokens = [
            {"subkind": subkind, "scheme": one.scheme, "key_epoch": one.key_epoch, "value": one.value}
            | ({"psp_scope": scope} if scope else {})
            for one in made.tokens
        ]
        filed = client.file_appeal(tokens, reason=reason, dissent=dissent)
    if as_json:
        print_json(filed)
    else:
        console.print(f"Filed: {filed['id']}. Each publisher gets a ticket, never your name.", markup=False)
        _print(filed["tickets"], empty="You see no indicator that names it, beside those that wait already.")
        if dissents := filed.get("dissents"):
            left = f" {dissents['left']} are left: file again." if dissents["left"] else ""
            stays = f" On {dissents['stays']} a colleague says otherwise: that stays." if dissents.get("stays") else ""
            console.print(f"Your dissent was given on {dissents['given']}.{stays}{left}", markup=False)


def _value() -> str:
    """What somebody types, unseen, or the first line that is piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt("The value (it stays on this machine)", hide_input=True, err=True))
    return sys.stdin.readline().strip()


def appeals(
    received: Annotated[bool, typer.Option("--received", help="What waits for your own answer.")] = False,
    keep: Annotated[str, typer.Option("--keep", callback=filled, help="A ticket: the indicator stays.")] = "",
    revoke: Annotated[str, typer.Option("--revoke", callback=filled, help="A ticket: revoke its indicator.")] = "",
    statistics: Annotated[bool, typer.Option("--statistics", help="How you answered in 90 days.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Your appeals and what became of them; with `--received`, those on your own indicators, which you answer."""
    with client_of(url, key_file) as client:
        if keep or revoke:
            found: Any = client.decide_ticket(keep or revoke, "keep" if keep else "revoke")
            tickets = [found]
        elif statistics:
            found, tickets = client.appeal_statistics(), []
        elif received:
            found = tickets = client.tickets()
        else:
            found = client.appeals()
            tickets = [ticket for one in found for ticket in one["tickets"]]
    if as_json:
        print_json(found)
    elif statistics:
        print_table(("Fact", "Value"), [(name, "-" if one is None else str(one)) for name, one in found.items()])
    else:
        _print(tickets, empty="Nothing waits." if received else "No appeal on what you see.")


def _print(tickets: list[dict[str, Any]], *, empty: str) -> None:
    """Of what one filed the publisher is said as long as one sees it: several may say one id."""
    filed = any("publisher" in one for one in tickets)
    rows = [
        (
            one["id"],
            *([one.get("publisher", {}).get("slug", "-")] if filed else []),
            one["object"],
            one["reason"],
            "overdue" if one["overdue"] else one["state"],
            one["due_at"][:16],
        )
        for one in tickets
    ]
    print_table(("Ticket", *(["Publisher"] if filed else []), "Indicator", "Reason", "State", "Due"), rows, empty=empty)


COMMANDS = (appeal, appeals)
