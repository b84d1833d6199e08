"""Who has which connection to another server: the only writer of Connection but for how it goes (`running`).

A credential is sealed, bound to its connection and that one's address, and never shown again: whoever may change a
connection cannot send it to another server.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import QuerySet

from exchange import clock, outbound, sealing
from exchange.errors import Conflict, NotFound, Refused
from exchange.formats import flat
from indicators.connections import heads
from indicators.models import Connection, Feed
from indicators.publishing.reach import Reach
from indicators.telling import subscribing
from partners.log import audit
from partners.models import Partner
from partners.scopes import Scope
from partners.sharing import check, may_share
from partners.tlp import Tlp
from partners.viewer import Viewer

MOST = 20
#: Seconds between two runs.
OFTENEST_S, SELDOMEST_S = 10, 86_400
_MAX_NAME_CHARS, _MAX_CREDENTIAL_CHARS, _MAX_SAID_CHARS = 120, 2_000, 200
_KEY_BYTES = 32
_PURPOSE = "connection-credential"
_COLLECTION = re.compile(r"/collections/[^/?#]+/$")
_HEADER = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Wish:
    """A connection as it is asked for; `credential` is the whole Authorization header, or empty."""

    name: str
    kind: Connection.Kind
    direction: Connection.Direction
    url: str
    credential: str = ""
    strictest: Tlp = Tlp.GREEN
    reach: Reach = field(default_factory=Reach)
    feed_id: UUID | None = None
    says: Mapping[str, str] = field(default_factory=dict)
    every_s: int = 60
    log_key: str = ""


def connect(viewer: Viewer, wish: Wish) -> Connection:
    """Make a connection, which is run at once. Raises Refused naming the field, Conflict, Forbidden, NotFound."""
    _require(viewer)
    url = _address(wish.kind, wish.url)
    pulls = wish.direction == Connection.Direction.PULL
    if pulls and wish.feed_id is not None:
        raise Refused("A feed chooses what is pushed.", code="not-of-this-direction", at="/feed")
    if not pulls and wish.reach != Reach():
        raise Refused("An audience is of what is pulled.", code="not-of-this-direction", at="/groups")
    made = Connection(
        partner_id=viewer.partner_id,
        name=_named(wish.name),
        kind=wish.kind,
        direction=wish.direction,
        url=url,
        actor=viewer.actor,
        strictest=_strictest(wish.strictest),
        reach=_reach(viewer, wish.reach, wish.strictest).to_json() if pulls else {},
        says=_says(wish.says, kind=wish.kind, pulls=pulls),
        every_s=_every(wish.every_s),
        log_key=_log_key(wish.log_key, kind=wish.kind),
    )
    made.credential = _sealed(made, wish.credential)
    with transaction.atomic():
        if wish.feed_id is not None:
            made.feed = _followable(viewer, wish.feed_id)
        Partner.objects.select_for_update(no_key=True).get(pk=viewer.partner_id)  # one after the other
        if _living(viewer).count() >= MOST:
            raise Conflict(f"A partner has at most {MOST} connections.", code="too-many-connections")
        _save(made)
        audit.record(audit.Verb.CONNECTION_MADE, by=viewer, target=f"connection:{made.pk}", **_told(made))
    return made


def change(viewer: Viewer, connection_id: UUID, wanted: Mapping[str, Any]) -> Connection:
    """Change what `wanted` names of name, state, credential, strictest, reach, feed, says, every_s and log_key.

    What came in before stays where it is. A push with another feed or a stricter marking takes back what no longer
    passes. Raises NotFound, Refused naming the field, Conflict.
    """
    _require(viewer)
    with transaction.atomic():
        one = _locked(viewer, connection_id)
        pulls = one.direction == Connection.Direction.PULL
        if "name" in wanted:
            one.name = _named(wanted["name"])
        if "state" in wanted:
            one.state = _state(wanted["state"])
        if "credential" in wanted:
            one.credential = _sealed(one, wanted["credential"])
        if "strictest" in wanted:
            if pulls and wanted["strictest"] > one.strictest:
                one.place = {}  # what was too strict was passed by: it is read anew
            one.strictest = _strictest(wanted["strictest"])
        if "reach" in wanted:
            if not pulls:
                raise Refused("An audience is of what is pulled.", code="not-of-this-direction", at="/groups")
            one.reach = _reach(viewer, wanted["reach"], Tlp(one.strictest)).to_json()
        if "says" in wanted:
            one.says = _says(wanted["says"], kind=one.kind, pulls=pulls)
        if "log_key" in wanted:
            _trust(one, _log_key(wanted["log_key"], kind=one.kind))
        if "every_s" in wanted:
            one.every_s = _every(wanted["every_s"])
        if "feed" in wanted:
            if pulls:
                raise Refused("A feed chooses what is pushed.", code="not-of-this-direction", at="/feed")
            one.feed = _followable(viewer, wanted["feed"]) if wanted["feed"] else None
        if {"feed", "strictest"} & wanted.keys() and not pulls:
            one.place = {}  # all is looked at anew
        if {"reach", "says", "strictest"} & wanted.keys() and one.kind == Connection.Kind.MISP and pulls:
            one.place = {}
        one.due_at, one.failures, one.failing_since = clock.now(), 0, None
        one.generation += 1  # whoever runs it now asks and writes nothing more; the next run waits for the end of that
        _save(one)
        audit.record(
            audit.Verb.CONNECTION_CHANGED,
            by=viewer,
            target=f"connection:{one.pk}",
            changed=sorted(wanted),
            **_told(one),
        )
    return one


def end(viewer: Viewer, connection_id: UUID) -> None:
    """End it: nothing passes any more, its credential is forgotten. What came in stays the partner's. Raises NotFound.

    The row stays, so that what came in by it is never taken for the partner's own and pushed on.
    """
    _require(viewer)
    with transaction.atomic():
        one = _locked(viewer, connection_id)
        one.state, one.credential, one.feed = Connection.State.ENDED, "", None
        one.generation += 1
        one.save()
        audit.record(audit.Verb.CONNECTION_ENDED, by=viewer, target=f"connection:{one.pk}", **_told(one))


def run_now(viewer: Viewer, connection_id: UUID) -> Connection:
    """Have it run within seconds, and look at the other's log, whatever failed before.

    Raises NotFound, Conflict where it is paused.
    """
    _require(viewer)
    with transaction.atomic():
        one = _locked(viewer, connection_id)
        if one.state != Connection.State.ACTIVE:
            raise Conflict("It is paused: make it active first.", code="paused", at="/state")
        one.due_at, one.log_seen_at = clock.now(), None
        one.save(update_fields=["due_at", "log_seen_at"])
    return one


def own(viewer: Viewer, connection_id: UUID) -> Connection:
    """A connection of the viewer's own partner. Raises NotFound, Forbidden."""
    _require(viewer)
    found = _living(viewer).select_related("feed").filter(pk=connection_id).first()
    if found is None:
        raise NotFound
    return found


