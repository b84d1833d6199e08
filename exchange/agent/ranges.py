"""Look-up by prefix, for who will send nothing: neither values nor tokens, and no list is kept (docs/delta.md).

    ranges = Ranges(client, feed="7f…")
    ranges.check("net", "198.51.100.7")

A value is hashed here. The first bits of the hash name a range, which is asked for once and kept as long as the
exchange says that it is the newest. The answer is whether the feed lists the value, and nothing of who says so.
"""

from __future__ import annotations

import ipaddress
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping

from exchange.client.api import Client, Making
from exchange.client.errors import ApiError
from exchange.lists import nets, ranges
from exchange.lists.lines import compared
from exchange.stix import words
from exchange.tokens import forms, normalising

#: How long a head is taken for the newest, where the exchange does not say.
_FRESH_S = 30.0
#: Bytes of ranges that are kept.
_MOST_BYTES = 64 * 1024 * 1024
_GONE = 410
#: The subkinds that are listed by tokens.
TOKENISED = frozenset({*forms.OBLIVIOUS, *forms.BY_GROUP})
_TOKEN = re.compile(r"[0-9a-fA-F]{64}")
_NORMAL: Mapping[str, Callable[[str], str]] = {"host": normalising.host, "crypto_addr": normalising.crypto_addr}


class Ranges:
    """What one feed lists, range by range. Not for several threads at once."""

    def __init__(self, client: Client, feed: str = "all") -> None:
        self._client, self._feed = client, feed
        self._name, self._head = "", ranges.Head(0, 1, {})
        self._until = 0.0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        #: Ranges that were asked for, and look-ups that needed none.
        self.asked = self.known = 0

    def check(self, subkind: str, value: str) -> bool:
        """Whether the feed lists a value now, or a network that holds it. Tokens are given as their 64 hex digits.

        Raises ValueError for what is no such value, ApiError, Unreachable, and Making while the first ranges are made.
        """
        if time.monotonic() >= self._until:
            self.refresh()
        at, bits, blocks = int(time.time()), self._head.bits, self._blocks
        for form in self._forms(subkind, value):
            hashed = ranges.digest(subkind, form)
            number = ranges.place(hashed, bits)
            block = blocks.get(number)
            if block is None:
                return self._fetched(subkind, value)
            if ranges.find(block, hashed, at=at):
                self.known += 1
                return True
        self.known += 1
        return False

    def listed(self, subkind: str, values: Iterable[str]) -> dict[str, bool]:
        """Whether the feed lists each of these; waits while the first ranges are made. Raises as `check`."""
        while True:
            try:
                return {value: self.check(subkind, value) for value in values}
            except Making as making:
                time.sleep(making.wait_s)

    def refresh(self) -> None:
        """Ask which ranges are the newest, and forget those that are not."""
        name, document, fresh_s = self._client.range_head(self._feed, known=self._name)
        if name != self._name:
            self._head = ranges.Head.read(document)
            self._name = name
            self._blocks.clear()
        self._until = time.monotonic() + (fresh_s or _FRESH_S)

    def _fetched(self, subkind: str, value: str) -> bool:
        """The same, once the ranges that it needs were asked for; a second time where they were replaced meanwhile."""
        for last in (False, True):
            try:
                forms = [ranges.digest(subkind, form) for form in self._forms(subkind, value)]
                found = [ranges.find(self._block(hashed), hashed, at=int(time.time())) for hashed in forms]
            except ApiError as error:
                if error.status != _GONE or last:
                    raise
                self._name = ""
                self.refresh()
            else:
                return any(found)
        raise AssertionError("not reached")

    def _block(self, hashed: bytes) -> bytes:
        number = ranges.place(hashed, self._head.bits)
        if number not in self._blocks:
            block = self._client.range_of(self._feed, self._name, number)
            if len(block) != self._head.size:
                raise ValueError("the exchange sent a range of another size")
            self._blocks[number] = block
            self.asked += 1
            while len(self._blocks) * self._head.size > _MOST_BYTES:
                self._blocks.popitem(last=False)
        return self._blocks[number]

    def _forms(self, subkind: str, value: str) -> Iterator[str]:
        """The normal forms under which a value may be listed: of an address, each network of a length that occurs.

        Raises ValueError for what is listed under no such form: else it would be told as not listed.
        """
        if subkind not in words.KIND_OF:
            raise ValueError("not a subkind of the vocabulary")
        meant = compared(subkind)
        if subkind in TOKENISED:
            if not is_token(value):
                raise ValueError("not a token: 64 hexadecimal digits")
            yield value.lower()
            return
        if meant != "net" or value.lower().startswith("as"):
            normal = _NORMAL.get(meant)
            yield normal(value) if normal else value
            return
        asked = nets.asked(value)
        if asked is None:
            raise ValueError("not an address or a network")
        mapped = getattr(asked.network_address, "ipv4_mapped", None)
        if mapped is not None and asked.prefixlen >= 96:
            asked = ipaddress.ip_network((mapped, asked.prefixlen - 96), strict=False)
        widest, number = asked.max_prefixlen, int(asked.network_address)
        kind = ipaddress.IPv4Address if asked.version == 4 else ipaddress.IPv6Address
        for length in reversed(self._head.net_lengths.get(str(asked.version), [])):
            if length <= asked.prefixlen:
                yield f"{kind(number >> (widest - length) << (widest - length))}/{length}"


def is_token(value: str) -> bool:
    """Whether it is written as a token is."""
    return _TOKEN.fullmatch(value) is not None
