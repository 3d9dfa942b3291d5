"""Waiting for processes: patience with those that were killed, none with those that cannot start."""

import itertools
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from suite import ready
from suite.plan import Process
from suite.refusals import NotReady

PATIENCE = 60.0


@contextmanager
def unheard() -> Iterator[tuple[socket.socket, Process]]:
    """A process whose port is taken and does not listen yet."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        yield server, Process("shop", [], "/", health=f"tcp://127.0.0.1:{port}")


def silent(_line: str) -> None:
    """Nobody listens to the reports."""


def test_a_process_that_was_killed_often_before_is_waited_for(tmp_path: Path) -> None:
    with unheard() as (server, process):
        asked = itertools.count()

        def restarts() -> dict[str, int]:
            if next(asked) == 2:
                server.listen()
            return {"shop": 2 * ready.TRIES}

        ready.wait([process], tmp_path, PATIENCE, silent, restarts)
        assert next(asked) > 2


def test_a_process_that_ends_again_and_again_is_given_up_with_its_last_words(
    tmp_path: Path,
) -> None:
    (tmp_path / "shop.log").write_text("no such setting")
    with unheard() as (_, process):
        ends = itertools.count(7)
        with pytest.raises(NotReady, match="no such setting"):
            ready.wait([process], tmp_path, PATIENCE, silent, lambda: {"shop": next(ends)})
        assert next(ends) == 7 + 1 + ready.TRIES
