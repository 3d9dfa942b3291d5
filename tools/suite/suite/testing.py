"""Runs the tests on servers of their own, which end with the tests."""

import contextlib
import fcntl
import importlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from suite import orphans
from suite.instance import Instance
from suite.refusals import Refusal

# "native" or "containers" forces one of the two.
SERVERS_SETTING = "TEST_SERVERS"
# The settings of running servers; those of a run around this one are not its own.
FOUND = ("TEST_POSTGRES_URL", "TEST_BROKER_URL", "TEST_BROKER_API")
# At which the tests of a run with arguments request servers; `testkit.servers` reads it.
SOCKET = "TEST_SERVERS_SOCKET"

# The tests of the whole suite mostly wait, so the others run in parallel, in two parts. Tests that
# create broker users of the same names are in one part.
WHOLE = ("tests/integration", "tests/faults")
NICENESS = 5
# pytest's exit code after an interrupt.
INTERRUPTED = 2
PARTS = {
    "services": ("libs", "services", "tools/cartwright"),
    "tools": ("tools", "tests", *(f"--ignore={name}" for name in (*WHOLE, "tools/cartwright"))),
}


class Terminated(KeyboardInterrupt):
    """The process received SIGTERM."""


def run(root: Path, folder: Path, arguments: Sequence[str], report: Callable[[str], None]) -> int:
    """Run pytest over the working tree on fresh servers, and stop the servers.

    TEST_POSTGRES_URL, TEST_BROKER_URL and TEST_BROKER_API name the servers; a run with arguments
    starts them at the first request of a test, at TEST_SERVERS_SOCKET. TEST_INSTANCE is the
    folder of a whole suite with servers of its own, which tests may kill. Returns pytest's exit
    code. Processes that the tests started and left running end as well.
    """
    whole, started = folder / "whole", folder / "started"
    inherited = {name: value for name, value in os.environ.items() if name not in FOUND}
    settings = inherited | {"TEST_INSTANCE": str(whole), orphans.MARK: str(started)}
    with _locked(folder), graceful_interrupts():
        orphans.end(started)
        Instance(folder, "test", root=root).wipe()
        try:
            if arguments or not all((root / part).is_dir() for part in WHOLE):
                with (
                    _servers_on_demand(root, folder, report) as address,
                    _pytest(root, arguments, settings | {SOCKET: address}) as tests,
                ):
                    return _ended(tests)
            return _all(root, folder, settings, report)
        finally:
            orphans.end(started)
            Instance(whole, "test", root=root).discard()


def _all(root: Path, folder: Path, settings: dict[str, str], report: Callable[[str], None]) -> int:
    """Run the whole suite's tests, which start their own servers, and all others in parallel."""
    with contextlib.ExitStack() as stack:
        report(f"{' and '.join(WHOLE)} are shown first; the others run in parallel and follow")
        first = stack.enter_context(_pytest(root, WHOLE, settings))
        stack.callback(_interrupt, first)
        found = stack.enter_context(_servers(root, folder, report))
        others = [
            stack.enter_context(
                _in_background(root, folder / f"logs/{name}.log", part, settings | found)
            )
            for name, part in PARTS.items()
        ]
        code = _ended(first)
        if code == INTERRUPTED:
            return code
        return next((each for each in [code, *(finish() for finish in others)] if each), 0)


@contextlib.contextmanager
def _servers_on_demand(root: Path, folder: Path, report: Callable[[str], None]) -> Iterator[str]:
    """Start the servers at the first request of a test; yields the address for requests."""
    started: dict[str, str] = {}
    with contextlib.ExitStack() as stack:
        private = stack.enter_context(tempfile.TemporaryDirectory(prefix="cartwright-"))
        listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(address := f"{private}/servers")
        listener.listen()
        ended = threading.Event()

        def answer() -> None:
            while True:
                client, _ = listener.accept()
                with client:
                    if ended.is_set():
                        return
                    try:
                        if not started:
                            started.update(stack.enter_context(_servers(root, folder, report)))
                        client.sendall(json.dumps(started).encode())
                    except Exception as error:  # noqa: BLE001
                        client.sendall(json.dumps({"error": str(error)}).encode())

        answering = threading.Thread(target=answer)
        answering.start()
        try:
            yield address
        finally:
            ended.set()
            with socket.socket(socket.AF_UNIX) as last:
                last.connect(address)
            answering.join()


@contextlib.contextmanager
def _servers(root: Path, folder: Path, report: Callable[[str], None]) -> Iterator[dict[str, str]]:
    """Run the servers in containers if an engine answers, else natively."""
    suite = Instance(folder, "test", root=root, report=report)
    chosen = os.environ.get(SERVERS_SETTING, "")
    # It imports Docker's client, which tests of rules need not wait for.
    containers = importlib.import_module("suite.containers")
    try:
        if chosen == "containers" or (not chosen and containers.are_available(report)):
            suite.logs.mkdir(parents=True)
            with containers.running(root, folder, report) as found:
                yield found
        else:
            suite.start(servers_only=True)
            yield suite.environment.of_tests()
    finally:
        suite.discard()


@contextlib.contextmanager
def _in_background(
    root: Path, log: Path, part: Sequence[str], environment: dict[str, str]
) -> Iterator[Callable[[], int]]:
    """Run a part of the tests in the background; yields a function that waits, shows and returns.

    It waits for pytest's end, prints its output and returns its exit code.
    """
    command = [sys.executable, "-m", "pytest", *part, "-p", "no:cacheprovider"]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=root, env=environment, stdout=output, stderr=output, start_new_session=True
        ) as tests,
    ):
        _lower_priority(tests.pid)

        def finish() -> int:
            code = tests.wait()
            print(log.read_text(), flush=True)
            return code

        try:
            yield finish
        finally:
            _interrupt(tests)


def _lower_priority(pid: int) -> None:
    """Lower the priority of a process and its children: the whole suite's tests take longest.

    With autogroup (sched(7)) Linux divides the processors among sessions first; the niceness of a
    process counts within its session.
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
    """Wait for pytest, also after an interrupt: it has its own cleanup to do."""
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
def _locked(folder: Path) -> Iterator[None]:
    """Lock the folder for one test run."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "run.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refusal("the tests of this working tree are running already.") from None
        yield


@contextlib.contextmanager
def graceful_interrupts() -> Iterator[None]:
    """Raise Terminated on the first SIGTERM, so that the servers stop then as well.

    Further ones are ignored: they would interrupt the cleanup, of pytest or of this process.

    A shell starts background jobs with SIGINT ignored, and pytest would inherit that: it could not
    be stopped gracefully. This restores the handler of SIGINT.
    """

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
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
