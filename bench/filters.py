"""What filters cost: a page of each, of common and of rare objects, beside the page without one.

Most objects are of a few kinds; 100 in a million are a rare one's each, spread over the log or all at its beginning,
and one in a thousand is said by two partners.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from urllib.parse import urlencode

import orjson

from bench import filling
from bench.measures import BATCHES, Sides, must, push
from bench.table import Row, sooner, widest
from bench.wire import Wire
from indicators.stix import making

_PAGE, _PORTIONS, _MOST = 100, 10, 3
#: By field; each is asked alone. The first word of each is common, the last one rare, and the others between.
FIELDS = {
    "kind": ("account-pattern", "payment-fingerprint", "prompt-signature"),
    "subkind": ("email", "pan_token", "skeleton", "par"),
    "type": ("indicator", "campaign"),
    "publisher": ("aster", "borealis", "dorado"),
    "group": ("ring",),
    "standing": ("unreviewed", "supported", "disputed"),
    "publishers": (">=1", ">=2"),
    "confidence": (">=80", "<50", "17"),
    "severity": ("medium", "critical", "<medium"),
    "tlp": ("green", "amber", "red"),
    "technique": ("AML.T0021", "AML.T0054"),
    "elicitation": ("cot", "vision"),
    "control": ("actor_controlled", "compromised_victim"),
    "detector": ("d-0123abcd",),
    "label": ("email", "reseller_pool"),
    "words": ("account", "indicator--00000000-0000-4000-8000-000000000000"),
    "age": ("<24h", ">52w"),
    "until": ("<30d", "<1d"),
    "from": ("others", "mine"),
    "entries": ("true", "false"),
    "matched": ("false", "true"),
    "campaign": ("campaign--00000000-0000-4000-8000-000000000000",),
}
COMBINATIONS = (
    "kind:payment-fingerprint matched:true tlp:amber",
    "kind:payment-fingerprint severity:critical",
    "kind:payment-fingerprint severity:critical tlp:amber",
    "severity:critical tlp:amber control:compromised_victim",
    "kind:account-pattern -severity:medium,critical",
    "-kind:account-pattern,payment-fingerprint",
    "(tlp:amber severity:critical) or (elicitation:vision confidence:<50)",
    "kind:payment-fingerprint publishers:>=2 -control:compromised_victim until:<7d",
    "subkind:par technique:AML.T0054",
    "kind:prompt-signature confidence:>90",
)


def filters(sides: Sides, *, stored: int, rounds: int) -> Iterator[Row]:
    """The rows: of each filter a page of the newest, and the page without one before and after it."""
    _fill(sides, stored)
    reader = sides.server.wire(2)
    asked = [f"{field}:{word}" for field, said in FIELDS.items() for word in said]
    rows = []
    for text in (*asked, *COMBINATIONS):
        plain, ours = list[float](), list[float]()
        for _ in range(rounds):
            _page(reader, "", plain)
            found = _page(reader, text, ours)
        row = sooner(f"{text} ({found})", stored, ours, plain, name="unfiltered", most=_MOST)
        rows.append(replace(row, detail=True))
        yield rows[-1]
    yield widest(f"the widest of {len(rows)} filters and combinations: a page against the one without", rows)
    reader.close()


def _page(wire: Wire, text: str, into: list[float]) -> int:
    query = urlencode({"limit": _PAGE} | ({"filter": text} if text else {}))
    began = time.perf_counter()
    answer = wire.ask("GET", f"/api/v1/objects?{query}")
    into.append(time.perf_counter() - began)
    must(answer.status == 200, f"{text}: {answer.body[:200]!r}")
    return len(answer.json()["objects"])


def _fill(sides: Sides, stored: int) -> None:
    common = [
        making.account_pattern(extension={"severity": "medium"}),
        making.account_pattern(extension={"severity": "medium", "techniques": ["AML.T0021"]}),
        making.account_pattern("device", extension={"severity": "medium"}, tlp_word="green"),
        making.account_pattern(extension={"severity": "critical"}, tlp_word="green"),
        making.account_pattern(extension={"severity": "medium"}, tlp_word="amber"),
        making.payment_fingerprint(extension={"severity": "medium"}, tlp_word="green"),
        making.payment_fingerprint(extension={"severity": "medium"}, tlp_word="amber"),
        making.payment_fingerprint(extension={"severity": "low"}, tlp_word="green"),
        making.account_pattern(extension={"severity": "medium", "control": "reseller_pool"}, tlp_word="green"),
        making.account_pattern(extension={"severity": "medium", "control": "compromised_victim"}, tlp_word="green"),
    ]
    rare = [
        making.payment_fingerprint("par", extension={"severity": "critical", "techniques": ["AML.T0054"]}),
        making.prompt_signature(extension={"elicitation": "vision"}, valid_for=timedelta(hours=20)),
        making.account_pattern(confidence=17, tlp_word="amber", extension={"severity": "low"}),
        making.account_pattern(extension={"severity": "critical", "control": "compromised_victim"}, tlp_word="amber"),
    ]
    twice = [making.payment_fingerprint(extension={"severity": "medium"}, tlp_word="amber") for _ in range(2)]
    first = [making.prompt_signature(confidence=95)]
    second = sides.server.wire(1)
    push(sides.publisher, orjson.dumps({"objects": [*common, *rare, *first, twice[0]]}))
    answer = second.ask("POST", BATCHES, orjson.dumps({"objects": [twice[1]]}))
    must(answer.json()["counts"]["accepted"] == 1, "the second partner publishes, too")
    second.close()
    sides.server.rest()
    few = max(stored // 10_000, 20)
    database = sides.database
    with filling.without_indexes(database):
        filling.fill(database, [first[0]["id"]], few, salt="first")
        for portion in range(_PORTIONS):
            each = (stored - 7 * few) // _PORTIONS
            filling.fill(database, [one["id"] for one in common], each, salt=f"c{portion}")
            filling.fill(database, [one["id"] for one in rare], max(4 * few // _PORTIONS, 4), salt=f"r{portion}")
            for place, one in enumerate(twice):
                salt = f"t{place}{portion}"
                filling.fill(database, [one["id"]], few // _PORTIONS, salt=salt, values=f"t{portion}")
    database.execute("VACUUM (ANALYZE)")
    sides.server.rest()
