"""What `bench` is told on the command line, and the instance it runs on."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from suite.bench import report, run
from suite.bench.run import Plan
from suite.bench.target import Target
from suite.environment import ADMIN_EMAIL
from suite.instance import Instance
from suite.refusals import Refusal

# Far above what any load reaches: the limiter stays in the path and refuses nobody.
UNLIMITED = "1000000"
RATE_LIMITS = ("RATE_LIMIT_PER_ADDRESS", "RATE_LIMIT_PER_PRINCIPAL")


def bench(
    target: contextlib.AbstractContextManager[Target],
    plan: Plan,
    out: Path,
    console: Console,
    step: Callable[[str], None],
) -> None:
    """Measure a target, print the tables and write the JSON."""
    with target as suite:
        results = run.measure(suite, plan, step)
    run.write(results, out)
    report.show(results, console)
    console.print(f"\nEverything is in {out}.")


@contextlib.contextmanager
def own_instance(folder: Path, *, keep: bool, step: Callable[[str], None]) -> Iterator[Target]:
    """A fresh instance of the working tree with the rate limits raised; it ends with the bench."""
    for name in RATE_LIMITS:
        os.environ.setdefault(name, UNLIMITED)
        step(f"the rate limit is raised: {name}={os.environ[name]}")
    suite = Instance(folder, report=step)
    suite.wipe()
    try:
        suite.start()
        yield of_instance(suite)
    finally:
        if keep:
            step(f"the instance in {folder} keeps running")
        else:
            suite.discard()


def of_instance(suite: Instance) -> Target:
    """An instance that runs on this machine."""
    password = suite.environment.secrets["admin:password"]
    return Target(suite.url("gateway"), ADMIN_EMAIL, password, suite)


def running(folder: Path | None, url: str, email: str, password: str) -> Target:
    """A suite that runs already; raises Refusal when it is not said who administers it."""
    if folder is not None:
        found = of_instance(Instance(folder))
        found.url = url or found.url
        return found
    if not (email and password):
        raise Refusal("--url needs --admin-email and --admin-password, or --instance beside it.")
    return Target(url.rstrip("/"), email, password)


def plan_of(seconds: float, warm_up: float, buyers: str, products: int, only: str) -> Plan:
    """Read the plan from the command line; raises Refusal for what is not understood."""
    parts = [part.strip() for part in only.split(",")] if only else list(run.PARTS)
    if unknown := set(parts) - set(run.PARTS):
        raise Refusal(f"there is no part {', '.join(unknown)}; there are {', '.join(run.PARTS)}.")
    try:
        numbers = tuple(int(number) for number in buyers.split(","))
    except ValueError:
        raise Refusal("--buyers takes numbers with commas between, such as 1,8,32.") from None
    if min(numbers) < 1 or products < 1:
        raise Refusal("there must be a buyer and a product at least.")
    return Plan(seconds, warm_up, numbers, products, frozenset(parts))
