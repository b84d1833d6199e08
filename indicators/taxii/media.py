"""Content negotiation (§1.6.8): which media types are spoken here, and what to say to a client that speaks others."""

import re
from functools import lru_cache

from django.http import HttpRequest

from exchange.errors import NotAcceptable, UnsupportedMedia

TAXII = "application/taxii+json;version=2.1"
STIX_21 = "application/stix+json;version=2.1"
STIX_20 = "application/stix+json;version=2.0"

#: The STIX media type may stand in for TAXII's in an Accept header (§5.3 lists it for the manifest).
_ACCEPTABLE = ("*/*", "application/*", "application/stix+json", "application/taxii+json")  # the more specific the later
_READ = "application/taxii+json"
_VERSION = "2.1"


def require_acceptable(request: HttpRequest) -> None:
    """Raise NotAcceptable (406) unless the Accept header takes TAXII 2.1; no header takes everything.

    Of the ranges that speak of it the most specific decides (RFC 9110 §12.5.1): `*/*, application/taxii+json;q=0`
    does not take it.
    """
    accept = request.META.get("HTTP_ACCEPT", "").strip()
    if accept and not _accepts(accept):
        raise NotAcceptable(f"Answers here are '{TAXII}'.")


def require_readable(request: HttpRequest) -> None:
    """Raise UnsupportedMedia (415) unless the Content-Type is TAXII's, in version 2.1 or without a version."""
    media_type, parameters = _parsed(request.headers.get("Content-Type", ""))
    if media_type != _READ or parameters.get("version", _VERSION) != _VERSION:
        raise UnsupportedMedia(f"Objects are added as '{TAXII}'.")


def of_spec_version(spec_version: str) -> str:
    """The media type of an object by the version of STIX that it follows."""
    return STIX_20 if spec_version == "2.0" else STIX_21


@lru_cache(maxsize=256)
def _accepts(accept: str) -> bool:
    best, taken = -1, False
    for media_range in accept.split(","):
        media_type, parameters = _parsed(media_range)
        if media_type not in _ACCEPTABLE or parameters.get("version", _VERSION) != _VERSION:
            continue
        rank = 2 * _ACCEPTABLE.index(media_type) + ("version" in parameters)
        if rank >= best:
            taken = not _is_zero(parameters.get("q", "1")) or (taken and rank == best)
            best = rank
    return taken


def _parsed(value: str) -> tuple[str, dict[str, str]]:
    media_type, *rest = value.split(";")
    parameters = (part.partition("=") for part in rest)
    return media_type.strip().lower(), {
        name.strip().lower(): content.strip().strip('"') for name, _, content in parameters
    }


def _is_zero(weight: str) -> bool:
    return re.fullmatch(r"0(\.0*)?", weight) is not None
