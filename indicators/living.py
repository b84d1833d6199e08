"""What lives and what is shown, written once: for SQL whose holding is `h` and whose version is `o`.

A holding lives from the change that told of it to the change that tells its end: it was not revoked, did not expire,
and was not withdrawn. So what lives is what a reader holds who has followed the log; the end of validity counts once it
was told (`retiring`). Lists keep to the time of validity besides (`IN_FORCE`), for an entry must not outlast it.
"""

from __future__ import annotations

from indicators.models import Holding

#: Of a holding: readers were told of it, and of no end.
LIVES = "h.state = 'live'"
#: Of a version: now is within its time of validity.
IN_FORCE = """
(o.valid_from IS NULL OR o.valid_from <= statement_timestamp())
AND (o.valid_until IS NULL OR o.valid_until > statement_timestamp())
"""


def shown(version: str = "o", holding: str = "h") -> str:
    """Of a version whose holding the viewer sees: it is not hidden from them (as `models.VersionManager`).

    The newest never is, so that nobody looks for it.
    """
    return f"""({holding}.newest_id = {version}.id OR NOT EXISTS (
    SELECT FROM indicators_hidden x
    WHERE x.version_id = {version}.id AND (x.hidden_from = 'all' OR {holding}.publisher_id <> %(viewer)s)))"""


def lives(state: str) -> bool:
    """Whether a holding in this state lives."""
    return state == Holding.State.LIVE
