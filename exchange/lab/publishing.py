"""Indicators of what is pure, for `exchange publish`: by the lab's choice, through the usual door and audience.

A token is pure where nearly all who hold it are suspects, here and, as far as sums tell, elsewhere. It is published as
the token that evidence carries already; the state holds no raw value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from exchange.client import build
from exchange.client.tokenising import Token
from exchange.lab import scoring
from exchange.lab.scoring import Constants
from exchange.lab.state import State

#: What is an indicator's subkind; domains, networks, bursts and shapes are evidence alone.
SUBKINDS = frozenset({"device", "email", "iban_token", "pan_token", "par", "phrase", "psp_fp", "skeleton"})
_OF_PAYMENT = frozenset({"iban_token", "pan_token", "par", "psp_fp"})
_OF_PROMPTS = frozenset({"phrase", "skeleton"})
#: What an indicator must say besides its token, unless the map's `[indicators]` says otherwise.
USUAL: dict[str, Any] = {"entry_program": "api", "instrument": "card", "elicitation": "other", "languages": ["en"]}


def indicators(
    state: State, constants: Constants, *, purity: float, least: int, says: Mapping[str, Any], publisher_action: str
) -> Iterator[Any]:
    """An indicator of each pure token that `least` suspects of the lab hold. Raises build.NotBuilt for a wrong word."""
    carries, suspects = state.carries(), state.suspects()
    if suspects is None:
        return
    told = state.told(state.heard())
    own = scoring.own_counts(carries, suspects, constants)
    mine = np.bincount(carries.token[suspects[carries.account]], minlength=carries.tokens)
    holders = own.holders + constants.told * told.holders
    share = (mine + constants.told * told.suspects) / np.maximum(holders, 1.0)
    popular = scoring.popular(carries, own, told, constants)
    for number in np.flatnonzero((mine >= least) & (share >= purity) & ~popular).tolist():
        tokens = state.token(number)
        subkind = tokens[0].subkind
        if subkind in SUBKINDS:
            made = [Token(one.scheme, one.epoch, one.value) for one in tokens]
            said = _said(subkind, {**USUAL, **says}, scope=tokens[0].scope, count=round(float(holders[number])))
            yield build.of_tokens(subkind, made, publisher_action=publisher_action, **said)


def _said(subkind: str, says: Mapping[str, Any], *, scope: str, count: int) -> dict[str, Any]:
    """What an indicator of a subkind says besides its tokens; counts as powers of ten."""
    common = {
        name: value for name, value in says.items() if name not in {*USUAL, "accounts_per_instrument", "psp_scope"}
    }
    if subkind in _OF_PAYMENT:
        many = f"10^{min(7, len(str(max(count, 1))) - 1)}"
        scoped = {"psp_scope": scope} if scope else {}
        return common | {"instrument": says["instrument"], "accounts_per_instrument": many} | scoped
    if subkind in _OF_PROMPTS:
        return common | {"elicitation": says["elicitation"], "languages": says["languages"]}
    return common | {"entry_program": says["entry_program"]}
