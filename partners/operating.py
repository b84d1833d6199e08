"""What the operator does from the machine itself, when nobody can or should sign in: the commands' way to the verbs."""

from __future__ import annotations

from exchange.errors import NotFound
from exchange.management import line
from partners.keys import auth
from partners.models import Partner
from partners.viewer import Viewer


def at_the_command_line() -> Viewer:
    """The operator, as a command acts for it. Raises NotFound where there is no active one."""
    operator = Partner.objects.filter(kind=Partner.Kind.OPERATOR, state=Partner.State.ACTIVE).first()
    if operator is None:
        raise NotFound(
            f"There is no operator yet, or its first admin has not come: run `{line.named('create_operator')}`."
        )
    return auth.viewer_of_command(operator)


def partner_named(slug: str) -> Partner:
    """The partner of this slug, in whatever state. Raises NotFound."""
    partner = Partner.objects.filter(slug=slug).first()
    if partner is None:
        raise NotFound("There is no partner of this slug.")
    return partner
