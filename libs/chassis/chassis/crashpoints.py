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

from chassis.per_service import PerService

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


# The folder of a service's failures; None while they are off.
_folders: PerService[Path | None] = PerService(lambda: None)


def configure(folder: Path | None, service: str) -> None:
    """Read failures from this folder; None turns the crash points off."""
    _folders.set(folder and folder / service)


def reached(point: Point, messages: Iterable[str]) -> None:
    """Fail if there is a file for one of the messages; while off, `messages` is not read."""
    folder = _folders.get()
    if folder is None:
        return
    names = list(messages)
    with (folder.parent / LOG).open("a") as log:
        log.write("".join(f"{folder.name} {point} {name}\n" for name in names))
    for name in names:
        place = folder / point
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
