"""Ordering crash points to fail, and knowing which are passed and which have failed."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from testkit import at_start, crash_points
from testkit.crash_points import LOG

CRASH, RAISE, FREEZE = "crash", "raise", "freeze"
SEEDED = Path(__file__).parent / "seeded"


def may_fail(folder: Path) -> dict[str, dict[str, str]]:
    """Settings by which every service looks into the instance's folder for where to fail."""
    points = folder.resolve() / "crash-points"
    points.mkdir(parents=True, exist_ok=True)
    return {"*": crash_points.environment(points)}


def with_defect(name: str) -> dict[str, str]:
    """Settings by which a service has a defect of `seeded/defects.py`, besides its crash points."""
    return at_start.environment(f"defects:{name}", crash_points.INSTALL, path=SEEDED)


@dataclass(frozen=True, order=True)
class Failure:
    """One service fails once, at a point beside a message (its routing key)."""

    service: str
    point: str
    message: str
    how: str = CRASH

    def __str__(self) -> str:
        return f"{self.service} {self.point} {self.message} ({self.how})"


@dataclass(frozen=True)
class CrashPoints:
    """The folder in which the services of an instance look for where to fail."""

    folder: Path

    def order(self, failures: Iterable[Failure]) -> None:
        """Have each of them happen at the next passing."""
        for failure in failures:
            place = self.folder / failure.service / failure.point
            place.mkdir(parents=True, exist_ok=True)
            (place / f"{failure.message}.{failure.how}").touch()

    def ordered(self) -> list[Failure]:
        """What has not happened yet."""
        return sorted(
            Failure(path.parts[-3], path.parts[-2], path.stem, path.suffix[1:])
            for path in self.folder.glob("*/*/*")
        )

    def withdraw(self) -> list[Failure]:
        """Let what has not happened not happen any more; returns it."""
        left = self.ordered()
        for each in left:
            place = self.folder / each.service / each.point
            (place / f"{each.message}.{each.how}").unlink(missing_ok=True)
        return left

    def position(self) -> int:
        """Where the log of what was passed ends now."""
        log = self.folder / LOG
        return log.stat().st_size if log.exists() else 0

    def passed(self, since: int) -> list[Failure]:
        """What was passed since a position, each once, in the order of its first time."""
        with (self.folder / LOG).open() as log:
            log.seek(since)
            lines = log.read().splitlines()
        return list(dict.fromkeys(Failure(*line.split()) for line in lines))


def pairwise(failures: Iterable[Failure], seed: int, together: int = 2) -> list[list[Failure]]:
    """Every failure once, in groups whose members the seed chooses, of services that differ."""
    left = sorted(failures)
    random.Random(f"pairs {seed}").shuffle(left)
    groups: list[list[Failure]] = []
    for failure in left:
        for group in groups:
            if len(group) < together and failure.service not in {each.service for each in group}:
                group.append(failure)
                break
        else:
            groups.append([failure])
    return groups
