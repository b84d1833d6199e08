"""Whether a text denies what it names, as contracts do: "no joint action of members against a customer". Pure.

A denial counts where it stands before what it denies, in the same sentence. A sum, a number or a name is never denied:
"$20 per million tokens, no exceptions" says it all the same.
"""

from __future__ import annotations

import re

from exchange.texts import acts, speech

_NOT = r"(?:not|no|nor|never|neither|without|none|nothing|nobody|cannot|[a-z]+n['\u2019]t)"
_FORBIDDEN = r"(?:prohibit(?:s|ed|ing)?|forbids?|forbidden|forbidding|exclud(?:es?|ed|ing))"
_DENIAL = re.compile(rf"\b(?:{_NOT}|{_FORBIDDEN}|(?:refrain|abstain)s? from|rules? out|ruled out)\b", re.IGNORECASE)
#: Words of denials that deny nothing: turns of speech, aims ("to exclude abuse, labs should"), and denials of denials.
_EMPTY = re.compile(
    r"\bnot (?:only|just|merely|simply|solely|alone|least|later|once|to mention)\b"
    r"|\bno (?:exceptions?|doubt|matter|later|longer|less|more|other|excuses?|delays?|wonder|objections?)\b"
    r"|\bwithout (?:any |further |more )?(?:exceptions?|delay|doubt|fail|hesitation"
    r"|question|objections?|limits?)\b"
    r"|\bnothing (?:but|less|else|short)\b|\bnone other\b|\bnever mind\b"
    r"|\b(?:if|why|or|whether|whether or) not\b"
    rf"|\bto (?:prohibit|forbid|exclude)\b"
    rf"|\b{_NOT}\b(?: [a-z]+){{0,4}} (?:{_FORBIDDEN}|prevent|preclude|stop|hinder|bar|oppose|object|keep|against|wrong)"
    r"[a-z]*\b"
    r"|\bno (?:reason|ground|need|cause)s? (?:why [a-z]+ [a-z]+ |for [a-z]+ )?(?:not|never)\b"
    r"|\b(?:never|not|cannot) (?:not|never)\b",
    re.IGNORECASE,
)
#: What comes after one of these is said anew.
_TURN = re.compile(
    r"\b(?:but|however|yet|instead|rather|except|unless|although|though|while|whereas|nevertheless|therefore|hence|thus"
    r"|so|then|because|since|and (?:so|thus|then|therefore)|otherwise|until)\b",
    re.IGNORECASE,
)
#: Stops that end no sentence.
_SHORT = re.compile(r"\b(?:arts?|sec|para|cf|e\.g|i\.e|u\.s|u\.s\.c)\.$|[0-9]\.$", re.IGNORECASE)
#: Signs within a sentence; any other, of any script, ends it, as a line does.
_WITHIN = frozenset(" ,'\"\u2019\u2018\u201c\u201d()[]/&%\u00a7-:+*#@_$\u20ac")
_PARTS = frozenset(',:()[]-"\u201c\u201d')
#: What a member may not sell is data; to sell nothing to a customer is a boycott.
_OF_DATA = re.compile(
    r" (?:on|what|or (?:pass|share|disclose|resell|give|publish)|(?:any |the |such |received |shared )*"
    r"(?:data|indicators?|information|facts|findings))\b",
    re.IGNORECASE,
)


def leaves_undenied(lines: str) -> bool:
    """Whether a folded text, its lines kept, names a plan or a joint act without denying it."""
    plain = lines.replace("\n", " ")
    return acts.leave_undenied(lines) or any(
        not _is_denied(lines, begin=begin, said=said, end=end, has_subject=has_subject)
        for begin, said, end, has_subject in speech.acts_in(plain)
    )


def _is_denied(lines: str, *, begin: int, said: int, end: int, has_subject: bool) -> bool:
    if any(map(str.isdigit, lines[begin:end])):
        return False
    if lines[said:end].lower().startswith("not ") and _OF_DATA.match(lines, end) is not None:
        return True
    first = _begins(lines, said)
    if has_subject:
        first = max(first, _part_begins(lines, begin))
    before = lines[first:said]
    turns = [turn.end() for turn in _TURN.finditer(before)]
    return _DENIAL.search(_EMPTY.sub(" ", before[max(turns, default=0) :])) is not None


def _begins(lines: str, place: int) -> int:
    """Where the sentence begins in which a place lies."""
    for at in range(place - 1, -1, -1):
        sign = lines[at]
        is_dash = sign == "-" and lines[at - 1 : at + 2] == " - "
        is_short = sign == "." and _SHORT.search(lines, max(0, at - 8), at + 1) is not None
        if is_dash or not (sign.isalnum() or sign in _WITHIN or is_short):
            return at + 1
    return 0


def _part_begins(lines: str, place: int) -> int:
    """Where the part of a sentence begins in which a place lies, as commas and brackets part it."""
    return next((at + 1 for at in range(place - 1, -1, -1) if lines[at] in _PARTS), 0)
