"""Oblivious tokens: the server's rate with a proof beside libsodium's multiplications; a lab's stock end to end."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

from bench.server import Server
from bench.table import Row, at_most
from exchange.client import Client
from exchange.client.tokenising import Tokeniser
from exchange.tokens import oprf, padding, ristretto

_ROUNDS = 7
#: The work is two multiplications for each element, so 0.50 is what no server can reach.
_LEAST = 0.40
_MOST_S = 10.0


def tokens(server: Server, *, stock: int) -> Iterator[Row]:
    """The rows; `stock` is how many values a lab has."""
    yield _rate()
    yield _end_to_end(server, stock=stock)


def _rate() -> Row:
    key = oprf.derive_key_pair(bytes(32))
    points = [ristretto.random_point() for _ in range(oprf.MOST)]
    evaluated, raw = [], []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        oprf.evaluate(key, points)
        evaluated.append(oprf.MOST / (time.perf_counter() - began))
        began = time.perf_counter()
        for point in points:
            ristretto.multiply(key.secret, point)
        raw.append(oprf.MOST / (time.perf_counter() - began))
    share = statistics.median(ours / theirs for ours, theirs in zip(evaluated, raw, strict=True))
    return Row(
        "tokens: 1,000 points with one proof, one core",
        0,
        f"{statistics.median(evaluated):,.0f} points/s",
        f"libsodium, a multiplication each: {statistics.median(raw):,.0f}",
        f"{share:.2f}",
        f"≥ {_LEAST:.2f}",
        share >= _LEAST,
    )


def _end_to_end(server: Server, *, stock: int) -> Row:
    aster = server.info["partners"][0]["api_key"]
    values = [f"person{number}@mail.example" for number in range(stock)]
    with Client(server.info["base_url"], aster) as client:
        tokeniser = Tokeniser(client)
        tokeniser.tokenise("email", ["warm@mail.example"])
        began = time.perf_counter()
        found = tokeniser.tokenise("email", values)
        seconds = time.perf_counter() - began
    made = sum(len(one.tokens) for one in found)
    asked = sum(padding.batches(stock)) * len(tokeniser.published_under())
    return at_most(
        f"tokens: {made:,} end to end over HTTP, client and server ({asked:,} points)",
        0,
        seconds,
        unit="s",
        most=_MOST_S,
        digits=1,
    )
