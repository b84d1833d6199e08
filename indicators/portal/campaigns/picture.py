"""Where the marks of a campaign's picture stand: the same campaign gives the same picture tomorrow. Pure.

    own accounts (dots in an oval) - tokens - the other labs (ovals)

One's own dots are accounts, filled where they are active; those of other labs say how many there are, roughly, and no
more: which of their accounts carries what, nobody is told.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from indicators.portal.campaigns.marks import Account, Lab, Marks, Token

_TURN = math.pi * (3 - math.sqrt(5))  # of a sunflower: no two dots meet
_MOST_LABELS = 14
_MOST_OF_OTHERS = 30  # dots of one other lab
_IN_ONE_COLUMN = 12


@dataclass(frozen=True, slots=True)
class Frame:
    """How large a picture is, and what it holds."""

    width: int
    height: int
    own: tuple[int, int, int, int]  # x, y, and half the width and height of one's own oval
    tokens_x: int
    labs: tuple[int, int]  # x, half the width
    dots: bool


WIDE = Frame(760, 430, (112, 226, 92, 154), 392, (656, 84), dots=True)
NARROW = Frame(360, 400, (58, 200, 52, 52), 182, (304, 50), dots=False)


@dataclass(frozen=True, slots=True)
class Dot:
    """An account of one's own, or one that stands for accounts of another lab."""

    x: float
    y: float
    own: bool
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class Placed:
    """A token, its outline around its place, its lines, and where its label stands."""

    token: Token
    x: float
    y: float
    outline: str
    lines: str
    dotted: str
    opacity: float  # of its lines: many are drawn lighter
    anchor: str
    label_x: float
    label_y: float
    labelled: bool


@dataclass(frozen=True, slots=True)
class Oval:
    """A lab."""

    x: float
    y: float
    rx: float
    ry: float
    lab: Lab


@dataclass(frozen=True, slots=True)
class Picture:
    """All that is drawn."""

    frame: Frame
    ovals: list[Oval]
    dots: list[Dot]
    placed: list[Placed]

    @property
    def marks(self) -> int:
        """How many."""
        return len(self.dots) + len(self.placed) + len(self.ovals)

    @property
    def accounts(self) -> int:
        """How many of one's own accounts are drawn."""
        return sum(dot.own for dot in self.dots)


def draw(frame: Frame, marks: Marks, *, most: int) -> Picture:
    """The picture of a campaign with at most `most` marks; dots give way to tokens."""
    ovals = _ovals(frame, marks.labs)
    room = max(0, most - len(marks.tokens) - len(ovals)) if frame.dots else 0
    accounts = sorted(marks.accounts, key=lambda one: one.id)[:room]
    own = next((oval for oval in ovals if oval.lab.own), None)
    places: dict[str, tuple[float, float]] = {}
    dots: list[Dot] = []
    if own is not None:
        for number, one in enumerate(accounts):
            places[one.id] = _in_oval(number, len(accounts), own)
            dots.append(Dot(*places[one.id], own=True, suspended=one.suspended))
    room -= len(dots)
    for oval in ovals:
        if not oval.lab.own and room > 0:
            count = min(oval.lab.dots, _MOST_OF_OTHERS, room)
            dots += [Dot(*_in_oval(number, count, oval), own=False) for number in range(count)]
            room -= count
    labelled = _labelled(marks.tokens)
    word = {one.id: one for one in accounts if one.word}
    spots = _spots(frame, len(marks.tokens))
    placed = [
        _placed(token, spot, ovals, places, word, labelled=token.code in labelled)
        for token, spot in zip(marks.tokens, spots, strict=True)
    ]
    return Picture(frame, ovals, dots, placed)


def _spots(frame: Frame, count: int) -> list[tuple[float, float]]:
    """Where so many tokens stand, from top to bottom; many stand in turn left and right of the middle."""
    room = frame.height - 60
    step = min(62.0, room / max(1, count - 1)) if count > 1 else 0.0
    top = (frame.height - step * (count - 1)) / 2 - 6
    aside = 0 if count <= _IN_ONE_COLUMN else 82
    return [
        (frame.tokens_x + aside * (1 if number % 2 else -1), round(top + step * number, 1)) for number in range(count)
    ]


