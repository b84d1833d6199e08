"""Which columns a list shows, and how dense it is: the reader's choice, kept in a cookie of their browser."""

from __future__ import annotations

from dataclasses import dataclass

from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

from exchange.translating import later

COOKIE = f"{settings.COOKIE_PREFIX}list"
_YEAR_S = 365 * 24 * 3600

#: Columns that may be left out, in the order in which they stand.
COLUMNS: dict[str, str] = {
    "severity": later("Severity"),
    "publishers": later("Publishers"),
    "confidence": later("Conf."),
    "standing": later("Standing"),
    "did": later("Publisher did"),
    "left": later("Left"),
    "matches": later("Matches"),
    "campaign": later("Campaign"),
    "tlp": "TLP",
    "added": later("Added"),
}


@dataclass(frozen=True, slots=True)
class Look:
    """Columns that are shown, and whether rows are comfortable or dense."""

    columns: tuple[str, ...] = tuple(COLUMNS)
    comfortable: bool = False


def read(request: HttpRequest) -> Look:
    """What was chosen; everything, dense, where nothing was."""
    density, _, hidden = request.COOKIES.get(COOKIE, "").partition(".")
    without = set(hidden.split("-"))
    return Look(tuple(name for name in COLUMNS if name not in without), comfortable=density == "comfortable")


def write(request: HttpRequest, response: HttpResponseBase) -> None:
    """Keep what the form says."""
    hidden = [name for name in COLUMNS if name not in request.POST.getlist("columns")]
    density = "comfortable" if request.POST.get("density") == "comfortable" else "dense"
    response.set_cookie(
        COOKIE,
        f"{density}.{'-'.join(hidden)}",
        max_age=_YEAR_S,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
