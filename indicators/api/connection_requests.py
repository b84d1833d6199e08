"""What requests about connections to other servers send."""

from __future__ import annotations

from typing import Any

from exchange.shapes import Address, Choice, Id, Json, Number, Text
from indicators.api.requests import PreviewWish
from indicators.connections import keeping
from indicators.models import Connection

_TLP = ["clear", "green", "amber", "amber+strict"]
_INTERVAL = f"From {keeping.OFTENEST_S} to {keeping.SELDOMEST_S:,} seconds."


def _every() -> Number:
    return Number(
        required=False,
        code="bad-interval",
        says=_INTERVAL,
        min_value=keeping.OFTENEST_S,
        max_value=keeping.SELDOMEST_S,
        help_text="Seconds between two runs; 60 by default.",
    )


def _authorization() -> Text:
    words = "The whole Authorization header, such as `Bearer …`; of MISP its key. Kept sealed, never shown again."
    return Text(
        required=False, code="bad-credential", says="At most 2,000 characters.", max_length=2_000, help_text=words
    )


def _log_key() -> Text:
    words = (
        "Of another exchange: the public key of its log (its `/api/v1/log/keys`), base64. Given, its heads are checked."
    )
    return Text(
        required=False,
        allow_blank=True,
        code="bad-log-key",
        says="A public key of a log: 32 bytes as base64.",
        max_length=60,
        help_text=words,
    )


def _strictest() -> Choice:
    return Choice(
        _TLP,
        required=False,
        code="unknown-marking",
        says="clear, green, amber or amber+strict.",
        help_text="What is marked more strictly does not pass; green by default.",
    )


def _says() -> Json:
    words = "Of a pull from MISP: what is said of every indicator, by the names of `exchange import --say`."
    return Json(required=False, code="bad-says", says="Names and texts.", help_text=words)


def _name(**options: Any) -> Text:
    return Text(code="bad-name", says="A name of 1 to 120 characters.", max_length=120, **options)


class NewConnection(PreviewWish):
    """A server to pull from or push to; the audience is of what is pulled."""

    name = _name()
    kind = Choice(Connection.Kind.values, code="bad-kind", says="taxii or misp.")
    direction = Choice(Connection.Direction.values, code="bad-direction", says="pull or push.")
    url = Address(
        code="address-not-allowed",
        says="An address of at most 1,000 characters.",
        max_length=1_000,
        help_text="Of a TAXII collection, or of a MISP.",
    )
    authorization = _authorization()
    strictest = _strictest()
    feed = Id(required=False, help_text="Of a push: the feed that chooses of one's own.")
    says = _says()
    every_s = _every()
    log_key = _log_key()


class ConnectionChange(PreviewWish):
    """What can be changed; what is left out stays. A feed of null is all of one's own."""

    name = _name(required=False)
    state = Choice(["active", "paused"], required=False, code="bad-state", says="Only active and paused can be chosen.")
    authorization = _authorization()
    strictest = _strictest()
    feed = Id(required=False, allow_null=True)
    says = _says()
    every_s = _every()
    log_key = _log_key()
