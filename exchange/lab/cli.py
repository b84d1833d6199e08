"""`exchange-lab`: a lab's own accounts in, suspects with reasons out; evidence and prevalence to and from a group.

Exit status: 0 all well, 2 wrong usage, no answer, or a file that cannot be used.
"""

from __future__ import annotations

import itertools
import json
import sqlite3
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from exchange.client import terminal
from exchange.client.errors import ApiError, ExchangeClientError, Unreachable, Unusable
from exchange.client.pinning import KeyNotYet
from exchange.client.terminal import Json, KeyFile, Url, console, errors, print_facts, print_json

try:
    from exchange.lab import fitting, output, reading, rounds
    from exchange.lab.bench import Bench, existing, kept_campaigns, labels_of, settings_of
    from exchange.lab.output import Form
    from exchange.lab.reasons import Explainer
    from exchange.lab.rounds import Done
    from exchange.lab.scoring import Constants
except ModuleNotFoundError as missing:
    sys.exit(f"exchange-lab: this needs {missing.name}: pip install '.[lab]' in a checkout")


app = typer.Typer(
    help="Find the parts of campaigns among a lab's own accounts, together with the labs of a group.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    no_args_is_help=True,
)
MapFile = Annotated[Path, typer.Option("--map", help="What the columns of your accounts are, as TOML.")]
StateFile = Annotated[Path, typer.Option("--state", help="The file that this lab keeps.")]
GroupOf = Annotated[str, typer.Option("--group", help="The group (slug); else what the map says.")]
ConstantsFile = Annotated[Path | None, typer.Option("--constants", help="What `fit` wrote; else the published ones.")]
Output = Annotated[Path | None, typer.Option("--output", "-o", help="The file to write; else standard output.")]
Shape = Annotated[Form, typer.Option("--format", help="jsonl, csv, or text: an account a line.")]
_PASSING, _SERVERS_TROUBLE = (408, 429), 500
#: A key of a new exchange, or of a new quarter, is waited for so long; with --follow, for good. It comes in seconds.
_KEY_COMES_S, _KEY_ASKED_S = 300.0, 2.0
_MAP, _STATE = Path("map.toml"), Path("lab.db")


def main() -> None:
    """Entry point: what is expected to go wrong is one line, never a traceback."""
    try:
        app()
    except (ExchangeClientError, sqlite3.Error, OSError) as error:
        errors.print(f"exchange-lab: {error}", style="red", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"exchange-lab {terminal.version()}")
        raise typer.Exit


