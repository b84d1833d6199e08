"""Words that are never right here (PRODUCT's nouns, plain English): people and keys are "they", partners are partners."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
#: Patterns of what the door reads, and names of languages.
_DATA = {"exchange/texts/payments.py", "exchange/texts/speech.py", "exchange/stix/words.py"}
_PERSON = re.compile(r"\b(he|his|him|himself|she|her|herself)\b", re.IGNORECASE)
#: Addresses and names of templates keep the word; TLP's definition of AMBER speaks of organisations, and so does MISP.
_ORGANISATION = re.compile(r"(?<![/'\"\w-])organisations?(?![\w(-]|\.html|/)", re.IGNORECASE)
_YIELDS = re.compile(r"\byield(s|ed)\b", re.IGNORECASE)
_SAYS_SO = {"exchange/docs/stix.md", "exchange/docs/connections.md", "indicators/connections/events.py"}


def texts(*endings):
    for room in ("exchange", "partners", "indicators"):
        for path in (ROOT / room).rglob("*"):
            if path.suffix in endings and not {"migrations", "simulate", "adr", "static"} & set(path.parts):
                yield str(path.relative_to(ROOT)), path.read_text()
    for path in ROOT.glob("*.md"):
        if path.suffix in endings and path.name != "CHANGELOG.md":
            yield path.name, path.read_text()


def places(found, pattern):
    return [
        f"{name}:{number}: {line.strip()[:100]}"
        for name, text in found
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]


def test_people_and_keys_are_they():
    assert places(((name, text) for name, text in texts(".py", ".html", ".md") if name not in _DATA), _PERSON) == []


def test_a_partner_is_called_a_partner_on_pages_in_answers_and_in_the_documentation():
    found = places(((name, text) for name, text in texts(".py", ".html", ".md") if name not in _SAYS_SO), _ORGANISATION)
    assert [one for one in found if not re.search("member organisation", one)] == []


def test_only_generators_yield():
    found = []
    for name, text in texts(".py"):
        if not _YIELDS.search(text):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
                says_so = _YIELDS.search(ast.get_docstring(node) or "")
                if says_so and not any(isinstance(one, ast.Yield | ast.YieldFrom) for one in ast.walk(node)):
                    found.append(f"{name}: {getattr(node, 'name', 'module')}")
    assert found == []


#: Words that once named several things: now each names one class at most, and what PRODUCT calls otherwise none.
_ONE_THING = {"Contributor", "Destination", "History", "Line", "Said", "Sight"}
_NO_CLASS = {"Held", "Place", "Room"}


def test_one_word_names_one_thing():
    found = [
        name
        for _, text in texts(".py")
        for name in re.findall(r"^\s*class (\w+)", text, re.MULTILINE)
        if name in _ONE_THING | _NO_CLASS
    ]
    assert sorted(found) == sorted(_ONE_THING)


def test_commands_of_the_server_are_called_what_its_wheel_installs():
    """`exchange-manage`; `manage.py` is there in a checkout alone, and is named where that is said."""
    named = re.compile(r"(?<![/\"])\bmanage\.py")
    found = places([*texts(".py", ".html", ".md"), ("env.example", (ROOT / "deploy/env.example").read_text())], named)
    assert [one for one in found if not re.search(r"checkout|exchange-manage", one)] == []


#: A registry's `exchange` is a stranger's: ours is installed from a checkout.
_A_STRANGERS = re.compile(r"""\b(pip|pipx|uv tool)3? install (-\S+ )*['"]?exchange(?![\w/.-])""")


def test_nobody_is_told_to_install_what_a_registry_has_under_our_name():
    rooms = [path for room in ("exchange", "partners", "indicators", "deploy") for path in (ROOT / room).rglob("*")]
    found = []
    for path in [*rooms, *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]:
        if path.is_file() and not {"static", "__pycache__"} & set(path.parts):
            found += places([(str(path.relative_to(ROOT)), path.read_text(errors="replace"))], _A_STRANGERS)
    assert found == []
