"""A filter as one condition on a version and its holding, within what the query around it lets the viewer see.

Each term is true or false, never null, so that a `not` is what the term does not let through.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any as Anything
from typing import ClassVar
from uuid import UUID

from exchange.stix import words
from exchange.tokens import normalising
from indicators.feeds import searching
from indicators.feeds.tree import All, Node, Not, Term
from indicators.matching import IS_MATCHED
from indicators.opinions import standing
from indicators.stix.drafts import PATTERN_HASH
from indicators.stix.facets import BENIGN_HITS, facet
from indicators.values import carrying
from partners.sharing import mine
from partners.tlp import Tlp
from partners.viewer import Viewer

#: What the fields that have no column of their own are called in `facets`.
FACETS = {
    "benign_hits": BENIGN_HITS,
    "control": "control",
    "detector": "detector",
    "elicitation": "elicitation",
    "label": "label",
    "shared": "shared_infra",
    "technique": "technique",
}


@dataclass(frozen=True, slots=True)
class Starts:
    """A query for the keys of holdings among which all is that a tree lets through; empty where there is none.

    `words` is the tsquery by which it finds most of them, where it looks for words.
    """

    keys: str = ""
    words: str = ""


class Condition:
    """Writes a tree as SQL; the parameters are named by their order behind a prefix."""

    def __init__(self, viewer: Viewer, *, version: str, holding: str, prefix: str) -> None:
        self._viewer = viewer
        self._of, self._held, self._prefix = version, holding, prefix
        self.parameters: dict[str, Anything] = {}

    def sql(self, node: Node) -> str:
        """The condition, in parentheses where it needs them."""
        if isinstance(node, Term):
            return self._TERMS[node.field](self, node)
        if isinstance(node, Not):
            return f"NOT ({self.sql(node.part)})"
        joint = " AND " if isinstance(node, All) else " OR "
        return f"({joint.join(self.sql(part) for part in node.parts) or 'TRUE'})"

    def _given(self, value: Anything) -> str:
        name = f"{self._prefix}{len(self.parameters)}"
        self.parameters[name] = value
        return f"%({name})s"

    def _column(self, term: Term) -> str:
        return f"coalesce({self._of}.{term.field} = ANY({self._given(list(term.values))}), FALSE)"

    def _type(self, term: Term) -> str:
        return f"{self._held}.stix_type = ANY({self._given(list(term.values))})"

    def _publisher(self, term: Term) -> str:
        """Finds what names it, and never what it published without its name."""
        ids = self._given([UUID(str(publisher)) for publisher in term.values])
        return f"({self._held}.publisher_id = ANY({ids}) AND {self._audience('named', 'named.attribution = 0')})"

    def _group(self, term: Term) -> str:
        """Of the viewer's own groups alone: that it goes to another one, too, is nobody's to know."""
        own = [UUID(str(group)) for group in term.values if UUID(str(group)) in self._viewer.group_ids]
        return self._audience("addressed", f"addressed.groups && {self._given(own)}::uuid[]")

    def _tlp(self, term: Term) -> str:
        wanted = self._given([tlp.value for tlp in Tlp if fits(term, [each.word for each in Tlp], tlp.word)])
        return self._audience("marked", f"marked.tlp = ANY({wanted})")

    def _audience(self, name: str, condition: str) -> str:
        return f"{self._held}.audience_id IN (SELECT {name}.id FROM partners_audience {name} WHERE {condition})"

    def _from(self, term: Term) -> str:
        me = self._given(self._viewer.partner_id)
        ways = [f"{self._held}.publisher_id {'=' if one == 'mine' else '<>'} {me}" for one in term.values]
        return f"({' OR '.join(ways)})"

    def _severity(self, term: Term) -> str:
        wanted = [word for word in words.SEVERITIES if fits(term, words.SEVERITIES, word)]
        return f"coalesce({self._of}.severity = ANY({self._given(wanted)}), FALSE)"

    def _confidence(self, term: Term) -> str:
        return self._compared(f"coalesce({self._of}.confidence, -1)", term)

    def _compared(self, expression: str, term: Term) -> str:
        if term.op == "is":
            return f"{expression} = ANY({self._given(list(term.values))})"
        return f"{expression} {term.op} {self._given(term.values[0])}"

    def _facet(self, term: Term) -> str:
        wanted = [facet(FACETS[term.field], str(value)) for value in term.values]
        return f"coalesce({self._of}.facets && {self._given(wanted)}::text[], FALSE)"

    def _detector(self, term: Term) -> str:
        """Of one's own objects alone: an id says nothing of another's detectors."""
        return f"({self._facet(term)} AND {self._held}.publisher_id = {self._given(self._viewer.partner_id)})"

    def _publishers(self, term: Term) -> str:
        sees = self._given(list(mine(self._viewer).values_list("channel", flat=True)))
        disarmed = standing.is_disarmed(
            "saying", hears=f"x.channels && {sees}::bigint[]", viewer=self._given(self._viewer.partner_id)
        )
        return self._compared(_PUBLISHERS.format(version=self._of, sees=sees, disarmed=disarmed), term)

    def _standing(self, term: Term) -> str:
        sees = self._given(list(mine(self._viewer).values_list("channel", flat=True)))
        said = standing.sql(self._held, hears=f"x.channels && {sees}::bigint[]")
        return f"{said} = ANY({self._given(list(term.values))})"

    def _words(self, term: Term) -> str:
        return f"({' OR '.join(self._word(str(value)) for value in term.values)})"

    def _word(self, value: str) -> str:
        values = list(normalising.any_of(value))
        within = [carrying.keys_within(one) for one in values]
        looked_for = searching.begins(value)
        return _WORDS.format(
            version=self._of,
            holding=self._held,
            said=self._given(value),
            begins=self._given(looked_for.words),
            first_id=self._given(looked_for.first_id),
            last_id=self._given(looked_for.last_id),
            values=self._given(values),
            first=self._given([first for first, _ in within]),
            last=self._given([last for _, last in within]),
        )

    def _age(self, term: Term) -> str:
        made = f"statement_timestamp() - {self._of}.modified"
        return f"coalesce({made} {term.op} make_interval(hours => {self._given(term.values[0])}::int), FALSE)"

    def _until(self, term: Term) -> str:
        """What has no end is valid for longer than any time."""
        left = f"{self._of}.valid_until - statement_timestamp()"
        unending = "TRUE" if term.op.startswith(">") else "FALSE"
        return f"coalesce({left} {term.op} make_interval(hours => {self._given(term.values[0])}::int), {unending})"

    def _matched(self, term: Term) -> str:
        self.parameters |= {"both": list(mine(self._viewer).values_list("channel", flat=True))}
        me = self._given(self._viewer.partner_id)
        is_matched = f"({IS_MATCHED.format(holding=self._held, viewer=me)})"
        return f"({' OR '.join(is_matched if one == 'true' else f'NOT {is_matched}' for one in term.values)})"

    def _campaign(self, term: Term) -> str:
        ids = self._given([str(value) for value in term.values])
        return f"({self._held}.stix_id IN ({self._parts_of(ids)}))"

    def _parts_of(self, ids: str) -> str:
        return _PARTS.format(ids=ids, sees=self._given(list(mine(self._viewer).values_list("channel", flat=True))))

    def starts(self, node: Node) -> Starts:
        """Where to look for what the tree lets through, where that is not the log."""
        for part in node.parts if isinstance(node, All) else (node,):
            if isinstance(part, Term) and part.field == "campaign":
                ids = self._given([str(value) for value in part.values])
                return Starts(f"SELECT x.id FROM indicators_holding x WHERE x.stix_id IN ({self._parts_of(ids)})")
            if isinstance(part, Term) and part.field == "words":
                each = [self._worded(str(value)) for value in part.values]
                return Starts(" UNION ".join(one.keys for one in each), " || ".join(one.words for one in each))
        return Starts()

    def _worded(self, value: str) -> Starts:
        """The keys of holdings that `words` may find: each way by its own index."""
        values = list(normalising.any_of(value))
        within = [carrying.keys_within(one) for one in values]
        looked_for = searching.begins(value)
        said, begins = self._given(value), self._given(looked_for.words)
        keys = _WORDED.format(
            begins=begins,
            first_id=self._given(looked_for.first_id),
            last_id=self._given(looked_for.last_id),
            said=said,
            values=self._given(values),
            first=self._given([first for first, _ in within]),
            last=self._given([last for _, last in within]),
        )
        return Starts(keys, _SAID.format(said=said, begins=begins))

    def _entries(self, term: Term) -> str:
        carries = _CARRIES.format(version=self._of)
        return f"({' OR '.join(carries if one == 'true' else f'NOT {carries}' for one in term.values)})"

    _TERMS: ClassVar[dict[str, Callable[[Condition, Term], str]]] = {
        "age": _age,
        "campaign": _campaign,
        "confidence": _confidence,
        "control": _facet,
        "detector": _detector,
        "benign_hits": _facet,
        "elicitation": _facet,
        "entries": _entries,
        "from": _from,
        "group": _group,
        "kind": _column,
        "label": _facet,
        "matched": _matched,
        "publisher": _publisher,
        "publishers": _publishers,
        "severity": _severity,
        "shared": _facet,
        "standing": _standing,
        "subkind": _column,
        "technique": _facet,
        "tlp": _tlp,
        "type": _type,
        "until": _until,
        "words": _words,
    }


def fits(term: Term, order: list[str] | tuple[str, ...], word: str) -> bool:
    """Whether a word of an order is what a term says."""
    if term.op == "is":
        return word in term.values
    place, with_ = order.index(word), order.index(str(term.values[0]))
    return {">=": place >= with_, "<=": place <= with_, ">": place > with_, "<": place < with_}[term.op]


# The hash of a rule or text is there to be matched, and no value of a list.
_CARRIES = f"""
EXISTS (SELECT FROM indicators_carries carried
        WHERE carried.holding_id = {{version}}.holding_id AND carried.suppressed_by <> '{PATTERN_HASH}')
