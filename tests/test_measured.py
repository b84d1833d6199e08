"""`make bench BENCH_ARGS=--readme`: figures come into the README's table, and what was not measured stays."""

from __future__ import annotations

from pathlib import Path

from bench import curves
from bench.table import Row, into_readme, widest

README = Path(__file__).resolve().parent.parent / "README.md"
FIRST = [
    Row("poll", 10_000, "1.4 ms", "floor: 0.8", "1.8 x", "≤ 3 x", met=True),
    Row("poll", 1_000_000, "4.0 ms", "floor: 1.0", "4.0 x", "≤ 3 x", met=False),
    Row("memory", 1_000_000, "203 MB", target="≤ 250"),
    Row("one of many", 1_000_000, "1 ms", detail=True),
]


def table(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("|")]


def test_a_whole_run_takes_the_place_of_all_that_is_there():
    text = into_readme("before\n<!-- measured -->\nold\n\n| x |\n<!-- /measured -->\nafter\n", FIRST, whole="Said.")
    assert text.startswith("before\n<!-- measured -->\nSaid.\n")
    assert text.endswith("<!-- /measured -->\nafter\n")
    assert table(text) == [
        "|  | 10,000 stored | 1,000,000 stored | target |",
        "|---|---|---|---|",
        "| poll | 1.4 ms, 1.8 x | **4.0 ms, 4.0 x** | ≤ 3 x |",
        "| memory |  | 203 MB | ≤ 250 |",
    ]


def test_what_is_measured_alone_takes_the_place_of_the_same_measure_alone():
    whole = into_readme("<!-- measured -->\n<!-- /measured -->", FIRST, whole="Said.")
    text = into_readme(
        whole, [Row("poll", 1_000_000, "2.0 ms", ratio="2.0 x", target="≤ 3 x", met=True), Row("new", 0, "1")]
    )
    assert "Said." in text
    assert table(text)[2:] == [
        "| poll | 1.4 ms, 1.8 x | 2.0 ms, 2.0 x | ≤ 3 x |",
        "| memory |  | 203 MB | ≤ 250 |",
        "| new |  | 1 |  |",
    ]


def test_the_table_of_the_readme_is_one_that_is_read_and_written_again_as_it_is():
    text = README.read_text()
    once = into_readme(text, [])
    assert into_readme(once, []) == once
    assert [line.replace(" ", "") for line in table(once)] == [line.replace(" ", "") for line in table(text)]


def test_of_many_the_one_that_takes_most_is_named():
    rows = [
        Row(name, 5, "2 ms", ratio=f"{times} x", met=times < 3) for name, times in (("a", 1.2), ("b", 12.0), ("c", 3.0))
    ]
    assert widest("the widest", rows) == Row("the widest", 5, "2 ms", "b", "12.0 x", "", met=False)


def test_curves_come_into_their_section_and_parts_not_measured_stay():
    rows = [Row("polls: 1", 0, "9 a second", "all of it", "1.00 x"), Row("bytes", 10, "3")]
    page = "# A\n\n## Growing\n\n| other |\n\n### Curves\n\nSaid.\n\n| a | b | c | d | e |\n|---|---|---|---|---|\n\nAfter.\n"
    once = curves.into_page(page, rows)
    assert "| polls: 1 |  | 9 a second | all of it | 1.00 x |\n| bytes | 10 | 3 |  |  |\n\nAfter.\n" in once
    assert "| other |" in once
    twice = curves.into_page(once, [Row("bytes", 10, "4")])
    assert twice == once.replace("| 3 |", "| 4 |")
    assert curves.into_page(twice, []) == twice


def test_the_operators_page_has_a_place_for_curves():
    page = README.parent / "exchange/docs/operating.md"
    assert "| polls: 1 |" in curves.into_page(page.read_text(), [Row("polls: 1", 0, "9")])
