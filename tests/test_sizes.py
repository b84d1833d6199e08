"""A file holds one thought: those that are longer than a reader keeps in mind are few, and say why."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
MOST_LINES = 420
#: What is longer, and why it stays in one piece. A list that may get shorter.
LONGER = {
    "exchange/agent/cli.py": "the options of each command, which typer reads from signatures",
    "exchange/web/server.py": "one state machine: what a connection may do next",
    "indicators/log/walking.py": "one walk over the log, and the statements that it is made of",
    "indicators/publishing/storing.py": "the only writer of a push's tables: a statement for each",
}


def test_no_file_is_longer_than_a_thought_but_those_that_say_why():
    lengths = {
        str(path.relative_to(ROOT)): path.read_text().count("\n")
        for room in ("exchange", "partners", "indicators")
        for path in (ROOT / room).rglob("*.py")
        if "migrations" not in path.parts
    }
    long = {name for name, lines in lengths.items() if lines > MOST_LINES}
    assert sorted(long - LONGER.keys()) == []
