"""The values that holdings carry: the only writer of Epoch, TokenValue and Carries.

A value is stored once, whoever carries it, under a key that is made from all that makes it this value. So nobody has to
look it up to write it, it may be longer than an entry of an index, and one index serves the value alone, too.

Several may push the same new value at once. Who comes second waits until the first has committed: values are written
sorted by key, so that no two wait for each other, and last of all before the log, so that the wait is short. A value
that is there already is not locked.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

import msgspec
import orjson
from django.db import connection

from exchange.lists.lines import compared
from exchange.sql import Message, array_of, array_of_numbers
from indicators.benign import service_hosts
from indicators.door import benign, entries
from indicators.log.traits import MARK_MATCHED
from indicators.stix import drafts, parsing
from indicators.values import epochs


class Carrying(msgspec.Struct, frozen=True):
    """What the newest version of a holding says from now on; `anew` where the holding may have said other values."""

    holding_id: int
    audience_id: int
    tokens: Sequence[drafts.TokenValue]
    anew: bool = False


def listed(draft: drafts.Draft) -> str:
    """The entries of lists that a version gives while its values are judged so, as JSON in the order of their places.

    It stands beside the version (`StixObject.listed`), so that a page of the log need not look for each value. Whatever
    judges a value otherwise later sets it to null, which says to ask `Carries`: so does the database (migration 0056).
    `LISTED` makes the same text of what is carried.
    """
    kind = draft.kind or draft.stix_type
    return orjson.dumps(
        [
            {
                "kind": kind,
                "subkind": token.domain,
                "scheme": token.scheme,
                "key_epoch": token.key_epoch,
                "value": token.value,
            }
            for token in draft.tokens
            if not token.suppressed_by
        ]
    ).decode()


def relist(versions: Mapping[int, drafts.Draft], *, within: Message) -> None:
    """Write anew what stored versions, by key, give to lists: of what was read and judged again, and is the newest now.

    To be added after their holdings and values.
    """
    if versions:
        within.add(_RELIST, [array_of_numbers(versions), array_of(map(listed, versions.values()))])


def key_of(token: drafts.TokenValue) -> UUID:
    """The key of a value: SHA-256 of the value, 4 bytes, then of all that is compared, a line each, 12 bytes."""
    parts = (compared(token.domain), token.scheme, token.key_epoch, token.psp_scope, token.value)
    whole = hashlib.sha256("\n".join(parts).encode()).digest()
    return UUID(bytes=hashlib.sha256(token.value.encode()).digest()[:_OF_VALUE] + whole[: 16 - _OF_VALUE])


def keys_within(value: str) -> tuple[UUID, UUID]:
    """The first and last key that a value may have, as whatever it is compared; a few other values lie between them."""
    begins = hashlib.sha256(value.encode()).digest()[:_OF_VALUE]
    return UUID(bytes=begins + bytes(16 - _OF_VALUE)), UUID(bytes=begins + b"\xff" * (16 - _OF_VALUE))


_OF_VALUE = 4


def write(
    carrying: Sequence[Carrying], *, within: Message, unproven: Mapping[UUID, benign.Known] | None = None
) -> None:
    """Write what holdings carry, in place of what they carried, when the message is sent. Five statements at most.

    `unproven` is what `service_hosts` says, asked for here where it is not given.
    """
    anew = [one.holding_id for one in carrying if one.anew]
    if anew:
        within.add(_EMPTY, [anew])
    rows = [
        (one.holding_id, place, key_of(token), token, one.audience_id)
        for one in carrying
        for place, token in enumerate(one.tokens)
    ]
    if not rows:
        return
    values = {key: (token, audience_id) for _, _, key, token, audience_id in rows}
    _write_epochs({(token.scheme, token.key_epoch) for token, _ in values.values() if token.key_epoch}, within)
    _leave_out(values, service_hosts.unproven() if unproven is None else unproven, within)
    ordered = sorted(values.items(), key=lambda value: value[0].bytes)
    within.add(
        _VALUES,
        [
            array_of(key.hex for key, _ in ordered),
            array_of(compared(token.domain) for _, (token, _) in ordered),
            array_of(token.scheme for _, (token, _) in ordered),
            array_of(token.key_epoch for _, (token, _) in ordered),
            array_of(token.psp_scope for _, (token, _) in ordered),
            array_of(token.value for _, (token, _) in ordered),
            array_of_numbers(audience_id for _, (_, audience_id) in ordered),
        ],
    )
    within.add(
        _CARRIES,
        [
            array_of_numbers(holding_id for holding_id, *_ in rows),
            array_of_numbers(place for _, place, *_ in rows),
            array_of(key.hex for _, _, key, *_ in rows),
            array_of(token.domain for *_, token, _ in rows),
            array_of(token.suppressed_by for *_, token, _ in rows),
        ],
    )


def _leave_out(
    values: Mapping[UUID, tuple[drafts.TokenValue, int]], unproven: Mapping[UUID, benign.Known], within: Message
) -> None:
    """Leave values out of the lists of those who name them as their own and have not proven it. Hardly anybody has."""
    found = [
        (partner_id, key)
        for partner_id, own in unproven.items()
        for key, (token, _) in values.items()
        if token.scheme == "clear" and benign.names(own, token.domain, token.value)
    ]
    if found:
        within.add(UNLIST, {"partners": [one for one, _ in found], "values": [key for _, key in found]})


def read_again(newest: Mapping[int, int]) -> None:
    """Write what holdings carry whose newest version is another stored one from now on: by holding, its key.

    To be called before that is written: nothing is done for a holding whose newest version it is already. One query,
    and for those to whom it happens their bytes are read.
    """
    with connection.cursor() as cursor:
        cursor.execute(_OTHERS, [list(newest), list(newest.values())])
        rows = cursor.fetchall()
    if not rows:
        return
    known, message = service_hosts.read(), Message()
    read = [(holding_id, audience_id, parsing.read_batch(body.encode())) for holding_id, audience_id, body in rows]
    message.add(_UNLISTED, [[newest[holding_id] for holding_id, *_ in rows]])
    write(
        [
            Carrying(holding_id, audience_id, entries.judged(drafted[0], known).tokens, anew=True)
            for holding_id, audience_id, drafted in read
            if drafted and isinstance(drafted[0], drafts.Draft)  # else it entered by other rules, and stays as it is
        ],
        within=message,
    )
    message.send()


def hand_over(became: Mapping[int, int]) -> None:
    """Have holdings carry, by key, what others carried that they take the place of."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, [list(became), list(became.values())])


