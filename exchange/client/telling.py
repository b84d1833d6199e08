"""`exchange subscribe`, `subscriptions`, `deliveries`, `rotate-secret` and the like: signed webhooks of one's own."""

from __future__ import annotations

from typing import Annotated

import typer

from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_facts, print_json, print_table

SubscriptionId = Annotated[str, typer.Argument(help="A subscription's id.")]


def subscribe(
    address: Annotated[str, typer.Argument(help="The https address that is told.")],
    feed: Annotated[str, typer.Option(help="A feed's id; without it, everything.")] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have an address told of changes by signed webhooks. Prints the signing secret, this once."""
    with client_of(url, key_file) as client:
        made = client.subscribe(address, feed=feed or None)
    if as_json:
        print_json(made)
    else:
        print_facts([("subscription", made["id"]), ("secret", made["secret"])])


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
        rows = [(one["id"], one["state"], one["feed"] or "everything", one["url"]) for one in found]
        print_table(("Id", "State", "Feed", "Address"), rows, empty="No subscription.")


def deliveries(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """How telling a subscription went, newest first."""
    with client_of(url, key_file) as client:
        found = client.deliveries(subscription)
    if as_json:
        print_json(found)
        return
    names = ("Id", "Made", "Changes", "State", "Tries", "Outcome")
    rows = [
        (one["id"], one["created_at"][:19], str(one["changes"]), one["state"], str(one["attempts"]), one["outcome"])
        for one in found
    ]
    print_table(names, rows, empty="No delivery yet.")


def redeliver(
    delivery: Annotated[str, typer.Argument(help="A delivery's id.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Send a delivery again, now."""
    with client_of(url, key_file) as client:
        again = client.redeliver(delivery)
    if as_json:
        print_json(again)
    else:
        print_facts([("delivery", again["id"]), ("state", again["state"])])


def pause(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Tell a subscription nothing until it is resumed; nothing is lost."""
    with client_of(url, key_file) as client:
        changed = client.pause(subscription)
    if as_json:
        print_json(changed)
    else:
        print_facts([("subscription", changed["id"]), ("state", changed["state"])])


def resume(subscription: SubscriptionId, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Go on telling a subscription, from where it stopped."""
    with client_of(url, key_file) as client:
        changed = client.resume(subscription)
    if as_json:
        print_json(changed)
    else:
        print_facts([("subscription", changed["id"]), ("state", changed["state"])])


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
    if as_json:
        print_json(changed)
    else:
        print_facts([("subscription", changed["id"]), ("secret", changed["secret"])])
