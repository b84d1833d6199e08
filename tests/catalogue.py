"""A catalogue of all messages, compiled for a language that nobody speaks: each letter as wide as it is in Japanese type.

The messages are gathered as `make messages` gathers them, without its tools: from calls, templates and scripts.
"""

from __future__ import annotations

import ast
import re
import struct
from collections.abc import Iterator
from pathlib import Path

from django.template import engines
from django.templatetags.i18n import BlockTranslateNode, TranslateNode

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("exchange", "indicators", "partners")
Message = tuple[str, ...]

#: Functions whose first texts are messages, and how many of them.
_CALLS = {"gettext": 1, "gettext_lazy": 1, "_": 1, "later": 1, "ngettext": 2, "ngettext_lazy": 2}
#: What a translator leaves as it is: places of values, elements, entities.
_KEPT = re.compile(r"%\(\w+\)[sd]|%%|%s|\{[^}]*\}|<[^>]+>|&\w+;")
_IN_TEMPLATES = re.compile(r'_\("([^"]+)"\)')
_TEXT = r"""(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\]|\\.)*)')"""
_IN_SCRIPTS = re.compile(rf"\bgettext\({_TEXT}|\bngettext\({_TEXT},\s*{_TEXT}")


def of_python() -> Iterator[Message]:
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        source = path.read_text(encoding="utf-8")
        if "translat" not in source:
            continue
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                wanted = node.args[: _CALLS.get(node.func.id, 0)]
                said = [one.value for one in wanted if isinstance(one, ast.Constant) and isinstance(one.value, str)]
                if said and len(said) == len(wanted):
                    yield tuple(said)


def of_templates() -> Iterator[Message]:
    for path in sorted(ROOT.glob("*/templates/**/*.*")):
        source = path.read_text(encoding="utf-8")
        yield from ((said,) for said in _IN_TEMPLATES.findall(source))
        nodes = engines["django"].from_string(source).template.nodelist
        for marked in nodes.get_nodes_by_type(TranslateNode):
            if said := marked.filter_expression.var.literal:
                yield (str(said).replace("%", "%%"),)
        for block in nodes.get_nodes_by_type(BlockTranslateNode):
            forms = [block.singular, block.plural] if block.plural else [block.singular]
            yield tuple(block.render_token_list(form)[0] for form in forms)


def of_scripts() -> Iterator[Message]:
    for path in sorted(ROOT.glob("*/static/*/*.js")):
        if path.parent.name not in ("bundled", "vendor"):
            for found in _IN_SCRIPTS.findall(path.read_text(encoding="utf-8")):
                yield tuple(filter(None, found))


def wide(message: str) -> str:
    """The message in the language of nobody."""
    said, at = [], 0
    for kept in _KEPT.finditer(message):
        said += [_wide(message[at : kept.start()]), kept[0]]
        at = kept.end()
    return "".join(said) + _wide(message[at:])


def _wide(text: str) -> str:
    return "".join(chr(ord(one) + 0xFEE0) if one.isascii() and one.isalpha() else one for one in text)


def compile_to(place: Path, domain: str, messages: set[Message]) -> None:
    """Write `place/LC_MESSAGES/DOMAIN.mo`, as msgfmt does."""
    rows = {b"": b"Content-Type: text/plain; charset=UTF-8\nPlural-Forms: nplurals=2; plural=(n != 1);\n"}
    rows |= {"\0".join(one).encode(): "\0".join(map(wide, one)).encode() for one in messages}
    texts = [*sorted(rows), *(rows[key] for key in sorted(rows))]
    count, at = len(rows), 28 + 16 * len(rows)
    table = []
    for text in texts:
        table += [len(text), at]
        at += len(text) + 1
    head = struct.pack("<7I", 0x950412DE, 0, count, 28, 28 + 8 * count, 0, 0)
    folder = place / "LC_MESSAGES"
    folder.mkdir(parents=True, exist_ok=True)
    body = b"".join(text + b"\0" for text in texts)
    (folder / f"{domain}.mo").write_bytes(head + struct.pack(f"<{len(table)}I", *table) + body)
