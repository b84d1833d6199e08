"""The form of publishing, read from the schemas that the door validates by: a new subkind joins it by itself.

What an object carries (tokens, a value, a rule, a signature) is its line; all else that its schema names is a field. A
property that is an object of its own gives a field for each part, named `detector.version`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.utils.translation import gettext

from exchange.stix import schemas, wording, words
from exchange.templatetags.house import plain
from exchange.translating import later, per_language

#: What a line carries, and what no form asks for: the line's subkind says it.
_CARRIED = frozenset(words.CARRIED_BY.values())
#: Properties that everybody is asked for first, as far as the schemas have them.
_EVERY_DAY = ("severity", "publisher_action", "control", "review")
#: Where nothing is chosen, this is said. What is not required and has none is left out.
_DEFAULTS = {
    "severity": "medium", "control": "unknown", "review": "one_analyst", "accounts_per_instrument": "10^1",
    "elicitation": "other", "languages": "en", "attribution": "named", "shared_infra": "none",
}  # fmt: skip
_LABELS = {
    "publisher_action": later("What you did"),
    "control": later("Controlled by"),
    "review": later("Reviewed by"),
    "attribution": later("Published as"),
    "entry_program": later("Accounts came through"),
    "shared_infra": later("Networks are shared as"),
    "instrument": later("Payment instrument"),
    "accounts_per_instrument": later("Accounts on each"),
    "elicitation": later("Prompts try to elicit"),
    "languages": later("Languages of prompts"),
    "psp_scope": later("Provider's scope"),
    "volume_bucket": later("Volume, about"),
    "first_seen": later("First seen, UTC"),
    "last_seen": later("Last seen, UTC"),
    "techniques": later("MITRE ATLAS techniques"),
    "detector.name": later("Detector"),
    "detector.version": later("Detector's version"),
    "detector.sha256": later("Detector's SHA-256"),
    "benign_hit_rate.bucket": later("Benign hit rate"),
    "benign_hit_rate.sample_size": later("Measured on about"),
}
#: Subkinds whose values take keys that no browser is given.
_OF_SYSTEMS = frozenset({*words.OF_GROUP_KEY, "pan_token"})


@dataclass(frozen=True, slots=True)
class Field:
    """One field; `of` are the subkinds that have it, `required` those that must say it."""

    name: str
    label: str
    how: str  # choice, hour, words or text
    options: tuple[tuple[str, str], ...]
    default: str
    form: str  # a regular expression of the whole value, of a text
    hint: str
    of: tuple[str, ...]
    required: tuple[str, ...]

    @property
    def must(self) -> bool:
        """Whether every subkind that has it must say it."""
        return set(self.of) <= set(self.required)

    @property
    def asked_of(self) -> tuple[str, ...]:
        """For which of them the form shows it, once one is chosen: those that must say it, or all if none must."""
        return self.required or self.of

    @property
    def id(self) -> str:
        """Its id on the page."""
        return self.name.replace(".", "-")


def subkinds() -> dict[str, list[tuple[str, str]]]:
    """By kind the subkinds that a line of the browser makes, each with what it carries."""
    return {
        kind: [(each, words.CARRIED_BY[each]) for each in some if each not in _OF_SYSTEMS]
        for kind, some in words.SUBKINDS.items()
    }


def rules() -> list[tuple[str, str]]:
    """Of each subkind that is a rule, the words that a line of it may use."""
    found = []
    for subkind, carried in words.CARRIED_BY.items():
        if carried == "rule":
            condition = schemas.of_subkind(subkind)["properties"]["rule"]["properties"]["all"]["items"]["properties"]
            found.append((subkind, ", ".join(condition["feature"]["enum"])))
    return found


@per_language
def fields() -> tuple[Field, ...]:
    """All fields, in the order of the schemas."""
    offered = [subkind for some in subkinds().values() for subkind, _ in some]
    found: dict[str, tuple[schemas.Schema, list[str], list[str]]] = {}
    for subkind in offered:
        schema = schemas.of_subkind(subkind)
        for name, rules_ in _parts(schema["properties"]):
            _, of, required = found.setdefault(name, (rules_, [], []))
            of.append(subkind)
            if name in schema["required"]:
                required.append(subkind)
    return tuple(_field(name, rules_, of, required) for name, (rules_, of, required) in found.items())


def first() -> list[Field]:
    """What is asked of every line, in the order that people think in."""
    asked = [one for one in fields() if _of_all(one) and (one.must or one.name in _EVERY_DAY)]
    order = {name: place for place, name in enumerate(_EVERY_DAY)}
    return sorted(asked, key=lambda one: order.get(one.name, len(order)))


def further() -> list[Field]:
    """What may be said of every line."""
    return [one for one in fields() if _of_all(one) and one not in first()]


def of_some() -> list[Field]:
    """What only some subkinds have."""
    return [one for one in fields() if not _of_all(one)]


def said(typed: Mapping[str, Any]) -> dict[str, Any]:
    """What was typed in fields or columns, as numbers, lists and objects of the schemas; the empty is left out."""
    how = {one.name: one.how for one in fields()}
    found: dict[str, Any] = {}
    for name, value in typed.items():
        if value in ("", None, []) or not isinstance(value, str | int | list):
            continue
        told = _typed(name, value, how.get(name, ""))
        whole, _, part = name.partition(".")
        if part:
            found.setdefault(whole, {})[part] = told
        else:
            found[name] = told
    return found


def _typed(name: str, value: str | int | list[Any], how: str) -> Any:
    if not isinstance(value, str):
        return value
    if name == "confidence":
        return int(value) if value.isdigit() else None
    if how == "words":
        return value.replace(",", " ").split()
    return f"{value[:13].replace(' ', 'T')}:00:00Z" if how == "hour" else value


def _of_all(one: Field) -> bool:
    return len(one.of) == sum(len(some) for some in subkinds().values()) and not 0 < len(one.required) < len(one.of)


def _parts(properties: Mapping[str, schemas.Schema], within: str = "") -> Iterator[tuple[str, schemas.Schema]]:
    """Each property that somebody may fill in, with its schema; parts of an object one by one."""
    for name, rules_ in properties.items():
        if (not within and name in _CARRIED) or "const" in rules_:
            continue
        inner = next((one for one in rules_.get("anyOf", [rules_]) if one.get("type") == "object"), None)
        if inner is not None:
            yield from _parts(inner["properties"], f"{within}{name}.")
        else:
            yield f"{within}{name}", rules_


def _option(word: str) -> str:
    """A word of an enumeration as people write it: `10^3` is about 1,000."""
    return gettext("about {n}").format(n=f"{10 ** int(word[3:]):,}") if word in words.BUCKETS else plain(word)


def _field(name: str, rules_: schemas.Schema, of: list[str], required: list[str]) -> Field:
    form = rules_.get("pattern", "")
    how = "choice" if "enum" in rules_ else "words" if rules_.get("type") == "array" else "text"
    if form == schemas.HOUR:
        how, form = "hour", ""
    hint = (
        wording.FORMS.get(name.rpartition(".")[2], str(rules_.get("description", "")))
        if how in ("text", "words")
        else ""
    )
    return Field(
        name=name,
        label=_LABELS.get(name, plain(name.replace(".", " ")).capitalize()),
        how=how,
        options=tuple((str(one), _option(str(one))) for one in rules_.get("enum", ())),
        default=_DEFAULTS.get(name, ""),
        form=form.removeprefix("^").removesuffix("$"),
        hint=hint,
        of=tuple(of),
        required=tuple(required),
    )
