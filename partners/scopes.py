"""What a caller may do: the scopes of keys, the roles of people, and the table that joins them."""

from enum import StrEnum

from django.db import models
from django.utils.translation import gettext_lazy as _


class Scope(StrEnum):
    """One right of a caller. Keys carry a set of them; a person has those of the role.

    `admin` manages people, keys, groups and settings of its own partner; `audit` reads its log and prepares and
    releases reports. Keys are given the others only (`KEY_SCOPES`), and one with `admin` may read the log, too.
    `tokenise` has values made into tokens without telling them; `group-keys` is handed the keys of its groups;
    `evidence` sends evidence and prevalence into groups whose terms allow it, and reads the sums.
    """

    ADMIN = "admin"
    AUDIT = "audit"
    EVIDENCE = "evidence"
    GROUP_KEYS = "group-keys"
    PUBLISH = "publish"
    REACT = "react"
    READ = "read"
    SUBSCRIBE = "subscribe"
    TOKENISE = "tokenise"


class Role(models.TextChoices):
    """What a person does for a partner."""

    ADMIN = "admin", _("Admin")
    ANALYST = "analyst", _("Analyst")
    COUNSEL = "counsel", _("Counsel")
    PUBLISHER = "publisher", _("Publisher")


ROLE_SCOPES: dict[Role, frozenset[Scope]] = {
    Role.ADMIN: frozenset(Scope),
    Role.ANALYST: frozenset({Scope.READ, Scope.REACT, Scope.TOKENISE}),
    Role.COUNSEL: frozenset({Scope.READ, Scope.AUDIT}),
    Role.PUBLISHER: frozenset({Scope.READ, Scope.REACT, Scope.PUBLISH, Scope.SUBSCRIBE, Scope.TOKENISE}),
}

#: What a key may be given.
KEY_SCOPES: frozenset[Scope] = frozenset(Scope) - {Scope.AUDIT}

#: A recipient (a government, a researcher) reads and is told; it neither publishes nor judges.
RECIPIENT_SCOPES: frozenset[Scope] = frozenset({Scope.READ, Scope.SUBSCRIBE, Scope.ADMIN, Scope.AUDIT})


#: An ally (an authority, another country's exchange) publishes and reads within its clearance. It is no lab: it has no
#: accounts, so it sends no evidence and asks no sums, and is handed no keys by which it could try values.
ALLY_SCOPES: frozenset[Scope] = frozenset(Scope) - {Scope.EVIDENCE, Scope.GROUP_KEYS}
_OF_KIND = {"ally": ALLY_SCOPES, "recipient": RECIPIENT_SCOPES}


def of_kind(kind: str) -> frozenset[Scope]:
    """What people and keys of a partner of this kind may do at most."""
    return _OF_KIND.get(kind, frozenset(Scope))


def rights_of(role: Role, *, kind: str) -> frozenset[Scope]:
    """What a person of this role may do at a partner of this kind."""
    return ROLE_SCOPES[role] & of_kind(kind)
