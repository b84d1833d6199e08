"""What a subscriber does with what it is told: its own decision, written in TOML. Pure but for reading the file.

A value is judged by all that is said of it. The first rule that fits gives the action; then the floors of the
vocabulary lower it (a floor is on until it is switched off by its name); then the subscriber's allowlists may take it
away.

    mode = "shadow"                     # or "enforce"
    without_floors = ["two-publishers"]
    below_floor = "log"                 # or "challenge"

    [[rule]]
    name = "cards"
    kind = "payment-fingerprint"
    publishers = 2
    confidence = 70
    action = "challenge"

    [[allow]]
    name = "our offices"
    values = ["198.51.100.0/24"]
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from functools import lru_cache
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

from exchange.agent import allowing
from exchange.agent.allowing import Allowed
from exchange.client.errors import Unusable
from exchange.lists.lines import Said, compared
from exchange.stix import words


class Action(StrEnum):
    """What is done where a value is met, weakest first."""

    IGNORE = "ignore"
    LOG = "log"
    CHALLENGE = "challenge"
    BLOCK = "block"


_STRENGTH = {action: place for place, action in enumerate(Action)}


class Mode(StrEnum):
    """Whether actions are carried out, or only counted."""

    ENFORCE = "enforce"
    SHADOW = "shadow"


class Floor(StrEnum):
    """The floors for automatic blocking (vocabulary, "The three kinds"), each on until it is switched off by name."""

    TWO_PUBLISHERS = "two-publishers"
    VICTIMS = "victims"
    SHARED_INFRASTRUCTURE = "shared-infrastructure"
    DISPUTED = "disputed"
    CARDS_ALONE = "cards-alone"
    BIN_RANGES = "bin-ranges"
    PROMPTS_ALONE = "prompts-alone"


FLOORS = {
    Floor.TWO_PUBLISHERS: "two independent publishers; for account patterns, two analysts do as well",
    Floor.VICTIMS: "never what belongs to a victim (control: compromised_victim)",
    Floor.SHARED_INFRASTRUCTURE: "never what many share (shared_infra: cgnat, campus)",
    Floor.DISPUTED: "never what is disputed or refuted",
    Floor.CARDS_ALONE: "of payment fingerprints, only par and pan_token",
    Floor.BIN_RANGES: "never a range of card numbers",
    Floor.PROMPTS_ALONE: "a prompt signature never alone: it needs a match of another kind",
}
KILL_SWITCH = "kill switch"
_DISARMED = frozenset({"disputed", "refuted"})
#: From the best.
STANDINGS = ("supported", "unreviewed", "disputed", "refuted")
#: Whose account, and what address, may be blocked: a word that is none of these may say anything, and keeps from it.
_NO_VICTIM = frozenset({"", "actor_controlled", "reseller_pool", "unknown"})
_NOT_SHARED = frozenset({"", "none", "corporate_egress", "cloud", "vpn"})
_CARDS = frozenset({"par", "pan_token"})
#: Words that a rule asks for, where there are no others: a misspelt one would be a rule that never fits.
_CLOSED: Mapping[str, Sequence[str]] = {
    "control": words.CONTROLS,
    "shared_infra": words.SHARED_INFRA,
    "standing": STANDINGS,
    "review": words.REVIEWS,
}


class Statement(NamedTuple):
    """What one publisher says of one value, with the facts that a policy asks for."""

    said: Said
    publisher: str
    control: str = ""
    shared_infra: str = ""
    review: str = ""
    standing: str = ""
    feed: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """Fits where all that it names is so of what is said of a value; empty means any."""

    name: str
    action: Action
    kind: str = ""
    subkind: tuple[str, ...] = ()
    publisher: tuple[str, ...] = ()
    feed: tuple[str, ...] = ()
    control: tuple[str, ...] = ()
    shared_infra: tuple[str, ...] = ()
    standing: tuple[str, ...] = ()
    review: tuple[str, ...] = ()
    publishers: int = 0
    confidence: int = 0
    mode: Mode | None = None

    def fits(self, said: Sequence[Statement]) -> bool:
        """Whether it is for a value of which this is said."""
        return (
            (not self.kind or any(one.said.kind == self.kind for one in said))
            and (not self.subkind or any(one.said.subkind in self.subkind for one in said))
            and (not self.publisher or any(is_by(one, frozenset(map(folded, self.publisher))) for one in said))
            and all(
                not wanted or any(getattr(one, name) in wanted for one in said)
                for name, wanted in (
                    ("feed", self.feed),
                    ("control", self.control),
                    ("shared_infra", self.shared_infra),
                    ("standing", self.standing),
                    ("review", self.review),
                )
            )
            and independent(said) >= self.publishers
            and max((one.said.confidence or 0 for one in said), default=0) >= self.confidence
        )


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a value means here: `action` is carried out; in shadow mode nothing is, and `would` says what would be.

    `rule` decided, `floor` lowered it (or `stale`: what is held is old), `suppressed_by` is the allowlist or the kill
    switch that took it away.
    """

    action: Action | None = None
    would: Action | None = None
    rule: str = ""
    floor: str = ""
    suppressed_by: str = ""
    kind: str = ""
    subkind: str = ""
    known: bool = True

    @property
    def word(self) -> str:
        """One word for it: an action, `none`, or `unknown` where the answer did not come in time."""
        return (self.action or "none") if self.known else "unknown"


