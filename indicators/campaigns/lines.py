"""What labs send as lines of JSON: evidence of accounts, and answers about tokens. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec

from exchange.errors import Malformed, Refused
from exchange.stix import words
from exchange.tokens import epochs, forms, prevalence

#: Lines of one call: accounts, and answers.
MOST_ACCOUNTS = 2_000
MOST_ANSWERS = 20_000
#: Bytes of one call, unpacked.
MOST_BYTES = 8 * 1024 * 1024
MOST_TOKENS = 256
LONGEST = timedelta(days=90)

_Hex = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
_Scope = Annotated[str, msgspec.Meta(pattern="^([0-9a-f]{32})?$")]
_Text = Annotated[str, msgspec.Meta(max_length=80)]
#: More accounts than any lab has.
_Count = Annotated[int, msgspec.Meta(ge=0, le=2**40)]


@dataclass(frozen=True, slots=True)
class TokenKey:
    """What a token is known by; `value` is 32 bytes. `wide` (of `net`: a network) follows from it."""

    subkind: str
    scheme: str
    epoch: str
    psp_scope: str
    value: bytes


class _Token(msgspec.Struct, forbid_unknown_fields=True):
    subkind: _Text
    scheme: _Text
    key_epoch: _Text
    value: _Hex
    psp_scope: _Scope = ""
    wide: bool = False


class _Account(msgspec.Struct, forbid_unknown_fields=True):
    account: UUID
    tokens: list[_Token] = []
    basis: Literal["own_flag", "scored", ""] = ""
    publisher_action: Literal["observed", "limited", "challenged", "suspended", ""] = ""
    until: datetime | None = None
    gone: bool = False
    same: bool = False


class _Answer(msgspec.Struct, forbid_unknown_fields=True):
    token: _Token
    holders: _Count
    suspects: _Count


@dataclass(frozen=True, slots=True)
class Account:
    """One account of a lab's evidence; without tokens it is gone, or (`same`) as it was said before."""

    account: UUID
    tokens: tuple[TokenKey, ...] = ()
    wide: frozenset[TokenKey] = frozenset()
    basis: str = ""
    publisher_action: str = ""
    until: datetime | None = None
    same: bool = False

    @property
    def gone(self) -> bool:
        """Whether the lab takes it for a suspect no more."""
        return not self.tokens and not self.same


@dataclass(frozen=True, slots=True)
class Terms:
    """What a group's tokens may be: its short name, and the epochs of its keys that publish now."""

    group: str
    group_epochs: Collection[str]
    now: datetime


def accounts(body: bytes, terms: Terms) -> list[Account]:
    """The accounts of a call, each once. Raises Malformed, Refused naming the line and field, never a value."""
    found: dict[UUID, Account] = {}
    for number, line in _lines(body, most=MOST_ACCOUNTS):
        sent = _read(_ACCOUNTS, line, number)
        if sent.account in found:
            raise Refused("An account once in a call.", code="bad-account", at=f"/lines/{number}/account")
        found[sent.account] = _account(sent, terms, number)
    return list(found.values())


def answers(body: bytes) -> dict[TokenKey, prevalence.Answer]:
    """The answers of a call by token; of a token that is there twice, the last. Raises Malformed, Refused."""
    found = {}
    for number, line in _lines(body, most=MOST_ANSWERS):
        sent = _read(_ANSWERS, line, number)
        for name, count in (("holders", sent.holders), ("suspects", sent.suspects)):
            if not prevalence.is_bucket(count):
                raise Refused("0, or a power of two.", code="not-a-power-of-two", at=f"/lines/{number}/{name}")
        if sent.suspects > sent.holders:
            raise Refused(
                "Suspects are some of the holders.", code="more-suspects-than-holders", at=f"/lines/{number}/suspects"
            )
        found[_key(sent.token, f"/lines/{number}/token")] = prevalence.Answer(sent.holders, sent.suspects)
    return found


def _lines(body: bytes, *, most: int) -> Iterator[tuple[int, bytes]]:
    held = body.split(b"\n")
    count = sum(1 for line in held if line.strip())
    if count > most:
        raise Refused(f"At most {most:,} lines in a call.", code="too-many-lines", at="/lines")
    if not count:
        raise Malformed("A line of JSON each.", code="no-lines", at="")
    return ((number, line) for number, line in enumerate(held) if line.strip())


