"""How allauth behaves here: no sign-up, nothing said about which accounts exist."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc]  # allauth is untyped
    """People are invited by their partner; nobody signs himself up."""

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        """Never."""
        return False
