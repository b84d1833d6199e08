"""`exchange opinions` and `exchange opine`: how an object stands, and what one's own partner thinks of it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, print_answer, print_facts, print_json, print_table

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


def report_sighting(
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
        told = client.report_sighting(stix_id, count=count, first_seen=first_seen, last_seen=last_seen)
    print_answer(told, status="status", as_json=as_json)


def usefulness(
    stix_id: Annotated[str, typer.Argument(help="One of your indicators; without, all of them.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What your indicators were good for to others, in buckets; without an id also what you give and use yourself."""
    with client_of(url, key_file) as client:
        found = client.usefulness(stix_id)
    if as_json:
        print_json(found)
        return
    facts = [("Counted", found["as_of"][:19])]
    facts += [(word.title(), _partners(found[word])) for word in ("hold", "matched", "blocked", "disagreed")]
    if not stix_id:
        own = found["own"]
        facts += [("Precision", "-" if found["precision"] is None else f"{found['precision']:.0%} of what was judged")]
        facts += [("Hours to share", str(own["median_hours_to_share"] or "-"))]
        facts += [("You give", ", ".join(f"{count:,} {name}" for name, count in own["gives"].items()))]
        facts += [("You use", ", ".join(f"{count:,} {name}" for name, count in own["uses"].items()))]
    print_facts(facts)


def _partners(bucket: int | None) -> str:
    return "fewer than 3 partners" if bucket is None else f"{bucket} partners or more"


COMMANDS = (opinions, opine, report_sighting, usefulness)
