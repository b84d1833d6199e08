"""Write down what was done, in the transaction that does it. The only writer of AuditRecord."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

import orjson
import rfc8785
from psycopg.types.json import Jsonb

from exchange import clock
from exchange.client import merkle
from exchange.sql import Message
from partners.models import AuditRecord, Partner
from partners.viewer import Viewer

_NONCE_BYTES = 16


class Verb(StrEnum):
    """What can be done, as the log names it."""

    APPEAL_DECIDED = "appeal.decided"
    APPEAL_FILED = "appeal.filed"
    BATCHES_FORGOTTEN = "batches.forgotten"
    BATCH_CONFIRMED = "batch.confirmed"
    BATCH_DECLINED = "batch.declined"
    BATCH_HELD = "batch.held"
    BATCH_PUBLISHED = "batch.published"
    CAPS_CHANGED = "caps.changed"
    CAMPAIGN_STATED = "campaign.stated"
    CEILING_CHANGED = "ceiling.changed"
    CLEARANCE_CHANGED = "clearance.changed"
    CONNECTION_ALARMED = "connection.alarmed"
    CONNECTION_CHANGED = "connection.changed"
    CONNECTION_ENDED = "connection.ended"
    CONNECTION_MADE = "connection.made"
    DELIVERIES_REPLAYED = "deliveries.replayed"
    DETECTOR_CHANGED = "detector.changed"
    DETECTOR_REGISTERED = "detector.registered"
    DETECTOR_RETIRED = "detector.retired"
    DIGEST_CHOSEN = "digest.chosen"
    DIGEST_ENDED = "digest.ended"
    ENDING_FINAL = "ending.final"
    ENDING_UNDONE = "ending.undone"
    EVIDENCE_ENDED = "evidence.ended"
    EVIDENCE_FINISHED = "evidence.finished"
    EVIDENCE_SENT = "evidence.sent"
    EXCERPT_DECLINED = "excerpt.declined"
    EXCERPT_ENDED = "excerpt.ended"
    EXCERPT_SENT = "excerpt.sent"
    EXCERPT_SHOWN = "excerpt.shown"
    FACTORS_RESET = "factors.reset"
    FACTOR_ADDED = "factor.added"
    FACTOR_REMOVED = "factor.removed"
    FACTOR_RENAMED = "factor.renamed"
    OPINION_CONFIRMED = "opinion.confirmed"
    OPINIONS_BEGUN = "opinions.begun"
    OPINIONS_UNDONE = "opinions.undone"
    FEED_CHANGED = "feed.changed"
    FEED_DELETED = "feed.deleted"
    FEED_SAVED = "feed.saved"
    GROUP_AGREED = "group.agreed"
    GROUP_CREATED = "group.created"
    GROUP_DECLINED = "group.declined"
    GROUP_DISSOLVED = "group.dissolved"
    GROUP_JOINED = "group.joined"
    GROUP_KEYS_HANDED_OUT = "group-keys.handed-out"
    GROUP_KEYS_REPLACED = "group-keys.replaced"
    GROUP_KEY_MADE = "group-key.made"
    GROUP_LEFT = "group.left"
    GROUP_PROPOSED = "group.proposed"
    GROUP_REGISTERED = "group.registered"
    GROUP_REINSTATED = "group.reinstated"
    GROUP_REMOVED = "group.removed"
    GROUP_RENEWED = "group.renewed"
    GROUP_SUSPENDED = "group.suspended"
    GROUP_WARNED = "group.warned"
    HAND_OVER_ANSWERED = "hand-over.answered"
    HAND_OVER_OFFERED = "hand-over.offered"
    HAND_OVER_WITHDRAWN = "hand-over.withdrawn"
    IDENTITY_LINKED = "identity.linked"
    IDENTITY_UNLINKED = "identity.unlinked"
    INVITATION_ACCEPTED = "invitation.accepted"
    INVITATION_REVOKED = "invitation.revoked"
    INVITATION_SENT = "invitation.sent"
    KEY_ISSUED = "key.issued"
    KEY_REVOKED = "key.revoked"
    KEY_ROTATED = "key.rotated"
    LOG_KEY_USED = "log-key.used"
    OBJECTS_DISARMED = "objects.disarmed"
    OBJECTS_ENDED = "objects.ended"
    OBJECTS_HANDED_OVER = "objects.handed-over"
    OBJECTS_READDRESSED = "objects.readdressed"
    OBJECTS_WITHDRAWN = "objects.withdrawn"
    PARTNER_ACTIVATED = "partner.activated"
    PARTNER_INVITED = "partner.invited"
    PARTNER_LEFT = "partner.left"
    PARTNER_REGISTERED = "partner.registered"
    PARTNER_REINSTATED = "partner.reinstated"
    PARTNER_SUSPENDED = "partner.suspended"
    PASSWORD_CHANGED = "password.changed"  # noqa: S105 - the name of what was done
    PASSWORD_RESET = "password.reset"  # noqa: S105
    PASSWORD_RESET_ASKED = "password.reset-asked"  # noqa: S105
    PREVALENCE_SENT = "prevalence.sent"
    QUARANTINE_DELETED = "quarantine.deleted"
    READ_AGGREGATED = "read.aggregated"
    RECALL_PREPARED = "recall.prepared"
    RECOVERY_CODES_MADE = "recovery-codes.made"
    REPORT_CHECKED = "report.checked"
    REPORT_DISCARDED = "report.discarded"
    REPORT_PREPARED = "report.prepared"
    REPORT_RELEASED = "report.released"
    REPORT_SCHEDULE_CHANGED = "report-schedule.changed"
    REPORT_SCHEDULE_ENDED = "report-schedule.ended"
    REPORT_SCHEDULE_MADE = "report-schedule.made"
    SECOND_FACTOR_DEMANDED = "second-factor.demanded"
    SERVICE_HOSTS_ADDED = "service-hosts.added"
    SERVICE_HOST_CONFIRMED = "service-host.confirmed"
    SERVICE_HOST_ENDED = "service-host.ended"
    SERVICE_HOST_PROVEN = "service-host.proven"
    SESSIONS_ENDED = "sessions.ended"
    SETTINGS_CHANGED = "settings.changed"
    SIGNED_IN = "user.signed-in"
    SIGN_ON_CHANGED = "sign-on.changed"
    SIGN_ON_REMOVED = "sign-on.removed"
    SUBSCRIPTION_CHANGED = "subscription.changed"
    SUBSCRIPTION_CREATED = "subscription.created"
    SUBSCRIPTION_DELETED = "subscription.deleted"
    SUBSCRIPTION_SECRET_ROTATED = "subscription.secret-rotated"  # noqa: S105 - the name of what was done
    TERMS_ENDED = "terms.ended"
    TERMS_RECORDED = "terms.recorded"
    TOKEN_KEY_PUBLISHED = "token-key.published"  # noqa: S105 - the name of what was done
    USER_CHANGED = "user.changed"
    USER_REGISTERED = "user.registered"


def record(
    verb: Verb,
    *,
    by: Viewer | None,
    target: str,
    about: UUID | None = None,
    within: Message | None = None,
    **details: Any,
) -> AuditRecord:
    """Append one record; `details` are counts and names, never content, tokens or keys.

    With `within`, it is written when that message is sent.

    It belongs to the log of `by`'s partner, or, where somebody else acts on a partner, of the one that it is
    `about`: there the actor is named by what it is ("operator", "partner"), never by name.
    """
    if by is None:
        return write(verb, partner_id=about, actor="system", target=target, details=details, within=within)
    if about is None or about == by.partner_id:
        return write(verb, partner_id=by.partner_id, actor=by.actor, target=target, details=details, within=within)
    actor = "operator" if by.kind == Partner.Kind.OPERATOR else "partner"
    return write(verb, partner_id=about, actor=actor, target=target, details=details, within=within)


def write(
    verb: Verb,
    *,
    partner_id: UUID | None,
    actor: str,
    target: str,
    details: dict[str, Any],
    within: Message | None = None,
) -> AuditRecord:
    """Append one record, without a place in the tree yet: one statement, and nobody waits for anybody."""
    made = AuditRecord(
        at=clock.now(),
        verb=verb.value,
        partner_id=partner_id,
        actor=actor,
        target=target,
        details=orjson.loads(orjson.dumps(details)),
        nonce=secrets.token_bytes(_NONCE_BYTES),
    )
    made.leaf_hash = merkle.leaf_hash(canonical(made))
    values: dict[str, Any] = {
        "at": made.at,
        "verb": made.verb,
        "partner": partner_id,
        "actor": actor,
        "target": target,
        "details": Jsonb(made.details),
        "nonce": made.nonce,
        "leaf_hash": made.leaf_hash,
    }
    if within is not None:
        within.add(_WRITE, values)
        return made
    message = Message()
    written = message.add(_WRITE, values)
    message.send()
    ((made.pk,),) = written.rows
    return made


def canonical(record: AuditRecord) -> bytes:
    """The record as its leaf has it: RFC 8785 canonical JSON, nonce included."""
    return rfc8785.dumps(
        {
            "v": 1,
            "at": clock.rfc3339(record.at),
            "verb": record.verb,
            "partner": str(record.partner_id) if record.partner_id else None,
            "actor": record.actor,
            "target": record.target,
            "details": record.details,
            "nonce": bytes(record.nonce).hex(),
        }
    )


_WRITE = """
WITH written AS (
    INSERT INTO partners_auditrecord (at, verb, partner_id, actor, target, details, nonce, leaf_hash)
    VALUES (%(at)s, %(verb)s, %(partner)s, %(actor)s, %(target)s, %(details)s, %(nonce)s, %(leaf_hash)s)
    RETURNING id
)
INSERT INTO partners_auditwaiting (record_id) SELECT id FROM written RETURNING record_id
"""


def by_whom(verb: Verb, *, target: str) -> str | None:
    """Who first did this to `target`; None if the log does not say."""
    return AuditRecord.objects.filter(verb=verb, target=target).order_by("pk").values_list("actor", flat=True).first()


def by_whom_at(verb: Verb, *, target: str, partner_id: UUID, at: datetime) -> str:
    """Who of a partner did this to `target` at about this time, the last of them; empty if the log does not say."""
    done = AuditRecord.objects.filter(partner=partner_id, at__range=(at - _ABOUT, at + _ABOUT))
    return done.filter(verb=verb, target=target).order_by("-pk").values_list("actor", flat=True).first() or ""


_ABOUT = timedelta(minutes=1)
