"""Crash points: named places between two effects where a test can make this process fail.

They are off unless the setting `crash_points` names a folder. Then a point fails once for each file
`<service>/<point>/<message>.crash` (SIGKILL), `.freeze` (SIGSTOP) or `.raise` (an exception) there;
the failing process deletes the file, so that one file causes one failure in any number of
processes. Every point passed is logged in `<folder>/passed.log`: service, point, message.
"""

import os
import signal
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

LOG = "passed.log"


class Point(StrEnum):
    """Where a process may fail, for a message that it handles or publishes (by routing key)."""

    BEFORE_COMMIT = "before_commit"
    """Effects and answers are written; nothing is committed."""
    BEFORE_PUBLISH = "before_publish"
    """Committed; the relay has read the message and not published it."""
    AFTER_PUBLISH = "after_publish"
    """The broker has confirmed the message, which is still in the outbox."""
    BEFORE_ACK = "before_ack"
    """The effect of a message is committed; it is not acknowledged."""
    BEFORE_CALL = "before_call"
    """The attempt is recorded; the external system was not called."""
    AFTER_CALL = "after_call"
    """The external system has answered; the answer is not recorded."""


class Failed(Exception):
    """A crash point failed by an exception."""


_folder: Path | None = None
_service = ""


def configure(folder: Path | None, service: str) -> None:
    """Read failures from this folder; None turns the crash points off."""
    global _folder, _service
    _folder, _service = folder, service


def reached(point: Point, messages: Iterable[str]) -> None:
    """Fail if there is a file for one of the messages; while off, `messages` is not read."""
    if _folder is None:
        return
    names = list(messages)
    with (_folder / LOG).open("a") as log:
        log.write("".join(f"{_service} {point} {name}\n" for name in names))
    for name in names:
        place = _folder / _service / point
        if _consume(place / f"{name}.crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        if _consume(place / f"{name}.freeze"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if _consume(place / f"{name}.raise"):
            raise Failed(f"{point} {name}")


def _consume(failure: Path) -> bool:
    """Delete the file; True for the one process that found it."""
    try:
        failure.unlink()
    except FileNotFoundError:
        return False
    return True
