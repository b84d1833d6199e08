"""Django's command line: `manage.py` in a checkout, `exchange-manage` where the server's wheel is installed."""

import os
import sys

from django.core.management import execute_from_command_line


def main() -> None:
    """Run what the arguments say, under our settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "exchange.settings")
    execute_from_command_line(sys.argv)
