"""Rows of the log by what filters ask for: a row says as numbers which words its version and audience have.

A number stands for a word, a channel and a block of places, so what others do that a reader does not see costs the
reader nothing, and one look finds a few blocks' rows that have all words that a filter needs (index `change_by_trait`).
They only say where to look: two words may have one number, and whoever finds a row asks its version and holding anew.
A row that has a word when it is appended keeps it. `MATCHED` comes later, too, when another source says the same value;
networks and ranges have it from the first, for whatever overlaps them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from exchange.stix import words
from indicators.stix.drafts import PATTERN_HASH

#: Words that no column and no facet says.
CARRIES, CARRIES_NOT, JUDGED, MATCHED = "entries=true", "entries=false", "judged", "matched"
#: So many places, as a power of two, are one block.
BLOCK_BITS = 15
#: A version without a word of this kind says so.
NONE = "none"
#: Months are words from the one year to the other; what was before, and what comes after or never.
FIRST_YEAR, LAST_YEAR, PAST, LATER = 2025, 2029, "past", "later"


def number(word: str, channel: str, place: str) -> str:
    """The number of a word in a channel at a place, all as SQL."""
    return f"hashtext(concat_ws(' ', {word}, {channel}, {place} >> {BLOCK_BITS}))"


def _one_of(column: str, known: Iterable[str]) -> str:
    values = ", ".join(f"'{word}'" for word in sorted(known))
    return f"concat('{column}=', CASE WHEN o.{column} IN ({values}) THEN o.{column} ELSE '{NONE}' END)"


# Of the version `o`, its holding `h` and its audience `a`.
_WORDS = f"""
ARRAY[concat('type=', h.stix_type), {_one_of("kind", words.SUBKINDS)}, {_one_of("subkind", words.KIND_OF)},
      {_one_of("severity", words.SEVERITIES)},
      concat('confidence=', CASE WHEN o.confidence >= 0 THEN least(o.confidence / 10, 10) ELSE -1 END),
      concat('tlp=', a.tlp), concat('publisher=', h.publisher_id),
      to_char(o.modified AT TIME ZONE 'UTC', '"age="YYYYMMDD'),
      CASE WHEN o.modified >= '{LAST_YEAR + 1}-01-01Z' THEN 'age={LATER}'
           WHEN o.modified < '{FIRST_YEAR}-01-01Z' THEN 'age={PAST}'
           ELSE to_char(o.modified AT TIME ZONE 'UTC', '"age="YYYYMM') END,
      to_char(o.valid_until AT TIME ZONE 'UTC', '"until="YYYYMMDD'),
      CASE WHEN o.valid_until IS NULL OR o.valid_until >= '{LAST_YEAR + 1}-01-01Z' THEN 'until={LATER}'
           WHEN o.valid_until < '{FIRST_YEAR}-01-01Z' THEN 'until={PAST}'
           ELSE to_char(o.valid_until AT TIME ZONE 'UTC', '"until="YYYYMM') END,
      CASE WHEN {{carries}} THEN '{CARRIES}' ELSE '{CARRIES_NOT}' END,
      CASE WHEN {{matched}} THEN '{MATCHED}' END, CASE WHEN {{judged}} THEN '{JUDGED}' END]
|| ARRAY(SELECT concat('group=', g) FROM unnest(a.groups) g)
|| coalesce(o.facets, '{{{{}}}}')
"""
_CARRIES = f"""
EXISTS (SELECT FROM indicators_carries own WHERE own.holding_id = h.id AND own.suppressed_by <> '{PATTERN_HASH}')
"""
#: Whether the holding `h` carries a network or range: another that overlaps it may come, and nobody marks it then.
MAY_OVERLAP = "EXISTS (SELECT FROM indicators_span x WHERE x.holding_id = h.id)"
IS_MATCHED = f"""
EXISTS (SELECT FROM (SELECT own.token_value_id FROM indicators_carries own WHERE own.holding_id = h.id OFFSET 0) own
        JOIN indicators_tokenvalue v ON v.id = own.token_value_id AND v.shared) OR {MAY_OVERLAP}
