"""Logs: private, of limited size, and shown with the names of their processes."""

from pathlib import Path

import pytest

from suite import logs
from suite.refusals import NotRunning


def test_a_log_is_readable_by_its_owner_alone(tmp_path: Path) -> None:
    file = tmp_path / "orders.log"
    file.touch(mode=0o644)

    for each in (file, tmp_path / "new.log"):
        logs.open_private(each).close()
        assert each.stat().st_mode & 0o777 == 0o600


def test_a_long_log_is_rotated_below_its_writer(tmp_path: Path) -> None:
    """Each turn writes eight lines of ten bytes; a part holds the last six."""
    log = tmp_path / "orders.log"
    with logs.open_private(log) as writer:
        for turn in range(5):
            writer.write(f"placed: {turn}\n".encode() * 8)
            writer.flush()
            logs.rotate(tmp_path, longest=60)
            assert log.stat().st_size == 0
        writer.write(b"late\n")
        writer.flush()
        logs.rotate(tmp_path, longest=60)

    assert log.read_text() == "late\n"
    parts = sorted(tmp_path.glob("orders.log.*"))
    assert [part.name for part in parts] == ["orders.log.1", "orders.log.2", "orders.log.3"]
    assert [part.read_text() for part in parts] == [f"placed: {turn}\n" * 6 for turn in (4, 3, 2)]
    assert all(part.stat().st_mode & 0o077 == 0 for part in parts)


def test_one_log_is_shown_from_its_last_lines(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "orders.log").write_text("one\ntwo\nthree\n")

    logs.show(tmp_path, "orders", lines=2, follow=False)

    assert capfd.readouterr().out == "two\nthree\n"


def test_the_lines_of_all_logs_stand_below_the_names_of_their_processes(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cart.log").write_text("locked\n")
    (tmp_path / "orders.log").write_text("placed\n")

    logs.show(tmp_path, "", lines=5, follow=False)

    assert capfd.readouterr().out == "==> cart.log <==\nlocked\n\n==> orders.log <==\nplaced\n"


def test_the_refusal_of_an_unknown_log_lists_the_known_ones(tmp_path: Path) -> None:
    (tmp_path / "orders.log").touch()

    with pytest.raises(NotRunning, match="no log of butcher; there are: orders"):
        logs.show(tmp_path, "butcher", lines=5, follow=False)
