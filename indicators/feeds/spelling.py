"""The three spellings of a filter, read and written: one line of text, JSON, and the parameters of an address. Pure.

    kind:payment-fingerprint publishers:>=2 -control:compromised_victim until:<7d
    {"all": [{"kind": ["payment-fingerprint"]}, {"publishers": {">=": 2}}, {"not": {"control": […]}}, …]}
    kind=payment-fingerprint&publishers=%3E%3D2&-control=compromised_victim&until=%3C7d

Whatever is read becomes the same tree, and each tree is written in one way. Errors in text name the character.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any as Anything

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedInput, UnexpectedToken, v_args
from lark.exceptions import VisitError

from exchange.errors import Refused
from indicators.feeds.fields import FIELDS, read_term
from indicators.feeds.tree import (
    EVERYTHING,
    OPS,
    All,
    Any,
    Node,
    Not,
    Op,
    Term,
    Value,
    every,
    none_of,
    some,
)

MAX_TEXT_CHARS = 2_000
_MAX_PARENTHESES = 10
_CODE = "bad-filter"


class BadText(Refused):
    """A line that is no filter; `character` is the place, from 0, that the error points at."""

    def __init__(self, detail: str, *, character: int, code: str = _CODE) -> None:
        super().__init__(f"Character {character + 1}: {detail}", code=code, at="/filter")
        self.character = character

    @property
    def place(self) -> int:
        """The same, counted from 1, as it is told."""
        return self.character + 1


# A word may hold a colon only in quotes, so that a misspelt field is an error and not a word to search for.
_GRAMMAR = r"""
start: either?
?either: both (_OR both)*
?both: turned (_AND? turned)*
?turned: "-" atom -> turned
       | _NOT atom -> turned
       | atom
?atom: FIELD value ("," value)* -> term
     | FIELD OP value -> compared
     | WORD -> word
     | QUOTED -> word
     | "(" either ")"
value: WORD | QUOTED

