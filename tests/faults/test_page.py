"""The page shows the last of each run and defect with sums, and its other text stays."""

from datetime import UTC, datetime
from typing import Any

import pytest

import page
from summary import Summary

NOW = datetime(2026, 11, 21, tzinfo=UTC)
RUN: dict[str, Any] = {
    "run": "a", "at": "2026-11-21 12:00", "seed": 1, "orders": 10, "injected": 2, "lost": 1, "unexpected": 0,
    "duplicated": 0, "recovered": 3, "seconds": 4.4,
}  # fmt: skip
ROWS: list[dict[str, Any]] = [
    RUN,
    {"servers": "PostgreSQL 15, RabbitMQ 3.10"},
    {**RUN, "lost": 0},
    {**RUN, "run": "b", "orders": 5, "rest_after": 7.2},
    {"defect": "no inbox", "where": "inventory", "attack": "repeated", "caught": ["I6"]},
]


def test_the_last_of_each_run_counts_and_the_sum_is_theirs() -> None:
    lines = page.counted(ROWS, NOW)
    assert "| a | 2026-11-21 12:00 | 1 | 10 | 2 | 0 | 0 | 0 | 3 | 4 | - |" in lines
    assert "| **all 2** | | | 15 | 4 | 1 | 0 | 0 | 6 | 9 | |" in lines
    assert "| b | 2026-11-21 12:00 | 1 | 5 | 2 | 1 | 0 | 0 | 3 | 4 | 7 |" in lines
    assert "PostgreSQL 15, RabbitMQ 3.10" in lines


def test_a_defect_is_marked_under_the_check_that_caught_it() -> None:
    (line,) = [each for each in page.caught(ROWS) if each.startswith("| no inbox")]
    marks = [cell.strip() for cell in line.split("|")][4:-1]
    assert dict(zip(page.CHECKS, marks, strict=True))["I6"] == "caught"
    assert marks.count("caught") == 1


def test_only_the_part_between_the_marks_is_written() -> None:
    assert page.written(f"top\n{page.BEGIN}\nold\n{page.END}\nend", "new") == "top\nnew\nend"
    with pytest.raises(ValueError, match="marks"):
        page.written("no marks", "new")
    assert page.BEGIN in page.PAGE.read_text()


def test_violations_are_counted_as_what_they_are() -> None:
    summary = Summary("a", 1)
    summary.count(
        ["I5 x: received 1 of 2", "I8 unsent in orders", "I6 sent twice", "I2 x", "I8 locked"]
    )
    assert (summary.lost, summary.duplicated, summary.unexpected) == (2, 1, 2)
    assert not summary.is_clean()
