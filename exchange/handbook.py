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
    ("Begin", ("start", "portal", "people", "keys")),
    ("What is shared", ("vocabulary", "tokens", "partners", "attribution", "door", "stix", "formats")),
    ("What becomes of it", ("judgement", "campaigns", "feeds", "log")),
    ("For machines", ("client", "api", "delta", "agent", "lab", "taxii", "taxii-conformance", "connections")),
    ("For the operator", ("operating", "threats")),
)
DECISIONS = "adr"
#: Where chapters find their pictures, as a file that is read in the repository does.
_PICTURES = "../static/exchange/docs/"
_NAME = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Heading:
    """A heading of a chapter: what it says, and its place on the page."""

    title: str
    anchor: str


@dataclass(frozen=True, slots=True)
class Chapter:
    """One page: its name in the address, its title, its headings, and what it says as HTML."""

    name: str
    title: str
    headings: tuple[Heading, ...]
    body: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search found: a chapter, and of its headings those that hold the words."""

    chapter: Chapter
    headings: tuple[Heading, ...]


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
    """Chapters whose title or headings hold all the words, whatever their case; those by their title first."""
    wanted = words.lower().split()
    found = []
    for chapter in (chapter for _, chapters in contents() for chapter in chapters):
        in_title = all(word in chapter.title.lower() for word in wanted)
        headings = tuple(one for one in chapter.headings if all(word in one.title.lower() for word in wanted))
        if wanted and (in_title or headings):
            found.append((not in_title, Found(chapter, headings)))
    return [one for _, one in sorted(found, key=lambda each: each[0])]


@cache
def _rendered(name: str, path: Path) -> Chapter:
    reader = MarkdownIt("commonmark", {"html": False}).enable(["table"])
    tokens = reader.parse(path.read_text(encoding="utf-8"))
    headings = tuple(_anchored(tokens))
    _linked(tokens, name)
    _boxed(tokens)
    titles = [one.title for one, level in headings if level == "h1"]
    first = next((place for place, one in enumerate(tokens) if one.type == "heading_close"), -1)
    body = str(reader.renderer.render(tokens[first + 1 :], reader.options, {}))
    inner = tuple(one for one, level in headings if level == "h2")
    return Chapter(name, titles[0] if titles else name, inner, body)


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
