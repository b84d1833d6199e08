"""`exchange-agent`: keep a local blocklist equal to a feed.

Exit status: 0 all well; 1 the brake keeps entries until a person lets them go; 2 wrong usage or no answer; 3 this
machine does not let us (a file, a disk, a right); 4 the command of --on-change failed.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import sys
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from exchange.agent import counting, following, jobs, named, reporting, status, sync
from exchange.agent import policy as policies
from exchange.agent.acts import rehearse_pass, send_report, switch_off, switch_on, tokens_of, which_listed
from exchange.agent.hook import HookFailed
from exchange.agent.telling import _now, errors, progress, say, tell, tell_raw, warn
from exchange.client import config, terminal
from exchange.client.api import Client
from exchange.client.errors import ExchangeClientError, Unusable
from exchange.client.terminal import filled
from exchange.lists import formats

app = typer.Typer(
    help="Keep a local blocklist equal to a feed of the Exchange.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)

_BRAKED, _NO_ANSWER, _LOCAL, _HOOK = 1, 2, 3, 4


class Form(StrEnum):
    """Formats of the list: those of `formats.FORMS` and `formats.ALIASES`, which a test compares."""

    CSV = "csv"
    EDL_DOMAIN = "edl-domain"
    EDL_IP = "edl-ip"
    ENVOY = "envoy"
    HOSTS = "hosts"
    IPSET = "ipset"
    JSONL = "jsonl"
    NFTABLES = "nftables"
    NGINX_GEO = "nginx-geo"
    NGINX_MAP = "nginx-map"
    TEXT = "text"
    TXT = "txt"


class _Stop(Exception):
    """Asked to end."""


def main() -> None:
    """Entry point: what is expected to go wrong is one line, never a traceback."""
    try:
        app()
    except HookFailed as failed:
        _end(str(failed), _HOOK)
    except ExchangeClientError as error:
        _end(str(error), _NO_ANSWER)
    except (OSError, sqlite3.Error) as error:
        _end(following.local(error, Path("the list")), _LOCAL)
    except (KeyboardInterrupt, _Stop):
        sys.exit(0)


def _end(sentence: str, status_code: int) -> None:
    errors.print(f"exchange-agent: {sentence}", style="red", markup=False)
    sys.exit(status_code)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"exchange-agent {terminal.version()}")
        raise typer.Exit


@app.callback()
def _agent(
    version: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Keep a local blocklist equal to a feed of the Exchange. Set EXCHANGE_URL and EXCHANGE_API_KEY first."""


_Output = Annotated[Path, typer.Option("--output", "-o", help="The list to keep.")]
_Whose = Annotated[Path | None, typer.Option("--output", "-o", help="A list that `sync` keeps.")]
_Settings = Annotated[Path | None, typer.Option("--config", "-c", help="In its place: the settings of `run`.")]
_Feed = Annotated[str, typer.Option("--feed", callback=filled, help="With --config: this feed alone, by its name.")]
_State = Annotated[Path | None, typer.Option(help="Where the checkpoint is kept; else beside the list.")]

_Url = Annotated[str, typer.Option(help="The exchange's address; else EXCHANGE_URL.")]
_KeyFile = Annotated[Path | None, typer.Option(help="A file with the API key; else EXCHANGE_API_KEY.")]


