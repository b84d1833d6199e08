"""All text that people read in templates is marked for translation: what is not is found by reading the templates."""

from __future__ import annotations

import html
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from django.db.models import TextChoices
from django.template import engines
from django.template.base import Node, NodeList, TextNode, VariableNode
from django.template.defaulttags import CommentNode
from django.template.loader_tags import BlockNode
from django.templatetags.i18n import BlockTranslateNode, TranslateNode
from django.utils.functional import Promise

_ROOT = Path(__file__).resolve().parent.parent.parent
_TEMPLATES = sorted(_ROOT.glob("*/templates/**/*.html"))
#: What a node says that the page computes, or that is marked.
_SAID = "\ue000"
#: Attributes that are read, or read out.
_READ = frozenset(
    {"title", "aria-label", "aria-description", "placeholder", "alt", "label", "data-confirm", "data-label"}
)
#: Elements whose text is no text in a language: code, samples, commands.
_CODE = frozenset({"code", "kbd", "pre", "script", "style", "samp"})
#: What is the same in every language: names, units, standards.
_SYMBOLS = frozenset(
    "API CSV Exchange G JSON MISP NOVA PNG STIX SVG TAXII TLP TOTP URL UTC d exk exl h https id ms s x".split()
)
#: Spellings of a filter.
_SPELT = "high, >=2, <7d"
#: Blocks that fill a `class`.
_CLASSES = frozenset({"flush", "framed", "wide"})
_EXAMPLES = re.compile(r"[\w.:/@=<>,+-]*[.:/@=<>_-][\w.:/@=<>,…+-]*", re.ASCII)


def _linear(nodes: NodeList) -> str:
    """The template as one text: each branch after the other, a sign for what is marked or computed."""
    return "".join(_of(node) for node in nodes)


def _of(node: Node) -> str:
    if isinstance(node, TextNode):
        return str(node.s)
    if isinstance(node, VariableNode | TranslateNode | BlockTranslateNode):
        return _SAID
    if isinstance(node, CommentNode) or (isinstance(node, BlockNode) and node.name in _CLASSES):
        return ""
    lists = [getattr(node, name, None) for name in node.child_nodelists]
    return "".join(_linear(each) for each in lists if each) or _SAID


class _Reader(HTMLParser):
    """Gathers what is read: text outside code, and attributes that are read."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._code = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._code += tag in _CODE
        self.found += [value for name, value in attrs if name in _READ and value]

    def handle_endtag(self, tag: str) -> None:
        self._code -= tag in _CODE and self._code > 0

    def handle_data(self, data: str) -> None:
        if not self._code:
            self.found.append(data)


def _plain_words(said: str) -> list[str]:
    """The words of a text that nobody could translate."""
    spoken = html.unescape(said).replace(_SPELT, "").split(_SAID)
    parts = [part for each in spoken for part in each.split() if not _EXAMPLES.fullmatch(part)]
    words = re.findall(r"[^\W\d_]+", " ".join(parts))
    return [word for word in words if word not in _SYMBOLS]


def unmarked(source: str) -> list[str]:
    """Texts of a template that are not marked."""
    reader = _Reader()
    reader.feed(_linear(engines["django"].from_string(source).template.nodelist))
    reader.close()
    return [" ".join(said.replace(_SAID, "…").split()) for said in reader.found if _plain_words(said)]


def test_all_text_of_templates_is_marked_for_translation() -> None:
    found = {
        str(path.relative_to(_ROOT)): left
        for path in _TEMPLATES
        if (left := unmarked(path.read_text(encoding="utf-8")))
    }
    assert not found


@pytest.mark.parametrize(
    ("source", "left"),
    [
        ("<p>Nothing waits</p>", ["Nothing waits"]),
        ('<p>{% translate "Nothing waits" %}</p>', []),
        ('<b title="Only these">{{ n }}</b>', ["Only these"]),
        ("<b>{% if one %}{{ n }} and more{% else %}none{% endif %}</b>", ["… and morenone"]),
        ("<code>exchange tokenise</code> {{ at }} UTC", []),
        ('<input placeholder="api.lab.example" class="wide field">', []),
        ("{% blocktranslate count n=n %}{{ n }} line{% plural %}{{ n }} lines{% endblocktranslate %}", []),
        ("{% for one in many %}<li>as it is</li>{% empty %}nobody{% endfor %}", ["as it is", "nobody"]),
        ("{% comment %}not for people{% endcomment %}", []),
    ],
)
def test_text_that_is_not_marked_is_found(source: str, left: list[str]) -> None:
    assert unmarked(source) == left


#: What shows a text to people, followed by one that is not marked.
_SHOWS = re.compile(
    r"(?:\b(?:say|fail|trouble|not|Error)\(|\bnote\([^,()]+, |\b(?:invalid|refused): |textContent = )[\"'`][^\"'`$]*[A-Za-z]{2}"
)


def test_all_text_of_scripts_is_marked_for_translation() -> None:
    scripts = [path for path in _ROOT.glob("*/static/*/*.js") if path.parent.name not in ("bundled", "vendor")]
    assert len(scripts) > 10
    shows = {path.name: _SHOWS.findall(path.read_text(encoding="utf-8")) for path in scripts}
    assert {name: found for name, found in shows.items() if found} == {}


@pytest.mark.parametrize(
    ("script", "is_found"),
    [
        ('fail("Nothing was read")', True),
        ('note("trouble", "A part did not arrive")', True),
        ('note("trouble", gettext("A part did not arrive"))', False),
        ('note("stale", words)', False),
    ],
)
def test_text_of_a_script_that_is_not_marked_is_found(script: str, is_found: bool) -> None:
    assert (_SHOWS.search(script) is not None) is is_found


def test_all_labels_of_choices_are_marked_for_translation() -> None:
    ours = [each for each in TextChoices.__subclasses__() if each.__module__.partition(".")[0] in _PACKAGES]
    assert len(ours) > 30
    plain = [f"{each.__qualname__}.{one.name}" for each in ours for one in each if not isinstance(one._label_, Promise)]
    assert plain == []


_PACKAGES = frozenset({"exchange", "indicators", "partners"})
