"""Who takes part: partners, their people and keys, the groups they share in, and who may see what.

One file for each subject, named as the room that writes its tables; each says the one writer of each table.
"""

from partners.models.groups import Agreement, Group, Membership, Notice, Proposal
from partners.models.identity import Identity, Invitation, Question, Session, SignOn, User, _random_id
from partners.models.keys import ApiKey, KeyNetwork, RefusedCredentials
from partners.models.log import AuditKey, AuditLeaf, AuditNode, AuditRecord, AuditWaiting, ReadTally, TreeHead
from partners.models.mailing import Mail
from partners.models.partners import HandOver, Partner, Partners, RoleCeiling
from partners.models.recipients import RecipientTerms
from partners.models.sharing import Audience, Channel, Pseudonym, Sight
from partners.models.tokens import GroupKey, TokenKey

__all__ = [
    "Agreement",
    "ApiKey",
    "Audience",
    "AuditKey",
    "AuditLeaf",
    "AuditNode",
    "AuditRecord",
    "AuditWaiting",
    "Channel",
    "Group",
    "GroupKey",
    "HandOver",
    "Identity",
    "Invitation",
    "KeyNetwork",
    "Mail",
    "Membership",
    "Notice",
    "Partner",
    "Partners",
    "Proposal",
    "Pseudonym",
    "Question",
    "ReadTally",
    "RecipientTerms",
    "RefusedCredentials",
    "RoleCeiling",
    "Session",
    "Sight",
    "SignOn",
    "TokenKey",
    "TreeHead",
    "User",
    "_random_id",
]
