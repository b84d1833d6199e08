"""One request, and how it is sent and read: by whom, with what body, page after page.

A path names things by the names of `stage`; those that begin with `x_` are other people's, guessed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from django.test import Client

from indicators.api import events
from tests.surfaces.worlds.seen import Eyes
from tests.surfaces.worlds.stage import OUTSIDE, Stage

TAXII = "/taxii2/exchange/"
_NAMED = re.compile(r"\{([a-z]\w+)\}")
TAXII_MEDIA = "application/taxii+json;version=2.1"


@dataclass(frozen=True)
class Ask:
    """One request. `walk` is whether its further pages are asked for, too."""

    path: str
    who: str = "borealis"
    method: str = "GET"
    document: Any = None  # sent as JSON
    form: dict[str, Any] | None = None  # sent by a page
    headers: tuple[tuple[str, str], ...] = ()
    media: str = "application/json"
    walk: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        return " ".join(filter(None, (self.who, self.method, self.path, self.note)))


@dataclass
class Reader:
    """The reader in one world: what they asked, and what they saw."""

    stage: Stage
    eyes: Eyes
    seen: dict[str, str] = field(default_factory=dict)

    def within(self, stage: Stage, known: frozenset[str]) -> Reader:
        """The same reader in a world of their own."""
        return Reader(stage, self.eyes.of(stage.absent, known))

    def ask(self, phase: str, asks: Iterator[Ask], *, seconds: float) -> None:
        """Ask all of it, in order, at one moment."""
        self.stage.sessions.clear()
        streams_forget()
        for ask in asks:
            name = f"{phase}: {ask.name}"
            assert name not in self.seen, name
            self._one(name, ask, seconds=seconds)
        for place, message in enumerate(sorted(self.stage.posted, key=lambda one: (one.url, one.body))):
            name = f"{phase}: hook {place}"
            self.seen[name] = self.eyes.read(name, repr(message))
        self.stage.posted.clear()

    def _one(self, name: str, ask: Ask, *, seconds: float) -> None:
        self.stage.pins.step(name, seconds=seconds)
        ask = replace(ask, path=filled(ask.path, self.stage.things))
        path = ask.path
        following = ""
        for page in range(12):
            response = send(self.stage, ask, path + following)
            body = _content(response)
            label = name if page == 0 else f"{name} page {page}"
            self.seen[label] = self.eyes.see(label, response, body)
            if not ask.walk:
                return
            following = _following(path, body)
            if not following:
                return


def streams_forget() -> None:
    """What a stream told another a moment ago: no listener runs here that would say that something came since."""
    for told in (events._ASKED, events._FOUND):
        told._held.clear()


def send(stage: Stage, ask: Ask, path: str) -> Any:
    """Django's own answer."""
    machine = path.startswith(("/api/", "/taxii2"))
    headers = dict(ask.headers)
    more: dict[str, Any] = {}
    if machine and ask.who != "stranger":
        headers["Authorization"] = f"Bearer {stage.keys[ask.who]}"
    if path.startswith("/taxii2"):
        headers.setdefault("Accept", TAXII_MEDIA)
    if machine or ask.who == "stranger":
        client = Client(raise_request_exception=False)
        if ask.who == "stranger":
            more["REMOTE_ADDR"] = OUTSIDE
    else:
        client = stage.browser(ask.who)
    if ask.form is not None:
        return client.post(path, filled(ask.form, stage.things), headers=headers, **more)
    if ask.document is None:
        return client.generic(ask.method, path, b"", content_type="", headers=headers, **more)
    document = filled(ask.document, stage.things)
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return client.generic(ask.method, path, body, content_type=ask.media, headers=headers, **more)


def filled(value: Any, things: dict[str, str]) -> Any:
    """The same with things in the places of their names."""
    if isinstance(value, str):
        return _NAMED.sub(lambda found: things[found[1]], value)
    if isinstance(value, dict):
        return {name: filled(held, things) for name, held in value.items()}
    return [filled(held, things) for held in value] if isinstance(value, list | tuple) else value


def _content(response: Any) -> bytes:
    if not response.streaming:
        return bytes(response.content)
    if hasattr(response, "steps"):  # events: read until nothing more has happened
        pieces = []
        while isinstance(step := response.steps.step(), bytes) or type(step).__name__ == "Pause":
            pieces.append(step if isinstance(step, bytes) else b"")
        response.steps.close()
        return b"".join(pieces)
    return b"".join(response.streaming_content)


def _following(path: str, body: bytes) -> str:
    """What to add to a path for the page after this one; nothing where there is none."""
    found = json.loads(body)
    joint = "&" if "?" in path else "?"
    if found.get("next"):
        return f"{joint}{'next' if path.startswith('/taxii2') else 'cursor'}={found['next']}"
    if found.get("more") and found.get("cursor"):
        return f"{joint}cursor={found['cursor']}"
    return ""


@dataclass(frozen=True)
class Tour:
    """What is asked before, between and after what is hidden."""

    first: Callable[[], Iterator[Ask]]
    done: Callable[[], Iterator[Ask]]
    second: Callable[[], Iterator[Ask]]
    third: Callable[[], Iterator[Ask]]
