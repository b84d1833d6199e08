"""The documentation as pages: the Markdown files of `exchange/docs`, rendered once, without any HTML of theirs.

Chapters link to each other by file name; as pages they link by address. What is no chapter (a file of the source) is
shown as text, so that no link leads nowhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.templatetags.static import static
from markdown_it import MarkdownIt
from markdown_it.token import Token

PLACE = Path(__file__).parent / "docs"
#: The order in which they are read: part by part.
PARTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Begin", ("start", "concepts", "portal", "people", "keys")),
    ("What is shared", ("vocabulary", "tokens", "partners", "attribution", "door", "stix", "formats")),
    ("What becomes of it", ("judgement", "campaigns", "feeds", "log")),
    ("For machines", ("client", "api", "delta", "agent", "lab", "taxii", "taxii-conformance", "connections")),
    ("Trust", ("security", "threats", "legal")),
    ("For the operator", ("operating",)),
)
DECISIONS = "adr"
#: Where chapters find their pictures, as a file that is read in the repository does.
_PICTURES = "../static/exchange/docs/"
#: Characters that a passage shows before what was found; as many follow.
_AROUND = 80
_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a chapter: what it says, and its place on the page."""

    title: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Section:
    """What stands below a heading, as plain text in one line; `heading` is None before the first one."""

    heading: Heading | None
    text: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page: its name in the address, its title, its headings, what it says as HTML, and as text to be searched."""

    name: str
    title: str
    headings: tuple[Heading, ...]
    body: str
    sections: tuple[Section, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: a chapter, the headings of what holds the words, and a passage where only the text does."""

    chapter: Chapter
    headings: tuple[Heading, ...]
    passage: str = ""


def find(name: str) -> Chapter | None:
    """The chapter of this name (`feeds`, `adr/0006-audiences`), or None where there is none."""
    folder, _, last = name.rpartition("/")
    if folder not in {"", DECISIONS} or not _NAME.fullmatch(last):
        return None
    path = PLACE / folder / f"{'README' if last == 'index' and folder else last}.md"
    return _rendered(name, path) if path.is_file() else None


@cache
def contents() -> tuple[tuple[str, tuple[Chapter, ...]], ...]:
    """All chapters, part by part; those that no part names come last."""
    named = {name for _, names in PARTS for name in names}
    more = tuple(name for name in known() if "/" not in name and name not in named)
    parts = (*PARTS, ("More", more)) if more else PARTS
    return tuple((part, tuple(filter(None, map(find, names)))) for part, names in parts)


def search(words: str) -> list[Found]:
    """Chapters that hold all the words, in whatever case: first in the title, then in a heading, then in a section."""
    wanted = words.lower().split()
    if not wanted:
        return []
    ranked = [_ranked(chapter, wanted) for _, chapters in contents() for chapter in chapters]
    return [found for rank, found in sorted(filter(None, ranked), key=lambda one: one[0])]


def _ranked(chapter: Chapter, wanted: Sequence[str]) -> tuple[int, Found] | None:
    """What of a chapter holds the words, and how far behind it stands; None where nothing does."""
    in_title = _holds(chapter.title, wanted)
    headings = tuple(one for one in chapter.headings if _holds(one.title, wanted))
    if in_title or headings:
        return (0 if in_title else 1), Found(chapter, headings)
    sections = [one for one in chapter.sections if _holds(one.text, wanted)]
    if not sections:
        return None
    titled = tuple(one.heading for one in sections if one.heading)
    return 2, Found(chapter, titled, _passage(sections[0].text, wanted))


def _holds(text: str, wanted: Sequence[str]) -> bool:
    lower = text.lower()
    return all(word in lower for word in wanted)


def _passage(text: str, wanted: Sequence[str]) -> str:
    """Some words around the first one that was found."""
    at = max(0, text.lower().find(wanted[0]) - _AROUND)
    begins = text.find(" ", at) + 1 if at else 0
    ends = begins + 2 * _AROUND
    said = text[begins:ends]
    if ends < len(text):
        said = f"{said.rpartition(' ')[0]} …"
    return f"… {said}" if begins else said


@cache
def _rendered(name: str, path: Path) -> Chapter:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table"])
    tokens = reader.parse(path.read_text(encoding="utf-8"))
    headings = tuple(_anchored(tokens))
    sections = tuple(_sections(tokens))
    _linked(tokens, name)
    _boxed(tokens)
    titles = [one.title for one, level in headings if level == "h1"]
    first = next((place for place, one in enumerate(tokens) if one.type == "heading_close"), -1)
    body = str(reader.renderer.render(tokens[first + 1 :], reader.options, {}))
    # It scrolls, by keys as well. What a chapter says is escaped, so no text holds a bare "<pre>".
    body = body.replace("<pre>", '<pre tabindex="0">')
    inner = tuple(one for one, level in headings if level == "h2")
    return Chapter(name, titles[0] if titles else name, inner, body, sections)


