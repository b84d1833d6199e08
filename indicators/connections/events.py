"""What the events of a MISP become here: indicators of what travels in clear, published as the partner's own.

Raw personal values never become anything here: tokens are made where they are (`exchange import`). An event that its
MISP shows to its own organisation or a sharing group alone goes to nobody but the partner itself.
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
from indicators.connections import misp, pulling
from indicators.connections.turns import Turn
from indicators.models import Passed
from indicators.publishing.reach import Reach
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: What changed while it was read, or by a clock that differs from ours, is looked at again.
_OVERLAP = timedelta(minutes=5)
_NARROW = frozenset({"0", "4"})  # distributions: the own organisation, a sharing group
_LOST = frozenset({"deleted", "not-for-detection"})


def pull(turn: Turn, server: misp.Server) -> None:
    """Take in what changed, then look which events are gone. Raises Trouble, Lost, ExchangeError."""
    while turn.goes_on():
        place = {"since": 0, "page": 1, "high": 0, "began": int(clock.now().timestamp())} | turn.place
        pulling.let_go_of_the_database()
        found = server.events(since=place["since"], page=place["page"])
        high = max([place["high"], *(_seconds(one.get("timestamp")) for one in found)])
        done = len(found) < misp.PAGE
        if done:
            settled = min(high, place["began"] - int(_OVERLAP.total_seconds()))
            turn.place = {"since": max(place["since"], settled), "checked_at": place.get("checked_at", "")}
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
    reach, source = Reach.from_json(turn.connection.reach), str(event.get("uuid", ""))[:80]
    known = dict(
        Passed.unrestricted.filter(connection=turn.connection, source=source, gone=False).values_list(
            "stix_id", "digest"
        )
    )
    alone = not (reach.everyone or reach.groups or reach.partners)
    codes: Counter[str] = Counter()
    if str(event.get("distribution", "0")) in _NARROW and not alone:
        codes["narrow-distribution"] += 1
        made: list[tuple[str, bytes, bytes]] = []
    else:
        made = _made(turn, event, viewer, reach, codes)
    turn.note({}, codes)
    fresh = [(stix_id, raw, digest) for stix_id, raw, digest in made if bytes(known.get(stix_id) or b"") != digest]
    turn.note({"unchanged": len(made) - len(fresh)})
    if fresh:
        pulling.take_raw(turn, [raw for _, raw, _ in fresh])
        for stix_id, _, digest in fresh:
            Passed.unrestricted.filter(connection=turn.connection, stix_id=stix_id).update(source=source, digest=digest)
    pulling.take_back(turn, viewer, known.keys() - {stix_id for stix_id, _, _ in made})


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
    """Ask which of the events that anything came of are still shown; what came of the others is taken back."""
    checked, moment = turn.place.get("checked_at"), clock.now()
    if checked and moment - datetime.fromisoformat(checked) < pulling.CHECKED_EVERY:
        return
    came = Passed.unrestricted.filter(connection=turn.connection, gone=False).exclude(source="")
    uuids = sorted(came.order_by("source").values_list("source", flat=True).distinct())
    for start in range(0, len(uuids), misp.IDS):
        some = uuids[start : start + misp.IDS]
        pulling.let_go_of_the_database()
        gone = set(some) - server.still_there(some)
        with transaction.atomic():
            ids = set(came.filter(source__in=gone).values_list("stix_id", flat=True))
            pulling.take_back(turn, turn.viewer(Scope.PUBLISH, Scope.READ), ids)
            turn.keep()
    turn.place["checked_at"] = clock.rfc3339(moment)
    with transaction.atomic():
        turn.keep()


def _seconds(written: Any) -> int:
    return int(written) if str(written).isdigit() and len(str(written)) < 13 else 0
