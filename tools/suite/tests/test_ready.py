"""Waiting for processes: earlier kills do not count, repeated failures end the wait."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suite import ready
from suite.plan import Process
from suite.refusals import NotReady

DEADLINE = 60.0


@contextmanager
def not_listening() -> Iterator[tuple[socket.socket, Process]]:
    """A process whose port is bound and does not listen yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        yield server, Process("shop", [], "/", health=[f"tcp://127.0.0.1:{port}"])


def ignore(_line: str) -> None:
    """Discard the report."""


def test_restarts_before_the_wait_do_not_count(tmp_path: Path) -> None:
    with not_listening() as (server, process):
        polls = itertools.count()

        def restarts() -> dict[str, int]:
            if next(polls) == 2:
                server.listen()
            return {"shop": 2 * ready.TRIES}

        ready.wait([process], tmp_path, DEADLINE, ignore, restarts)
        assert next(polls) > 2


def test_a_process_that_ends_repeatedly_is_refused_with_the_end_of_its_log(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.log").write_text("no such setting")
    with not_listening() as (_, process):
        ends = itertools.count(7)
        with pytest.raises(NotReady, match="no such setting"):
            ready.wait([process], tmp_path, DEADLINE, ignore, lambda: {"shop": next(ends)})
        assert next(ends) == 7 + 1 + ready.TRIES


def test_a_process_is_ready_once_all_of_its_checks_pass(tmp_path: Path) -> None:
    with not_listening() as (first, one), not_listening() as (second, other):
        both = Process("pack", [], "/", health=[*one.health, *other.health])
        first.listen()
        polls = itertools.count()

        def restarts() -> dict[str, int]:
            if next(polls) == 2:
                second.listen()
            return {}

        ready.wait([both], tmp_path, DEADLINE, ignore, restarts)
        assert next(polls) > 2