#: Whoever an entry came from that the brake keeps, where the store that knew it was lost (`schema.UNKNOWN`).
UNKNOWN_PUBLISHER = ""
KEPT = "kept by the brake"
#: What lowered or took away a verdict because what is held is old.
STALE = "stale"
_KEEP, _DROP = "keep", "drop"
NONE = Verdict()
UNKNOWN = Verdict(known=False)
_DEFAULT = Rule("default", Action.BLOCK)
_KEPT = Rule(KEPT, Action.BLOCK)  # it stood in the list, so it was sure enough


@dataclass(frozen=True, slots=True)
class Policy:
    """A subscriber's decisions. The default: block all that is above every floor."""

    rules: tuple[Rule, ...] = ()
    without_floors: frozenset[str] = frozenset()
    below_floor: Action = Action.LOG
    mode: Mode = Mode.ENFORCE
    allowed: Allowed = field(default_factory=Allowed)
    #: Where what is held is old, by kind (or "" for every other) and action: keep, drop, or a weaker action.
    stale: Mapping[tuple[str, str], str] = field(default_factory=dict)
    aged: bool = False  # whether what is held is old

    def when(self, *, old: bool) -> Policy:
        """This policy over what is held, which is old or is not."""
        return replace(self, aged=old) if old != self.aged and self.stale else self

    def judge(self, said: Sequence[Statement], *, killed: frozenset[str] = frozenset()) -> Verdict:
        """The verdict over all that is said of one value. `killed` are publishers and feeds that are switched off."""
        first = said[0].said
        off = frozenset(map(folded, killed))
        armed = [one for one in said if not (off and (one.feed in killed or is_by(one, off)))]
        if not armed:
            return Verdict(suppressed_by=KILL_SWITCH, kind=first.kind, subkind=first.subkind)
        kept = any(one.publisher == UNKNOWN_PUBLISHER for one in armed)
        standing = [
            one for one in armed if kept or one.standing not in _DISARMED or Floor.DISPUTED in self.without_floors
        ]
        if not standing:
            return Verdict(floor=Floor.DISPUTED, kind=first.kind, subkind=first.subkind)
        rule = _KEPT if kept else next((rule for rule in self.rules if rule.fits(standing)), _DEFAULT)
        action, floor = rule.action, ""
        if not kept and _STRENGTH[action] > _STRENGTH[self.below_floor] and (floor := self.below(standing)):
            action = self.below_floor
        ids = [stix_id for one in standing for stix_id in one.said.ids]
        if by := self.allowed.by(first.subkind, first.value, ids):
            return Verdict(would=None, rule=rule.name, suppressed_by=by, kind=first.kind, subkind=first.subkind)
        if self.aged and (turned := self.turned(first.kind, action)) != _KEEP:
            if turned == _DROP:
                return Verdict(rule=rule.name, suppressed_by=STALE, kind=first.kind, subkind=first.subkind)
            action, floor = Action(turned), STALE
        shadow = (rule.mode or self.mode) is Mode.SHADOW
        done = None if shadow or action is Action.IGNORE else action
        return Verdict(done, action if shadow else None, rule.name, floor, kind=first.kind, subkind=first.subkind)

    def turned(self, kind: str, action: Action) -> str:
        """What becomes of an action over what is old: keep, drop, or a weaker action."""
        return self.stale.get((kind, action)) or self.stale.get(("", action), _KEEP)

    def below(self, said: Sequence[Statement]) -> str:
        """The first floor that keeps a value of which this is said from being blocked; "" if none does."""
        return next((floor for floor in _floors(said) if floor not in self.without_floors), "")


