"""Write down what was done, in the transaction that does it. The only writer of AuditRecord."""

from enum import StrEnum
from typing import Any

from partners.models import AuditRecord
from partners.sharing import Viewer


class Verb(StrEnum):
    """What can be done, as the log names it."""

    BATCHES_FORGOTTEN = "batches.forgotten"
    BATCH_PUBLISHED = "batch.published"
    FACTORS_RESET = "factors.reset"
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    FACTOR_RENAMED = "factor.renamed"
    FEED_DELETED = "feed.deleted"
    FEED_SAVED = "feed.saved"
    GROUP_REGISTERED = "group.registered"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    INVITATION_ACCEPTED = "invitation.accepted"
    INVITATION_REVOKED = "invitation.revoked"
    INVITATION_SENT = "invitation.sent"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    KEY_ROTATED = "key.rotated"
    OBJECTS_HANDED_OVER = "objects.handed-over"
    OBJECTS_READDRESSED = "objects.readdressed"
    OBJECTS_WITHDRAWN = "objects.withdrawn"
    PARTNER_ACTIVATED = "partner.activated"
    PARTNER_INVITED = "partner.invited"
    PARTNER_REGISTERED = "partner.registered"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of what was done
    RECOVERY_CODES_MADE = "recovery-codes.made"
    SECOND_FACTOR_DEMANDED = "second-factor.demanded"
    SESSIONS_ENDED = "sessions.ended"
    SIGNED_IN = "user.signed-in"
    SIGN_ON_CHANGED = "sign-on.changed"
    SIGN_ON_REMOVED = "sign-on.removed"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    USER_CHANGED = "user.changed"
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
