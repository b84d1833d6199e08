"""What was measured, beside what it is measured against and what it should be, on a terminal or as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table

_COLUMNS = ("measure", "stored", "exchange", "against", "ratio", "target", "met")


@dataclass(frozen=True, slots=True)
class Row:
    """One line; `met` is None where there is no target."""

    measure: str
    stored: int
    exchange: str
    against: str = ""
    ratio: str = ""
    target: str = ""
    met: bool | None = None

    def cells(self) -> tuple[str, ...]:
        met = "" if self.met is None else "yes" if self.met else "no"
        return (self.measure, f"{self.stored:,}", self.exchange, self.against, self.ratio, self.target, met)


def faster(
    measure: str, stored: int, ours: Sequence[float], theirs: Sequence[float], *, name: str, unit: str, least: float
) -> Row:
    """Rates: ours is to be at least this share of theirs."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    share = mine / other
    return Row(
        measure,
        stored,
        f"{mine:,.0f} {unit}",
        f"{name}: {other:,.0f}",
        f"1/{1 / share:.1f}" if share < 1 else f"{share:.1f} x",
        f"≥ 1/{1 / least:.0f}",
        share >= least,
    )


def sooner(measure: str, stored: int, ours: Sequence[float], theirs: Sequence[float], *, name: str, most: float) -> Row:
    """Times in seconds: ours is to be at most this many times theirs."""
    mine, other = statistics.median(ours), statistics.median(theirs)
    ratio = mine / other
    return Row(
        measure,
        stored,
        f"{mine * 1_000:.2f} ms",
        f"{name}: {other * 1_000:.2f}",
        f"{ratio:.2f} x",
        f"≤ {most:g} x",
        ratio <= most,
    )


def at_most(measure: str, stored: int, value: float, *, unit: str, most: float, digits: int = 0) -> Row:
    """A figure with a bound."""
    return Row(measure, stored, f"{value:,.{digits}f} {unit}".strip(), target=f"≤ {most:g}", met=value <= most)


def on_terminal(rows: Sequence[Row]) -> Table:
    table = Table(title="The exchange, measured", title_justify="left")
    for column in _COLUMNS:
        table.add_column(column, justify="left" if column in {"measure", "target"} else "right")
    for row in rows:
        table.add_row(*row.cells(), style=None if row.met is not False else "bold red")
    return table


def as_markdown(rows: Sequence[Row]) -> str:
    lines = [" | ".join(("", *_COLUMNS, "")).strip(), "|" + "---|" * len(_COLUMNS)]
    lines += [" | ".join(("", *row.cells(), "")).strip() for row in rows]
    return "\n".join(lines)
