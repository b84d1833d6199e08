"""What a row says of its route."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

EVERYBODY = ("anonymous", "aster", "borealis", "cygnus", "dorado", "operator")
PARTNERS = EVERYBODY[1:]
ABSENT = str(uuid.uuid4())
API = "/api/v1/"
TAXII = "/taxii2/exchange/"


@dataclass(frozen=True)
class Row:
    """How a route is asked.

    `who` is let in: "all", "key" (anybody with an API key), "person" (anybody signed in) or "owner" (the partner
    whose thing it is). `shows` is whether objects that the caller may see must show.
    """

    path: str
    who: str
    shows: bool = False
    method: str = "get"
    absent: str = ""  # the same path for a thing that is not there
    also: tuple[str, ...] = ()  # methods that change something, each refused to everybody but the owner
    body: dict = field(default_factory=dict)
    accept: str = ""
    only: tuple[str, ...] = ()  # of the objects that a caller may see, those that this route shows; none: all of them


def let_in(row: Row, who: str) -> bool:
    publishes = who in ("aster", "borealis", "cygnus", "operator")
    allowed: dict[str, Callable[[], bool]] = {
        "all": lambda: True,
        "nobody": lambda: False,
        "key": lambda: who != "anonymous",
        "person": lambda: who != "anonymous",
        "publish": lambda: publishes,
        "owner": lambda: who == "aster",
        "sharer": lambda: who == "aster",
        "sees": lambda: who in ("aster", "borealis"),
        "owner or operator": lambda: who in ("aster", "operator"),
        "ring or operator": lambda: who in ("aster", "borealis", "operator"),
        "operator": lambda: who == "operator",
        "admin": lambda: False,  # nobody here has a key with the scope; tests/partners/api asks with such keys
    }
    return allowed[row.who]()
