"""What tests of deliveries begin with and look at again."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from indicators.models import Delivery
from indicators.telling import notifying
from indicators.telling.attempting import Outcome
from tests import build

START = datetime.now(tz=UTC).replace(microsecond=0)
FINE = Outcome(delivered=True, words="Answered 200.", status_code=200)
BROKEN = Outcome(delivered=False, words="Answered 500.", status_code=500)
GONE = Outcome(delivered=False, words="Answered 410.", status_code=410, gone=True)


def told(cast, subscription):
    """A delivery of one fresh change."""
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",))
    return Delivery.unrestricted.get(pk=notifying.dispatch(subscription.pk))


def now(row):
    return type(row).unrestricted.get(pk=row.pk)


def signed_bytes(message) -> str:
    """The bytes of a message as they were signed."""
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False)
