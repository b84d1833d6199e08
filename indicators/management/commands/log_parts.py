"""The parts of the log: cut it before the newest becomes too large, and take old ones out of it into an archive."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange.errors import Conflict, NotFound
from exchange.management.at_store import StoreCommand
from indicators.log import archiving, changes, dividing


class Command(StoreCommand):
    """Beside a running exchange: who publishes and reads waits for seconds at most."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do, to which part, and whether at all."""
        parser.add_argument(
            "what",
            nargs="?",
            default="show",
            choices=["show", "divide", "archive", "drop"],
            help="show: the parts, and which may go. divide: end the newest part at a place ahead. archive: take a part"
            " out of the log, but for what readers still need. drop: delete an archive, of which you have a copy.",
        )
        parser.add_argument("name", nargs="?", default="", help="The part, or the archive.")
        parser.add_argument(
            "--place", type=int, default=0, help="Where to divide; default: a million places ahead, or two days."
        )
        parser.add_argument("--dry-run", action="store_true", help="Say what would be done, and do nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Say what is done. Exit status 1 where it may not be."""
        try:
            getattr(self, f"_{options['what']}")(options)
        except Conflict as refused:
            raise CommandError(str(refused)) from None
        except NotFound:
            raise CommandError(f"There is no such part: {options['name'] or 'none was named'}") from None

    def _say(self, line: str) -> None:
        self.stdout.write(line)
        self.stdout.flush()

    def _show(self, options: dict[str, Any]) -> None:
        self._say(f"The log ends at place {changes.head()}.")
        for part in dividing.parts():
            upto = "on" if part.end is None else f"before {part.end}"
            why = archiving.why_not(part) or "It may go to the archive."
            self._say(f"{part.name}: from {part.first} {upto}, about {part.rows:,} rows, {_mib(part.size)}. {why}")
        for gone in archiving.archives():
            self._say(f"{gone.name}: an archive, about {gone.rows:,} rows, {_mib(gone.size)}.")

    def _divide(self, options: dict[str, Any]) -> None:
        place = options["place"] or dividing.place_ahead()
        if options["dry_run"]:
            last = dividing.parts()[-1]
            self._say(f"{last.name} would be read once beside all others, and end before place {place}.")
            return
        dividing.cut(place, say=self._say)
        self._say(f"The newest part begins at place {place}.")

    def _archive(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            would = archiving.counted(archiving.wanted(options["name"]))
            self._say(f"{would.table} would have {would.rows:,} rows, of which {would.stay:,} stay in the log, too.")
            return
        done = archiving.archive(options["name"], say=self._say)
        self._say(
            f"{done.table} has {done.rows:,} rows, of which {done.stay:,} stay in the log, too. Copy it"
            f" (pg_dump --table {done.table}), then: exchange-manage log_parts drop {done.table}"
        )

    def _drop(self, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            self._say(
                f"{options['name']} would be deleted." if _is_archive(options["name"]) else "There is no such archive."
            )
            return
        archiving.drop(options["name"])
        self._say(f"{options['name']} is deleted.")


def _is_archive(name: str) -> bool:
    return any(one.name == name for one in archiving.archives())


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"
