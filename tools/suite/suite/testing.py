"""Running the tests on servers of their own, which end with them."""

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from suite import containers
from suite.instance import Instance
from suite.refusals import Refusal

# "native" or "containers" forces one of the two.
SERVERS_SETTING = "TEST_SERVERS"

# The tests of the whole suite wait more than they work, so the others run beside them. They are two
# parts, since each waits for servers, too. What names its users of the broker alike is in one part.
WHOLE = ("tests/integration", "tests/faults")
NICENESS = 5
# What pytest ends with when somebody interrupts it.
INTERRUPTED = 2
PARTS = {
    "services": ("libs", "services", "tools/cartwright"),
    "tools": ("tools", "tests", *(f"--ignore={name}" for name in (*WHOLE, "tools/cartwright"))),
}


class Terminated(KeyboardInterrupt):
    """Somebody asked us to end, with SIGTERM."""


def run(root: Path, folder: Path, arguments: Sequence[str], report: Callable[[str], None]) -> int:
    """Start fresh servers, run pytest over the working tree, end the servers; return pytest's code.

    Tests find the servers by TEST_POSTGRES_URL, TEST_BROKER_URL and TEST_BROKER_API. TEST_INSTANCE
    is the folder for a whole suite with servers of its own, which its tests may kill.
    """
    whole = folder / "whole"
    settings = os.environ | {"TEST_INSTANCE": str(whole)}
    with _alone(folder), ended_in_order():
        Instance(folder, "test", root=root).wipe()
        try:
            if arguments or not all((root / part).is_dir() for part in WHOLE):
                with (
                    _servers(root, folder, report) as found,
                    _pytest(root, arguments, settings | found) as tests,
                ):
                    return _ended(tests)
            return _all(root, folder, settings, report)
        finally:
            Instance(whole, "test", root=root).discard()


def _all(root: Path, folder: Path, settings: dict[str, str], report: Callable[[str], None]) -> int:
    """Run the whole suite's tests, which start servers of their own, and all others beside them."""
    with contextlib.ExitStack() as stack:
        report(f"{' and '.join(WHOLE)} run first; the others beside them, shown after")
        first = stack.enter_context(_pytest(root, WHOLE, settings))
        stack.callback(_interrupt, first)
        found = stack.enter_context(_servers(root, folder, report))
        others = [
            stack.enter_context(_beside(root, folder / f"logs/{name}.log", part, settings | found))
            for name, part in PARTS.items()
        ]
        code = _ended(first)
        if code == INTERRUPTED:
            return code
        return next((each for each in [code, *(finish() for finish in others)] if each), 0)


@contextlib.contextmanager
def _servers(root: Path, folder: Path, report: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Run the servers in containers where an engine answers, else natively."""
    suite = Instance(folder, "test", root=root, report=report)
    chosen = os.environ.get(SERVERS_SETTING, "")
    try:
        if chosen == "containers" or (not chosen and containers.are_at_hand(report)):
            suite.logs.mkdir(parents=True)
            with containers.running(root, folder, report) as found:
                yield found
        else:
            suite.start(servers_only=True)
            yield suite.environment.of_tests()
    finally:
        suite.discard()


@contextlib.contextmanager
def _beside(
    root: Path, log: Path, part: Sequence[str], environment: dict[str, str]
) -> Iterator[Callable[[], int]]:
    """Run a part of the tests in the background; gives what awaits, shows and tells its code."""
    command = [sys.executable, "-m", "pytest", *part, "-p", "no:cacheprovider"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as tests,
    ):
        _give_way(tests.pid)

        def finish() -> int:
            code = tests.wait()
            print(log.read_text(), flush=True)
            return code

        try:
            yield finish
        finally:
            _interrupt(tests)


def _give_way(pid: int) -> None:
    """Let others go before a process and what it starts: the whole suite's tests take longest.

    Linux shares the processors among sessions first (sched(7), autogroup), where that is on; a
    process's own niceness counts within its session.
    """
    os.setpriority(os.PRIO_PROCESS, pid, NICENESS)
    with contextlib.suppress(OSError):
        Path(f"/proc/{pid}/autogroup").write_text(str(NICENESS), encoding="ascii")


def _pytest(
    root: Path, arguments: Sequence[str], environment: dict[str, str]
) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "pytest", *arguments]
    return subprocess.Popen(command, cwd=root, env=environment)


def _ended(tests: subprocess.Popen[bytes]) -> int:
    """Await pytest's end, also when we are interrupted: it has its own tidying to do."""
    while True:
        try:
            return tests.wait()
        except Terminated:
            tests.send_signal(signal.SIGINT)
        except KeyboardInterrupt:
            # The terminal interrupts the whole group, pytest included.
            continue


def _interrupt(tests: subprocess.Popen[bytes]) -> None:
    if tests.poll() is None:
        tests.send_signal(signal.SIGINT)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder for one test run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("the tests of this working tree are running already.") from None
        yield


@contextlib.contextmanager
def ended_in_order() -> Iterator[None]:
    """Raise Terminated on SIGTERM, so that the servers end then as well.

    A shell lets what it starts in the background ignore SIGINT, and pytest would inherit that: then
    nothing of ours could end it in order. So the interrupt is heard again.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise Terminated

    before = {
        signal.SIGTERM: signal.signal(signal.SIGTERM, interrupt),
        signal.SIGINT: signal.signal(signal.SIGINT, signal.default_int_handler),
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
