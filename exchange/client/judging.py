"""`exchange opinions` and `exchange opine`: how an object stands, and what one's own partner thinks of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, print_answer, print_json, print_table

StixId = Annotated[str, typer.Argument(help="The id of an object.")]


def opinions(stix_id: StixId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """How each publisher's object under an id stands, and the opinions on it that you may see."""
    with client_of(url, key_file) as client:
        _print(client.opinions(stix_id), as_json=as_json)


def opine(
    stix_id: StixId,
    opinion: Annotated[str, typer.Argument(help="strongly-agree, agree, neutral, disagree or strongly-disagree.")],
    reason: Annotated[str, typer.Option(help="Why: confirmed_here, false_positive, benign_shared, victim, stale, …")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Give your partner's opinion on an object of somebody else's, or revise it."""
    with client_of(url, key_file) as client:
        _print(client.give_opinion(stix_id, opinion, reason=reason)["judged"], as_json=as_json)


def _print(judged: list[dict[str, Any]], *, as_json: bool) -> None:
    if as_json:
        print_json(judged)
        return
    rows: list[tuple[str, ...]] = []
    for one in judged:
        said = (one["publisher"]["slug"], one["standing"])
        given = [(each["partner"]["slug"], each["opinion"], each["reason"]) for each in one["opinions"]]
        rows += [(*said, *each) for each in given or [("", "", "")]]
    print_table(("Publisher", "Standing", "Partner", "Opinion", "Reason"), rows, empty="Nothing that you may see.")


def sight(
    stix_id: StixId,
    count: Annotated[int, typer.Option(min=1, help="How often; the exchange keeps the power of ten below.")] = 1,
    first_seen: Annotated[str, typer.Option(help="The first time, in UTC; kept as a full hour.")] = "",
    last_seen: Annotated[str, typer.Option(help="The last time; by default now.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Say that your partner saw an object of somebody else's, too."""
    with client_of(url, key_file) as client:
        told = client.sight(stix_id, count=count, first_seen=first_seen, last_seen=last_seen)
    print_answer(told, status="status", as_json=as_json)


COMMANDS = (opinions, opine, sight)
