"""What a row of the list of indicators shows beside the object: who else says it, how it stands, and its campaign."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from exchange import clock
from exchange.sql import ask
from exchange.stix.patterns import tokens_in
from exchange.templatetags import house
from exchange.tokens.defanging import defanged, defanged_text
from indicators.door import gates
from indicators.opinions import standing
from indicators.portal import showing
from indicators.reading import Statement, listing, titling
from indicators.stix import vocabulary
from partners.groups import directory
from partners.portal import letters
from partners.portal.letters import Lab
from partners.tlp import Tlp
from partners.viewer import Viewer

_DAY_S = 86_400


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the list; `value` is whole, the template shortens it. Both it and the title are defanged."""

    object_id: int
    stix_id: str
    publisher_slug: str
    value: str
    is_title: bool  # there is no value: the title stands in its place
    title: str
    kind: str
    subkind: str
    severity: str
    labs: list[Lab]
    confidence: int | None
    standing: str
    did: str
    valid_until: datetime | None
    most_days: float | None
    matches: int
    campaign: tuple[str, str] | None  # name, and the id of its page
    tlp: str
    added: datetime
    state: str
    own: bool
    marked: bool
    suspended: bool

    @property
    def says(self) -> bool:
        """Whether its title says more than what the other columns do."""
        return not self.is_title and self.title != f"{self.kind}: {self.subkind}"


def of(viewer: Viewer, found: Sequence[Statement]) -> list[Row]:
    """The rows of a page. Six queries, and one where relationships are among them; none for each row."""
    if not found:
        return []
    said = listing.sayers(viewer, [one.object_id for one in found])
    stands = standing.of(viewer, [holding for holding, _ in said.values()])
    known = letters.labs(viewer, directory.known())
    campaigns = campaigns_of(viewer, [one.stix_id for one in found])
    links = [(one.stix_id, one.body) for one in found if one.stix_type == "relationship"]
    titles = titling.of_relationships(viewer, links, called=house.titled) if links else {}
    now = clock.now()
    rows = []
    for one in found:
        holding, sayers = said.get(one.object_id, (0, []))
        extension = _extension(one)
        value = value_of(one, extension)
        title = defanged_text(titles.get(one.stix_id, one.title))
        rows.append(
            Row(
                object_id=one.object_id,
                stix_id=one.stix_id,
                publisher_slug=one.publisher_slug,
                value=value or title,
                is_title=not value,
                title=title,
                kind=one.kind or "",
                subkind=one.subkind or ("" if one.kind else one.stix_type),
                severity=one.severity or "",
                labs=_labs(known, one, sayers),
                confidence=one.confidence,
                standing=str(stands.get(holding, "unreviewed")),
                did=str(extension.get("publisher_action", "")).capitalize(),
                valid_until=one.valid_until,
                most_days=gates.longest(extension).total_seconds() / _DAY_S if extension else None,
                matches=max(0, sum(sayer.holdings for sayer in sayers) - 1),
                campaign=campaigns.get(one.stix_id),
                tlp=Tlp(one.tlp).word,
                added=one.date_added,
                state=showing.state(one, now),
                own=one.publisher_id == viewer.partner_id,
                marked=bool(one.marks),
                suspended=one.publisher_suspended,
            )
        )
    return rows


def value_of(said: Statement, extension: dict[str, Any]) -> str:
    """What an indicator matches on, in one line and defanged; empty where it has no value of its own."""
    tokens = tokens_in(extension)
    if tokens:
        return str(tokens[0]["value"])
    if isinstance(extension.get("value"), str):
        return defanged(extension["value"])
    if code := showing.code(extension):
        return " ".join(code[0][1].split())
    classical = "" if extension else showing.first_value(said)
    return defanged(classical) if classical else ""


def campaigns_of(viewer: Viewer, stix_ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """By id of an indicator the living campaign of one of the viewer's groups that names it: name and id. One query."""
    if not viewer.group_ids or not stix_ids:
        return {}
    asked = {"groups": list(viewer.group_ids), "ids": list(stix_ids), "viewer": viewer.partner_id}
    return {stix_id: (name, str(key)) for stix_id, name, key in ask(_CAMPAIGNS, asked)}


# A row for each of the indicators that a living campaign names as it was told to the viewer's groups.
_CAMPAIGNS = """
SELECT named.id, coalesce(alias.alias, c.told->>'name'), c.id
FROM indicators_campaign c
CROSS JOIN LATERAL jsonb_array_elements_text(c.told->'indicators') named(id)
LEFT JOIN indicators_campaignalias alias ON alias.campaign = c.id AND alias.partner_id = %(viewer)s
WHERE c.group_id = ANY(%(groups)s) AND c.state = 'live' AND NOT c.dismissed
  AND c.told ? 'indicators' AND named.id = ANY(%(ids)s)
ORDER BY c.created_at
"""


def _extension(said: Statement) -> dict[str, Any]:
    return dict(vocabulary.extension_of(orjson.loads(said.body)) or {}) if said.kind else {}


def _labs(known: dict[Any, Lab], said: Statement, sayers: Sequence[listing.Sayer]) -> list[Lab]:
    """Ours first, then those with a name in the order of their letters, then one mark for all without."""
    ids = {sayer.publisher_id for sayer in sayers if sayer.named}
    named = [known[key] for key in ids if key in known]
    if not ids and said.publisher_id in known:
        named = [known[said.publisher_id]]
    veiled = any(not sayer.named for sayer in sayers) or not (named or said.publisher_id in known)
    order = sorted(named, key=lambda lab: (lab.shown != "us", lab.letter))
    return [*order, letters.VEILED] if veiled else order
