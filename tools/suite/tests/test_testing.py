"""The tests get servers of their own, which end with the tests."""

import os
import subprocess
import sys
import time
from pathlib import Path

from suite import orphans
from suite.refusals import Refusal
from suite.testing import SERVERS_SETTING

# A shell starts background jobs with SIGINT ignored.
RUN = """
import signal, sys
from pathlib import Path
from suite import testing

signal.signal(signal.SIGINT, signal.SIG_IGN)
sys.exit(testing.run(Path(sys.argv[1]), Path(sys.argv[2]), ["-v"], print))
"""
TESTS = """
import asyncio, os, pathlib, subprocess, time
import aio_pika, asyncpg, httpx
from testkit.servers import setting


def test_the_servers_are_found_by_the_environment():
    async def look():
        database = await asyncpg.connect(setting("TEST_POSTGRES_URL"))
        await database.execute("create database template_of_a_test")
        await database.close()
        broker = await aio_pika.connect(setting("TEST_BROKER_URL"))
        await broker.close()

    asyncio.run(look())
    assert httpx.get(setting("TEST_BROKER_API") + "/api/whoami").json()["name"] == "admin"
    assert os.environ["TEST_INSTANCE"]


def test_that_takes_long():
    subprocess.Popen(["sleep", "600"], start_new_session=True)
    pathlib.Path("reached").touch()
    time.sleep(600)
"""


def test_servers_end_with_interrupted_tests(tree: Path, tmp_path: Path) -> None:
    root, folder = tmp_path, tmp_path / ".run/test"
    for name in ("deploy", "services.toml"):
        (root / name).symlink_to(tree / name)
    (root / "test_example.py").write_text(TESTS)
    command = [sys.executable, "-c", RUN, str(root), str(folder)]
    native = os.environ | {SERVERS_SETTING: "native"}

    with subprocess.Popen(command, env=native, stdout=subprocess.PIPE, text=True) as tests:
        while not (root / "reached").exists():
            assert tests.poll() is None
            time.sleep(0.05)
        second = subprocess.run(command, capture_output=True, text=True, check=False)
        assert list(orphans.of(folder / "started"))
        # A shell or make forwards the signal that it receives: the group may get it repeatedly.
        tests.terminate()
        tests.terminate()
        output, _ = tests.communicate(timeout=300)

    assert Refusal.__name__ in second.stderr
    assert "running already" in second.stderr
    # The test of the servers, whose line of output their start interrupts.
    assert "1 passed" in output, output
    assert "KeyboardInterrupt" in output
    assert tests.returncode == 2
    assert list(orphans.of(folder)) == list(orphans.of(folder / "started")) == []
    assert not (folder / "state").exists()
    assert any((folder / "logs").iterdir())