_ACCOUNTS = msgspec.json.Decoder(_Account)
_ANSWERS = msgspec.json.Decoder(_Answer)
_PATH = re.compile(r"at `\$([^`]*)`")
_STEP = re.compile(r"\.([A-Za-z_]+)|\[(\d+|\.\.\.)\]")
_CODES = {"value": "bad-token", "psp_scope": "bad-token", "account": "bad-account", "until": "bad-until"}


def _read[Line](decoder: msgspec.json.Decoder[Line], line: bytes, number: int) -> Line:
    try:
        return decoder.decode(line)
    except msgspec.ValidationError as error:
        path = _PATH.search(str(error))
        steps = [name or place for name, place in _STEP.findall(path[1])] if path else []
        at = "".join(f"/{step}" for step in (f"lines/{number}", *steps))
        code = _CODES.get(steps[-1] if steps else "", "bad-line")
        raise Refused("Not as it is described.", code=code, at=at) from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Malformed("The line is not JSON.", code="malformed-json", at=f"/lines/{number}") from None


def _account(sent: _Account, terms: Terms, number: int) -> Account:
    at = f"/lines/{number}"
    if sent.gone or sent.same:
        if sent.tokens or (sent.gone and sent.same):
            raise Refused("Gone, the same, or its tokens: one of these.", code="bad-line", at=at)
        return Account(sent.account, same=sent.same)
    for name, given in (
        ("basis", sent.basis),
        ("publisher_action", sent.publisher_action),
        ("tokens", sent.tokens),
    ):
        if not given:
            raise Refused("Must be there.", code="missing-property", at=f"{at}/{name}")
    if len(sent.tokens) > MOST_TOKENS:
        raise Refused(f"At most {MOST_TOKENS} tokens of an account.", code="too-many-tokens", at=f"{at}/tokens")
    until = sent.until
    if until is None or until.tzinfo is None or not terms.now < until <= terms.now + LONGEST:
        raise Refused("A time with its zone, within 90 days from now.", code="bad-until", at=f"{at}/until")
    keys: dict[TokenKey, bool] = {}
    for place, one in enumerate(sent.tokens):
        key = _key(one, f"{at}/tokens/{place}")
        _require_epoch(key, terms, f"{at}/tokens/{place}/key_epoch")
        keys[key] = one.wide
    wide = frozenset(key for key, is_wide in keys.items() if is_wide)
    return Account(sent.account, tuple(keys), wide, sent.basis, sent.publisher_action, until)


def _key(sent: _Token, at: str) -> TokenKey:
    if sent.subkind not in forms.IN_EVIDENCE:
        raise Refused("A subkind that is tokenised.", code="unknown-subkind", at=f"{at}/subkind")
    if sent.scheme != forms.scheme_of(sent.subkind):
        raise Refused("Each subkind has one scheme.", code="bad-token", at=f"{at}/scheme")
    if sent.psp_scope and sent.subkind != "psp_fp":
        raise Refused("Only of psp_fp.", code="bad-token", at=f"{at}/psp_scope")
    if sent.wide and sent.subkind != "net":
        raise Refused("Only of net.", code="bad-token", at=f"{at}/wide")
    return TokenKey(sent.subkind, sent.scheme, sent.key_epoch, sent.psp_scope, bytes.fromhex(sent.value))


def _require_epoch(key: TokenKey, terms: Terms, at: str) -> None:
    """Whether something new may be said under this key."""
    if key.scheme == words.OBLIVIOUS:
        try:
            publishes = epochs.is_published_under(key.epoch, terms.now)
            ended = epochs.ends(key.epoch) <= terms.now
        except ValueError:
            publishes, ended = False, False
    else:
        try:
            group, quarter, _ = epochs.parse_of_group(key.epoch)
        except ValueError:
            raise Refused("No epoch of a group's key.", code="unknown-epoch", at=at) from None
        if group != terms.group:
            raise Refused("A key of another group.", code="wrong-group-key", at=at)
        publishes = key.epoch in terms.group_epochs
        ended = epochs.ends(quarter) <= terms.now
    if not publishes:
        code = "ended-epoch" if ended else "unknown-epoch"
        raise Refused("Nothing new is said under this key.", code=code, at=at)
