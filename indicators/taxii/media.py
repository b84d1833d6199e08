"""Content negotiation (§1.6.8): which media types are spoken here, and what to say to a client that speaks others."""

from django.http import HttpRequest

from exchange.errors import NotAcceptable, UnsupportedMedia

TAXII = "application/taxii+json;version=2.1"
STIX_21 = "application/stix+json;version=2.1"
STIX_20 = "application/stix+json;version=2.0"

#: The STIX media type may stand in for TAXII's in an Accept header (§5.3 lists it for the manifest).
_ACCEPTABLE = ("application/taxii+json", "application/stix+json", "application/*", "*/*")
_READ = "application/taxii+json"
_VERSION = "2.1"


def require_acceptable(request: HttpRequest) -> None:
    """Raise NotAcceptable (406) unless some range of the Accept header takes TAXII 2.1; no header takes everything."""
    accept = request.headers.get("Accept", "").strip()
    if accept and not any(_accepts(media_range) for media_range in accept.split(",")):
        raise NotAcceptable(f"Answers here are '{TAXII}'.")


def require_readable(request: HttpRequest) -> None:
    """Raise UnsupportedMedia (415) unless the Content-Type is TAXII's, in version 2.1 or without a version."""
    media_type, parameters = _parsed(request.headers.get("Content-Type", ""))
    if media_type != _READ or parameters.get("version", _VERSION) != _VERSION:
        raise UnsupportedMedia(f"Objects are added as '{TAXII}'.")


def of_spec_version(spec_version: str) -> str:
    """The media type of an object by the version of STIX that it follows."""
    return STIX_20 if spec_version == "2.0" else STIX_21


def _accepts(media_range: str) -> bool:
    media_type, parameters = _parsed(media_range)
    if media_type not in _ACCEPTABLE or _is_zero(parameters.get("q", "1")):
        return False
    return parameters.get("version", _VERSION) == _VERSION


def _parsed(value: str) -> tuple[str, dict[str, str]]:
    media_type, *rest = value.split(";")
    parameters = (part.partition("=") for part in rest)
    return media_type.strip().lower(), {
        name.strip().lower(): content.strip().strip('"') for name, _, content in parameters
    }


def _is_zero(weight: str) -> bool:
    return weight.rstrip("0").rstrip(".") == "" and weight.startswith("0")
