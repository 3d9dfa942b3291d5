"""A test that hangs or leaks fails, whatever it tests."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

HANGS = """
import asyncio, threading
import pytest

@pytest.fixture(scope="session")
def server():
    threading.Event().wait()

def test_in_a_fixture(server):
    pass

def test_in_a_thread():
    threading.Event().wait()

async def test_in_a_coroutine():
    await asyncio.Event().wait()
"""
LEAKS = """
import asyncio, gc, socket, subprocess, sys
import pytest

@pytest.fixture(scope="module")
def port():
    # Nothing accepts the connection, and the server outlives the test: the leak is the client's alone.
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]

def test_of_a_socket():
    socket.socket()

def test_of_a_process():
    subprocess.Popen([sys.executable, "-c", ""])

def test_of_a_coroutine():
    asyncio.sleep(0)

def test_of_a_connection(port):
    streams = asyncio.run(asyncio.open_connection("127.0.0.1", port))
    # Reader, writer and transport refer to each other: only a collection of garbage ends them.
    del streams
    gc.collect()
"""


def output_of(source: str, folder: Path, *options: str) -> str:
    """What pytest prints of these tests under the settings of this repository."""
    tests = folder / "test_example.py"
    tests.write_text(source)
    settings = [
        "-c",
        str(ROOT / "pyproject.toml"),
        "--rootdir",
        str(folder),
        "-p",
        "no:cacheprovider",
    ]
    shutil.copy(ROOT / "conftest.py", folder)
    return subprocess.run(
        [sys.executable, "-m", "pytest", *settings, *options, tests],
        cwd=folder, capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip


def line_of(text: str) -> int:
    return 1 + next(i for i, line in enumerate(HANGS.splitlines()) if text in line)


def test_a_test_that_hangs_fails_with_its_stack(tmp_path: Path) -> None:
    output = output_of(HANGS, tmp_path, "-o", "timeout=1")
    assert "1 error" in output
    assert "2 failed" in output
    # The two lines that wait in a thread, and the task's.
    assert output.count("threading.Event().wait()") == 2
    assert f'test_example.py", line {line_of("asyncio.Event")}, in test_in_a_coroutine' in output


def test_a_test_that_leaks_fails(tmp_path: Path) -> None:
    output = output_of(LEAKS, tmp_path)
    assert "4 failed" in output, output


def test_every_test_has_a_time_limit(request: pytest.FixtureRequest) -> None:
    assert float(request.config.getini("timeout")) > 0