#: What the exchange says, unjudged: every value is blocked. For who has a policy elsewhere.
UNJUDGED = Policy(without_floors=frozenset(Floor))


def _floors(said: Sequence[Statement]) -> Iterator[Floor]:
    if any(one.control not in _NO_VICTIM for one in said):
        yield Floor.VICTIMS
    if any(one.shared_infra not in _NOT_SHARED for one in said):
        yield Floor.SHARED_INFRASTRUCTURE
    kinds, subkinds = {one.said.kind for one in said}, {one.said.subkind for one in said}
    if "bin_range" in subkinds:
        yield Floor.BIN_RANGES
    if "payment-fingerprint" in kinds and not subkinds & _CARDS:
        yield Floor.CARDS_ALONE
    if kinds == {"prompt-signature"}:
        yield Floor.PROMPTS_ALONE
    reviewed = "payment-fingerprint" not in kinds and any(one.review == "two_analysts" for one in said)
    if independent(said) < 2 and not reviewed:
        yield Floor.TWO_PUBLISHERS


@lru_cache(4_096)
def folded(name: str) -> str:
    """A publisher's name or id in one form, so that `Aster Labs` and `aster-labs` name the same."""
    return re.sub(r"[\W_]+", "-", name.casefold()).strip("-") or name


def is_by(one: Statement, names: frozenset[str]) -> bool:
    """Whether one of these, which are `folded`, is who says it, by name or id."""
    return folded(one.publisher) in names or any(folded(name) in names for name in one.said.sources)


def independent(said: Iterable[Statement]) -> int:
    """The independent publishers of a value: the named partners that say it, at least 1."""
    return max(1, len({name for one in said for name in one.said.named}))