FIELD.3: /[A-Za-z_]+:/
OP: ">=" | "<=" | ">" | "<"
_OR.2: /or(?![^\s()])/i
_AND.2: /and(?![^\s()])/i
_NOT.2: /not(?![^\s()])/i
WORD: /[^\s():,"<>=\-][^\s():,"<>=]*/
QUOTED: /"(?:[^"\\\x00]|\\["\\])*"/
%import common.WS
%ignore WS
"""


def read_text(text: str) -> Node:
    """A filter from one line. Raises BadText, Refused where it is too large."""
    if len(text) > MAX_TEXT_CHARS or "\0" in text:
        raise Refused(f"At most {MAX_TEXT_CHARS} characters, none of them NUL.", code=_CODE, at="/filter")
    _bound_parentheses(text)
    try:
        tree = _parser().parse(text)
    except UnexpectedInput as wrong:
        raise _pointed(wrong, text) from None
    try:
        return _Built().transform(tree)
    except VisitError as wrong:  # the library wraps what is raised while it builds
        raise wrong.orig_exc from None


def _bound_parentheses(text: str) -> None:
    """Keep what recurses below its bound, before anything is built."""
    level = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[()]', text):
        level += {"(": 1, ")": -1}.get(found[0], 0)
        if level > _MAX_PARENTHESES:
            raise BadText(f"At most {_MAX_PARENTHESES} parentheses in each other.", character=found.start())


@cache
def _parser() -> Lark:
    return Lark(_GRAMMAR, parser="lalr", maybe_placeholders=False)


def _pointed(wrong: UnexpectedInput, text: str) -> BadText:
    place: int | None = getattr(wrong, "pos_in_stream", None)  # the library types it as None
    character = len(text) if place is None else min(max(place, 0), len(text))
    if isinstance(wrong, UnexpectedToken) and wrong.token.type == "$END":
        return BadText("Something is missing at the end.", character=len(text))
    if isinstance(wrong, UnexpectedCharacters) and text[character : character + 1] == '"':
        return BadText(
            "These quotes are not closed, or hold a backslash before another character.", character=character
        )
    return BadText("This cannot stand here; quote a value that holds anything but a word.", character=character)


@v_args(inline=True)
class _Built(Transformer[Token, Node]):
    """From what was parsed to a tree; below `_MAX_PARENTHESES`, so that its recursion is bounded."""

    def start(self, node: Node = EVERYTHING) -> Node:
        return node

    def either(self, *parts: Node) -> Node:
        return some(parts)

    def both(self, *parts: Node) -> Node:
        return every(parts)

    def turned(self, part: Node) -> Node:
        return none_of(part)

    def value(self, token: Token) -> Token:
        return token

    def term(self, name: Token, *values: Token) -> Node:
        return _at(name, list(values), "is")

    def compared(self, name: Token, op: Token, value: Token) -> Node:
        return _at(name, [value], next(known for known in OPS if known == op))

    def word(self, token: Token) -> Node:
        return read_term("words", [_unquoted(token)])


def _at(name: Token, values: list[Token], op: Op) -> Node:
    """The term; what is wrong with it is told at its field, or at the first value that is wrong."""
    field = name[:-1].lower()
    if field not in FIELDS:
        raise BadText(_refusal(field, [], op).detail, character=name.start_pos or 0, code="unknown-filter")
    for value in values:
        if (refused := _wrong(field, [_unquoted(value)], op)) is not None:
            raise BadText(refused.detail, character=value.start_pos or 0, code=refused.code)
    if (refused := _wrong(field, [_unquoted(value) for value in values], op)) is not None:
        raise BadText(refused.detail, character=name.start_pos or 0, code=refused.code)
    return read_term(field, [_unquoted(value) for value in values], op)


def _wrong(field: str, values: list[str], op: Op) -> Refused | None:
    try:
        read_term(field, values, op)
    except Refused as refused:
        return refused
    return None


def _refusal(field: str, values: list[str], op: Op) -> Refused:
    return _wrong(field, values, op) or Refused(code=_CODE, at="/filter")


def _unquoted(token: str) -> str:
    return re.sub(r"\\(.)", r"\1", token[1:-1]) if token.startswith('"') else str(token)


_PLAIN = re.compile(r'(?!(?:or|and|not)\Z)[^\s():,"<>=\-][^\s():,"<>=]*', re.IGNORECASE)


def write_text(node: Node) -> str:
    """The one line that `read_text` reads as this tree."""
    if node == EVERYTHING:
        return ""
    if isinstance(node, All):
        return " ".join(_wrapped(part) if isinstance(part, Any) else write_text(part) for part in node.parts)
    if isinstance(node, Any):
        return " or ".join(write_text(part) for part in node.parts)
    if isinstance(node, Not):
        return f"-{write_text(node.part) if isinstance(node.part, Term) else _wrapped(node.part)}"
    return f"{node.field}:{written_values(node)}"


def _wrapped(node: Node) -> str:
    return f"({write_text(node)})"


def written_values(node: Term) -> str:
    """What stands behind the field's colon, in text as in addresses."""
    write = FIELDS[node.field].write
    values = ",".join(_quoted(write(value)) for value in node.values)
    return values if node.op == "is" else f"{node.op}{values}"


def _quoted(value: str) -> str:
    if _PLAIN.fullmatch(value):
        return value
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


# --- JSON ---


def read_json(document: Anything, *, at: str = "/filter", level: int = 0) -> Node:
    """A filter from JSON: several members hold together; a term is `{field: [values]}` or `{field: {">=": value}}`.

    Raises Refused naming the member.
    """
    if level > 2 * _MAX_PARENTHESES:
        raise Refused("This filter is too deep.", code=_CODE, at=at[:200])
    if not isinstance(document, Mapping):
        raise Refused("An object.", code=_CODE, at=at[:200])
    return every(_member(name, said, at=f"{at}/{name}"[:200], level=level + 1) for name, said in document.items())


def _member(name: str, said: Anything, *, at: str, level: int) -> Node:
    if name in ("all", "any"):
        if not isinstance(said, list) or (name == "any" and not said):
            raise Refused("A list of filters.", code=_CODE, at=at)
        parts = [read_json(part, at=f"{at}/{place}", level=level) for place, part in enumerate(said)]
        return every(parts) if name == "all" else some(parts)
    if name == "not":
        return none_of(read_json(said, at=at, level=level))
    if name not in FIELDS:
        raise Refused(f"A filter has these fields: {', '.join(FIELDS)}.", code="unknown-filter", at=at)
    try:
        if isinstance(said, Mapping):
            return every(_compared(name, op, value) for op, value in said.items()) if said else _missing(at)
        return read_term(name, [_written(value) for value in (said if isinstance(said, list) else [said])])
    except Refused as refused:
        raise Refused(refused.detail, code=refused.code, at=at) from None


def _missing(at: str) -> Node:
    raise Refused("At least one value.", code=_CODE, at=at)


def _compared(name: str, op: str, value: Anything) -> Node:
    if op not in OPS:
        raise Refused(f"One of: {', '.join(OPS)}.", code=_CODE, at=f"/filter/{name}")
    return read_term(name, [_written(value)], next(known for known in OPS if known == op))


def _written(value: Anything) -> str:
    if isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, str | int):
        raise Refused("A string or a whole number.", code=_CODE, at="/filter")
    return str(value)


