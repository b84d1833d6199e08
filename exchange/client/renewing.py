"""Rotation: what was published under a key that ends is published anew under the next one, in time.

An indicator carries tokens of the keys that were published under when it was made. While it lives, a new quarter
begins, and others make tokens of the new key alone: without a new version of ours, both would say the same and not
meet. So what tokens were made of is kept, sealed, until the indicator ends; `renew` makes the new tokens and a new
version.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from exchange.client import tables
from exchange.client.keeping import Kept
from exchange.client.tokenising import MOST_TOKENS, Token, Tokeniser, documents
from exchange.stix import words
from exchange.stix.patterns import pattern_of
from exchange.tokens import epochs, forms


def remember(kept: Kept, built: Iterable[tables.Built]) -> None:
    """Keep what published indicators were made of, and those of a table's column in any case, until they end."""
    said = ((json.loads(one.indicator.serialize()), one.forms) for one in built if one.forms or one.column)
    kept.publish(
        (document["id"], {"forms": made_of, "object": document}, datetime.fromisoformat(document["valid_until"]))
        for document, made_of in said
    )


def due(kept: Kept, *, now: datetime, under: Mapping[str, set[str]]) -> list[dict[str, Any]]:
    """Live indicators that lack a token of a key that is published under now; `under` is the epochs by scheme."""
    found, ended = [], []
    for one in kept.published():
        document = one["object"]
        if datetime.fromisoformat(document["valid_until"]) <= now:
            ended.append(document["id"])
            continue
        tokens = document["extensions"][words.EXTENSION_ID].get("tokens", ())
        if not tokens:  # kept so that its table can be published again
            continue
        has = {token["key_epoch"] for token in tokens}
        wanted = under[tokens[0]["scheme"]]
        if wanted - has and _group_of(has) == _group_of(wanted):
            found.append(one)
    kept.forget(ended)
    return found


def groups_of(kept: Kept, *, now: datetime) -> list[str]:
    """The groups with whose keys tokens of live indicators were made, by short name."""
    live = (one["object"] for one in kept.published() if datetime.fromisoformat(one["object"]["valid_until"]) > now)
    found = {
        _group_of(token["key_epoch"] for token in document["extensions"][words.EXTENSION_ID].get("tokens", ()))
        for document in live
    }
    return sorted(found - {""})


def _group_of(found: Iterable[str]) -> str:
    """The group whose keys epochs are of; empty for quarters, which are everybody's."""
    names = {epochs.parse_of_group(one)[0] for one in found if "-" in one}
    return names.pop() if names else ""


def renewed(tokeniser: Tokeniser, waiting: Iterable[Mapping[str, Any]], *, now: datetime) -> Iterator[tables.Built]:
    """A new version of each, with a token under every key that is published under now. One request per subkind."""
    by_subkind: dict[str, list[Mapping[str, Any]]] = {}
    for one in waiting:
        extension = one["object"]["extensions"][words.EXTENSION_ID]
        by_subkind.setdefault(extension["subkind"], []).append(one)
    for subkind, some in by_subkind.items():
        made = tokeniser.of_forms(subkind, [form for one in some for form in one["forms"]])
        for one in some:
            tokens = [token for form in one["forms"] for token in made[form]]
            yield tables.Built(0, "", Written(_version(one["object"], tokens, now=now)), tuple(one["forms"]))


def _version(document: Mapping[str, Any], tokens: Iterable[Token], *, now: datetime) -> dict[str, Any]:
    extension = dict(document["extensions"][words.EXTENSION_ID])
    extension["tokens"] = documents(list(dict.fromkeys(tokens)))
    pattern, _ = pattern_of(extension)
    before = datetime.fromisoformat(document["modified"])
    modified = max(now.astimezone(UTC).replace(microsecond=0), before + timedelta(seconds=1))
    return {
        **document,
        "modified": f"{modified:%Y-%m-%dT%H:%M:%S.000Z}",
        "pattern": pattern,
        "extensions": document["extensions"] | {words.EXTENSION_ID: extension},
    }


class Written(dict[str, Any]):
    """A document that says itself as objects of `stix2` do."""

    def serialize(self) -> str:
        """As JSON."""
        return json.dumps(self, ensure_ascii=False)


def epochs_now(tokeniser: Tokeniser) -> dict[str, set[str]]:
    """The epochs that are published under now, by scheme; of group keys, those of the tokeniser's group.

    Of more keys than an indicator holds the newest, as `documents` has them: else it would lack one for ever.
    """
    of_group = tokeniser.group_epochs() if tokeniser.group else []
    return {
        forms.Scheme.OBLIVIOUS: set(tokeniser.published_under()),
        forms.Scheme.GROUP: set(sorted(of_group, key=epochs.age_of)[-MOST_TOKENS:]),
    }
