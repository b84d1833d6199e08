"""Django's command line: `manage.py` in a checkout, `exchange-manage` where the server's wheel is installed."""

import os
import sys
from pathlib import Path

from django.core.management import execute_from_command_line
from django.db import OperationalError

from exchange import loading, starting


def named(command: str) -> str:
    """How whoever reads a message calls this command: as it was called now, by the wheel or in a checkout."""
    return f"python manage.py {command}" if Path(sys.argv[0]).name == "manage.py" else f"exchange-manage {command}"


def main() -> None:
    """Run what the arguments say, under our settings. A store that is away is a sentence, exit status 1."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    os.environ.setdefault("EXCHANGE_COMMAND", "1")  # goes past a pooler, for migrations set what holds for a session
    try:
        loading.set_up()
        execute_from_command_line(sys.argv)
    except OperationalError:
        why = starting.why_away()
        if not why:
            raise
        sys.exit(f"DATABASE_URL: the store does not answer: {why}")


if __name__ == "__main__":
    main()
