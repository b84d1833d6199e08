"""A filter as SQL says what a slow reading of each object says, whoever asks; and every surface speaks the one grammar."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from hypothesis import HealthCheck, given, settings

from exchange import clock
from exchange.stix import words
from indicators import reading
from indicators.feeds import naming, tree
from indicators.feeds.filters import Filter
from indicators.log import walking
from indicators.reading.selecting import Selection
from indicators.stix import making
from indicators.stix.vocabulary import EXTENSION_ID
from partners.sharing import audience_ids
from partners.tlp import Tlp
from partners.viewer import Viewer
from tests import build
from tests.indicators.feeds.trees import trees
from tests.strategies import examples

_HOUR = timedelta(hours=1)
#: Of the objects of the world, those that carry the same value.
_SHARING = (3, 4, 5)
_LABELS = ("phishing", "or", "a, b (c)")


@dataclass
class Held:
    """What the oracle knows of one object."""

    said: dict[str, Any]
    publisher: str
    groups: tuple[str, ...] = ()
    attribution: str = "named"
    ids: dict[str, str] = field(default_factory=dict)

    @property
    def ours(self) -> dict[str, Any]:
        return self.said.get("extensions", {}).get(EXTENSION_ID, {})

    @property
    def values(self) -> list[str]:
        return [token["value"] for token in self.ours.get("tokens", [])] + [
            self.ours[n] for n in ("value",) if n in self.ours
        ]


def _world(cast: build.Cast) -> list[Held]:
    """Objects that differ in all that a filter asks for, as three partners publish them."""
    shared = making.token("a" * 64)
    made: list[Held] = []
    kinds = itertools.cycle([making.account_pattern, making.payment_fingerprint, making.prompt_signature])
    controls, severities = itertools.cycle(words.CONTROLS), itertools.cycle(words.SEVERITIES)
    for place, name in enumerate(["aster", "borealis", "cygnus"] * 6):
        more: dict[str, Any] = {"severity": next(severities), "control": next(controls)}
        if place % 4 == 1:
            more["techniques"] = ["AML.T0021", "AML.T0024.002"][: 1 + place % 2]
        make = next(kinds)
        said = (making.account_pattern if place in _SHARING else make)(
            extension=more,
            at=clock.now() - timedelta(hours=place * 7),
            valid_for=timedelta(days=2 + place),
            tlp_word=("clear", "green")[place % 2],
            carrier={"token": shared} if place in _SHARING else None,
        )
        if place % 5:
            said["confidence"] = place * 5
        else:
            del said["confidence"]
        made.append(Held(said, name))
    made.append(Held(making.account_pattern("net", extension={"shared_infra": "cgnat"}, tlp_word="green"), "cygnus"))
    made.append(
        Held(
            making.account_pattern(extension={"attribution": "pseudonym"}, tlp_word="amber"),
            "aster",
            ("ring",),
            "pseudonym",
        )
    )
    stamp = clock.rfc3339(clock.now())
    for name, labels in (("aster", list(_LABELS[:2])), ("borealis", [_LABELS[2]]), ("cygnus", None)):
        campaign: dict[str, Any] = {
            "type": "campaign",
            "spec_version": "2.1",
            "id": f"campaign--{making.uuid.uuid4()}",
            "created": stamp,
            "modified": stamp,
            "name": f"Phishing of {name}",
            "object_marking_refs": [making.tlp.ID_OF["green"]],
        }
        made.append(Held(campaign | ({"labels": labels} if labels else {}), name))
    grouping = {
        **{name: made[-3].said[name] for name in ("spec_version", "created", "modified", "object_marking_refs")},
        "type": "grouping",
        "id": f"grouping--{making.uuid.uuid4()}",
        "context": "suspicious-activity",
        "object_refs": [made[-3].said["id"], made[0].said["id"], made[7].said["id"]],
    }
    made.append(Held(grouping, "cygnus"))
    for held in made:
        where: dict[str, Any] = {"groups": held.groups} if held.groups else {"everyone": True}
        (told,) = build.results(build.publish(cast.viewer(held.publisher), held.said, **where))
        assert told["status"] == "accepted", told
        held.ids = {"publisher": str(getattr(cast, held.publisher).pk)}
    return made


def _holds(node: tree.Node, held: Held, world: list[Held], cast: build.Cast, viewer: Viewer) -> bool:
    """The same as the SQL, for one object at a time."""
    if isinstance(node, tree.Not):
        return not _holds(node.part, held, world, cast, viewer)
    if isinstance(node, tree.Term):
        return _says(node, held, world, cast, viewer)
    parts = [_holds(part, held, world, cast, viewer) for part in node.parts]
    return all(parts) if isinstance(node, tree.All) else any(parts)


def _says(term: tree.Term, held: Held, world: list[Held], cast: build.Cast, viewer: Viewer) -> bool:
    said, mine = held.said, held.ids["publisher"] == str(viewer.partner_id)
    plain = {
        "kind": held.ours.get("kind"),
        "subkind": held.ours.get("subkind"),
        "type": said["type"],
        "from": "mine" if mine else "others",
        "standing": "unreviewed",
        "detector": None,
        "benign_hits": {"nova_rule": "none", "phrase": "few", "regex": "none"}.get(held.ours.get("subkind", "")),
        "control": held.ours.get("control"),
        "elicitation": held.ours.get("elicitation"),
        "shared": held.ours.get("shared_infra"),
        "publisher": held.ids["publisher"] if held.attribution == "named" else None,
        "entries": "true" if held.values else "false",
        "matched": "true" if _publishers(held, world) > 1 else "false",
    }
    if term.field in plain:
        return plain[term.field] in term.values
    several = {
        "technique": held.ours.get("techniques", []),
        "label": said.get("labels", []),
        "group": [str(cast.ring.pk)] if "ring" in held.groups and cast.ring.pk in viewer.group_ids else [],
    }
    if term.field in several:
        return bool(set(several[term.field]) & set(term.values))
    if term.field == "campaign":
        (grouping,) = (one.said for one in world if one.said["type"] == "grouping")
        ids = set(grouping["object_refs"]) if set(grouping["object_refs"]) & set(term.values) else set()
        return said["id"] in ids | set(term.values)
    if term.field == "words":
        return any(_found(str(word), held) for word in term.values)
    return _compares(term, held, world)


def _found(word: str, held: Held) -> bool:
    return word == "phishing" and held.said["type"] == "campaign"


def _compares(term: tree.Term, held: Held, world: list[Held]) -> bool:
    now = clock.now()
    orders = {"severity": words.SEVERITIES, "tlp": tuple(tlp.word for tlp in Tlp)}
    if term.field in orders:
        marked = "amber" if held.groups else None
        word = held.ours.get("severity") if term.field == "severity" else marked or _tlp(held)
        return word is not None and _compared(orders[term.field].index(word), term, orders[term.field])
    if term.field == "confidence":
        return _compared(held.said.get("confidence", -1), term)
    if term.field == "publishers":
        return _compared(_publishers(held, world), term)
    if term.field == "age":
        return _compared((now - datetime.fromisoformat(held.said["modified"])) / _HOUR, term)
    until = held.said.get("valid_until")
    if until is None:
        return term.op.startswith(">")
    return _compared((datetime.fromisoformat(until) - now) / _HOUR, term)


def _tlp(held: Held) -> str:
    refs = held.said.get("object_marking_refs", [])
    return next((word for word, ref in making.tlp.ID_OF.items() if ref in refs), "green")


def _publishers(held: Held, world: list[Held]) -> int:
    named = [one for one in world if one.attribution == "named"]
    return max([1, *(len({one.publisher for one in named if value in one.values}) for value in held.values)])


def _compared(value: float, term: tree.Term, order: tuple[str, ...] = ()) -> bool:
    given = [order.index(str(one)) if order else int(one) for one in term.values]
    ways = {
        "is": value in given,
        ">=": value >= given[0],
        "<=": value <= given[0],
        ">": value > given[0],
        "<": value < given[0],
    }
    return ways[term.op]


def _selected(viewer: Viewer, wanted: Filter) -> set[str]:
    condition, parameters = wanted.sql(viewer)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT h.stix_id FROM indicators_holding h JOIN indicators_stixobject o ON o.id = h.newest_id"
            f" WHERE h.audience_id = ANY(%(audiences)s) {condition}",
            parameters | {"audiences": audience_ids(viewer)},
        )
        return {stix_id for (stix_id,) in cursor.fetchall()}


def _paged(viewer: Viewer, wanted: Filter, *, limit: int = 4) -> set[str]:
    """The same, page by page from both ends of the log."""
    found: list[set[str]] = []
    for page_of in (
        lambda place: reading.page(viewer, Selection(filter=wanted), after=place or 0, limit=limit),
        lambda place: reading.newest(viewer, Selection(filter=wanted), before=place, limit=limit),
    ):
        ids, page = list[str](), page_of(None)
        while True:
            ids += [said.stix_id for said in page.statements]
            if not page.more:
                break
            page = page_of(page.reached)
        assert len(ids) == len(set(ids))
        found.append(set(ids))
    assert found[0] == found[1]
    return found[0]


@pytest.mark.hypothesis
@pytest.mark.django_db
@pytest.mark.parametrize("name", ["borealis", "cygnus"])
@pytest.mark.parametrize("leaps", [False, True], ids=["along the log", "by the index of traits"])
def test_what_is_selected_is_what_a_slow_reading_of_each_object_lets_through(
    name: str,
    leaps: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if leaps:  # after a stretch of a few places
        for constant, value in {"_LEAST_ROWS": 1, "_WIDER": 1, "_BLOCK": 8, "_LEAP_ROWS": 1}.items():
            monkeypatch.setattr(walking, constant, value)
    cast = build.the_cast()
    world, viewer = _world(cast), cast.viewer(name)
    seen = [held for held in world if not held.groups or cast.ring.pk in viewer.group_ids]
    ids = {
        "publisher": [str(getattr(cast, name).pk) for name in ("aster", "borealis")],
        "group": [str(cast.ring.pk)],
        "campaign": [held.said["id"] for held in world if held.said["type"] == "campaign"],
    }

    @settings(max_examples=examples(50), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(trees(words=("phishing", "nothing"), labels=(*_LABELS, "other"), **ids))
    def holds(node: tree.Node) -> None:
        expected = {held.said["id"] for held in seen if _holds(node, held, seen, cast, viewer)}
        assert _selected(viewer, Filter(node)) == expected
        assert _paged(viewer, Filter(node)) == expected

    holds()


@pytest.mark.django_db
def test_a_group_that_is_not_the_viewers_is_no_word_of_a_filter() -> None:
    cast = build.the_cast()
    node = tree.term("group", [str(cast.ring.pk)])
    build.publish(cast.viewer("aster"), build.an_indicator(), groups=("ring",), partners=("cygnus",))
    assert len(_selected(cast.viewer("borealis"), Filter(node))) == 1
    assert _selected(cast.viewer("cygnus"), Filter(node)) == set()
    assert len(_selected(cast.viewer("cygnus"), Filter())) == 1
    with pytest.raises(Exception, match="no group"):
        naming.with_ids(cast.viewer("cygnus"), tree.term("group", ["ring"]))
