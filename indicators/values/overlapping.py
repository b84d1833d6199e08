"""Values that overlap without being equal: networks within networks, and ranges of card numbers.

`Span` says of each living holding which network or range it carries. The database writes it beside `Carries`, whoever
writes that (migration 0042), by the function `exchange_span`. It is found by audience and order: so what others see
costs and moves nothing for who does not, and of very many some are looked at, always the same ones (ADR 0044).
"""

from __future__ import annotations

#: Of one audience at most so many that lie within a network, or around it, are looked at.
MOST = 32
#: The audiences that some network or range is said to, as a part of FROM: one look at an index for each.
SAID_TO = """
LATERAL (
    WITH RECURSIVE reached AS (
        (SELECT s.audience_id FROM indicators_span s ORDER BY s.audience_id LIMIT 1)
        UNION ALL
        SELECT (SELECT s.audience_id FROM indicators_span s
                WHERE s.audience_id > reached.audience_id ORDER BY s.audience_id LIMIT 1)
        FROM reached WHERE reached.audience_id IS NOT NULL)
    SELECT audience_id FROM reached WHERE audience_id IS NOT NULL)
"""
#: What a holding carries in one place, as a part of FROM, found by both.
CARRIED = """
LATERAL (SELECT * FROM indicators_carries k WHERE k.holding_id = {holding} AND k.place = {place} LIMIT 1)
"""
# The networks around `{span}`, as narrow as one may be listed: at most 16 of IPv4, 96 of IPv6.
_AROUND = """
(SELECT network(set_masklen({span}.net, bits)) AS net
 FROM generate_series(CASE family({span}.net) WHEN 4 THEN 16 ELSE 32 END, masklen({span}.net) - 1) bits)
"""
# Ranges have at most 100 card numbers of 8 digits: so whichever begins further down ends before.
_RANGES = """
s.net IS NULL AND s.low > {span}.low - 100 AND s.low <= {span}.high AND s.high >= {span}.low
AND (s.low, s.high) <> ({span}.low, {span}.high)
"""
#: Holdings said to one audience of which a value overlaps that of `{span}` (`net` with its last address `ends`, or
#: `low` and `high`), as a part of FROM: networks within it (in the order of an index they follow it) and around it,
#: and ranges.
OVERLAPS = f"""
LATERAL (
    (SELECT s.holding_id, s.place FROM indicators_span s
     WHERE s.audience_id = {{audience}} AND s.net > {{span}}.net AND s.net <= {{span}}.ends
     ORDER BY s.net, s.low, s.holding_id LIMIT {{most}})
    UNION ALL
    (SELECT s.holding_id, s.place FROM {_AROUND} around CROSS JOIN LATERAL (
         SELECT s.* FROM indicators_span s WHERE s.audience_id = {{audience}} AND s.net = around.net
         ORDER BY s.net, s.low, s.holding_id LIMIT {{most}}) s
     ORDER BY s.net, s.holding_id LIMIT {{most}})
    UNION ALL
    (SELECT s.holding_id, s.place FROM indicators_span s
     WHERE s.audience_id = {{audience}} AND {_RANGES}
     ORDER BY s.net, s.low, s.holding_id LIMIT {{most}}))
"""
#: Whether a value of the holding `found.holding` overlaps another's, whoever says it to whom.
IS_OVERLAPPED = f"""
EXISTS (
    SELECT FROM indicators_span x WHERE x.holding_id = found.holding AND (
        EXISTS (SELECT FROM indicators_span s WHERE s.net > x.net AND s.net <= x.ends)
        OR EXISTS (SELECT FROM {_AROUND.format(span="x")} around JOIN indicators_span s ON s.net = around.net)
        OR EXISTS (SELECT FROM indicators_span s WHERE {_RANGES.format(span="x")})))
"""
