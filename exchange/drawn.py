"""What the fields of a form held when it was drawn, kept in the form: an old one overwrites nothing unseen.

A form sends all its fields. One that was opened before somebody else saved theirs would take that back, and nobody
would see it. So `{% drawn %}` writes down what the fields held, and the view that saves asks `require_same`; where
something else is held now, `Stale` becomes a page (409) that shows what it was, what it is and what was typed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import orjson
from django.http import HttpRequest, QueryDict

from exchange.translating import later

#: What each field holds, by its name in the form.
type Fields = Mapping[str, object]

#: The name of the hidden field.
NAME = "drawn"
_MOST_CHARS = 20_000
#: Fields of a form that say nothing of what is set.
_ASIDE = (NAME, "csrfmiddlewaretoken")
#: What is in no page: whoever typed it types it once more.
_SECRET = ("client_secret",)

_CALLED = {
    "admin_tlp": later("Admins publish"),
    "admin_width": later("Admins share"),
    "alone_objects": later("Objects that one may publish alone"),
    "alone_tlp": later("Marking that one may publish alone"),
    "alone_width": later("How far one may share alone"),
    "cap_broad": later("Broad values within a day"),
    "cap_ends": later("Objects revoked or withdrawn within an hour"),
    "cap_objects": later("Objects that go out within a day"),
    "cap_recipients": later("Recipients of objects within a day"),
    "ceiling_tlp": later("Ceiling: publishes"),
    "ceiling_width": later("Ceiling: shares"),
    "client_id": later("Client id"),
    "client_secret": later("Client secret"),
    "default": later("A push that names no audience"),
    "default_tlp": later("Marking of what has none"),
    "filter": later("Filter"),
    "groups": later("Groups"),
    "issuer": later("Issuer"),
    "name": later("Name"),
    "open_to_everyone": later("Every partner, what is CLEAR or GREEN"),
    "partners": later("Single partners"),
    "publisher_tlp": later("Publishers publish"),
    "publisher_width": later("Publishers share"),
    "second_factor": later("Second factor"),
    "tlp": later("Marking"),
}


@dataclass(frozen=True, slots=True)
class Difference:
    """One field: what it held when the form was drawn (None: unknown), holds now, and what was typed."""

    called: str
    was: list[str] | None
    now: list[str]
    typed: list[str]

    @property
    def theirs(self) -> bool:
        """Whether somebody else changed it."""
        return self.was != self.now

    @property
    def mine(self) -> bool:
        """Whether whoever sends the form changed it."""
        return self.typed != (self.now if self.was is None else self.was)


class Stale(Exception):
    """A form that was drawn before somebody else changed what it shows; nothing of it is saved."""

    def __init__(self, sent: QueryDict, was: Mapping[str, list[str]], now: Mapping[str, list[str]]) -> None:
        """Of what is sent, and what the fields held and hold."""
        super().__init__("changed-meanwhile")
        found = {name: Difference(_called(name), was.get(name), now[name], _held(sent.getlist(name))) for name in now}
        #: What either side changed.
        self.lines = [line for line in found.values() if line.theirs or line.mine]
        self.now = now
        #: The fields of the form that saves what was typed upon what is held now; what was not touched stays.
        self.fields = [
            (name, value)
            for name, values in sent.lists()
            if name not in found and name not in (*_ASIDE, *_SECRET)
            for value in values
        ]
        self.secrets = [(name, str(_CALLED[name])) for name in _SECRET if sent.get(name)]
        self.fields += [
            (name, value) for name, line in found.items() for value in (line.typed if line.mine else line.now)
        ]


def written(fields: Fields) -> str:
    """The value of the hidden field."""
    return orjson.dumps({name: _held(held) for name, held in fields.items()}, option=orjson.OPT_SORT_KEYS).decode()


def carried(request: HttpRequest, fields: Fields) -> Fields:
    """What the form held when it was first drawn, where its page is made again with what was typed."""
    sent = request.POST.get(NAME)
    return fields if sent is None else _read(sent)


def require_same(request: HttpRequest, fields: Fields) -> None:
    """Raise Stale unless the form was drawn with what these fields hold now, or asks for nothing else.

    Call it where nobody can change them between this and the saving. A form without the hidden field was not drawn
    by a page, and is saved as it is.
    """
    sent = request.POST.get(NAME)
    if sent is None:
        return
    was, now = _read(sent), {name: _held(held) for name, held in fields.items()}
    if any(was.get(name) != held for name, held in now.items()) and any(
        _held(request.POST.getlist(name)) != held for name, held in now.items()
    ):
        raise Stale(request.POST, was, now)


def _held(value: object) -> list[str]:
    """As a form sends it: nothing of a box that is not ticked, or a field that is empty."""
    values = value if isinstance(value, list | tuple) else [value]
    return sorted({text for one in values if one not in (None, False) and (text := str(one).strip())})


def _read(sent: str) -> dict[str, list[str]]:
    try:
        found = orjson.loads(sent) if len(sent) <= _MOST_CHARS else None
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        return {}
    return {name: _held(held) for name, held in found.items() if isinstance(held, list)}


def _called(name: str) -> str:
    return str(_CALLED.get(name, name.replace("_", " ").capitalize()))