def listed(viewer: Viewer) -> list[Connection]:
    """The viewer's partner's, by name; none of one that only reads. Raises Forbidden."""
    viewer.require(Scope.ADMIN)
    viewer.require_all_groups()
    return list(_living(viewer).select_related("feed").order_by("name", "pk"))


def credential_of(one: Connection) -> str:
    """The Authorization header in clear, for the one who asks; empty where there is none."""
    return _opened(one) if one.credential else ""


def openers() -> Iterator[Callable[[], str]]:
    """For `exchange.proving`."""
    return (partial(_opened, one) for one in Connection.unrestricted.exclude(credential="").order_by("pk"))


def reseal() -> int:
    """Seal every credential anew with the present SECRET_KEY; how many were under another one."""
    count = 0
    for one in Connection.unrestricted.exclude(credential="").order_by("pk"):
        fresh = _sealed(one, _opened(one))
        if fresh != one.credential:
            held = Connection.unrestricted.filter(pk=one.pk, credential=one.credential)
            count += held.update(credential=fresh)
    return count


def _require(viewer: Viewer) -> None:
    """An admin's, of a partner that publishes: it sends what is the partner's away, and publishes in its name."""
    viewer.require(Scope.ADMIN)
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()


def _living(viewer: Viewer) -> QuerySet[Connection]:
    return Connection.objects.of(viewer).exclude(state=Connection.State.ENDED)


def _locked(viewer: Viewer, connection_id: UUID) -> Connection:
    found = _living(viewer).select_for_update(no_key=True).filter(pk=connection_id).first()
    if found is None:
        raise NotFound
    return found


def _save(one: Connection) -> None:
    try:
        with transaction.atomic():
            one.save()
    except IntegrityError:
        raise Conflict("You have a connection of this name.", code="name-taken", at="/name") from None


def _named(name: str) -> str:
    if not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise Refused(f"A name of 1 to {_MAX_NAME_CHARS} characters.", code="bad-name", at="/name")
    return name.strip()


def _address(kind: str, url: str) -> str:
    """With a slash at the end, so that paths can be joined to it. Raises Refused."""
    url = url if url.endswith("/") else f"{url}/"
    try:
        outbound.check(url)
    except outbound.Blocked as blocked:
        raise Refused(str(blocked), code="address-not-allowed", at="/url") from None
    if "?" in url:
        raise Refused("An address without parameters.", code="address-not-allowed", at="/url")
    if kind == Connection.Kind.TAXII and not _COLLECTION.search(url):
        words = "The address of a collection: https://host/api1/collections/<id>/."
        raise Refused(words, code="not-a-collection", at="/url")
    return url


