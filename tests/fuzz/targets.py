"""What reads strangers' bytes, each with what must hold whatever they are: `make fuzz` looks for a counter-example."""

from __future__ import annotations

import gzip
import io
import json
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from uuid import UUID

from exchange import bodies, paging
from exchange.errors import ExchangeError
from exchange.lists import formats
from exchange.lists.lines import Said
from exchange.stix import patterns as spoken
from exchange.tokens import forms
from indicators.feeds import spelling
from indicators.stix import parsing, patterns
from indicators.stix.drafts import Draft

_VIEWER = UUID(int=1)
_MOST_BYTES = 1_000_000
#: The form of such a value is none of the kind itself: the shape of an address, a part of a prompt or what is left of it.
_OF_ANOTHER_KIND = frozenset({"email_shape", "phrase", "skeleton"})


def batch(data: bytes) -> None:
    """A push: each object is its producer's bytes, and is read the same when it is read alone."""
    for ndjson in (False, True):
        try:
            read = parsing.read_batch(data, ndjson=ndjson)
        except ExchangeError:
            continue
        for element in read:
            if not isinstance(element, Draft):
                assert element.refusal.code, element
                continue
            assert element.raw in data, "a draft's bytes are the producer's"
            (alone,) = parsing.read_batch(element.raw)
            assert isinstance(alone, Draft), alone
            assert (alone.raw, alone.stix_id, alone.version, alone.tokens, alone.facets) == (
                (element.raw, element.stix_id, element.version, element.tokens, element.facets)
            )


def pattern(data: bytes) -> None:
    """A pattern: taken or refused; what it says is in normal form, and says itself again."""
    text = data.decode(errors="replace")
    refusal = patterns.check(text, "stix")
    if refusal is None:
        for token in patterns.clear_values(text):
            assert token.value, token
            assert "\n" not in token.value, "no value of a list breaks its line"
    for kind in ("regex", "nova"):
        patterns.check(text, kind)
    patterns.check_regex(text, "/pattern")
    carried = spoken.carried_by(text)
    if carried is not None and not spoken.is_of_tokens(text):
        assert carried["value"] in text


def query(data: bytes) -> None:
    """A filter: what was read is written, and reads as the same filter; so does its JSON."""
    text = data.decode(errors="replace")
    try:
        tree = spelling.read_text(text)
    except ExchangeError:
        tree = None
    if tree is not None:
        assert spelling.read_text(spelling.write_text(tree)) == tree, spelling.write_text(tree)
        assert spelling.read_json(json.loads(json.dumps(spelling.write_json(tree)))) == tree
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    try:
        tree = spelling.read_json(document)
    except ExchangeError:
        return
    assert spelling.read_json(spelling.write_json(tree)) == tree


def packed(data: bytes) -> None:
    """A body in gzip: what comes out is what Python's own reader says, within the bound."""
    try:
        found = bodies._unpacked(data, max_bytes=_MOST_BYTES)
    except ExchangeError:
        return
    assert len(found) <= _MOST_BYTES
    try:
        expected = gzip.GzipFile(fileobj=io.BytesIO(data)).read() if data else b""
    except (OSError, EOFError, zlib.error):
        raise AssertionError("taken, though it is not gzip") from None
    assert found == expected


def values(data: bytes) -> None:
    """A value of each subkind: its normal forms are their own, and plain text stays on its line."""
    text = data.decode(errors="replace")
    for subkind in sorted(forms.SUBKINDS):
        try:
            found = forms.of(subkind, text)
        except ValueError:
            continue
        for form in found:
            assert form, subkind
            if subkind not in _OF_ANOTHER_KIND:
                assert form in forms.of(subkind, form), (subkind, text, form)


def cursor(data: bytes) -> None:
    """A cursor: a stranger's is refused."""
    try:
        paging.unseal(data.decode(errors="replace"), viewer=_VIEWER, scope="fuzz")
    except ExchangeError:
        return
    raise AssertionError("a cursor was made up")


def listed(data: bytes) -> None:
    """A list: whatever a value is, each entry is one line of the form, and no line is another's."""
    value = data.decode(errors="surrogateescape").encode(errors="replace").decode()
    said = Said(
        value, "email", "clear", "", "account-pattern", [value], [value], 50, datetime(2030, 1, 1, tzinfo=UTC), []
    )
    for form in ("text", "csv", "jsonl"):
        tally = formats.Tally()
        written = b"".join(formats.write([said], form=form, tally=tally)).decode()
        lines = written.split("\n")[:-1]
        assert len(lines) == tally.entries + (form == "csv"), (form, written)
        assert not [line for line in lines if line.startswith(("=", "+", "-", "@"))], written
        if form == "jsonl":
            assert [json.loads(line)["value"] for line in lines] == [value] * tally.entries


#: By name; each has a folder of inputs in `corpus/`, which begin a search and are all tried by the suite.
TARGETS: dict[str, Callable[[bytes], None]] = {
    each.__name__: each for each in (batch, cursor, listed, packed, pattern, query, values)
}
