"""The one clock: everything that asks for the time asks here, so that tests can hold it still."""

from datetime import UTC, datetime


def now() -> datetime:
    """The present moment, timezone-aware, in UTC."""
    return datetime.now(tz=UTC)


def moment_of(written: str) -> datetime | None:
    """A moment that somebody wrote, in UTC; None where it is none, has no zone, or lies outside of all years in UTC."""
    try:
        moment = datetime.fromisoformat(written)
        return None if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def rfc3339(moment: datetime) -> str:
    """Render as RFC 3339 with six digits and `Z`, as STIX 2.1 §3.2 and TAXII 2.1 §1.5 write timestamps."""
    # Without its zone: writing that costs as much as all the rest, and a page has a thousand moments.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