def _log_key(written: str, *, kind: str) -> str:
    """The public key of another exchange's log, as `/api/v1/log/keys` has it, in hex; "" for none. Raises Refused."""
    if not written:
        return ""
    if kind != Connection.Kind.TAXII:
        raise Refused("Only another exchange has such a log.", code="not-of-this-direction", at="/log_key")
    try:
        key = base64.b64decode(written, validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY_BYTES:
        raise Refused("A public key of a log: 32 bytes as base64.", code="bad-log-key", at="/log_key")
    return key.hex()


def _trust(one: Connection, key: str) -> None:
    """Whoever gives the key, the same one, too, has looked at what became of the log.

    After another key the heads of before are gone on from, as after a change of the key there; after a log that went
    back or is another one it begins anew.
    """
    if one.log_alarm in (heads.Alarm.FORKED, heads.Alarm.WENT_BACK) or not (key and one.log_key):
        heads.forget(one)
    one.log_key, one.log_alarm, one.log_seen_at, one.log_owed_at = key, "", None, None


def _strictest(tlp: Tlp) -> Tlp:
    if tlp is Tlp.RED:
        raise Refused("What is RED passes no connection.", code="red-passes-no-connection", at="/strictest")
    return tlp


def _reach(viewer: Viewer, reach: Reach, strictest: Tlp) -> Reach:
    """The same, named: without names it is the partner's alone. Raises Refused where it may not publish there."""
    if reach.tlp is not None and reach.tlp > strictest:
        words = f"Nothing would come in: what is stricter than {strictest.label} does not pass."
        raise Refused(words, code="over-marking", at="/tlp")
    named = Reach(
        named=True,
        tlp=reach.tlp,
        everyone=reach.everyone,
        groups=reach.groups,
        partners=reach.partners,
        attribution=reach.attribution,
    )
    spec = may_share(viewer, tlp=strictest, everyone=named.everyone, groups=named.groups, partners=named.partners)
    check(viewer, spec)
    return named


def _says(says: Mapping[str, Any], *, kind: str, pulls: bool) -> dict[str, str]:
    if says and (kind != Connection.Kind.MISP or not pulls):
        raise Refused("Only of what is pulled from MISP.", code="not-of-this-direction", at="/says")
    for name, text in says.items():
        if name not in (*flat.NAMES, "confidence") or not isinstance(text, str) or len(text) > _MAX_SAID_CHARS:
            words = f"Texts of at most {_MAX_SAID_CHARS} characters, named {', '.join(flat.NAMES)} or confidence."
            raise Refused(words, code="bad-says", at="/says")
    if not says.get("confidence", "0").isdecimal():
        raise Refused("confidence: a whole number.", code="bad-says", at="/says")
    return dict(says)


def _every(seconds: int) -> int:
    if not OFTENEST_S <= seconds <= SELDOMEST_S:
        raise Refused(f"From {OFTENEST_S} to {SELDOMEST_S} seconds.", code="bad-interval", at="/every_s")
    return seconds


def _state(word: str) -> Connection.State:
    if word not in (Connection.State.ACTIVE, Connection.State.PAUSED):
        raise Refused("Only active and paused can be chosen.", code="bad-state", at="/state")
    return Connection.State(word)


def _followable(viewer: Viewer, feed_id: UUID) -> Feed:
    feed = subscribing.own_feed(viewer, feed_id)
    subscribing.filter_of(feed).followable()
    return feed


def _told(one: Connection) -> dict[str, Any]:
    """What the log says of it: where to, and how far; never the credential."""
    return {
        "kind": one.kind,
        "direction": one.direction,
        "url": one.url,
        "strictest": Tlp(one.strictest).word,
        "reach": one.reach,
        "state": one.state,
        **({"log_key": one.log_key} if one.log_key else {}),
    }


def _bound(one: Connection) -> tuple[bytes, ...]:
    return one.pk.bytes, one.url.encode()


def _sealed(one: Connection, credential: str) -> str:
    if not credential:
        return ""
    if len(credential) > _MAX_CREDENTIAL_CHARS or not _HEADER.fullmatch(credential):
        words = f"The Authorization header: at most {_MAX_CREDENTIAL_CHARS} visible ASCII characters."
        raise Refused(words, code="bad-credential", at="/authorization")
    return base64.b64encode(sealing.seal(credential.encode(), purpose=_PURPOSE, bound=_bound(one))).decode()


def _opened(one: Connection) -> str:
    return sealing.unseal(base64.b64decode(one.credential), purpose=_PURPOSE, bound=_bound(one)).decode()