"""
# How many named partners say, in what the viewer sees, the value of the holding that most say; at least 1. From the few
# values of a holding to the audiences that each is said to, by their index. Where two or more say it, what is disarmed
# for the viewer is left out: of each of these audiences we look at holdings until one is not disarmed, nearly always
# the first, of which nobody dissents. (OFFSET keeps the planner from joining all of them.)
_PUBLISHERS = f"""
greatest(1, (
    SELECT max((SELECT count(DISTINCT x.publisher_id) FROM partners_audience x
                WHERE x.id = ANY(said.audiences) AND EXISTS (
                    SELECT FROM indicators_carries also
                    WHERE also.token_value_id = said.token_value_id AND also.audience_id = x.id
                      AND (NOT EXISTS (SELECT FROM indicators_opinion d
                                       WHERE d.holding_id = also.holding_id AND d.says < 0)
                           OR EXISTS (SELECT FROM indicators_holding saying
                                      WHERE saying.id = also.holding_id AND NOT {{disarmed}}))
                    OFFSET 0)))
    FROM (
        SELECT own.token_value_id, array_agg(heard.id) AS audiences
        FROM indicators_carries own
        CROSS JOIN {carrying.AUDIENCES.format(value="own.token_value_id")} told
        JOIN partners_audience heard ON heard.id = told.audience_id AND heard.attribution = 0
        WHERE own.holding_id = {{version}}.holding_id AND heard.channels && {{sees}}::bigint[]
        GROUP BY own.token_value_id HAVING count(DISTINCT heard.publisher_id) > 1
    ) said
))
"""
# The ids that living groupings and relationships which the viewer sees put together with one of these, and these.
_PARTS = """
SELECT part.target_id FROM indicators_reference named
JOIN indicators_stixobject telling ON telling.id = named.version_id
JOIN indicators_holding teller ON teller.id = telling.holding_id AND teller.newest_id = telling.id
     AND teller.state = 'live' AND teller.stix_type IN ('grouping', 'relationship')
