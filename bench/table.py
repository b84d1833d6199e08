"""What was measured, beside what it is measured against and what it should be, on a terminal or as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence
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
    detail: bool = False  # one of many, of which the README has the worst

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


_BEGIN, _END = "<!-- measured -->", "<!-- /measured -->"


def into_readme(text: str, rows: Sequence[Row], *, whole: str = "") -> str:
    """The README with these rows in its table: a line for each measure, a column for each number of stored objects.

    With `whole`, a sentence on the run, they take the place of all that is there; else of the same measures alone.
    """
    before, _, rest = text.partition(_BEGIN)
    there, _, after = rest.partition(_END)
    said, lines = (whole, {}) if whole else _read(there)
    for row in rows:
        if not row.detail:
            cells, _ = lines.get(row.measure, ({}, ""))
            lines[row.measure] = (cells | {row.stored: _cell(row)}, row.target)
    sizes = sorted({size for cells, _ in lines.values() for size in cells if size})
    table = [_line("", *(f"{size:,} stored" for size in sizes), "target"), "|" + "---|" * (len(sizes) + 2)]
    for measure, (cells, target) in lines.items():
        placed = {size or sizes[-1]: cell for size, cell in cells.items()} if sizes else {}
        table.append(_line(measure.strip(), *(placed.get(size, "") for size in sizes), target))
    return f"{before}{_BEGIN}\n{said}\n\n" + "\n".join(table) + f"\n{_END}{after}"


def _read(there: str) -> tuple[str, dict[str, tuple[dict[int, str], str]]]:
    """The sentence, and by measure its cells by size and its target."""
    sentence, _, table = there.strip().partition("\n\n")
    lines = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in table.strip().splitlines()]
    sizes = [int("".join(filter(str.isdigit, cell))) for cell in lines[0][1:-1]] if lines else []
    return sentence, {
        measure: ({size: cell for size, cell in zip(sizes, cells, strict=True) if cell}, target)
        for measure, *cells, target in lines[2:]
    }


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(row: Row) -> str:
    whole = ", ".join(part for part in (row.exchange, row.ratio) if part)
    return f"**{whole}**" if row.met is False else whole


def widest(measure: str, rows: Iterable[Row]) -> Row:
    """Of rows that each say how many times something takes, the one that takes most, under this name."""
    worst = max(rows, key=lambda row: float(row.ratio.split()[0]))
    return Row(measure, worst.stored, worst.exchange, worst.measure, worst.ratio, worst.target, worst.met)