"""
_JUDGED = "EXISTS (SELECT FROM indicators_opinion j WHERE j.holding_id = h.id)"


def words_of(*, matched: str) -> str:
    """The words of the version `o` of the holding `h` with the audience `a`, as SQL; `matched` says whether it is."""
    return _WORDS.format(carries=_CARRIES, matched=matched, judged=_JUDGED)


def of_row(said: str, channel: str, place: str) -> str:
    """The numbers of a row that has these words, as SQL: those of `number`, what all words share written once."""
    return (
        "ARRAY(SELECT hashtext(w || shared.tail)"
        f" FROM (SELECT concat(' ', {channel}, ' ', {place} >> {BLOCK_BITS}) AS tail OFFSET 0) shared"
        f" CROSS JOIN unnest({said}) w WHERE w IS NOT NULL)"
    )


#: Takes what rows say that were written just now into the index, all at once: a word that many rows have is looked up
#: once. Until then each reader would read the rows' numbers one by one, so whoever writes `traits` says it at the end.
#: Where the log is divided (`log.dividing`), each part has an index of its own.
INDEX = """
SELECT gin_clean_pending_list(coalesce(part.inhrelid, 'change_by_trait'::regclass))
FROM (SELECT) one LEFT JOIN pg_inherits part ON part.inhparent = 'change_by_trait'::regclass
"""

# Rows of the log by their keys: PostgreSQL, which guesses how many a part of a WITH has, takes arrays for short.
_TOLD = "unnest(ARRAY(SELECT channel FROM theirs_told), ARRAY(SELECT seq FROM theirs_told)) told(channel, seq)"
# Of values that were shared just now (`made`): the rows of older objects that carry them say so, too.
MARK_MATCHED = f"""
theirs_told AS MATERIALIZED (
    SELECT DISTINCT c.channel, c.seq FROM made
    CROSS JOIN LATERAL (SELECT k.holding_id FROM indicators_carries k WHERE k.token_value_id = made.id OFFSET 0) k
    CROSS JOIN LATERAL (SELECT h.newest_id FROM indicators_holding h WHERE h.id = k.holding_id LIMIT 1) h
    CROSS JOIN LATERAL (
        SELECT c.channel, c.seq FROM indicators_change c
        WHERE c.version_id = h.newest_id AND c.traits IS NOT NULL OFFSET 0) c
), older AS MATERIALIZED (
    SELECT c.channel, c.seq FROM {_TOLD}
    JOIN indicators_change c ON c.channel = told.channel AND c.seq = told.seq AND c.traits IS NOT NULL
    ORDER BY c.channel, c.seq FOR NO KEY UPDATE OF c
)
UPDATE indicators_change c SET traits = c.traits || {number(f"'{MATCHED}'", "c.channel", "c.seq")}
FROM older WHERE c.channel = older.channel AND c.seq = older.seq
"""
# What rows of versions say, written anew: for what is read of their bytes by newer rules (`rereading`).
REWRITE = f"""
UPDATE indicators_change c SET traits = {of_row("said.words", "c.channel", "c.seq")}
FROM (
    SELECT o.id, {words_of(matched=IS_MATCHED)} AS words
    FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id
    JOIN partners_audience a ON a.id = h.audience_id WHERE o.id = ANY(%s)
) said
WHERE c.version_id = said.id AND (c.op = 'upsert' OR c.reason = 'revoked')
"""


class Sieve:
    """What a filter needs of a row: of each of these sets of words at least one. Empty where it needs nothing."""

    def __init__(self, needs: Sequence[frozenset[str]]) -> None:
        self.needs = sorted({tuple(sorted(need)) for need in needs}, key=lambda need: (len(need), need))[:_MOST_NEEDS]

    def __bool__(self) -> bool:
        return bool(self.needs)

    @property
    def parameters(self) -> dict[str, Any]:
        """The words, by the names that the texts have for them."""
        return {f"need{place}": list(need) for place, need in enumerate(self.needs)}

    @property
    def is_compared(self) -> bool:
        """Whether `condition` asks for all that is needed."""
        return all(len(need) <= _MOST_COMPARED for need in self.needs)

    def numbers(self, first: str, last: str) -> str:
        """Parts of a WITH: the numbers of each set of words, from a place to another: `sought`, by channel and block.

        With what `mine` says of the channel. Only of channels that have a row in a block: of most that a reader of
        many groups has, nothing is told for long.
        """
        of_word = number("w", "mine.channel", f"(b << {_BITS})")
        sets = ", ".join(
            f"ARRAY(SELECT {of_word} FROM unnest(%(need{place})s::text[]) w) AS need{place}"
            for place in range(len(self.needs))
        )
        return (
            f", sought AS MATERIALIZED (SELECT mine.*, {sets}"
            f" FROM generate_series(({first}) >> {_BITS}, ({last}) >> {_BITS}) b CROSS JOIN mine"
            " WHERE (SELECT c.seq FROM indicators_change c"
            f" WHERE c.channel = mine.channel AND c.seq >= b << {_BITS} AND c.seq < (b + 1) << {_BITS}"
            " ORDER BY c.seq LIMIT 1) IS NOT NULL)"
        ) + "".join(
            f", needed{place} AS MATERIALIZED"
            f" (SELECT array_agg(n) AS numbers FROM sought CROSS JOIN unnest(sought.need{place}) n)"
            for place, need in enumerate(self.needs)
            if len(need) <= _MOST_COMPARED
        )

    def condition(self) -> str:
        """Whether the change `c` may have all that is needed, with a leading AND.

        A row is compared with each word in turn: long sets are left to the index.
        """
        return "".join(
            f" AND c.traits && (SELECT needed{place}.numbers FROM needed{place})"
            for place, need in enumerate(self.needs)
            if len(need) <= _MOST_COMPARED
        )

    def sought(self) -> str:
        """The same of one channel and block, for the index: many sets at once make it compare each row with all."""
        return "".join(f" AND c.traits && sought.need{place}" for place in range(len(self.needs)))


_BITS = str(BLOCK_BITS)
_MOST_NEEDS, _MOST_COMPARED = 4, 4