@app.command("sync")
def sync_command(
    path: _Output,
    once: Annotated[bool, typer.Option("--once", help="One pass, then end.")] = False,
    follow: Annotated[bool, typer.Option("--follow", help="Stay, and apply each change within a second.")] = False,
    form: Annotated[Form, typer.Option("--format", help="Of the list.")] = Form.TEXT,
    feed: Annotated[str, typer.Option(callback=filled, help="A feed's id; all means everything you may see.")] = "all",
    kind: Annotated[str, typer.Option(callback=filled, help="Only this kind, such as account-pattern.")] = "",
    min_confidence: Annotated[int, typer.Option(min=0, max=100, help="Leave out what is less sure.")] = 0,
    policy: Annotated[Path | None, typer.Option(help="What to do with which entry, as TOML; else every floor.")] = None,
    without_floor: Annotated[list[str] | None, typer.Option(help="Switch a floor off, by its name; repeat.")] = None,
    state: _State = None,
    rehearse: Annotated[
        bool, typer.Option("--rehearse", "--dry-run", help="Say what the list would hold; write nothing.")
    ] = False,
    allow_shrink: Annotated[bool, typer.Option("--allow-shrink", help="Let go of what the brake keeps.")] = False,
    max_shrink: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Largest share of a publisher's entries that a new beginning may lack."),
    ] = 0.5,
    on_change: Annotated[str, typer.Option(help="A command to run after the list was replaced (no shell).")] = "",
    on_change_timeout: Annotated[int, typer.Option(min=1, help="Seconds that this command may take.")] = 60,
    health_file: Annotated[Path | None, typer.Option(help="Touched after every good pass.")] = None,
    metrics_file: Annotated[Path | None, typer.Option(help="Metrics for Prometheus' textfile collector.")] = None,
    url: _Url = "",
    key_file: _KeyFile = None,
) -> None:
    """Bring the list up to date, atomically, from where the last pass stood; and with --follow keep it so."""
    if once == follow and not rehearse:
        raise typer.BadParameter("Choose --once or --follow.")
    if policy and without_floor:
        raise typer.BadParameter("Floors are switched off in the policy itself: without_floors.")
    policy_file = str(policy.resolve()) if policy else ""
    found = config.load(url=url, key_file=key_file)
    job = jobs.Job(
        path=path.resolve(),
        state_dir=jobs.state_dir(path.resolve(), state),
        form=formats.ALIASES.get(form.value, form.value),
        feed=jobs.feed_of(feed),
        kind=jobs.kind_of(kind) if kind else "",
        min_confidence=min_confidence,
        policy=policies.chosen(policy_file, without_floor or ()),
        policy_file=policy_file,
        max_shrink=max_shrink,
        allow_shrink=allow_shrink,
        hook=bool(on_change),
        progress=progress(path.name),
    )
    tell_raw(job.policy.allowed.raw)
    means = following.Means(
        say=lambda done: tell(job, done),
        warn=lambda words: errors.print(f"{_now()} {words}", style="yellow", markup=False),
        command=on_change,
        command_timeout_s=on_change_timeout,
        health_file=health_file,
        metrics_file=metrics_file.resolve() if metrics_file else None,
        version=terminal.version(),
    )
    with jobs.alone(job), Client(found.url, found.api_key, retries=0 if follow else 5) as client:
        if rehearse:
            rehearse_pass(client, job)
        elif once:
            if following.once(client, job, means).braked:
                sys.exit(_BRAKED)
        else:
            signal.signal(signal.SIGTERM, _stop)
            following.follow(client, job, means)


