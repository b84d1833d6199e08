"""What a campaign's picture is of (`viewing.graph`): labs as lanes, tokens between them, one's own accounts. Pure.

A subkind with many tokens is one mark until it is opened. What is not shown is counted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from django.utils.translation import gettext

from indicators.campaigns.joining import Grade
from indicators.stix.drafts import TokenValue
from indicators.stix.naming import NAMES
from indicators.values.carrying import key_of

#: Marks of a picture.
MOST_MARKS = 300
#: So many tokens of a subkind are shown without being asked for.
FEW = 3

#: Subkinds in the order of a picture; the family of each gives colour and shape.
_FAMILIES = {
    **dict.fromkeys(("par", "pan_token", "iban_token", "psp_fp"), "payment"),
    **dict.fromkeys(("device", "email", "phone", "signup_template", "email_shape", "signup_burst"), "account"),
    **dict.fromkeys(("email_domain", "net"), "infra"),
    **dict.fromkeys(("phrase", "skeleton"), "prompt"),
}
_OF_ONE = " of one lab alone"  # the picture draws it dotted, without these words


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab in the campaign; without a name, but for one's own."""

    id: str
    name: str
    own: bool
    size: int
    on_word: int
    did: list[tuple[str, int]]  # what it did, to about so many
    first_seen: str
    dots: int  # that stand for its accounts


@dataclass(frozen=True, slots=True)
class Account:
    """One's own account."""

    id: str
    suspended: bool
    word: bool


@dataclass(frozen=True, slots=True)
class Token:
    """A mark between the labs: one token, or several of a subkind (`many`) that are not shown one by one.

    `value` is known of what one's own accounts carry; `key` is its key among published values.
    """

    code: str
    subkind: str
    family: str
    name: str
    many: int
    word: bool
    own: bool
    labs: dict[str, int]  # by lab, on about so many of its accounts
    accounts: tuple[str, ...]  # of one's own that are shown
    value: str = ""
    key: UUID | None = None
    purity: float | None = None
    opens: bool = False

    @property
    def short(self) -> str:
        """Its value, shortened in the middle."""
        return f"{self.value[:6]}…{self.value[-4:]}" if self.value else self.name

    @property
    def label(self) -> str:
        """What stands beside it in the picture."""
        if self.value:
            return f"{self.name} {self.value[:4]}"
        return self.name.removesuffix(_OF_ONE).replace("about ", "~ ").replace("some ", "a few ")

    @property
    def most(self) -> int:
        """On so many accounts of all labs, about."""
        return max(self.labs.values(), default=0)


@dataclass(frozen=True, slots=True)
class Marks:
    """All that may be drawn."""

    labs: list[Lab] = field(default_factory=list)
    tokens: list[Token] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)


def size_of(said: str) -> int:
    """A bucket as a number."""
    return 0 if said == "0" else 10 ** int(said.removeprefix("10^"))


def of(graph: Mapping[str, Any], *, own_name: str, opened: Collection[str]) -> Marks:
    """The marks of a picture; `opened`: subkinds whose tokens are shown one by one."""
    nodes: Sequence[Mapping[str, Any]] = graph["nodes"]
    labs: dict[str, dict[str, int]] = {}
    accounts: dict[str, list[str]] = {}
    for edge in graph["edges"]:
        if edge["from"].startswith("lab-"):
            labs.setdefault(edge["to"], {})[edge["from"]] = size_of(edge.get("accounts", "0"))
        elif edge["from"].startswith("account-"):
            accounts.setdefault(edge["to"], []).append(edge["from"])
    single = [
        _token(node, labs.get(node["id"], {}), accounts.get(node["id"], ()))
        for node in nodes
        if node["type"] == "token"
    ]
    summed = [_summed(node, labs.get(node["id"], {})) for node in nodes if node["type"] == "tokens"]
    return Marks(
        labs=_labs([node for node in nodes if node["type"] == "lab"], own_name),
        tokens=_ordered([*_gathered(single, opened), *summed]),
        accounts=[
            Account(node["id"], node["did"] == "suspended", node["grade"] != Grade.CORROBORATED)
            for node in nodes
            if node["type"] == "account"
        ],
    )


