"""People of partners, and how they sign in.

`registering` makes User, `people` changes it; `inviting` writes Invitation (`keys.revoke` ends those of a key),
`signing_on` SignOn and Identity, `asking` Question, `sessions` Session.
"""

from __future__ import annotations

import secrets
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q
from django.db.models.functions import Lower
from django.utils.translation import gettext_lazy as _

from exchange import clock
from partners.models.keys import ApiKey
from partners.models.partners import Partner
from partners.scopes import Role


def _random_id() -> int:
    """53 random bits: what JSON readers of every language keep as they are."""
    return secrets.randbelow(2**53 - 1) + 1


class User(AbstractUser):
    """A person of a partner."""

    id = models.BigIntegerField(primary_key=True, default=_random_id, help_text="Drawn: a count would tell of others.")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="users", null=True)
    role = models.CharField(max_length=12, choices=Role, default=Role.ANALYST)
    single_keys = models.BooleanField(
        default=True, db_default=True, help_text="Whether single keys act on the portal's pages (WCAG 2.1.4)."
    )

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="one_user_per_name_in_whatever_case")]


class Invitation(models.Model):
    """That somebody may become a person of a partner, once; only the digest of the link's token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Role)
    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the token, which holds 256 bits.")
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    invited_by_key = models.ForeignKey(ApiKey, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.OneToOneField(User, on_delete=models.PROTECT, related_name="invitation", null=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_at=None) | Q(revoked_at=None), name="an_invitation_ends_in_one_way"
            )
        ]


class SignOn(models.Model):
    """Where the people of a partner sign in with their own identity provider: an OpenID Connect issuer."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.OneToOneField(Partner, on_delete=models.PROTECT, related_name="sign_on")
    issuer = models.CharField(max_length=300)
    client_id = models.CharField(max_length=200)
    client_secret = models.BinaryField(help_text="Sealed, bound to this row.")
    changed_at = models.DateTimeField(default=clock.now)
    authorization_endpoint = models.CharField(
        max_length=1000,
        default="",
        db_default="",
        help_text="Where its people sign in, as it says; empty until it was asked.",
    )
    trouble = models.CharField(
        max_length=300, default="", db_default="", help_text="Why it could not be asked the last time."
    )


class Question(models.Model):
    """What an issuer is to be asked by a worker, and its answer; gone once that is read, or of no use any more."""

    class Kind(models.TextChoices):
        DISCOVER = "discover", _("Where its pages are")
        IDENTIFY = "identify", _("Who came back")

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sign_on = models.ForeignKey(SignOn, on_delete=models.CASCADE, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    content = models.BinaryField(help_text="Sealed, bound to this row.")
    answer = models.BinaryField(null=True, help_text="Sealed, bound to this row.")
    created_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)


class Identity(models.Model):
    """Who a person is at the issuer of the partner: bound on issuer and subject, never on an e-mail address."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="identities")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)
    linked_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "issuer", "subject"], name="one_person_per_issuer_and_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="one_subject_per_person_and_issuer"),
        ]


class Session(AbstractBaseSession):
    """A browser that is signed in, or about to be: Django's session, with what its person wants to know of it."""

    handle = models.CharField(max_length=32, db_index=True, help_text="Names it on pages; the key itself never shows.")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions", null=True)
    browser = models.CharField(max_length=60, default="")
    network = models.CharField(max_length=50, default="")
    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)
