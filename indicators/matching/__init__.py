"""A value that holdings of two or more sources carry, asked under the rule of who is looking; nothing is stored of it.

`newest`, `recent` and `since` walk the viewer's own log; `beside` says what the upserts of a page have in
common with what came before, and `among` what given objects have. `IS_MATCHED` asks it of one holding.
"""

from indicators.matching.asking import Before, among, beside, newest, recent, since
from indicators.matching.finding import End, Match, Side
from indicators.matching.stretches import IS_MATCHED

__all__ = ["IS_MATCHED", "Before", "End", "Match", "Side", "among", "beside", "newest", "recent", "since"]
