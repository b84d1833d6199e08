"""`exchange subscribe`, `subscriptions`, `deliveries`, `rotate-secret` and the like: signed webhooks of one's own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client.api import Client
from exchange.client.terminal import (
    Json,
    KeyFile,
    Url,
    client_of,
    console,
    filled,
    print_answer,
    print_json,
    print_table,
)
from exchange.client.webhooks import fault_of

SubscriptionId = Annotated[str, typer.Argument(help="A subscription's id.")]
Since = Annotated[str, typer.Option(help="Made then or later, in UTC: 2026-11-24T11:00:00Z.")]
Until = Annotated[str, typer.Option(help="Made before.")]


def subscribe(
    address: Annotated[str, typer.Argument(help="The https address that is told.")],
    feed: Annotated[str, typer.Option(callback=filled, help="A feed's id; all means everything.")] = "all",
    form: Annotated[str, typer.Option("--format", help="Of messages: standard, slack or teams.")] = "standard",
    only: Annotated[
        str, typer.Option(callback=filled, help="yours: what concerns your partner, and nothing else of the feed.")
    ] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have an address told of changes by signed webhooks. Prints the signing secret, this once."""
    with client_of(url, key_file) as client:
        made = client.subscribe(address, feed=feed, format=form, only=only)
    print_answer(made, subscription="id", secret="secret", as_json=as_json)  # noqa: S106 - a name


def subscriptions(
    test: Annotated[str, typer.Option(help="Send a ping to this subscription.")] = "",
    delete: Annotated[str, typer.Option(help="Delete this subscription.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Your webhook subscriptions."""
    with client_of(url, key_file) as client:
        if test:
            outcome = client.test_subscription(test)
            if as_json:
                print_json(outcome)
            else:
                console.print(outcome["outcome"], markup=False)
            raise typer.Exit(0 if outcome["delivered"] else 1)
        if delete:
            client.unsubscribe(delete)
            if as_json:
                print_json({"deleted": delete})
            return
        found = client.subscriptions()
    if as_json:
        print_json(found)
    else:
        rows = [
            (one["id"], one["state"], one["feed"] or "everything", one.get("only") or "all", one["url"])
            for one in found
        ]
        print_table(("Id", "State", "Feed", "Of it", "Address"), rows, empty="No subscription.")


def deliveries(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """How telling a subscription went, newest first."""
    with client_of(url, key_file) as client:
        found = client.deliveries(subscription)
    _print_messages(found, found, empty="No delivery yet.", as_json=as_json)


def dead_letters(
    subscription: SubscriptionId,
    since: Since = "",
    until: Until = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """What could not be told to a subscription, oldest first."""
    with client_of(url, key_file) as client:
        found = client.dead_letters(subscription, since=since, until=until)
    _print_messages(found, found["deliveries"], empty="No dead letter.", as_json=as_json)


def replay(
    subscription: SubscriptionId,
    message: Annotated[list[str] | None, typer.Argument(help="Ids of deliveries; without them, by time.")] = None,
    since: Since = "",
    until: Until = "",
    everything: Annotated[bool, typer.Option("--all", help="What arrived in that time, too.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Send messages again in their order: those named, or the dead letters of a time."""
    with client_of(url, key_file) as client:
        made = client.replay(subscription, *(message or ()), since=since, until=until, everything=everything)
    _print_messages(made, made["deliveries"], empty="Nothing to send again.", as_json=as_json)
    if made["more"] and not as_json:
        console.print("There are more: once these are sent, replay again.")


def redeliver(
    delivery: Annotated[str, typer.Argument(help="A delivery's id.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Send a delivery again, now."""
    with client_of(url, key_file) as client:
        again = client.redeliver(delivery)
    print_answer(again, delivery="id", state="state", as_json=as_json)


def pause(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Tell a subscription nothing until it is resumed; nothing is lost."""
    _change(lambda client: client.pause(subscription), as_json=as_json, url=url, key_file=key_file)


def resume(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Go on telling a subscription, from where it stopped."""
    _change(lambda client: client.resume(subscription), as_json=as_json, url=url, key_file=key_file)


def rotate_secret(
    subscription: SubscriptionId,
    overlap: Annotated[int, typer.Option(help="Hours for which messages are signed with the old secret, too.")] = 24,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Make a new signing secret. Prints it, this once."""
    with client_of(url, key_file) as client:
        changed = client.rotate_secret(subscription, overlap_hours=overlap)
    print_answer(changed, subscription="id", secret="secret", as_json=as_json)  # noqa: S106 - a name


def verify_webhook(
    secret_file: Annotated[Path, typer.Option(help="A file with the signing secret (whsec_…).")],
    message_id: Annotated[str, typer.Option("--id", help="The webhook-id header.")],
    timestamp: Annotated[str, typer.Option(help="The webhook-timestamp header.")],
    signature: Annotated[str, typer.Option(help="The webhook-signature header.")],
    as_json: Json = False,
) -> None:
    """Check the signature of a message on standard input, as a receiver does."""
    body = sys.stdin.buffer.read()
    secret = secret_file.read_text().strip()
    fault = fault_of(secret, message_id, timestamp=timestamp, signature=signature, body=body)
    if as_json:
        print_json({"good": not fault} | ({"why": fault} if fault else {}))
    else:
        console.print(f"bad: {fault}" if fault else "good", markup=False)
    raise typer.Exit(1 if fault else 0)


def _print_messages(answer: Any, rows: list[dict[str, Any]], *, empty: str, as_json: bool) -> None:
    if as_json:
        print_json(answer)
        return
    names = ("Id", "Made", "Changes", "State", "Tries", "Outcome")
    told = [
        (one["id"], one["created_at"][:19], str(one["changes"]), one["state"], str(one["attempts"]), one["outcome"])
        for one in rows
    ]
    print_table(names, told, empty=empty)


def _change(act: Callable[[Client], dict[str, Any]], *, as_json: bool, url: str, key_file: Path | None) -> None:
    with client_of(url, key_file) as client:
        changed = act(client)
    print_answer(changed, subscription="id", state="state", as_json=as_json)


COMMANDS = (
    *(subscribe, subscriptions, deliveries, dead_letters, redeliver, replay, pause, resume, rotate_secret),
    verify_webhook,
)
