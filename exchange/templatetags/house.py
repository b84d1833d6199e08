"""The few words that templates need and Django lacks."""

import json as json_
from datetime import datetime, timedelta
from typing import Any

from django import template
from django.core.serializers.json import DjangoJSONEncoder
from django.utils.timesince import timesince

from exchange import clock

register = template.Library()

_MINUTE = timedelta(minutes=1)


@register.filter
def ago(moment: datetime) -> str:
    """How long ago, in the largest unit: `12 s ago`, `3 minutes ago`."""
    passed = clock.now() - moment
    if passed < _MINUTE:
        return f"{max(0, int(passed.total_seconds()))} s ago"
    return f"{timesince(moment, clock.now(), depth=1)} ago"


@register.filter
def plain(word: str) -> str:
    """A word of the vocabulary as people write it: `signup_template` becomes `signup template`."""
    return str(word).replace("_", " ")


@register.filter
def json(value: Any) -> str:
    """A value as JSON, for a data attribute; the template escapes it."""
    return json_.dumps(value, cls=DjangoJSONEncoder)
