"""Make a snapshot of MISP's warninglists, and judge what is stored by it: entries of what is benign now end."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from exchange.management.at_store import StoreCommand
from indicators.benign import suppressing
from indicators.door import snapshot


class Command(StoreCommand):
    """`git clone https://github.com/MISP/misp-warninglists` first; the exchange itself calls nobody."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Where the lists are, and where the snapshot goes."""
        parser.add_argument("checkout", type=Path, help="A directory with lists/NAME/list.json, or NAME.json[.gz].")
        parser.add_argument("--output", type=Path, help="Default: BENIGN_LISTS.")
        parser.add_argument("--no-store", action="store_true", help="Write the file, and judge nothing.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write the file in one step, so that no process reads half of it; then judge."""
        output = options["output"] or (Path(settings.BENIGN_LISTS) if settings.BENIGN_LISTS else None)
        if output is None:
            raise CommandError("Say where the snapshot goes: --output, or BENIGN_LISTS.")
        try:
            made = snapshot.built(lambda name: _values(options["checkout"], name))
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"The lists cannot be read: {error}.") from None
        beside = output.with_name(f"{output.name}.new")
        beside.write_bytes(made)
        beside.replace(output)
        self.stdout.write(f"{output}: {len(made):,} bytes. Processes whose BENIGN_LISTS it is read it within seconds.")
        if options["no_store"] or not settings.BENIGN_LISTS or output != Path(settings.BENIGN_LISTS):
            return
        self.stdout.write(f"{suppressing.apply_pending()} stored values are judged otherwise.")


def _values(checkout: Path, name: str) -> list[str]:
    for path in (checkout / "lists" / name / "list.json", checkout / f"{name}.json", checkout / f"{name}.json.gz"):
        if path.is_file():
            body = path.read_bytes()
            found = json.loads(gzip.decompress(body) if path.suffix == ".gz" else body)
            return [value for value in found["list"] if isinstance(value, str)]
    raise KeyError(name)
