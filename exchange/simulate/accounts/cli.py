"""`exchange simulate accounts`: files of five labs for `exchange-lab`, and the truth apart."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from exchange.client.errors import Unusable
from exchange.simulate.accounts.told import LABS, SIZES, Format, Lie, Payment, Told


def accounts(
    place: Annotated[Path, typer.Argument(help="The folder to write: one folder a lab, and truth.csv.")],
    size: Annotated[str, typer.Option(help=f"How many accounts: {', '.join(SIZES)}.")] = "21k",
    seed: Annotated[int, typer.Option(help="The same seed writes the same files.")] = 1,
    form: Annotated[Format, typer.Option("--format", help="How accounts are written.")] = Format.JSONL,
    payment: Annotated[
        Payment, typer.Option(help="A card looks the same everywhere, or at one lab only.")
    ] = Payment.GLOBAL,
    flags: Annotated[float, typer.Option(min=0.0, max=1.0, help="The share of the labs' flags that is kept.")] = 1.0,
    blind: Annotated[list[str] | None, typer.Option(help="A lab that flagged nothing; repeat.")] = None,
    careful: Annotated[bool, typer.Option("--careful", help="One card an account, and VPN exits only.")] = False,
    lie: Annotated[Lie, typer.Option(help="What the lab eridanus invents.")] = Lie.NONE,
    over: Annotated[
        float, typer.Option(min=0.0, help="Half of the accounts at once, the others during so many seconds.")
    ] = 0.0,
    end: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The last day of the story; else 2026-11-27.")
    ] = None,
) -> None:
    """Write what five labs know of their accounts during a distillation campaign, and who is behind it (truth.csv)."""
    if size not in SIZES:
        raise typer.BadParameter(f"one of {', '.join(SIZES)}", param_hint="--size")
    if unknown := sorted(set(blind or ()) - set(LABS)):
        raise typer.BadParameter(f"{unknown[0]} is none of {', '.join(LABS)}", param_hint="--blind")
    if over and form is not Format.JSONL:
        raise typer.BadParameter("jsonl alone can grow", param_hint="--format")
    try:
        from exchange.simulate.accounts import arriving, files  # noqa: PLC0415 - of the extra `lab`
        from exchange.simulate.accounts.story import tell  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise Unusable(f"This needs {error.name}: pip install '.[lab]' in a checkout") from error
    began = time.monotonic()
    every, fraudulent = SIZES[size]
    told = Told(
        accounts=every,
        fraudulent=fraudulent,
        seed=seed,
        payment=payment,
        flags=flags,
        blind=tuple(blind or ()),
        careful=careful,
        lie=lie,
    )
    story = tell(told)
    until = end.replace(tzinfo=UTC) + timedelta(days=1) if end else files.END
    console = Console()
    if over:
        arriving.arrive(story, place, over_s=over, end=until)
        return
    paths = files.write(story, place, form=form, end=until)
    for path in paths:
        console.print(f"{path}", markup=False, highlight=False)
    seen = story.accounts.flagged & (story.accounts.operator >= 0)
    console.print(
        f"{len(story.accounts):,} accounts, {fraudulent:,} of {told.campaigns} operators, of which the labs flagged"
        f" {int(seen.sum()):,}; {time.monotonic() - began:.0f} s. Who is who: {place / 'truth.csv'}",
        markup=False,
        highlight=False,
    )
