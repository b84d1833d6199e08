"""Tokens whose values nobody is told: public keys in the log, and evaluation by the key service. Writes TokenKey.

The exchange never holds a secret key. It says who asks, hands blinded points on, and writes each public key into the
log the first time it sees it: what the key service shows later under the same name is never believed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any

import httpx
from django.conf import settings
from django.db import connection, transaction
from structlog import get_logger

from exchange import clock
from exchange.celery import app
from exchange.errors import Refused, TooMany, Unavailable
from exchange.tokens import epochs, forms, oprf, padding
from partners.log import audit, logbook, transparency
from partners.models import TokenKey
from partners.scopes import Scope
from partners.viewer import Viewer

log = get_logger()

#: Seconds. A thousand points take a tenth of one; while more are waiting, a caller is better told to come back.
_TIMEOUT_S = 20.0
#: Key of the advisory lock under which public keys are written: "tkey".
_LOCK = 0x746B6579
_PROOF_BYTES = 64
REFUSALS = {
    "bad-count": f"{', '.join(map(str, padding.SIZES[:-1]))} or {padding.SIZES[-1]} points: fill up with random ones.",
    "bad-point": "Not all are points of ristretto255, or one is the identity.",
    "unknown-epoch": "A quarter whose key answers now, as /tokens/keys lists them.",
    "unknown-subkind": f"One of: {', '.join(sorted(forms.OBLIVIOUS))}.",
}
_FIELDS = {"bad-count": "/points", "bad-point": "/points", "unknown-epoch": "/epoch", "unknown-subkind": "/subkind"}


def evaluate(viewer: Viewer, *, subkind: str, epoch: str, points: Sequence[bytes]) -> oprf.Evaluated:
    """Have points evaluated for the viewer's partner. Raises Forbidden, Refused, TooMany, Unavailable."""
    viewer.require(Scope.TOKENISE)
    _require(subkind in forms.OBLIVIOUS, "unknown-subkind")
    _require(len(points) in padding.SIZES, "bad-count")
    _require(all(len(point) == 32 for point in points), "bad-point")
    named = {"X-Subkind": subkind, "X-Epoch": epoch, "X-Partner": str(viewer.partner_id)}
    _require(epoch.isascii() and epoch.isalnum(), "unknown-epoch")
    answer = _asked("POST", "/evaluate", headers=named, content=b"".join(points))
    if answer.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise TooMany("The day's points of this subkind are used up.", code="quota", retry_after_s=_until_midnight_s())
    if answer.status_code != httpx.codes.OK:
        code = _code(answer)
        _require(code not in REFUSALS, code)
        log.error("keyservice.answered", status=answer.status_code)
        raise Unavailable("The key service does not answer at the moment.", code="key-service-unavailable")
    raw = answer.content
    products = tuple(raw[at : at + 32] for at in range(_PROOF_BYTES, len(raw), 32))
    return oprf.Evaluated(products, raw[:_PROOF_BYTES])


def keys() -> dict[str, Any]:
    """The public keys that answer now or within a day, each with its proof, under the last head of the log.

    None where there is no key service. Raises Unavailable where it does not answer and its keys are not known yet.
    """
    now = clock.now()
    wanted = epochs.looked_up_under(now)
    if settings.KEY_SERVICE_URL and not _all_known(wanted):
        _publish()
    ahead = dict.fromkeys((*wanted, *epochs.looked_up_under(now + padding.AHEAD)))
    found = TokenKey.objects.filter(epoch__in=list(ahead)).select_related("record__leaf").order_by("epoch", "kind")
    head = transparency.head()
    covered = {key.pk: logbook.index_of(key.record, under=head) for key in found}
    proofs = transparency.inclusion_proofs(
        (index for index in covered.values() if index is not None), size=head.size if head else 0
    )
    listed = [_document(key, index=covered[key.pk], proofs=proofs) for key in found]
    log_of = {"head": transparency.head_document(head), "log_keys": transparency.key_documents()} if head else {}
    return {"keys": listed, "head": None, "log_keys": []} | log_of