def _labs(nodes: Sequence[Mapping[str, Any]], own_name: str) -> list[Lab]:
    """One's own first, the others in the order that says nothing, numbered."""
    found: list[Lab] = []
    for node in sorted(nodes, key=lambda node: (not node.get("own"), node["id"])):
        own = bool(node.get("own"))
        did = node.get("own_did") if own else {act: size_of(count) for act, count in node.get("did", {}).items()}
        size = node.get("own_accounts", 0) if own else size_of(node["accounts"])
        number = len(found) + (0 if found and found[0].own else 1)
        found.append(
            Lab(
                id=node["id"],
                name=own_name if own else gettext("Lab {n}").format(n=number),
                own=own,
                size=size,
                on_word=size_of(node.get("on_one_labs_word", "0")),
                did=sorted((did or {}).items(), key=lambda one: (-one[1], one[0])),
                first_seen=node["first_seen"],
                dots=node.get("marks", 0),
            )
        )
    return found


def _drawn(subkind: str) -> tuple[str, str, str]:
    """The family of a subkind, and its name: one, several."""
    return (_FAMILIES.get(subkind, "account"), *NAMES.get(subkind, ("token", "tokens")))


def _token(node: Mapping[str, Any], labs: dict[str, int], accounts: Sequence[str]) -> Token:
    family, name, _ = _drawn(node["subkind"])
    said = node.get("token")
    value = said["value"] if said else ""
    key = None
    if said:
        scope = said.get("psp_scope", "")
        key = key_of(TokenValue(said["subkind"], said["scheme"], said["key_epoch"], value, psp_scope=scope))
    return Token(
        code=node["id"],
        subkind=node["subkind"],
        family=family,
        name=name,
        many=1,
        word=node["grade"] != Grade.CORROBORATED,
        own=bool(node.get("own")),
        labs=labs,
        accounts=tuple(accounts),
        value=value,
        key=key,
        purity=node.get("purity"),
    )


def _summed(node: Mapping[str, Any], labs: dict[str, int]) -> Token:
    family, _, several = _drawn(node["subkind"])
    word = node["grade"] != Grade.CORROBORATED
    many = size_of(node["tokens"])
    about = (
        gettext("about {many} {several}").format(many=f"{many:,}", several=several)
        if many > 1
        else gettext("some {several}").format(several=several)
    )
    name = f"{about}{_OF_ONE}" if word else gettext("{about} more").format(about=about)
    return Token(node["id"], node["subkind"], family, name, max(many, 2), word, own=False, labs=labs, accounts=())


def _gathered(tokens: Sequence[Token], opened: Collection[str]) -> list[Token]:
    """Subkinds with many tokens as one mark each, but for those that are opened."""
    by: dict[str, list[Token]] = {}
    for token in tokens:
        by.setdefault(token.subkind, []).append(token)
    found: list[Token] = []
    for subkind, some in by.items():
        if len(some) <= FEW or subkind in opened:
            found += some
            continue
        family, _, several = _drawn(subkind)
        labs: dict[str, int] = {}
        for token in some:
            for lab, count in token.labs.items():
                labs[lab] = max(labs.get(lab, 0), count)
        told = [token.purity for token in some if token.purity is not None]
        found.append(
            Token(
                code=f"all-{subkind}",
                subkind=subkind,
                family=family,
                name=f"{len(some)} {several}",
                many=len(some),
                word=False,
                own=any(token.own for token in some),
                labs=labs,
                accounts=tuple(sorted({account for token in some for account in token.accounts})),
                purity=min(told, default=None),
                opens=True,
            )
        )
    return found


def _ordered(tokens: Sequence[Token]) -> list[Token]:
    """By subkind, what more labs carry first."""
    place = {subkind: number for number, subkind in enumerate(_FAMILIES)}
    return sorted(tokens, key=lambda one: (place.get(one.subkind, 99), one.word, -len(one.labs), -one.most, one.code))
