"""Prepare in the portal what is to be published: objects are built line by line, tried at the door, kept, then sent.

    lines (tokens, values that may travel in clear, STIX) -> built -> tried -> kept -> looked at for an audience -> sent

To try is to publish in a transaction that is taken back: what is said of a line then is what will be said. Of a line
that is refused nothing is kept but its number and why. The only writer of Preparation.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import transaction

from exchange import clock
from exchange.client import build
from exchange.errors import NotFound, Refused
from exchange.stix import schemas, words
from exchange.translating import later
from indicators import publishing
from indicators.models import Preparation
from indicators.publishing.reach import Reach
from indicators.stix import parsing
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

#: Lines of one preparation, preparations of one partner, and how long one is kept untouched.
MOST_LINES = 1_000
MOST = 50
KEPT = timedelta(days=30)
_MOST_SHOWN = 60

Row = dict[str, Any]

#: Why a line stayed in the browser, which sends no more of it than its place and one of these words.
STAYED = {
    "card": later("it looks like a card number: make it a token inside your card environment"),
    "id": later("a value, not an id, hash or token, is published from here"),
    "kind": later("not of its kind"),
    "long": later("longer than 4,000 characters"),
    "none": later("nothing we can compare"),
    "personal": later("it holds an e-mail address or what looks like a card number"),
    "type": later("an attribute of a type that is not published from here"),
    "url": later("a URL without a host"),
}


def prepare(
    viewer: Viewer, *, name: str, tlp: Tlp, lines: Sequence[Mapping[str, Any]], says: Mapping[str, Any]
) -> UUID:
    """Build and keep. Raises Forbidden, and Refused where it is too much."""
    viewer.require(Scope.PUBLISH)
    if not 0 < len(lines) <= MOST_LINES:
        raise Refused(f"1 to {MOST_LINES:,} lines.", code="too-many-lines", at="/rows")
    Preparation.objects.of(viewer).filter(changed_at__lt=clock.now() - KEPT).delete()
    if Preparation.objects.of(viewer).count() >= MOST:
        raise Refused(f"{MOST} drafts are kept. Send or delete one.", code="too-many-drafts", at="/rows")
    rows = [_built(line, says, tlp, place) for place, line in enumerate(lines)]
    if len({row["n"] for row in rows}) < len(rows):
        raise Refused("Each line has a number of its own.", code="bad-line", at="/rows")
    judged = rehearse(viewer, rows, Reach())
    refused = [row for row in rows if row["n"] in judged and judged[row["n"]]["status"] == "refused"]
    if refused:  # the audience is chosen later: what may go to nobody either is refused wherever it would go
        judged |= rehearse(viewer, refused, Reach(named=True))
    for row in rows:
        if row["object"] is not None and judged[row["n"]]["status"] == "refused":
            row |= {"object": None, "shown": "", "fault": judged[row["n"]]}
    kept = Preparation.unrestricted.create(
        partner_id=viewer.partner_id, actor=viewer.actor, name=name[:120] or "A draft", tlp=int(tlp), rows=rows
    )
    return kept.pk


def _built(line: Mapping[str, Any], says: Mapping[str, Any], tlp: Tlp, place: int) -> Row:
    """One line as an object, what is wrong with it, or why it stayed; its own `says` comes before that of all."""
    number = line.get("n") if isinstance(line.get("n"), int) else place + 1
    written = line.get("line")
    row: Row = {
        "n": number,
        "line": written if isinstance(written, int) else number,
        "shown": "",
        "subkind": "",
        "object": None,
        "fault": None,
        "sent": None,
    }
    if (stayed := line.get("stayed")) is not None:
        return row | {
            "stayed": stayed if isinstance(stayed, str) and stayed in STAYED else "none",
            "subkind": said if (said := line.get("subkind")) in words.KIND_OF else "",
        }
    if isinstance(given := line.get("object"), dict):
        return row | {
            "subkind": str(given.get("type", ""))[:40],
            "shown": str(given.get("id", ""))[:_MOST_SHOWN],
            "object": given,
        }
    subkind = line.get("subkind")
    if not isinstance(subkind, str) or subkind not in words.KIND_OF:
        return row | {"fault": _fault("unknown-subkind", "/subkind", "Not a subkind that is made from one value here.")}
    row["subkind"] = subkind
    own = line.get("says")
    said = _allowed(subkind, {**says, **(own if isinstance(own, dict) else {})})
    try:
        carried, shown = _carried(subkind, line)
        made = build.indicator(subkind, carried, frame=build.Frame(tlp=tlp.word), **said)
    except (build.NotBuilt, ValueError, TypeError, KeyError) as wrong:
        at = getattr(wrong, "at", "") or "/value"
        return row | {
            "fault": _fault("vocabulary", at, str(wrong) if isinstance(wrong, build.NotBuilt) else "Not of its kind.")
        }
    return row | {"object": orjson.loads(made.serialize()), "shown": shown}


def _carried(subkind: str, line: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """What the indicator carries, and how it is shown."""
    if subkind in words.TOKENISED:
        tokens = [
            {
                "scheme": one["scheme"],
                "key_epoch": one["key_epoch"],
                "norm_version": words.NORM_VERSION,
                "value": one["value"],
            }
            for one in line.get("tokens") or ()
        ]
        if not tokens:
            raise build.NotBuilt("it takes a token; a raw value is never sent")
        tokens.sort(key=lambda one: (one["scheme"], one["key_epoch"], one["value"]))
        return {"tokens": tokens}, str(tokens[0]["value"])
    value = line.get("value")
    if not isinstance(value, str):
        raise build.NotBuilt("no value")
    if subkind in words.SIGNATURES:
        return {"signature": {words.SIGNATURES[subkind]: value}}, value.strip()[:_MOST_SHOWN]
    if subkind in words.RULES:
        return {"rule": build.rule_of(value)}, value.strip()[:_MOST_SHOWN]
    form = build.clear_form(subkind, value)
    return {"value": form}, form


def _allowed(subkind: str, said: Mapping[str, Any]) -> dict[str, Any]:
    """Of what is said of all lines, what this subkind has a word for."""
    known = {*schemas.of_subkind(subkind)["properties"], "confidence"} - {
        "kind",
        "subkind",
        "schema_version",
        "extension_type",
    }
    return {name: value for name, value in said.items() if name in known and value not in ("", None, [])}


def _fault(code: str, field: str, message: str) -> dict[str, str]:
    return {"status": "refused", "code": code, "field": field, "message": message}


def rehearse(viewer: Viewer, rows: Sequence[Row], reach: Reach) -> dict[int, dict[str, Any]]:
    """What publishing would say of each line that has an object, by its number; nothing of it stays.

    Raises what publishing raises where nothing of it may be published so.
    """
    tried = [row for row in rows if row["object"] is not None and not row["sent"]]
    if not tried:
        return {}
    with transaction.atomic():
        results = _publish(viewer, tried, reach)
        transaction.set_rollback(True)
    return results


def _publish(viewer: Viewer, rows: Sequence[Row], reach: Reach) -> dict[int, dict[str, Any]]:
    body = orjson.dumps({"type": "bundle", "id": f"bundle--{uuid.uuid4()}", "objects": [row["object"] for row in rows]})
    request = publishing.Request(hashlib.sha256(body + repr(reach).encode()).digest())
    done = publishing.publish(parsing.read_batch(body), by=viewer, reach=reach, request=request)
    found: dict[int, dict[str, Any]] = {}
    for result in orjson.loads(done.results):
        found[rows[result["index"]]["n"]] = result
    return found


def one(viewer: Viewer, pk: UUID, *, locked: bool = False) -> Preparation:
    """One of the partner's own. Raises Forbidden, NotFound."""
    viewer.require(Scope.PUBLISH)
    found = Preparation.objects.of(viewer)
    kept = (found.select_for_update() if locked else found).filter(pk=pk).first()
    if kept is None:
        raise NotFound
    return kept


