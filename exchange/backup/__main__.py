"""`python -m exchange.backup copy | receive | restore DIRECTORY`: keeps the key service's database.

Of the environment it reads KEY_SERVICE_DATABASE_URL (its role has REPLICATION), BACKUP_DIR and BACKUP_KEEP. The seal,
KEY_SERVICE_SECRET, is not in the copies: keep it elsewhere.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from exchange import env
from exchange.backup import keeping, programs, receiving, restoring

_SLOT = "key_service_backup"


def main() -> int:
    """One of the three; the exit status is 1 where it failed, with a sentence."""
    parser = argparse.ArgumentParser(prog="python -m exchange.backup", description=__doc__)
    parser.add_argument("verb", choices=("copy", "receive", "restore"))
    parser.add_argument("to", nargs="?", type=Path, help="restore: the new data directory, absent or empty")
    parser.add_argument("--at", type=restoring.moment, help="restore: an RFC 3339 moment; default: all there is")
    parser.add_argument("--user", default="", help="restore by root: as whom PostgreSQL runs")
    given = parser.parse_args()
    url = env.required("KEY_SERVICE_DATABASE_URL", why="a postgresql:// URL")
    directory = Path(env.required("BACKUP_DIR", why="where backups lie")).absolute()
    try:
        if given.verb == "copy":
            made = keeping.copy(url, directory, keys={})
            keeping.forget(directory, keep=env.number("BACKUP_KEEP", 7, least=1, most=1_000))
            _say(f"{made.place}: {made.bytes / 2**20:,.0f} MiB, checked. KEY_SERVICE_SECRET is not in it.")
        elif given.verb == "receive":
            receiving.receive(url, directory, slot=_SLOT)
        elif given.to is None:
            parser.error("restore: say where to")
        else:
            with restoring.restored(url, directory, to=given.to.absolute(), at=given.at, user=given.user) as server:
                _say(f"{server.base.place.name} and the log since: answers after {server.seconds:.0f} s.")
    except programs.Failed as failed:
        _say(str(failed))
        return 1
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
