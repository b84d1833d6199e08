"""Change a key of the exchange's, one kind at a time: what is to be done in the store, and a look whether it is right.

The new key itself is put into the settings by whoever runs the machines (`--new` prints one); then this command.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from exchange import clock
from exchange.errors import ExchangeError
from exchange.management.at_store import StoreCommand
from partners import operating
from partners.log import audit, logkeys, transparency
from partners.models import AuditKey, Group
from partners.tokens import groupkeys

#: Of each kind that is a setting, how a new key is made.
_NEW: dict[str, tuple[str, Callable[[], str]]] = {
    "sealing": ("SECRET_KEY", lambda: secrets.token_urlsafe(60)),
    "log": ("AUDIT_SIGNING_KEY", lambda: secrets.token_hex(32)),
}
#: So long after it first signed, the present key is the one of this change: workers may sign with it before this does.
_JUST_CHANGED = timedelta(days=1)


class Command(StoreCommand):
    """Exit status 1 where the key is not changed yet, with what is to be done first. Safe to repeat."""

    help = __doc__ or ""

    def add_arguments(self, parser: CommandParser) -> None:
        """Which kind."""
        parser.add_argument("kind", choices=["sealing", "log", "group-keys"])
        parser.add_argument("group", nargs="?", default="", help="Of group-keys: the slug of the group.")
        parser.add_argument("--new", action="store_true", help="Print a new key for the settings, and do nothing else.")
        parser.add_argument("--why", default="", help="Of group-keys: written into the log.")

    def handle(self, *args: Any, **options: Any) -> None:
        """One kind."""
        kind = options["kind"]
        if options["new"]:
            if kind not in _NEW:
                raise CommandError("The exchange makes keys of groups itself: leave --new out.")
            name, make = _NEW[kind]
            self.stdout.write(f"{name}={make()}")
        elif kind == "sealing":
            call_command("reseal", stdout=self.stdout)
        elif kind == "log":
            self._log()
        else:
            self._group_keys(options["group"], why=options["why"])

    def _log(self) -> None:
        """Have the present AUDIT_SIGNING_KEY sign a head, which writes its first use down, and prove the whole log."""
        present = logkeys.key_id()
        known = list(AuditKey.objects.order_by("since", "key_id"))
        names = [key.key_id for key in known]
        if known and names[-1] != present and present in names:
            raise CommandError(
                f"{names[-1]} signs the log already, and AUDIT_SIGNING_KEY here is one of before ({present})."
            )
        if not known or (names[-1] == present and (len(known) == 1 or clock.now() - known[-1].since > _JUST_CHANGED)):
            raise CommandError(
                f"Nothing was changed: AUDIT_SIGNING_KEY here ({present}) is the key that signs the log already, or"
                " the first that it will have. Put a new one into the settings (`rotate log --new` prints one), restart"
                " all processes, and run this again."
            )
        if present not in names:
            transparency.begin_with_present_key()
        transparency.seal(every=timedelta(0))
        head = transparency.head()
        if head is None or head.key_id != present:
            raise CommandError(f"No head is signed by {present} yet: another process seals the log. Run this again.")
        call_command("audit_verify", stdout=self.stdout)
        before = next(name for name in reversed(names) if name != present)
        self.stdout.write(
            f"{present} signs the log, and {before} did before: heads of before are checked with that one for good."
            " Publish the new public key where partners look for it."
        )

    def _group_keys(self, slug: str, *, why: str) -> None:
        """Give each living key of a group a successor at once, as where a member leaves."""
        group = Group.objects.filter(slug=slug).first()
        if group is None:
            raise CommandError("There is no group of this slug.")
        try:
            by = operating.at_the_command_line()
        except ExchangeError as refused:
            raise CommandError(refused.detail) from None
        with transaction.atomic():
            count = groupkeys.replace(Group.objects.select_for_update().get(pk=group.pk))
            audit.record(audit.Verb.GROUP_KEYS_REPLACED, by=by, target=f"group:{slug}", keys=count, why=why)
        self.stdout.write(
            f"{count} keys of {slug} have successors. Members are handed them with their next request, make new tokens"
            " with them, and look up with both; `exchange renew` gives what lives tokens of the new ones."
        )