def by_value(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """What is said of one value in one meaning, value by value; `statements` come sorted by value."""
    for _, same in groupby(statements, key=lambda one: one.said.value):
        meanings: dict[tuple[str, str, str], list[Statement]] = {}
        for one in same:
            meaning = (compared(one.said.subkind), one.said.scheme, one.said.key_epoch)
            meanings.setdefault(meaning, []).append(one)
        for meaning in sorted(meanings):
            yield meanings[meaning]


def listed(
    statements: Iterable[Statement],
    policy: Policy,
    *,
    killed: frozenset[str] = frozenset(),
    shadow: bool = False,
    counted: Counter[Verdict] | None = None,
) -> Iterator[Said]:
    """What a list holds that blocks: all that is said of each value that is to be blocked, sorted by value.

    With `shadow`, of those that would be blocked. `counted` is told how many values have which verdict.
    """
    found: list[Said] = []
    for same in by_value(statements):
        verdict = policy.judge(same, killed=killed)
        if counted is not None:
            counted[verdict] += 1
        if (verdict.would if shadow else verdict.action) is not Action.BLOCK:
            continue
        if not policy.allowed.nets:
            yield from (one.said for one in same)
            continue
        first = same[0].said
        for part in policy.allowed.parts_of(first.subkind, first.value):
            found += [one.said if part == first.value else one.said._replace(value=part) for one in same]
    yield from sorted(found, key=attrgetter("value"))


def chosen(file: str, without: Iterable[str] = ()) -> Policy:
    """The policy of a file, or the default without these floors. Raises Unusable."""
    if file:
        return load(Path(file))
    off = frozenset(_word(Floor, one, "--without-floor") for one in without)
    return UNJUDGED if off == UNJUDGED.without_floors else Policy(without_floors=off)


def load(path: Path) -> Policy:
    """Read a policy. Raises Unusable, naming what is wrong and what there is."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Unusable(f"{path}: cannot be read.") from error
    except tomllib.TOMLDecodeError as error:
        raise Unusable(f"{path}: {error}") from error
    return read(document, beside=path.parent)


def read(document: Mapping[str, Any], *, beside: Path) -> Policy:
    """The same of what is read already; files that it names stand `beside`."""
    _only(document, {"mode", "without_floors", "below_floor", "rule", "allow", "stale"}, at="policy")
    return Policy(
        rules=tuple(_rule(one, number) for number, one in enumerate(document.get("rule", []), 1)),
        without_floors=frozenset(_word(Floor, one, "without_floors") for one in document.get("without_floors", [])),
        below_floor=_below_floor(document.get("below_floor", "log")),
        mode=_word(Mode, document.get("mode", "enforce"), "mode"),
        allowed=allowing.read(document, beside=beside),
        stale=dict(_stale(document.get("stale", {}))),
    )


def _stale(said: Mapping[str, Any], kind: str = "") -> Iterator[tuple[tuple[str, str], str]]:
    """By action, and in a table of its own by kind and action."""
    for name, what in said.items():
        at = f"stale.{kind}.{name}" if kind else f"stale.{name}"
        if isinstance(what, Mapping) and not kind:
            yield from _stale(what, _among(name, tuple(words.SUBKINDS), "stale"))
            continue
        action = _word(Action, name, "stale")
        weaker = [one for one in Action if one is not Action.IGNORE and _STRENGTH[one] < _STRENGTH[action]]
        yield (kind, action), _among(what, (_KEEP, _DROP, *weaker), at)


def _rule(said: Mapping[str, Any], number: int) -> Rule:
    at = f"rule {said.get('name', number)!r}"
    _only(said, {each.name for each in fields(Rule)}, at=at)
    values: dict[str, Any] = {"name": str(said.get("name", f"rule {number}"))}
    if "action" not in said:
        raise Unusable(f"{at}: which action? One of {', '.join(Action)}.")
    values["action"] = _word(Action, said["action"], f"{at}: action")
    if "mode" in said:
        values["mode"] = _word(Mode, said["mode"], f"{at}: mode")
    if "kind" in said:
        values["kind"] = _among(said["kind"], tuple(words.SUBKINDS), f"{at}: kind")
    for name in ("subkind", "publisher", "feed", *_CLOSED):
        if name in said:
            values[name] = _texts(said[name], f"{at}: {name}")
        if name in _CLOSED:
            for text in values.get(name, ()):
                _among(text, _CLOSED[name], f"{at}: {name}")
    for text in values.get("subkind", ()):
        if ":" not in text:  # with one, it is the object path of a classical pattern
            _among(text, tuple(words.KIND_OF), f"{at}: subkind")
    for name, most in (("publishers", 1_000), ("confidence", 100)):
        if name in said:
            if isinstance(said[name], bool) or not isinstance(said[name], int) or not 0 <= said[name] <= most:
                raise Unusable(f"{at}: {name} is a number from 0 to {most}.")
            values[name] = said[name]
    return Rule(**values)


def _texts(said: Any, at: str) -> tuple[str, ...]:
    texts = [said] if isinstance(said, str) else said
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise Unusable(f"{at} is a text or a list of texts.")
    return tuple(texts)


def _only(said: Mapping[str, Any], known: set[str], *, at: str) -> None:
    if unknown := sorted(set(said) - known):
        raise Unusable(f"{at}: {unknown[0]} is not known. There are {', '.join(sorted(known))}.")


def _below_floor(word: Any) -> Action:
    action = _word(Action, word, "below_floor")
    if action is Action.BLOCK:
        raise Unusable("below_floor: block would switch all floors off. Name those to do without in without_floors.")
    return action


def _word[Word: StrEnum](of: type[Word], word: Any, at: str) -> Word:
    return of(_among(word, tuple(of), at))


def _among(word: Any, known: Sequence[str], at: str) -> str:
    if word not in known:
        raise Unusable(f"{at}: one of {', '.join(known)}.")
    return str(word)
