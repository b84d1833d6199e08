"""Gather what a batch is decided by, once, behind the publisher's lock: the only reads between judging and acting."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from exchange.sql import Message
from indicators import stored
from indicators.ending import disarming
from indicators.publishing import (
    answering,
    awaiting,
    barring,
    bounding,
    markings,
    rationing,
    rejudging,
    relaying,
    storing,
)
from indicators.publishing.answering import Answer, Request
from indicators.publishing.attributing import Voice
from indicators.publishing.judging import Met
from indicators.publishing.results import Element, How
from indicators.stix.drafts import Draft
from partners import locks, proof, standing
from partners.audiences import Standing
from partners.sharing import how_many_see
from partners.tlp import Tlp
from partners.viewer import Viewer


class Overtaken(Exception):
    """The publisher's groups, or its definitions of markings, are not as they were when the batch was judged."""


@dataclass(frozen=True, slots=True)
class Begun:
    """What is found once the publisher's batches wait for this one: the answer it had before, or what it meets."""

    earlier: Answer | None
    met: Met
    keys: list[tuple[int, int]]  # of versions and holdings


def begin(
    asked: Sequence[Element],
    voice: Voice,
    stands: Standing,
    known: markings.Known,
    how: How,
    *,
    by: Viewer,
    request: Request,
) -> Begun:
    """Hold still whom it concerns, and look at what is there. Raises proof.Changed, Overtaken.

    One message; and a query for each thing more that few batches need.
    """
    message = Message()
    locks.share(by.partner_id, message)
    storing.locking_publisher(by.partner_id, message)
    require_still = proof.asked_again(by, message)
    still_stands = standing.asked_again(by, stands, message)
    require_share = rationing.left_within(message, by)
    earlier = answering.before(by, request, message)
    drafts = [each for each in asked if isinstance(each, Draft)]
    ids = {each.stix_id for each in asked if each.stix_id is not None}
    held = storing.versions_within(message, by.partner_id, ids | voice.references(drafts))
    voice.look_back(drafts, message)
    keys = storing.keys_within(message, len(drafts))
    still_defined = known.still(message)
    others = relaying.others_within(message, by, {draft.stix_id for draft in drafts})
    about = bounding.about_within(message, by, drafts)
    message.send()
    require_still()
    if not still_stands() or not still_defined():
        raise Overtaken
    answered_before = earlier()
    if answered_before is None:
        require_share()
        met = _met(asked, drafts, held(), others(), about(), voice, how, by=by)
    else:
        met = Met({}, {}, sees=_sees(by))
    return Begun(answered_before, met, keys.rows)


def _met(
    asked: Sequence[Element],
    drafts: Sequence[Draft],
    held: dict[str, stored.Versions],
    others: relaying.Others,
    about: bounding.About,
    voice: Voice,
    how: How,
    *,
    by: Viewer,
) -> Met:
    """All that is decided by."""
    voice.look_around(drafts, held)
    corrected = [one.stix_id for one in drafts if rejudging.defines(one) and _differs(one, held.get(one.stix_id, {}))]
    return Met(
        held,
        others,
        sees=_sees(by),
        waits=rejudging.waiting(_red(held)),
        beyond=barring.barred(asked, held, by=by),
        defined=markings.held(by.partner_id, corrected) if corrected else (),
        lately=_lately(asked, drafts, how, by=by),
        about=about,
    )


def _sees(by: Viewer) -> awaiting.Sees:
    return lambda spec: how_many_see(spec, publisher_id=by.partner_id)


def _differs(draft: Draft, versions: stored.Versions) -> bool:
    """Whether it comes in the place of bytes that are held."""
    return draft.modified in versions and versions[draft.modified].sha256 != hashlib.sha256(draft.raw).digest()


def _red(held: Mapping[str, stored.Versions]) -> list[int]:
    """The holdings that are marked RED: one of them may wait for the definition of a marking."""
    return [
        one.object_id for versions in held.values() for one in versions.values() if one.latest and one.tlp == Tlp.RED
    ]


def _lately(asked: Sequence[Element], drafts: Sequence[Draft], how: How, *, by: Viewer) -> awaiting.Lately:
    """What counts against the limits that the partner has and that this batch may touch."""
    looked_at = bool(drafts) and not how.confirmed
    return awaiting.Lately(
        alone=awaiting.alone_lately(by) if looked_at and by.alone_objects is not None else 0,
        flow=awaiting.sent_lately(by) if looked_at and by.caps.of_a_day else awaiting.NOTHING,
        ended=disarming.lately(by) if not how.for_good and any(one.revoked for one in asked) else 0,
    )
