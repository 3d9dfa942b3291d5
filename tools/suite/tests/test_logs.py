"""Logs: the last lines, then new lines."""

from pathlib import Path

import pytest

from suite import logs
from suite.refusals import NotRunning


def test_the_last_lines_are_followed_by_new_ones(tmp_path: Path) -> None:
    file = tmp_path / "orders.log"
    file.write_text("one\ntwo\nthree\n")
    tail = logs.Tail(file, 2)
    assert list(tail.fresh()) == ["two", "three"]

    with file.open("a") as log:
        log.write("four\nhalf a li")
    assert list(tail.fresh()) == ["four"]

    with file.open("a") as log:
        log.write("ne\n")
    assert list(tail.fresh()) == ["half a line"]


def test_a_replaced_log_is_followed_from_its_beginning(tmp_path: Path) -> None:
    file = tmp_path / "orders.log"
    file.write_text("a long line of the past\n")
    tail = logs.Tail(file, 0)

    file.write_text("fresh\n")

    assert list(tail.fresh()) == ["fresh"]


def test_each_line_of_all_logs_names_its_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cart.log").write_text("locked\n")
    (tmp_path / "orders.log").write_text("placed\n")

    logs.show(tmp_path, "", lines=5, follow=False)

    assert capsys.readouterr().out == "cart   | locked\norders | placed\n"


def test_the_refusal_of_an_unknown_log_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "orders.log").touch()

    with pytest.raises(NotRunning, match="no log of butcher; there are: orders"):
        logs.show(tmp_path, "butcher", lines=5, follow=False)