def _write_epochs(named: Iterable[tuple[str, str]], within: Message) -> None:
    """Those that are not there yet. Each is new once in its life, so hardly anybody waits for anybody."""
    ordered = sorted(named)
    if ordered:
        times = [epochs.time_of(*each) for each in ordered]
        within.add(
            _EPOCHS,
            [
                [scheme for scheme, _ in ordered],
                [name for _, name in ordered],
                [time.begins for time in times],
                [time.ends for time in times],
            ],
        )


def note_sources(holding_ids: Sequence[int], *, within: Message) -> None:
    """Have values that another source than the first carries count as shared, when the message is sent.

    To be added before the order lock is taken, of all holdings of which an upsert is to be told: after their values and
    audiences were written. Rows are locked in the order of their keys. What is in the log of who carries them says so,
    too (`log.traits`).
    """
    if holding_ids:
        within.add(_SHARE, [array_of_numbers(holding_ids)])


#: Whom what is said to an audience comes from, as a number: a publisher, one of its pseudonyms, or the exchange, which
#: is another one for each publisher, for publishers see their own under their own names.
SOURCE = (
    "hashtextextended(concat_ws(':', {a}.publisher_id, {a}.attribution,"
    " CASE WHEN {a}.attribution = 1 THEN {a}.groups[1] END), 0)"
)
#: Of a holding `found.holding` whether another source carries one of its values, too, or did. From the holding to its
#: values (OFFSET 0): it is asked under the order lock, where nobody may read all values that are shared.
IS_SHARED = """
EXISTS (SELECT FROM (SELECT k.token_value_id FROM indicators_carries k WHERE k.holding_id = found.holding OFFSET 0) k
        JOIN indicators_tokenvalue v ON v.id = k.token_value_id AND v.shared)
"""
#: The audiences that a value is said to by what lives, as a part of FROM: each is one look at an index, however many
#: say it to one. `{value}` is the value's key.
AUDIENCES = """
LATERAL (
    WITH RECURSIVE reached AS (
        (SELECT k.audience_id FROM indicators_carries k
         WHERE k.token_value_id = {value} AND k.audience_id IS NOT NULL ORDER BY k.audience_id LIMIT 1)
        UNION ALL
        SELECT (SELECT k.audience_id FROM indicators_carries k
                WHERE k.token_value_id = {value} AND k.audience_id > reached.audience_id
                ORDER BY k.audience_id LIMIT 1)
        FROM reached WHERE reached.audience_id IS NOT NULL)
    SELECT audience_id FROM reached WHERE audience_id IS NOT NULL)
"""
#: Of a value `v` whether it can be equal for two sources at all: a fingerprint without its scope says too little.
_COMPARABLE = "(v.subkind <> 'psp_fp' OR v.psp_scope <> '')"

# To whom a holding is said, while it lives.
_SAID_TO = "(SELECT h.audience_id FROM indicators_holding h WHERE h.id = {holding} AND h.state = 'live')"

