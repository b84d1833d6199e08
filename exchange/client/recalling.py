"""`exchange recall` and `exchange recalls`: take back everywhere what was a mistake, and see it gone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client import slicing
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

Ids = Annotated[list[str] | None, typer.Argument(help="Ids of objects of your own.")]
Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="A file that names them: what you pushed, or an id a line; - is stdin; repeat."),
]
_SHOWN = 5


def recall(
    stix_ids: Ids = None,
    file: Files = None,
    detector: Annotated[
        str, typer.Option(callback=filled, help="All that this detector of yours found: d-<8 hex>.")
    ] = "",
    version: Annotated[str, typer.Option(callback=filled, help="Of that detector.")] = "",
    since: Annotated[
        str, typer.Option(callback=filled, help="Pushed from then on, in UTC: 2026-11-28T10:00:00Z.")
    ] = "",
    until: Annotated[str, typer.Option(callback=filled, help="Pushed before then.")] = "",
    campaign: Annotated[str, typer.Option(callback=filled, help="What is joined with this campaign.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say how many, and stop there.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Take back everywhere, at once, what fits all that you name; for an hour it can come back."""
    ids = [*(stix_ids or ()), *(stix_id for one in file or () for stix_id in slicing.ids_in(one))]
    wanted = {"ids": ids, "detector": detector, "version": version, "since": since, "until": until}
    with client_of(url, key_file) as client:
        found = client.prepare_recall(**wanted, campaign=campaign)
        if not as_json:
            more = f" and {found['objects'] - _SHOWN:,} more" if found["objects"] > _SHOWN else ""
            console.print(
                f"{found['objects']:,} living objects: {', '.join(found['ids'][:_SHOWN])}{more}", markup=False
            )
        if found["objects"] and not dry_run and (yes or typer.confirm("Recall them?", err=True)):
            found = client.decide_recall(found["id"], "carry-out")
    if as_json:
        print_json(found)
    elif found["state"] == "prepared":
        console.print("Nothing was recalled.")
    else:
        console.print(f"{found['recalled']:,} recalled until {found['until'][:19]}: {found['id']}", markup=False)
        console.print(f"See them go: exchange recalls {found['id']}", markup=False)


def recalls(
    recall_id: Annotated[str, typer.Argument(help="One of them; without, the newest are listed.")] = "",
    undo: Annotated[bool, typer.Option("--undo", help="Bring its objects back.")] = False,
    finish: Annotated[bool, typer.Option("--finish", help="Make it final.")] = False,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Your recalls; of one, how many subscribers' instances hold it still; `--undo` or `--finish` it."""
    if ((undo or finish) and not recall_id) or (undo and finish):
        raise typer.BadParameter("Name one recall, and one of --undo and --finish.")
    with client_of(url, key_file) as client:
        if undo or finish:
            client.decide_recall(recall_id, "undo" if undo else "finish")
        found: Any = client.recall(recall_id) if recall_id else client.recalls()
    if as_json:
        print_json(found)
    elif recall_id:
        _print_one(found)
    else:
        rows = [(one["id"], one["state"], str(one["objects"]), one["at"][:19], one["actor"]) for one in found]
        print_table(("Id", "State", "Objects", "At", "Actor"), rows, empty="No recall.")


def _print_one(found: dict[str, Any]) -> None:
    facts = [("State", found["state"]), ("Objects", f"{found['objects']:,}"), ("Until", str(found["until"] or "-"))]
    told = found["receipts"]
    if told is None:
        facts.append(("Receipts", "none: fewer than two partners' agents acknowledged it"))
    else:
        facts += [
            ("Hold it still", f"{told['holding']:.0%}"),
            ("Median", _seconds(told["median_s"])),
            ("Slowest", _seconds(told["slowest_s"])),
            ("Last at", str(told["last_at"] or "-")),
        ]
    print_facts(facts)


def _seconds(said: float | None) -> str:
    return "-" if said is None else f"{said:.1f} s"


COMMANDS = (recall, recalls)
