"""What requests about feeds and addresses of their lists send, as `requests` has the others."""

from __future__ import annotations

from exchange.shapes import Body, Choice, Number, Text
from indicators.api.requests import FilterField, Printable
from indicators.feeds import blocklists


class NewFeed(Body):
    """A filter to be saved."""

    name = Text(code="bad-name", says="A name of 1 to 120 characters.", max_length=120)
    filter = FilterField(required=False)
    text = Text(
        required=False, help_text="The same in one line of at most 2,000 characters; send either. Empty: everything."
    )


class NewAddress(Body):
    """An address of a feed's list."""

    name = Text(code="bad-name", says="A name of 1 to 80 characters.", max_length=80, help_text="What reads it.")
    format = Choice(
        list(blocklists.MEDIA_TYPES),
        required=False,
        code="bad-format",
        says=f"One of {', '.join(blocklists.MEDIA_TYPES)}.",
    )
    expires_in_minutes = Number(
        required=False,
        code="bad-expiry",
        says="An address lives from a minute to a year.",
        min_value=1,
        max_value=527_040,
    )
    networks = Printable(
        required=False,
        code="bad-network",
        says="At most 50 networks.",
        max_length=50,
        chars=60,
        help_text="From there only.",
    )


class FeedChange(Body):
    """What can be changed of a feed; what is left out stays."""

    name = Text(required=False, code="bad-name", says="A name of 1 to 120 characters.", max_length=120)
    filter = FilterField(required=False)
    text = Text(required=False, help_text="The filter in one line, not empty; send either.")
