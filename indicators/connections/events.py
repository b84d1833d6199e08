"""What the events of a MISP become here: indicators of what travels in clear, published as the partner's own.

Raw personal values never become anything here: tokens are made where they are (`exchange import`). What its MISP shows
to its own organisation or a sharing group alone, be it an event, an object or an attribute, goes to nobody but the
partner itself.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from exchange import clock
from exchange.client import build, importing
from exchange.client.importing import Wishes
from exchange.formats import flat
from exchange.formats import misp as form
from exchange.formats.found import Found
from exchange.formats.losses import Loss
from exchange.stix import words
from indicators.connections import checking, misp, taking
from indicators.connections.turns import Turn
from indicators.models import Passed
from indicators.publishing.reach import Reach
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: What changed while it was read, or by a clock that differs from ours, is looked at again.
_OVERLAP = timedelta(minutes=5)
#: Distributions of a whole community or more; all others (the own organisation, a sharing group, none said) are narrow.
_WIDE = frozenset({"1", "2", "3"})
#: Of an attribute and an object: as what it stands in.
_INHERITED = "5"
_LOST = frozenset({"deleted", "not-for-detection"})


def pull(turn: Turn, server: misp.Server) -> None:
    """Take in what was published, then look which events are gone. Raises Trouble, Lost, ExchangeError."""
    while turn.goes_on():
        place = {"since": 0, "page": 1, "high": 0, "began": int(clock.now().timestamp())} | turn.place
        found = server.events(since=place["since"], page=place["page"])
        high = max([place["high"], *(_seconds(one.get("publish_timestamp")) for one in found)])
        done = len(found) < misp.PAGE
        if done:
            settled = min(high, place["began"] - int(_OVERLAP.total_seconds()))
            kept = {name: place[name] for name in ("checked_at", "check") if name in place}
            turn.place = kept | {"since": max(place["since"], settled)}
        else:
            turn.place = place | {"page": place["page"] + 1, "high": high}
        with transaction.atomic():
            viewer = turn.viewer(Scope.PUBLISH, Scope.READ)
            for event in found:
                _take(turn, event, viewer)
            turn.keep()
        if done:
            _look_what_is_gone(turn, server)
            return


def _take(turn: Turn, event: Mapping[str, Any], viewer: Viewer) -> None:
    """One event: publish what is new or changed of it, and take back what it does not say any more."""
    if "Attribute" not in event:
        turn.note({}, {"too-long": 1})  # nobody read what it says: what came of it stays as it is
        return
    reach, source = Reach.from_json(turn.connection.reach), str(event.get("uuid", ""))[:80]
    known = dict(
        Passed.unrestricted.filter(connection=turn.connection, source=source, gone=False).values_list(
            "stix_id", "digest"
        )
    )
    alone = not (reach.everyone or reach.groups or reach.partners)
    codes: Counter[str] = Counter()
    shown = event if alone else _shown_widely(event, codes)
    made = _made(turn, shown, viewer, reach, codes)
    turn.note({}, codes)
    fresh = [(stix_id, raw, digest) for stix_id, raw, digest in made if bytes(known.get(stix_id) or b"") != digest]
    turn.note({"unchanged": len(made) - len(fresh)})
    if fresh:
        taking.take_raw(turn, [raw for _, raw, _ in fresh])
        for stix_id, _, digest in fresh:
            Passed.unrestricted.filter(connection=turn.connection, stix_id=stix_id).update(source=source, digest=digest)
    taking.take_back(turn, viewer, known.keys() - {stix_id for stix_id, _, _ in made})


def _shown_widely(event: Mapping[str, Any], codes: Counter[str]) -> Mapping[str, Any]:
    """An event without what is shown to few of it, which is counted: the whole, an object, an attribute."""
    if _distribution(event) not in _WIDE:
        codes["narrow-distribution"] += 1
        return {"uuid": event.get("uuid"), "Attribute": []}
    objects = [
        one | {"Attribute": _wide(one.get("Attribute"), codes)} if isinstance(one, dict) else one
        for one in _wide(event.get("Object"), codes)
    ]
    return {**event, "Attribute": _wide(event.get("Attribute"), codes), "Object": objects}


def _wide(listed: Any, codes: Counter[str]) -> list[Any]:
    """Those that as many see as see what they stand in, or a whole community; what is deleted counts as nothing."""
    kept = []
    for one in listed if isinstance(listed, list) else ():
        if not isinstance(one, dict) or _distribution(one) in _WIDE | {_INHERITED}:
            kept.append(one)
        elif not form.is_deleted(one):
            codes["narrow-distribution"] += 1
    return kept


def _distribution(held: Mapping[str, Any]) -> str:
    return str(held.get("distribution", ""))


def _made(
    turn: Turn, event: Mapping[str, Any], viewer: Viewer, reach: Reach, codes: Counter[str]
) -> list[tuple[str, bytes, bytes]]:
    """The indicators of an event: id, bytes, and the digest of what they were made of; what is lost is counted."""
    usual = (reach.tlp if reach.tlp is not None else viewer.default_tlp).word
    founds = []
    for item in form.read({"Event": event}):
        if isinstance(item, Loss):
            if item.is_lost and item.code not in _LOST:
                codes[item.code] += 1
        elif item.carried is None and item.subkind in words.TOKENISED:
            codes["personal-stays-there"] += 1
        elif item.carried is not None and "tokens" in item.carried:
            codes["tokens-of-others"] += 1
        elif Tlp.from_word(item.tlp or usual) > turn.connection.strictest:
            codes["over-marking" if item.tlp else "unmarked"] += 1
        elif not item.source_id:
            codes["unreadable"] += 1
        else:
            founds.append(item)
    return _built(turn, founds, viewer, usual, codes)


def _built(
    turn: Turn, founds: Sequence[Found], viewer: Viewer, usual: str, codes: Counter[str]
) -> list[tuple[str, bytes, bytes]]:
    said = flat.unsaid(turn.connection.says)
    if "confidence" in said:
        said["confidence"] = int(said["confidence"])
    wishes = Wishes(identity=viewer.identity_id, says=said, frame=build.Frame(tlp=usual, now=clock.now()))
    made = []
    for found in founds:
        (one,) = importing.built([replace(found, path="")], wishes, None)  # nothing of it is tokenised
        if isinstance(one, Loss):
            codes[one.code if one.code == "ended" else "refused"] += 1
            continue
        digest = hashlib.sha256(repr((replace(found, path=""), sorted(said.items(), key=str), usual)).encode()).digest()
        made.append((str(one.indicator.id), one.indicator.serialize().encode(), digest))
    return made


def _look_what_is_gone(turn: Turn, server: misp.Server) -> None:
    """Ask, over several runs, which of the events that anything came of are still shown.

    What came of the others is taken back. `check` is the event that was asked for last.
    """
    checked, going = turn.place.get("checked_at"), "check" in turn.place
    if checked and not going and clock.now() - datetime.fromisoformat(checked) < checking.EVERY:
        return
    came = checking.living(turn).exclude(source="")
    while turn.goes_on():
        rest = came.filter(source__gt=turn.place.get("check", "")).order_by("source")
        some = list(rest.values_list("source", flat=True).distinct()[: misp.IDS])
        gone = set(some) - server.still_there(some) if some else set()
        ended = len(some) < misp.IDS
        if ended:
            turn.place = {name: said for name, said in turn.place.items() if name != "check"}
            turn.place["checked_at"] = clock.rfc3339(clock.now())
        else:
            turn.place = turn.place | {"check": some[-1]}
        with transaction.atomic():
            ids = set(came.filter(source__in=gone).values_list("stix_id", flat=True))
            taking.take_back(turn, turn.viewer(Scope.PUBLISH, Scope.READ), ids)
            turn.keep()
        if ended:
            return


def _seconds(written: Any) -> int:
    return int(written) if str(written).isdigit() and len(str(written)) < 13 else 0
