"""Write down what was done, in the transaction that does it. The only writer of AuditRecord."""

from enum import StrEnum
from typing import Any

from partners.models import AuditRecord
from partners.sharing import Viewer


class Verb(StrEnum):
    """What can be done, as the log names it."""

    BATCHES_FORGOTTEN = "batches.forgotten"
    BATCH_PUBLISHED = "batch.published"
    FEED_DELETED = "feed.deleted"
    FEED_SAVED = "feed.saved"
    GROUP_REGISTERED = "group.registered"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    OBJECTS_HANDED_OVER = "objects.handed-over"
    OBJECTS_READDRESSED = "objects.readdressed"
    OBJECTS_WITHDRAWN = "objects.withdrawn"
    PARTNER_REGISTERED = "partner.registered"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    USER_REGISTERED = "user.registered"


def record(verb: Verb, *, by: Viewer | None, target: str, **details: Any) -> None:
    """Append one record; `details` are counts and names, never content, tokens or keys."""
    AuditRecord.objects.create(
        verb=verb,
        partner_id=by.partner_id if by else None,
        actor=by.actor if by else "system",
        target=target,
        details=details,
    )