# A row for each holding whose newest version is another one: its key, its audience, the bytes of the one that is given.
_OTHERS = """
SELECT h.id, h.audience_id, o.body
FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, newest)
JOIN indicators_holding h ON h.id = new.id AND h.newest_id IS DISTINCT FROM new.newest
JOIN indicators_stixobject o ON o.id = new.newest
"""
_HAND_OVER = f"""
UPDATE indicators_carries k SET holding_id = new.heirs, audience_id = {_SAID_TO.format(holding="new.heirs")}
FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, heirs) WHERE k.holding_id = new.id
"""
UNLIST = """
INSERT INTO indicators_unlisted (partner_id, token_value_id)
SELECT * FROM unnest(%(partners)s::uuid[], %(values)s::uuid[])
ON CONFLICT DO NOTHING
"""
#: Of what a holding carries, `k`, whether it is an entry of the viewer's lists.
IS_LISTED = """
(k.suppressed_by = '' AND NOT EXISTS (
    SELECT FROM indicators_unlisted u WHERE u.partner_id = %(viewer)s AND u.token_value_id = k.token_value_id))
"""
#: The entries of lists that the holding `{holding}` gives, whose newest version is of this kind, as JSON: `listed` for
#: who leaves values out, and for versions of which it is not known. Braces are codes, for who formats the text.
LISTED = rf"""
(SELECT '[' || coalesce(string_agg(
            E'\x7b"kind":' || to_json({{kind}}::text)::text || ',"subkind":' || to_json(k.subkind::text)::text
            || ',"scheme":' || to_json(v.scheme::text)::text
            || ',"key_epoch":' || to_json(coalesce(e.name, '')::text)::text
            || ',"value":' || to_json(v.value::text)::text || E'\x7d', ',' ORDER BY k.place), '') || ']'
 FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
 LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
 WHERE k.holding_id = {{holding}} AND {IS_LISTED})
"""
#: Whether the viewer's own lists leave nothing out that others' hold.
LISTS_ALL = "NOT EXISTS (SELECT FROM indicators_unlisted u WHERE u.partner_id = %(viewer)s)"
_RELIST = """
UPDATE indicators_stixobject o SET listed = new.listed
FROM unnest(%s::bigint[], %s::text[]) AS new(id, listed)
WHERE o.id = new.id AND o.listed IS DISTINCT FROM new.listed
"""
_UNLISTED = "UPDATE indicators_stixobject SET listed = NULL WHERE id = ANY(%s)"
_EMPTY = "DELETE FROM indicators_carries WHERE holding_id = ANY(%s)"
_EPOCHS = """
INSERT INTO indicators_epoch (scheme, name, begins, ends)
SELECT * FROM unnest(%s::text[], %s::text[], %s::timestamptz[], %s::timestamptz[])
ON CONFLICT (scheme, name) DO NOTHING
"""
_VALUES = f"""
INSERT INTO indicators_tokenvalue (id, subkind, scheme, epoch_id, psp_scope, value, first_source)
SELECT new.id, new.subkind, new.scheme, e.id, new.psp_scope, new.value, {SOURCE.format(a="a")}
FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[])
     AS new(id, subkind, scheme, epoch, psp_scope, value, audience)
JOIN partners_audience a ON a.id = new.audience
LEFT JOIN indicators_epoch e ON e.scheme = new.scheme AND e.name = new.epoch
ORDER BY new.id
ON CONFLICT (id) DO NOTHING
"""
_CARRIES = f"""
INSERT INTO indicators_carries (holding_id, place, token_value_id, subkind, suppressed_by, audience_id)
SELECT new.*, {_SAID_TO.format(holding="new.holding")}
FROM unnest(%s::bigint[], %s::smallint[], %s::uuid[], %s::text[], %s::text[])
     AS new(holding, place, value, subkind, suppressed_by)
"""
# Walks the values of each holding, by their keys. What others made shared meanwhile is looked at again once its row is
# locked.
_SHARE = f"""
WITH theirs AS MATERIALIZED (
    SELECT DISTINCT v.id
    FROM (SELECT k.* FROM indicators_carries k WHERE k.holding_id = ANY(%s::bigint[]) OFFSET 0) k
    CROSS JOIN LATERAL (SELECT h.audience_id FROM indicators_holding h WHERE h.id = k.holding_id LIMIT 1) h
    CROSS JOIN LATERAL (SELECT a.* FROM partners_audience a WHERE a.id = h.audience_id LIMIT 1) a
    CROSS JOIN LATERAL (SELECT v.* FROM indicators_tokenvalue v WHERE v.id = k.token_value_id LIMIT 1) v
    WHERE NOT v.shared AND v.first_source <> {SOURCE.format(a="a")} AND {_COMPARABLE}
), locked AS MATERIALIZED (
    SELECT v.id FROM indicators_tokenvalue v
    WHERE v.id = ANY(ARRAY(SELECT id FROM theirs)) AND NOT v.shared ORDER BY v.id FOR NO KEY UPDATE
), made AS (
    UPDATE indicators_tokenvalue v SET shared = true FROM locked WHERE v.id = locked.id RETURNING v.id
), {MARK_MATCHED}"""