def _sections(tokens: Sequence[Token]) -> Iterator[Section]:
    """The text of a chapter, heading of the second level by heading; read before anything is changed for the page."""
    heading: Heading | None = None
    said: list[str] = []
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and token.tag == "h2":
            yield Section(heading, " ".join(" ".join(said).split()))
            heading, said = Heading(_text(tokens[place + 1]), str(token.attrGet("id"))), []
        elif token.type == "inline":
            said.append("".join(_plain(one) for one in token.children or ()))
        elif token.type in {"fence", "code_block"}:
            said.append(token.content)
    yield Section(heading, " ".join(" ".join(said).split()))


def _plain(token: Token) -> str:
    return token.content if token.type in {"text", "code_inline"} else " " if token.type.endswith("break") else ""


def _anchored(tokens: Sequence[Token]) -> Iterator[tuple[Heading, str]]:
    """Give each heading its place, as GitHub does; a second one of the same words gets a number."""
    seen: dict[str, int] = {}
    for place, token in enumerate(tokens):
        if token.type != "heading_open":
            continue
        title = _text(tokens[place + 1])
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        count = seen[anchor] = seen.get(anchor, -1) + 1
        anchor = f"{anchor}-{count}" if count else anchor
        token.attrSet("id", anchor)
        yield Heading(title, anchor), token.tag


def _text(token: Token) -> str:
    return "".join(one.content for one in token.children or () if one.type in {"text", "code_inline"})


def _linked(tokens: Sequence[Token], name: str) -> None:
    """Pictures as the portal's files, links as addresses; a link to what is no chapter becomes its words alone."""
    folder = name.rpartition("/")[0]
    for token in tokens:
        for one in token.children or ():
            if one.type == "image" and (file := str(one.attrGet("src") or "")).startswith(_PICTURES):
                one.attrSet("src", static(f"exchange/docs/{file.removeprefix(_PICTURES)}"))
                one.attrSet("loading", "lazy")
        kept: list[Token] = []
        dropped = False
        for one in token.children or ():
            if one.type == "link_open":
                to = address(str(one.attrGet("href") or ""), folder)
                dropped = not to
                one.attrSet("href", to)
            if not (dropped and one.type in {"link_open", "link_close"}):
                kept.append(one)
        if token.children is not None:
            token.children = kept


def address(to: str, folder: str) -> str:
    """Where a link of a chapter leads as a page; empty where it leads to no page."""
    if to.startswith(("#", "https://", "/")):
        return to
    file, hash_, anchor = to.partition("#")
    parts = [*filter(None, folder.split("/"))]
    for step in file.split("/"):
        if step == "..":
            if not parts:
                return ""
            parts.pop()
        elif step != ".":
            parts.append(step)
    whole = "/".join(parts)
    if not whole.endswith(".md"):
        return ""
    chapter = whole.removesuffix(".md").replace("README", "index")
    return f"/docs/{chapter}{hash_}{anchor}" if _is_there(whole) else ""


def _is_there(whole: str) -> bool:
    return (PLACE / whole).is_file()


def _boxed(tokens: list[Token]) -> None:
    """Tables scroll in a box of their own, which keys reach; so does code."""
    place = 0
    while place < len(tokens):
        token = tokens[place]
        if token.type == "table_open":
            tokens.insert(place, _raw('<div class="scroll" tabindex="0" role="region" aria-label="Table">'))
            place += 1
        elif token.type == "table_close":
            tokens.insert(place + 1, _raw("</div>"))
            place += 1
        elif token.type == "th_open":
            token.attrSet("scope", "col")
        if token.type in {"th_open", "td_open"}:
            _without_style(token)
        place += 1


def _without_style(token: Token) -> None:
    """Columns that Markdown aligns ask for a style, which pages may not hold."""
    if token.attrGet("style"):
        token.attrs.pop("style")
        token.attrSet("class", "num")


def _raw(html: str) -> Token:
    return Token("html_block", "", 0, content=html)


def known() -> list[str]:
    """The names of all chapters, decisions included."""
    files: list[Any] = sorted(PLACE.rglob("*.md"))
    return [path.relative_to(PLACE).as_posix().removesuffix(".md").replace("README", "index") for path in files]
