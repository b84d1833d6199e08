"""`manage.py check --deploy` with the settings of production: a warning is an error."""

import os
import sys

from django.core.management import execute_from_command_line

if __name__ == "__main__":
    os.environ |= {
        "DJANGO_SETTINGS_MODULE": "exchange.settings",
        "EXCHANGE_MODE": "production",
        "SECRET_KEY": "k3-" + "abcdefghijklmnopqrstuvwxyz0123456789" * 2,
        "AUDIT_SIGNING_KEY": "0123456789abcdef" * 4,
        "ALLOWED_HOSTS": "exchange.example",
        "BASE_URL": "https://exchange.example",
    }
    execute_from_command_line([sys.argv[0], "check", "--deploy", "--fail-level", "WARNING"])
