"""What requests about schedules of report packages send."""

from __future__ import annotations

from typing import Any

from exchange.shapes import Body, Choice, Id, Number, Text, Words
from indicators.models import ReportSchedule
from indicators.reports import scheduling
from partners import terms


def _name(**options: Any) -> Text:
    most = scheduling.MAX_NAME_CHARS
    return Text(code="bad-name", says=f"A name of 1 to {most} characters.", max_length=most, **options)


def _every(**options: Any) -> Choice:
    return Choice(ReportSchedule.Every.values, code="bad-interval", says="week or month.", **options)


def _day(**options: Any) -> Number:
    words = "Of the week, 1 (Monday) to 7; of the month, 1 to 28."
    return Number(code="bad-day", says="A day from 1 to 28.", min_value=1, max_value=28, help_text=words, **options)


def _hour(**options: Any) -> Number:
    words = "By the clock of `time_zone`."
    return Number(code="bad-hour", says="An hour from 0 to 23.", min_value=0, max_value=23, help_text=words, **options)


def _zone() -> Text:
    words = "Such as `Europe/Berlin`; UTC by default."
    says = "The name of a time zone, such as Europe/Berlin."
    return Text(required=False, code="bad-time-zone", says=says, max_length=64, help_text=words)


def _forms() -> Words:
    return Words(
        required=False,
        choices=terms.FORMS,
        code="bad-form",
        says=f"Of: {', '.join(terms.FORMS)}.",
        max_length=len(terms.FORMS),
        help_text="As what it is given; none: what the recipient's terms want, or all.",
    )


class NewReportSchedule(Body):
    """When a draft is put together, for whom, of a root or of what is new in a feed."""

    name = _name()
    recipient = Text(
        code="unknown-partner",
        says="Choose an active partner other than your own.",
        max_length=60,
        help_text="The slug of the partner.",
    )
    root = Text(  # type: ignore[assignment]
        required=False,
        code="bad-root",
        says="The id of a campaign, grouping or report.",
        max_length=300,
        help_text="A campaign, grouping or report.",
    )
    feed = Id(required=False, code="bad-id", says="The id of a feed.", help_text="Of your own; instead of a root.")
    forms = _forms()
    every = _every()
    day = _day()
    hour = _hour()
    time_zone = _zone()


class ReportScheduleChange(Body):
    """What is to change."""

    name = _name(required=False)
    state = Choice(["active", "paused"], required=False, code="bad-state", says="Only active and paused.")
    forms = _forms()
    every = _every(required=False)
    day = _day(required=False)
    hour = _hour(required=False)
    time_zone = _zone()