def write_json(node: Node) -> dict[str, Anything]:
    """The JSON that `read_json` reads as this tree; the form that is stored."""
    if isinstance(node, All):
        return {"all": [write_json(part) for part in node.parts]} if node.parts else {}
    if isinstance(node, Any):
        return {"any": [write_json(part) for part in node.parts]}
    if isinstance(node, Not):
        return {"not": write_json(node.part)}
    values = [_json_value(node.field, value) for value in node.values]
    return {node.field: values if node.op == "is" else {node.op: values[0]}}


def _json_value(field: str, value: Value) -> Value:
    written = FIELDS[field].write(value)
    return value if written == str(value) else written


# --- addresses ---

#: The parameter that holds, as text, what the others cannot say.
REST = "filter"


def read_parameters(given: Mapping[str, str]) -> Node:
    """A filter from the parameters of an address that are its own. Raises Refused naming the parameter."""
    parts: list[Node] = []
    for name, value in given.items():
        bare = name.removeprefix("-")
        try:
            node = read_text(value if name == REST else f"{bare}:{value}")
        except BadText as refused:
            character = refused.character - (0 if name == REST else len(bare) + 1)
            detail = refused.detail.partition(": ")[2]
            raise _in_parameter(detail, max(character, 0), refused.code, name) from None
        if name != REST and not isinstance(node, Term):
            raise _in_parameter("The values of one field, separated by commas.", 0, _CODE, name)
        parts.append(none_of(node) if name.startswith("-") else node)
    return every(parts)


def _in_parameter(detail: str, character: int, code: str, name: str) -> Refused:
    refused = BadText(detail, character=character, code=code)
    refused.at = f"/{name}"[:60]
    return refused


def parameter_names() -> tuple[str, ...]:
    """What `read_parameters` reads."""
    return (REST, *FIELDS, *(f"-{name}" for name in FIELDS))


def write_parameters(node: Node) -> dict[str, str]:
    """The parameters that `read_parameters` reads as this tree."""
    given: dict[str, str] = {}
    rest: list[Node] = []
    for part in node.parts if isinstance(node, All) else (node,):
        inner = part.part if isinstance(part, Not) else part
        name = f"-{inner.field}" if isinstance(part, Not) and isinstance(inner, Term) else getattr(inner, "field", "")
        if isinstance(inner, Term) and name not in given:
            given[name] = written_values(inner)
        else:
            rest.append(part)
    return {**given, REST: write_text(every(rest))} if rest else given
