"""A value that holdings of two or more sources carry, asked under the rule of who is looking; nothing is stored of it.

`newest` and `since` walk the viewer's own log, `recent` counts along it what is one's own; `beside` says what the
upserts of a page have in common with what came before, and `among` what given objects have. `IS_MATCHED` asks it of one
holding.
"""

from indicators.matching.asking import Before, Recent, among, beside, newest, recent, since
from indicators.matching.finding import End, Match, Side
from indicators.matching.standing import MOST_ENDS
from indicators.matching.stretches import IS_MATCHED

__all__ = [
    "IS_MATCHED",
    "MOST_ENDS",
    "Before",
    "End",
    "Match",
    "Recent",
    "Side",
    "among",
    "beside",
    "newest",
    "recent",
    "since",
]