@app.task(name="partners.tokens.oblivious.publish_keys")
def publish_keys() -> None:
    """Write the public keys that the key service has, and the log has not, into the log."""
    if settings.KEY_SERVICE_URL:
        _publish()


def _publish() -> None:
    answer = _asked("GET", "/keys")
    if answer.status_code != httpx.codes.OK:
        log.error("keyservice.answered", status=answer.status_code)
        raise Unavailable("The key service does not answer at the moment.", code="key-service-unavailable")
    needed = set(epochs.looked_up_under(clock.now()))
    new = False
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        held = {(key.kind, key.epoch): bytes(key.public_key) for key in TokenKey.objects.all()}
        for one in answer.json()["keys"]:
            name, public_key = (one["kind"], one["epoch"]), bytes.fromhex(one["public_key"])
            if held.get(name, public_key) != public_key:
                log.error("keyservice.another_key", kind=name[0], epoch=name[1])
            elif name not in held:
                _write(*name, public_key)
                new = new or name[1] in needed
    if new:  # the first of an installation: nobody can use a key before a signed head covers it
        transparency.seal(every=timedelta(0))


def _write(kind: str, epoch: str, public_key: bytes) -> None:
    record = audit.record(
        audit.Verb.TOKEN_KEY_PUBLISHED,
        by=None,
        target=f"token-key:{kind}:{epoch}",
        kind=kind,
        epoch=epoch,
        public_key=public_key.hex(),
    )
    TokenKey.objects.create(kind=kind, epoch=epoch, public_key=public_key, record=record)


def _all_known(quarters: Sequence[str]) -> bool:
    return TokenKey.objects.filter(epoch__in=quarters).count() == len(quarters) * len(forms.Kind)


def _document(key: TokenKey, *, index: int | None, proofs: dict[int, list[str]]) -> dict[str, Any]:
    begins, ends = epochs.begins(key.epoch), epochs.ends(key.epoch)
    return {
        "kind": key.kind,
        "epoch": key.epoch,
        "public_key": bytes(key.public_key).hex(),
        "publish_from": clock.rfc3339(begins - epochs.OVERLAP),
        "publish_until": clock.rfc3339(ends),
        "answers_until": clock.rfc3339(ends + epochs.LONGEST_LIFE),
        "entry": audit.canonical(key.record).decode(),
        "index": index,
        "proof": [] if index is None else proofs[index],
    }


def _require(holds: bool, code: str) -> None:  # noqa: FBT001 - reads as a sentence
    if not holds:
        raise Refused(REFUSALS[code], code=code, at=_FIELDS[code])


def _asked(method: str, path: str, **more: Any) -> httpx.Response:
    if not settings.KEY_SERVICE_URL:
        raise Unavailable("This exchange has no key service.", code="no-key-service")
    if not connection.in_atomic_block:
        connection.close()  # while we wait, somebody else has it
    try:
        return _http().request(method, path, **more)
    except httpx.HTTPError as error:
        log.warning("keyservice.away", error=type(error).__name__)
        raise Unavailable("The key service does not answer at the moment.", code="key-service-unavailable") from error


@lru_cache(maxsize=1)
def _http() -> httpx.Client:
    """The connections to the key service, which the operator named: not an address that somebody gave us."""
    return httpx.Client(
        base_url=settings.KEY_SERVICE_URL,
        headers={"Authorization": f"Bearer {settings.KEY_SERVICE_TOKEN}"},
        timeout=_TIMEOUT_S,
        trust_env=False,
    )


def _code(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["code"])
    except (ValueError, KeyError, TypeError):
        return ""


def _until_midnight_s() -> int:
    now = clock.now()
    return 86_400 - (now.hour * 3_600 + now.minute * 60 + now.second)
