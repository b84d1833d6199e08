"""`exchange`: the command line of a partner.

Each module of commands has one shape: functions that typer reads, and `COMMANDS`, in the order of the help.

Exit status: 0 all well, 1 something was refused or waits in quarantine, 2 wrong usage or no answer.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from exchange.client import (
    appealing,
    auditing,
    campaigns,
    connecting,
    detectors,
    disarming,
    ending,
    excerpts,
    exchanging,
    feeding,
    hosts,
    judging,
    keys,
    packages,
    pushing,
    reading,
    recalling,
    telling,
    tokens,
)
from exchange.client.errors import ExchangeClientError
from exchange.client.terminal import errors, version
from exchange.simulate.accounts.cli import accounts
from exchange.simulate.cli import simulate

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def main() -> None:
    """Entry point: what is expected to go wrong is one line, never a traceback."""
    try:
        app()
    except ExchangeClientError as error:
        errors.print(f"exchange: {error}", style="red", markup=False)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _say_version(asked: bool) -> None:
    if asked:
        typer.echo(f"exchange {version()}")
        raise typer.Exit


@app.callback()
def _exchange(
    said: Annotated[bool, typer.Option("--version", callback=_say_version, is_eager=True, help="Say it.")] = False,
) -> None:
    """Push, read and follow indicators of the Exchange. Set EXCHANGE_URL and EXCHANGE_API_KEY first."""


for module in (pushing, tokens, exchanging, ending, recalling, reading, judging, appealing, campaigns, telling):
    for command in module.COMMANDS:
        app.command(name=command.__name__.strip("_").replace("_", "-"))(command)
_simulating = typer.Typer()
_simulating.callback(invoke_without_command=True)(simulate)
_simulating.command()(accounts)
app.add_typer(_simulating, name="simulate")
app.add_typer(auditing.app, name="audit")
app.add_typer(excerpts.app, name="excerpts")
app.add_typer(connecting.app, name="connections")
app.add_typer(detectors.app, name="detectors")
app.add_typer(feeding.app, name="feeds")
app.add_typer(hosts.app, name="hosts")
app.add_typer(disarming.app, name="disarmed")
app.add_typer(keys.app, name="keys")
app.add_typer(packages.app, name="reports")

__all__ = ["app", "main"]
