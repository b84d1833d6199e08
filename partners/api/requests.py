"""What requests about who send: its class here describes and validates each body (`exchange.shapes`)."""

from __future__ import annotations

import base64
from datetime import timedelta
from typing import Any

from rest_framework import serializers

from exchange.shapes import Body, Choice, Day, Email, Flag, Number, Text, Words
from exchange.tokens import forms, padding
from partners import keys, terms
from partners.caps import MOST
from partners.groups import naming
from partners.models import Group
from partners.scopes import KEY_SCOPES, Role
from partners.tokens.oblivious import REFUSALS

_MOST_WORDS = 200
_TLP = ["clear", "green", "amber", "amber+strict", "red"]
_WIDTHS = ["everyone", "groups", "partners"]
_MARKING = ("unknown-marking", "clear, green, amber, amber+strict or red.")
_WORD = ("wrong-type", "Must be a string without NUL.")


class FirstAdmin(Body):
    """Who becomes admin."""

    email = Email(code="bad-email", says="This is no e-mail address.", max_length=254)


class NewPartner(FirstAdmin):
    """A partner to be registered, and its first admin."""

    name = Text(
        code="bad-name", says=naming.NAME_WORDS, min_length=naming.NAME_CHARS[0], max_length=naming.NAME_CHARS[1]
    )
    slug = Text(
        code="bad-slug",
        says=naming.SLUG_WORDS,
        min_length=naming.SLUG_CHARS[0],
        max_length=naming.SLUG_CHARS[1],
        help_text="Small letters, digits and hyphens.",
    )
    kind = Choice(
        ["ally", "lab", "recipient"],
        required=False,
        allow_blank=True,
        code="bad-kind",
        says="A lab, an ally or a recipient.",
    )


class Suspension(Body):
    """Why a partner is suspended."""

    why = Text(
        code="no-reason",
        says="Say why, in at most 500 characters.",
        max_length=500,
        help_text="Read by the partner and the operator.",
    )