def _in_oval(number: int, count: int, oval: Oval) -> tuple[float, float]:
    out, turn = math.sqrt((number + 0.5) / max(count, 1)) * 0.9, number * _TURN
    return round(oval.x + oval.rx * out * math.cos(turn), 1), round(oval.y + oval.ry * out * math.sin(turn), 1)


def _ovals(frame: Frame, labs: Sequence[Lab]) -> list[Oval]:
    others = [lab for lab in labs if not lab.own]
    x, y, rx, ry = frame.own
    found = [Oval(x, y, rx, ry, lab) for lab in labs if lab.own]
    x, rx = frame.labs
    each = frame.height / max(1, len(others))
    tall = min(66.0, each / 2 - 6) if frame.dots else min(44.0, each / 2 - 4)
    found += [Oval(x, round(each * (place + 0.5), 1), rx, round(tall, 1), lab) for place, lab in enumerate(others)]
    return found


def _labelled(tokens: Sequence[Token]) -> set[str]:
    """The tokens that get a label: those that stand for several, then those that more labs carry."""
    best = sorted(tokens, key=lambda token: (token.many == 1, -len(token.labs), -token.most, token.code))
    return {token.code for token in best[:_MOST_LABELS]}


_Point = tuple[float, float]


def _placed(
    token: Token,
    here: _Point,
    ovals: Sequence[Oval],
    places: Mapping[str, _Point],
    word: Mapping[str, Account],
    *,
    labelled: bool,
) -> Placed:
    """A token with its lines: to one's own accounts where they are shown, else and for others to the lab."""
    solid: list[str] = []
    dotted: list[str] = []
    for account in token.accounts:
        if account in places:
            (dotted if token.word or account in word else solid).append(_curve(places[account], here))
    drawn = bool(solid or dotted)
    for oval in ovals:
        if oval.lab.id in token.labs and not (oval.lab.own and drawn):
            (dotted if token.word else solid).append(_curve(_edge(oval, here), here))
    size = 11.0 if token.many > 1 else 6.0 if token.most < 100 else 7.5 if token.most < 1000 else 9.0
    return Placed(
        token=token,
        x=round(here[0], 1),
        y=round(here[1], 1),
        outline=_outline(token.family, size),
        lines="".join(solid),
        dotted="".join(dotted),
        opacity=round(min(0.55, max(0.13, 7 / (len(solid) + len(dotted) + 1))), 2),
        anchor="middle",
        label_x=0,
        label_y=size + 12,
        labelled=labelled,
    )


def _edge(oval: Oval, to: _Point) -> _Point:
    """Where a line from a lab to a token leaves the lab: on the side that is nearer."""
    side = max(-0.8, min(0.8, (to[1] - oval.y) / (2.5 * oval.ry)))
    towards = 1 if to[0] > oval.x else -1
    return oval.x + towards * oval.rx * math.sqrt(1 - side * side), oval.y + oval.ry * side


def _curve(start: _Point, end: _Point) -> str:
    """A line that leaves straight for its end and arrives level, so that lines to one mark part soon."""
    across, down = end[0] - start[0], end[1] - start[1]
    first, second = (start[0] + across * 0.4, start[1] + down * 0.3), (end[0] - across * 0.3, end[1] - down * 0.06)
    return f"M{_at(start)}C{_at(first)} {_at(second)} {_at(end)}"


def _at(point: _Point) -> str:
    return f"{point[0]:.1f} {point[1]:.1f}"


def _outline(family: str, size: float) -> str:
    """The shape of a family around 0, 0: a card, a hexagon, a diamond, a circle."""
    if family == "payment":
        w, h = size * 1.15, size * 0.8
        return f"M{-w:.1f} {-h:.1f}H{w:.1f}V{h:.1f}H{-w:.1f}Z"
    if family == "account":
        arc = f"a{size:.1f} {size:.1f} 0 1 0"
        return f"M{-size:.1f} 0{arc} {2 * size:.1f} 0{arc} {-2 * size:.1f} 0Z"
    corners = 6 if family == "prompt" else 4
    turns = [2 * math.pi * number / corners for number in range(corners)]
    return "M" + "L".join(_at((math.sin(turn) * size, -math.cos(turn) * size)) for turn in turns) + "Z"