@app.callback()
def _lab(
    said: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Find the parts of campaigns among a lab's own accounts, together with the labs of a group."""


@app.command()
def load(
    map_file: MapFile = _MAP,
    state_file: StateFile = _STATE,
    group: GroupOf = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Read accounts, derive what they carry, and keep tokens of it. What was loaded before is not read again."""
    with Bench(map_file, state_file, group, url, key_file).open() as bench:
        told = bench.load()
    if as_json:
        print_json(told)
        return
    print_facts(
        [("Accounts", f"{told['accounts']:,}, of which {told['new']:,} new"), ("Tokens", f"{told['tokens']:,}")]
    )
    for column, count in told["wrong"].items():
        errors.print(f"{column}: {count:,} values are none of their kind and were left out", style="yellow")


@app.command()
def run(
    map_file: MapFile = _MAP,
    state_file: StateFile = _STATE,
    group: GroupOf = "",
    constants_file: ConstantsFile = None,
    most: Annotated[int, typer.Option("--rounds", min=1, help="At most so many rounds.")] = 10,
    every: Annotated[float, typer.Option("--every", min=0, help="Seconds between rounds.")] = 30.0,
    follow: Annotated[
        bool, typer.Option("--follow", help="Stay: read new accounts, and play rounds for good.")
    ] = False,
    target: Output = None,
    form: Shape = Form.JSONL,
    webhook: Annotated[
        str, typer.Option("--webhook", help="Told of new suspects; signed with EXCHANGE_LAB_WEBHOOK_SECRET.")
    ] = "",
    as_json: Json = False,
    url: Url = "",
    key_file: KeyFile = None,
) -> None:
    """Load accounts and play rounds with the group until next to nothing changes; with --follow, for good."""
    constants = fitting.read(constants_file) if constants_file else Constants()
    with Bench(map_file, state_file, group, url, key_file).open() as bench:
        began = time.monotonic()
        for played in itertools.count(1):
            pause = every
            try:
                bench.load()
                done = bench.round(constants)
                _tell(done, as_json=as_json)
                bench.put_out(constants, target=target, form=form, webhook=webhook)
                ready = not follow and (done.settled or played >= most)
            except (ApiError, Unreachable, KeyNotYet) as error:
                waits = isinstance(error, KeyNotYet) and time.monotonic() - began < _KEY_COMES_S
                if not waits and not (follow and _passes(error)):
                    raise
                pause = min(every, _KEY_ASKED_S) if isinstance(error, KeyNotYet) else every
                errors.print(f"exchange-lab: {error}; again in {pause:g} s", style="yellow", markup=False)
                ready = False
            if ready:
                return
            time.sleep(pause)


def _passes(error: ApiError | Unreachable | KeyNotYet) -> bool:
    """Whether the same may well succeed later: no answer, no key yet, too much asked, or the exchange's own trouble."""
    if isinstance(error, Unreachable | KeyNotYet):
        return True
    return error.status in _PASSING or error.status >= _SERVERS_TROUBLE


@app.command()
def suspects(
    state_file: StateFile = _STATE,
    constants_file: ConstantsFile = None,
    one_labs_word: Annotated[
        bool, typer.Option("--on-one-labs-word", help="Who holds three tokens that one other lab alone published.")
    ] = False,
    target: Output = None,
    form: Shape = Form.JSONL,
) -> None:
    """Write the suspects of the last round with score, campaign and reason. Needs no exchange."""
    constants = fitting.read(constants_file) if constants_file else Constants()
    with existing(state_file) as state:
        campaigns = kept_campaigns(state)
        some = list(output.suspects(state, Explainer(state, constants), campaigns, one_labs_word=one_labs_word))
    if target:
        output.write(some, target, form)
    else:
        sys.stdout.write(output.rendered(some, form))


@app.command()
def explain(
    account: Annotated[str, typer.Argument(help="The account, by your own name or by its pseudonym.")],
    state_file: StateFile = _STATE,
    constants_file: ConstantsFile = None,
    as_json: Json = False,
) -> None:
    """Say why an account is a suspect, or why not: a sentence, and what each group of tokens adds."""
    constants = fitting.read(constants_file) if constants_file else Constants()
    with existing(state_file) as state:
        name = state.account_of(account) or account
        number = state.accounts["account"].index_of(name)
        known = state.scores()
        if number is None:
            raise Unusable(f"{account}: no such account here")
        if known is None or number >= len(known):
            raise Unusable(f"{account}: no round has scored it yet")
        found = Explainer(state, constants).explain(number)
        where = kept_campaigns(state).get(state.known_pseudonyms().get(name, ""))
    said = output.entry(found, where, one_labs_word=found.one_labs_word and not found.suspect)
    if as_json:
        print_json(said | {"suspect": found.suspect, "without_largest": found.without_largest})
        return
    verdict = "suspect" if found.suspect else "on one lab's word" if found.one_labs_word else "no suspect"
    console.print(f"{found.account}: {verdict}, {found.sentence}.", markup=False)
    facts = [("Score", f"{found.total} (a suspect has {constants.total} or more)")]
    facts += [("Without the largest teller", f"{found.without_largest} ({constants.without_largest} or more)")]
    facts += [("Campaign", f"{where.name}, {where.grade}")] if where else []
    facts += [
        (
            one.group,
            f"{one.weight:+} by a {one.sort.replace('_', ' ')}: {one.suspects} suspects among {one.holders} others",
        )
        for one in found.reasons
    ]
    print_facts(facts)


@app.command()
def rehearse(
    map_file: MapFile = _MAP,
    state_file: StateFile = _STATE,
    constants_file: ConstantsFile = None,
    target: Output = None,
) -> None:
    """Print, line by line, what the next round would send. Sends nothing, asks nobody."""
    constants = fitting.read(constants_file) if constants_file else Constants()
    wanted = reading.read_map(map_file)
    with existing(state_file) as state:
        carries = state.carries()
        before = state.suspects()
        settings = settings_of(wanted)
        lines: list[dict[str, Any]] = [
            one.document()
            for one in rounds.evidence(state, carries, constants=constants, settings=settings, now=datetime.now(UTC))
        ]
        heard = rounds.answers(state.heard(), carries, carries.flagged if before is None else before)
        answers = [{"token": token.document(), **one._asdict()} for token, one in heard]
    text = "".join(json.dumps(one) + "\n" for one in (*lines, *answers))
    if target:
        target.write_text(text, encoding="utf-8")
    else:
        sys.stdout.write(text)
    carried = Counter(token["subkind"] for line in lines for token in line["tokens"])
    kinds = ", ".join(f"{count:,} {subkind}" for subkind, count in carried.most_common())
    errors.print(f"{len(lines):,} accounts with {kinds or 'no tokens'}; {len(answers):,} answers", markup=False)


@app.command()
def indicators(
    target: Annotated[Path, typer.Option("--output", "-o", help="The file to write, for `exchange publish`.")],
    map_file: MapFile = _MAP,
    state_file: StateFile = _STATE,
    constants_file: ConstantsFile = None,
    purity: Annotated[float, typer.Option(min=0.5, max=1.0, help="The share of suspects among holders.")] = 0.9,
    least: Annotated[int, typer.Option("--suspects", min=2, help="So many suspects of yours hold it.")] = 3,
) -> None:
    """Write indicators of what nearly only suspects hold. Sends nothing: look at them, then `exchange publish` them."""
    from exchange.lab import publishing  # noqa: PLC0415 - stix2 takes its time to load

    constants = fitting.read(constants_file) if constants_file else Constants()
    wanted = reading.read_map(map_file)
    with existing(state_file) as state:
        made = publishing.indicators(
            state,
            constants,
            purity=purity,
            least=least,
            says=wanted.indicators,
            publisher_action=wanted.publisher_action,
        )
        text = [f"{one.serialize()}\n" for one in made]
    target.write_text("".join(text), encoding="utf-8")
    errors.print(f"{len(text):,} indicators in {target}", markup=False)


@app.command()
def fit(
    labels_file: Annotated[Path, typer.Option("--labels", help="A CSV file: account, label (true or false).")],
    target: Annotated[Path, typer.Option("--output", "-o", help="The file of constants to write.")],
    state_file: StateFile = _STATE,
    precision: Annotated[float, typer.Option(min=0.5, max=1.0, help="The precision that is wanted.")] = 0.99,
    as_json: Json = False,
) -> None:
    """Find constants of the score on your own labels, with the last round's sums; half of the labels checks them."""
    with existing(state_file) as state:
        labels, known = labels_of(state, labels_file)
        carries = state.carries()
        found = fitting.fit(
            carries, state.told(state.heard()), state.suspects(), labels, known, precision=precision, start=Constants()
        )
    fitting.write(found.constants, target)
    told = {"before": found.before, "fitted": found.fitted, "checked": found.checked}
    if as_json:
        print_json({name: {"precision": one.precision, "recall": one.recall} for name, one in told.items()})
        return
    said = {
        "before": "As published, on the other half",
        "fitted": "Fitted, on this half",
        "checked": "On the other half",
    }
    print_facts([(said[name], f"precision {one.precision:.3f}, recall {one.recall:.3f}") for name, one in told.items()])


@app.command()
def status(state_file: StateFile = _STATE, as_json: Json = False) -> None:
    """Say what this lab has, sent and found. Needs no exchange."""
    with existing(state_file) as state:
        scores = state.scores()
        told = {
            "accounts": len(state.accounts),
            "flagged": int(state.accounts["flagged"].sum()),
            "tokens": len(state.tokens),
            "round": state.get("round", 0),
            "sent": len(state.sent()),
            "asked": len(state.heard()),
            "suspects": 0 if scores is None else int(scores["suspect"].sum()),
            "on_one_labs_word": 0 if scores is None else int(scores["one_word"].sum()),
            "with_a_signature": len(state.met()),
        }
    if as_json:
        print_json(told)
    else:
        names = {name: name.replace("_", " ").capitalize() for name in told} | {"on_one_labs_word": "On one lab's word"}
        print_facts([(names[name], f"{value:,}") for name, value in told.items()])


def _tell(done: Done, *, as_json: bool) -> None:
    if as_json:
        print_json({name: getattr(done, name) for name in Done.__slots__})
        return
    end = "; nothing changes any more" if done.settled else ""
    console.print(
        f"Round {done.number}: {done.suspects:,} suspects, {done.new:,} new; {done.one_word:,} on one lab's word;"
        f" sent {done.sent:,} accounts, took back {done.gone:,}, gave {done.answers:,} answers on {done.asked:,} tokens"
        f"{end}",
        markup=False,
    )