class NewTerms(Body):
    """On which terms a partner is given report packages."""

    jurisdiction = Text(
        code="bad-jurisdiction",
        says="A code of ISO 3166, such as DE or US-CA; EU, UN.",
        max_length=6,
        help_text="ISO 3166: `DE`, `US-CA`; `EU`, `UN`.",
    )
    reference = Text(code="bad-text", says="1 to 300 characters.", max_length=300, help_text="A law, an agreement.")
    until = Day(required=False, help_text="The last day; absent: until they are ended.")
    strictest = Choice(
        _TLP, code=_MARKING[0], says=_MARKING[1], help_text="The strictest marking that a package may hold."
    )
    forms = Words(
        required=False,
        choices=terms.FORMS,
        code="bad-form",
        says=f"Of: {', '.join(terms.FORMS)}.",
        max_length=len(terms.FORMS),
        help_text="What it wants to be given; absent: all of them.",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": Day(help_text="The first day."), **super().get_fields()}


class NewBasis(Body):
    """A basis to be agreed on."""

    legal_basis = Text(code="bad-text", says="1 to 2000 characters.", max_length=2000)
    basis_reference = Text(required=False, code="too-long", says="At most 300 characters.", max_length=300)
    basis_from = Day()
    basis_until = Day(required=False)
    evidence = Flag(required=False, help_text="Whether it allows evidence and prevalence; absent: as before.")


class NewGroup(NewBasis):
    """A group to be made; its short name is chosen by the exchange."""

    name = Text(code="bad-text", says="1 to 120 characters.", max_length=120)
    purpose = Text(code="bad-text", says="1 to 2000 characters.", max_length=2000)
    policy = Choice(
        Group.Policy.values, required=False, code="bad-choice", says=f"One of: {', '.join(Group.Policy.values)}."
    )
    join_rule = Choice(
        Group.JoinRule.values, required=False, code="bad-choice", says=f"One of: {', '.join(Group.JoinRule.values)}."
    )


class PartnerName(Body):
    """A partner by its slug."""

    partner = Text(code="unknown-partner", says="There is no partner of this name.", max_length=60)


class CeilingWish(Body):
    """The most open marking and the widest audience."""

    whole = ("wrong-type", "An object with tlp and audience.")

    tlp = Choice(_TLP, code=_MARKING[0], says=_MARKING[1])
    audience = Choice(_WIDTHS, code="bad-choice", says="everyone, groups or partners.")


class FourEyesWish(CeilingWish):
    """What one person or key may publish alone."""

    objects = Number(
        required=False, code="bad-number", says="From 1 to 1000000, or none.", min_value=1, max_value=1_000_000
    )


def _cap(meaning: str) -> Number:
    says = f"From 1 to {MOST:,}, or null."
    return Number(required=False, code="bad-number", says=says, min_value=1, max_value=MOST, help_text=meaning)


class CapsWish(Body):
    """How much goes out in a day, and ends in an hour, before a second person looks; null: no bound."""

    objects = _cap("Objects a day.")
    recipients = _cap("The partners that see each object, added up, a day.")
    broad = _cap("Networks, AS numbers, card ranges, mail domains, rules, regexes and NOVA rules a day.")
    ends = _cap("Living objects that are revoked or withdrawn an hour: more are disarmed. Null: 500.")


class RoleCeilingsWish(Body):
    """A ceiling for each role that publishes."""

    whole = ("bad-role", "Only roles that publish have a ceiling.")

    admin = CeilingWish(required=False)
    publisher = CeilingWish(required=False)


class DefaultAudienceWish(Body):
    """Who sees what is pushed without an audience."""

    whole = ("wrong-type", "An object with open_to_everyone, groups and partners.")

    open_to_everyone = Flag(required=False, help_text="Whether what is CLEAR or GREEN goes to every partner instead.")
    groups = Words(
        required=False,
        code="wrong-type",
        says="True or false, and lists of slugs.",
        max_length=_MOST_WORDS,
        help_text="Slugs of groups of yours.",
    )
    partners = Words(
        required=False,
        code="wrong-type",
        says="True or false, and lists of slugs.",
        max_length=_MOST_WORDS,
        help_text="Slugs of partners.",
    )


class SettingsWish(Body):
    """What an admin sets; what is left out stays as it is."""

    default_tlp = Choice(_TLP, required=False, allow_blank=True, code=_MARKING[0], says=_MARKING[1])
    default_audience = DefaultAudienceWish(
        required=False, allow_null=True, help_text="Null: a push that names no audience is refused."
    )
    ceiling = CeilingWish(required=False)
    role_ceilings = RoleCeilingsWish(required=False)
    four_eyes = FourEyesWish(required=False)
    caps = CapsWish(required=False, help_text="All that is not named is without a bound again.")


_SCOPES = sorted(scope.value for scope in KEY_SCOPES)


class NewKey(Body):
    """A key to be made. What it leaves out, it has from the key that makes it."""

    name = Text(code="bad-name", says="A name of 1 to 80 characters.", max_length=80)
    scopes = Words(
        choices=_SCOPES,
        of_each=_WORD,
        code="bad-scopes",
        says=f"At least one of {', '.join(_SCOPES)}.",
        min_length=1,
        max_length=_MOST_WORDS,
    )
    expires_in_minutes = Number(
        required=False,
        code="bad-expiry",
        says="A key lives from a minute to a year.",
        min_value=1,
        max_value=527_040,
    )
    groups = Words(
        required=False,
        of_each=_WORD,
        code="unknown-group",
        max_length=_MOST_WORDS,
        help_text="Slugs; none: all groups.",
    )
    networks = Words(
        required=False,
        of_each=_WORD,
        code="bad-network",
        says="Too many networks.",
        max_length=_MOST_WORDS,
        help_text="CIDR; none: anywhere.",
    )
    certificate_subject = Text(required=False, code="bad-certificate", says="A distinguished name.", max_length=400)
    certificate_sha256 = Text(required=False, code="bad-certificate", says="64 hexadecimal digits.", max_length=95)


class Rotation(Body):
    """How long the old key lives on."""

    overlap_minutes = Number(
        required=False,
        code="bad-overlap",
        says=f"An overlap of 0 to {keys.MAX_OVERLAP.days} days.",
        min_value=0,
        max_value=keys.MAX_OVERLAP // timedelta(minutes=1),
    )


class PersonChange(Body):
    """What can be changed of a person."""

    role = Choice(Role.values, required=False, code="unknown-role", says="There is no such role.")
    active = Flag(required=False)


class NewInvitation(Body):
    """Who is invited, and as what."""

    email = Email(code="bad-email", says="This is no e-mail address.", max_length=254)
    role = Choice(
        Role.values,
        code="unknown-role",
        says="There is no such role.",
        help_text="It may do nothing that the caller may not.",
    )


class Points(Words):
    """Points as base64."""

    def element(self, sent: str) -> bytes:
        """Its bytes."""
        return base64.b64decode(sent, validate=True)


class EvaluationWish(Body):
    """Blinded points to be evaluated."""

    subkind = Choice(sorted(forms.OBLIVIOUS), code="unknown-subkind", says=REFUSALS["unknown-subkind"])
    epoch = Text(code="unknown-epoch", says=REFUSALS["unknown-epoch"], help_text="A quarter whose key answers now.")
    points = Points(
        of_each=("bad-point", "32 bytes as base64."),
        code="bad-count",
        says=REFUSALS["bad-count"],
        max_length=padding.SIZES[-1],
        help_text="16, 128 or 1,000 points of ristretto255, 32 bytes each, base64.",
    )