def kept(viewer: Viewer) -> list[Preparation]:
    """The partner's own, the newest first."""
    viewer.require(Scope.PUBLISH)
    return list(Preparation.objects.of(viewer).order_by("-changed_at", "pk")[:MOST])


@transaction.atomic
def send(viewer: Viewer, pk: UUID, *, numbers: Collection[int], reach: Reach) -> dict[str, int]:
    """Publish the chosen lines to an audience; how many of each answer. A line is sent once."""
    found = one(viewer, pk, locked=True)
    chosen = [row for row in found.rows if row["n"] in numbers and row["object"] is not None and not row["sent"]]
    if not chosen:
        raise Refused("Choose at least one line.", code="nothing-chosen", at="/lines")
    results = _publish(viewer, chosen, reach)
    counts: dict[str, int] = {}
    for row in chosen:
        answer = results[row["n"]]
        counts[answer["status"]] = counts.get(answer["status"], 0) + 1
        if answer["status"] == "refused":
            row |= {"object": None, "shown": "", "fault": answer}
        else:
            row["sent"] = answer["status"]
    found.changed_at = clock.now()
    found.save(update_fields=["rows", "changed_at"])
    return counts


def delete(viewer: Viewer, pk: UUID) -> None:
    """Forget it."""
    one(viewer, pk).delete()
