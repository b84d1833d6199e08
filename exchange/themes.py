"""Light or dark: the reader's choice in a cookie, the system's otherwise."""

from django.conf import settings
from django.http import HttpRequest

COOKIE = f"{settings.COOKIE_PREFIX}theme"
CHOICES = ("light", "dark")


def theme(request: HttpRequest) -> dict[str, str]:
    """Context processor: the chosen theme, or nothing."""
    chosen = request.COOKIES.get(COOKIE, "")
    return {"theme": chosen if chosen in CHOICES else ""}
