"""Revoke an API key, given whole or by its public id, with all keys that descend from it. The key is never echoed."""

from __future__ import annotations

import re
import sys
from typing import Any

from django.core.management.base import CommandError, CommandParser

from exchange import credentials
from exchange.management.at_store import StoreCommand
from partners import keys
from partners.models import ApiKey

#: A whole key, one whose end was cut off or mistyped, or the public id alone.
_NAMED = re.compile(credentials.NAMED)


class Command(StoreCommand):
    """For the operator, when a key turns up where it should not be."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key."""
        parser.add_argument("key", help="exk_…, or its public id; - reads it from standard input, out of sight of ps.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke it, and say what was revoked."""
        given: str = options["key"]
        named = _NAMED.fullmatch((sys.stdin.readline() if given == "-" else given).strip())
        key = ApiKey.objects.select_related("partner").filter(public_id=named[1]).first() if named else None
        if key is None:
            raise CommandError("There is no such key.")
        count = keys.revoke(key)
        what = f"exk_{key.public_id}_… ({key.name}) of {key.partner.name}"
        if not count:
            self.stdout.write(f"{what} was revoked before.")
        else:
            self.stdout.write(f"{what} is revoked; {count} in all.")