JOIN partners_audience heard ON heard.id = teller.audience_id AND heard.channels && {sees}::bigint[]
JOIN indicators_reference part ON part.version_id = named.version_id
WHERE named.target_id = ANY({ids}::text[])
  AND (starts_with(named.path, '/object_refs/') OR named.path IN ('/source_ref', '/target_ref'))
  AND (starts_with(part.path, '/object_refs/') OR part.path IN ('/source_ref', '/target_ref'))
UNION ALL SELECT unnest({ids}::text[])
"""
# The holdings that carry a value, by its key: a stretch of few keys, which PostgreSQL takes for long (OFFSET 0).
_VALUED = """
SELECT k.holding_id
FROM unnest({values}::text[], {first}::uuid[], {last}::uuid[]) asked(value, first_key, last_key)
CROSS JOIN LATERAL (
    SELECT v.id, v.value FROM indicators_tokenvalue v WHERE v.id BETWEEN asked.first_key AND asked.last_key OFFSET 0) v
CROSS JOIN LATERAL (SELECT k.holding_id FROM indicators_carries k WHERE k.token_value_id = v.id OFFSET 0) k
WHERE v.value = asked.value
"""
_WORDED = f"""
SELECT s.holding_id FROM indicators_stixobject s WHERE s.search @@ websearch_to_tsquery('simple', {{said}})
UNION ALL SELECT s.holding_id FROM indicators_stixobject s WHERE s.search @@ to_tsquery('simple', {{begins}})
UNION ALL SELECT s.id FROM indicators_holding s WHERE s.stix_id >= {{first_id}} AND s.stix_id < {{last_id}}
UNION ALL {_VALUED}
"""
# What is typed as a tsquery; a query of its own where many rows are compared, so that it is read once.
_SAID = "websearch_to_tsquery('simple', {said}) || to_tsquery('simple', {begins})"
# Of each row its words are compared once; who carries the value is found once for all rows.
_WORDS = f"""
({{version}}.search @@ (SELECT {_SAID})
 OR ({{holding}}.stix_id >= {{first_id}} AND {{holding}}.stix_id < {{last_id}})
 OR {{version}}.holding_id IN ({_VALUED}))
"""