@app.command("status")
def status_command(
    path: _Whose = None,
    settings: _Settings = None,
    feed: _Feed = "",
    state: _State = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say how a list stands, or with --config all that `run` keeps, also beside an agent that is at work.

    Exit status 0 if it is as it should be, else 1.
    """
    if path is None:
        _status_of_run(settings, feed, as_json=as_json)
        return
    job = jobs.known_job(path.resolve(), state=state)
    store = jobs.open_store(job)
    try:
        found = status.of(job, store)
    finally:
        store.close()
    if as_json:
        typer.echo(json.dumps(status.document(found)))
    else:
        typer.echo("\n".join(status.words(found)))
    sys.exit(0 if found.good else 1)


def _status_of_run(settings: Path | None, feed: str, *, as_json: bool) -> None:
    known = named.known(None, state=None, settings=settings, feed=feed)
    from exchange.agent import beside, configuration  # noqa: PLC0415 - libsodium is for who looks values up

    assert settings is not None
    there = beside.parts(configuration.read(settings, online=False))
    found = beside.feeds(known)
    if as_json:
        typer.echo(json.dumps({"feeds": {name: status.document(one) for name, one in found.items()}, "parts": there}))
    else:
        typer.echo("\n".join(beside.words(found, there)))
    sys.exit(0 if beside.are_good(found, there) else 1)


@app.command("release")
def release_command(
    path: _Output,
    state: _State = None,
    publisher: Annotated[str, typer.Option(callback=filled, help="Only what came from it, as status names it.")] = "",
) -> None:
    """Let go of the entries that the brake keeps. An agent that is at work takes them out within a second."""
    job = jobs.known_job(path.resolve(), state=state)
    store = jobs.open_store(job)
    try:
        known = [each.name for each in store.braked()]
        if publisher and publisher not in known:
            raise Unusable(f"Nothing of {publisher} is kept. Kept is: {', '.join(known) or 'nothing'}.")
        count = store.release(publisher)
        try:
            with jobs.alone(job):
                sync.put(job, store)
        except Unusable:  # another agent is at work, and writes the list itself
            pass
    finally:
        store.close()
    typer.echo(f"{count} entries are let go.")


@app.command("verify")
def verify_command(
    path: _Whose = None,
    settings: _Settings = None,
    feed: _Feed = "",
    state: _State = None,
    url: _Url = "",
    key_file: _KeyFile = None,
) -> None:
    """Prove a list: sum what is held anew, ask the exchange for its set hash, and compare. Exit status 0 if equal."""
    known = named.known(path, state=state, settings=settings, feed=feed)
    found = named.exchange(settings, url=url, key_file=key_file)
    all_same = True
    with Client(found.url, found.api_key) as client:
        for job in known:
            with closing(jobs.open_store(job)) as store:
                if (sums := store.recount()) != store.proof():
                    raise Unusable(
                        f"The store was altered from outside: its rows give {sums}, it says {store.proof()}."
                    )
                told = sync.stated(client, job, store)
            if told is None:
                typer.echo("The exchange states no set hash yet: ask again in a moment.")
                sys.exit(_NO_ANSWER)
            all_same &= (same := told == sums)
            which = f"{job.path.name}: " if settings else ""
            typer.echo(f"{which}{told[0]} objects, set hash {told[1]}: {'the same here' if same else f'here {sums}'}")
    sys.exit(0 if all_same else 1)


@app.command("diff")
def diff_command(
    path: _Whose = None,
    settings: _Settings = None,
    feed: _Feed = "",
    state: _State = None,
    url: _Url = "",
    key_file: _KeyFile = None,
) -> None:
    """Fetch a feed anew, and say which objects are held here and not there (-), or there and not here (+)."""
    known = named.known(path, state=state, settings=settings, feed=feed)
    found = named.exchange(settings, url=url, key_file=key_file)
    equal = True
    with Client(found.url, found.api_key) as client:
        for job in known:
            with closing(jobs.open_store(job)) as store:
                here, there = set(store.held()), sync.fetched(client, job)
            equal &= here == there
            for sign, only in (("-", here - there), ("+", there - here)):
                for publisher, stix_id, sha256, end in sorted(only):
                    typer.echo(f"{sign} {publisher} {stix_id} {sha256[:16]}… {end}")
    sys.exit(0 if equal else 1)


@app.command("explain")
def explain_command(
    value: Annotated[
        str, typer.Argument(help="A value as it stands in a list, a STIX id, or with --subkind a raw one.")
    ],
    path: _Whose = None,
    settings: _Settings = None,
    state: _State = None,
    subkind: Annotated[
        str,
        typer.Option(callback=filled, help="The value is a raw email, phone, device, par, …: made into tokens here."),
    ] = "",
    group: Annotated[str, typer.Option(help="Under whose keys phrases and templates are; else of the settings.")] = "",
    url: _Url = "",
    key_file: _KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say why a value is or is not blocked: who says it, which rule, floor or allowlist decided.

    Of an address: every network that holds it.
    """
    from exchange.agent import explaining  # noqa: PLC0415 - normal forms, of telephone numbers for one, load long

    known = named.known(path, state=state, settings=settings)
    tokens: list[str] = []
    if subkind:
        found_at, under = named.keys(settings, url=url, key_file=key_file, group=group)
        tokens = tokens_of(subkind, [value], found_at, group=under)[value]
    with ExitStack() as opened:
        stores = [opened.enter_context(closing(jobs.open_store(job))) for job in known]
        feeds = [job.path.name if settings else "" for job in known]
        by_feed = dict(zip(feeds, stores, strict=True))
        parts = dict(zip(feeds, (job.part for job in known), strict=True))
        found = explaining.of(value, by_feed, known[0].policy, now=jobs.now(stores[0]), tokens=tokens, parts=parts)
    told = json.dumps([explaining.document(one) for one in found]) if as_json else ""
    typer.echo(told or explaining.text(value, found, subkind=subkind))
    sys.exit(0 if any(one.verdict.action is policies.Action.BLOCK for one in found) else 1)


@app.command("listed")
def listed_command(
    subkind: Annotated[str, typer.Argument(help="A subkind of the vocabulary, such as net or email_domain.")],
    values: Annotated[list[str], typer.Argument(help="Values; of what is listed by tokens, tokens too.")],
    feed: Annotated[str, typer.Option(callback=filled, help="A feed's id; all means everything.")] = "all",
    group: Annotated[str, typer.Option(help="Under whose keys tokens of phrases and templates are made.")] = "",
    url: _Url = "",
    key_file: _KeyFile = None,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say whether a feed lists values, by prefix: the exchange learns some bits of a hash, and no value. 1 if none.

    A raw e-mail address, phone, … becomes tokens on this machine first.
    """
    found = config.load(url=url, key_file=key_file)
    told = which_listed(subkind, values, found, feed=jobs.feed_of(feed) or "all", group=group)
    if as_json:
        typer.echo(json.dumps(told))
    else:
        for value, listed in told.items():
            typer.echo(f"{'listed' if listed else 'not listed'}\t{value}")
    sys.exit(0 if any(told.values()) else 1)


@app.command("disarm")
def disarm_command(
    path: _Whose = None,
    settings: _Settings = None,
    feed: _Feed = "",
    state: _State = None,
    publisher: Annotated[
        str, typer.Option(callback=filled, help="Only what it says, by name or id; else the feed.")
    ] = "",
    in_advance: Annotated[
        bool, typer.Option("--in-advance", help="Also where nothing of this publisher is held yet.")
    ] = False,
) -> None:
    """The kill switch: enforce nothing of a publisher, or of the whole feed, from now on, until `rearm`."""
    known = named.known(path, state=state, settings=settings, feed=feed)
    switch_off(known, settings, publisher, in_advance=in_advance)


@app.command("rearm")
def rearm_command(
    path: _Whose = None,
    settings: _Settings = None,
    feed: _Feed = "",
    state: _State = None,
    publisher: Annotated[str, typer.Option(callback=filled, help="What this publisher says; else the feed.")] = "",
) -> None:
    """Undo `disarm`."""
    known = named.known(path, state=state, settings=settings, feed=feed)
    switch_on(known, settings, publisher)


_Config = Annotated[Path, typer.Option("--config", "-c", help="The settings, as TOML (docs/agent.md).")]


@app.command("run")
def run_command(
    settings: _Config,
    once: Annotated[bool, typer.Option("--once", help="One pass over all feeds and outputs, then end.")] = False,
) -> None:
    """Follow any number of feeds, keep all outputs, and answer look-ups: everything that a file of settings says."""
    from exchange.agent import configuration, running  # noqa: PLC0415 - libsodium is for who looks values up

    found = configuration.read(settings)
    tell_raw(found.policy.allowed.raw)
    agent = running.Agent(found, say=say, warn=warn, version=terminal.version())
    with running.alone(found):
        if once:
            if not agent.once():
                sys.exit(_LOCAL)
        else:
            # No exception: it could fall between counting and keeping what was counted.
            signal.signal(signal.SIGTERM, lambda *_: agent.stop_soon())
            agent.run()


@app.command("filter")
def filter_command(
    settings: _Config,
    timeout_ms: Annotated[int, typer.Option(min=0, help="How long a value may wait for the key service.")] = 0,
) -> None:
    """Read `KIND TAB VALUE`, or {"kind", "value"} or {"prompt"} as JSON, a line each; write verdicts as JSON lines.

    However long it runs, it follows what `run` keeps: what went is let through within seconds.
    """
    from exchange.agent import configuration, filtering, loading  # noqa: PLC0415 - as above

    found = configuration.read(settings)
    with loading.looking_up(found, renewing=True) as blocklist:
        for line in sys.stdin:
            typer.echo(json.dumps(filtering.answer(blocklist, line, timeout_s=timeout_ms / 1_000)))
        counting.save_hits(found.state, blocklist.taken_hits())
        reporting.note(found.state, blocklist.taken_met(), now=datetime.now(UTC))


@app.command("report")
def report_command(
    settings: _Config,
    days: Annotated[int, typer.Option(min=1, max=90, help="Of so many days, with today.")] = 7,
    send: Annotated[
        bool, typer.Option("--send", help="Publish sightings of it, and dissent from what your allowlists keep out.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Say what look-ups met: what was blocked or would have been, by which rule, floor and allowlist.

    With --send, what was met goes back to publishers: a sighting of each object, in powers of ten and full hours, and
    the opinion false_positive on what an allowlist here keeps from being enforced. Each once.
    """
    from exchange.agent import configuration  # noqa: PLC0415 - as above

    if send:
        send_report(configuration.read(settings), as_json=as_json)
        return
    rows = counting.report(configuration.read(settings, online=False).state, days=days)
    if as_json:
        typer.echo(json.dumps(rows))
        return
    for row in rows:
        what = f"would {row['would']}" if row["would"] else row["action"]
        why = [f"rule {row['rule']}"] if row["rule"] else []
        why += [f"floor {row['floor']}"] if row["floor"] else []
        why += [f"suppressed by {row['suppressed_by']}"] if row["suppressed_by"] else []
        typer.echo(f"{row['hits']:9} {what:16} {row['subkind']:16} {', '.join(why)} (on {row['days']} days)")
    if not rows:
        typer.echo("No look-up met anything.")


@app.command("conform", hidden=True)
def conform_command() -> None:
    """The client that `exchange.agent.conformance` tests: a pass over DELTA_URL; what is held, on standard output."""
    address, state = os.environ["DELTA_URL"], Path(os.environ["DELTA_STATE"])
    job = jobs.Job(path=state / "list", state_dir=state, allow_shrink=True)
    problem: Exception | None = None
    with Client(address.partition("/api/")[0], os.environ["DELTA_KEY"], retries=0) as client:
        try:
            sync.run_once(client, job)
        except ExchangeClientError as raised:
            problem = raised
    with closing(jobs.open_store(job)) as store:
        for each in store.held():
            typer.echo("\t".join(each))
    if problem is not None:
        raise problem


@app.command("floors")
def floors_command() -> None:
    """Name the floors: what is not blocked by default, whatever is published."""
    for name, meaning in policies.FLOORS.items():
        typer.echo(f"{name}: {meaning}")


def _stop(number: int, frame: FrameType | None) -> None:
    raise _Stop
