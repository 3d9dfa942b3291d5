"""Crash points: named places between two effects where a test lets this process fail.

They are off unless the setting `crash_points` names a folder. Then a point fails once for each file
`<service>/<point>/<message>.crash` (SIGKILL), `.freeze` (SIGSTOP) or `.raise` (an exception) found
there; the file is taken away by who fails, so one file is one failure however many processes pass.
Everything passed is noted in `<folder>/passed.log`, one line each: service, point, message.
"""

import os
import signal
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

LOG = "passed.log"


class Point(StrEnum):
    """Where a process may fail, beside a message it has heard or says (its routing key)."""

    BEFORE_COMMIT = "before_commit"
    """Effects and answers stand in the transaction; nothing is committed."""
    BEFORE_PUBLISH = "before_publish"
    """Committed; the relay has read the message and not sent it."""
    AFTER_PUBLISH = "after_publish"
    """The broker has confirmed the message, which is still in the outbox."""
    BEFORE_ACK = "before_ack"
    """The effect of a message heard is committed; the broker does not know."""
    BEFORE_CALL = "before_call"
    """The attempt is recorded; nobody outside was asked."""
    AFTER_CALL = "after_call"
    """Somebody outside has answered; the answer is not recorded."""


class Failed(Exception):
    """A crash point was told to fail by an exception."""


_folder: Path | None = None
_service = ""


def configure(folder: Path | None, service: str) -> None:
    """Look for failures in this folder from now on; None turns the points off."""
    global _folder, _service
    _folder, _service = folder, service


def reached(point: Point, messages: Iterable[str]) -> None:
    """Pass, or fail if one of the messages is told to; `messages` is not read while off."""
    if _folder is None:
        return
    names = list(messages)
    with (_folder / LOG).open("a") as log:
        log.write("".join(f"{_service} {point} {name}\n" for name in names))
    for name in names:
        place = _folder / _service / point
        if _taken(place / f"{name}.crash"):
            os.kill(os.getpid(), signal.SIGKILL)
        if _taken(place / f"{name}.freeze"):
            os.kill(os.getpid(), signal.SIGSTOP)
        if _taken(place / f"{name}.raise"):
            raise Failed(f"{point} {name}")


def _taken(order: Path) -> bool:
    """Whether the file was there; only one process finds it."""
    try:
        order.unlink()
    except FileNotFoundError:
        return False
    return True
