"""`exchange reports`: packages that were released to you, who is given some on which terms, and schedules of drafts."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client.errors import Unusable
from exchange.client.terminal import Json, KeyFile, Url, client_of, console, print_facts, print_json, print_table

app = typer.Typer(help="Report packages: received ones, recipients with their terms, schedules.", no_args_is_help=True)
Which = Annotated[str, typer.Argument(help="Its name or id, as `exchange reports schedules` shows them.")]
Form = Annotated[list[str] | None, typer.Option("--form", help="stix, csv or form; repeat. Else what is wanted.")]
Day = Annotated[int | None, typer.Option("--day", help="Of the week, 1 (Monday) to 7; of the month, 1 to 28.")]
Hour = Annotated[int | None, typer.Option("--hour", help="By the clock of the time zone; 8 by default.")]
Zone = Annotated[str, typer.Option("--time-zone", help="Such as Europe/Berlin; UTC by default.")]


@app.command("list")
def list_reports(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """What was released to your partner and can be opened, newest first."""
    with client_of(url, key_file) as client:
        found = client.reports()
    if as_json:
        print_json(found)
        return
    rows = [(one["id"], one["from"]["slug"], one["tlp"], one["released_at"][:16], one["title"]) for one in found]
    print_table(("Id", "From", "TLP", "Released", "Title"), rows, empty="Nothing was released to you.")


@app.command()
def download(
    report: Annotated[str, typer.Argument(help="The package's id.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The zip to write.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Write a package as a zip, which `exchange audit verify` checks."""
    with client_of(url, key_file) as client:
        content = client.report_package(report)
    try:
        output.write_bytes(content)
    except OSError as error:
        raise Unusable(f"{output}: cannot be written.") from error
    if as_json:
        print_json({"file": str(output), "bytes": len(content)})
    else:
        console.print(f"{output}: {len(content):,} bytes.", markup=False)


@app.command()
def recipients(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Who is given report packages, and on which terms."""
    with client_of(url, key_file) as client:
        found = client.recipients()
    if as_json:
        print_json(found)
        return
    rows = [
        (one["slug"], one["kind"], each["jurisdiction"], _days(each), each["strictest"], ", ".join(each["forms"]),
         "in force" if each["in_force"] else "not in force", each["reference"], each["id"])
        for one in found
        for each in one["terms"]
    ]  # fmt: skip
    rows += [(one["slug"], one["kind"], *[""] * 3, "", "none recorded", "", "") for one in found if not one["terms"]]
    names = ("Partner", "Kind", "Jurisdiction", "Days", "Up to", "As", "Terms", "Basis", "Id")
    print_table(names, rows, empty="Nobody is given packages.")


@app.command()
def terms(
    partner: Annotated[str, typer.Argument(help="The slug of the partner.")],
    jurisdiction: Annotated[str, typer.Option("--jurisdiction", help="ISO 3166: DE, US-CA; EU, UN.")],
    reference: Annotated[str, typer.Option("--reference", help="The law or the agreement.")],
    first: Annotated[str, typer.Option("--from", help="The first day, such as 2026-01-31.")],
    strictest: Annotated[str, typer.Option("--strictest", help="The strictest marking that a package may hold.")],
    until: Annotated[str, typer.Option("--until", help="The last day; else until they are ended.")] = "",
    form: Form = None,
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Record terms of a partner, with a key of the operator's."""
    wish = {"jurisdiction": jurisdiction, "reference": reference, "from": first, "strictest": strictest}
    wish |= _given(until=until, forms=form)
    with client_of(url, key_file) as client:
        _print(client.record_terms(partner, wish), as_json=as_json)


@app.command()
def end_terms(
    partner: Annotated[str, typer.Argument(help="The slug of the partner.")],
    terms_id: Annotated[str, typer.Argument(help="As `exchange reports recipients` shows it.")],
    why: Annotated[str, typer.Option("--why", help="Written into the log.")],
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """End terms now, with a key of the operator's: nothing is released or opened under them any more."""
    with client_of(url, key_file) as client:
        _print(client.end_terms(partner, terms_id, why=why), as_json=as_json)


@app.command()
def schedules(as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """Your partner's schedules, when each is due, and how its last run went."""
    with client_of(url, key_file) as client:
        found = client.report_schedules()
    if as_json:
        print_json(found)
        return
    rows = [
        (one["name"], one["recipient"], one["every"], one["state"], one["due_at"][:16], one["outcome"], one["id"])
        for one in found
    ]
    print_table(("Name", "For", "Every", "State", "Due", "Last run", "Id"), rows, empty="There is no schedule.")


@app.command()
def schedule(
    name: Annotated[str, typer.Argument(help="What you call it.")],
    recipient: Annotated[str, typer.Option("--for", help="The slug of the partner.")],
    every: Annotated[str, typer.Option("--every", help="week or month.")],
    root: Annotated[str, typer.Option("--root", help="A campaign, grouping or report.")] = "",
    feed: Annotated[str, typer.Option("--feed", help="Instead: what is new in this feed of yours.")] = "",
    form: Form = None,
    day: Day = None,
    hour: Hour = None,
    time_zone: Zone = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Have a draft put together each week or month; two people check and release it in the portal."""
    wish = {"name": name, "recipient": recipient, "every": every, "day": 1 if day is None else day}
    wish |= {"hour": 8 if hour is None else hour} | _given(root=root, feed=feed, forms=form, time_zone=time_zone)
    with client_of(url, key_file) as client:
        _print(client.make_report_schedule(wish), as_json=as_json)


@app.command()
def change(
    which: Which,
    name: Annotated[str, typer.Option("--name", help="Another name.")] = "",
    pause: Annotated[bool | None, typer.Option("--pause/--resume", help="Stop it for a time, or go on.")] = None,
    every: Annotated[str, typer.Option("--every", help="week or month.")] = "",
    form: Form = None,
    day: Day = None,
    hour: Hour = None,
    time_zone: Zone = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Change what is named of a schedule; it ends with the key that changed it last."""
    wanted = _given(name=name, every=every, forms=form, time_zone=time_zone)
    wanted |= {label: number for label, number in (("day", day), ("hour", hour)) if number is not None}
    if pause is not None:
        wanted["state"] = "paused" if pause else "active"
    if not wanted:
        raise Unusable("Name what is to change: `exchange reports change --help`.")
    with client_of(url, key_file) as client:
        _print(client.change_report_schedule(_find(client.report_schedules(), which), wanted), as_json=as_json)


@app.command()
def end(which: Which, as_json: Json = False, url: Url = "", key_file: KeyFile = None) -> None:
    """End a schedule; drafts that are there stay."""
    with client_of(url, key_file) as client:
        client.end_report_schedule(schedule_id := _find(client.report_schedules(), which))
    if as_json:
        print_json({"ended": schedule_id})
    else:
        console.print("It has ended.")


def _find(found: list[dict[str, Any]], which: str) -> str:
    for one in found:
        if which in (one["id"], one["name"]):
            return str(one["id"])
    raise Unusable(f"No schedule is called {which}: `exchange reports schedules`.")


def _given(**named: Any) -> dict[str, Any]:
    return {name: value for name, value in named.items() if value}


def _days(terms: Mapping[str, Any]) -> str:
    return f"{terms['from']} to {terms['until'] or 'further notice'}"


def _print(document: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(dict(document))
        return
    shown = {name: ", ".join(value) if isinstance(value, list) else value for name, value in document.items()}
    print_facts([(name.replace("_", " "), str(value)) for name, value in shown.items() if value not in (None, "")])
