"""One indicator of each subkind, and what a format makes of them."""

from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.stix import words
from indicators.stix import making

_MAKERS = {
    "account-pattern": making.account_pattern,
    "payment-fingerprint": making.payment_fingerprint,
    "prompt-signature": making.prompt_signature,
}
_APART = {"extension_type", "kind", "subkind", "schema_version", "tokens", "value", "rule", "signature"}


def one(subkind: str, **more) -> dict:
    return _MAKERS[words.KIND_OF[subkind]](subkind, tlp_word="amber", **more)


def every() -> list[dict]:
    return [one(subkind) for subkind in words.KIND_OF]


def extension(document: dict) -> dict:
    return document["extensions"][words.EXTENSION_ID]


def written(write, objects) -> tuple[bytes, list[Loss]]:
    told: list[Loss] = []
    return b"".join(write(objects, told.append)), told


def split(items) -> tuple[list[Found], list[Loss]]:
    items = list(items)
    return [i for i in items if isinstance(i, Found)], [i for i in items if isinstance(i, Loss)]


def codes(losses) -> list[tuple[str, str]]:
    return [(one.path, one.code) for one in losses]


def says(document: dict) -> dict:
    """What an indicator says besides what it carries."""
    said = {name: value for name, value in extension(document).items() if name not in _APART}
    return said | ({"confidence": document["confidence"]} if "confidence" in document else {})


def carries(document: dict):
    held = extension(document)
    return held[words.CARRIED_BY[held["subkind"]]]
