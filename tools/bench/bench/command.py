"""The `bench` command: its plan from the command line, and the suite under load."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

from bench import report, run
from bench.run import Plan
from bench.target import Target
from suite import testing
from suite.command_line import console, step
from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.refusals import Refusal

Number = TypeVar("Number", int, float)

# Far above any load: the limiter stays in the path and refuses no request.
UNLIMITED = "1000000"
RATE_LIMITS = ("RATE_LIMIT_PER_ADDRESS", "RATE_LIMIT_PER_PRINCIPAL")


def bench(target: Target, plan: Plan, out: Path) -> None:
    """Measure a target, write the JSON and print the tables."""
    results = run.measure(target, plan, step)
    run.write(results, out)
    report.show(results, console)
    console.print(f"\nWrote the results to {out}.")


@contextlib.contextmanager
def own_instance(folder: Path, *, keep: bool) -> Iterator[Target]:
    """A fresh instance of the working tree with raised rate limits; it ends with the bench."""
    for name in RATE_LIMITS:
        os.environ.setdefault(name, UNLIMITED)
        step(f"the rate limit is raised: {name}={os.environ[name]}")
    suite = Instance(folder, report=step)
    suite.wipe()
    with testing.graceful_interrupts():
        try:
            suite.start()
            yield of_instance(suite)
        finally:
            if keep:
                step(f"the instance in {folder} is still running")
            else:
                suite.discard()


def of_instance(suite: Instance) -> Target:
    """An instance that runs on this machine."""
    password = suite.environment.secrets["admin:password"]
    return Target(suite.url("gateway"), ADMIN_EMAIL, password, suite)


def running(folder: Path | None, url: str, email: str, password: str) -> Target:
    """A running suite; raises Refusal without its administrator's login."""
    if folder is not None:
        found = of_instance(Instance(folder))
        found.url = url or found.url
        return found
    if not (email and password):
        raise Refusal("--url needs --admin-email and --admin-password, or --instance beside it.")
    return Target(url.rstrip("/"), email, password)


def plan_of(
    *,
    seconds: float,
    warm_up: float,
    buyers: str,
    rates: str,
    products: int,
    only: str,
    soak: float,
    soak_rate: float,
) -> Plan:
    """Read the plan from the command line; raises Refusal for invalid values.

    A soak replaces the other parts, unless `only` names some.
    """
    if only:
        parts = {part.strip() for part in only.split(",")}
    else:
        parts = set() if soak else set(run.PARTS)
    if unknown := parts - set(run.PARTS):
        names = ", ".join(sorted(unknown))
        raise Refusal(f"there is no part {names}; there are {', '.join(run.PARTS)}.")
    if soak:
        parts.add(run.SOAK)
    levels = _numbers("--buyers", buyers, int, "1,8,32")
    if min(levels) < 1 or products < 1:
        raise Refusal("--buyers and --products must be at least 1.")
    rate_levels = _numbers("--rates", rates, float, "10,40")
    if min(rate_levels) <= 0:
        raise Refusal("--rates takes checkouts per second, each above 0.")
    return Plan(seconds, warm_up, levels, products, frozenset(parts), rate_levels, soak, soak_rate)


def _numbers(
    option: str, text: str, kind: Callable[[str], Number], example: str
) -> tuple[Number, ...]:
    try:
        return tuple(kind(number) for number in text.split(","))
    except ValueError:
        raise Refusal(f"{option} takes numbers separated by commas, such as {example}.") from None
