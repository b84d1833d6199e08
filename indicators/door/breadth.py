"""Which values are broad: one of them stands for many accounts. Pure; counted against a partner's caps."""

from __future__ import annotations

from exchange.lists.lines import compared
from exchange.stix import words
from indicators.stix.drafts import Draft

_SUBKINDS = frozenset({*words.RULES, *words.SIGNATURES, "bin_range", "email_domain"})
#: The longest prefix of a network that is broad: an IPv4 address is one (/32), and in IPv6 a /64.
_BROAD_4, _BROAD_6 = 31, 63


def broad(draft: Draft) -> int:
    """How many of its values are broad: rules, regexes, NOVA rules, card ranges, mail domains, AS numbers, networks.

    A network of one IPv4 address or one IPv6 /64 is not.
    """
    if draft.subkind in _SUBKINDS:
        return 1
    return sum(
        _is_wide(token.value) for token in draft.tokens if token.scheme == "clear" and compared(token.domain) == "net"
    )


def _is_wide(value: str) -> bool:
    address, _, prefix = value.partition("/")
    if not prefix:
        return value.isdigit() or value.lower().startswith("as")
    return prefix.isdigit() and int(prefix) <= (_BROAD_6 if ":" in address else _BROAD_4)
